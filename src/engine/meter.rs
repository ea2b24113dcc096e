//! Counts what goes to a host and comes back, and how long it takes.

use crate::event::{Event, Traffic};
use crate::transport::{Chunk, Connection, Ending, Input, Lost, Output, Process, StartError};
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A connection that counts what passes through it.
pub(super) struct Meter<'a> {
    connection: &'a dyn Connection,
    since: Instant,
    count: Arc<Count>,
}

#[derive(Default)]
struct Count {
    started: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Count {
    fn add(to: &AtomicU64, count: usize) {
        to.fetch_add(count as u64, Ordering::Relaxed);
    }
}

impl<'a> Meter<'a> {
    /// Counts from now on.
    pub(super) fn new(connection: &'a dyn Connection) -> Self {
        Self {
            connection,
            since: Instant::now(),
            count: Arc::default(),
        }
    }

    /// The time since it began to count.
    pub(super) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// What it has counted.
    pub(super) fn exchanged(&self, host: &str) -> Event {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        Event::Exchanged {
            host: host.to_string(),
            took: self.elapsed(),
            traffic: Traffic {
                exchanges: count(&self.count.started),
                sent: count(&self.count.sent),
                received: count(&self.count.received),
            },
        }
    }
}

#[async_trait]
impl Connection for Meter<'_> {
    async fn start(&self, command: &str) -> Result<Process, StartError> {
        let process = self.connection.start(command).await?;
        Count::add(&self.count.started, 1);
        Count::add(&self.count.sent, command.len());
        Ok(Process {
            input: Box::new(Sending(process.input, self.count.clone())),
            output: Box::new(Receiving(process.output, self.count.clone())),
        })
    }

    async fn close(&self) {
        self.connection.close().await;
    }
}

struct Sending(Box<dyn Input>, Arc<Count>);

#[async_trait]
impl Input for Sending {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        self.0.write(bytes).await?;
        Count::add(&self.1.sent, bytes.len());
        Ok(())
    }

    async fn end(&mut self) -> Result<(), Lost> {
        self.0.end().await
    }
}

struct Receiving(Box<dyn Output>, Arc<Count>);

#[async_trait]
impl Output for Receiving {
    async fn next(&mut self) -> Option<Chunk> {
        let chunk = self.0.next().await;
        if let Some(Chunk::Stdout(bytes) | Chunk::Stderr(bytes)) = &chunk {
            Count::add(&self.1.received, bytes.len());
        }
        chunk
    }

    fn ending(&self) -> Ending {
        self.0.ending()
    }
}
