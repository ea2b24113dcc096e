//! What happened, as data: the seam between the engine and the screen.
//!
//! The engine sends these in the order in which things happened; a renderer folds them into bars, lines or JSON.
//! Nothing here is formatted, and what a host printed is kept byte for byte.

mod stored;

use crate::diagnostic::Place;
use crate::modules::Diff;
use crate::run_id::RunId;
use crate::spool::Rests;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// At most this much of a line is shown while a task runs, in bytes.
pub const SHOWN_LINE: usize = 1024;

/// An event and the moment in which it happened: the screen may hear of it later.
#[derive(Debug, Clone)]
pub struct Moment {
    /// When.
    pub at: Instant,
    /// What.
    pub event: Event,
}

impl From<Event> for Moment {
    /// Happens now.
    fn from(event: Event) -> Self {
        let at = Instant::now();
        Self { at, event }
    }
}

/// One thing that happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The run begins.
    RunStarted {
        /// What the run is called.
        id: RunId,
        /// What is run: a playbook's path, or the words of an ad-hoc command.
        name: String,
        /// Every host that a play of the run is for.
        hosts: Vec<String>,
        /// How many plays will run. One whose hosts have all left the run by then is counted, too.
        plays: usize,
        /// Nothing is changed, only said.
        check: bool,
    },
    /// A play begins.
    PlayStarted {
        /// Counts from 0.
        play: usize,
        /// Its name.
        name: String,
        /// Its hosts that are still in the run.
        hosts: Vec<String>,
        /// How many tasks each host will go through, handlers not counted.
        tasks: usize,
    },
    /// A connection is being made.
    Connecting {
        /// The host.
        host: String,
    },
    /// A connection stands.
    Connected {
        /// The host.
        host: String,
        /// How long it took.
        took: Duration,
    },
    /// A host begins a task.
    TaskStarted {
        /// The host.
        host: String,
        /// The task.
        task: TaskId,
    },
    /// A message that may change something is about to go to a host. It is not sent before the last copy of the receipt
    /// is dropped, so whoever keeps a journal can write this down first. Sent only where the run was asked to wait.
    Acting {
        /// The host.
        host: String,
        /// The play, from 0.
        play: usize,
        /// The tasks that it may begin, each with the turn of its loop, from 0: the host's task, and changes that travel
        /// along ahead of their turn.
        turns: Vec<(usize, usize)>,
        /// Dropped by everyone who need not hear of it before it happens.
        #[serde(skip)]
        receipt: Receipt,
    },
    /// A host is done with one turn of a task's loop. The task is finished when all are.
    TurnFinished {
        /// The host.
        host: String,
        /// The task, with its item in words.
        task: TaskId,
        /// The turn, from 0.
        turn: usize,
        /// How it went.
        result: Box<TurnResult>,
    },
    /// One or more messages went to a host, and what came of them is known.
    ///
    /// It belongs to the task that the host is at. Questions travel ahead of the tasks that need them, so a task may find
    /// its answer in the exchange of an earlier one and need none of its own.
    Exchanged {
        /// The host.
        host: String,
        /// From the first message to the last answer.
        took: Duration,
        /// What went there and back.
        traffic: Traffic,
    },
    /// A file is on its way between this machine and a host; some times a second.
    Transfer {
        /// The host.
        host: String,
        /// How far it is.
        transfer: Transfer,
    },
    /// The last whole line that a running task printed, at most some times a second, and only if the one before it of that
    /// host has been shown: a terminal that stands still costs no memory.
    #[serde(skip)]
    TaskOutput {
        /// The host.
        host: String,
        /// The line, without its end, cut where it is longer than a screen is wide.
        line: Arc<[u8]>,
    },
    /// A task will be tried again, since its `until` does not hold yet.
    TaskRetry {
        /// The host.
        host: String,
        /// The task.
        task: TaskId,
        /// Tries left.
        left: u32,
    },
    /// A host is done with a task.
    TaskFinished {
        /// The host.
        host: String,
        /// The task.
        task: TaskId,
        /// How it went. Boxed, since it is by far the largest part of any event.
        outcome: Box<Outcome>,
    },
    /// A host leaves the run outside of a task: there is no connection.
    HostLost {
        /// The host.
        host: String,
        /// `Unreachable` or `Refused`.
        status: Status,
        /// The cause in one line.
        message: String,
        /// The way out, a line each.
        help: Vec<String>,
    },
    /// Every host at work has come as far as the play lets it go alone. None waits from here on.
    Barrier {
        /// The play, from 0.
        play: usize,
    },
    /// A play is over.
    PlayFinished {
        /// Counts from 0.
        play: usize,
    },
    /// Another run works on these hosts, or has left its lock behind there.
    Locked {
        /// Whose lock it is.
        holder: Holder,
        /// The hosts, in the order of the run.
        hosts: Vec<String>,
        /// This run waits for it. Else it ends, and begins nothing more.
        waits: bool,
    },
    /// Something that the operator should know and that is no failure.
    Warning {
        /// In one line.
        message: String,
    },
    /// The run was asked to stop by a signal.
    Interrupted {
        /// The signal, named without `SIG`.
        signal: String,
    },
    /// The run is over.
    RunFinished {
        /// How long it took.
        took: Duration,
    },
}

/// Held by those who have to write something down before it happens.
#[derive(Debug, Clone, Default)]
pub struct Receipt(
    #[allow(dead_code, reason = "to be dropped is its use")] Option<Arc<oneshot::Sender<()>>>,
);

impl Receipt {
    /// A receipt, and what is told once every copy of it is dropped.
    pub fn new() -> (Self, oneshot::Receiver<()>) {
        let (held, dropped) = oneshot::channel();
        (Self(Some(Arc::new(held))), dropped)
    }
}

