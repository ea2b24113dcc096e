//! Questions to a host, its answers for as long as they hold, and the message whose answers still come.

use super::exchange::{Identity, Trouble};
use super::flight::Flight;
use super::message::{HELD_BACK, Step};
use crate::modules::{Done, Found, Module, Script};
use crate::shell::quote;
use std::collections::HashMap;

/// Longer answers are not compared on the host, in bytes.
const SHORT: usize = 4096;

/// What a host has answered, for as long as nothing changes on it.
#[derive(Default)]
pub(super) struct Answers {
    known: HashMap<Question, Found>,
    /// What no longer holds for sure.
    before: HashMap<Question, Found>,
    ran: HashMap<Early, Result<Done, Trouble>>,
    outdated: bool,
    pub(super) flying: Option<Flying>,
}

/// A message on its way, and what travels in it behind the steps of the task that sent it.
pub(super) struct Flying {
    pub(super) flight: Flight,
    pub(super) identity: Identity,
    asides: std::vec::IntoIter<Aside>,
}

/// A question is known by what it asks, so an answer can never serve another question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub identity: Identity,
    pub env: Vec<(String, String)>,
    pub script: Script,
}

/// A command that may run ahead of its turn, once everything before it has gone as foreseen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Early {
    /// The task, and the turn of its loop.
    pub turn: (usize, usize),
    pub command: Question,
}

/// What travels in a message beside the task that sends it.
#[derive(Debug, Clone)]
pub(super) enum Aside {
    /// A question, and the pattern of answers with which what follows may go on: those that call for no change, or the
    /// one for which the change behind it is meant.
    Ask(Question, Option<String>),
    /// A command that only looks.
    Run(Early),
    /// A change.
    Act(Early),
}

impl Question {
    fn step(&self) -> Step {
        Step {
            script: self.script.clone(),
            env: self.env.clone(),
            needed: false,
            live: false,
            spills: false,
            settled: None,
            guarded: false,
        }
    }
}

impl Aside {
    pub(super) fn step(&self) -> Step {
        match self {
            Aside::Ask(question, settled) => Step {
                settled: settled.clone(),
                ..question.step()
            },
            Aside::Run(early) | Aside::Act(early) => Step {
                live: true,
                guarded: true,
                ..early.command.step()
            },
        }
    }
}

impl Answers {
    pub(super) fn get(&self, question: &Question) -> Option<&Found> {
        self.known.get(question)
    }

    /// Whether the answer is known and calls for no change.
    pub(super) fn is_settled(&self, question: &Question, module: &dyn Module) -> Option<bool> {
        let found = self.get(question)?;
        let settled = |changes: crate::modules::Changes| changes.actions.is_empty();
        Some(module.changes(found).is_ok_and(settled))
    }

    /// What came of a command that ran ahead of its turn.
    pub(super) fn take_early(&mut self, early: &Early) -> Option<Result<Done, Trouble>> {
        self.ran.remove(early)
    }

    /// Something changed: everything has to be asked again.
    pub(super) fn forget(&mut self) {
        self.before.extend(self.known.drain());
        self.ran.clear();
    }

    /// The host was away, and others may have worked on it: everything has to be asked again. Whether what was about to be done, if
    /// anything, followed from an answer: then it must not be done.
    pub(super) fn outdate(&mut self, acts: bool) -> bool {
        self.flying = None;
        self.forget();
        self.outdated = acts && !self.before.is_empty();
        self.outdated
    }

    /// Whether the last decision was made on answers that hold no longer, which is told once.
    pub(super) fn take_outdated(&mut self) -> bool {
        std::mem::take(&mut self.outdated)
    }

    /// Notes a message that is on its way.
    pub(super) fn fly(&mut self, flight: Flight, identity: &Identity, asides: Vec<Aside>) {
        self.flying = Some(Flying {
            flight,
            identity: identity.clone(),
            asides: asides.into_iter(),
        });
    }

    /// How many more answers have to come from the message on its way until this one is there.
    pub(super) fn distance(&self, wanted: &dyn Fn(&Aside) -> bool) -> Option<usize> {
        let asides = self.flying.as_ref()?.asides.as_slice();
        Some(asides.iter().position(wanted)? + 1)
    }

    /// Why the message on its way has come to its end too early.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        let flight = &self.flying.as_ref()?.flight;
        flight.is_exhausted().then(|| flight.trouble()).flatten()
    }

    /// Whether a change is on its way of which nothing has been heard.
    pub(super) fn may_have_acted(&self) -> bool {
        let asides = self
            .flying
            .iter()
            .flat_map(|flying| flying.asides.as_slice());
        asides
            .into_iter()
            .any(|aside| matches!(aside, Aside::Act(_)))
    }

    /// Whether a task of the play has run ahead of its turn, or may yet.
    pub(super) fn has_early(&self, task: usize) -> bool {
        let asides = self
            .flying
            .iter()
            .flat_map(|flying| flying.asides.as_slice());
        let flying = asides.filter_map(|aside| match aside {
            Aside::Run(early) | Aside::Act(early) => Some(early),
            Aside::Ask(..) => None,
        });
        flying
            .chain(self.ran.keys())
            .any(|early| early.turn.0 == task)
    }

    /// The pattern of the answer that a question had before, for a change that is meant for just this answer.
    pub(super) fn same_as_before(&self, question: &Question) -> Option<String> {
        let found = self.before.get(question)?;
        let text = std::str::from_utf8(&found.stdout).ok()?;
        let plain = found.code == 0 && found.stderr.is_empty() && text.len() <= SHORT;
        plain.then(|| quote(text.trim_end_matches('\n')))
    }

    /// What a question was answered before.
    pub(super) fn before(&self, question: &Question) -> Option<&Found> {
        self.before.get(question)
    }

    /// Takes in the answers that have come, but no more than `most`: what a change makes worthless is needed before it.
    pub(super) fn learn(&mut self, most: usize) {
        let Some(flying) = &mut self.flying else {
            return;
        };
        for done in flying.flight.take(most) {
            match flying.asides.next() {
                Some(Aside::Ask(question, _)) => {
                    let found = Found {
                        code: done.code,
                        stdout: done.stdout,
                        stderr: done.stderr,
                    };
                    self.known.insert(question, found);
                }
                Some(Aside::Run(early)) if i64::from(done.code) != HELD_BACK => {
                    self.ran.insert(early, Ok(done));
                }
                Some(Aside::Act(early)) if i64::from(done.code) != HELD_BACK => {
                    self.before.extend(self.known.drain());
                    self.ran.insert(early, Ok(done));
                }
                Some(Aside::Run(_) | Aside::Act(_)) | None => {}
            }
        }
        // The command whose turn it was may have begun.
        if flying.flight.is_exhausted()
            && let Some(trouble) = flying.flight.trouble()
            && !matches!(trouble, Trouble::NotStarted(_) | Trouble::NoShell(_))
            && let Some(Aside::Run(early) | Aside::Act(early)) = flying.asides.next()
        {
            self.ran.insert(early, Err(trouble));
        }
    }
}
