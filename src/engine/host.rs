//! A host during a run: its connection, its state, and what is the same for all that it does.

use super::Context;
use super::exchange::{GONE_WITHIN, Identity, Trouble};
use super::meter::Meter;
use super::outcome::State;
use super::question::Question;
use super::shell::{self, Shell};
use super::waiting::Shells;
use crate::event::{Event, Status, TaskId};
use crate::inventory::Host;
use crate::plan::Turn;
use crate::playbook::{Play, Task};
use crate::transport::{ConnectErrorKind, Connection};
use crate::vars::{PlayScope, Scope};
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, Mutex, Weak};
use std::time::Instant;

/// Where a host is: its task, and whether it is through with it.
pub(super) struct At {
    pub(super) play: Arc<Play>,
    pub(super) task: TaskId,
    pub(super) since: Instant,
    pub(super) running: bool,
}

/// Nothing that may change something is on its way to the host.
pub(super) const IDLE: i64 = 0;
/// Something is, and its process is not known.
pub(super) const SENT: i64 = -1;

/// A host during a run.
pub(super) struct HostRun {
    host: Host,
    pub(super) context: Arc<Context>,
    connection: tokio::sync::Mutex<Option<Arc<dyn Connection>>>,
    /// The shells on that connection which wait for the next message.
    pub(super) shells: tokio::sync::Mutex<Shells>,
    state: Mutex<State>,
    pub(super) meter: Meter,
    pub(super) at: Mutex<Option<At>>,
    /// The process on the host by which something changes there, if it is on its way.
    pub(super) acting: Arc<AtomicI64>,
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
    /// A play on some hosts, of which nothing is to be done.
    pub(super) fn new(index: usize, play: &Arc<Play>, hosts: Vec<String>) -> Self {
        let scope = PlayScope {
            vars: play.vars.clone(),
            dir: play.dir.clone(),
            hosts,
        };
        Self {
            index,
            play: play.clone(),
            scope: Arc::new(scope),
            tasks: Vec::new(),
            halt: Arc::default(),
        }
    }

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
            at: Mutex::default(),
            acting: Arc::new(AtomicI64::new(IDLE)),
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
        let held_on = {
            let mut shells = self.shells.lock().await;
            shells.release();
            shells.takes_room_back()
        };
        if let Some(connection) = self.connection.lock().await.take() {
            if held_on {
                self.let_go(&*connection).await;
            }
            connection.close().await;
        }
    }

    /// Frees the host where the lock is held on without a shell: the connection may be kept longer than the run takes.
    async fn let_go(&self, connection: &dyn Connection) {
        let terms = &self.context.terms;
        let Some(key) = &terms.lock else { return };
        let let_go = async {
            let (identity, script) = (Identity::default(), key.let_go());
            let started = shell::start(connection, terms, &identity, &script);
            if let Ok(mut process) = started.await {
                process.input.end().await.ok();
                while process.output.next().await.is_some() {}
            }
        };
        tokio::time::timeout(GONE_WITHIN, let_go).await.ok();
    }

    /// A host has the run's lock also while a file travels there over a new connection.
    pub(super) async fn keep_locked(&self, identity: &Identity) -> Result<(), Trouble> {
        let held = self.context.terms.lock.is_none() || self.shells.lock().await.holds();
        match held {
            true => Ok(()),
            false => self.lock(identity).await,
        }
    }

    /// Before something changes on the host: nobody was refused, and the hosts that have begun with this one have their locks, unless
    /// that takes long.
    pub(super) async fn admit(&self, identity: &Identity) -> Result<(), Trouble> {
        let locks = &self.context.locks;
        if locks.others(self.name()) {
            if !locks.holds(self.name()) {
                self.lock(identity).await?;
            }
            locks.settle(self.name()).await;
        }
        match locks.refused() {
            true => Err(Trouble::Locked(Box::default())),
            false => Ok(()),
        }
    }

    /// Connects to the host and takes its lock with a shell that waits for the first message.
    pub(super) async fn take_lock(&self) -> Result<(), Trouble> {
        self.context.locks.expect(self.name());
        let taken = self.lock(&Identity::default()).await;
        self.context.locks.pass(self.name());
        taken
    }

    async fn lock(&self, identity: &Identity) -> Result<(), Trouble> {
        let Some(connection) = self.connection().await else {
            return Err(Trouble::NotStarted("there is no connection".into()));
        };
        let mut shells = self.shells.lock().await;
        let terms = &self.context.terms;
        let taken = async {
            let mut shell = Shell::open(&*connection, terms, identity).await?;
            shell.locked(terms).await?;
            Ok(shell)
        };
        match taken.await {
            Ok(shell) => {
                shells.keep(identity, shell.process, shell.last);
                self.context.locks.held(self.name());
                Ok(())
            }
            Err(trouble) => {
                self.note(&trouble);
                Err(trouble)
            }
        }
    }

    /// Notes whose lock is in the way.
    pub(super) fn note(&self, trouble: &Trouble) {
        if let Trouble::Locked(holder) = trouble
            && !holder.run.is_empty()
        {
            self.context.locks.refuse(self.name(), (**holder).clone());
        }
    }

    /// Gives the host's lock back, and keeps the connection.
    pub(super) async fn give_back(&self) {
        self.shells.lock().await.end().await;
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
        if self.state() != State::Well || self.context.locks.refused() {
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
            () = self.context.locks.when_over() => return None,
        };
        match connected {
            Ok(connection) => {
                let connection = self.meter.wrap(connection);
                let took = started.elapsed();
                tracing::info!(%host, ?took, "connected");
                self.context.locks.connected(&host);
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
