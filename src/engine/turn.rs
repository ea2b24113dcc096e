//! One turn of a task: ask, decide, act, judge, and try again where the playbook says so.

use super::exchange::{Identity, Trouble};
use super::host::HostRun;
use super::message::Step;
use super::outcome::{self, Full};
use super::question::{Answers, Aside, Early, Question};
use super::waiting::LOCK_ENDED;
use crate::document::Node;
use crate::event::{Event, Status, TaskId};
use crate::modules::{Action, Changes, Done, Found, Module};
use crate::plan::Turn;
use crate::playbook::{Play, Task};
use crate::vars::{Lookup, Trouble as Unrendered};
use serde_json::Value;

/// How often a task is decided on anew because its host was away.
const RECONNECTS: u32 = 3;

/// What to put into a message beside a task: for these rights, and with commands that only look or without.
pub(super) type Others<'a> = dyn Fn(&Answers, &Identity, bool) -> Vec<Aside> + Sync + 'a;

/// A turn of a task, and where it stands.
pub(super) struct Here<'a> {
    pub(super) task: &'a Task,
    pub(super) play: &'a Play,
    /// Which play of the run.
    pub(super) number: usize,
    pub(super) id: &'a TaskId,
    pub(super) turn: &'a Turn,
    /// The task in its play, and the turn of its loop.
    pub(super) place: (usize, usize),
    pub(super) others: &'a Others<'a>,
}

/// A task on its way: what every step of it needs.
struct Doing<'a> {
    task: &'a Task,
    turn: &'a Turn,
    /// Which play of the run.
    play: usize,
    place: (usize, usize),
    module: &'a dyn Module,
    identity: Identity,
    question: Option<Question>,
    others: &'a Others<'a>,
}

impl HostRun {
    pub(super) async fn turn(&self, here: &Here<'_>, answers: &mut Answers) -> Full {
        let Some(module) = &here.turn.module else {
            return outcome::skipped("not for this item".into());
        };
        let task = here.task;
        let doing = Doing {
            task,
            turn: here.turn,
            play: here.number,
            place: here.place,
            module: &**module,
            identity: self.identity(task, here.play),
            question: self.question(task, here.play, here.turn),
            others: here.others,
        };
        let mut left = task.retries;
        loop {
            let mut full = self.attempt(&doing, answers).await;
            for _ in 0..RECONNECTS {
                if !answers.take_outdated() || self.context.stopping() {
                    break;
                }
                let before = full;
                full = self.attempt(&doing, answers).await;
                if matches!(full.status, Status::Cancelled | Status::Unreachable) {
                    full.help.extend(before.help);
                }
            }
            if full.absent || ends_tries(full.status) {
                return full;
            }
            let good = match &task.until {
                Some(until) => judge(&doing, &full, until),
                // Without a condition it is tried again for as long as it fails.
                None => Ok(full.status != Status::Failed),
            };
            match (good, &task.until) {
                (Ok(true), _) => return full,
                (Ok(false), None) if left == 0 => return full,
                (Ok(false), Some(until)) if left == 0 => {
                    let tries = task.retries + 1;
                    let message = format!(
                        "`until` did not hold after {tries} tries: {}",
                        until.place.text()
                    );
                    return Full {
                        status: Status::Failed,
                        message,
                        ..full
                    };
                }
                (Ok(false), _) => {}
                (Err(wrong), _) => return *wrong,
            }
            self.context.send(Event::TaskRetry {
                host: self.name().to_string(),
                task: here.id.clone(),
                left,
            });
            left -= 1;
            self.forget(answers).await;
            let mut stop = self.context.terms.stop.clone();
            tokio::select! {
                () = tokio::time::sleep(task.delay) => {}
                _ = stop.wait_for(|stop| *stop) => return outcome::trouble(Trouble::Stopped { left: None }, true, None),
                () = self.context.locks.when_refused() => return outcome::locked(),
            }
        }
    }

