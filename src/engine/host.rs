//! One host's way through its tasks: ask early, act in order, stop when something is wrong.

use super::Context;
use super::ahead::Look;
use super::exchange::Identity;
use super::meter::Meter;
use super::outcome::{self, State, Verdict};
use super::question::{Answers, Question};
use super::shell::Shells;
use super::turn::Here;
use crate::event::{Event, Status, TaskId};
use crate::inventory::Host;
use crate::modules::Found;
use crate::plan::{self, Prepared, Turn};
use crate::playbook::{Play, Task};
use crate::transport::{ConnectErrorKind, Connection};
use crate::vars::{PlayScope, Scope};
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A host during a run.
pub(super) struct HostRun {
    host: Host,
    pub(super) context: Arc<Context>,
    connection: tokio::sync::Mutex<Option<Arc<dyn Connection>>>,
    /// The shells on that connection which wait for the next message.
    pub(super) shells: tokio::sync::Mutex<Shells>,
    state: Mutex<State>,
    pub(super) meter: Meter,
}

/// A stretch of tasks of a play.
pub(super) struct Work {
    pub index: usize,
    pub play: Arc<Play>,
    pub scope: Arc<PlayScope>,
    /// Which tasks; handlers count on behind the tasks.
    pub tasks: Vec<usize>,
    /// Set when another host's failure ends the play for all.
    pub halt: Arc<AtomicBool>,
}

impl Work {
    pub(super) fn task(&self, index: usize) -> &Task {
        let tasks = self.play.tasks.len();
        if index < tasks {
            &self.play.tasks[index]
        } else {
            &self.play.handlers[index - tasks]
        }
    }
}

impl HostRun {
    pub(super) fn new(host: Host, context: Arc<Context>) -> Self {
        Self {
            host,
            context,
            connection: tokio::sync::Mutex::new(None),
            shells: tokio::sync::Mutex::default(),
            state: Mutex::new(State::Well),
            meter: Meter::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.host.name
    }

    pub(super) fn state(&self) -> State {
        *self
            .state
            .lock()
            .unwrap_or_else(|broken| broken.into_inner())
    }

    pub(super) fn set_state(&self, state: State) {
        *self
            .state
            .lock()
            .unwrap_or_else(|broken| broken.into_inner()) = state;
    }

    pub(super) async fn close(&self) {
        self.shells.lock().await.release();
        if let Some(connection) = self.connection.lock().await.take() {
            connection.close().await;
        }
    }

    /// Connects unless that is done. A host that cannot be reached leaves the run.
    pub(super) async fn connect(&self) -> bool {
        self.connection().await.is_some()
    }

    pub(super) async fn connection(&self) -> Option<Arc<dyn Connection>> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = &*slot {
            return Some(connection.clone());
        }
        if self.state() != State::Well {
            return None;
        }
        let host = self.name().to_string();
        self.context.send(Event::Connecting { host: host.clone() });
        let started = Instant::now();
        let mut stop = self.context.terms.stop.clone();
        let connected = tokio::select! {
            connected = self.context.transport.connect(&self.host) => connected,
            // Nothing has started there, so there is nothing to report either.
            _ = stop.wait_for(|stop| *stop) => return None,
        };
        match connected {
            Ok(connection) => {
                let connection = self.meter.wrap(connection);
                let took = started.elapsed();
                tracing::info!(%host, ?took, "connected");
                self.context.send(Event::Connected { host, took });
                *slot = Some(connection.clone());
                Some(connection)
            }
            Err(error) => {
                tracing::warn!(%host, %error, "no connection");
                self.set_state(State::Lost);
                self.context.send(Event::HostLost {
                    host,
                    status: match error.kind {
                        ConnectErrorKind::Unreachable => Status::Unreachable,
                        ConnectErrorKind::Identity => Status::Refused,
                    },
                    message: error.message,
                    help: error.help,
                });
                None
            }
        }
    }

    /// Goes through some tasks. Answers the handlers that were notified.
    pub(super) async fn work(&self, work: &Work) -> HashSet<String> {
        let mut notified = HashSet::new();
        let mut answers = Answers::default();
        for (position, &index) in work.tasks.iter().enumerate() {
            if self.state() != State::Well {
                break;
            }
            let stopped = self.context.stopping();
            if stopped || work.halt.load(Ordering::Relaxed) {
                self.not_begun(work, index, stopped);
                break;
            }
            let ahead = &work.tasks[position + 1..];
            let verdict = self.task(work, index, ahead, &mut answers).await;
            if verdict.changed {
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
        notified
    }

    /// A host that must stop before its work is done is not as wanted, and the recap has to say so.
    fn not_begun(&self, work: &Work, index: usize, stopped: bool) {
        let task = work.task(index);
        let id = TaskId {
            play: work.index,
            index,
            name: plan::title(task, &self.scope(work)),
            item: None,
        };
        self.settle(task, id, outcome::not_begun(stopped), Instant::now());
        self.set_state(State::Failed);
    }

    pub(super) fn scope(&self, work: &Work) -> Scope {
        let mut scope = Scope::new(&self.context.world, self.name(), &work.scope);
        // Under --check not every task produces what it would register: then what needs it is skipped.
        scope.ahead = self.context.options.check;
        scope
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
        let prepared = plan::prepare(task, &work.play, &scope, self.context.options.diff);
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
            return Verdict::default();
        }
        self.context.send(Event::TaskStarted {
            host: self.name().to_string(),
            task: id.clone(),
        });
        let mut results = Vec::new();
        for (position, turn) in turns.iter().enumerate() {
            let others = |answers: &Answers, identity: &Identity, may_run: bool| {
                let mut look = Look::new(self, work, answers, identity, may_run);
                if look.turns(index, task, &turns, position + 1) {
                    look.tasks(ahead);
                }
                look.asides
            };
            let here = Here {
                task,
                play: &work.play,
                id: &id,
                turn,
                place: (index, position),
                others: &others,
            };
            let result = self.turn(&here, answers).await;
            let over = super::turn::ends_tries(result.status);
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
        let world = &self.context.world;
        for (name, value) in std::mem::take(&mut outcome.facts) {
            world.set(self.name(), &name, value);
        }
        if let Some(name) = &task.register
            && !outcome.absent
        {
            world.set(self.name(), name, outcome.value());
        }
        let verdict = outcome.verdict(task.ignore_errors);
        tracing::info!(
            host = self.name(),
            place = %task.place,
            status = ?outcome.status,
            took = ?started.elapsed(),
            "task"
        );
        self.context.send(Event::TaskFinished {
            host: self.name().to_string(),
            task: id,
            outcome: Box::new(outcome.event(task, started.elapsed())),
        });
        verdict
    }

    /// The question of a turn, if its module has one.
    pub(super) fn question(&self, task: &Task, play: &Play, turn: &Turn) -> Option<Question> {
        Some(Question {
            identity: self.identity(task, play),
            env: turn.env.clone(),
            script: turn.module.as_ref()?.probe()?,
        })
    }

    pub(super) fn identity(&self, task: &Task, play: &Play) -> Identity {
        let privilege = task
            .privilege
            .or(&play.privilege)
            .or(&self.context.options.privilege);
        Identity {
            user: privilege.target(),
        }
    }

    /// Shows a line of a running task.
    pub(super) fn show(&self, task: &Task, line: Vec<u8>) {
        if !task.no_log {
            self.context.send(Event::TaskOutput {
                host: self.name().to_string(),
                line,
            });
        }
    }
}
