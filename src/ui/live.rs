//! The live screen: what lasts scrolls by above, and below it move a bar per play and a line per busy host.
//!
//! A frame is written at once and only when something in it has changed, ten times a second at most. The cursor rests
//! in front of the line below the bars and is never hidden, so that a run that is killed leaves an ordinary terminal behind.

use super::board::{Bar, Board, Busy};
use super::style::{Style, Tone, cut};
use super::words::{Count, elapsed};
use super::{Options, Page, Renderer, Sink, Story, To};
use crate::event::Event;
use crate::report::Report;
use std::fmt::Write;
use std::time::Instant;
use unicode_width::UnicodeWidthStr;

/// The most lines for busy hosts.
const LINES: usize = 8;
/// Rows of the terminal that are left to what lasts.
const SPARE: usize = 6;

/// The terminal's size.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Its columns.
    pub columns: usize,
    /// Its rows.
    pub rows: usize,
}

/// What the live screen asks the world outside.
pub struct Surroundings {
    /// The time.
    pub clock: Box<dyn Fn() -> Instant + Send>,
    /// The size of the terminal, which may change at any time.
    pub size: Box<dyn Fn() -> Size + Send>,
}

impl Surroundings {
    /// The real time, and the size of the terminal behind standard error.
    pub fn real() -> Self {
        let size = || {
            let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
            let known = |value: u16, default| if value == 0 { default } else { value.into() };
            Size {
                columns: size.map_or(80, |size| known(size.ws_col, 80)),
                rows: size.map_or(24, |size| known(size.ws_row, 24)),
            }
        };
        Self {
            clock: Box::new(Instant::now),
            size: Box::new(size),
        }
    }
}

/// Where the live screen writes.
pub struct Streams {
    /// For what lasts, if that is not the terminal.
    pub out: Option<Sink>,
    /// The terminal.
    pub err: Sink,
}

/// Shows a run on a terminal.
pub struct Live {
    story: Box<dyn Story>,
    board: Board,
    bars: Style,
    streams: Streams,
    surroundings: Surroundings,
    /// Lines that last and have not been written yet.
    lines: Vec<(To, String)>,
    /// The frame on the screen.
    drawn: Vec<Row>,
}

/// A line of a frame.
#[derive(Clone, Default, PartialEq, Eq)]
struct Row {
    text: String,
    /// Its columns.
    width: usize,
}

impl Live {
    /// `style` is for what lasts, `bars` for what moves.
    pub fn new(
        options: Options,
        style: Style,
        bars: Style,
        streams: Streams,
        surroundings: Surroundings,
    ) -> Self {
        Self {
            story: super::story(options, style),
            board: Board::default(),
            bars,
            streams,
            surroundings,
            lines: Vec::new(),
            drawn: Vec::new(),
        }
    }

    /// A page as wide as the terminal, or one for a log.
    fn page(&self) -> Page {
        let columns = (self.surroundings.size)().columns;
        Page::new(self.streams.out.is_none().then_some(columns))
    }

    /// Writes what lasts and has not been written, and the frame below it.
    fn draw(&mut self, frame: Vec<Row>) {
        if self.lines.is_empty() && frame == self.drawn {
            return;
        }
        let columns = (self.surroundings.size)().columns.max(1);
        // A terminal that became narrower has wrapped the old frame.
        let rows = |row: &Row| row.width.div_ceil(columns).max(1);
        let up: usize = self.drawn.iter().map(rows).sum();
        let mut text = String::new();
        if up > 0 {
            let _ = write!(text, "\x1b[{up}A\r");
        }
        // Line by line where nothing new comes above: to clear all at once would flicker, and some terminals
        // keep in their history what is cleared.
        let clear = !self.lines.is_empty();
        if clear && up > 0 {
            text.push_str("\x1b[J");
        }
        for (to, line) in std::mem::take(&mut self.lines) {
            match (to, &mut self.streams.out) {
                (To::Out, Some(out)) => out.line(&line),
                _ => {
                    text.push_str(&line);
                    text.push('\n');
                }
            }
        }
        for row in &frame {
            if !clear && up > 0 {
                text.push_str("\x1b[K");
            }
            text.push_str(&row.text);
            text.push('\n');
        }
        if !clear && frame.len() < up {
            text.push_str("\x1b[J");
        }
        self.drawn = frame;
        if let Some(out) = &mut self.streams.out {
            out.flush();
        }
        self.streams.err.text(&text);
        self.streams.err.flush();
    }

