//! Looking ahead: what can be asked early, and what can run in the same message.
//!
//! A command that only looks runs there if the host's answers before it call for no change. A change that the host's last answers
//! called for is made there if it gives the same answer again, now that the changes before it are made.

use super::exchange::Identity;
use super::host::{HostRun, Work};
use super::question::{Answers, Aside, Early, Question};
use crate::modules::{Action, Changes, Found};
use crate::plan::{self, Prepared, Turn};
use crate::playbook::Task;
use std::collections::HashSet;
use std::sync::Arc;

/// At most so much travels ahead of the task that needs it.
const AHEAD: usize = 64;

/// A look ahead from a turn of a task.
pub(super) struct Look<'a> {
    host: &'a HostRun,
    work: &'a Work,
    answers: &'a Answers,
    identity: &'a Identity,
    /// Nothing so far stands in the way of a command that only looks.
    may_run: bool,
    /// What was found.
    pub(super) asides: Vec<Aside>,
}

impl<'a> Look<'a> {
    pub(super) fn new(
        host: &'a HostRun,
        work: &'a Work,
        answers: &'a Answers,
        identity: &'a Identity,
        may_run: bool,
    ) -> Self {
        Self {
            host,
            work,
            answers,
            identity,
            may_run,
            asides: Vec::new(),
        }
    }

    /// Looks through the tasks behind one, up to the first that depends on a result, or that acts in a way that can't be
    /// foreseen.
    pub(super) fn tasks(&mut self, behind: &Task, ahead: &[usize]) {
        // What it registers may have a value from before, which is not the one to go by.
        let mut pending: HashSet<String> = behind.produces().into_iter().collect();
        for &index in ahead {
            let task = self.work.task(index);
            let mut scope = self.host.scope(self.work);
            scope.pending = Arc::new(pending.clone());
            let diff = self.host.context.options.diff;
            let Ok(prepared) = plan::prepare(task, &self.work.play, &scope, diff) else {
                break;
            };
            match prepared {
                Prepared::Later(_) => break,
                Prepared::Skipped(_) => {}
                Prepared::Ready(turns) => {
                    if !self.turns(index, task, &turns, 0) {
                        break;
                    }
                }
            }
            pending.extend(task.produces());
            if self.asides.len() >= AHEAD {
                break;
            }
        }
        self.asides.truncate(AHEAD);
    }

    /// Looks at the turns of a task from one on. False: nothing behind them can be asked yet.
    pub(super) fn turns(&mut self, index: usize, task: &Task, turns: &[Turn], from: usize) -> bool {
        for (position, turn) in turns.iter().enumerate().skip(from) {
            let Some(module) = &turn.module else { continue };
            if let Some(question) = self.host.question(task, &self.work.play, turn) {
                if !self.ask(task, turn, (index, position), question) {
                    return false;
                }
                continue;
            }
            match module.changes(&Found::default()) {
                Ok(changes) if changes.actions.is_empty() => {}
                Ok(changes) if task.never_changes() => {
                    self.run(task, turn, (index, position), changes);
                }
                Ok(_) => return false,
                // It will fail, and nothing comes after that.
                Err(_) => return false,
            }
        }
        true
    }

    /// False: what stands behind it would have to be asked again.
    fn ask(&mut self, task: &Task, turn: &Turn, place: (usize, usize), question: Question) -> bool {
        let Some(module) = &turn.module else {
            return true;
        };
        if let Some(settled) = self.answers.is_settled(&question, &**module) {
            self.may_run &= settled;
            return true;
        }
        let same = question.identity == *self.identity;
        let judged = task.failed_when.is_some() || task.until.is_some() || task.retries > 0;
        if let Some(found) = self.answers.before(&question) {
            match module.changes(found) {
                Ok(changes) if changes.actions.is_empty() => {}
                Ok(changes)
                    if same && !judged && self.act(task, turn, place, &question, &changes) =>
                {
                    return true;
                }
                // It calls for a change, after which everything would have to be asked again.
                _ => {
                    self.may_run = false;
                    if same {
                        self.asides.push(Aside::Ask(question, None));
                    }
                    return false;
                }
            }
        }
        let settled = module.settled().filter(|_| same && self.may_run && !judged);
        self.may_run &= settled.is_some();
        if same {
            self.asides.push(Aside::Ask(question, settled));
        }
        true
    }

    /// A change that was called for before: it may be made at once if the host still gives the same answer.
    fn act(
        &mut self,
        task: &Task,
        turn: &Turn,
        place: (usize, usize),
        question: &Question,
        changes: &Changes,
    ) -> bool {
        let play = &self.work.play;
        let fatal = play.any_errors_fatal || play.max_fail_percentage.is_some();
        let real = !self.host.context.options.check || task.check_mode == Some(false);
        let plain = turn
            .module
            .as_ref()
            .is_some_and(|module| module.settled().is_some());
        let [Action::Run(script)] = &changes.actions[..] else {
            return false;
        };
        let Some(same) = self.answers.same_as_before(question) else {
            return false;
        };
        if !self.may_run || fatal || !real || !plain || task.timeout.is_some() {
            return false;
        }
        let command = Question {
            identity: question.identity.clone(),
            env: turn.env.clone(),
            script: script.clone(),
        };
        self.asides.push(Aside::Ask(question.clone(), Some(same)));
        let turn = place;
        self.asides.push(Aside::Act(Early { turn, command }));
        true
    }

    /// A command of which the playbook says that it changes nothing runs once, and only where nothing changes before it.
    fn run(&mut self, task: &Task, turn: &Turn, place: (usize, usize), changes: Changes) {
        let identity = self.host.identity(task, &self.work.play);
        let real = !self.host.context.options.check || task.check_mode == Some(false);
        let [Action::Run(script)] = &changes.actions[..] else {
            self.may_run = false;
            return;
        };
        if !self.may_run || identity != *self.identity || !real {
            self.may_run = false;
            return;
        }
        let command = Question {
            identity,
            env: turn.env.clone(),
            script: script.clone(),
        };
        let turn = place;
        self.asides.push(Aside::Run(Early { turn, command }));
        // What the playbook will make of its result is not known here.
        self.may_run = task.failed_when.is_none() && task.until.is_none() && task.retries == 0;
    }
}
