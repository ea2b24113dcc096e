//! The critical path: of all that happened side by side, what the run had to wait for.

use std::time::{Duration, Instant};

/// A step of the critical path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The play that it belongs to.
    pub play: usize,
    /// The host.
    pub host: String,
    /// The task of the play; none: its connection.
    pub task: Option<usize>,
    /// How long it took.
    pub wall: Duration,
    /// What it took that long for.
    pub spent: Spent,
}

/// What time was spent on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// A connection was being made.
    pub connecting: Duration,
    /// The host had been asked and had not answered.
    pub host: Duration,
    /// Between two tries, as the playbook says.
    pub pause: Duration,
    /// The rest: the controller's own work.
    pub controller: Duration,
}

impl std::ops::AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.connecting += other.connecting;
        self.host += other.host;
        self.pause += other.pause;
        self.controller += other.controller;
    }
}

/// What a host was at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Connection,
    /// A task of a play.
    Task(usize, usize),
}

/// A stretch of a host's time.
#[derive(Debug, Clone)]
pub(super) struct Leg {
    pub(super) what: What,
    pub(super) since: Instant,
    until: Instant,
    pub(super) spent: Spent,
    /// Since when it waits for the next try.
    pub(super) paused: Option<Instant>,
}

impl Leg {
    pub(super) fn new(what: What, since: Instant) -> Self {
        Self {
            what,
            since,
            until: since,
            spent: Spent::default(),
            paused: None,
        }
    }

    pub(super) fn end(mut self, at: Instant) -> Self {
        self.until = at;
        if let Some(paused) = self.paused.take() {
            self.spent.pause += at - paused;
        }
        self
    }

    /// As a step, as far as it lies behind a point in time.
    fn step(&self, host: &str, play: usize, from: Instant) -> Step {
        let wall = self.until - self.since.max(from);
        let mut spent = self.spent;
        if self.what == What::Connection {
            spent.connecting = wall;
        }
        let waited = spent.connecting + spent.host + spent.pause;
        spent.controller = wall.saturating_sub(waited);
        Step {
            play,
            host: host.to_owned(),
            task: match self.what {
                What::Connection => None,
                What::Task(_, index) => Some(index),
            },
            wall,
            spent,
        }
    }
}

/// What took the time between two points at which no host was ahead of another.
///
/// The host that was done last determines when everyone is. If it began late, it had to wait for another: for a free
/// place among the forks, or for hosts before it that could not be reached. Then the last one that was done by then
/// determines how late, and so on back to the beginning.
pub(super) fn walk(
    mut hosts: Vec<(&str, Vec<Leg>)>,
    play: usize,
    from: Instant,
    until: Instant,
) -> Vec<Step> {
    hosts.retain(|(_, legs)| !legs.is_empty());
    let last = |legs: &[Leg]| legs.last().map(|leg| leg.until);
    hosts.sort_by_key(|(_, legs)| last(legs));
    let mut end = until;
    let mut steps = Vec::new();
    while let Some((host, legs)) = hosts.pop() {
        // Of hosts that were still at work then, nobody waited for the end.
        if last(&legs).is_some_and(|last| last > end) {
            continue;
        }
        steps.extend(legs.iter().rev().map(|leg| leg.step(host, play, from)));
        end = legs.first().map_or(from, |leg| leg.since);
        if end <= from {
            break;
        }
    }
    steps.reverse();
    steps
}
