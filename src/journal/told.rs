//! A journal read back: what happened, and how far every host has come.

use super::line;
use super::record::{End, Header, Progress, Record, VERSION};
use crate::diagnostic::Problem;
use crate::event::{Event, Outcome, Status, TaskId};
use crate::report::Report;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// A task of a host: the play and the task in it, both from 0.
pub type At = (usize, usize);

/// A run, as its journal tells it.
#[derive(Debug, Clone)]
pub struct Told {
    /// Which run it was.
    pub header: Header,
    /// What was run: a playbook's path, or the words of an ad-hoc command.
    pub name: String,
    /// What happened, and when after the start.
    pub moments: Vec<(Duration, Event)>,
    /// By host: how far each task is that it has begun.
    pub progress: BTreeMap<String, BTreeMap<At, Progress>>,
    /// The host on which a play with `once` has begun.
    pub once: BTreeMap<usize, String>,
    /// What the run came to; nothing if it was ended from outside.
    pub end: Option<End>,
    /// What was heard of it.
    pub report: Report,
    finished: HashSet<usize>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// By itself, or in order after a signal.
    Ended,
    /// It is going on.
    Running,
    /// Something ended it from outside: it was killed, or its machine was.
    Killed,
    /// Nobody knows, since its journal could not be written to the end.
    Partial,
}

/// A run in a few words.
#[derive(Debug, Clone)]
pub struct Brief {
    /// Which run it was.
    pub header: Header,
    /// What was run: a playbook's path, or the words of an ad-hoc command.
    pub name: String,
    /// How many hosts it was for.
    pub hosts: usize,
    /// How it ended.
    pub fate: Fate,
    /// What it came to.
    pub end: Option<End>,
    /// Of a run that was ended from outside: how many tasks may have been done, or not.
    pub unknown: usize,
}

impl Told {
    /// Reads the bytes of a journal. `None`: there is no whole record in it.
    ///
    /// # Errors
    ///
    /// A line of it is damaged, or it was written by a later version of the program. `name` is what the file is called.
    pub fn read(bytes: &[u8], name: &str) -> Result<Option<Self>, Problem> {
        let (lines, _) = line::read_all(bytes).map_err(|line| {
            Problem::new(format!("the journal {name} is damaged in line {line}"))
                .help("remove the file to forget this run; a playbook can be played again without --resume")
        })?;
        let mut lines = lines.into_iter().map(|line| (line.at(), line.record));
        let header = match lines.next() {
            None => return Ok(None),
            Some((_, Record::Run(header))) if header.version == VERSION => *header,
            Some(_) => {
                return Err(Problem::new(format!(
                    "the journal {name} was written by another version of this program"
                )));
            }
        };
        let mut told = Self {
            name: header.playbook.clone(),
            header,
            moments: Vec::new(),
            progress: BTreeMap::new(),
            once: BTreeMap::new(),
            end: None,
            report: Report::new(),
            finished: HashSet::new(),
        };
        lines.for_each(|(at, record)| told.record(at, record));
        Ok(Some(told))
    }

    fn record(&mut self, at: Duration, record: Record) {
        match record {
            Record::Run(_) => {}
            Record::Before {
                host,
                play,
                task,
                progress,
            } => {
                let progress = Progress {
                    carried: true,
                    ..*progress
                };
                let tasks = self.progress.entry(host).or_default();
                tasks.insert((play, task), progress);
            }
            Record::Once { play, host } => {
                self.once.insert(play, host);
            }
            Record::Event(event) => {
                self.report.event(&event);
                self.event(&event);
                self.moments.push((at, event));
            }
            Record::End(end) => self.end = Some(end),
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { name, .. } => self.name.clone_from(name),
            Event::PlayStarted { play, hosts, .. } => {
                let plan = self.header.plan.as_ref();
                let once = plan.and_then(|plan| plan.plays().nth(*play));
                if let (Some((_, true, _)), [host]) = (once, hosts.as_slice()) {
                    self.once.insert(*play, host.clone());
                }
            }
            Event::TaskStarted { host, task } => {
                self.task(host, task).name.clone_from(&task.name);
            }
            Event::Acting {
                host, play, turns, ..
            } => {
                let tasks = self.progress.entry(host.clone()).or_default();
                for (task, turn) in turns {
                    let progress = tasks.entry((*play, *task)).or_default();
                    progress.begun.insert(*turn);
                }
            }
            Event::TurnFinished {
                host,
                task,
                turn,
                result,
            } => {
                let progress = self.task(host, task);
                progress.begun.remove(turn);
                progress.turns.insert(*turn, (**result).clone());
            }
            Event::TaskFinished {
                host,
                task,
                outcome,
            } => self.ended(host, task, outcome),
            Event::PlayFinished { play } => {
                self.finished.insert(*play);
            }
            _ => {}
        }
    }

    fn task(&mut self, host: &str, task: &TaskId) -> &mut Progress {
        let tasks = self.progress.entry(host.to_owned()).or_default();
        tasks.entry((task.play, task.index)).or_default()
    }

