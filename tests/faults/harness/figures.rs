//! What the suite has seen at worst so far, for the log of whoever runs it.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

struct Figures {
    cases: usize,
    /// Seconds of a verdict beyond its deadline.
    over: f64,
    /// In KiB.
    peak: u64,
}

static SEEN: Mutex<Figures> = Mutex::new(Figures {
    cases: 0,
    over: f64::NEG_INFINITY,
    peak: 0,
});

/// Counts a case that has passed: its verdict with the deadline, if there was one to wait for, and its memory in KiB.
/// Says what is worse than everything before.
pub(super) fn note(verdict: Option<(Duration, Duration)>, peak: u64) {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.cases += 1;
    let over = verdict.map(|(verdict, promised)| verdict.as_secs_f64() - promised.as_secs_f64());
    let over = over.unwrap_or(f64::NEG_INFINITY);
    if over <= seen.over && peak <= seen.peak && !seen.cases.is_multiple_of(20) {
        return;
    }
    seen.over = seen.over.max(over);
    seen.peak = seen.peak.max(peak);
    let (cases, mebibytes) = (seen.cases, seen.peak / 1024);
    let verdict = match seen.over {
        over if over >= 0.0 => format!("worst verdict {over:.2} s over its deadline"),
        over if over.is_finite() => format!("worst verdict {:.2} s before its deadline", -over),
        _ => "no verdict to wait for".to_string(),
    };
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a case");
    let line =
        format!("faults: {cases} cases, {verdict}, most memory {mebibytes} MiB, after {name}\n");
    // Not through the macros, whose output a test runner keeps to itself.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
