//! One JSON object per line, for programs.
//!
//! Each line has `event`, the name of an [`Event`] in snake case, and `time` (RFC 3339, UTC). Durations are
//! `took`, in seconds. The first line, `run_started`, has `version`, which grows when a field changes its
//! meaning or goes away; new fields may come at any time. The last line, `run_finished`, has `exit_code`,
//! `totals`, and under `hosts` the counts of each host.
//!
//! | event | fields |
//! | --- | --- |
//! | `run_started` | `version`, `id`, `name`, `hosts`, `plays` (how many will run), `check` |
//! | `play_started` | `play`, `name`, `hosts`, `tasks` |
//! | `connecting` | `host` |
//! | `connected` | `host`, `took` |
//! | `task_started` | `host`, and the task: `play`, `index`, `name`, `item` (or null) |
//! | `task_output` | `host`, `line` |
//! | `transfer` | `host`, `done`, `total` (or null), `rate` (bytes of the file a second, lately), `compressed` |
//! | `task_retry` | `host`, the task, `left` |
//! | `task_finished` | `host`, the task, `status`, `module`, `message`, `help`, `shown`, `diff`, `command`, `code`, `stdout`, `stderr`, `dropped`, `place`, `result`, `took` |
//! | `host_lost` | `host`, `status`, `message`, `help` |
//! | `exchanged` | `host`, `took`, `exchanges`, `sent`, `received` (bytes) |
//! | `barrier` | `play`: its hosts have come as far as they may go alone |
//! | `play_finished` | `play` |
//! | `locked` | `hosts`, whose lock another run holds; `waits` (this run waits for it, else it ends); of that run `run`, `by`, `what`, `since`, `process` and `owner` (on the first of the hosts), `gone` (it was left behind) |
//! | `warning` | `message` |
//! | `interrupted` | `signal` |
//! | `timing` | only with `--timing`: `took`, `spent`, `path`, `plays`, `hosts`; see below |
//! | `run_finished` | `took`, `signal`, `totals`, `hosts`, `exit_code` |
//!
//! `timing` says where the time went. `path` is what the run waited for, step by step: `play`, `host`, `task` (null: its
//! connection), `took`, and of that in `spent`: `connecting`, `host` (asked, and not answered yet), `pause` (between tries)
//! and `controller` (the rest). Each of `plays` has `tasks` with `hosts`, `wall`, `median`, `slowest`, `slowest_host`,
//! `exchanges`, `sent` and `received`; each of `hosts` has `connecting`, `busy` and the same traffic.
//!
//! Outputs are exact: bytes that are not UTF-8 are in `stdout_base64`, `stderr_base64` or `line_base64` instead.
//! However large it is, it comes whole; of one that is larger than what a play keeps, `dropped` bytes are missing at its end.
//! A `place` is `{"file", "line", "column"}`, a `diff` is `{"name", "before", "after"}`; both may be null.

use super::said::{Base64, Said, Text};
use super::{Renderer, Sink};
use crate::event::{Event, Outcome, TaskId, Traffic};
use crate::report::{Counts, Report, STATUSES};
use crate::spool::Rest;
use crate::timing::{HostTime, PlayTime, Spent, Step, TaskTime, Timing};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use std::time::SystemTime;

/// The version of the lines' schema.
pub const VERSION: u32 = 1;

/// Writes events as JSON lines.
pub struct Json {
    out: Sink,
    clock: Box<dyn Fn() -> SystemTime + Send>,
}

impl Json {
    /// Writes to `out`, with the time that `clock` tells.
    pub fn new(out: Sink, clock: impl Fn() -> SystemTime + Send + 'static) -> Self {
        let clock = Box::new(clock);
        Self { out, clock }
    }

    fn line(&mut self, event: &str, fields: Value) {
        let mut line = Map::new();
        line.insert("event".to_owned(), json!(event));
        line.insert("time".to_owned(), json!(rfc3339((self.clock)())));
        if let Value::Object(fields) = fields {
            line.extend(fields);
        }
        self.write(&Value::Object(line));
    }

    /// Not as one text first: outputs can be large.
    fn write(&mut self, line: &impl Serialize) {
        self.out.json(line);
        self.out.text("\n");
        self.out.flush();
    }
}

