//! How runs end when another process does the work: codes, signals, deaths.

use crate::kept::{Kept, gone, signal, stubborn, told};
use crate::support::bench::play;
use crate::support::site::{alive, until};
use std::process::Stdio;

#[test]
fn exit_codes_are_those_of_the_run() {
    let Some(kept) = Kept::new() else { return };
    assert_eq!(kept.exec(&[], "true").code, 0);
    assert_eq!(kept.exec(&[], "exit 7").code, 2);
    assert_eq!(kept.run(&["exec", "one", "-e", "1", "--", "true"]).code, 5);
    assert_eq!(kept.run(&["exec", "one:!one", "--", "true"]).code, 3);
    assert_eq!(
        kept.run(&["exec", "one", "--persist", "x", "--", "true"])
            .code,
        5
    );
    let elsewhere = "[hosts]\none = { address = \"127.0.0.1\", port = 1 }\n";
    std::fs::write(kept.site.bench.path("elsewhere.toml"), elsewhere).unwrap();
    let ran = kept.exec(&["-i", "elsewhere.toml"], "true");
    assert_eq!(ran.code, 4, "{ran:?}");
    // One login for all that: those who fail leave nothing behind.
    assert_eq!(kept.logins(2), 1);
    assert_eq!(kept.keepers().len(), 1);
}

/// A signal to the front or to both, on a new connection and on a kept one.
fn interrupted(name: &str, to_group: bool, code: i32) {
    let Some(kept) = Kept::new() else { return };
    for first in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let mut running = kept.start(&stubborn(folder.path()));
        let tree = told(folder.path());
        signal(
            name,
            &if to_group {
                running.group()
            } else {
                running.pid()
            },
        );
        let ran = running.end();
        assert_eq!(ran.code, code, "{ran:?}");
        if code > 0 {
            // Not ended at once, as by a second signal.
            assert!(!ran.err.contains("ended at once"), "{ran:?}");
        }
        gone("the remote tree is gone", &tree);
        if first {
            assert!(
                kept.keepers().is_empty(),
                "a run that was stopped keeps nothing"
            );
            kept.says(&[], "kept");
        } else {
            kept.says(&[], "still there");
        }
    }
    assert_eq!(kept.logins(4), 2);
}

#[test]
fn ctrl_c_on_the_terminal_ends_the_run_once() {
    interrupted("INT", true, 130);
}

#[test]
fn a_signal_to_the_front_ends_the_run() {
    interrupted("TERM", false, 143);
}

#[test]
fn a_killed_front_takes_the_run_along() {
    interrupted("KILL", false, -1);
}

#[test]
fn a_second_signal_ends_at_once() {
    let Some(kept) = Kept::new() else { return };
    // The way back is held up, so the orderly end takes its five seconds.
    let folder = tempfile::tempdir().unwrap();
    let mut running = kept.start(&stubborn(folder.path()));
    let tree = told(folder.path());
    let sessions = kept.sessions();
    for session in &sessions {
        signal("STOP", session);
    }
    signal("INT", &running.group());
    let worker = running.worker();
    let caught = || {
        let status = std::fs::read_to_string(format!("/proc/{worker}/status")).unwrap_or_default();
        let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
        pending.is_none_or(|set| set.trim() == "0000000000000000")
    };
    until("the signal has arrived", caught);
    signal("INT", &running.pid());
    signal("INT", &running.pid());
    let ran = running.end();
    for session in &sessions {
        signal("CONT", session);
    }
    assert_eq!(ran.code, 130);
    assert!(ran.err.contains("ended at once"), "{ran:?}");
    gone("the remote tree is gone", &tree);
}

#[test]
fn a_worker_that_dies_is_told_by_its_signal() {
    let Some(kept) = Kept::new() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut running = kept.start(&stubborn(folder.path()));
    let tree = told(folder.path());
    signal("KILL", &running.worker());
    assert_eq!(running.end().code, 137);
    gone("the remote tree is gone", &tree);
}

#[test]
fn a_stopped_run_goes_on() {
    let Some(kept) = Kept::new() else { return };
    let wait = tempfile::tempdir().unwrap();
    let path = wait.path().display();
    let mut running = kept.start(&format!(
        "touch {path}/runs; while [ ! -e {path}/go ]; do sleep 0.05; done; echo done"
    ));
    until("the command runs", || wait.path().join("runs").exists());
    // As the terminal does on Ctrl-Z.
    let worker = running.worker();
    signal("STOP", &running.group());
    let stopped = |process: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
        stat.contains(") T ")
    };
    until("both stand still", || {
        stopped(&worker) && stopped(&running.pid())
    });
    std::fs::write(wait.path().join("go"), "").unwrap();
    signal("CONT", &running.group());
    let ran = running.end();
    assert_eq!((ran.code, ran.out.as_str()), (0, "one  done\n"));
}

#[test]
fn whoever_reads_the_output_sees_its_end_at_once() {
    let Some(kept) = Kept::new() else { return };
    let mut command = kept.command(&["exec", "one", "-F", "ssh_config", "--", "echo", "first"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = String::new();
    // To its end, which only comes when nobody holds the other side.
    std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut out).unwrap();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut out).unwrap();
    assert_eq!(out, "one  first\n");
    assert!(child.wait().unwrap().success());
    assert!(alive(&kept.keeper()), "it ended because the keeper did");
}

#[test]
fn a_failed_task_keeps_the_connection() {
    let Some(kept) = Kept::playing(&play(&["command = \"false\""])) else {
        return;
    };
    assert_eq!(kept.run(&["play", "play.toml", "-F", "ssh_config"]).code, 2);
    kept.says(&[], "again");
    assert_eq!(kept.logins(2), 1);
}