    async fn attempt(&self, doing: &Doing<'_>, answers: &mut Answers) -> Full {
        let found = match self.ask(doing, answers).await {
            Ok(found) => found,
            Err(full) => return full,
        };
        let changes = match doing.module.changes(&found) {
            Ok(changes) => changes,
            Err(failure) => return self.judge_all(doing, outcome::failure(failure)),
        };
        let reads = changes.read_only || doing.task.never_changes();
        let real = !self.context.options.check || doing.task.check_mode == Some(false);
        if !changes.actions.is_empty() && !real {
            let status = if reads {
                Status::Skipped
            } else {
                Status::Changed
            };
            let because = match (reads, changes.because.is_empty()) {
                (true, _) => "does not run under --check".to_string(),
                (false, true) => "would run".to_string(),
                (false, false) => changes.because,
            };
            let mut full = Full::new(status, because);
            full.diff = changes.diff;
            full.absent = true;
            return full;
        }
        let acts = !changes.actions.is_empty();
        let command = doing.module.command().filter(|_| acts);
        let result = self.act(doing, &found, changes, reads, answers).await;
        // What has not come to its end is not judged.
        let (mut full, judged) = match result {
            Ok(full) => (full, true),
            Err(full) => (*full, false),
        };
        // What was not begun is the same on all hosts.
        full.command = command.filter(|_| !full.absent);
        full.secret = doing.module.secret();
        if judged {
            self.judge_all(doing, full)
        } else {
            full
        }
    }

    /// The answer to the module's question, from before or from the host.
    async fn ask(&self, doing: &Doing<'_>, answers: &mut Answers) -> Result<Found, Full> {
        let Some(question) = &doing.question else {
            return Ok(Found::default());
        };
        let mut trouble = None;
        if answers.get(question).is_none() {
            trouble = self.hear_answer(doing.task, question, answers).await;
        }
        if answers.get(question).is_none() && trouble.is_none() {
            let settled = match doing.foreseeable() {
                true => doing.module.settled(),
                false => None,
            };
            let others = (doing.others)(answers, &doing.identity, settled.is_some());
            let mut asides = vec![Aside::Ask(question.clone(), settled)];
            asides.extend(others);
            let user = doing.identity.user.as_deref();
            if asides.iter().any(|aside| matches!(aside, Aside::Act(_))) {
                let admitted = self.admit(&doing.identity).await;
                admitted.map_err(|why| outcome::trouble(why, true, user))?;
            }
            self.announce(doing.play, None, &asides).await;
            let reply = self
                .send(doing.task, &doing.identity, Vec::new(), asides, answers)
                .await;
            trouble = reply.trouble;
        }
        if answers.get(question).is_none() {
            let why = trouble.unwrap_or(Trouble::Lost("the host gave no answer".into()));
            // A change that was meant for the answer may have been made.
            let only_asked = !answers.may_have_acted();
            let user = doing.identity.user.as_deref();
            return Err(outcome::trouble(why, only_asked, user));
        }
        Ok(answers.get(question).cloned().unwrap_or_default())
    }