impl Renderer for Json {
    fn event(&mut self, event: &Event) {
        match event {
            Event::RunStarted { id, name, hosts, plays, check } => self.line(
                "run_started",
                json!({"version": VERSION, "id": id.as_str(), "name": name, "hosts": hosts, "plays": plays, "check": check}),
            ),
            Event::PlayStarted {
                play,
                name,
                hosts,
                tasks,
            } => self.line(
                "play_started",
                json!({"play": play, "name": name, "hosts": hosts, "tasks": tasks}),
            ),
            Event::Connecting { host } => self.line("connecting", json!({"host": host})),
            Event::Connected { host, took } => {
                self.line("connected", json!({"host": host, "took": took.as_secs_f64()}));
            }
            Event::TaskStarted { host, task } => {
                self.line("task_started", Value::Object(of(host, task)));
            }
            Event::Exchanged { host, took, traffic } => self.line(
                "exchanged",
                with(traffic, json!({"host": host, "took": took.as_secs_f64()})),
            ),
            Event::Transfer { host, transfer } => self.line(
                "transfer",
                json!({
                    "host": host,
                    "done": transfer.done,
                    "total": transfer.total,
                    "rate": transfer.rate,
                    "compressed": transfer.compressed,
                }),
            ),
            Event::TaskOutput { host, line } => {
                let mut fields = Map::new();
                fields.insert("host".to_owned(), json!(host));
                exact(&mut fields, "line", line);
                self.line("task_output", Value::Object(fields));
            }
            Event::TaskRetry { host, task, left } => {
                let mut fields = of(host, task);
                fields.insert("left".to_owned(), json!(left));
                self.line("task_retry", Value::Object(fields));
            }
            Event::TaskFinished {
                host,
                task,
                outcome,
            } => {
                let time = rfc3339((self.clock)());
                self.write(&finished(&time, of(host, task), outcome));
            }
            Event::HostLost {
                host,
                status,
                message,
                help,
            } => self.line(
                "host_lost",
                json!({"host": host, "status": super::style::word(*status, false), "message": message, "help": help}),
            ),
            Event::Barrier { play } => self.line("barrier", json!({"play": play})),
            Event::PlayFinished { play } => self.line("play_finished", json!({"play": play})),
            Event::Locked { holder, hosts, waits } => self.line(
                "locked",
                json!({
                    "hosts": hosts,
                    "waits": waits,
                    "run": holder.run,
                    "by": holder.by,
                    "what": holder.what,
                    "since": holder.since,
                    "process": holder.process,
                    "owner": holder.owner,
                    "gone": holder.gone,
                }),
            ),
            Event::Warning { message } => self.line("warning", json!({"message": message})),
            Event::Interrupted { signal } => self.line("interrupted", json!({"signal": signal})),
            // For the journal.
            Event::Acting { .. } | Event::TurnFinished { .. } => {}
            // The last line is written when all counts are known.
            Event::RunFinished { .. } => {}
        }
    }

    fn finish(&mut self, report: &Report) {
        if let Some(timing) = report.timing() {
            self.line("timing", timing_fields(timing));
        }
        let hosts: Map<String, Value> = report
            .hosts()
            .iter()
            .map(|host| (host.clone(), counts(&report.counts(host))))
            .collect();
        self.line(
            "run_finished",
            json!({
                "took": report.took().as_secs_f64(),
                "signal": report.signal(),
                "totals": counts(&report.totals()),
                "hosts": hosts,
                "exit_code": report.exit_code(),
            }),
        );
    }
}

fn of(host: &str, task: &TaskId) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("host".to_owned(), json!(host));
    fields.insert("play".to_owned(), json!(task.play));
    fields.insert("index".to_owned(), json!(task.index));
    fields.insert("name".to_owned(), json!(task.name));
    fields.insert("item".to_owned(), json!(task.item));
    fields
}

/// A line whose outputs stay where they are.
struct Finished<'a>(Vec<(&'a str, Field<'a>)>);

enum Field<'a> {
    Value(Value),
    Said(Said<'a>),
    Base64(Said<'a>),
}

impl Serialize for Finished<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(key, field)| (key, field)))
    }
}

impl Serialize for Field<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Field::Value(value) => value.serialize(to),
            Field::Said(said) => to.collect_str(&Text(*said)),
            Field::Base64(said) => to.collect_str(&Base64(*said)),
        }
    }
}

/// Bytes without loss: as text if they are UTF-8, else in base64 under another name.
fn exactly<'a>(names: [&'a str; 2], start: &'a [u8], rest: &'a Rest) -> (&'a str, Field<'a>) {
    let said = Said { start, rest };
    match said.is_text() {
        true => (names[0], Field::Said(said)),
        false => (names[1], Field::Base64(said)),
    }
}

