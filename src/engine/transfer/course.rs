//! How a file travels: in which parts, and whether compressed.
//!
//! Nobody knows beforehand how fast a link is. A large file begins with a small part as it is; what that part took tells how
//! large the next may be, and whether the link is so slow that less to send is worth the work of compressing it.

use super::source::{PIECE, Wire};
use std::time::Duration;

/// A file up to this size goes in one part: another command costs a round trip and a shell on the host.
const WHOLE: u64 = 64 * 1024 * 1024;
/// The first part of a larger one.
const FIRST: u64 = 4 * 1024 * 1024;
/// No part is larger.
const LARGEST: u64 = 256 * 1024 * 1024;
/// A part should take about this long.
const PART: Duration = Duration::from_secs(8);
/// A link that carries this many bytes a second needs no help.
const FAST: f64 = 64.0 * 1024.0 * 1024.0;

/// What is known of one host's way.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) wire: Wire,
    /// The host can decompress, as far as is known.
    gzip: bool,
    /// Bytes of the file a second, and bytes on the link a second.
    speed: Option<(f64, f64)>,
}

/// A piece that was compressed to see what it brings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// Its size before.
    pub(super) plain: u64,
    /// Its size after.
    pub(super) packed: u64,
    /// What it took.
    pub(super) took: Duration,
    /// How many hosts have to share a core.
    pub(super) share: f64,
}

impl Course {
    pub(super) fn new() -> Self {
        Self {
            wire: Wire::Plain,
            gzip: true,
            speed: None,
        }
    }

    /// Where the part that begins here ends.
    pub(super) fn end(&self, at: u64, size: u64) -> u64 {
        let length = match self.speed {
            None if size <= WHOLE => WHOLE,
            None => FIRST,
            Some((speed, _)) => ((speed * PART.as_secs_f64()) as u64).clamp(FIRST, LARGEST),
        };
        (at + length / PIECE * PIECE).min(size)
    }

    /// Notes what a part took.
    pub(super) fn learn(&mut self, plain: u64, sent: u64, took: Duration) {
        let took = took.as_secs_f64().max(0.001);
        self.speed = Some((plain as f64 / took, sent as f64 / took));
    }

    /// The host cannot decompress.
    pub(super) fn without_gzip(&mut self) {
        self.gzip = false;
        self.wire = Wire::Plain;
    }

    /// Whether it is worth a try to compress a piece.
    pub(super) fn asks_for_sample(&self) -> bool {
        self.gzip && self.speed.is_some_and(|(_, link)| link < FAST)
    }

    /// Chooses by what compressing a piece has brought. Without a sample nothing is compressed.
    pub(super) fn choose(&mut self, sample: Option<Sample>) {
        let gains = |sample: Sample| {
            let (_, link) = self.speed?;
            let plain = sample.plain as f64 / link;
            let packed = sample.packed as f64 / link;
            let work = sample.took.as_secs_f64() * sample.share;
            Some(packed.max(work) < plain * 0.8)
        };
        self.wire = match sample.and_then(gains) {
            Some(true) => Wire::Gzip,
            _ => Wire::Plain,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;
    const SECOND: Duration = Duration::from_secs(1);

    fn sample(packed: u64, took: Duration, share: f64) -> Option<Sample> {
        Some(Sample {
            plain: PIECE,
            packed,
            took,
            share,
        })
    }

    #[test]
    fn parts_grow_with_the_link() {
        let mut course = Course::new();
        assert_eq!(course.end(0, 50 * MIB), 50 * MIB);
        assert_eq!(course.end(0, 1000 * MIB), 4 * MIB);
        course.learn(4 * MIB, 4 * MIB, SECOND);
        assert_eq!(course.end(4 * MIB, 1000 * MIB), 36 * MIB);
        course.learn(32 * MIB, 32 * MIB, SECOND / 10);
        assert_eq!(course.end(36 * MIB, 1000 * MIB), 292 * MIB);
        assert_eq!(course.end(900 * MIB, 1000 * MIB), 1000 * MIB);
        course.learn(MIB / 2, MIB / 2, 10 * SECOND);
        assert_eq!(course.end(0, 1000 * MIB), 4 * MIB);
    }

    #[test]
    fn a_slow_link_gets_less_to_carry() {
        let mut course = Course::new();
        assert!(!course.asks_for_sample());
        course.learn(4 * MIB, 4 * MIB, SECOND);
        assert!(course.asks_for_sample());
        course.choose(sample(PIECE / 3, Duration::from_millis(1), 1.0));
        assert_eq!(course.wire, Wire::Gzip);
    }

    #[test]
    fn what_brings_nothing_travels_as_it_is() {
        let mut course = Course::new();
        course.learn(4 * MIB, 4 * MIB, SECOND);
        // It does not get smaller.
        course.choose(sample(PIECE, Duration::from_millis(1), 1.0));
        assert_eq!(course.wire, Wire::Plain);
        // Too many hosts for one processor: 128 KiB in 40 ms is less than the link carries.
        course.choose(sample(PIECE / 3, Duration::from_millis(4), 10.0));
        assert_eq!(course.wire, Wire::Plain);
        course.choose(sample(PIECE / 3, Duration::from_millis(4), 1.0));
        assert_eq!(course.wire, Wire::Gzip);
        course.choose(None);
        assert_eq!(course.wire, Wire::Plain);
    }

    #[test]
    fn a_fast_link_and_a_host_without_gzip_are_left_alone() {
        let mut course = Course::new();
        course.learn(100 * MIB, 100 * MIB, SECOND);
        assert!(!course.asks_for_sample());
        course.learn(MIB, MIB, SECOND);
        course.without_gzip();
        assert!(!course.asks_for_sample());
        assert_eq!(course.wire, Wire::Plain);
    }
}