    fn frame(&mut self) -> Vec<Row> {
        let now = (self.surroundings.clock)();
        let Size { columns, rows } = (self.surroundings.size)();
        // The last column stays free: some terminals wrap when it is written.
        let columns = columns.saturating_sub(1);
        let style = self.bars;
        let stopping = self.board.stopping();
        let plays = self.board.bars();
        let mut frame: Vec<Row> = plays
            .map(|play| bar(play, stopping, columns, now, style))
            .collect();
        if !frame.is_empty() {
            frame.insert(0, Row::default());
        }
        let room = rows.saturating_sub(SPARE + frame.len()).clamp(1, LINES);
        let (busy, more) = self.board.busy(room, now);
        let host = busy.iter().map(|(host, _)| host.width()).max().unwrap_or(0);
        frame.extend(
            busy.iter()
                .map(|(name, busy)| line(name, host, busy, columns, now, style)),
        );
        if more > 0 {
            let text = cut(&format!("  and {} busy", Count(more, "more host")), columns);
            frame.push(Row {
                width: text.width(),
                text: style.paint(Tone::Faint, text),
            });
        }
        frame
    }
}

impl Renderer for Live {
    fn event(&mut self, event: &Event) {
        let mut page = self.page();
        self.story.event(event, &mut page);
        self.lines.extend(page.lines);
        self.board.event(event, (self.surroundings.clock)());
    }

    fn tick(&mut self) {
        let mut page = self.page();
        self.story.tick(&mut page);
        self.lines.extend(page.lines);
        let frame = self.frame();
        self.draw(frame);
    }

    fn finish(&mut self, report: &Report) {
        let mut page = self.page();
        self.story.finish(report, &mut page);
        self.lines.extend(page.lines);
        self.draw(Vec::new());
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.draw(Vec::new());
    }
}

/// A play's bar: `images  ━━━━━━━━━━────────  31/78 tasks  4/26 hosts  12 s`.
fn bar(play: &Bar, stopping: bool, columns: usize, now: Instant, style: Style) -> Row {
    let (done, all) = play.tasks();
    let (through, failed, hosts) = play.hosts();
    let mut facts = vec![
        (Tone::Faint, format!("{done}/{}", Count(all, "task"))),
        (Tone::Faint, format!("{through}/{}", Count(hosts, "host"))),
    ];
    if failed > 0 {
        facts.push((Tone::Bad, format!("{failed} failed")));
    }
    if stopping {
        facts.push((Tone::Odd, "stopping".to_owned()));
    }
    facts.push((Tone::Faint, elapsed(now - play.since)));
    // What does not fit is left out, tasks first.
    let width = |facts: &[(Tone, String)]| facts.iter().map(|(_, fact)| fact.width() + 2).sum();
    while facts.len() > 1 && columns < width(&facts) + 16 {
        facts.remove(0);
    }
    let facts_width: usize = width(&facts);
    let room = columns.saturating_sub(facts_width);
    let name = cut(&play.name, (room * 3 / 5).min(40));
    let length = room.saturating_sub(name.width() + 2).min(60);
    let filled = match all {
        0 => length,
        _ => (length * done / all).min(length),
    };
    let mut text = style.paint(Tone::Strong, &name);
    text.push_str("  ");
    text.push_str(&style.paint(Tone::Good, "━".repeat(filled)));
    text.push_str(&style.paint(Tone::Faint, "─".repeat(length - filled)));
    for (tone, fact) in &facts {
        text.push_str("  ");
        text.push_str(&style.paint(*tone, fact));
    }
    Row {
        text,
        width: name.width() + 2 + length + facts_width,
    }
}

/// A busy host's line: `  gp22aitppap3jmy  copy the image     12 s  142 MiB of 1.2 GiB`.
fn line(name: &str, host: usize, busy: &Busy, columns: usize, now: Instant, style: Style) -> Row {
    let host = host.min(columns / 3);
    let what = (columns.saturating_sub(host) * 2 / 5).min(48);
    let pad = |text: String, width: usize| {
        let blanks = width.saturating_sub(text.width());
        text + &" ".repeat(blanks)
    };
    let name = pad(cut(name, host), host);
    let task = pad(cut(&busy.what, what), what);
    let time = format!("{:>7}", elapsed(now - busy.since));
    let left = columns.saturating_sub(host + what + time.len() + 8);
    let output = cut(&busy.line, left);
    let plain = format!("  {name}  {task}  {time}  {output}");
    let (text, plain) = match plain.width() <= columns {
        true => {
            let time = style.paint(Tone::Place, time);
            let output = style.paint(Tone::Faint, output);
            (format!("  {name}  {task}  {time}  {output}"), plain)
        }
        // Too narrow for columns and colors.
        false => (cut(&plain, columns), cut(&plain, columns)),
    };
    Row {
        width: plain.width(),
        text,
    }
}
