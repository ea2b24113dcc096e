//! Who asks to wait gets the hosts when they are free, and nobody waits for ever.

use crate::hosts::{Hosts, Run, machine, since};
use crate::support::promise::{judged, within};
use crate::support::site::until;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Starts a run that waits, and answers what it says first.
fn waiting(hosts: &Hosts, options: &[&str]) -> (std::process::Child, Vec<String>) {
    let mut command = hosts.command("touch.toml", options);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut lines = Vec::new();
    for _ in 0..3 {
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        lines.push(line);
    }
    // What follows is read, and of no interest.
    std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
    (child, lines)
}

#[test]
fn who_waits_says_for_whom_and_goes_on_when_it_is_free() {
    let Some(hosts) = Hosts::new(2) else { return };
    let mut first = hosts.held(&["a"]);
    let [run, process, ..] = hosts.lock(0);
    let (mut second, said) = waiting(&hosts, &["--lock-wait", "10m"]);
    let wanted = [
        "waiting: a: another run is at work\n".to_owned(),
        format!(
            "    run {run} of play.toml by ann@{}, since {}\n",
            machine(),
            since(&run)
        ),
        format!(
            "    on a as {}, process {process}\n",
            crate::support::sshd::current_user()
        ),
    ];
    assert_eq!(said, wanted);
    // It holds nothing meanwhile.
    until("the other host is free", || hosts.locks(1).is_empty());
    assert_eq!(hosts.play("touch.toml", &["--limit", "b"]).code, 0);
    hosts.go();
    assert_eq!(first.end().code, 0);
    until("the second comes to its end", || {
        second.try_wait().unwrap().is_some()
    });
    assert_eq!(second.wait().unwrap().code(), Some(0));
    assert!(hosts.is_there("touched-a") && hosts.is_there("touched-b"));
    hosts.assert_released();
}

#[test]
fn who_has_waited_long_enough_is_refused() {
    let Some(hosts) = Hosts::new(2) else { return };
    let _first = hosts.held(&["a"]);
    let started = Instant::now();
    let ran = hosts.play("touch.toml", &["--lock-wait", "1s"]);
    assert_eq!(ran.code, 7, "{ran:?}");
    assert!(started.elapsed() > Duration::from_secs(1));
    assert_eq!(ran.err.matches("waiting: a").count(), 1, "{ran:?}");
    assert_eq!(ran.err.matches("locked: a").count(), 1, "{ran:?}");
    assert!(!hosts.is_there("touched-a") && !hosts.is_there("touched-b"));
    assert!(hosts.locks(1).is_empty());
}

#[test]
fn ctrl_c_ends_the_waiting() {
    judged(|_| {
        let Some(hosts) = Hosts::new(2) else { return };
        let _first = hosts.held(&["a"]);
        let (mut second, _) = waiting(&hosts, &["--lock-wait", "10m"]);
        crate::hosts::signal("INT", &second.id().to_string());
        let took = until("the second comes to its end", || {
            second.try_wait().unwrap().is_some()
        });
        within("the waiting", took, Duration::from_secs(5));
        let output = second.wait_with_output().unwrap();
        let out = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(130), "{out}");
        assert!(
            out.contains("stopped by SIGINT") && out.contains("2 of 2 hosts not finished"),
            "{out}"
        );
        assert!(!hosts.is_there("touched-a") && !hosts.is_there("touched-b"));
        assert_eq!((hosts.locks(0).len(), hosts.locks(1).len()), (1, 0));
    });
}

#[test]
fn runs_that_need_each_other_s_hosts_all_come_to_their_end() {
    let Some(hosts) = Hosts::new(2) else { return };
    let task = "name = \"alone\"\nshell = \"mkdir '{{ work }}/in-{{ inventory_hostname }}' && sleep 0.1 && rmdir '{{ work }}/in-{{ inventory_hostname }}'\"";
    std::fs::write(
        hosts.bench.path("alone.toml"),
        crate::support::bench::play(&[task]),
    )
    .unwrap();
    let mut runs: Vec<Run> = (0..5)
        .map(|_| hosts.start("alone.toml", &["--lock-wait", "10m"]))
        .collect();
    for run in &mut runs {
        let ran = run.end();
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    hosts.assert_released();
}
