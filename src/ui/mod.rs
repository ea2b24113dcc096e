//! The screen: renderers of events.
//!
//! The engine sends [`Event`]s and never prints. [`Screen`] feeds them, on a thread of its own, to a
//! [`Renderer`] and to the [`Report`]. There are three renderers: live bars for a terminal, plain lines, and
//! JSON; [`renderer`] chooses.
//!
//! Results, failures and the recap go to standard output. The live part goes to standard error, so that
//! `runner play deploy.toml | tee log` shows bars and keeps a clean log.

mod adhoc;
mod board;
mod canvas;
pub mod diagnostic;
mod diff;
pub mod escape;
mod failure;
pub mod fold;
pub mod json;
pub mod live;
mod locked;
pub mod plain;
mod play;
mod recap;
mod said;
mod screen;
pub mod style;
mod timing;
mod transfer;
pub mod words;

use crate::event::Event;
use crate::report::Report;
use crate::spool::Rest;
use said::Said;
pub use screen::{Events, Pause, Screen};
use std::io::{self, Write};
use std::sync::Arc;
use style::Style;

/// Shows events.
pub trait Renderer: Send {
    /// Takes in one event.
    fn event(&mut self, event: &Event);

    /// Time has passed; called about ten times a second.
    fn tick(&mut self) {}

    /// Takes what moves off the terminal, for a question. The next tick brings it back.
    fn pause(&mut self) {}

    /// The run is over: the recap.
    fn finish(&mut self, report: &Report);
}

/// What lasts on a screen: lines, as they come out of events. Shared by the plain and the live renderer.
trait Story: Send {
    fn event(&mut self, event: &Event, page: &mut Page);

    /// Time has passed: what was held back to be told together may be told.
    fn tick(&mut self, page: &mut Page) {
        let _ = page;
    }

    fn finish(&mut self, report: &Report, page: &mut Page);
}

/// The story that these options ask for.
fn story(options: Options, style: Style) -> Box<dyn Story> {
    match options.adhoc {
        true => Box::new(adhoc::AdhocStory::new(options, style)),
        false => Box::new(play::PlayStory::new(options, style)),
    }
}

/// Lines that a [`Story`] tells.
#[derive(Default)]
struct Page {
    /// The columns of the terminal; none for a log, where nothing is cut.
    width: Option<usize>,
    lines: Vec<(To, Line)>,
}

/// A line, or all those of an output that is too large to be held as lines.
enum Line {
    Text(String),
    Output {
        /// Stands before each line.
        before: String,
        start: Vec<u8>,
        rest: Rest,
    },
}

impl Line {
    /// Writes it with the end of its line.
    fn write(&self, write: &mut dyn FnMut(&str)) {
        match self {
            Line::Text(text) => {
                write(text);
                write("\n");
            }
            Line::Output {
                before,
                start,
                rest,
            } => Said { start, rest }.lines(before, write),
        }
    }
}

/// Where a line goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum To {
    Out,
    Err,
}

impl Page {
    fn new(width: Option<usize>) -> Self {
        let lines = Vec::new();
        Self { width, lines }
    }

    fn line(&mut self, to: To, line: impl Into<String>) {
        self.lines.push((to, Line::Text(line.into())));
    }

    fn out(&mut self, line: impl Into<String>) {
        self.line(To::Out, line);
    }

    fn err(&mut self, line: impl Into<String>) {
        self.line(To::Err, line);
    }

    fn output(&mut self, to: To, before: &str, start: &[u8], rest: &Rest) {
        let output = Line::Output {
            before: before.to_owned(),
            start: start.to_vec(),
            rest: rest.clone(),
        };
        self.lines.push((to, output));
    }
}

/// What was asked for with `--output`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// Live bars on a terminal, else plain lines.
    #[default]
    Auto,
    /// Plain lines, even on a terminal.
    Plain,
    /// One JSON object per line.
    Json,
}

/// What was asked for with `--color`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How a run is to be shown.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// `--output`.
    pub output: Output,
    /// `--color`.
    pub color: Color,
    /// `-v`, counted: 1 says why something changed or was skipped, 2 shows what commands printed.
    pub verbose: u8,
    /// One command on many hosts: its output is the result, and plays have no headings.
    pub adhoc: bool,
}

/// What is known about the two standard streams.
#[derive(Debug, Clone, Copy, Default)]
pub struct Terminal {
    /// Standard output is a terminal.
    pub out: bool,
    /// Standard error is a terminal.
    pub err: bool,
    /// It can move its cursor: `TERM` is set and not `dumb`.
    pub capable: bool,
    /// `NO_COLOR` is set and not empty.
    pub no_color: bool,
}

impl Terminal {
    /// Looks at this process's streams and environment.
    pub fn detect() -> Self {
        use std::io::IsTerminal;
        let term = std::env::var("TERM").unwrap_or_default();
        Self {
            out: io::stdout().is_terminal(),
            err: io::stderr().is_terminal(),
            capable: !term.is_empty() && term != "dumb",
            no_color: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
        }
    }

    /// The style of a stream that is a terminal, or is not.
    pub fn style(&self, color: Color, terminal: bool) -> Style {
        let color = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && self.capable && !self.no_color,
        };
        Style { color }
    }
}

/// A writer that goes quiet when nobody reads it any more.
pub struct Sink {
    writer: Box<dyn Write + Send>,
    closed: bool,
}

impl Sink {
    /// Writes to `writer` until that fails.
    pub fn new(writer: impl Write + Send + 'static) -> Self {
        Self {
            writer: Box::new(writer),
            closed: false,
        }
    }

    /// Whether nobody reads it any more, as far as writing has shown.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Writes a text and a line end.
    pub fn line(&mut self, text: &str) {
        self.text(text);
        self.text("\n");
    }

    /// Writes a text.
    pub fn text(&mut self, text: &str) {
        self.closed = self.closed || self.writer.write_all(text.as_bytes()).is_err();
    }

    /// Writes a value as JSON.
    pub fn json(&mut self, value: &impl serde::Serialize) {
        self.closed = self.closed || serde_json::to_writer(&mut self.writer, value).is_err();
    }

    /// Sends what was written on its way.
    pub fn flush(&mut self) {
        self.closed = self.closed || self.writer.flush().is_err();
    }
}

/// The renderer for these options on this process's standard streams.
pub fn renderer(options: Options) -> Box<dyn Renderer> {
    let terminal = Terminal::detect();
    let out = Sink::new(io::BufWriter::new(io::stdout()));
    let err = Sink::new(io::BufWriter::new(io::stderr()));
    choose(options, terminal, out, err)
}

/// The renderer for these options on these streams.
pub fn choose(options: Options, terminal: Terminal, out: Sink, err: Sink) -> Box<dyn Renderer> {
    if options.output == Output::Json {
        return Box::new(json::Json::new(out, std::time::SystemTime::now));
    }
    let style = terminal.style(options.color, terminal.out);
    let clock = Box::new(std::time::Instant::now);
    if options.output == Output::Auto && terminal.err && terminal.capable {
        let bars = terminal.style(options.color, terminal.err);
        let streams = live::Streams {
            // Two names of one terminal: through one of them, so that lines stand above the bars.
            out: (!terminal.out).then_some(out),
            terminal: Arc::new(console::Term::buffered_stderr()),
        };
        return Box::new(live::Live::new(options, style, bars, streams, clock));
    }
    Box::new(plain::Plain::new(options, style, clock, out, err))
}
