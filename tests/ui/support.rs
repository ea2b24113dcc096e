//! Made-up runs, and a writer and a terminal whose contents can be read back.

use runner::event::{Event, Outcome, Status, TaskId};
use runner::report::Report;
use runner::ui::{self, Options, Sink, Terminal};
use serde_json::Map;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub const HOSTS: [&str; 26] = [
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
pub struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

pub fn hosts(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

pub fn run(check: bool) -> Event {
    Event::RunStarted {
        name: "playbooks/deploy.toml".to_owned(),
        hosts: hosts(&HOSTS),
        check,
    }
}

pub fn play(play: usize, name: &str, of: &[&str], tasks: usize) -> Event {
    Event::PlayStarted {
        play,
        name: name.to_owned(),
        hosts: hosts(of),
        tasks,
    }
}

pub fn outcome(status: Status) -> Outcome {
    Outcome {
        status,
        module: "command",
        message: String::new(),
        help: Vec::new(),
        shown: None,
        diff: None,
        command: None,
        code: None,
        stdout: Vec::new(),
        stderr: Vec::new(),
        place: None,
        result: Map::new(),
        took: Duration::from_millis(200),
    }
}

pub fn task(play: usize, index: usize, name: &str) -> TaskId {
    TaskId {
        play,
        index,
        name: name.to_owned(),
        item: None,
    }
}

pub fn done(host: &str, task: &TaskId, outcome: Outcome) -> Event {
    Event::TaskFinished {
        host: host.to_owned(),
        task: task.clone(),
        outcome: Box::new(outcome),
    }
}

pub fn over(seconds: u64) -> Event {
    Event::RunFinished {
        took: Duration::from_secs(seconds),
    }
}

/// What a run shows on both streams, and its report.
pub fn show(options: Options, events: &[Event]) -> (String, String, Report) {
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

/// A terminal that knows the few sequences that a live screen may use.
pub struct Screen {
    columns: usize,
    rows: Vec<String>,
    row: usize,
}

impl Screen {
    pub fn new(columns: usize) -> Self {
        Self {
            columns,
            rows: vec![String::new()],
            row: 0,
        }
    }

    /// Takes in what was written. Colors are dropped.
    pub fn write(&mut self, text: &str) {
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            rest = &rest[character.len_utf8()..];
            match character {
                '\n' => {
                    self.row += 1;
                    if self.row == self.rows.len() {
                        self.rows.push(String::new());
                    }
                }
                // The cursor is at the start of a row, or its row is written anew from there.
                '\r' => {}
                '\x1b' => {
                    let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                    let (code, letter) = (&rest[1..end], &rest[end..=end]);
                    rest = &rest[end + 1..];
                    match letter {
                        "A" => self.row -= code.parse::<usize>().unwrap(),
                        "K" => self.rows[self.row].clear(),
                        "J" => {
                            self.rows.truncate(self.row + 1);
                            self.rows[self.row].clear();
                        }
                        "m" => {}
                        other => unreachable!("a live screen has no use for {other}"),
                    }
                }
                _ => {
                    self.rows[self.row].push(character);
                    let used = unicode_width::UnicodeWidthStr::width(self.rows[self.row].as_str());
                    assert!(used <= self.columns, "too wide: {}", self.rows[self.row]);
                }
            }
        }
    }

    pub fn text(&self) -> String {
        let rows: Vec<&str> = self.rows.iter().map(|row| row.trim_end()).collect();
        rows.join("\n")
    }
}
