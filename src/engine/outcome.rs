//! What became of a task, from the first answer to the line on the screen.

mod trouble;

use super::cutter::KEPT;
use crate::diagnostic::Problems;
use crate::event::{Outcome, Status, TurnResult};
use crate::modules::{Diff, Done, Failure};
use crate::playbook::Task;
use crate::run_id::RunId;
use crate::spool::{Rest, Rests};
use serde_json::{Map, Value, json};
use std::time::Duration;
pub(super) use trouble::{abandoned, trouble};

/// Whether a host is still in the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Well,
    Failed,
    Lost,
}

/// What follows from a task for its host.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// It changed something: handlers are notified.
    pub changed: bool,
    /// The host leaves the play.
    pub leaves: Option<State>,
}

/// Everything known about how a task went on a host.
#[derive(Debug, Clone)]
pub(super) struct Full {
    pub status: Status,
    pub message: String,
    pub help: Vec<String>,
    pub shown: Option<String>,
    pub diff: Option<Diff>,
    pub command: Option<String>,
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub rest: Rests,
    pub dropped: u64,
    pub result: Map<String, Value>,
    pub facts: Map<String, Value>,
    /// Under `--check` it did not run, so there is no result to register.
    pub absent: bool,
    /// What was printed and registered holds secrets.
    pub secret: bool,
}

impl Full {
    pub(super) fn new(status: Status, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            help: Vec::new(),
            shown: None,
            diff: None,
            command: None,
            code: None,
            stdout: Vec::new(),
            stderr: Vec::new(),
            rest: Rests::default(),
            dropped: 0,
            result: Map::new(),
            facts: Map::new(),
            absent: false,
            secret: false,
        }
    }

    /// Takes what the last action said.
    pub(super) fn said(mut self, done: Option<Done>) -> Self {
        if let Some(done) = done {
            self.code = Some(done.code);
            self.stdout = done.stdout;
            self.stderr = done.stderr;
            self.rest = done.rest;
            self.dropped = done.dropped;
        }
        self
    }

    /// Fails for want of what was said, where that is the result.
    pub(super) fn cut(mut self) -> Self {
        if self.dropped > 0 && self.status != Status::Failed {
            self.status = Status::Failed;
            let file = "have it write to a file on the host, and `fetch` that";
            (self.message, self.help) = match self.rest.broken() {
                Some(why) => {
                    let message = format!(
                        "it ran well, and the last {} bytes of what it said are missing: {why}",
                        self.dropped
                    );
                    let folder = "name a folder with more room in TMPDIR";
                    (message, vec![folder.to_string(), format!("or {file}")])
                }
                None => {
                    let kept = KEPT / 1024 / 1024;
                    let message = format!(
                        "it ran well and said too much: {} more bytes than the {kept} MiB that are kept",
                        self.dropped
                    );
                    (message, vec![file.to_string()])
                }
            };
        }
        self
    }

    pub(super) fn failed(&self) -> bool {
        matches!(
            self.status,
            Status::Failed
                | Status::Unknown
                | Status::Unreachable
                | Status::Refused
                | Status::Guarded
        )
    }

    /// The value that `register` keeps.
    pub(super) fn value(&self) -> Value {
        let mut value = self.result.clone();
        let stdout = String::from_utf8_lossy(&self.stdout);
        let stdout = stdout.strip_suffix('\n').unwrap_or(&stdout);
        let stderr = String::from_utf8_lossy(&self.stderr);
        let stderr = stderr.strip_suffix('\n').unwrap_or(&stderr);
        let mut set = |key: &str, to: Value| {
            value.entry(key.to_string()).or_insert(to);
        };
        set("changed", json!(self.status == Status::Changed));
        set("failed", json!(self.failed()));
        set("skipped", json!(self.status == Status::Skipped));
        set("msg", json!(self.message));
        if let Some(code) = self.code {
            set("rc", json!(code));
            set("stdout", json!(stdout));
            set("stderr", json!(stderr));
        }
        Value::Object(value)
    }

    /// Turns a failure that does not matter into an ignored one, and says what follows.
    pub(super) fn verdict(&mut self, ignore: bool) -> Verdict {
        if ignore && self.status == Status::Failed {
            self.status = Status::Ignored;
        }
        Verdict {
            changed: self.status == Status::Changed,
            leaves: match self.status {
                Status::Failed | Status::Guarded | Status::Cancelled => Some(State::Failed),
                Status::Unreachable | Status::Refused | Status::Unknown => Some(State::Lost),
                _ => None,
            },
        }
    }

    /// One turn of a loop, for those who keep it; withheld where it holds secrets.
    pub(super) fn turn(&self, task: &Task, item: Option<&Value>) -> TurnResult {
        let hidden = task.no_log || self.secret;
        TurnResult {
            status: self.status,
            message: match task.no_log {
                true => String::new(),
                false => self.message.clone(),
            },
            item: item.filter(|_| !task.no_log).cloned(),
            value: (!hidden).then(|| (self.value(), self.facts.clone())),
        }
    }

    /// The same turn again, from what was kept of it.
    pub(super) fn from_turn(turn: &TurnResult) -> Self {
        let mut full = Self::new(turn.status, turn.message.clone());
        if let Some((Value::Object(value), facts)) = &turn.value {
            full.result.clone_from(value);
            full.facts.clone_from(facts);
        }
        full
    }

    /// As an event; under `no_log` without anything that was said.
    pub(super) fn event(self, task: &Task, took: Duration) -> Outcome {
        let mut outcome = Outcome {
            status: self.status,
            module: task.spec.name.into(),
            message: self.message,
            help: self.help,
            shown: self.shown,
            diff: self.diff,
            command: self.command,
            code: self.code,
            stdout: self.stdout,
            stderr: self.stderr,
            rest: self.rest,
            dropped: self.dropped,
            place: Some(task.place.clone()),
            result: self.result,
            produced: Vec::new(),
            took,
        };
        if self.secret {
            outcome.stdout.clear();
            outcome.rest.stdout = Rest::default();
            outcome.result.clear();
        }
        if task.no_log {
            outcome.message = "hidden by no_log".to_string();
            outcome.help.clear();
            outcome.shown = None;
            outcome.diff = None;
            outcome.command = None;
            outcome.stdout.clear();
            outcome.stderr.clear();
            outcome.rest = Rests::default();
            outcome.dropped = 0;
            outcome.result.clear();
        }
        outcome
    }
}

