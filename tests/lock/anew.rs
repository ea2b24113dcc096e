//! A run that was away between two tasks, because its link was cut or because it stood still, has lost its lock: it takes it anew, or is
//! told who has it now. What it has seen before it was away counts no more.

use crate::cut::Cut;
use crate::hosts::{Hosts, Run, machine, since};
use crate::support::bench::{Ran, play};
use crate::support::site::until;
use crate::support::sshd::current_user;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

/// The link to `a` is cut between two tasks there, while `b` is at work.
struct Broken {
    hosts: Hosts,
    run: Run,
    /// The run's name.
    name: String,
}

impl Broken {
    /// A run whose next task on `a` is this one.
    fn before(next: &str) -> Option<Self> {
        let hosts = Hosts::new(2)?;
        let cut = Cut::before(hosts.machines[0].port);
        hosts.behind(cut.port);
        let text = format!(
            "[[play]]\nhosts = \"a\"\n[[play.task]]\nshell = \"true\"\n\
             [[play]]\nhosts = \"b\"\n[[play.task]]\nshell = \"touch '{{{{ work }}}}/b'; while [ ! -e '{{{{ work }}}}/on' ]; do sleep 0.05; done\"\n\
             [[play]]\nhosts = \"a\"\n[[play.task]]\nname = \"next\"\n{next}\n"
        );
        fs::write(hosts.bench.path("anew.toml"), text).unwrap();
        fs::write(hosts.bench.path("large"), vec![b'x'; 300_000]).unwrap();
        let run = hosts.start("anew.toml", &[]);
        // `b` begins when what `a` has said is heard.
        until("b is at work", || hosts.is_there("b"));
        let [name, ..] = hosts.lock(0);
        cut.now();
        until("the lock is given back", || hosts.locks(0).is_empty());
        Some(Self { hosts, run, name })
    }

    fn go_on(&self) {
        fs::write(self.hosts.work().join("on"), "").unwrap();
    }
}

const NEXT: &str =
    "shell = \"touch '{{ work }}/next'; while [ ! -e '{{ work }}/go' ]; do sleep 0.05; done\"";

/// What may come next: a command, a small file, and one that travels on a channel of its own.
const ALL: [&str; 3] = [
    "shell = \"touch '{{ work }}/next'\"",
    "file = { path = \"{{ work }}/next\", content = \"x\" }",
    "copy = { src = \"large\", dest = \"{{ work }}/next\" }",
];

#[test]
fn a_run_that_connects_again_takes_the_lock_anew() {
    let Some(Broken {
        hosts,
        mut run,
        name,
    }) = Broken::before(NEXT).inspect(Broken::go_on)
    else {
        return;
    };
    until("the next task is at work", || hosts.is_there("next"));
    assert_eq!(hosts.lock(0)[0], name);
    let refused = hosts.play("touch.toml", &["--limit", "a"]);
    assert_eq!(refused.code, 7, "{refused:?}");
    assert!(refused.err.contains(&name), "{refused:?}");
    hosts.go();
    let ran = run.end();
    assert_eq!(ran.code, 0, "{ran:?}");
    hosts.assert_released();
}

#[track_caller]
fn assert_not_begun(ran: &Ran, next: &str) {
    let said = ran.out.contains("  cancelled: a: next\n")
        && ran
            .out
            .contains("\n    not begun: another run holds the lock\n");
    assert!(said, "{next}: {ran:?}");
}

#[test]
fn whoever_took_the_lock_of_a_cut_link_is_named() {
    for next in ALL {
        let Some(mut broken) = Broken::before(next) else {
            return;
        };
        let hosts = &broken.hosts;
        let mut other = hosts.held(&["a"]);
        let [run, process, _, _] = hosts.lock(0);
        broken.go_on();
        let ran = broken.run.end();
        assert_eq!(ran.code, 7, "{next}: {ran:?}");
        assert_eq!(
            ran.err,
            format!(
                "locked: a: another run is at work\n    run {run} of play.toml by ann@{}, since {}\n    on a as {}, process {process}\n    \
                 = help: `--lock-wait 10m` waits for its end\n",
                machine(),
                since(&run),
                current_user(),
            )
        );
        assert_not_begun(&ran, next);
        assert!(!hosts.is_there("next"), "{next}");
        assert_eq!(hosts.lock(0)[0], run);
        hosts.go();
        assert_eq!(other.end().code, 0);
        hosts.assert_released();
    }
}

