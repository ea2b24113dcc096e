//! Made-up runs, and a writer and a terminal whose contents can be read back.

use indicatif::TermLike;
use runner::event::{Event, Outcome, Status, TaskId};
use runner::report::Report;
use runner::ui::{self, Options, Sink, Terminal};
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
        id: "20260203-040506-9f3a".parse().unwrap(),
        name: "playbooks/deploy.toml".to_owned(),
        hosts: hosts(&HOSTS),
        plays: 3,
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
        took: Duration::from_millis(200),
        ..Outcome::new(status, "command")
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

/// A terminal that wraps, and that wraps anew when its width changes. Colors are dropped.
#[derive(Clone, Debug)]
pub struct Screen(Arc<Mutex<Grid>>);

#[derive(Debug)]
struct Grid {
    columns: usize,
    rows: Vec<String>,
    row: usize,
    /// What has been written and not been sent on its way.
    waiting: Vec<Op>,
    /// How often something was sent.
    flushes: usize,
}

#[derive(Debug)]
enum Op {
    Up(usize),
    Down(usize),
    Clear,
    Text(String),
}

impl Screen {
    pub fn new(columns: usize) -> Self {
        Self(Arc::new(Mutex::new(Grid {
            columns,
            rows: vec![String::new()],
            row: 0,
            waiting: Vec::new(),
            flushes: 0,
        })))
    }

    pub fn resize(&self, columns: usize) {
        let mut grid = self.0.lock().unwrap();
        let row = grid.row;
        let below = grid.rows.split_off(row + 1);
        assert!(
            below.concat().trim().is_empty(),
            "below the cursor: {below:?}"
        );
        let rows = std::mem::take(&mut grid.rows);
        grid.columns = columns;
        grid.row = 0;
        grid.rows.push(String::new());
        for (at, row) in rows.iter().enumerate() {
            if at > 0 {
                grid.line_end();
            }
            grid.text(row.trim_end());
        }
    }

    pub fn text(&self) -> String {
        let grid = self.0.lock().unwrap();
        let mut rows: Vec<&str> = grid.rows.iter().map(|row| row.trim_end()).collect();
        while rows.len() > grid.row + 1 && rows.last().is_some_and(|row| row.is_empty()) {
            rows.pop();
        }
        rows.join("\n")
    }

    pub fn flushes(&self) -> usize {
        self.0.lock().unwrap().flushes
    }

    fn push(&self, op: Op) -> io::Result<()> {
        self.0.lock().unwrap().waiting.push(op);
        Ok(())
    }
}

impl Grid {
    fn line_end(&mut self) {
        self.row += 1;
        if self.row == self.rows.len() {
            self.rows.push(String::new());
        }
    }

    fn text(&mut self, text: &str) {
        let text = console::strip_ansi_codes(text);
        for character in text.chars() {
            let used = console::measure_text_width(&self.rows[self.row]);
            let width = console::measure_text_width(&character.to_string());
            if character == '\n' || used + width > self.columns {
                self.line_end();
            }
            if character != '\n' {
                self.rows[self.row].push(character);
            }
        }
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        self.0.lock().unwrap().columns as u16
    }

    fn height(&self) -> u16 {
        24
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.push(Op::Up(n))
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.push(Op::Down(n))
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        unreachable!("a live screen goes up and down")
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        unreachable!("a live screen goes up and down")
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.push(Op::Text(format!("{text}\n")))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.push(Op::Text(text.to_owned()))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.push(Op::Clear)
    }

    fn flush(&self) -> io::Result<()> {
        let mut grid = self.0.lock().unwrap();
        grid.flushes += 1;
        for op in std::mem::take(&mut grid.waiting) {
            match op {
                Op::Up(n) => grid.row -= n,
                Op::Down(n) => grid.row = (grid.row + n).min(grid.rows.len() - 1),
                Op::Clear => {
                    let row = grid.row;
                    grid.rows[row].clear();
                }
                Op::Text(text) => grid.text(&text),
            }
        }
        Ok(())
    }
}
