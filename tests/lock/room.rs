//! A server that allows a single session has no room for a shell that holds the lock while a file travels: it is held all the same.

use crate::hosts::{Hosts, Run};
use crate::support::bench::play;
use crate::support::promise::{judged, too_short, unconfirmed};
use crate::support::proxy::{At, Fault, Proxy, to_server};
use crate::support::site::until;
use std::fs;
use std::os::unix::process::CommandExt;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the locks are looked at.
const LOOK: Duration = Duration::from_millis(1);

const FILE: &str = "name = \"file\"\ncopy = { src = \"big\", dest = \"{{ work }}/big\" }";

/// A machine with one session, behind a link so slow that the file takes some seconds.
fn hosts() -> Option<(Hosts, Proxy)> {
    let hosts = Hosts::with(&["MaxSessions 1"])?;
    let slow = Fault::Slice(4096, Duration::from_millis(20));
    let rules = vec![to_server(At::Byte(64 * 1024), slow)];
    let proxy = Proxy::start(hosts.machines[0].address(), move |_| rules.clone());
    hosts.behind(proxy.port);
    fs::create_dir_all(hosts.bench.path("files")).unwrap();
    for place in ["big", "files/big"] {
        fs::write(hosts.bench.path(place), vec![7; 1 << 20]).unwrap();
    }
    Some((hosts, proxy))
}

/// Whether the file is on its way: it has another name until it is there.
fn travels(hosts: &Hosts) -> bool {
    let entries = fs::read_dir(hosts.work()).unwrap().flatten();
    entries
        .map(|entry| entry.file_name())
        .any(|name| name.to_string_lossy().contains("big") && name != "big")
}

/// Looks at a machine's locks a thousand times a second, and counts how often there was none.
struct Guard {
    over: Sender<()>,
    looking: JoinHandle<usize>,
}

impl Guard {
    fn start(hosts: &Hosts) -> Self {
        let (over, ticks) = channel();
        let folder = crate::hosts::folder(hosts, 0).to_path_buf();
        let looking = std::thread::spawn(move || {
            let mut free = 0;
            while ticks.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                free += usize::from(fs::read_dir(&folder).unwrap().next().is_none());
            }
            free
        });
        Self { over, looking }
    }

    fn end(self) -> usize {
        drop(self.over);
        self.looking.join().unwrap()
    }
}

#[test]
fn the_lock_is_held_before_while_and_after_a_file_travels() {
    let Some((hosts, _proxy)) = hosts() else {
        return;
    };
    let before = "name = \"before\"\nshell = \"touch '{{ work }}/before'\"";
    fs::write(
        hosts.bench.path("file.toml"),
        play(&[before, FILE, crate::hosts::HOLD]),
    )
    .unwrap();
    let mut run = hosts.start("file.toml", &[]);
    until("the run has begun", || hosts.is_there("before"));
    let guard = Guard::start(&hosts);
    until("the file travels", || travels(&hosts));
    let other = hosts.play("touch.toml", &[]);
    assert!(travels(&hosts), "the file was too fast");
    assert_eq!(other.code, 7, "{other:?}");
    let by = format!("by ann@{}, since", crate::hosts::machine());
    assert!(other.err.contains(&by), "{other:?}");
    assert!(!other.err.contains(".held"), "{other:?}");
    until("the host is held", || hosts.is_there("a"));
    assert_eq!(guard.end(), 0, "the host was free for a while");
    assert_eq!(hosts.locks(0).len(), 1, "{:?}", hosts.locks(0));
    hosts.go();
    assert_eq!(run.end().code, 0);
    hosts.assert_released();
}

#[test]
fn a_file_that_comes_last_does_not_keep_the_lock_on_a_kept_connection() {
    judged(|_| {
        let Some((hosts, _proxy)) = hosts() else {
            return;
        };
        // It does not arrive, so nothing follows it that would take the lock back.
        let late = format!("{FILE}\ntimeout = \"2s\"");
        fs::write(hosts.bench.path("file.toml"), play(&[&late])).unwrap();
        let runtime = tempfile::tempdir().unwrap();
        let mut command = hosts.command("file.toml", &["--persist", "60s"]);
        command
            .env("XDG_RUNTIME_DIR", runtime.path())
            .process_group(0);
        let ran = Run::new(&mut command).end();
        if unconfirmed(&ran.out) {
            return too_short(ran.out);
        }
        assert_eq!(ran.code, 2, "{ran:?}");
        hosts.assert_released();
        let mut command = hosts.bench.command(&["connections", "close", "--all"]);
        command.env("XDG_RUNTIME_DIR", runtime.path());
        let closed = Run::new(&mut command).end();
        assert_eq!(closed.out, "closed 1 connection\n", "{closed:?}");
    });
}

#[test]
fn a_runner_that_is_killed_while_a_file_travels_gives_it_back() {
    let Some((hosts, _proxy)) = hosts() else {
        return;
    };
    fs::write(hosts.bench.path("file.toml"), play(&[FILE])).unwrap();
    let mut run = hosts.start("file.toml", &[]);
    until("the file travels", || travels(&hosts));
    assert_eq!(hosts.locks(0).len(), 1, "{:?}", hosts.locks(0));
    run.signal("KILL");
    assert_eq!(run.end().code, -1);
    hosts.assert_released();
}
