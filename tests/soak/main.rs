//! A soak: plays on 26 real servers with links that fail by chance, and what the runner says of each host and task held
//! against a marker on the host. "ok" means that it ran exactly once, "unreachable" that it never did, "unknown" that
//! nobody knows.
//!
//! `RUNNER_SOAK_RUNS` says how many plays, `RUNNER_SOAK_SEED` which: a seed always gives the same schedule of faults, and
//! `RUNNER_SOAK_FROM` begins in the middle of it. How the machine shares its time among 26 servers is not in the seed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that can't go on says so"
)]

mod claims;
mod field;
mod schedule;
#[path = "../support/mod.rs"]
mod support;

use field::Field;
use schedule::Schedule;
use std::collections::BTreeMap;
use std::time::Duration;

/// As many servers as the cluster that the runner is made for.
const HOSTS: usize = 26;

/// A few, to see that it works; a soak has a thousand.
const RUNS: u64 = 12;

fn number(name: &str, otherwise: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().expect(name),
        Err(_) => otherwise,
    }
}

#[test]
fn what_is_claimed_agrees_with_what_was_done() {
    let (runs, seed) = (
        number("RUNNER_SOAK_RUNS", RUNS),
        number("RUNNER_SOAK_SEED", 1),
    );
    let from = number("RUNNER_SOAK_FROM", 0);
    let Some(field) = Field::new(HOSTS) else {
        return;
    };
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut violations = Vec::new();
    let mut slowest = Duration::ZERO;
    let mut kept = false;
    for run in from..from + runs {
        let schedule = Schedule::new(seed, run, HOSTS);
        if !schedule.kept && kept {
            field.close();
        }
        kept = schedule.kept;
        let ran = field.play(run, &schedule);
        slowest = slowest.max(ran.took);
        for (claim, count) in ran.counts() {
            *counts.entry(claim).or_default() += count;
        }
        let wrong = ran.violations();
        for violation in &wrong {
            println!("seed {seed} run {run} ({schedule:?}): {violation}");
        }
        violations.extend(wrong);
        if (run + 1 - from).is_multiple_of(100) {
            println!(
                "{} runs, {} violations, {counts:?}",
                run + 1 - from,
                violations.len()
            );
        }
    }
    field.close();
    println!(
        "seed {seed}: {} host-runs, {} violations, {counts:?}, the longest run took {slowest:.1?}",
        runs * HOSTS as u64,
        violations.len()
    );
    assert!(violations.is_empty(), "{violations:#?}");
}
