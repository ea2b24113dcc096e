//! Words as types: counts, lists, durations and sizes as a person writes them.

use std::fmt;
use std::time::Duration;

/// A number of things: `1 host`, `3 hosts`.
#[derive(Debug, Clone, Copy)]
pub struct Count(
    /// How many.
    pub usize,
    /// The noun in the singular; its plural takes an `s`.
    pub &'static str,
);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0 == 1 { "" } else { "s" };
        write!(f, "{} {}{plural}", self.0, self.1)
    }
}

/// Several things in a sentence: `a, b and c`.
#[derive(Debug, Clone, Copy)]
pub struct List<'a, T>(
    /// The things.
    pub &'a [T],
);

impl<T: fmt::Display> fmt::Display for List<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, item) in self.0.iter().enumerate() {
            match index {
                0 => {}
                _ if index + 1 == self.0.len() => f.write_str(" and ")?,
                _ => f.write_str(", ")?,
            }
            write!(f, "{item}")?;
        }
        Ok(())
    }
}

/// A duration with as much precision as matters: `0.4 s`, `12 s`, `3m 20s`, `1h 05m`.
pub fn duration(took: Duration) -> String {
    let tenths = (took.as_millis() + 50) / 100;
    if tenths < 100 {
        return format!("{}.{} s", tenths / 10, tenths % 10);
    }
    let seconds = (took.as_millis() + 500) / 1000;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// Time that is still running, in whole seconds: `0 s`, `59 s`, `1m 00s`.
pub fn elapsed(so_far: Duration) -> String {
    match so_far.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => duration(Duration::from_secs(seconds)),
    }
}

/// A size: `512 B`, `1.5 KiB`, `142 MiB`.
pub fn bytes(count: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    // Rounding must not show 1024 of a unit.
    while value >= 1023.95 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(value < 9.95);
    format!("{value:.digits$} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_lists() {
        assert_eq!(Count(1, "host").to_string(), "1 host");
        assert_eq!(Count(0, "host").to_string(), "0 hosts");
        assert_eq!(List::<&str>(&[]).to_string(), "");
        assert_eq!(List(&["a"]).to_string(), "a");
        assert_eq!(List(&["a", "b"]).to_string(), "a and b");
        assert_eq!(List(&["a", "b", "c"]).to_string(), "a, b and c");
    }

    #[test]
    fn durations() {
        let words = |millis| duration(Duration::from_millis(millis));
        assert_eq!(words(0), "0.0 s");
        assert_eq!(words(49), "0.0 s");
        assert_eq!(words(440), "0.4 s");
        assert_eq!(words(9_949), "9.9 s");
        assert_eq!(words(9_951), "10 s");
        assert_eq!(words(59_400), "59 s");
        assert_eq!(words(59_600), "1m 00s");
        assert_eq!(words(200_000), "3m 20s");
        assert_eq!(words(3_900_000), "1h 05m");
        assert_eq!(elapsed(Duration::from_millis(1_900)), "1 s");
        assert_eq!(elapsed(Duration::from_secs(61)), "1m 01s");
    }

    #[test]
    fn sizes() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1024), "1.0 KiB");
        assert_eq!(bytes(1_048_575), "1.0 MiB");
        assert_eq!(bytes(148_897_792), "142 MiB");
    }
}
