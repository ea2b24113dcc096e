//! The second of two runs is told whose hosts these are.

use crate::hosts::{Hosts, folder, machine, since};
use crate::support::bench::play;
use crate::support::promise::{judged, within};
use crate::support::site::until;
use crate::support::sshd;
use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

/// Within this time a run that is refused is over: the two seconds that are promised, and the one by which any verdict may be
/// later than its deadline.
const REFUSED: Duration = Duration::from_secs(3);

#[test]
fn the_second_run_is_told_who_from_where_since_when_and_which_run() {
    judged(|_| {
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
        within("the refusal", took, REFUSED);
        assert!(!hosts.is_there("touched-a"));
        assert!(
            ran.out.contains("not begun: another run holds the lock"),
            "{ran:?}"
        );
        assert_eq!(hosts.lock(0)[0], run);
        hosts.go();
        assert_eq!(first.end().code, 0);
        hosts.assert_released();
        assert_eq!(hosts.play("touch.toml", &[]).code, 0);
    });
}

#[test]
fn many_hosts_of_one_run_are_one_message() {
    judged(|_| {
        let names: Vec<String> = (1..=26).map(|number| format!("web{number:02}")).collect();
        let names: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 0)).collect();
        let Some(hosts) = Hosts::named(1, &names) else {
            return;
        };
        let _first = hosts.held(&["web01"]);
        let started = Instant::now();
        let ran = hosts.play("touch.toml", &[]);
        let took = started.elapsed();
        assert_eq!(ran.code, 7, "{ran:?}");
        assert_eq!(ran.err.matches("locked:").count(), 1, "{ran:?}");
        assert_eq!(ran.out.matches("--> touch.toml").count(), 1, "{ran:?}");
        // On a busy machine not all of them answer in time to be named.
        assert!(ran.err.starts_with("locked: web["), "{ran:?}");
        assert!(
            ran.out.contains("26 of 26 hosts cancelled: web[01-26]"),
            "{ran:?}"
        );
        assert!(!ran.err.contains("process"), "{ran:?}");
        within("the refusal", took, REFUSED);
        let touched = names
            .iter()
            .any(|(name, _)| hosts.is_there(&format!("touched-{name}")));
        assert!(!touched);
        assert_eq!(hosts.locks(0).len(), 1);
    });
}

#[test]
fn one_host_that_is_held_keeps_the_others_unchanged() {
    let Some(hosts) = Hosts::new(3) else { return };
    let _first = hosts.held(&["b"]);
    // The others are about to change something, and do not come to it.
    let pause = "pause = \"10m\"\nwhen = \"inventory_hostname != 'b'\"";
    let touch = "name = \"touch\"\nshell = \"touch '{{ work }}/touched-{{ inventory_hostname }}'\"";
    fs::write(hosts.bench.path("late.toml"), play(&[pause, touch])).unwrap();
    let ran = hosts.play("late.toml", &["--output", "json"]);
    assert_eq!(ran.code, 7, "{ran:?}");
    let lines: Vec<serde_json::Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let locked: Vec<_> = lines
        .iter()
        .filter(|line| line["event"] == "locked")
        .collect();
    let [run, process, _, by] = hosts.lock(1);
    assert_eq!(locked.len(), 1);
    assert_eq!(locked[0]["hosts"], serde_json::json!(["b"]));
    assert_eq!(
        (&locked[0]["run"], &locked[0]["by"]),
        (&run.as_str().into(), &by.as_str().into())
    );
    assert_eq!(
        (&locked[0]["process"], &locked[0]["gone"]),
        (&process.parse::<i64>().unwrap().into(), &false.into())
    );
    let last = lines.last().unwrap();
    assert_eq!(last["exit_code"], 7);
    // Nobody is as wanted, and nothing was changed.
    assert_eq!(
        (&last["totals"]["cancelled"], &last["totals"]["changed"]),
        (&3.into(), &0.into())
    );
    for host in ["a", "b", "c"] {
        assert!(!hosts.is_there(&format!("touched-{host}")), "{host}");
    }
    until("the locks of the others are given back", || {
        hosts.locks(0).is_empty() && hosts.locks(2).is_empty()
    });
}

