//! What is kept, for whom, for how long, and how it is shown.

use crate::kept::{Kept, Running, gone};
use crate::support::bench::{Ran, play};
use crate::support::site::{alive, until};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

#[test]
fn a_second_run_logs_in_no_more() {
    let Some(kept) = Kept::new() else { return };
    kept.says(&[], "first");
    let keeper = kept.keeper();
    kept.says(&[], "second");
    assert_eq!(kept.logins(2), 1);
    assert_eq!(kept.keeper(), keeper);
    // By another name it is the same host.
    let ran = kept.run(&["ping", "-F", "ssh_config"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(kept.logins(3), 1);
}

#[test]
fn several_runs_share_a_connection() {
    let Some(kept) = Kept::new() else { return };
    kept.says(&[], "first");
    let wait = tempfile::tempdir().unwrap();
    let path = wait.path().display();
    let start = |number| {
        kept.start(&format!(
            "touch {path}/{number}; while [ ! -e {path}/go ]; do sleep 0.05; done; echo {number}"
        ))
    };
    // More than the sessions that the server allows on one connection, so the last ones wait for the first.
    let mut runs: Vec<Running> = (0..12).map(start).collect();
    until("as many run as may", || {
        fs::read_dir(wait.path()).unwrap().count() >= 9
    });
    fs::write(wait.path().join("go"), "").unwrap();
    for (number, run) in runs.iter_mut().enumerate() {
        let ran = run.end();
        assert_eq!((ran.code, ran.out), (0, format!("one  {number}\n")));
    }
    assert_eq!(
        kept.site.sshd.log().matches("Accepted publickey").count(),
        1
    );
    // Nothing of them stays on the host.
    let is_server = |process: &String| {
        let name = fs::read_to_string(format!("/proc/{process}/comm"));
        name.is_ok_and(|name| name.starts_with("sshd"))
    };
    until("only the connection is left", || {
        kept.sessions().iter().all(is_server)
    });
}

#[test]
fn files_travel_over_a_kept_connection() {
    let tasks = [
        "copy = { src = \"big\", dest = \"{{ home }}/copied\" }",
        "fetch = { src = \"{{ home }}/copied\", dest = \"fetched/\" }",
    ];
    let Some(kept) = Kept::playing(&play(&tasks)) else {
        return;
    };
    let big: Vec<u8> = (0..8_000_000u32)
        .map(|at| (at.wrapping_mul(at) >> 7) as u8)
        .collect();
    fs::create_dir(kept.site.bench.path("files")).unwrap();
    fs::write(kept.site.bench.path("files/big"), &big).unwrap();
    kept.says(&[], "first");
    let home = tempfile::tempdir().unwrap();
    let home = format!("home={}", home.path().display());
    let ran = kept.run(&["play", "play.toml", "-F", "ssh_config", "-e", &home]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let log = kept.site.sshd.log();
    assert_eq!(log.matches("Accepted publickey").count(), 1);
    let copied = fs::read(home.trim_start_matches("home=").to_string() + "/copied").unwrap();
    assert!(copied == big, "the copy differs");
}

#[test]
fn much_output_is_held_nowhere() {
    let Some(kept) = Kept::new() else { return };
    kept.says(&[], "first");
    let peak = || -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", kept.keeper())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = peak.unwrap().trim().trim_end_matches(" kB");
        peak.parse().unwrap()
    };
    let before = peak();
    let ran = kept.exec(&[], "head -c 40000000 /dev/zero | tr '\\0' x | fold -w 99");
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.out.len() > 40_000_000, "{}", ran.out.len());
    let more = peak() - before;
    assert!(more < 16_000, "{more} kB");
}

#[test]
fn nothing_is_kept_where_that_is_not_wanted() {
    let Some(kept) = Kept::new() else { return };
    kept.says(&["--persist", "0"], "first");
    let ran: Ran = kept
        .command(&["ping", "-F", "ssh_config"])
        .env("RUNNER_PERSIST", "0s")
        .output()
        .unwrap()
        .into();
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(!kept.folder().exists());
    assert_eq!(kept.logins(2), 2);
    until("the server is left alone", || kept.sessions().is_empty());
}

#[test]
fn what_nobody_uses_is_closed_in_time() {
    let Some(kept) = Kept::new() else { return };
    kept.says(&["--persist", "1s"], "first");
    let keeper = kept.keepers();
    gone("the keeper has ended", &keeper);
    assert!(kept.keepers().is_empty());
    until("the server is left alone", || kept.sessions().is_empty());
}

#[test]
fn a_run_keeps_what_it_uses_for_as_long_as_it_runs() {
    let Some(kept) = Kept::new() else { return };
    kept.says(&["--persist", "1s"], "first");
    let keeper = kept.keepers();
    // Longer than the connection would be kept.
    let ran = kept.exec(&["--persist", "1s"], "sleep 2; echo second");
    assert_eq!(ran.out, "one  second\n");
    assert_eq!(kept.logins(2), 1);
    gone("the keeper has ended", &keeper);
}

#[test]
fn a_keeper_holds_nothing_of_the_operators() {
    let Some(kept) = Kept::new() else { return };
    let runner = env!("CARGO_BIN_EXE_runner");
    // A descriptor beside the standard ones, such as that of a lock. The shell's end is the test's:
    // whoever holds it open lets it wait.
    let ran: Ran = Command::new("sh")
        .args(["-c", "exec 9>&1; exec \"$@\"", "sh"])
        .arg(runner)
        .args([
            "exec",
            "one",
            "-F",
            "ssh_config",
            "--log",
            "log",
            "-e",
            "word=secret",
            "--",
            "true",
        ])
        .current_dir(kept.site.bench.root())
        .env("XDG_RUNTIME_DIR", kept.folder().parent().unwrap())
        .env_remove("RUNNER_PERSIST")
        .env("DATABASE_PASSWORD", "c4nary")
        .output()
        .unwrap()
        .into();
    assert_eq!(ran.code, 0, "{ran:?}");
    let keeper = kept.keeper();
    assert!(alive(&keeper));
    let environment = fs::read(format!("/proc/{keeper}/environ")).unwrap();
    let left = environment.split(|byte| *byte == 0);
    let left: Vec<_> = left.filter(|word| !word.is_empty()).collect();
    let names: Vec<_> = left
        .iter()
        .map(|word| String::from_utf8_lossy(word))
        .collect();
    assert!(left.is_empty(), "{names:?}");
    let at = |name: &str| format!("/proc/{keeper}/{name}");
    assert_eq!(fs::read_link(at("cwd")).unwrap().to_str(), Some("/"));
    let arguments = fs::read_to_string(at("cmdline")).unwrap();
    assert!(
        arguments.starts_with("runner: connections\0"),
        "{arguments}"
    );
    assert!(!arguments.contains("secret"));
    for entry in fs::read_dir(at("fd")).unwrap() {
        let target = fs::read_link(entry.unwrap().path()).unwrap();
        let target = target.to_str().unwrap();
        let fine = ["/dev/null", "socket:", "anon_inode:"];
        assert!(
            fine.iter().any(|start| target.starts_with(start)),
            "{target}"
        );
    }
    let stat = fs::read_to_string(at("stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    // Process group and session are its own.
    assert_eq!(fields[2..4], [keeper.as_str(), keeper.as_str()]);
    // It keeps all the same.
    kept.says(&[], "second");
    assert_eq!((kept.logins(2), kept.keeper()), (1, keeper));
}

#[test]
fn a_folder_that_others_can_enter_is_not_used() {
    let Some(kept) = Kept::new() else { return };
    fs::create_dir(kept.folder()).unwrap();
    fs::set_permissions(kept.folder(), fs::Permissions::from_mode(0o755)).unwrap();
    kept.says(&["--log", "log"], "first");
    assert_eq!(fs::read_dir(kept.folder()).unwrap().count(), 0);
    let log = fs::read_to_string(kept.site.bench.path("log")).unwrap();
    assert!(log.contains("connections are not kept why=/"), "{log}");
    assert!(log.contains("/runner can be entered by others\n"), "{log}");
    kept.says(&[], "second");
    assert_eq!(kept.logins(2), 2);
}

#[test]
fn what_is_kept_is_listed_and_closed() {
    let Some(kept) = Kept::new() else { return };
    let none = kept.run(&["connections"]);
    assert_eq!(
        (none.code, none.out.as_str()),
        (0, "no connections are kept\n")
    );
    kept.says(&[], "first");
    let keeper = kept.keeper();
    let table = kept.run(&["connections"]);
    let words: Vec<&str> = table
        .out
        .lines()
        .nth(1)
        .unwrap()
        .split_whitespace()
        .collect();
    let user = crate::support::sshd::current_user();
    let login = format!("{user}@127.0.0.1:{}", kept.site.sshd.port);
    assert_eq!(words[..2], ["one", &login]);
    assert_eq!(words.last(), Some(&keeper.as_str()));
    let json = kept.run(&["connections", "--output", "json"]);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json[0]["host"], "one");
    assert_eq!(json[0]["process"].to_string(), keeper);
    assert_eq!(json[0]["runs"], 0);
    assert!(json[0]["closed_in_seconds"].as_f64().unwrap() > 30.0);

    let wrong = kept.run(&["connections", "close", "ones"]);
    assert_eq!(
        (wrong.code, wrong.err.as_str()),
        (
            3,
            "error: no connection is kept to `ones`\n   = help: did you mean `one`?\n   \
             = help: `runner connections` lists them\n"
        )
    );
    let closed = kept.run(&["connections", "close", "o*"]);
    assert_eq!(
        (closed.code, closed.out.as_str()),
        (0, "closed 1 connection\n")
    );
    gone("the keeper has ended", &[keeper]);
    let again = kept.run(&["connections", "close", "--all"]);
    assert_eq!(
        (again.code, again.out.as_str()),
        (0, "closed 0 connections\n")
    );
}

#[test]
fn one_that_is_in_use_is_closed_after_it() {
    let Some(kept) = Kept::new() else { return };
    kept.says(&[], "first");
    let keeper = kept.keepers();
    let wait = tempfile::tempdir().unwrap();
    let path = wait.path().display();
    let mut running = kept.start(&format!(
        "touch {path}/runs; while [ ! -e {path}/go ]; do sleep 0.05; done; echo done"
    ));
    until("the command runs", || wait.path().join("runs").exists());
    let closed = kept.run(&["connections", "close", "--all"]);
    assert_eq!(
        closed.out,
        "closed 0 connections\n1 connection in use: closed when the run is through with it\n"
    );
    fs::write(wait.path().join("go"), "").unwrap();
    let ran = running.end();
    assert_eq!((ran.code, ran.out.as_str()), (0, "one  done\n"));
    gone("the keeper has ended", &keeper);
}
