//! The shells of a host that wait for the next message, and make room where a server has none for more.

use super::exchange::{GONE_WITHIN, Identity};
use super::lock::{Gate, ROOM};
use super::shell::Shell;
use crate::transport::{Chunk, Connection, Heartbeat, Input, Output, Process, StartError};
use async_trait::async_trait;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The waiting shells of a host, by whose rights they have.
#[derive(Default)]
pub(super) struct Shells {
    waiting: HashMap<Identity, Waiting>,
    /// One has made room: its lock may be held on without a shell.
    made_room: bool,
    /// The lock was held, until the host heard nothing for too long.
    lost: bool,
}

/// Why nothing was sent to a host on which others may have worked meanwhile.
pub(super) const LOCK_ENDED: &str = "the shell that held the host's lock has ended";

/// A shell that waited has ended by itself: the link was cut, or the host has heard nothing for too long.
pub(super) struct Gone;

/// While a shell waits its output is read, so that what a task has left running can't block the connection.
struct Waiting {
    input: Box<dyn Input>,
    reading: JoinHandle<Option<Box<dyn Output>>>,
    enough: oneshot::Sender<()>,
    last: Option<i64>,
}

impl Shells {
    /// The shell that waits with these rights, if it is still there.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub(super) async fn take(&mut self, identity: &Identity) -> Result<Option<Shell>, Gone> {
        let Some(waiting) = self.waiting.remove(identity) else {
            return if self.lost { Err(Gone) } else { Ok(None) };
        };
        waiting.enough.send(()).ok();
        let output = waiting.reading.await.ok().flatten().ok_or(Gone)?;
        Ok(Some(Shell {
            process: Process {
                input: waiting.input,
                output,
            },
            last: waiting.last,
            gate: Gate::open(),
        }))
    }

    /// Keeps a shell for the next message.
    pub(super) fn keep(&mut self, identity: &Identity, process: Process, last: Option<i64>) {
        let (enough, mut asked) = oneshot::channel();
        let mut output = process.output;
        let reading = tokio::spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    _ = &mut asked => return Some(output),
                    chunk = output.next() => if matches!(chunk, None | Some(Chunk::Exit(_))) {
                        return None;
                    },
                }
            }
        });
        let waiting = Waiting {
            input: process.input,
            reading,
            enough,
            last,
        };
        // It has taken the lock back.
        (self.made_room, self.lost) = (false, false);
        self.waiting.insert(identity.clone(), waiting);
    }

    /// Lets all of them go: each ends with its input.
    pub(super) fn release(&mut self) {
        self.lost = false;
        self.waiting.clear();
    }

    /// The same for those that stand in the way of something else, while the lock is held on.
    pub(super) async fn make_room(&mut self) {
        for (_, mut waiting) in self.waiting.drain() {
            let ends = format!("exit {ROOM}\n");
            waiting.input.write(ends.as_bytes()).await.ok();
            self.made_room = true;
        }
    }

    /// Whether the lock is held: by one that waits, or for one that has made room.
    pub(super) fn holds(&self) -> bool {
        let mut waiting = self.waiting.values();
        self.made_room || waiting.any(|waiting| !waiting.reading.is_finished())
    }

    /// Notes that a shell which was not waiting has given the lock up.
    pub(super) fn lose(&mut self) {
        self.lost = true;
    }

    /// Whether the lock was held and is no longer.
    pub(super) fn is_lost(&self) -> bool {
        (self.lost || !self.waiting.is_empty()) && !self.holds()
    }

    /// Whether a lock may be held on without a shell, which is asked only once.
    pub(super) fn takes_room_back(&mut self) -> bool {
        std::mem::take(&mut self.made_room)
    }

    /// The same, and waits until they have ended.
    pub(super) async fn end(&mut self) {
        for (_, mut waiting) in self.waiting.drain() {
            waiting.input.end().await.ok();
            let ended = tokio::time::timeout(GONE_WITHIN, waiting.reading);
            ended.await.ok();
        }
    }
}

/// How long a start may take before waiting shells make room for it.
const CROWDED: Duration = Duration::from_millis(500);

/// Waits for something that starts on a channel of its own. Where that takes long, the waiting shells are let go: a
/// server that allows no further session would let it wait for theirs for ever.
pub(super) async fn make_room<T>(
    starting: impl Future<Output = T>,
    let_go: impl Future<Output = ()>,
) -> T {
    tokio::pin!(starting);
    tokio::select! {
        biased;
        started = &mut starting => return started,
        () = tokio::time::sleep(CROWDED) => {}
    }
    let_go.await;
    starting.await
}

/// A connection on which waiting shells make room for what is started.
pub(super) struct Roomy<'a> {
    pub(super) connection: &'a dyn Connection,
    pub(super) shells: &'a tokio::sync::Mutex<Shells>,
}

#[async_trait]
impl Connection for Roomy<'_> {
    async fn start(&self, command: &str) -> Result<Process, StartError> {
        let let_go = async { self.shells.lock().await.make_room().await };
        make_room(self.connection.start(command), let_go).await
    }

    async fn close(&self) {
        self.connection.close().await;
    }

    fn heartbeat(&self) -> Option<Heartbeat> {
        self.connection.heartbeat()
    }
}
