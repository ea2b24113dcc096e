//! A lock is gone when its run is, however that ends.

use crate::cut::Cut;
use crate::hosts::{Hosts, Run, signal};
use crate::support::site::{alive, until};
use crate::support::sshd;
use std::os::unix::process::CommandExt;

fn ends(name: &str, code: i32) {
    let Some(hosts) = Hosts::new(2) else { return };
    let mut run = hosts.held(&["a", "b"]);
    run.signal(name);
    assert_eq!(run.end().code, code);
    hosts.assert_released();
}

#[test]
fn ctrl_c_gives_it_back() {
    ends("INT", 130);
}

#[test]
fn term_gives_it_back() {
    ends("TERM", 143);
}

#[test]
fn a_lost_terminal_gives_it_back() {
    ends("HUP", 129);
}

#[test]
fn a_killed_runner_gives_it_back() {
    ends("KILL", -1);
}

/// A run over connections that are kept: a front and a worker.
fn kept(hosts: &Hosts, runtime: &std::path::Path) -> Run {
    let mut command = hosts.command("play.toml", &["--persist", "1s"]);
    command.env("XDG_RUNTIME_DIR", runtime).process_group(0);
    let run = Run::new(&mut command);
    until("the host is held", || hosts.is_there("a"));
    run
}

#[test]
fn a_killed_front_gives_it_back() {
    let Some(hosts) = Hosts::new(1) else { return };
    let runtime = tempfile::tempdir().unwrap();
    let run = kept(&hosts, runtime.path());
    run.signal("KILL");
    hosts.assert_released();
}

#[test]
fn a_killed_worker_gives_it_back() {
    let Some(hosts) = Hosts::new(1) else { return };
    let runtime = tempfile::tempdir().unwrap();
    let mut run = kept(&hosts, runtime.path());
    let children =
        std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", run.pid())).unwrap();
    signal("KILL", children.trim());
    assert_eq!(run.end().code, 137);
    hosts.assert_released();
}

#[test]
fn a_kept_connection_does_not_keep_the_lock() {
    let Some(hosts) = Hosts::new(1) else { return };
    let runtime = tempfile::tempdir().unwrap();
    let mut run = kept(&hosts, runtime.path());
    hosts.go();
    assert_eq!(run.end().code, 0);
    let mut command = hosts.command("touch.toml", &["--persist", "1s"]);
    command
        .env("XDG_RUNTIME_DIR", runtime.path())
        .process_group(0);
    // Over the same connection, at once.
    assert_eq!(Run::new(&mut command).end().code, 0);
    hosts.assert_released();
    assert_eq!(
        hosts.machines[0]
            .log()
            .matches("Accepted publickey")
            .count(),
        1
    );
}

#[test]
fn runs_follow_each_other_at_once() {
    let Some(hosts) = Hosts::new(2) else { return };
    for round in 0..10 {
        let ran = hosts.play("touch.toml", &[]);
        assert_eq!(ran.code, 0, "round {round}: {ran:?}");
    }
}

#[test]
fn a_link_that_is_cut_gives_it_back() {
    let Some(hosts) = Hosts::new(1) else { return };
    let cut = Cut::before(hosts.machines[0].port);
    hosts.behind(cut.port);
    let mut run = hosts.held(&["a"]);
    cut.now();
    hosts.assert_released();
    assert_eq!(run.end().code, 16);
}

#[test]
fn other_rights_share_the_lock_and_the_last_gives_it_back() {
    if sshd::program("sudo").is_none() || sshd::current_user() != "root" {
        sshd::skip("there is no sudo that asks nothing");
        return;
    }
    let Some(hosts) = Hosts::new(1) else { return };
    let task = "name = \"as root\"\nbecome = true\nshell = \"touch '{{ work }}/root'\"";
    std::fs::write(
        hosts.bench.path("both.toml"),
        crate::support::bench::play(&[task, crate::hosts::HOLD]),
    )
    .unwrap();
    let mut run = hosts.start("both.toml", &[]);
    until("the host is held", || hosts.is_there("a"));
    let locks = hosts.locks(0);
    assert_eq!(locks.len(), 2, "{locks:?}");
    // The first shell ends: the lock is still there.
    let pid = locks[0].split('.').nth(3).unwrap();
    assert!(alive(pid), "{locks:?}");
    hosts.go();
    assert_eq!(run.end().code, 0);
    hosts.assert_released();
}
