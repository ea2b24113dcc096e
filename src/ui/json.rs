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
//! Of an output that is larger than what is kept, `dropped` bytes are missing at its end.
//! A `place` is `{"file", "line", "column"}`, a `diff` is `{"name", "before", "after"}`; both may be null.

use super::{Renderer, Sink};
use crate::event::{Event, Outcome, TaskId, Traffic};
use crate::report::{Counts, Report, STATUSES};
use crate::timing::{HostTime, PlayTime, Spent, Step, TaskTime, Timing};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
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
        // Not as one text first: outputs can be large.
        self.out.json(&Value::Object(line));
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
                let mut fields = of(host, task);
                finished(&mut fields, outcome);
                self.line("task_finished", Value::Object(fields));
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

fn finished(fields: &mut Map<String, Value>, outcome: &Outcome) {
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    put("status", json!(super::style::word(outcome.status, false)));
    put("module", json!(outcome.module));
    put("message", json!(outcome.message));
    put("help", json!(outcome.help));
    put("shown", json!(outcome.shown));
    let diff = outcome
        .diff
        .as_ref()
        .map(|diff| json!({"name": diff.name, "before": diff.before, "after": diff.after}));
    put("diff", json!(diff));
    put("command", json!(outcome.command));
    put("code", json!(outcome.code));
    exact(fields, "stdout", &outcome.stdout);
    exact(fields, "stderr", &outcome.stderr);
    fields.insert("dropped".to_owned(), json!(outcome.dropped));
    let place = outcome.place.as_ref().map(|place| {
        let (line, column) = place.line_column();
        json!({"file": place.source.name(), "line": line, "column": column})
    });
    fields.insert("place".to_owned(), json!(place));
    fields.insert("result".to_owned(), Value::Object(outcome.result.clone()));
    fields.insert("took".to_owned(), json!(outcome.took.as_secs_f64()));
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
