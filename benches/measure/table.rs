//! Numbers of several runs, and tables of them in Markdown.

use std::fmt;
use std::time::{Duration, Instant};

/// The same measured several times.
#[derive(Clone)]
pub struct Sample(Vec<f64>);

impl Sample {
    /// Measures so many times.
    pub fn of(runs: usize, mut measure: impl FnMut() -> f64) -> Self {
        (0..runs).map(|_| measure()).collect()
    }

    pub fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }

    /// Every number changed in the same way.
    pub fn map(&self, change: impl Fn(f64) -> f64) -> Self {
        self.0.iter().map(|number| change(*number)).collect()
    }

    /// `12.3 (11.9 to 14.0)`
    pub fn show(&self, digits: usize) -> String {
        let (least, most) = (self.0[0], self.0[self.0.len() - 1]);
        let median = self.median();
        match self.0.len() {
            1 => format!("{median:.digits$}"),
            _ => format!("{median:.digits$} ({least:.digits$} to {most:.digits$})"),
        }
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<I: IntoIterator<Item = f64>>(numbers: I) -> Self {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        assert!(!numbers.is_empty(), "nothing was measured");
        Self(numbers)
    }
}

/// How long something takes, and what comes of it.
pub fn timed<T>(action: impl FnOnce() -> T) -> (Duration, T) {
    let begun = Instant::now();
    let result = action();
    (begun.elapsed(), result)
}

pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// A table, with a word about what it shows.
pub struct Table {
    title: &'static str,
    about: String,
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(title: &'static str, about: impl Into<String>, head: &[&'static str]) -> Self {
        Self {
            title,
            about: about.into(),
            head: head.to_vec(),
            rows: Vec::new(),
        }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells: Vec<String> = cells.into_iter().collect();
        eprintln!("  {}: {}", self.title, cells.join(", "));
        self.rows.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n\n{}\n", self.title, self.about)?;
        writeln!(f, "| {} |", self.head.join(" | "))?;
        let rules: Vec<&str> = self.head.iter().map(|_| "---").collect();
        writeln!(f, "| {} |", rules.join(" | "))?;
        for row in &self.rows {
            writeln!(f, "| {} |", row.join(" | "))?;
        }
        Ok(())
    }
}