#[test]
fn what_was_done_before_a_later_play_is_refused_is_told() {
    let Some(hosts) = Hosts::new(2) else { return };
    let _first = hosts.held(&["b"]);
    let playbook = "[[play]]\nhosts = \"a\"\n[[play.task]]\nname = \"first\"\nshell = \"touch '{{ work }}/touched-a'\"\n\
                    [[play]]\nhosts = \"all\"\n[[play.task]]\npause = \"10m\"\nwhen = \"inventory_hostname != 'b'\"\n[[play.task]]\nname = \"second\"\nshell = \"touch '{{ work }}/second-{{ inventory_hostname }}'\"\n";
    fs::write(hosts.bench.path("two.toml"), playbook).unwrap();
    let ran = hosts.play("two.toml", &[]);
    assert_eq!(ran.code, 7, "{ran:?}");
    assert!(hosts.is_there("touched-a"));
    assert!(!hosts.is_there("second-a") && !hosts.is_there("second-b"));
    assert!(ran.out.contains("2 of 2 hosts cancelled: a, b"), "{ran:?}");
    assert!(
        ran.err.starts_with("locked: b: another run is at work\n"),
        "{ran:?}"
    );
}

#[test]
fn looking_needs_no_lock() {
    let Some(hosts) = Hosts::new(1) else { return };
    let _first = hosts.held(&["a"]);
    let ran = hosts.play("look.toml", &["--check"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for args in [
        &["ping", "-F", "ssh_config"][..],
        &["exec", "a", "-F", "ssh_config", "--", "true"],
    ] {
        assert_eq!(hosts.bench.run(args).code, 0, "{args:?}");
    }
    let task = ["task", "a", "shell = 'true'", "-F", "ssh_config"];
    assert_eq!(hosts.bench.run(&task).code, 7);
    assert_eq!(
        hosts.bench.run(&[&task[..], &["--no-lock"]].concat()).code,
        0
    );
    assert_eq!(hosts.bench.run(&[&task[..], &["--check"]].concat()).code, 0);
    assert_eq!(hosts.locks(0).len(), 1);
}

#[test]
fn two_names_of_one_machine_share_its_lock() {
    let Some(hosts) = Hosts::named(1, &[("x", 0), ("y", 0), ("z", 0)]) else {
        return;
    };
    let mut run = hosts.held(&["x", "y", "z"]);
    let locks = hosts.locks(0);
    assert_eq!(locks.len(), 3, "{locks:?}");
    hosts.go();
    assert_eq!(run.end().code, 0);
    hosts.assert_released();
}

#[test]
fn two_runs_that_begin_at_once_never_have_one_host() {
    // A playbook whose task fails if another run is in it on the same machine.
    let Some(hosts) = Hosts::new(2) else { return };
    let task = "name = \"alone\"\nshell = \"mkdir '{{ work }}/in-{{ inventory_hostname }}' && sleep 0.1 && rmdir '{{ work }}/in-{{ inventory_hostname }}'\"";
    fs::write(hosts.bench.path("alone.toml"), play(&[task])).unwrap();
    let mut won = 0;
    for _ in 0..15 {
        let mut runs = [
            hosts.start("alone.toml", &[]),
            hosts.start("alone.toml", &[]),
        ];
        for run in &mut runs {
            let ran = run.end();
            assert!([0, 7].contains(&ran.code), "{ran:?}");
            won += usize::from(ran.code == 0);
        }
        hosts.assert_released();
    }
    println!("{won} of 30 runs had their hosts");
}

#[test]
fn a_planted_link_is_no_lock_and_is_not_followed() {
    let Some(hosts) = Hosts::new(1) else { return };
    let target = hosts.work().join("target");
    fs::write(&target, "whole").unwrap();
    symlink(&target, folder(&hosts, 0).join(".runner-lock")).unwrap();
    symlink(&target, folder(&hosts, 0).join(".runner-lock.x")).unwrap();
    assert_eq!(hosts.play("touch.toml", &[]).code, 0);
    // One with the name of a lock keeps others out, and what it leads to is not read.
    symlink(
        &target,
        folder(&hosts, 0).join(".runner-lock.20260203-040506-9f3a.1.0.eve@x"),
    )
    .unwrap();
    let ran = hosts.play("touch.toml", &[]);
    assert_eq!(ran.code, 7, "{ran:?}");
    assert!(!ran.err.contains("whole"), "{ran:?}");
    assert!(
        ran.err
            .contains("run 20260203-040506-9f3a by eve@x, since 2026-02-03 04:05:06 UTC"),
        "{ran:?}"
    );
    assert_eq!(fs::read_to_string(&target).unwrap(), "whole");
}

#[test]
fn what_a_lock_says_can_not_reach_the_terminal() {
    let Some(hosts) = Hosts::new(1) else { return };
    let name = ".runner-lock.20260203-040506-9f3a.1.0.eve\x1b[31m";
    fs::write(
        folder(&hosts, 0).join(name),
        "- \x1b]0;title\x07 site.toml\n",
    )
    .unwrap();
    let ran = hosts.play("touch.toml", &[]);
    assert_eq!(ran.code, 7, "{ran:?}");
    assert!(
        !ran.err.contains('\x1b') && !ran.out.contains('\x1b'),
        "{ran:?}"
    );
}

#[test]
fn a_lock_that_can_not_be_made_is_a_failure_with_its_cause() {
    if sshd::current_user() != "root" {
        sshd::skip("only root can mount");
        return;
    }
    let Some(hosts) = Hosts::new(2) else { return };
    let place = folder(&hosts, 0);
    // No room for another file: the folder itself is the first.
    let options = ["-t", "tmpfs", "-o", "nr_inodes=1,mode=1777", "none"];
    let path = place.display().to_string();
    let status = std::process::Command::new("mount")
        .args(options)
        .arg(&path)
        .status();
    if !status.unwrap().success() {
        sshd::skip("nothing can be mounted here");
        return;
    }
    let _mounted = crate::support::place::Mounted(place.to_path_buf());
    let ran = hosts.play("touch.toml", &[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.out
            .contains("the lock of this host can't be taken: No space left on device"),
        "{ran:?}"
    );
    assert!(
        ran.out
            .contains("= help: --no-lock goes without, also where another run is at work"),
        "{ran:?}"
    );
    assert!(
        !hosts.is_there("touched-a") && hosts.is_there("touched-b"),
        "{ran:?}"
    );
    assert_eq!(hosts.play("touch.toml", &["--no-lock"]).code, 0);
}

#[test]
fn a_full_disk_leaves_no_half_of_a_lock() {
    if sshd::current_user() != "root" {
        sshd::skip("only root can mount");
        return;
    }
    let Some(hosts) = Hosts::new(1) else { return };
    let path = folder(&hosts, 0).display().to_string();
    let options = ["-t", "tmpfs", "-o", "size=4k,mode=1777", "none"];
    let status = std::process::Command::new("mount")
        .args(options)
        .arg(&path)
        .status();
    if !status.unwrap().success() {
        sshd::skip("nothing can be mounted here");
        return;
    }
    let _mounted = crate::support::place::Mounted(folder(&hosts, 0).to_path_buf());
    fs::write(folder(&hosts, 0).join("full"), [0; 4096]).unwrap();
    let ran = hosts.play("touch.toml", &[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.out
            .contains("the lock of this host can't be taken: No space left on device"),
        "{ran:?}"
    );
    assert_eq!(hosts.locks(0), ["full"]);
}