/// A run that stands still in a pause between two tasks, until its host has given its lock up.
fn suspended(tasks: &[&str]) -> Option<(Hosts, Run)> {
    let hosts = Hosts::new(1)?;
    hosts.impatient();
    // What the host has said is heard when the runner writes down that the first task is done.
    let pause = "name = \"wait\"\npause = \"3s\"";
    let tasks = [&["name = \"first\"\nshell = \"true\"", pause], tasks].concat();
    fs::write(hosts.bench.path("anew.toml"), play(&tasks)).unwrap();
    fs::write(hosts.bench.path("large"), vec![b'x'; 300_000]).unwrap();
    let log = hosts.bench.path("log");
    let options = ["--log", "log", "--diff"];
    let mut command = hosts.command("anew.toml", &options);
    let run = Run::new(command.env("RUNNER_LOG", "info"));
    until("the first task is done", || {
        fs::read_to_string(&log).is_ok_and(|log| log.contains("status=Changed"))
    });
    run.signal("STOP");
    until("the lock is given up", || hosts.locks(0).is_empty());
    Some((hosts, run))
}

#[test]
fn a_run_that_stood_still_takes_the_lock_anew() {
    let Some((hosts, mut run)) = suspended(&[&format!("name = \"next\"\n{NEXT}")]) else {
        return;
    };
    run.signal("CONT");
    until("the next task is at work", || hosts.is_there("next"));
    assert_eq!(hosts.locks(0).len(), 1);
    assert_eq!(
        hosts.play("touch.toml", &[]).code,
        7,
        "the lock is not held"
    );
    hosts.go();
    let ran = run.end();
    assert_eq!(ran.code, 0, "{ran:?}");
    hosts.assert_released();
}

#[test]
fn whoever_took_the_lock_while_a_run_stood_still_is_named() {
    for next in ALL {
        let Some((hosts, mut run)) = suspended(&[&format!("name = \"next\"\n{next}")]) else {
            return;
        };
        let mut other = hosts.held(&["a"]);
        let [name, ..] = hosts.lock(0);
        run.signal("CONT");
        let ran = run.end();
        assert_eq!(ran.code, 7, "{next}: {ran:?}");
        assert!(
            ran.err.starts_with(&format!(
                "locked: a: another run is at work\n    run {name} of play.toml by ann@"
            )),
            "{next}: {ran:?}"
        );
        assert_not_begun(&ran, next);
        assert!(!hosts.is_there("next"), "{next}");
        hosts.go();
        assert_eq!(other.end().code, 0);
        hosts.assert_released();
    }
}

/// A host whose programs this one stands before, and its folder.
fn with_program(name: &str, script: &str) -> Option<(Hosts, TempDir)> {
    let bin = tempfile::tempdir().unwrap();
    let path = format!("SetEnv PATH={}:/usr/bin:/bin", bin.path().display());
    let hosts = Hosts::with(&[&path])?;
    hosts.impatient();
    let work = hosts.work().display().to_string();
    let program = bin.path().join(name);
    fs::write(&program, script.replace("WORK", &work)).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    Some((hosts, bin))
}

