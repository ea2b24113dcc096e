//! Draws frames on a terminal, with indicatif.
//!
//! indicatif never hides the cursor, so a run that is killed leaves an ordinary terminal behind.

use super::Line;
use console::measure_text_width;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// Frames a second. The screen's ticks are no faster; this bounds what many changes in one tick cost.
const RATE: u8 = 10;

/// The terminal holds what is written until it is sent: of a large output no more than so many bytes.
const HELD: usize = 64 * 1024;

/// A row of a frame, as data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Row {
    /// A bar with text on both sides of it.
    Bar {
        before: String,
        /// The bar's columns.
        length: usize,
        done: usize,
        all: usize,
        after: String,
    },
    /// A line of text.
    Line(String),
    /// Nothing.
    #[default]
    Blank,
}

impl Row {
    fn style(&self) -> ProgressStyle {
        let template = match self {
            Self::Bar { length, .. } => {
                format!("{{prefix}}  {{bar:{length}.green/dim}}{{msg}}")
            }
            Self::Line(_) | Self::Blank => "{wide_msg}".to_owned(),
        };
        // The templates above are sound; a bar would be a bar by default, too.
        ProgressStyle::with_template(&template)
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("━─")
    }

    fn show(&self, bar: &ProgressBar) {
        bar.set_style(self.style());
        match self {
            Self::Bar {
                before,
                done,
                all,
                after,
                ..
            } => {
                bar.set_length((*all).max(1) as u64);
                bar.set_position(*done as u64);
                bar.set_prefix(before.clone());
                bar.set_message(after.clone());
            }
            Self::Line(text) => bar.set_message(text.clone()),
            Self::Blank => bar.set_message(""),
        }
    }
}

/// The lower end of a terminal: a frame, and what lasts above it.
pub(super) struct Canvas {
    terminal: Arc<dyn TermLike>,
    multi: MultiProgress,
    /// A bar for each row of the frame on the screen.
    bars: Vec<ProgressBar>,
    drawn: Vec<Row>,
}

impl Canvas {
    pub(super) fn new(terminal: Arc<dyn TermLike>) -> Self {
        let rows = Rows {
            terminal: terminal.clone(),
            written: Mutex::default(),
        };
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(rows), RATE);
        Self {
            terminal,
            multi: MultiProgress::with_draw_target(target),
            bars: Vec::new(),
            drawn: Vec::new(),
        }
    }

    /// The terminal's columns and rows.
    pub(super) fn size(&self) -> (usize, usize) {
        let (columns, rows) = (self.terminal.width(), self.terminal.height());
        (columns.into(), rows.into())
    }

    /// Writes lines that last, and below them a frame in the place of the last one.
    pub(super) fn draw(&mut self, lines: &[Line], frame: Vec<Row>) {
        if lines.is_empty() && frame == self.drawn {
            return;
        }
        for bar in self.bars.drain(frame.len().min(self.bars.len())..) {
            self.multi.remove(&bar);
        }
        for (at, row) in frame.iter().enumerate() {
            if at == self.bars.len() {
                self.bars.push(self.multi.add(ProgressBar::no_length()));
                row.show(&self.bars[at]);
            } else if self.drawn.get(at) != Some(row) {
                row.show(&self.bars[at]);
            }
        }
        self.drawn = frame;
        // A terminal that is gone is no reason to end the run.
        self.multi.suspend(|| {
            for line in lines {
                self.write(line);
            }
        });
        self.terminal.flush().ok();
    }

    fn write(&self, line: &Line) {
        if let Line::Text(text) = line {
            self.terminal.write_line(text).ok();
            return;
        }
        let mut held = 0;
        let mut gone = false;
        line.write(&mut |text| {
            held += text.len();
            gone = gone || self.terminal.write_str(text).is_err();
            if held > HELD && !gone {
                held = 0;
                gone = self.terminal.flush().is_err();
            }
        });
    }
}

/// The terminal as indicatif sees it.
///
/// indicatif fills each row to the edge and lets the terminal wrap. A terminal that then changes its width
/// takes all rows for one long line and wraps that anew. So rows are ended with a line end here, and those that a
/// narrower terminal has wrapped nevertheless are counted. What is written is not sent before the whole frame is done.
#[derive(Debug)]
struct Rows {
    terminal: Arc<dyn TermLike>,
    written: Mutex<Written>,
}

#[derive(Debug, Default)]
struct Written {
    /// The columns of each row that is on the screen.
    widths: Vec<usize>,
    /// The cursor is on its way through the frame.
    begun: bool,
    /// The row's text has been written, and its blanks come next.
    text: bool,
}

impl Rows {
    fn written(&self) -> std::sync::MutexGuard<'_, Written> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TermLike for Rows {
    fn width(&self) -> u16 {
        self.terminal.width()
    }

    fn height(&self) -> u16 {
        self.terminal.height()
    }

    /// The first move of a frame goes to the beginning of the last one.
    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        let mut written = self.written();
        if std::mem::replace(&mut written.begun, true) {
            return self.terminal.move_cursor_up(n);
        }
        let columns = usize::from(self.width()).max(1);
        let widths = std::mem::take(&mut written.widths);
        let rows = widths.iter().map(|width| width.div_ceil(columns).max(1));
        let up = rows.sum::<usize>().saturating_sub(1).max(n);
        self.terminal.move_cursor_up(up)?;
        if up > n {
            for _ in 0..up {
                self.terminal.clear_line()?;
                self.terminal.move_cursor_down(1)?;
            }
            self.terminal.clear_line()?;
            self.terminal.move_cursor_up(up)?;
        }
        Ok(())
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.terminal.move_cursor_down(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.terminal.move_cursor_right(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.terminal.move_cursor_left(n)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.terminal.write_line(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        let mut written = self.written();
        written.text = !written.text;
        if !written.text {
            return Ok(());
        }
        if !written.widths.is_empty() {
            self.terminal.write_str("\n")?;
        }
        let text = text.trim_end();
        written.widths.push(measure_text_width(text));
        self.terminal.write_str(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.terminal.clear_line()
    }

    fn flush(&self) -> io::Result<()> {
        let mut written = self.written();
        written.begun = false;
        written.text = false;
        Ok(())
    }
}
