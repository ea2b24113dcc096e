//! Questions to a host, and its answers for as long as they hold.

use super::exchange::Identity;
use super::message::Step;
use crate::modules::{Done, Found, Script};
use std::collections::HashMap;

/// What a host has answered, for as long as nothing changes on it.
#[derive(Default)]
pub(super) struct Answers(HashMap<Question, Found>);

/// A question is known by what it asks, so an answer can never serve another question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub identity: Identity,
    pub env: Vec<(String, String)>,
    pub script: String,
}

impl Question {
    pub(super) fn step(&self) -> Step {
        Step {
            script: Script::new(self.script.clone()),
            env: self.env.clone(),
            needed: false,
            live: false,
        }
    }
}

impl Answers {
    pub(super) fn get(&self, question: &Question) -> Option<&Found> {
        self.0.get(question)
    }

    /// Something changed: everything has to be asked again.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }

    pub(super) fn learn(&mut self, questions: &[Question], answers: &[Done]) {
        for (question, done) in questions.iter().zip(answers) {
            let found = Found {
                code: done.code,
                stdout: done.stdout.clone(),
                stderr: done.stderr.clone(),
            };
            self.0.insert(question.clone(), found);
        }
    }
}
