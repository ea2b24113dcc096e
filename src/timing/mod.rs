//! Where the time of a run went: a fold over its events.
//!
//! It answers three questions: how long each play and task took, on how many hosts and with what traffic; what each
//! host did; and what the run as a whole waited for, which is its critical path. Hosts work side by side, so the times of
//! tasks and hosts don't add up to that of the run; the steps of the critical path do.

mod path;

use crate::event::{Event, Moment, TaskId, Traffic, common_name};
use path::{Leg, What};
pub use path::{Spent, Step};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// Where the time of a run went.
#[derive(Debug, Clone, Default)]
pub struct Timing {
    took: Duration,
    hosts: Vec<HostTime>,
    known: HashMap<String, usize>,
    plays: BTreeMap<usize, PlayTime>,
    /// The last point at which no host was ahead of another: from here on the path is not known yet.
    mark: Option<Instant>,
    path: Vec<Step>,
}

/// What a host did.
#[derive(Debug, Clone, Default)]
pub struct HostTime {
    /// Its name.
    pub name: String,
    /// Making connections to it, also such that did not come about.
    pub connecting: Duration,
    /// In tasks and connecting.
    pub busy: Duration,
    /// What went there and back.
    pub traffic: Traffic,
    /// The connection that is being made.
    dialing: Option<Instant>,
    /// The task that it is at.
    at: Option<Leg>,
    /// What it has done since the last mark.
    legs: Vec<Leg>,
}

/// What a play took.
#[derive(Debug, Clone, Default)]
pub struct PlayTime {
    /// Its name.
    pub name: String,
    /// How many hosts began it.
    pub hosts: usize,
    /// From its beginning to its end.
    pub wall: Duration,
    /// What its tasks sent and received.
    pub traffic: Traffic,
    tasks: BTreeMap<usize, TaskTime>,
    begun: Option<Instant>,
}

/// What a task took.
#[derive(Debug, Clone, Default)]
pub struct TaskTime {
    /// Its name; what its names on several hosts have in common.
    pub name: String,
    /// What it sent and received. Its question may have been answered in the exchange of an earlier task.
    pub traffic: Traffic,
    /// When the first host began, and when the last was done.
    span: Option<(Instant, Instant)>,
    /// How long each host took, by its number.
    took: Vec<(Duration, usize)>,
}

impl PlayTime {
    /// Its tasks in their order, handlers behind.
    pub fn tasks(&self) -> impl Iterator<Item = (usize, &TaskTime)> {
        self.tasks.iter().map(|(index, task)| (*index, task))
    }
}

impl TaskTime {
    /// On how many hosts it ran, or was looked at.
    pub fn hosts(&self) -> usize {
        self.took.len()
    }

    /// From the first host's beginning to the last host's end.
    pub fn wall(&self) -> Duration {
        self.span.map_or(Duration::ZERO, |(from, to)| to - from)
    }

    /// How long it took on the host in the middle.
    pub fn median(&self) -> Duration {
        let mut took: Vec<Duration> = self.took.iter().map(|(took, _)| *took).collect();
        let middle = took.len() / 2;
        match took.len() {
            0 => Duration::ZERO,
            _ => *took.select_nth_unstable(middle).1,
        }
    }
}

impl Timing {
    /// How long the run took.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// The plays that began, with their numbers.
    pub fn plays(&self) -> impl Iterator<Item = (usize, &PlayTime)> {
        self.plays.iter().map(|(index, play)| (*index, play))
    }

    /// The hosts, in the order of the run.
    pub fn hosts(&self) -> &[HostTime] {
        &self.hosts
    }

    /// The host that took longest for a task, and how long.
    pub fn slowest(&self, task: &TaskTime) -> (Duration, &str) {
        // Of equals the first, as elsewhere.
        let slowest = task.took.iter().rev().max_by_key(|(took, _)| *took);
        let (took, host) = slowest.copied().unwrap_or_default();
        let name = self.hosts.get(host).map_or("", |host| host.name.as_str());
        (took, name)
    }

    /// What the run waited for, in the order in which it happened: at each point the host that was done last.
    pub fn path(&self) -> &[Step] {
        &self.path
    }

    /// What the path's steps come to. What is missing of the run's time went by between them.
    pub fn spent(&self) -> Spent {
        let mut all = Spent::default();
        for step in &self.path {
            all += step.spent;
        }
        let waited = all.connecting + all.host + all.pause;
        all.controller = self.took.saturating_sub(waited);
        all
    }

