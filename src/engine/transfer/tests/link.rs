//! A host behind a link that does what the test says.

use crate::transport::{
    Chunk, Connection, Ending, Heartbeat, Input, Lost, Output, Process, StartError, local,
};
use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;

pub(super) const BROKEN: &str = "the test has cut the link";

/// A host behind a link that carries so many bytes of input.
pub(super) struct Link {
    carries: Arc<AtomicU64>,
    cut: Arc<AtomicBool>,
    /// Said before each command.
    pub(super) before: String,
    /// What stands for `/bin/sh`.
    pub(super) shell: &'static str,
    /// For how long the host may hear nothing; then what is not carried is not lost either.
    pub(super) limit: Option<Duration>,
    closed: watch::Sender<bool>,
}

impl Link {
    pub(super) fn carrying(bytes: u64) -> Self {
        Self {
            carries: Arc::new(AtomicU64::new(bytes)),
            cut: Arc::default(),
            before: String::new(),
            shell: "/bin/sh",
            limit: None,
            closed: watch::Sender::new(false),
        }
    }
}

#[async_trait]
impl Connection for Link {
    async fn start(&self, command: &str) -> Result<Process, StartError> {
        if self.cut.load(Ordering::SeqCst) {
            return Err(StartError(BROKEN.into()));
        }
        let command = command.replacen("/bin/sh", self.shell, 1);
        let shell = local::shell(&format!("{}{command}", self.before));
        let process = local::spawn(shell, self.closed.subscribe()).unwrap();
        Ok(Process {
            input: Box::new(Cut {
                input: process.input,
                carries: self.carries.clone(),
                cut: self.cut.clone(),
                silent: self.limit.is_some(),
            }),
            output: Box::new(Ends {
                output: process.output,
                cut: self.cut.clone(),
            }),
        })
    }

    async fn close(&self) {}

    fn heartbeat(&self) -> Option<Heartbeat> {
        self.limit.map(Heartbeat::new)
    }
}

struct Cut {
    input: Box<dyn Input>,
    carries: Arc<AtomicU64>,
    cut: Arc<AtomicBool>,
    /// The rest never arrives, and nobody hears of it.
    silent: bool,
}

#[async_trait]
impl Input for Cut {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        let carries = self.carries.load(Ordering::SeqCst);
        let count = carries.min(bytes.len() as u64);
        self.carries.store(carries - count, Ordering::SeqCst);
        self.input.write(&bytes[..count as usize]).await?;
        if count < bytes.len() as u64 && !self.silent {
            // The host's server ends the input of what it runs when the connection is gone.
            self.cut.store(true, Ordering::SeqCst);
            self.input.end().await?;
            return Err(Lost(BROKEN.into()));
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<(), Lost> {
        match self.silent {
            true => Ok(()),
            false => self.input.end().await,
        }
    }
}

struct Ends {
    output: Box<dyn Output>,
    cut: Arc<AtomicBool>,
}

#[async_trait]
impl Output for Ends {
    async fn next(&mut self) -> Option<Chunk> {
        let chunk = self.output.next().await;
        if !self.cut.load(Ordering::SeqCst) {
            return chunk;
        }
        // The host is done before the test looks at what it has.
        while self.output.next().await.is_some() {}
        None
    }

    fn ending(&self) -> Ending {
        match self.cut.load(Ordering::SeqCst) {
            true => Ending::Lost(BROKEN.into()),
            false => self.output.ending(),
        }
    }
}
