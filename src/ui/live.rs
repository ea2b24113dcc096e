//! The live screen: what lasts scrolls by above, and below it move a bar per play and a line per busy host.
//!
//! A frame is drawn only when something in it has changed, ten times a second at most.

use super::board::{Bar, Board, Busy};
use super::canvas::{Canvas, Row};
use super::style::{Style, Tone, cut};
use super::transfer;
use super::words::{Count, elapsed};
use super::{Line, Options, Page, Renderer, Sink, Story, To};
use crate::event::Event;
use crate::report::Report;
use indicatif::TermLike;
use std::sync::Arc;
use std::time::Instant;
use unicode_width::UnicodeWidthStr;

/// The most lines for busy hosts.
const LINES: usize = 8;
/// Rows of the terminal that are left to what lasts.
const SPARE: usize = 6;
/// The longest bar.
const BAR: usize = 60;

/// Shows a run on a terminal.
pub struct Live {
    story: Box<dyn Story>,
    board: Board,
    style: Style,
    clock: Box<dyn Fn() -> Instant + Send>,
    /// For what lasts, if that is not the terminal.
    out: Option<Sink>,
    canvas: Canvas,
    /// The columns of the terminal when it was last looked at.
    columns: usize,
    /// Lines that last and have not been written yet.
    lines: Vec<(To, Line)>,
}

/// Where the live screen writes.
pub struct Streams {
    /// For what lasts, if that is not the terminal.
    pub out: Option<Sink>,
    /// The terminal.
    pub terminal: Arc<dyn TermLike>,
}

impl Live {
    /// `style` is for what lasts, `bars` for what moves.
    pub fn new(
        options: Options,
        style: Style,
        bars: Style,
        streams: Streams,
        clock: Box<dyn Fn() -> Instant + Send>,
    ) -> Self {
        // indicatif would look at standard output, which may be a file, to color a bar.
        console::set_colors_enabled(bars.color);
        Self {
            story: super::story(options, style),
            board: Board::default(),
            style: bars,
            clock,
            out: streams.out,
            columns: streams.terminal.width().into(),
            canvas: Canvas::new(streams.terminal),
            lines: Vec::new(),
        }
    }

    /// A page as wide as the terminal, or one for a log.
    fn page(&self) -> Page {
        Page::new(self.out.is_none().then_some(self.columns))
    }

    /// Writes what lasts and has not been written, and the frame below it.
    fn draw(&mut self, frame: Vec<Row>) {
        let mut lines = Vec::new();
        for (to, line) in std::mem::take(&mut self.lines) {
            match (to, &mut self.out) {
                (To::Out, Some(out)) if !out.is_closed() => {
                    line.write(&mut |text| out.text(text));
                }
                _ => lines.push(line),
            }
        }
        if let Some(out) = &mut self.out {
            out.flush();
        }
        self.canvas.draw(&lines, frame);
    }

    fn frame(&mut self) -> Vec<Row> {
        let now = (self.clock)();
        let (columns, rows) = self.canvas.size();
        // The last column stays free: some terminals wrap when it is written.
        let columns = columns.saturating_sub(1);
        let style = self.style;
        let mut frame: Vec<Row> = self
            .board
            .bars()
            .map(|(place, play)| bar(&place, play, self.board.stopping(), columns, now, style))
            .collect();
        if !frame.is_empty() {
            frame.insert(0, Row::Blank);
        }
        let room = rows.saturating_sub(SPARE + frame.len()).clamp(1, LINES);
        let (busy, more) = self.board.busy(room, now);
        let host = busy.iter().map(|(host, _)| host.width()).max().unwrap_or(0);
        let lines = busy
            .iter()
            .map(|(name, busy)| line(name, host, busy, columns, now, style));
        frame.extend(lines.map(Row::Line));
        if more > 0 {
            let text = cut(&format!("  and {} busy", Count(more, "more host")), columns);
            frame.push(Row::Line(style.paint(Tone::Faint, text)));
        }
        frame
    }
}

impl Renderer for Live {
    fn event(&mut self, event: &Event) {
        let mut page = self.page();
        self.story.event(event, &mut page);
        self.lines.extend(page.lines);
        self.board.event(event, (self.clock)());
    }

    fn tick(&mut self) {
        (self.columns, _) = self.canvas.size();
        let mut page = self.page();
        self.story.tick(&mut page);
        self.lines.extend(page.lines);
        let frame = self.frame();
        self.draw(frame);
    }

    fn pause(&mut self) {
        self.draw(Vec::new());
    }

    fn finish(&mut self, report: &Report) {
        (self.columns, _) = self.canvas.size();
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

/// A play's bar: `play 3 of 9  images  ━━━━━━━━━━────────  31/78 tasks  4/26 hosts  12 s`.
fn bar(place: &str, play: &Bar, stopping: bool, columns: usize, now: Instant, style: Style) -> Row {
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
    let width = |facts: &[(Tone, String)]| -> usize {
        let widths = facts.iter().map(|(_, fact)| fact.width() + 2);
        widths.sum()
    };
    while facts.len() > 1 && columns < width(&facts) + 16 {
        facts.remove(0);
    }
    let mut room = columns.saturating_sub(width(&facts));
    let mut before = String::new();
    if !place.is_empty() && place.width() + 28 <= room {
        before = style.paint(Tone::Faint, place) + "  ";
        room -= place.width() + 2;
    }
    let name = cut(&play.name, (room * 3 / 5).min(40));
    let length = room.saturating_sub(name.width() + 2).min(BAR);
    before.push_str(&style.paint(Tone::Strong, &name));
    let mut after = String::new();
    for (tone, fact) in &facts {
        after.push_str("  ");
        after.push_str(&style.paint(*tone, fact));
    }
    Row::Bar {
        before,
        length,
        done,
        all,
        after,
    }
}

/// A busy host's line: `  gp22aitppap3jmy  copy the image     12 s  142 MiB of 1.2 GiB`.
fn line(
    name: &str,
    host: usize,
    busy: &Busy,
    columns: usize,
    now: Instant,
    style: Style,
) -> String {
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
    let output = match &busy.transfer {
        Some(transfer) => transfer::line(transfer, left, Style::default()),
        None => output,
    };
    let plain = format!("  {name}  {task}  {time}  {output}");
    if plain.width() > columns {
        // Too narrow for columns and colors.
        return cut(&plain, columns);
    }
    let time = style.paint(Tone::Place, time);
    let output = match &busy.transfer {
        Some(transfer) => transfer::line(transfer, left, style),
        None if output.is_empty() => output,
        None => style.paint(Tone::Faint, output),
    };
    format!("  {name}  {task}  {time}  {output}")
}
