//! Questions to a host, its answers for as long as they hold, and the message whose answers still come.

use super::exchange::{Identity, Trouble};
use super::flight::Flight;
use super::message::{HELD_BACK, Step};
use crate::modules::{Done, Found, Module, Script};
use std::collections::HashMap;

/// What a host has answered, for as long as nothing changes on it.
#[derive(Default)]
pub(super) struct Answers {
    known: HashMap<Question, Found>,
    /// What no longer holds for sure.
    before: HashMap<Question, Found>,
    ran: HashMap<Early, Result<Done, Trouble>>,
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

/// A command that only looks, which may run ahead of its turn once nothing before it calls for a change.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Early {
    /// The task, and the turn of its loop.
    pub turn: (usize, usize),
    pub command: Question,
}

/// What travels in a message beside the task that sends it.
#[derive(Debug, Clone)]
pub(super) enum Aside {
    /// A question, and the pattern of answers that call for no change.
    Ask(Question, Option<String>),
    /// A command.
    Run(Early),
}

impl Question {
    fn step(&self) -> Step {
        Step {
            script: self.script.clone(),
            env: self.env.clone(),
            needed: false,
            live: false,
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
            Aside::Run(early) => Step {
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

    /// Whether the host called for a change when it was last asked.
    pub(super) fn needed_change(&self, question: &Question, module: &dyn Module) -> bool {
        let changes = self.before.get(question).map(|found| module.changes(found));
        changes.is_some_and(|changes| changes.is_ok_and(|changes| !changes.actions.is_empty()))
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
        flight.is_over().then(|| flight.trouble()).flatten()
    }

    /// Takes in the answers that have come.
    pub(super) fn learn(&mut self) {
        let Some(flying) = &mut self.flying else {
            return;
        };
        for done in flying.flight.take(usize::MAX) {
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
                Some(Aside::Run(_)) | None => {}
            }
        }
        // The command whose turn it was may have begun.
        if flying.flight.is_over()
            && let Some(trouble) = flying.flight.trouble()
            && !matches!(trouble, Trouble::NotStarted(_) | Trouble::NoShell(_))
            && let Some(Aside::Run(early)) = flying.asides.next()
        {
            self.ran.insert(early, Err(trouble));
        }
    }
}
