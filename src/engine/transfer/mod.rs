//! Files that are too large for a script: each on a channel of its own.

mod course;
mod fetch;
mod source;
#[cfg(test)]
mod tests;
mod upload;

use super::exchange::{Identity, Terms, Trouble};
use super::shell;
use crate::event::Transfer;
use crate::transport::{Chunk, Connection, Ending, Exit, Output, Process};
pub(super) use fetch::fetch;
pub(super) use source::Sources;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;
pub(super) use upload::{Upload, upload};

/// How often the screen hears of a file that is on its way.
const SHOWN: Duration = Duration::from_millis(200);
/// The rate is that of about the last so many reports.
const LATELY: usize = 15;

/// Waits for the process `rn_p`, whose code is then in `rn_c`. A signal only interrupts that.
const WAIT: &str =
    "while wait $rn_p; rn_c=$?; [ $rn_c -gt 128 ] && kill -0 $rn_p 2>/dev/null; do :; done;";

/// Why a file did not arrive.
pub(super) enum Error {
    /// It failed, with the cause.
    Failed(String),
    /// The exchange did not come to its end.
    Trouble(Trouble),
}

/// What a transfer goes by.
pub(super) struct Way<'a> {
    pub connection: &'a dyn Connection,
    pub terms: &'a Terms,
    pub identity: &'a Identity,
    /// When it has to be done.
    pub deadline: Option<Instant>,
}

impl Way<'_> {
    async fn open(&self, script: &str) -> Result<Process, Error> {
        shell::start(self.connection, self.terms, self.identity, script)
            .await
            .map_err(Error::Trouble)
    }

    /// Waits until the transfer must end: its deadline has passed, or the run was stopped.
    async fn over(&self) -> Trouble {
        let late = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let mut stop = self.terms.stop.clone();
        tokio::select! {
            () = late => Trouble::TimedOut { left: None },
            _ = stop.wait_for(|stop| *stop) => Trouble::Stopped { left: None },
        }
    }
}

/// A number is all that such a channel says; what a login shell says besides has to end somewhere.
const SAID: usize = 4096;

/// How a channel that only takes bytes came to its end.
struct Ended {
    exit: Option<Exit>,
    said: Vec<u8>,
    complaint: Vec<u8>,
    ending: Ending,
}

async fn collect(mut output: Box<dyn Output>) -> Ended {
    let (mut exit, mut said, mut complaint) = (None, Vec::new(), Vec::new());
    while let Some(chunk) = output.next().await {
        match chunk {
            Chunk::Stdout(bytes) => {
                let room = SAID.saturating_sub(said.len()).min(bytes.len());
                said.extend_from_slice(&bytes[..room]);
            }
            Chunk::Stderr(bytes) => complain(&mut complaint, &bytes),
            Chunk::Exit(status) => exit = Some(status),
        }
    }
    Ended {
        exit,
        said,
        complaint,
        ending: output.ending(),
    }
}

/// Keeps the last of what is complained about, which tells the cause.
fn complain(complaint: &mut Vec<u8>, bytes: &[u8]) {
    complaint.extend_from_slice(bytes);
    let first = complaint.len().saturating_sub(SAID);
    complaint.drain(..first);
}

fn last_line(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    text.trim()
        .lines()
        .last()
        .unwrap_or("no reason given")
        .trim()
        .to_string()
}

/// Tells the screen how far a file is, some times a second.
struct Progress<'a> {
    tell: &'a mut (dyn FnMut(Transfer) + Send),
    total: Option<u64>,
    told: VecDeque<(Instant, u64)>,
}

impl<'a> Progress<'a> {
    fn new(tell: &'a mut (dyn FnMut(Transfer) + Send), done: u64, total: Option<u64>) -> Self {
        Self {
            tell,
            total,
            told: VecDeque::from([(Instant::now(), done)]),
        }
    }

    /// So much is done.
    fn at(&mut self, done: u64, compressed: bool) {
        let now = Instant::now();
        let (since, before) = match (self.told.front(), self.told.back()) {
            (Some(first), Some((last, _))) if now - *last >= SHOWN => *first,
            _ => return,
        };
        self.told.push_back((now, done));
        if self.told.len() > LATELY {
            self.told.pop_front();
        }
        let time = (now - since).as_secs_f64().max(0.001);
        let rate = done.saturating_sub(before) as f64 / time;
        (self.tell)(Transfer {
            done,
            total: self.total,
            rate: rate as u64,
            compressed,
        });
    }

    /// All is done. Nobody needs to hear so of what they have not heard of.
    fn end(&mut self) {
        if let (true, Some(total)) = (self.told.len() > 1, self.total) {
            (self.tell)(Transfer {
                done: total,
                total: self.total,
                rate: 0,
                compressed: false,
            });
        }
    }
}
