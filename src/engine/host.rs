//! A host during a run: its connection, its state, and what is the same for all that it does.

use super::Context;
use super::exchange::Identity;
use super::meter::Meter;
use super::outcome::State;
use super::question::Question;
use super::shell::Shells;
use crate::event::{Event, Status};
use crate::inventory::Host;
use crate::plan::Turn;
use crate::playbook::{Play, Task};
use crate::transport::{ConnectErrorKind, Connection};
use crate::vars::{PlayScope, Scope};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, Weak};
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
    /// The line of a running task that was told last, as long as nobody has shown it.
    shown: Mutex<Weak<[u8]>>,
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
            shown: Mutex::new(Weak::<[u8; 0]>::new()),
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

    pub(super) fn scope(&self, work: &Work) -> Scope {
        let mut scope = Scope::new(&self.context.world, self.name(), &work.scope);
        // Under --check not every task produces what it would register: then what needs it is skipped.
        scope.ahead = self.context.options.check;
        scope
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
    pub(super) fn show(&self, task: &Task, line: &[u8]) {
        if task.no_log {
            return;
        }
        let mut shown = self
            .shown
            .lock()
            .unwrap_or_else(|broken| broken.into_inner());
        if shown.strong_count() > 0 {
            return;
        }
        let line: Arc<[u8]> = line.into();
        *shown = Arc::downgrade(&line);
        let host = self.name().to_string();
        self.context.send(Event::TaskOutput { host, line });
    }
}