    /// Takes in one event.
    pub fn moment(&mut self, moment: &Moment) {
        let at = moment.at;
        match &moment.event {
            Event::RunStarted { hosts, .. } => {
                self.mark = Some(at);
                for host in hosts {
                    self.host(host);
                }
            }
            Event::PlayStarted {
                play, name, hosts, ..
            } => {
                let known = self.plays.entry(*play).or_default();
                known.name.clone_from(name);
                known.hosts = hosts.len();
                known.begun = Some(at);
            }
            Event::Connecting { host } => self.host(host).dialing = Some(at),
            Event::Connected { host, .. } | Event::HostLost { host, .. } => self.dialed(host, at),
            Event::TaskStarted { host, task } => {
                let what = What::Task(task.play, task.index);
                self.host(host).at = Some(Leg::new(what, at));
            }
            Event::Exchanged {
                host,
                took,
                traffic,
            } => self.exchanged(host, *took, *traffic, at),
            Event::TaskRetry { host, .. } => {
                if let Some(leg) = &mut self.host(host).at {
                    leg.paused = Some(at);
                }
            }
            // The turns of a loop are parts of their task.
            Event::TaskFinished { host, task, .. } if task.item.is_none() => {
                self.finished(host, task, at);
            }
            Event::Barrier { play } => self.barrier(*play, at),
            Event::PlayFinished { play } => {
                self.barrier(*play, at);
                if let Some(play) = self.plays.get_mut(play) {
                    play.wall = play.begun.map_or(Duration::ZERO, |begun| at - begun);
                }
            }
            Event::RunFinished { took } => self.took = *took,
            Event::TaskFinished { .. }
            | Event::Acting { .. }
            | Event::TurnFinished { .. }
            | Event::Transfer { .. }
            | Event::TaskOutput { .. }
            | Event::Locked { .. }
            | Event::Warning { .. }
            | Event::Interrupted { .. } => {}
        }
    }

    fn host(&mut self, name: &str) -> &mut HostTime {
        let number = self.number(name);
        &mut self.hosts[number]
    }

    fn number(&mut self, name: &str) -> usize {
        if let Some(number) = self.known.get(name) {
            return *number;
        }
        let number = self.hosts.len();
        self.known.insert(name.to_owned(), number);
        self.hosts.push(HostTime {
            name: name.to_owned(),
            ..HostTime::default()
        });
        number
    }

    /// A connection stands, or did not come about.
    fn dialed(&mut self, host: &str, at: Instant) {
        let host = self.host(host);
        let Some(since) = host.dialing.take() else {
            return;
        };
        host.connecting += at - since;
        match &mut host.at {
            // In the middle of a task: the connection was lost and is made anew.
            Some(leg) => leg.spent.connecting += at - since,
            None => {
                host.busy += at - since;
                let mut leg = Leg::new(What::Connection, since);
                leg.spent.connecting = at - since;
                host.legs.push(leg.end(at));
            }
        }
    }

    fn exchanged(&mut self, host: &str, took: Duration, traffic: Traffic, at: Instant) {
        let host = self.host(host);
        host.traffic += traffic;
        let Some(leg) = &mut host.at else { return };
        let began = at - took;
        if let Some(paused) = leg.paused.take() {
            leg.spent.pause += began.saturating_duration_since(paused);
        }
        leg.spent.host += took;
        if let What::Task(play, index) = leg.what {
            let play = self.plays.entry(play).or_default();
            play.traffic += traffic;
            play.tasks.entry(index).or_default().traffic += traffic;
        }
    }

    fn finished(&mut self, host: &str, task: &TaskId, at: Instant) {
        let what = What::Task(task.play, task.index);
        let number = self.number(host);
        let host = &mut self.hosts[number];
        // A task that was not for this host never began.
        let leg = host.at.take().unwrap_or_else(|| Leg::new(what, at));
        let took = at - leg.since;
        host.busy += took;
        let since = leg.since;
        host.legs.push(leg.end(at));
        let play = self.plays.entry(task.play).or_default();
        let known = play.tasks.entry(task.index).or_default();
        known.name = match known.took.is_empty() {
            true => task.name.clone(),
            false if known.name == task.name => std::mem::take(&mut known.name),
            false => common_name(&known.name, &task.name),
        };
        known.took.push((took, number));
        let (from, to) = known.span.unwrap_or((since, at));
        known.span = Some((from.min(since), to.max(at)));
    }

    /// From the last mark to here the run took as long as the host that was done last.
    fn barrier(&mut self, play: usize, at: Instant) {
        let legs = self.hosts.iter_mut().map(|host| {
            let legs = std::mem::take(&mut host.legs);
            (host.name.as_str(), legs)
        });
        let from = self.mark.unwrap_or(at);
        self.path.extend(path::walk(legs.collect(), play, from, at));
        self.mark = Some(at);
    }
}

#[cfg(test)]
mod tests;
