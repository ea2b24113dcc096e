//! What the screen shows of made-up runs on the 26 hosts.

#![allow(clippy::unwrap_used)]

use runner::diagnostic::Source;
use runner::event::{Event, Outcome, Status, TaskId};
use runner::report::Report;
use runner::ui::{self, Options, Output, Sink, Terminal};
use serde_json::Map;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const HOSTS: [&str; 26] = [
    "gp22aitppapn50h",
    "gp22aitppap3j1z",
    "gp22aitppap224s",
    "gp22aitppapqbnp",
    "gp22aitppapggck",
    "gp22aitppapagzs",
    "gp22aitppapnha1",
    "gp22aitppap1a0m",
    "gp22aitppapa69j",
    "gp22aitppapwa92",
    "gp22aitppap9mtz",
    "gp22aitppapcsve",
    "gp22aitppap92xg",
    "gp22aitppapch5z",
    "gp22aitppapy9ku",
    "gp22aitppapkkpt",
    "gp22aitppap3jmy",
    "gp22aitppapvgr5",
    "gp22aitppapjbfv",
    "gp22aitppapwc2g",
    "gp22aitppapxpeg",
    "gp22aitppap7keb",
    "gp22aitppapnch3",
    "gp22aitppaphhq1",
    "gp22aitppapssw8",
    "gp22aitppap71ux",
];

/// A writer whose text can be read back.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

fn hosts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn run(check: bool) -> Event {
    Event::RunStarted {
        name: "playbooks/deploy.toml".to_owned(),
        hosts: hosts(&HOSTS),
        check,
    }
}

fn play(play: usize, name: &str, of: &[&str], tasks: usize) -> Event {
    Event::PlayStarted {
        play,
        name: name.to_owned(),
        hosts: hosts(of),
        tasks,
    }
}

fn outcome(status: Status) -> Outcome {
    Outcome {
        status,
        module: "command",
        message: String::new(),
        help: Vec::new(),
        shown: None,
        diff: None,
        code: None,
        stdout: Vec::new(),
        stderr: Vec::new(),
        place: None,
        result: Map::new(),
        took: Duration::from_millis(200),
    }
}

fn task(play: usize, index: usize, name: &str) -> TaskId {
    TaskId {
        play,
        index,
        name: name.to_owned(),
        item: None,
    }
}

fn done(host: &str, task: &TaskId, outcome: Outcome) -> Event {
    Event::TaskFinished {
        host: host.to_owned(),
        task: task.clone(),
        outcome: Box::new(outcome),
    }
}

fn over(seconds: u64) -> Event {
    Event::RunFinished {
        took: Duration::from_secs(seconds),
    }
}

/// What a run shows on both streams, and its report.
fn show(options: Options, events: &[Event]) -> (String, String, Report) {
    let (out, err) = (Shared::default(), Shared::default());
    let sinks = (Sink::new(out.clone()), Sink::new(err.clone()));
    let mut renderer = ui::choose(options, Terminal::default(), sinks.0, sinks.1);
    let mut report = Report::new();
    for event in events {
        report.event(event);
        renderer.event(event);
    }
    renderer.finish(&report);
    (out.text(), err.text(), report)
}

#[test]
fn a_finished_cluster_says_that_nothing_changed() {
    let mut events = vec![run(false), play(0, "hosts", &HOSTS, 2)];
    for (index, name) in [(0, "data directories"), (1, "configuration")] {
        let task = task(0, index, name);
        events.extend(HOSTS.map(|host| done(host, &task, outcome(Status::Ok))));
    }
    events.extend([Event::PlayFinished { play: 0 }, over(3)]);
    let (out, err, report) = show(Options::default(), &events);
    insta::assert_snapshot!(out);
    assert_eq!(err, "");
    assert_eq!(report.exit_code(), 0);
}

#[test]
fn failures_come_at_once_and_the_same_one_comes_once() {
    let source = Source::new(
        "playbooks/zookeeper.toml",
        "[[play]]\nname = \"x\"\n\n[[play.task]]\nname = \"configuration\"\n",
    );
    let mut events = vec![run(false), play(0, "hosts", &HOSTS, 1)];
    let task = task(0, 0, "configuration");
    for (at, host) in HOSTS.into_iter().enumerate() {
        match at {
            0 | 5 => events.push(Event::HostLost {
                host: host.to_owned(),
                status: Status::Unreachable,
                message: format!("no answer from 29.16.21.{}:22 within 10 s", 64 + at),
                help: vec!["is the host up? try `ping`".to_owned()],
            }),
            11..14 => {
                let stderr: String = (1..=25)
                    .map(|n| format!("line {n} of \x1b[31mtrouble\n"))
                    .collect();
                let failed = Outcome {
                    message: "cannot write /home/dcos/zookeeper.conf".to_owned(),
                    help: vec!["free some space on /home".to_owned()],
                    code: Some(1),
                    stderr: stderr.into_bytes(),
                    place: Some(source.place(21..33)),
                    ..outcome(Status::Failed)
                };
                events.push(done(host, &task, failed));
            }
            20 => events.push(done(host, &task, outcome(Status::Changed))),
            _ => events.push(done(host, &task, outcome(Status::Ok))),
        }
    }
    events.extend([Event::PlayFinished { play: 0 }, over(200)]);
    let (out, _, report) = show(Options::default(), &events);
    insta::assert_snapshot!(out);
    assert_eq!(report.exit_code(), 6);
}

#[test]
fn json_is_one_event_per_line() {
    let task = task(0, 0, "uptime");
    let result = Outcome {
        stdout: b"up\xff\n".to_vec(),
        code: Some(0),
        ..outcome(Status::Changed)
    };
    let events = [run(false), done(HOSTS[0], &task, result), over(1)];
    let options = Options {
        output: Output::Json,
        ..Options::default()
    };
    let (out, _, _) = show(options, &events);
    let lines: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<_> = lines
        .iter()
        .map(|line| line["event"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["run_started", "task_finished", "run_finished"]);
    assert_eq!(lines[0]["version"], 1);
    assert_eq!(lines[1]["stdout_base64"], "dXD/Cg==");
    assert_eq!(lines[1]["stderr"], "");
    assert_eq!(lines[2]["totals"]["changed"], 1);
    assert_eq!(lines[2]["exit_code"], 0);
}
