//! Plain lines, for a pipe or a log: nothing moves, and nothing is cut short.

use super::style::Style;
use super::{Options, Page, Renderer, Sink, Story, To};
use crate::event::Event;
use crate::report::Report;

/// Writes what lasts, line by line.
pub struct Plain {
    story: Box<dyn Story>,
    out: Sink,
    err: Sink,
}

impl Plain {
    /// Results go to `out`; what a script must not read goes to `err`.
    pub fn new(options: Options, style: Style, out: Sink, err: Sink) -> Self {
        Self {
            story: super::story(options, style),
            out,
            err,
        }
    }

    /// Keeps the order of lines also where both streams end in one log.
    fn write(&mut self, page: Page) {
        let mut last = None;
        for (to, line) in page.lines {
            let sink = match to {
                To::Out => &mut self.out,
                To::Err => &mut self.err,
            };
            sink.line(&line);
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
        self.write(page);
    }

    fn tick(&mut self) {
        let mut page = Page::default();
        self.story.tick(&mut page);
        self.write(page);
    }

    fn finish(&mut self, report: &Report) {
        let mut page = Page::default();
        self.story.finish(report, &mut page);
        self.write(page);
    }
}
