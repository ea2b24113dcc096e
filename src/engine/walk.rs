//! One host's way through its tasks: ask early, act in order, stop when something is wrong.

use super::ahead::Look;
use super::exchange::Identity;
use super::host::{At, HostRun, Work};
use super::outcome::{self, Early, Full, State, Verdict};
use super::question::Answers;
use super::turn::{Here, ends_tries};
use crate::event::{Event, TaskId, TurnResult};
use crate::modules::Found;
use crate::plan::{self, Prepared, Turn};
use crate::playbook::Task;
use serde_json::Value;
use std::collections::HashSet;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

impl HostRun {
    /// Goes through some tasks. Answers the handlers that were notified.
    pub(super) async fn work(&self, work: &Work) -> HashSet<String> {
        let mut notified = HashSet::new();
        let mut answers = Answers::default();
        for (position, &index) in work.tasks.iter().enumerate() {
            if self.state() != State::Well {
                break;
            }
            // What has run ahead of its turn is told also when nothing else may begin.
            if let Some(why) = self.over(&work.halt)
                && !answers.has_early(index)
            {
                self.not_begun(work, index, why);
                break;
            }
            let ahead = &work.tasks[position + 1..];
            let verdict = self.task(work, index, ahead, &mut answers).await;
            let before = self.context.past.of(self.name(), work.index, index);
            if verdict.changed || before.is_some_and(|before| before.changed) {
                notified.extend(work.task(index).notify.iter().cloned());
            }
            if let Some(state) = verdict.leaves {
                self.set_state(state);
                if work.play.any_errors_fatal {
                    work.halt.store(true, Ordering::Relaxed);
                }
            }
        }
        if self.state() != State::Well && work.play.any_errors_fatal {
            work.halt.store(true, Ordering::Relaxed);
        }
        self.land(&mut answers).await;
        self.context.locks.pass(self.name());
        notified
    }

    /// Why nothing more may begin, if so.
    fn over(&self, halt: &AtomicBool) -> Option<Early> {
        let halted = halt.load(Ordering::Relaxed);
        let halted = halted.then_some(Early::Failure);
        self.context.over().or(halted)
    }

    /// A host that must stop before its work is done is not as wanted, and the recap has to say so.
    pub(super) fn not_begun(&self, work: &Work, index: usize, why: Early) {
        let task = work.task(index);
        let id = TaskId {
            play: work.index,
            index,
            name: plan::title(task, &self.scope(work)),
            item: None,
        };
        self.settle(task, id, outcome::not_begun(why), Instant::now());
        self.set_state(State::Failed);
    }

    async fn task(
        &self,
        work: &Work,
        index: usize,
        ahead: &[usize],
        answers: &mut Answers,
    ) -> Verdict {
        let task = work.task(index);
        let scope = self.scope(work);
        let id = TaskId {
            play: work.index,
            index,
            name: plan::title(task, &scope),
            item: None,
        };
        let started = Instant::now();
        let past = &self.context.past;
        let before = past.of(self.name(), work.index, index);
        if before.is_some_and(|before| before.finished) {
            let outcome = outcome::before(past.run.as_ref());
            return self.settle(task, id, outcome, started);
        }
        let prepared = plan::prepare(task, &work.play, &scope, self.context.options.diff);
        self.context.tell_warnings();
        let turns = match prepared {
            Ok(Prepared::Ready(turns)) => turns,
            other => {
                let outcome = match other {
                    Err(problems) => outcome::wrong(&problems),
                    Ok(Prepared::Later(name)) => {
                        outcome::too_early(&name, self.context.options.check)
                    }
                    Ok(Prepared::Skipped(why)) => outcome::skipped(why),
                    Ok(Prepared::Ready(_)) => outcome::skipped("nothing to do".into()),
                };
                return self.settle(task, id, outcome, started);
            }
        };
        // Connecting belongs to no task; a host that is lost there has been reported.
        let needs_host = turns
            .iter()
            .filter_map(|turn| turn.module.as_ref())
            .any(|module| {
                module.probe().is_some()
                    || module
                        .changes(&Found::default())
                        .is_ok_and(|c| !c.actions.is_empty())
            });
        if needs_host && !self.connect().await {
            return match self.context.over().filter(|_| self.state() == State::Well) {
                Some(why) => self.settle(task, id, outcome::not_begun(why), started),
                None => Verdict::default(),
            };
        }
        let at = At {
            play: work.play.clone(),
            task: id.clone(),
            since: started,
            running: true,
        };
        *self.at.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
        self.context.send(Event::TaskStarted {
            host: self.name().to_string(),
            task: id.clone(),
        });
        let mut results = Vec::new();
        for (position, turn) in turns.iter().enumerate() {
            if let Some(done) = before.and_then(|before| before.turn(position, turn.item.as_ref()))
            {
                self.turned(&id, position, turn, done.clone());
                results.push((turn.item.clone(), Full::from_turn(done)));
                continue;
            }
            let others = |answers: &Answers, identity: &Identity, may_run: bool| {
                let mut look = Look::new(self, work, answers, identity, may_run);
                if look.turns(index, task, &turns, position + 1) {
                    look.tasks(task, ahead);
                }
                look.asides
            };
            let here = Here {
                task,
                play: &work.play,
                number: work.index,
                id: &id,
                turn,
                place: (index, position),
                others: &others,
            };
            let result = self.turn(&here, answers).await;
            if task.items.is_some() {
                self.turned(&id, position, turn, result.turn(task, turn.item.as_ref()));
            }
            let over = ends_tries(result.status);
            results.push((turn.item.clone(), result));
            if over || self.context.stopping() {
                break;
            }
        }
        let outcome = outcome::join(results, task.items.is_some());
        self.settle(task, id, outcome, started)
    }

    /// Reports an outcome, keeps what it registers, and says what follows from it.
    fn settle(
        &self,
        task: &Task,
        id: TaskId,
        mut outcome: outcome::Full,
        started: Instant,
    ) -> Verdict {
        if let Some(at) = &mut *self.at.lock().unwrap_or_else(PoisonError::into_inner) {
            at.running = false;
        }
        let world = &self.context.world;
        let hidden = task.no_log || outcome.secret;
        let mut produced = Vec::new();
        let mut set = |name: &String, value: Value| {
            produced.push((name.clone(), (!hidden).then(|| value.clone())));
            world.set(self.name(), name, value);
        };
        for (name, value) in std::mem::take(&mut outcome.facts) {
            set(&name, value);
        }
        if let Some(name) = &task.register
            && !outcome.absent
        {
            set(name, outcome.value());
        }
        let verdict = outcome.verdict(task.ignore_errors);
        tracing::info!(
            host = self.name(),
            place = %task.place,
            status = ?outcome.status,
            took = ?started.elapsed(),
            "task"
        );
        let mut outcome = outcome.event(task, started.elapsed());
        outcome.produced = produced;
        self.context.send(Event::TaskFinished {
            host: self.name().to_string(),
            task: id,
            outcome: Box::new(outcome),
        });
        verdict
    }

    /// Reports one turn of a loop.
    fn turned(&self, id: &TaskId, position: usize, turn: &Turn, result: TurnResult) {
        let item = turn.item.as_ref().filter(|_| result.item.is_some());
        self.context.send(Event::TurnFinished {
            host: self.name().to_string(),
            task: TaskId {
                item: item.map(|item| outcome::words(Some(item))),
                ..id.clone()
            },
            turn: position,
            result: Box::new(result),
        });
    }
}
