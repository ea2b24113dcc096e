//! A run that is dropped before its end says of every host what it leaves there.

use super::Context;
use super::exchange::Trouble;
use super::host::{HostRun, IDLE, SENT};
use super::outcome::{self, Early, State};
use crate::event::{Event, TaskId};
use crate::playbook::Play;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

/// Tells the rest when it is dropped.
pub(super) struct Abandon {
    pub(super) context: Arc<Context>,
    pub(super) hosts: Vec<Arc<HostRun>>,
    /// The plays, with their hosts.
    pub(super) plays: Vec<(Arc<Play>, Vec<String>)>,
    pub(super) started: Instant,
    pub(super) ended: bool,
}

impl Drop for Abandon {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        for host in &self.hosts {
            if host.state() == State::Well && !host.abandon() {
                self.not_begun(host);
            }
        }
        self.context.send(Event::RunFinished {
            took: self.started.elapsed(),
        });
    }
}

impl Abandon {
    /// A host that waits for others: its next task is that of a play that it has not begun.
    fn not_begun(&self, host: &HostRun) {
        let last = host.last_play();
        let mut plays = self.plays.iter().enumerate();
        let next = plays.find(|(index, (_, names))| {
            last.is_none_or(|last| *index > last) && names.iter().any(|name| name == host.name())
        });
        if let Some((index, (play, _))) = next
            && let Some(task) = play.tasks.first()
        {
            let id = TaskId {
                play: index,
                index: 0,
                name: task.title(),
                item: None,
            };
            let outcome = outcome::not_begun(Early::Stopped);
            self.context.send(Event::TaskFinished {
                host: host.name().to_string(),
                task: id,
                outcome: Box::new(outcome.event(task, Default::default())),
            });
        }
    }
}

impl HostRun {
    fn last_play(&self) -> Option<usize> {
        let at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        at.as_ref().map(|at| at.task.play)
    }

    /// Says what becomes of the task that the host is at. False: it is at none.
    fn abandon(&self) -> bool {
        let at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(at) = at.as_ref().filter(|at| at.running) else {
            return false;
        };
        let tasks = at.play.tasks.iter().chain(&at.play.handlers);
        let Some(task) = tasks.into_iter().nth(at.task.index) else {
            return false;
        };
        let trouble = |left, asking| outcome::trouble(Trouble::Stopped { left }, asking, None);
        let outcome = match self.acting.load(Ordering::Relaxed) {
            IDLE => trouble(None, true),
            SENT => outcome::abandoned(),
            pid => trouble(Some(pid), false),
        };
        self.context.send(Event::TaskFinished {
            host: self.name().to_string(),
            task: at.task.clone(),
            outcome: Box::new(outcome.event(task, at.since.elapsed())),
        });
        true
    }
}
