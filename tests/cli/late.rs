//! The rule by which tests judge what is late, so that a promise of time can be broken.

use crate::support::promise::{judged, lasts, pace, too_short, within};
use std::panic::catch_unwind;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const NOTHING: Duration = Duration::ZERO;

/// How often something is judged, and the words if it fails.
fn tries(mut attempt: impl FnMut(usize) + std::panic::UnwindSafe) -> (usize, Result<(), String>) {
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let count = &tries;
    let failed = catch_unwind(move || {
        judged(|each| {
            count.store(each.number + 1, std::sync::atomic::Ordering::Relaxed);
            attempt(each.number);
        });
    });
    let words = |panic: Box<dyn std::any::Any + Send>| *panic.downcast::<String>().unwrap();
    (tries.into_inner(), failed.map_err(words))
}

#[test]
fn what_is_on_time_is_judged_once() {
    let on_time = |_| {
        within("it", HOUR, HOUR);
        lasts("it", HOUR, HOUR);
    };
    assert_eq!(tries(on_time), (1, Ok(())));
}

#[test]
fn what_is_late_once_is_judged_again() {
    let once = |number| {
        if number == 0 {
            within("it", HOUR, NOTHING);
        }
    };
    assert_eq!(tries(once), (2, Ok(())));
}

/// However busy the machine is.
#[test]
fn what_stays_late_is_a_failure() {
    for (words, late) in [
        (
            "it: it took 3600s and not 0ns",
            (|| within("it", HOUR, NOTHING)) as fn(),
        ),
        ("it: it took only 0ns and not 3600s", || {
            lasts("it", NOTHING, HOUR)
        }),
        ("it was cut short", || too_short("it was cut short".into())),
    ] {
        let (count, failed) = tries(move |_| late());
        assert_eq!(count, 3);
        let said = failed.unwrap_err();
        assert!(said.starts_with("too late, 3 times:\n"), "{said}");
        assert_eq!(said.matches(words).count(), 3, "{said}");
    }
}

/// A second, on a machine that lets everybody work at once: no more than that is forgiven for each time that work takes longer.
#[test]
fn what_is_forgiven_is_measured() {
    let pace = pace();
    assert!((1.0..1000.0).contains(&pace), "{pace}");
}

#[test]
fn nobody_else_forgives() {
    let failed = catch_unwind(|| within("it", HOUR, NOTHING));
    assert!(failed.is_err());
}

#[test]
fn what_fails_otherwise_fails_at_once() {
    let (count, failed) = tries(|number| panic!("{number} is wrong"));
    assert_eq!((count, failed), (1, Err("0 is wrong".into())));
}