/// A task that a run before has finished here.
pub(super) fn before(run: Option<&RunId>) -> Full {
    let mut full = skipped(match run {
        Some(run) => format!("finished in run {run}"),
        None => "finished in a run before".to_string(),
    });
    // What it has registered stays.
    full.absent = true;
    full
}

/// Why a host stops before its work is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Early {
    /// The operator wants it.
    Stopped,
    /// Another host has failed.
    Failure,
    /// Another run holds a lock.
    Locked,
}

/// A task that was not begun, since the run ends early.
pub(super) fn not_begun(why: Early) -> Full {
    let message = match why {
        Early::Stopped => "not begun: stopped by the operator",
        Early::Failure => "not begun: another host has failed",
        Early::Locked => "not begun: another run holds the lock",
    };
    let mut full = Full::new(Status::Cancelled, message);
    full.absent = true;
    full
}

/// A task that has done nothing yet, or nothing more, since another run holds a lock.
pub(super) fn locked() -> Full {
    not_begun(Early::Locked)
}

/// A task whose file has arrived. If what puts it in its place was not begun, nothing has removed it either; if nobody knows what became of
/// that, nobody knows of the file.
pub(super) fn left_behind(mut full: Box<Full>, temporary: &str) -> Box<Full> {
    let unsure = [Status::Cancelled, Status::Unreachable, Status::Unknown];
    if !unsure.contains(&full.status) {
        return full;
    }
    full.help.push(format!(
        "what has arrived may be left on the host as {temporary}: this task removes it when it runs again"
    ));
    full
}

/// A task whose condition does not hold.
pub(super) fn skipped(why: String) -> Full {
    Full::new(Status::Skipped, why)
}

/// A task that is wrong for this host, found only now.
pub(super) fn wrong(problems: &Problems) -> Full {
    let mut lines = problems.iter().map(|problem| match &problem.place {
        Some(place) => format!("{} ({place})", problem.message),
        None => problem.message.clone(),
    });
    let status = match problems.iter().any(|problem| problem.guard) {
        true => Status::Guarded,
        false => Status::Failed,
    };
    let mut full = Full::new(status, lines.next().unwrap_or_default());
    full.help = problems
        .iter()
        .flat_map(|problem| problem.help.clone())
        .collect();
    full.help.splice(0..0, lines);
    full
}

/// A task that needs a value which no task has produced.
pub(super) fn too_early(name: &str, check: bool) -> Full {
    if check {
        let mut full = skipped(format!("needs `{name}`, which --check does not produce"));
        full.absent = true;
        return full;
    }
    let mut full = Full::new(Status::Failed, format!("`{name}` is not set"));
    full.help.push(format!(
        "the task that registers or sets `{name}` did not run on this host"
    ));
    full
}

