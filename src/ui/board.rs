//! Who is busy with what, right now: what the live part of the screen shows.

use super::escape;
use super::words::bytes;
use crate::event::{Event, Status, TaskId, Transfer};
use crate::report::ends_host;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// A host that is busy for less than this does not appear, so that quick tasks do not flicker by.
const NOTICE: Duration = Duration::from_millis(300);
/// A host that is busy for this long takes the place of one that goes from task to task.
const SLOW: Duration = Duration::from_secs(2);

/// The state of a run, as far as it moves.
#[derive(Default)]
pub(super) struct Board {
    /// How many plays the run has.
    count: usize,
    plays: BTreeMap<usize, Bar>,
    busy: HashMap<String, Busy>,
    /// The hosts that are shown, in the order of their lines.
    shown: Vec<String>,
    stopping: bool,
    /// How many times a host has begun something.
    begun: u64,
}

/// A play under way.
pub(super) struct Bar {
    pub(super) name: String,
    tasks: usize,
    /// How many tasks each host has behind it; `usize::MAX` when it left the play.
    behind: HashMap<String, usize>,
    failed: usize,
    pub(super) since: Instant,
}

/// What a host does.
pub(super) struct Busy {
    pub(super) what: String,
    pub(super) since: Instant,
    /// The last line that its task printed, made safe.
    pub(super) line: String,
    /// The file that it sends or gets.
    pub(super) transfer: Option<Transfer>,
    /// Decides between hosts that began at the same time.
    turn: u64,
    /// Set between two tasks.
    idle: Option<Instant>,
}

impl Bar {
    /// Tasks done and tasks in all, on all hosts together.
    pub(super) fn tasks(&self) -> (usize, usize) {
        let done = self.behind.values().map(|behind| *behind.min(&self.tasks));
        (done.sum(), self.behind.len() * self.tasks)
    }

    /// Hosts that are through, hosts that left, and hosts in all.
    pub(super) fn hosts(&self) -> (usize, usize, usize) {
        let through = |behind: &&usize| **behind >= self.tasks;
        let done = self.behind.values().filter(through).count();
        (done - self.failed.min(done), self.failed, self.behind.len())
    }

    fn done(&mut self, host: &str, behind: usize) {
        if let Some(known) = self.behind.get_mut(host) {
            *known = behind.max(*known);
        }
    }
}

impl Board {
    pub(super) fn event(&mut self, event: &Event, now: Instant) {
        match event {
            Event::PlayStarted {
                play,
                name,
                hosts,
                tasks,
            } => {
                let bar = Bar {
                    name: escape::escape_str(name).into_owned(),
                    tasks: *tasks,
                    behind: hosts.iter().map(|host| (host.clone(), 0)).collect(),
                    failed: 0,
                    since: now,
                };
                self.plays.insert(*play, bar);
            }
            Event::Connecting { host } => self.begin(host, "connecting".to_owned(), now),
            Event::Connected { host, .. } => self.end(host, now),
            Event::TaskStarted { host, task } => self.begin(host, title(task), now),
            Event::Transfer { host, transfer } => {
                if let Some(busy) = self.busy.get_mut(host) {
                    busy.line.clear();
                    busy.transfer = Some(*transfer);
                    if transfer.total == Some(transfer.done) {
                        busy.transfer = None;
                        busy.line = format!("{} sent", bytes(transfer.done));
                    }
                }
            }
            Event::TaskOutput { host, line } => {
                if let Some(busy) = self.busy.get_mut(host) {
                    busy.transfer = None;
                    // A progress bar of the host rewrites its line: only its last state counts.
                    let last = line
                        .rsplit(|byte| *byte == b'\r')
                        .find(|part| !part.is_empty());
                    let last = escape::escape(last.unwrap_or_default());
                    if !last.trim().is_empty() {
                        last.trim().clone_into(&mut busy.line);
                    }
                }
            }
            Event::TaskRetry { host, left, .. } => {
                if let Some(busy) = self.busy.get_mut(host) {
                    busy.line = match left {
                        0 => "the last try".to_owned(),
                        1 => "trying again, 1 try left".to_owned(),
                        left => format!("trying again, {left} tries left"),
                    };
                }
            }
            Event::TaskFinished {
                host,
                task,
                outcome,
            } => {
                self.end(host, now);
                let Some(bar) = self.plays.get_mut(&task.play) else {
                    return;
                };
                match (ends_host(outcome.status), &task.item) {
                    (true, _) => bar.leave(host, outcome.status),
                    (false, Some(_)) => {}
                    (false, None) => bar.done(host, task.index + 1),
                }
            }
            Event::HostLost { host, status, .. } => {
                self.busy.remove(host);
                for bar in self.plays.values_mut() {
                    bar.leave(host, *status);
                }
            }
            Event::PlayFinished { play } => {
                self.plays.remove(play);
            }
            Event::Interrupted { .. } => self.stopping = true,
            Event::RunFinished { .. } => {
                self.plays.clear();
                self.busy.clear();
            }
            Event::RunStarted { plays, .. } => self.count = *plays,
            Event::Exchanged { .. }
            | Event::Acting { .. }
            | Event::TurnFinished { .. }
            | Event::Barrier { .. }
            | Event::Locked { .. }
            | Event::Warning { .. } => {}
        }
    }