fn finished<'a>(time: &str, task: Map<String, Value>, outcome: &'a Outcome) -> Finished<'a> {
    let diff = outcome
        .diff
        .as_ref()
        .map(|diff| json!({"name": diff.name, "before": diff.before, "after": diff.after}));
    let place = outcome.place.as_ref().map(|place| {
        let (line, column) = place.line_column();
        json!({"file": place.source.name(), "line": line, "column": column})
    });
    let mut task = task;
    let value = |key, value| (key, Field::Value(value));
    let mut of = |key| value(key, task.remove(key).unwrap_or_default());
    Finished(vec![
        value("event", json!("task_finished")),
        value("time", json!(time)),
        of("host"),
        of("play"),
        of("index"),
        of("name"),
        of("item"),
        value("status", json!(super::style::word(outcome.status, false))),
        value("module", json!(outcome.module)),
        value("message", json!(outcome.message)),
        value("help", json!(outcome.help)),
        value("shown", json!(outcome.shown)),
        value("diff", json!(diff)),
        value("command", json!(outcome.command)),
        value("code", json!(outcome.code)),
        exactly(
            ["stdout", "stdout_base64"],
            &outcome.stdout,
            &outcome.rest.stdout,
        ),
        exactly(
            ["stderr", "stderr_base64"],
            &outcome.stderr,
            &outcome.rest.stderr,
        ),
        value("dropped", json!(outcome.missing())),
        value("place", json!(place)),
        value("result", Value::Object(outcome.result.clone())),
        value("took", json!(outcome.took.as_secs_f64())),
    ])
}

/// Adds what went to a host and came back.
fn with(traffic: &Traffic, mut fields: Value) -> Value {
    fields["exchanges"] = json!(traffic.exchanges);
    fields["sent"] = json!(traffic.sent);
    fields["received"] = json!(traffic.received);
    fields
}

fn timing_fields(timing: &Timing) -> Value {
    let spent = |spent: Spent| {
        json!({
            "connecting": spent.connecting.as_secs_f64(),
            "host": spent.host.as_secs_f64(),
            "pause": spent.pause.as_secs_f64(),
            "controller": spent.controller.as_secs_f64(),
        })
    };
    let step = |step: &Step| {
        json!({
            "play": step.play,
            "host": step.host,
            "task": step.task,
            "took": step.wall.as_secs_f64(),
            "spent": spent(step.spent),
        })
    };
    let task = |(index, task): (usize, &TaskTime)| {
        let (slowest, host) = timing.slowest(task);
        let fields = json!({
            "index": index,
            "name": task.name,
            "hosts": task.hosts(),
            "wall": task.wall().as_secs_f64(),
            "median": task.median().as_secs_f64(),
            "slowest": slowest.as_secs_f64(),
            "slowest_host": host,
        });
        with(&task.traffic, fields)
    };
    let play = |(index, play): (usize, &PlayTime)| {
        let tasks: Vec<Value> = play.tasks().map(task).collect();
        let wall = play.wall.as_secs_f64();
        let fields = json!({"play": index, "name": play.name, "hosts": play.hosts, "wall": wall, "tasks": tasks});
        with(&play.traffic, fields)
    };
    let host = |host: &HostTime| {
        let (connecting, busy) = (host.connecting.as_secs_f64(), host.busy.as_secs_f64());
        let fields = json!({"host": host.name, "connecting": connecting, "busy": busy});
        with(&host.traffic, fields)
    };
    json!({
        "took": timing.took().as_secs_f64(),
        "spent": spent(timing.spent()),
        "path": timing.path().iter().map(step).collect::<Vec<_>>(),
        "plays": timing.plays().map(play).collect::<Vec<_>>(),
        "hosts": timing.hosts().iter().map(host).collect::<Vec<_>>(),
    })
}

/// Bytes without loss: as text if they are UTF-8, else in base64 under another name.
fn exact(fields: &mut Map<String, Value>, key: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => fields.insert(key.to_owned(), json!(text)),
        Err(_) => fields.insert(format!("{key}_base64"), json!(STANDARD.encode(bytes))),
    };
}

fn counts(counts: &Counts) -> Value {
    let all = STATUSES.iter().map(|status| {
        let word = super::style::word(*status, false);
        (word.to_owned(), json!(counts.get(*status)))
    });
    Value::Object(all.collect())
}

/// A point in time as `2026-03-01T12:00:00.123Z`.
pub fn rfc3339(time: SystemTime) -> String {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = since.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        seconds / 3600 % 24,
        seconds / 60 % 60,
        seconds % 60,
        since.subsec_millis(),
    )
}

/// The date of a day, counted from 1970-01-01.
///
/// Years are counted from March, so that the leap day is the last of its year, in eras of 400 years.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let of_era = days % 146_097;
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_rfc_3339() {
        let at = |seconds| rfc3339(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        assert_eq!(at(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(951_868_799), "2000-02-29T23:59:59.000Z");
        assert_eq!(at(1_735_689_599), "2024-12-31T23:59:59.000Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn bytes_that_are_no_text_are_kept() {
        let mut fields = Map::new();
        exact(&mut fields, "stdout", b"a\x1b\n");
        exact(&mut fields, "stderr", b"\xff\x00");
        let line = Value::Object(fields).to_string();
        assert_eq!(line, r#"{"stdout":"a\u001b\n","stderr_base64":"/wA="}"#);
    }
}