    /// Does what the module wants, and hears what came of it.
    async fn act(
        &self,
        doing: &Doing<'_>,
        found: &Found,
        changes: Changes,
        reads: bool,
        answers: &mut Answers,
    ) -> Result<Full, Box<Full>> {
        let mut done: Vec<Done> = Vec::new();
        let mut rest = &changes.actions[..];
        let mut arrived = None;
        if let Some(result) = self.ran_early(doing, rest, answers).await {
            let user = doing.identity.user.as_deref();
            done.push(result.map_err(|why| Box::new(outcome::trouble(why, false, user)))?);
            rest = &[];
        } else if !rest.is_empty() && !doing.task.never_changes() {
            // What only waits changes nothing, but others may have changed something meanwhile.
            self.forget(answers).await;
        }
        while !rest.is_empty() {
            let (now, later) = rest.split_at(stretch(rest));
            rest = later;
            let result = match &now[0] {
                Action::Run(_) => {
                    self.run_scripts(doing, now, later.is_empty(), answers)
                        .await
                }
                other => {
                    self.land(answers).await;
                    // Who only waits needs no host.
                    if !matches!(other, Action::Pause(_)) {
                        self.begin(doing, &[]).await?;
                        self.stay_locked(doing, answers).await?;
                    }
                    if let Action::Upload {
                        to, resume: false, ..
                    } = other
                    {
                        arrived = Some(to);
                    }
                    self.transfer(doing.task, &doing.identity, other)
                        .await
                        .map(|()| Vec::new())
                }
            };
            done.extend(result.map_err(|full| match (&now[0], arrived) {
                (Action::Run(_), Some(to)) => outcome::left_behind(full, to),
                _ => full,
            })?);
            if done.last().is_some_and(|done| done.code != 0) {
                break;
            }
        }
        if let Some(bad) = done.pop_if(|done| done.code != 0) {
            return Ok(match doing.module.refusal(&bad) {
                Some(failure) => outcome::failure(failure),
                None if doing.module.command().is_none() => outcome::bad_action(bad),
                None => outcome::bad_code(bad),
            });
        }
        let changed = !reads && !changes.actions.is_empty();
        let status = if changed { Status::Changed } else { Status::Ok };
        Ok(match doing.module.result(found, &done) {
            Ok(result) => {
                let mut full = Full::new(status, changes.because).said(done.pop());
                full.result = result;
                full.facts = changes.facts;
                full.shown = changes.message;
                full.diff = changes.diff;
                match doing.task.register.is_some() || self.context.options.shows {
                    true => full.cut(),
                    false => full,
                }
            }
            Err(failure) => {
                let mut said = done.pop();
                if let (Some(done), None) = (&mut said, doing.module.command()) {
                    // What a module's own script says is for the module.
                    done.stdout.clear();
                }
                outcome::failure(failure).said(said)
            }
        })
    }

    /// Before something changes: the locks are there, and who has to write it down has done so.
    async fn begin(&self, doing: &Doing<'_>, others: &[Aside]) -> Result<(), Box<Full>> {
        if let Err(why) = self.admit(&doing.identity).await {
            let user = doing.identity.user.as_deref();
            return Err(Box::new(outcome::trouble(why, true, user)));
        }
        self.announce(doing.play, doing.begins(), others).await;
        Ok(())
    }

    /// Before a file travels: what calls for it was seen under the lock that the host still has.
    async fn stay_locked(&self, doing: &Doing<'_>, answers: &mut Answers) -> Result<(), Box<Full>> {
        if !self.shells.lock().await.is_lost() {
            return Ok(());
        }
        self.close().await;
        match answers.outdate(true) {
            true => {
                let user = doing.identity.user.as_deref();
                let why = Trouble::NotStarted(LOCK_ENDED.into());
                Err(Box::new(outcome::trouble(why, true, user)))
            }
            false => Ok(()),
        }
    }

    async fn run_scripts(
        &self,
        doing: &Doing<'_>,
        actions: &[Action],
        last: bool,
        answers: &mut Answers,
    ) -> Result<Vec<Done>, Box<Full>> {
        let steps: Vec<Step> = actions
            .iter()
            .filter_map(|action| match action {
                Action::Run(script) => Some(Step {
                    script: script.clone(),
                    env: doing.turn.env.clone(),
                    needed: true,
                    live: true,
                    spills: self.context.options.shows && doing.only_shown(),
                    settled: None,
                    guarded: false,
                }),
                _ => None,
            })
            .collect();
        // A task that may be tried again is likely to change things again.
        let others = if last && doing.task.until.is_none() {
            // Where exit code 0 is all that there is to know, what only looks may follow at once.
            let plain = doing.module.settled().is_some() || doing.module.command().is_some();
            (doing.others)(answers, &doing.identity, plain && doing.foreseeable())
        } else {
            Vec::new()
        };
        self.begin(doing, &others).await?;
        let mut reply = self
            .send(doing.task, &doing.identity, steps, others, answers)
            .await;
        match reply.trouble {
            Some(why) => {
                let full = outcome::trouble(why, false, doing.identity.user.as_deref());
                Err(Box::new(full.said(reply.answers.pop())))
            }
            None => Ok(reply.answers),
        }
    }

