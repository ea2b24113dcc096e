//! What goes wrong in a run, by chance.

use crate::support::proxy::{At, Chance, Fault, Rule, Way};
use std::time::Duration;

/// How far into a connection a fault can strike, in bytes: a play without faults moves about as much in each direction.
const REACH: u64 = 14_000;

/// What happens to the runner itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    /// It is asked to stop.
    Signal(&'static str),
    /// It is killed.
    Kill,
}

/// What goes wrong in one run.
#[derive(Debug)]
pub struct Schedule {
    /// For each host what its next connections suffer.
    pub rules: Vec<Vec<Rule>>,
    /// A blow to the runner, this long after its start.
    pub blow: Option<(Duration, Blow)>,
    /// Connections are kept for the next run; so they are several times in a row.
    pub kept: bool,
    /// Tasks are done as an ad-hoc command and not as a play.
    pub adhoc: bool,
}

impl Schedule {
    /// The schedule of a run; the same for the same numbers.
    pub fn new(seed: u64, run: u64, hosts: usize) -> Self {
        let mut chance = Chance(seed.wrapping_mul(1 << 32).wrapping_add(run));
        let rules = (0..hosts).map(|_| rules(&mut chance)).collect();
        let blow = (chance.below(8) == 0).then(|| {
            let after = Duration::from_millis(chance.below(1500));
            let blow = match chance.below(5) {
                0 => Blow::Signal("INT"),
                1 => Blow::Signal("TERM"),
                2 => Blow::Signal("HUP"),
                _ => Blow::Kill,
            };
            (after, blow)
        });
        Self {
            rules,
            blow,
            kept: (run / 8).is_multiple_of(4),
            adhoc: chance.below(6) == 0,
        }
    }
}

/// Two of three connections are sound.
fn rules(chance: &mut Chance) -> Vec<Rule> {
    if chance.below(3) > 0 {
        return Vec::new();
    }
    let mut rule = chance.rule(REACH);
    // Silence takes a deadline to be noticed, so it is rarer than the rest.
    if rule.fault == Fault::Stall && chance.below(8) > 0 {
        rule.fault = Fault::Reset;
    }
    // Often where it hurts most: when a command is on its way, or its answer.
    if chance.below(2) == 0 {
        let message = 8 + chance.below(14);
        rule.at = At::Message(message);
    }
    if rule.way == Way::ToServer
        && let Fault::Slice(size, _) = rule.fault
    {
        // A byte at a time would take a minute to pass on what lies in the link when its end comes.
        rule.fault = Fault::Slice(16 + size, Duration::from_micros(200));
    }
    vec![rule]
}
