//! Ranges in names: `web[01:20].example.com` stands for twenty hosts.

use std::ops::Range;

/// The most names that one text may stand for, so that a slip of the finger does not fill the memory.
pub const MOST: usize = 100_000;

/// What is wrong with a range, and where in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeError {
    /// In a line.
    pub message: String,
    /// The bytes of the text that are meant.
    pub span: Range<usize>,
}

enum Piece {
    Text(String),
    Names(Vec<String>),
}

/// Whether a text has a range in it.
pub fn is_range(text: &str) -> bool {
    text.contains('[')
}

/// All names that a text stands for; the last range turns fastest. A text without brackets stands for itself.
///
/// A range is `[FIRST:LAST]` or `[FIRST:LAST:STEP]`, both ends included, of whole numbers or of single letters.
/// Zeros in front of the first number are kept: `[08:10]` is `08`, `09`, `10`.
///
/// # Errors
///
/// A malformed or empty range, or more than [`MOST`] names.
///
/// # Examples
///
/// ```
/// use runner::inventory::range::expand;
/// assert_eq!(expand("db[a:c]").unwrap(), ["dba", "dbb", "dbc"]);
/// assert_eq!(expand("r[1:2]n[08:10:2]").unwrap(), ["r1n08", "r1n10", "r2n08", "r2n10"]);
/// ```
pub fn expand(text: &str) -> Result<Vec<String>, RangeError> {
    let mut names = vec![String::new()];
    for piece in pieces(text)? {
        match piece {
            Piece::Text(text) => names.iter_mut().for_each(|name| name.push_str(&text)),
            Piece::Names(parts) => {
                if names.len().saturating_mul(parts.len()) > MOST {
                    return Err(too_many(text, 0..text.len()));
                }
                names = names
                    .iter()
                    .flat_map(|name| parts.iter().map(move |part| format!("{name}{part}")))
                    .collect();
            }
        }
    }
    Ok(names)
}

fn pieces(text: &str) -> Result<Vec<Piece>, RangeError> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Some(open) = text[at..].find(['[', ']']).map(|found| at + found) {
        if text.as_bytes()[open] == b']' {
            return Err(error("`]` without a `[` before it", open..open + 1));
        }
        let Some(close) = text[open..].find(']').map(|found| open + found) else {
            return Err(error("`[` without a `]` behind it", open..open + 1));
        };
        pieces.push(Piece::Text(text[at..open].to_string()));
        pieces.push(Piece::Names(one(&text[open + 1..close], open..close + 1)?));
        at = close + 1;
    }
    pieces.push(Piece::Text(text[at..].to_string()));
    Ok(pieces)
}

/// The parts that one pair of brackets stands for.
fn one(inner: &str, span: Range<usize>) -> Result<Vec<String>, RangeError> {
    let malformed = || {
        error(
            format!("`[{inner}]` is not a range such as `[01:20]`, `[a:f]` or `[1:9:2]`"),
            span.clone(),
        )
    };
    let parts: Vec<&str> = inner.split(':').collect();
    let (first, last, step) = match parts[..] {
        [first, last] => (first, last, "1"),
        [first, last, step] => (first, last, step),
        _ => return Err(malformed()),
    };
    let step: usize = number(step)
        .filter(|step| *step > 0)
        .ok_or_else(malformed)?;
    let empty = || {
        error(
            format!("`[{inner}]` is empty: it ends before it begins"),
            span.clone(),
        )
    };
    if let (Some(from), Some(to)) = (number(first), number(last)) {
        if from > to {
            return Err(empty());
        }
        if (to - from) / step >= MOST {
            return Err(too_many(inner, span.clone()));
        }
        let width = if first.starts_with('0') {
            first.len()
        } else {
            0
        };
        return Ok((from..=to)
            .step_by(step)
            .map(|value| format!("{value:0width$}"))
            .collect());
    }
    let letter = |text: &str| match text.as_bytes() {
        [byte] if byte.is_ascii_alphabetic() => Some(*byte),
        _ => None,
    };
    let (Some(from), Some(to)) = (letter(first), letter(last)) else {
        return Err(malformed());
    };
    if from.is_ascii_lowercase() != to.is_ascii_lowercase() {
        return Err(malformed());
    }
    if from > to {
        return Err(empty());
    }
    Ok((from..=to)
        .step_by(step)
        .map(|byte| char::from(byte).to_string())
        .collect())
}

fn number(text: &str) -> Option<usize> {
    // `parse` would take a sign as well.
    if text.is_empty() || text.len() > 12 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

fn too_many(text: &str, span: Range<usize>) -> RangeError {
    error(format!("`{text}` stands for more than {MOST} names"), span)
}

fn error(message: impl Into<String>, span: Range<usize>) -> RangeError {
    RangeError {
        message: message.into(),
        span,
    }
}
