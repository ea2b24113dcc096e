//! Colors, or none.

use crate::event::Status;
use std::fmt::Display;

/// What a piece of text is, which decides its color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// As wanted.
    Good,
    /// Changed.
    Changed,
    /// Failed.
    Bad,
    /// Taken away.
    Removed,
    /// Neither good nor bad for sure.
    Odd,
    /// Of little interest.
    Faint,
    /// A heading.
    Strong,
    /// Where something stands.
    Place,
}

/// Whether text is colored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Escape sequences for color are written.
    pub color: bool,
}

impl Style {
    /// Text in its color.
    pub fn paint(self, tone: Tone, text: impl Display) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Changed => "33",
            Tone::Bad => "1;31",
            Tone::Removed => "31",
            Tone::Odd => "35",
            Tone::Faint => "2",
            Tone::Strong => "1",
            Tone::Place => "36",
        };
        match self.color {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_string(),
        }
    }
}

/// The color of a status.
pub fn tone(status: Status) -> Tone {
    match status {
        Status::Ok => Tone::Good,
        Status::Changed => Tone::Changed,
        Status::Skipped => Tone::Faint,
        Status::Ignored | Status::Unknown | Status::Cancelled => Tone::Odd,
        Status::Failed | Status::Unreachable | Status::Refused | Status::Guarded => Tone::Bad,
    }
}

/// A status in a word.
pub fn word(status: Status, check: bool) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::Changed if check => "would change",
        Status::Changed => "changed",
        Status::Skipped => "skipped",
        Status::Ignored => "ignored",
        Status::Failed => "failed",
        Status::Unreachable => "unreachable",
        Status::Refused => "refused",
        Status::Unknown => "unknown",
        Status::Guarded => "guarded",
        Status::Cancelled => "cancelled",
    }
}

/// The beginning of a text that fits some columns, with `…` where something is missing.
pub fn cut(text: &str, columns: usize) -> String {
    use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut short = String::new();
    let mut used = 0;
    for character in text.chars() {
        used += character.width().unwrap_or(0);
        if used + 1 > columns {
            break;
        }
        short.push(character);
    }
    let end = short.trim_end().len();
    short.truncate(end);
    if columns > 0 {
        short.push('…');
    }
    short
}