    /// What came of a command that ran ahead of its turn.
    async fn ran_early(
        &self,
        doing: &Doing<'_>,
        actions: &[Action],
        answers: &mut Answers,
    ) -> Option<Result<Done, Trouble>> {
        let [Action::Run(script)] = actions else {
            return None;
        };
        let early = Early {
            turn: doing.place,
            command: Question {
                identity: doing.identity.clone(),
                env: doing.turn.env.clone(),
                script: script.clone(),
            },
        };
        self.hear_early(doing.task, &early, answers).await;
        answers.take_early(&early)
    }

    /// Applies `failed_when` and `changed_when`.
    fn judge_all(&self, doing: &Doing<'_>, mut full: Full) -> Full {
        if ends_tries(full.status) {
            return full;
        }
        if let Some(condition) = &doing.task.failed_when {
            match judge(doing, &full, condition) {
                Ok(true) if full.status != Status::Failed => {
                    full.message = format!("failed_when holds: {}", condition.place.text());
                    full.status = Status::Failed;
                }
                Ok(false) if full.status == Status::Failed => {
                    full.status = Status::Changed;
                    full.message.clear();
                }
                Ok(_) => {}
                Err(wrong) => return *wrong,
            }
        }
        if let Some(condition) = &doing.task.changed_when
            && full.status != Status::Failed
        {
            match judge(doing, &full, condition) {
                Ok(true) => full.status = Status::Changed,
                Ok(false) => full.status = Status::Ok,
                Err(wrong) => return *wrong,
            }
        }
        full
    }
}

impl Doing<'_> {
    /// Whether nobody but the operator looks at what the command says.
    fn only_shown(&self) -> bool {
        let task = self.task;
        let judged = [&task.failed_when, &task.changed_when, &task.until];
        self.module.command().is_some()
            && task.register.is_none()
            && judged.iter().all(|condition| condition.is_none())
            && !task.no_log
            && !self.module.secret()
    }

    /// The turn, if what it sends may change something.
    fn begins(&self) -> Option<(usize, usize)> {
        (!self.task.never_changes()).then_some(self.place)
    }

    /// Whether the exit code alone says how it went.
    fn foreseeable(&self) -> bool {
        self.task.failed_when.is_none() && self.task.until.is_none() && self.task.retries == 0
    }
}

/// Whether an outcome stands as it is: it is not judged, and not tried again.
pub(super) fn ends_tries(status: Status) -> bool {
    match status {
        Status::Ok | Status::Changed | Status::Skipped | Status::Ignored | Status::Failed => false,
        Status::Unreachable
        | Status::Refused
        | Status::Unknown
        | Status::Guarded
        | Status::Cancelled => true,
    }
}

/// How many actions travel together: scripts do, everything else goes alone.
fn stretch(actions: &[Action]) -> usize {
    let scripts = actions
        .iter()
        .take_while(|action| matches!(action, Action::Run(_)));
    scripts.count().max(1)
}

/// Evaluates a condition on a result, which is known as `result` and under the name that the task registers.
fn judge(doing: &Doing<'_>, full: &Full, condition: &Node) -> Result<bool, Box<Full>> {
    let value: Value = full.value();
    let mut scope = doing.turn.scope.with("result", value.clone());
    if let Some(name) = &doing.task.register {
        scope = scope.with(name, value);
    }
    Lookup::new(scope).holds(condition).map_err(|trouble| {
        Box::new(match trouble {
            Unrendered::Problem(problem) => outcome::wrong(&(*problem).into()).said_as(full),
            Unrendered::Later(name) => outcome::too_early(&name, false),
        })
    })
}

impl Full {
    /// Keeps what another outcome says was printed.
    fn said_as(mut self, other: &Full) -> Self {
        self.code = other.code;
        self.stdout.clone_from(&other.stdout);
        self.stderr.clone_from(&other.stderr);
        self.rest.clone_from(&other.rest);
        self.dropped = other.dropped;
        self
    }
}