/// A module's own failure.
pub(super) fn failure(failure: Failure) -> Full {
    let status = if failure.guard {
        Status::Guarded
    } else {
        Status::Failed
    };
    let mut full = Full::new(status, failure.message);
    full.help = failure.help;
    full
}

/// An action that ended with a code other than 0.
pub(super) fn bad_code(done: Done) -> Full {
    let message = match done.code {
        code @ 129..=165 => format!("killed by signal {}", code - 128),
        126 => "exit code 126: it cannot be executed".to_string(),
        127 => "exit code 127: command not found".to_string(),
        code => format!("exit code {code}"),
    };
    Full::new(Status::Failed, message).said(Some(done))
}

/// A module's own action that failed: what it complains about is the cause.
pub(super) fn bad_action(mut done: Done) -> Full {
    let said = String::from_utf8_lossy(&done.stderr);
    let lines = said.lines().filter(|line| !line.trim().is_empty());
    let Some(cause) = lines.clone().next_back() else {
        return bad_code(done);
    };
    let cause = cause.trim().to_string();
    if lines.count() == 1 {
        done.stderr.clear();
    }
    Full::new(Status::Failed, cause).said(Some(done))
}

/// One outcome of all turns of a task.
pub(super) fn join(mut turns: Vec<(Option<Value>, Full)>, looped: bool) -> Full {
    if !looped {
        return turns
            .pop()
            .map_or_else(|| skipped("nothing to do".into()), |(_, full)| full);
    }
    let results: Vec<Value> = turns
        .iter()
        .map(|(item, full)| {
            let mut value = full.value();
            if let (Value::Object(map), Some(item)) = (&mut value, item) {
                map.insert("item".into(), item.clone());
            }
            value
        })
        .collect();
    let count = turns.len();
    let mut facts = Map::new();
    let mut shown = Vec::new();
    let absent = turns.iter().any(|(_, full)| full.absent);
    for (_, full) in &mut turns {
        facts.append(&mut full.facts);
        shown.extend(full.shown.take());
    }
    let level = turns.iter().map(|(_, full)| rank(full.status)).max();
    let named = turns
        .iter()
        .filter(|(_, full)| Some(rank(full.status)) == level);
    let items: Vec<String> = named
        .clone()
        .map(|(item, _)| words(item.as_ref()))
        .collect();
    let mut full = match named.map(|(_, full)| full.clone()).next() {
        None => skipped("the loop has no items".to_string()),
        Some(mut full) => {
            full.message = match full.status {
                Status::Skipped | Status::Ok => full.message,
                Status::Changed => {
                    format!("{} of {count} items: {}", items.len(), items.join(", "))
                }
                _ => format!("item {}: {}", items.join(", "), full.message),
            };
            full
        }
    };
    full.facts = facts;
    full.absent = absent;
    full.shown = (!shown.is_empty()).then(|| shown.join("\n"));
    full.result.insert("results".into(), Value::Array(results));
    full
}

/// How much to worry about one turn of a loop: the worst speaks for all.
fn rank(status: Status) -> u8 {
    match status {
        Status::Skipped => 0,
        Status::Ok => 1,
        Status::Changed => 2,
        Status::Ignored => 3,
        Status::Cancelled => 4,
        Status::Failed => 5,
        Status::Unreachable | Status::Refused => 6,
        Status::Unknown => 7,
        Status::Guarded => 8,
    }
}

/// An item in a few words.
pub(super) fn words(item: Option<&Value>) -> String {
    match item {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Object(map)) => match map.get("name").or_else(|| map.values().next()) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => "{}".to_string(),
        },
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Source;

    #[test]
    fn what_holds_secrets_is_registered_and_not_shown() {
        let node = crate::document::parse(&Source::new("task", "command = \"true\"")).unwrap();
        let task = crate::playbook::one_task(&node).unwrap();
        let mut full = Full::new(Status::Changed, "joined");
        full.stdout = b"SWMTKN-1".to_vec();
        full.result.insert("worker_token".into(), json!("SWMTKN-1"));
        full.secret = true;
        assert_eq!(full.value()["worker_token"], "SWMTKN-1");
        let shown = full.event(&task, Duration::ZERO);
        assert_eq!(shown.message, "joined");
        assert!(!format!("{shown:?}").contains("SWMTKN"));
    }
}
