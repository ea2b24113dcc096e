//! Talking with a host: messages out, and each answer in when it is needed.

use super::exchange::{Identity, Trouble};
use super::flight::Flight;
use super::host::{HostRun, IDLE, SENT};
use super::message::Step;
use super::question::{Answers, Aside, Early, Question};
use crate::event::Traffic;
use crate::modules::Done;
use crate::playbook::Task;
use std::sync::atomic::Ordering;
use tokio::time::Instant;

/// How an exchange went.
#[derive(Debug, Default)]
pub(super) struct Reply {
    /// The answers of the steps that ended.
    pub(super) answers: Vec<Done>,
    /// Why the rest has no answer.
    pub(super) trouble: Option<Trouble>,
}

impl HostRun {
    /// Sends one message: steps that act, then what travels beside them. Waits for the steps, or for the first of the
    /// others if there is none; the rest is heard when it is needed.
    pub(super) async fn send(
        &self,
        task: &Task,
        identity: &Identity,
        steps: Vec<Step>,
        asides: Vec<Aside>,
        answers: &mut Answers,
    ) -> Reply {
        self.land(answers).await;
        let acting = steps.len();
        let mut all = steps;
        all.extend(asides.iter().map(Aside::step));
        let mut reply = self
            .exchange(task, identity, &all, acting, &asides, answers)
            .await;
        if matches!(reply.trouble, Some(Trouble::NotStarted(_))) && !self.context.stopping() {
            // It has certainly not started, so it may go over a new connection: the host may have been away. Then also the lock was
            // given up, and what shall change is decided anew.
            self.close().await;
            if answers.outdate(acting > 0) {
                return reply;
            }
            reply = self
                .exchange(task, identity, &all, acting, &asides, answers)
                .await;
        }
        reply
    }

    async fn exchange(
        &self,
        task: &Task,
        identity: &Identity,
        steps: &[Step],
        acting: usize,
        asides: &[Aside],
        answers: &mut Answers,
    ) -> Reply {
        let failed = |trouble| Reply {
            trouble: Some(trouble),
            ..Reply::default()
        };
        let Some(connection) = self.connection().await else {
            return failed(Trouble::NotStarted("there is no connection".into()));
        };
        let end = task.timeout.map(|limit| Instant::now() + limit);
        let terms = &self.context.terms;
        let mark = self.meter.mark();
        let acts = asides.iter().any(|aside| matches!(aside, Aside::Act(_)));
        if acting > 0 || acts {
            self.acting.store(SENT, Ordering::Relaxed);
        }
        let started = {
            let mut shells = self.shells.lock().await;
            Flight::start(&*connection, &mut shells, terms, identity, steps, end).await
        };
        let mut flight = match started {
            Ok(flight) => flight,
            Err(trouble) => {
                self.acting.store(IDLE, Ordering::Relaxed);
                self.note(&trouble);
                return failed(trouble);
            }
        };
        if acting > 0 || acts {
            flight.tells(self.acting.clone());
        }
        let mut show = |line: &[u8]| self.show(task, line);
        flight.hear(acting.max(1), terms, end, &mut show).await;
        let mut reply = Reply {
            answers: flight.take(acting),
            trouble: None,
        };
        if reply.answers.len() == acting && !acts {
            self.acting.store(IDLE, Ordering::Relaxed);
        }
        if flight.begun() {
            self.context.locks.held(self.name());
        }
        answers.fly(flight, identity, asides.to_vec());
        if acting == 0 {
            answers.learn(1);
        }
        // What follows an action is a question, and its loss is no loss of the action.
        if acting == 0 || reply.answers.len() < acting {
            reply.trouble = answers.trouble();
        }
        if let Some(trouble) = &reply.trouble {
            self.note(trouble);
        }
        // What was sent and said can hold secrets: the trace has numbers.
        tracing::debug!(
            host = self.name(),
            steps = steps.len(),
            trouble = ?reply.trouble,
            took = ?mark.elapsed(),
            "exchange"
        );
        let traffic = Traffic {
            exchanges: u64::from(!matches!(reply.trouble, Some(Trouble::NotStarted(_)))),
            ..self.meter.since(&mark)
        };
        self.context.send(mark.exchanged(self.name(), traffic));
        reply
    }

    /// Waits for the answer to a question that is on its way already. The trouble, if it does not come.
    pub(super) async fn hear_answer(
        &self,
        task: &Task,
        question: &Question,
        answers: &mut Answers,
    ) -> Option<Trouble> {
        let wanted = |aside: &Aside| matches!(aside, Aside::Ask(asked, _) if asked == question);
        self.hear(task, &wanted, answers).await
    }

    /// Waits for a command that runs ahead of its turn.
    pub(super) async fn hear_early(&self, task: &Task, early: &Early, answers: &mut Answers) {
        let wanted =
            |aside: &Aside| matches!(aside, Aside::Run(run) | Aside::Act(run) if run == early);
        self.hear(task, &wanted, answers).await;
    }

    async fn hear(
        &self,
        task: &Task,
        wanted: &(dyn Fn(&Aside) -> bool + Sync),
        answers: &mut Answers,
    ) -> Option<Trouble> {
        let distance = answers.distance(wanted)?;
        let flying = answers.flying.as_mut()?;
        let end = task.timeout.map(|limit| Instant::now() + limit);
        let mark = self.meter.mark();
        let mut show = |line: &[u8]| self.show(task, line);
        let steps = flying.flight.taken() + distance;
        flying
            .flight
            .hear(steps, &self.context.terms, end, &mut show)
            .await;
        answers.learn(distance);
        let traffic = Traffic {
            exchanges: 0,
            ..self.meter.since(&mark)
        };
        self.context.send(mark.exchanged(self.name(), traffic));
        answers.trouble()
    }

    /// Something changes on the host: what it has answered holds no longer, nor what it is about to answer.
    pub(super) async fn forget(&self, answers: &mut Answers) {
        self.land(answers).await;
        answers.forget();
    }

    /// Hears the message on its way to its end.
    pub(super) async fn land(&self, answers: &mut Answers) {
        let Some(flying) = &mut answers.flying else {
            return;
        };
        let terms = &self.context.terms;
        flying
            .flight
            .hear(usize::MAX, terms, None, &mut |_| {})
            .await;
        answers.learn(usize::MAX);
        self.acting.store(IDLE, Ordering::Relaxed);
        if let Some(flying) = answers.flying.take() {
            let mut shells = self.shells.lock().await;
            flying.flight.land(terms, &mut shells, &flying.identity);
        }
    }
}
