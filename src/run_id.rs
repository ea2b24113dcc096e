//! The name of a run: what its journal, its locks on the hosts and an operator call it by.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

/// Names a run by its start in UTC and four digits against chance, as in `20260203-040506-9f3a`.
///
/// Later runs sort behind earlier ones. It is safe as a file's name and as a word of a shell.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RunId(String);

/// What was given is no run's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotARun;

impl RunId {
    /// A name for a run that begins now.
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let chance = RandomState::new().hash_one(std::process::id());
        Self::at(now.map_or(0, |now| now.as_secs()), chance as u16)
    }

    fn at(seconds: u64, chance: u16) -> Self {
        let (year, month, day) = date(seconds / 86_400);
        let time = seconds % 86_400;
        let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
        Self(format!(
            "{year:04}{month:02}{day:02}-{hour:02}{minute:02}{second:02}-{chance:04x}"
        ))
    }

    /// When the run has begun, for people: `2026-02-03 04:05:06 UTC`.
    pub fn since(&self) -> String {
        let part = |range| self.0.get(range).unwrap_or_default();
        format!(
            "{}-{}-{} {}:{}:{} UTC",
            part(0..4),
            part(4..6),
            part(6..8),
            part(9..11),
            part(11..13),
            part(13..15)
        )
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for RunId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NotARun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is no run's name, such as 20260203-040506-9f3a")
    }
}

impl std::error::Error for NotARun {}

impl From<RunId> for String {
    fn from(id: RunId) -> Self {
        id.0
    }
}

impl TryFrom<String> for RunId {
    type Error = NotARun;

    fn try_from(text: String) -> Result<Self, NotARun> {
        text.parse()
    }
}

impl FromStr for RunId {
    type Err = NotARun;

    fn from_str(text: &str) -> Result<Self, NotARun> {
        let digits = |part: &str, count, radix| {
            part.len() == count
                && part
                    .chars()
                    .all(|c| c.is_digit(radix) && !c.is_ascii_uppercase())
        };
        let mut parts = text.split('-');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(day), Some(time), Some(chance), None)
                if digits(day, 8, 10) && digits(time, 6, 10) && digits(chance, 4, 16) =>
            {
                Ok(Self(text.to_string()))
            }
            _ => Err(NotARun),
        }
    }
}

/// Year, month and day, a number of days after 1970-01-01. Counts in cycles of 400 years that begin in March, so
/// that the leap day comes last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (cycle, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    (year + cycle * 400 + next, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_named_by_its_start() {
        for (seconds, name) in [
            (0, "19700101-000000-0000"),
            (951_782_399, "20000228-235959-0000"),
            (951_782_400, "20000229-000000-0000"),
            (1_770_091_506, "20260203-040506-0000"),
            (4_107_542_399, "21000228-235959-0000"),
            (4_107_542_400, "21000301-000000-0000"),
        ] {
            assert_eq!(RunId::at(seconds, 0).as_str(), name);
        }
        assert_eq!(RunId::at(0, 0x9f3a).as_str(), "19700101-000000-9f3a");
    }

    #[test]
    fn only_a_run_s_name_is_taken_for_one() {
        let id = RunId::new();
        assert_eq!(id.as_str().parse(), Ok(id.clone()));
        let early = RunId::at(1_770_091_506, 7);
        assert_eq!(early.since(), "2026-02-03 04:05:06 UTC");
        for bad in [
            "",
            "last",
            "20260203-040506",
            "20260203-040506-9F3A",
            "20260203-040506-9f3a-1",
            "../../../20260203-040506-9f3a",
        ] {
            assert_eq!(bad.parse::<RunId>(), Err(NotARun), "{bad}");
        }
    }
}