/// A file that had arrived when its run stood still is not put in its place, and named.
#[test]
fn what_has_arrived_is_not_put_in_its_place() {
    // Who takes the file has ended by then: it would not wait for a runner that stands still.
    let slow = "#!/bin/sh\ncase $(readlink /proc/$$/fd/0) in *.runner-*) touch WORK/arrived\n\
                until [ -e WORK/on ]; do sleep 0.05; done ;; esac\nexec /usr/bin/wc \"$@\"\n";
    let Some((hosts, _bin)) = with_program("wc", slow) else {
        return;
    };
    let work = hosts.work();
    fs::write(hosts.bench.path("large"), vec![b'x'; 300_000]).unwrap();
    fs::write(work.join("file"), "old").unwrap();
    let task = "name = \"next\"\ncopy = { src = \"large\", dest = \"{{ work }}/file\" }";
    fs::write(hosts.bench.path("copy.toml"), play(&[task])).unwrap();
    let mut run = hosts.start("copy.toml", &[]);
    until("the file has arrived", || hosts.is_there("arrived"));
    run.signal("STOP");
    until("the lock is given up", || hosts.locks(0).is_empty());
    fs::write(work.join("on"), "").unwrap();
    let mut other = hosts.held(&["a"]);
    run.signal("CONT");
    let ran = run.end();
    assert_eq!(ran.code, 7, "{ran:?}");
    assert_not_begun(&ran, "copy");
    assert_eq!(fs::read_to_string(work.join("file")).unwrap(), "old");
    let said = "    = help: what has arrived may be left on the host as ";
    let rest = ran
        .out
        .split(said)
        .nth(1)
        .unwrap_or_else(|| panic!("{ran:?}"));
    let (left, rest) = rest.split_once(": ").unwrap();
    assert_eq!(fs::read(left).unwrap().len(), 300_000, "{left}");
    assert!(
        rest.starts_with("this task removes it when it runs again\n"),
        "{ran:?}"
    );
    hosts.go();
    assert_eq!(other.end().code, 0);
    assert_eq!(hosts.play("copy.toml", &[]).code, 0);
    let names = fs::read_dir(&work)
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name());
    let mut names = names.map(|name| name.into_string().unwrap());
    assert!(!names.any(|name| name.contains(".runner-")));
}

/// A file may have been changed since its checksum came.
#[test]
fn what_is_fetched_is_looked_at_again() {
    let slow = "#!/bin/sh\n/usr/bin/sha256sum \"$@\"\ntouch WORK/asked\nuntil [ -e WORK/on ]; do sleep 0.05; done\n";
    let Some((hosts, _bin)) = with_program("sha256sum", slow) else {
        return;
    };
    let work = hosts.work();
    fs::write(work.join("file"), "old").unwrap();
    let task = "fetch = { src = \"{{ work }}/file\", dest = \"fetched\" }";
    fs::write(hosts.bench.path("fetch.toml"), play(&[task])).unwrap();
    let mut run = hosts.start("fetch.toml", &[]);
    until("the host is asked", || hosts.is_there("asked"));
    run.signal("STOP");
    fs::write(work.join("on"), "").unwrap();
    until("the lock is given up", || hosts.locks(0).is_empty());
    fs::write(work.join("file"), "new").unwrap();
    run.signal("CONT");
    let ran = run.end();
    assert_eq!(ran.code, 0, "{ran:?}");
    let fetched = fs::read_to_string(hosts.bench.path("fetched")).unwrap();
    assert_eq!(fetched, "new");
}

/// What the host said before it gave the lock up may be true no longer.
#[test]
fn what_was_seen_before_is_looked_at_again() {
    let Some(hosts) = Hosts::new(1) else { return };
    hosts.impatient();
    let unless = "touch {{ work }}/asked; until [ -e {{ work }}/on ]; do sleep 0.05; done; test -e {{ work }}/touched-a";
    for next in [
        format!("shell = {{ cmd = \"echo twice >{{{{ work }}}}/next\", unless = \"{unless}\" }}"),
        format!("script = {{ src = \"say\", unless = \"{unless}\" }}"),
    ] {
        let first = "name = \"first\"\nshell = \"true\"";
        fs::write(
            hosts.bench.path("seen.toml"),
            play(&[first, &format!("name = \"next\"\n{next}")]),
        )
        .unwrap();
        let script = format!("echo twice >{}/next\n", hosts.work().display());
        fs::write(hosts.bench.path("say"), script).unwrap();
        let mut run = hosts.start("seen.toml", &[]);
        until("the host is asked", || hosts.is_there("asked"));
        run.signal("STOP");
        // The answer comes while nobody listens.
        fs::write(hosts.work().join("on"), "").unwrap();
        until("the lock is given up", || hosts.locks(0).is_empty());
        assert_eq!(hosts.play("touch.toml", &[]).code, 0);
        run.signal("CONT");
        let ran = run.end();
        assert_eq!(ran.code, 0, "{next}: {ran:?}");
        assert!(!hosts.is_there("next"), "{next}: {ran:?}");
        assert!(hosts.is_there("touched-a"));
        for name in ["asked", "on", "touched-a"] {
            fs::remove_file(hosts.work().join(name)).unwrap();
        }
        hosts.assert_released();
    }
}