    fn ended(&mut self, host: &str, task: &TaskId, outcome: &Outcome) {
        let progress = self.task(host, task);
        // It says only that there was nothing left to do.
        if progress.carried && progress.is_done() {
            return;
        }
        progress.name.clone_from(&task.name);
        progress.place = outcome.place.as_ref().map(ToString::to_string);
        progress.status = Some(outcome.status);
        progress.produced.clone_from(&outcome.produced);
        progress.begun.clear();
        // What would have come behind a failure was held back on the host.
        let held_back = matches!(
            outcome.status,
            Status::Failed | Status::Guarded | Status::Unreachable | Status::Refused
        );
        if held_back && let Some(tasks) = self.progress.get_mut(host) {
            for progress in tasks.values_mut() {
                progress.begun.clear();
            }
        }
    }

    /// How it ended; `running` as the folder says.
    pub fn fate(&self, running: bool) -> Fate {
        match (&self.end, running) {
            (Some(_), _) => Fate::Ended,
            (None, true) => Fate::Running,
            (None, false) => Fate::Killed,
        }
    }

    /// Every task of which it is not known whether it was done.
    pub fn unknown(&self) -> impl Iterator<Item = (&str, At, &Progress)> {
        self.progress.iter().flat_map(|(host, tasks)| {
            let unknown = tasks.iter().filter(|(_, progress)| progress.is_unknown());
            unknown.map(move |(at, progress)| (host.as_str(), *at, progress))
        })
    }

    /// The hosts that the run did not finish: something went wrong there, or was left to do.
    pub fn unfinished(&self) -> Vec<&str> {
        let unknown = self.unknown().map(|(host, ..)| host);
        let open: HashSet<&str> = unknown.chain(self.with_more()).collect();
        let hosts = self.report.hosts().iter().map(String::as_str);
        hosts
            .filter(|host| open.contains(host) || !self.report.counts(host).as_wanted())
            .collect()
    }

    /// The hosts that have not done all of a play that is not over.
    fn with_more(&self) -> Vec<&str> {
        let is_done = |host: &str, at: At| {
            let tasks = self.progress.get(host);
            tasks.is_some_and(|tasks| tasks.get(&at).is_some_and(Progress::is_done))
        };
        let Some(plan) = &self.header.plan else {
            let hosts = self.report.hosts().iter().map(String::as_str);
            let more = hosts.filter(|host| self.end.is_none() && !is_done(host, (0, 0)));
            return more.collect();
        };
        let open = plan.plays().enumerate();
        let open = open.filter(|(play, _)| !self.finished.contains(play));
        open.flat_map(|(play, (hosts, once, tasks))| {
            let chosen = self.once.get(&play).filter(|_| once);
            let left = move |host: &&String| {
                let chosen = chosen.is_none_or(|chosen| chosen == *host);
                chosen && (0..tasks).any(|task| !is_done(host, (play, task)))
            };
            hosts.iter().filter(left).map(String::as_str)
        })
        .collect()
    }

    /// The hosts for which something ended in this way, or may have.
    pub fn hosts_with(&self, status: Status) -> Vec<&str> {
        let mut hosts = self.report.hosts_with(status);
        if status == Status::Unknown {
            for (host, ..) in self.unknown() {
                if !hosts.contains(&host) {
                    hosts.push(host);
                }
            }
        }
        hosts
    }

    /// What has to be told at the end of a run that was ended from outside, so that nothing looks finished that is not.
    pub fn ending(&self) -> Vec<Event> {
        let mut events = Vec::new();
        let say =
            |at: At, progress: &Progress, host: &str, status, message: &str| Event::TaskFinished {
                host: host.to_owned(),
                task: TaskId {
                    play: at.0,
                    index: at.1,
                    name: progress.name.clone(),
                    item: None,
                },
                outcome: Box::new(Outcome {
                    message: message.to_owned(),
                    ..Outcome::new(status, "")
                }),
            };
        for (host, at, progress) in self.unknown() {
            if progress.status.is_none() {
                let message =
                    "the runner was ended while it ran: it may have run to its end, or not";
                events.push(say(at, progress, host, Status::Unknown, message));
            }
        }
        let unknown: HashSet<&str> = self.unknown().map(|(host, ..)| host).collect();
        for host in self.unfinished() {
            if unknown.contains(host) || !self.report.counts(host).as_wanted() {
                continue;
            }
            let begun = self.progress.get(host).and_then(|tasks| {
                let open = tasks.iter().find(|(_, progress)| progress.status.is_none());
                open.map(|(at, progress)| (*at, progress.clone()))
            });
            let (at, progress) = begun.unwrap_or_else(|| {
                let name = "the rest".to_owned();
                let progress = Progress {
                    name,
                    ..Progress::default()
                };
                ((usize::MAX, 0), progress)
            });
            let message = "not finished: the runner was ended";
            events.push(say(at, &progress, host, Status::Cancelled, message));
        }
        let took = self.moments.last().map_or(Duration::ZERO, |(at, _)| *at);
        events.push(Event::RunFinished { took });
        events
    }
}
