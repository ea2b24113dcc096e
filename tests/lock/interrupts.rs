//! A run that is interrupted says of every host what was done there and what was not.

use crate::hosts::{Hosts, Run, signal};
use crate::support::bench::{Bench, play};
use crate::support::promise::{judged, within};
use crate::support::site::{alive, until};
use std::fs;
use std::time::Duration;

/// Within this time nothing may be left on a host.
const GONE: Duration = Duration::from_secs(5);

/// A playbook: a task on `a` that ignores what asks it to end, and a play for `b` behind it.
fn stubborn(hosts: &Hosts) {
    let task = "name = \"stay\"\nshell = \"trap '' TERM INT HUP; echo $$ > '{{ work }}/pid'; while :; do sleep 1000; done\"";
    let text = format!(
        "[[play]]\nhosts = \"a\"\n[[play.task]]\n{task}\n[[play]]\nhosts = \"b\"\n[[play.task]]\nname = \"later\"\nshell = \"true\"\n"
    );
    fs::write(hosts.bench.path("stay.toml"), text).unwrap();
}

/// The process of that task, once it runs.
fn process(hosts: &Hosts) -> String {
    let path = hosts.work().join("pid");
    let read = || fs::read_to_string(&path).unwrap_or_default();
    until("the task runs", || read().ends_with('\n'));
    read().trim().to_owned()
}

/// Sends a signal, and waits until the run has taken it.
fn taken(run: &Run, name: &str) {
    run.signal(name);
    let pid = run.pid();
    until("the signal has arrived", || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
        pending.is_none_or(|set| set.trim() == "0000000000000000")
    });
}

#[test]
fn the_first_signal_lists_also_what_had_not_begun() {
    judged(|_| {
        let Some(hosts) = Hosts::new(2) else { return };
        stubborn(&hosts);
        let mut run = hosts.start("stay.toml", &[]);
        let pid = process(&hosts);
        run.signal("INT");
        let ran = run.end();
        assert_eq!(ran.code, 130, "{ran:?}");
        assert!(ran.out.contains("cancelled: b: later"), "{ran:?}");
        assert!(
            ran.out.contains("not begun: stopped by the operator"),
            "{ran:?}"
        );
        assert!(ran.out.contains("2 of 2 hosts not finished"), "{ran:?}");
        let took = until("the remote tree is gone", || !alive(&pid));
        within("nothing is left", took, GONE);
        hosts.assert_released();
    });
}

#[test]
fn the_second_signal_ends_at_once_and_names_what_may_be_left() {
    judged(|_| {
        let Some(hosts) = Hosts::new(2) else { return };
        stubborn(&hosts);
        let mut run = hosts.start("stay.toml", &[]);
        let pid = process(&hosts);
        taken(&run, "INT");
        run.signal("INT");
        let ran = run.end();
        assert_eq!(ran.code, 130, "{ran:?}");
        assert!(ran.err.contains("ended at once"), "{ran:?}");
        assert!(ran.out.contains("unknown: a: stay"), "{ran:?}");
        let named = ran
            .out
            .split("stopped by the operator, and process ")
            .nth(1)
            .unwrap_or_else(|| panic!("{ran:?}"));
        let named = named.split(' ').next().unwrap();
        assert!(
            ran.out.contains(&format!("on the host: kill -- -{named}")),
            "{ran:?}"
        );
        assert!(ran.out.contains("cancelled: b: later"), "{ran:?}");
        assert!(ran.out.contains("2 of 2 hosts not finished"), "{ran:?}");
        let took = until("the remote tree is gone", || !alive(&pid));
        within("nothing is left", took, GONE);
        hosts.assert_released();
        // The journal has the same.
        let shown = hosts.bench.run(&["history", "--output", "json"]);
        assert!(shown.out.contains("INT"), "{shown:?}");
    });
}

/// A run is interrupted while it waits, and ends soon.
fn interrupted(
    bench: &Bench,
    playbook: &str,
    begun: impl FnMut() -> bool,
) -> crate::support::bench::Ran {
    let mut run = Run::new(&mut bench.command(&["play", playbook]));
    until("it waits", begun);
    run.signal("INT");
    let pid = run.pid();
    let took = until("it ends", || !alive(&pid));
    within("nothing is left", took, GONE);
    run.end()
}

#[test]
fn a_connection_that_is_being_made_is_given_up() {
    judged(|_| {
        // Somebody listens, and says nothing.
        let bench = Bench::with(play(&["name = \"later\"\nshell = \"true\""]));
        let ran = interrupted(&bench, "play.toml", || bench.connections() > 0);
        assert_eq!(ran.code, 130, "{ran:?}");
        assert!(ran.out.contains("cancelled: one: later"), "{ran:?}");
        assert!(ran.out.contains("1 of 1 host not finished"), "{ran:?}");
    });
}

#[test]
fn pauses_and_waits_are_cut_short() {
    judged(|_| {
        let Some(hosts) = Hosts::new(1) else { return };
        for (name, task) in [
            ("pause", "name = \"wait\"\npause = \"10m\"".to_owned()),
            (
                "retries",
                "name = \"wait\"\nshell = \"false\"\nretries = 5\ndelay = \"10m\"".to_owned(),
            ),
            (
                "wait_for",
                "name = \"wait\"\nwait_for = { path = \"{{ work }}/never\", timeout = \"10m\" }"
                    .to_owned(),
            ),
        ] {
            let before = format!("name = \"before\"\nshell = \"touch '{{{{ work }}}}/{name}'\"");
            let file = format!("{name}.toml");
            fs::write(hosts.bench.path(&file), play(&[&before, &task])).unwrap();
            let mut run = hosts.start(&file, &[]);
            until("it has begun", || hosts.is_there(name));
            run.signal("TERM");
            let pid = run.pid();
            let took = until("it ends", || !alive(&pid));
            within(&format!("{name} ends"), took, GONE);
            let ran = run.end();
            assert_eq!(ran.code, 143, "{name}: {ran:?}");
            assert!(
                ran.out.contains("1 of 1 host not finished"),
                "{name}: {ran:?}"
            );
            hosts.assert_released();
        }
    });
}

#[test]
fn a_run_that_was_stopped_for_a_while_goes_on() {
    let Some(hosts) = Hosts::new(1) else { return };
    let mut run = hosts.held(&["a"]);
    signal("STOP", &run.pid());
    assert_eq!(hosts.locks(0).len(), 1);
    signal("CONT", &run.pid());
    hosts.go();
    assert_eq!(run.end().code, 0);
    hosts.assert_released();
}
