//! One line of a journal: a number, a time, a record, and a checksum over all of it.

use super::record::Record;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What stands before the checksum.
const SUM: &str = ",\"sum\":\"";

/// The checksum with everything around it: eight digits, and the end of the line's object.
const TAIL: usize = SUM.len() + 8 + 2;

/// A line that was read.
#[derive(Debug, Clone, Deserialize)]
pub struct Line {
    /// Counts from 0.
    pub n: u64,
    /// Microseconds since the run began.
    pub t: u64,
    /// What happened.
    pub record: Record,
}

impl Line {
    /// When it happened, counted from the start of the run.
    pub fn at(&self) -> Duration {
        Duration::from_micros(self.t)
    }
}

#[derive(Serialize)]
struct Written<'a, R> {
    n: u64,
    t: u64,
    record: &'a R,
}

/// Appends a line. `record` is a [`Record`], or what looks like one when written.
///
/// # Errors
///
/// It can't be written as JSON, which no record is known for.
pub fn write(
    n: u64,
    at: Duration,
    record: &impl Serialize,
    to: &mut Vec<u8>,
) -> serde_json::Result<()> {
    let start = to.len();
    let t = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
    serde_json::to_writer(&mut *to, &Written { n, t, record })
        .inspect_err(|_| to.truncate(start))?;
    // The closing brace comes behind the checksum.
    to.pop();
    let sum = checksum(&to[start..]);
    to.extend_from_slice(format!("{SUM}{sum:08x}\"}}\n").as_bytes());
    Ok(())
}

/// Reads a line without its end. `None`: it is torn or damaged.
pub fn read(line: &[u8]) -> Option<Line> {
    let (text, tail) = line.split_at_checked(line.len().checked_sub(TAIL)?)?;
    let sum = std::str::from_utf8(tail).ok()?;
    let sum = sum.strip_prefix(SUM)?.strip_suffix("\"}")?;
    if u32::from_str_radix(sum, 16).ok()? != checksum(text) {
        return None;
    }
    let mut whole = text.to_vec();
    whole.push(b'}');
    serde_json::from_slice(&whole).ok()
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// Reads all lines of a file up to a last one that is torn. With it, whether there is such a one.
///
/// # Errors
///
/// The number of a line, from 1, that is damaged or not the next one although others follow.
pub fn read_all(bytes: &[u8]) -> Result<(Vec<Line>, bool), usize> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest);
        let (text, behind) = match end {
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None => (rest, &rest[rest.len()..]),
        };
        rest = behind;
        let next = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        let line = read(text).filter(|line| end.is_some() && line.n == next);
        match line {
            Some(line) => lines.push(line),
            None if rest.is_empty() => return Ok((lines, true)),
            None => return Err(lines.len() + 1),
        }
    }
    Ok((lines, false))
}