/// How one turn of a loop went, as far as the rest of the loop has to know it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TurnResult {
    /// In a word.
    pub status: Status,
    /// Why, in one line.
    pub message: String,
    /// The item. `None`: withheld.
    pub item: Option<Value>,
    /// What it contributes to the registered value, and the variables that it sets. `None`: withheld.
    pub value: Option<(Value, Map<String, Value>)>,
}

/// Who holds a host's lock, as the host tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The run's name.
    pub run: String,
    /// The user and the machine that it was started by and on: `ann@desk`.
    pub by: String,
    /// What it plays. Empty where that can't be read.
    pub what: String,
    /// When it has begun: `2026-02-03 04:05:06 UTC`.
    pub since: String,
    /// The process on the host that holds the lock.
    pub process: i64,
    /// The user on the host that the lock belongs to.
    pub owner: String,
    /// There is no such process any more: the lock was left behind.
    pub gone: bool,
}

/// What went to a host and came back, counted inside of the encryption.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Messages that were sent, each with its answer: scripts, and files that travel alone.
    pub exchanges: u64,
    /// Bytes that went there.
    pub sent: u64,
    /// Bytes that came back.
    pub received: u64,
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.exchanges += other.exchanges;
        self.sent += other.sent;
        self.received += other.received;
    }
}

/// How far a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Bytes of the file that were sent, counting what was there from before, or that have arrived here.
    pub done: u64,
    /// The size of the file, where it is known.
    pub total: Option<u64>,
    /// Bytes of the file a second, lately.
    pub rate: u64,
    /// It travels compressed.
    pub compressed: bool,
}

/// Which task of which play.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TaskId {
    /// The play, from 0.
    pub play: usize,
    /// The task in the play, from 0; handlers count on behind the tasks.
    pub index: usize,
    /// Its name, as rendered for the host.
    pub name: String,
    /// The item of a loop, for one turn of it.
    pub item: Option<String>,
}

/// What two names of one task have in common: `label …` for `label zk1` and `label zk2`.
pub fn common_name(one: &str, other: &str) -> String {
    if one == other {
        return one.to_owned();
    }
    let same = |a: &[char], b: &[char]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let mut one: Vec<char> = one.chars().collect();
    let mut other: Vec<char> = other.chars().collect();
    let head: String = one.drain(..same(&one, &other)).collect();
    other.drain(..head.chars().count());
    one.reverse();
    other.reverse();
    let mut tail: Vec<char> = one.drain(..same(&one, &other)).collect();
    tail.reverse();
    let tail: String = tail.into_iter().collect();
    format!(
        "{}…{}",
        head.trim_end_matches('…'),
        tail.trim_start_matches('…')
    )
}

/// How a task went on a host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// In a word.
    pub status: Status,
    /// The name of the module.
    pub module: Cow<'static, str>,
    /// Why it changed, failed or was skipped, in one line.
    pub message: String,
    /// The way out of a failure, a line each.
    pub help: Vec<String>,
    /// What the module shows on purpose (`debug`), and what is shown for ad-hoc commands.
    pub shown: Option<String>,
    /// The change as text, when `--diff` was given.
    pub diff: Option<Diff>,
    /// The command that it ran for the operator. Empty under `no_log`.
    pub command: Option<String>,
    /// The exit code of the command that decided.
    pub code: Option<i32>,
    /// What it printed. Empty under `no_log`.
    #[serde(with = "stored::bytes")]
    pub stdout: Vec<u8>,
    /// What it complained about. Empty under `no_log`.
    #[serde(with = "stored::bytes")]
    pub stderr: Vec<u8>,
    /// What follows both, where the output is the result and larger than what memory is for.
    #[serde(default, skip_serializing_if = "Rests::is_empty")]
    pub rest: Rests,
    /// How many bytes of both are missing, since it said more than is kept.
    pub dropped: u64,
    /// Where the task stands in the playbook.
    #[serde(with = "stored::place")]
    pub place: Option<Place>,
    /// The module's registered keys. Empty under `no_log`.
    pub result: Map<String, Value>,
    /// The variables that it has registered or set for later tasks. Not for the screen: without its value where it
    /// holds secrets, as under `no_log`.
    pub produced: Vec<(String, Option<Value>)>,
    /// How long it took on this host.
    pub took: Duration,
}

impl Outcome {
    /// An outcome of which nothing else is known.
    pub fn new(status: Status, module: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            module: module.into(),
            message: String::new(),
            help: Vec::new(),
            shown: None,
            diff: None,
            command: None,
            code: None,
            stdout: Vec::new(),
            stderr: Vec::new(),
            rest: Rests::default(),
            dropped: 0,
            place: None,
            result: Map::new(),
            produced: Vec::new(),
            took: Duration::ZERO,
        }
    }

    /// How many bytes of what it said can't be shown any more.
    pub fn missing(&self) -> u64 {
        self.dropped + self.rest.gone()
    }
}

/// The outcome of a task, or of a host, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The host was as wanted already.
    Ok,
    /// It was changed, or under `--check` would be.
    Changed,
    /// Its condition did not hold, or `--check` cannot run it.
    Skipped,
    /// It failed, and the play says that this does not matter.
    Ignored,
    /// It failed.
    Failed,
    /// The host could not be reached, and nothing was started there.
    Unreachable,
    /// The host's identity was refused.
    Refused,
    /// The connection was lost while a command ran: it may have run to its end, or not.
    Unknown,
    /// A safety guard refused to do it.
    Guarded,
    /// It was stopped by the operator, or by another host's failure.
    Cancelled,
}
