//! What every exchange with a host goes by: whose rights it has, when it must end, and why it may not come to its end.

use super::lock::Key;
use super::password::Password;
use crate::event::Holder;
use crate::redact::Redactor;
use crate::transport::{Chunk, Exit, Output};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// How long ended work may take to be gone before it is named as possibly left over.
pub(super) const GONE_WITHIN: Duration = Duration::from_secs(5);

/// Whose rights an exchange uses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Identity {
    /// The user to become.
    pub user: Option<String>,
}

/// What every exchange of a run needs to know.
#[derive(Clone)]
pub struct Terms {
    /// The password for `sudo`, if the operator gave one.
    pub become_password: Option<Arc<Password>>,
    /// Becomes true when the run shall stop.
    pub stop: watch::Receiver<bool>,
    /// How many shells have said everything and are about to end.
    pub leaving: watch::Sender<usize>,
    /// Everyone on the host may see what is sent, as with `ssh HOST COMMAND`.
    pub public: bool,
    /// What nobody on the host may see.
    pub redactor: Redactor,
    /// The lock that every shell takes first.
    pub lock: Option<Key>,
}

/// Why an exchange did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It certainly did not start.
    NotStarted(String),
    /// There is no usable shell, or no right to use it.
    NoShell(String),
    /// Another run has the host's lock.
    Locked(Box<Holder>),
    /// The host's lock can't be made.
    NoLock(String),
    /// The connection was lost while it ran.
    Lost(String),
    /// Its deadline passed. `left` names the process if it could not be confirmed gone.
    TimedOut {
        /// The process that may be left.
        left: Option<i64>,
    },
    /// The run was stopped.
    Stopped {
        /// The process that may be left.
        left: Option<i64>,
    },
    /// The host has ended it, having heard nothing from here for too long.
    Unheard,
    /// The shell itself ended before the step did.
    ShellEnded(Exit),
}

/// What came next on an output.
pub(super) enum Next {
    Chunk(Option<Chunk>),
    Late,
    Stop,
}

/// Waits for the next piece, for the end of the time, or for the order to stop unless that was heard.
pub(super) async fn next(
    output: &mut dyn Output,
    limit: Option<Instant>,
    stop: &mut watch::Receiver<bool>,
    stopping: bool,
) -> Next {
    let late = async {
        match limit {
            Some(limit) => tokio::time::sleep_until(limit).await,
            None => std::future::pending().await,
        }
    };
    let stopped = async {
        if stopping || stop.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        () = stopped => Next::Stop,
        () = late => Next::Late,
        chunk = output.next() => Next::Chunk(chunk),
    }
}

/// Waits until there is no more time, or the run shall stop.
pub(super) async fn over(limit: Option<Instant>, stop: &mut watch::Receiver<bool>) -> Trouble {
    let late = async {
        match limit {
            Some(limit) => tokio::time::sleep_until(limit).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = late => Trouble::TimedOut { left: None },
        _ = stop.wait_for(|stop| *stop) => Trouble::Stopped { left: None },
    }
}

/// An unread channel would block the whole connection: read what still comes, and forget it.
pub(super) async fn drain(mut output: Box<dyn Output>, mut leave: Leave) {
    let end = Instant::now() + Duration::from_secs(30);
    while let Ok(Some(chunk)) = timeout_at(end, output.next()).await {
        if matches!(chunk, Chunk::Exit(_)) {
            leave.now();
        }
    }
}

/// Counts a shell as leaving until it has left.
pub(super) struct Leave(Option<watch::Sender<usize>>);

impl Leave {
    pub(super) fn new(leaving: &watch::Sender<usize>) -> Self {
        leaving.send_modify(|count| *count += 1);
        Self(Some(leaving.clone()))
    }

    pub(super) fn now(&mut self) {
        if let Some(leaving) = self.0.take() {
            leaving.send_modify(|count| *count -= 1);
        }
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.now();
    }
}
