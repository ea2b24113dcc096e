//! Counts what goes to a host and comes back, and how long it takes.

use crate::event::{Event, Traffic};
use crate::transport::{
    Chunk, Connection, Ending, Heartbeat, Input, Lost, Output, Process, StartError,
};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Counts for a host, over all its connections.
#[derive(Default)]
pub(super) struct Meter(Arc<Count>);

/// The beginning of what is measured.
pub(super) struct Mark {
    since: Instant,
    before: Traffic,
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

impl Meter {
    /// The connection, with all that passes through it counted.
    pub(super) fn wrap(&self, connection: Arc<dyn Connection>) -> Arc<dyn Connection> {
        Arc::new(Counted(connection, self.0.clone()))
    }

    /// From here on.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            since: Instant::now(),
            before: self.traffic(),
        }
    }

    /// What has passed since a mark; its exchanges are the commands that were started.
    pub(super) fn since(&self, mark: &Mark) -> Traffic {
        let now = self.traffic();
        Traffic {
            exchanges: now.exchanges - mark.before.exchanges,
            sent: now.sent - mark.before.sent,
            received: now.received - mark.before.received,
        }
    }

    fn traffic(&self) -> Traffic {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        Traffic {
            exchanges: count(&self.0.started),
            sent: count(&self.0.sent),
            received: count(&self.0.received),
        }
    }
}

impl Mark {
    /// The time that has passed.
    pub(super) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Tells what has passed.
    pub(super) fn exchanged(&self, host: &str, traffic: Traffic) -> Event {
        Event::Exchanged {
            host: host.to_string(),
            took: self.elapsed(),
            traffic,
        }
    }
}

struct Counted(Arc<dyn Connection>, Arc<Count>);

#[async_trait]
impl Connection for Counted {
    async fn start(&self, command: &str) -> Result<Process, StartError> {
        let process = self.0.start(command).await?;
        Count::add(&self.1.started, 1);
        Count::add(&self.1.sent, command.len());
        Ok(Process {
            input: Box::new(Sending(process.input, self.1.clone())),
            output: Box::new(Receiving(process.output, self.1.clone())),
        })
    }

    async fn close(&self) {
        self.0.close().await;
    }

    fn heartbeat(&self) -> Option<Heartbeat> {
        self.0.heartbeat()
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

    async fn send(&mut self, bytes: Bytes) -> Result<(), Lost> {
        let count = bytes.len();
        self.0.send(bytes).await?;
        Count::add(&self.1.sent, count);
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
