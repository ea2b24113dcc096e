//! Promises of time, on a machine that has other things to do as well.
//!
//! What is late once is judged again, alone: no other test that is judged here runs beside it. Before and after that it is
//! measured how many times longer than on an idle machine work takes, and for each time more it may be a second later, half a minute at
//! most. On an idle machine that is nothing, however slow the runner is. What is late three times is a failure.

use std::cell::RefCell;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

/// How often something is judged.
const TRIES: usize = 3;

/// No more than this is forgiven, whatever the machine does.
const MOST: Duration = Duration::from_secs(30);

/// What a measurement computes on each core, in its own time.
const WORK: Duration = Duration::from_millis(100);

/// Who computes looks at the clock more often than this, unless somebody else has the core.
const GAP: Duration = Duration::from_micros(300);

/// Held by all that are judged for the first time, or by the one that is judged again.
static ALONE: RwLock<()> = RwLock::new(());

thread_local! {
    /// What was late in the attempt that this thread makes.
    static LATE: RefCell<Option<Vec<Late>>> = const { RefCell::new(None) };
}

struct Late {
    what: String,
    /// `None` where no measure says how late it was.
    by: Option<Duration>,
}

/// An attempt.
#[derive(Debug, Clone, Copy)]
pub struct Try {
    /// Counted from 0.
    pub number: usize,
    /// How many times longer than on an idle machine work takes; 1 in the first attempt.
    pub pace: f64,
}

/// Something took this long, and is to take at most this. Outside of [`judged`] it fails at once.
#[track_caller]
pub fn within(what: &str, took: Duration, limit: Duration) {
    if took > limit {
        note(
            format!("{what}: it took {took:?} and not {limit:?}"),
            Some(took - limit),
        );
    }
}

/// Something took this long, and is to take at least this.
#[track_caller]
pub fn lasts(what: &str, took: Duration, least: Duration) {
    if took < least {
        note(
            format!("{what}: it took only {took:?} and not {least:?}"),
            Some(least - took),
        );
    }
}

/// Only the clock was against this, and its own deadline did not leave it enough time.
#[track_caller]
pub fn too_short(what: String) {
    note(what, None);
}

/// Whether the runner could not see in its own five seconds that what it has ended is gone, and names it: true, and late.
pub fn unconfirmed(said: &str) -> bool {
    said.contains(", and process ") && said.contains(" may still run")
}

#[track_caller]
fn note(what: String, by: Option<Duration>) {
    let told = LATE.with_borrow_mut(|late| match late {
        Some(late) => {
            late.push(Late {
                what: what.clone(),
                by,
            });
            true
        }
        None => false,
    });
    assert!(told, "{what}");
}

/// Ends with the attempt, also with one that fails.
struct Noting;

impl Drop for Noting {
    fn drop(&mut self) {
        LATE.set(None);
    }
}

/// Makes an attempt, and again where only the clock was against it.
#[track_caller]
pub fn judged<T>(mut attempt: impl FnMut(Try) -> T) -> T {
    let mut all = Vec::new();
    for number in 0..TRIES {
        // A test that failed has let go of it as well.
        let (_together, _alone);
        let again = number > 0;
        match again {
            false => _together = ALONE.read().unwrap_or_else(PoisonError::into_inner),
            true => _alone = ALONE.write().unwrap_or_else(PoisonError::into_inner),
        }
        let before = if again { pace() } else { 1.0 };
        LATE.set(Some(Vec::new()));
        let noting = Noting;
        let made = attempt(Try {
            number,
            pace: before,
        });
        let late = LATE.take().unwrap_or_default();
        drop(noting);
        // Who is on time needs no measure.
        let pace = match again && !late.is_empty() {
            true => before.min(pace()),
            false => before,
        };
        let slack = slack(pace);
        let what: Vec<&str> = late.iter().map(|late| late.what.as_str()).collect();
        let line = format!("LATE at {pace:.1} times an idle machine's time: {what:?}");
        if !late.is_empty() {
            println!("{line}");
        }
        if late
            .iter()
            .all(|late| late.by.is_some_and(|by| by <= slack))
        {
            return made;
        }
        all.push(line);
    }
    panic!("too late, {TRIES} times:\n{}", all.join("\n"));
}

/// How much later something may be, at a pace.
pub fn slack(pace: f64) -> Duration {
    Duration::from_secs(1).mul_f64(pace - 1.0).min(MOST)
}

/// How many times longer than on an idle machine something takes that computes on all cores.
pub fn pace() -> f64 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads: Vec<_> = (0..cores).map(|_| std::thread::spawn(stretch)).collect();
    let all: f64 = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    (all / cores as f64).max(1.0)
}

/// The same for one that computes on one core.
fn stretch() -> f64 {
    let began = Instant::now();
    let (mut last, mut own) = (began, Duration::ZERO);
    while own < WORK {
        let now = Instant::now();
        if now - last < GAP {
            own += now - last;
        }
        last = now;
    }
    (last - began).as_secs_f64() / own.as_secs_f64()
}
