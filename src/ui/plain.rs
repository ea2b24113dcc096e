//! Plain lines, for a pipe or a log: nothing moves, and nothing is cut short.

use super::board::Board;
use super::fold::fold;
use super::style::Style;
use super::transfer;
use super::words::{Count, elapsed};
use super::{Options, Page, Renderer, Sink, Story, To};
use crate::event::{Event, Transfer};
use crate::report::Report;
use std::time::{Duration, Instant};

/// How long nothing may be heard of a run that goes on.
const SILENCE: Duration = Duration::from_secs(60);

/// How long a transfer goes on in silence.
const TRANSFER: Duration = Duration::from_secs(10);

/// Writes what lasts, line by line.
pub struct Plain {
    story: Box<dyn Story>,
    board: Board,
    clock: Box<dyn Fn() -> Instant + Send>,
    /// When something was written last.
    heard: Instant,
    out: Sink,
    err: Sink,
}

impl Plain {
    /// Results go to `out`; what a script must not read goes to `err`.
    pub fn new(
        options: Options,
        style: Style,
        clock: Box<dyn Fn() -> Instant + Send>,
        out: Sink,
        err: Sink,
    ) -> Self {
        Self {
            story: super::story(options, style),
            board: Board::default(),
            heard: clock(),
            clock,
            out,
            err,
        }
    }

    /// Says who is still busy when nothing else has been said for a while.
    fn still(&mut self, page: &mut Page) {
        let now = (self.clock)();
        if now - self.heard < TRANSFER {
            return;
        }
        let transfers: Vec<Transfer> = self.board.transfers().collect();
        if !transfers.is_empty() {
            let hosts = Count(transfers.len(), "host");
            let progress = transfer::together(&transfers);
            page.err(format!("  under way with {hosts}: {progress}"));
            return;
        }
        if now - self.heard < SILENCE {
            return;
        }
        let (busy, _) = self.board.busy(usize::MAX, now);
        let mut tasks: Vec<(&str, Vec<&str>, Duration)> = Vec::new();
        for (host, busy) in busy {
            let running = now - busy.since;
            match tasks.iter_mut().find(|(what, ..)| *what == busy.what) {
                Some((_, hosts, longest)) => {
                    hosts.push(host);
                    *longest = running.max(*longest);
                }
                None => tasks.push((&busy.what, vec![host], running)),
            }
        }
        for (what, hosts, longest) in tasks {
            let (hosts, longest) = (fold(&hosts), elapsed(longest));
            page.err(format!("  still running after {longest}: {what}: {hosts}"));
        }
        self.heard = now;
    }

    /// Keeps the order of lines also where both streams end in one log.
    fn write(&mut self, page: Page) {
        if !page.lines.is_empty() {
            self.heard = (self.clock)();
        }
        let mut last = None;
        for (to, line) in page.lines {
            let sink = match to {
                To::Out => &mut self.out,
                To::Err => &mut self.err,
            };
            line.write(&mut |text| sink.text(text));
            if last.is_some_and(|last| last != to) {
                sink.flush();
            }
            last = Some(to);
        }
        self.out.flush();
        self.err.flush();
    }
}

impl Renderer for Plain {
    fn event(&mut self, event: &Event) {
        let mut page = Page::default();
        self.story.event(event, &mut page);
        self.board.event(event, (self.clock)());
        self.write(page);
    }

    fn tick(&mut self) {
        let mut page = Page::default();
        self.story.tick(&mut page);
        self.still(&mut page);
        self.write(page);
    }

    fn finish(&mut self, report: &Report) {
        let mut page = Page::default();
        self.story.finish(report, &mut page);
        let mut recap = String::new();
        for (_, line) in &page.lines {
            line.write(&mut |text| recap.push_str(text));
        }
        let told = page.lines.iter().all(|(to, _)| *to == To::Err);
        self.write(page);
        if self.out.is_closed() && !told {
            // Whoever has read the results is gone, and the operator may still be there.
            self.err.text(&recap);
            self.err.flush();
        }
    }
}