    fn begin(&mut self, host: &str, what: String, now: Instant) {
        self.begun += 1;
        let busy = Busy {
            turn: self.begun,
            what,
            since: now,
            line: String::new(),
            transfer: None,
            idle: None,
        };
        self.busy.insert(host.to_owned(), busy);
    }

    fn end(&mut self, host: &str, now: Instant) {
        if let Some(busy) = self.busy.get_mut(host) {
            busy.idle = Some(now);
        }
    }

    /// The files that are on their way, each with its host.
    pub(super) fn transfers(&self) -> impl Iterator<Item = Transfer> {
        let working = self.busy.values().filter(|busy| busy.idle.is_none());
        working.filter_map(|busy| busy.transfer)
    }

    /// The plays under way, and which of several each is: `play 3 of 9`.
    pub(super) fn bars(&self) -> impl Iterator<Item = (String, &Bar)> {
        self.plays.iter().map(|(index, bar)| {
            let place = match self.count {
                0 | 1 => String::new(),
                count => format!("play {} of {count}", index + 1),
            };
            (place, bar)
        })
    }

    /// Whether the run was asked to stop.
    pub(super) fn stopping(&self) -> bool {
        self.stopping
    }

    /// The hosts to show, at most `room`, and how many more are busy.
    ///
    /// The longest running come first into view, and a host keeps its line while it goes from task to task, so that lines
    /// stand still long enough to be read.
    pub(super) fn busy(&mut self, room: usize, now: Instant) -> (Vec<(&str, &Busy)>, usize) {
        self.busy
            .retain(|_, busy| busy.idle.is_none_or(|idle| now - idle < NOTICE));
        let Self { busy, shown, .. } = self;
        shown.retain(|host| busy.contains_key(host));
        shown.truncate(room);
        let running = |host: &String| {
            busy.get(host)
                .map_or(Duration::ZERO, |busy| now - busy.since)
        };
        let mut waiting: Vec<(&String, &Busy)> = busy
            .iter()
            .filter(|(host, busy)| {
                busy.idle.is_none() && now - busy.since >= NOTICE && !shown.contains(host)
            })
            .collect();
        waiting.sort_by_key(|(_, busy)| (busy.since, busy.turn));
        for (host, _) in waiting {
            if shown.len() < room {
                shown.push(host.clone());
                continue;
            }
            let quickest = shown.iter_mut().min_by_key(|host| running(host));
            match quickest {
                Some(quick) if running(host) >= SLOW && running(quick) < SLOW / 2 => {
                    *quick = host.clone();
                }
                _ => break,
            }
        }
        let lines: Vec<_> = shown
            .iter()
            .filter_map(|host| busy.get(host).map(|busy| (host.as_str(), busy)))
            .collect();
        let all = busy.values().filter(|busy| busy.idle.is_none()).count();
        let active = lines.iter().filter(|(_, busy)| busy.idle.is_none()).count();
        (lines, all - active)
    }
}

impl Bar {
    fn leave(&mut self, host: &str, status: Status) {
        let Some(behind) = self.behind.get_mut(host) else {
            return;
        };
        let left = std::mem::replace(behind, usize::MAX) == usize::MAX;
        if status != Status::Cancelled && !left {
            self.failed += 1;
        }
    }
}

fn title(task: &TaskId) -> String {
    let name = escape::escape_str(&task.name);
    match &task.item {
        Some(item) => format!("{name} ({})", escape::escape_str(item)),
        None => name.into_owned(),
    }
}
