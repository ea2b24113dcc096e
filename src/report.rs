//! What a run came to: a fold over its events, for the recap and the exit code.

use crate::event::{Event, Moment, Status};
use crate::exit;
use crate::timing::Timing;
use std::collections::HashMap;
use std::time::Duration;

/// Every status, in the order in which a recap lists them.
pub const STATUSES: [Status; 10] = [
    Status::Ok,
    Status::Changed,
    Status::Skipped,
    Status::Ignored,
    Status::Failed,
    Status::Unreachable,
    Status::Refused,
    Status::Unknown,
    Status::Guarded,
    Status::Cancelled,
];

/// How many tasks ended in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Counts([u32; STATUSES.len()]);

impl Counts {
    /// How many ended in this way.
    pub fn get(&self, status: Status) -> u32 {
        self.0[status as usize]
    }

    /// Notes one more.
    pub fn add(&mut self, status: Status) {
        self.0[status as usize] += 1;
    }

    /// Notes all of another count.
    pub fn add_all(&mut self, other: &Counts) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }

    /// Whether nothing stands in the way of calling the host as wanted.
    pub fn as_wanted(&self) -> bool {
        !STATUSES
            .iter()
            .any(|status| self.get(*status) > 0 && ends_host(*status))
    }
}

/// Whether a host that ended a task in this way is not as wanted and leaves the play.
pub fn ends_host(status: Status) -> bool {
    match status {
        Status::Ok | Status::Changed | Status::Skipped | Status::Ignored => false,
        Status::Failed
        | Status::Unreachable
        | Status::Refused
        | Status::Unknown
        | Status::Guarded
        | Status::Cancelled => true,
    }
}

/// The status of a loop, of which one turn ended in one way and another in another: the one to worry about more.
pub fn worse(one: Status, other: Status) -> Status {
    let rank = |status| match status {
        Status::Skipped => 0,
        Status::Ok => 1,
        Status::Changed => 2,
        Status::Ignored => 3,
        Status::Cancelled => 4,
        Status::Failed => 5,
        Status::Unreachable => 6,
        Status::Refused => 7,
        Status::Unknown => 8,
        Status::Guarded => 9,
    };
    if rank(other) > rank(one) { other } else { one }
}

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    name: String,
    check: bool,
    hosts: Vec<String>,
    /// Where each host stands in the lists.
    numbers: HashMap<String, usize>,
    tasks: Vec<HashMap<(usize, usize), Status>>,
    lost: HashMap<String, Status>,
    signal: Option<String>,
    locked: bool,
    took: Duration,
    timing: Option<Timing>,
}

impl Report {
    /// The report of a run that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, which also says where the time went.
    pub fn timed() -> Self {
        Self {
            timing: Some(Timing::default()),
            ..Self::default()
        }
    }

    /// Where the time went, if that was asked for.
    pub fn timing(&self) -> Option<&Timing> {
        self.timing.as_ref()
    }

    /// Takes in one event and its time.
    pub fn moment(&mut self, moment: &Moment) {
        if let Some(timing) = &mut self.timing {
            timing.moment(moment);
        }
        self.event(&moment.event);
    }

    /// Takes in one event.
    pub fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted {
                name, hosts, check, ..
            } => {
                self.name.clone_from(name);
                self.check = *check;
                for host in hosts {
                    self.know(host);
                }
            }
            Event::PlayStarted { hosts, .. } => {
                for host in hosts {
                    self.know(host);
                }
            }
            Event::TaskFinished {
                host,
                task,
                outcome,
            } => {
                let tasks = self.know(host);
                let key = (task.play, task.index);
                // The turns of a loop count as one task; an outcome without an item speaks for all of them.
                let status = match (&task.item, tasks.get(&key)) {
                    (Some(_), Some(known)) => worse(*known, outcome.status),
                    _ => outcome.status,
                };
                tasks.insert(key, status);
            }
            Event::HostLost { host, status, .. } => {
                self.know(host);
                self.lost.insert(host.clone(), *status);
            }
            Event::Interrupted { signal } => {
                self.signal.get_or_insert_with(|| signal.clone());
            }
            Event::Locked { waits, .. } => self.locked |= !waits,
            Event::RunFinished { took } => self.took = *took,
            Event::Connecting { .. }
            | Event::Connected { .. }
            | Event::TaskStarted { .. }
            | Event::Transfer { .. }
            | Event::TaskOutput { .. }
            | Event::TaskRetry { .. }
            | Event::Exchanged { .. }
            | Event::Acting { .. }
            | Event::TurnFinished { .. }
            | Event::Barrier { .. }
            | Event::PlayFinished { .. }
            | Event::Warning { .. } => {}
        }
    }

    fn know(&mut self, host: &str) -> &mut HashMap<(usize, usize), Status> {
        let number = match self.numbers.get(host) {
            Some(number) => *number,
            None => {
                self.hosts.push(host.to_owned());
                self.tasks.push(HashMap::new());
                self.numbers.insert(host.to_owned(), self.tasks.len() - 1);
                self.tasks.len() - 1
            }
        };
        &mut self.tasks[number]
    }

    /// What was run.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether changes were only said, not made.
    pub fn check(&self) -> bool {
        self.check
    }

    /// The signal that asked the run to stop, named without `SIG`.
    pub fn signal(&self) -> Option<&str> {
        self.signal.as_deref()
    }

    /// How long the run took; zero before it is over.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// The hosts, in the order of the run.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// The counts of a host. A task that was a loop counts once.
    pub fn counts(&self, host: &str) -> Counts {
        let mut counts = Counts::default();
        let tasks = self.numbers.get(host).map(|number| &self.tasks[*number]);
        for status in tasks.into_iter().flat_map(HashMap::values) {
            counts.add(*status);
        }
        if let Some(status) = self.lost.get(host) {
            counts.add(*status);
        }
        counts
    }

    /// The counts of all hosts together.
    pub fn totals(&self) -> Counts {
        let mut totals = Counts::default();
        for host in &self.hosts {
            totals.add_all(&self.counts(host));
        }
        totals
    }

    /// The hosts for which this status was counted at least once.
    pub fn hosts_with(&self, status: Status) -> Vec<&str> {
        let counted = |host: &&String| self.counts(host).get(status) > 0;
        self.hosts
            .iter()
            .filter(counted)
            .map(String::as_str)
            .collect()
    }

    /// The hosts that are not as wanted: what `--limit @failed` means next time.
    pub fn unfinished(&self) -> Vec<&str> {
        let unfinished = |host: &&String| !self.counts(host).as_wanted();
        self.hosts
            .iter()
            .filter(unfinished)
            .map(String::as_str)
            .collect()
    }

    /// The exit code of the run; see [`crate::exit`].
    pub fn exit_code(&self) -> u8 {
        if let Some(signal) = &self.signal {
            return exit::signal(signal);
        }
        let totals = self.totals();
        if totals.get(Status::Guarded) > 0 {
            return exit::GUARDED;
        }
        // Who tries again later must not overlook what needs a look first.
        let grave = [Status::Failed, Status::Refused, Status::Unknown];
        if self.locked && grave.iter().all(|status| totals.get(*status) == 0) {
            return exit::LOCKED;
        }
        [
            (Status::Failed, exit::FAILED),
            (Status::Unreachable, exit::UNREACHABLE),
            (Status::Refused, exit::REFUSED),
            (Status::Unknown, exit::UNKNOWN),
        ]
        .into_iter()
        .filter(|(status, _)| totals.get(*status) > 0)
        .fold(exit::OK, |code, (_, bit)| code | bit)
    }
}
