//! The second of two runs is told whose hosts these are.

use crate::bench::play;
use crate::hosts::{Hosts, folder, machine, since};
use crate::site::until;
use crate::support::sshd;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

/// Within this time a run that is refused is over.
const REFUSED: Duration = Duration::from_secs(2);

#[test]
fn the_second_run_is_told_who_from_where_since_when_and_which_run() {
    let Some(hosts) = Hosts::new(1) else { return };
    let mut first = hosts.held(&["a"]);
    let [run, process, _, by] = hosts.lock(0);
    assert_eq!(by, format!("ann@{}", machine()));
    let started = Instant::now();
    let ran = hosts.play("touch.toml", &[]);
    let took = started.elapsed();
    assert_eq!(ran.code, 7, "{ran:?}");
    assert_eq!(
        ran.err,
        format!(
            "locked: a: another run is at work\n    run {run} of play.toml by ann@{}, since {}\n    on a as {}, process {process}\n    \
             = help: `--lock-wait 10m` waits for its end\n",
            machine(),
            since(&run),
            sshd::current_user(),
        )
    );
    assert!(took < REFUSED, "it took {took:?}");
    assert!(!hosts.is_there("touched-a"));
    assert!(ran.out.contains("not begun: another run holds the lock"), "{ran:?}");
    assert_eq!(hosts.lock(0)[0], run);
    hosts.go();
    assert_eq!(first.end().code, 0);
    hosts.assert_released();
    assert_eq!(hosts.play("touch.toml", &[]).code, 0);
}
