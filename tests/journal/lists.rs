//! `@failed`, `@unreachable` and `@unknown`: the hosts of the last run.

use crate::local::{Local, mark, risky};

#[test]
fn the_hosts_that_the_last_run_did_not_finish() {
    let local = Local::tasks(&[mark("one", ""), risky(""), mark("three", "")]);
    local.fails("b");
    local.fails("c");
    local.ends(&[], 2);
    local.marks();
    local.ends(&["--limit", "@failed:!c"], 2);
    assert_eq!(local.marks(), ["b one", "b risky"]);
    local.mended();
    local.ends(&["--limit", "all:&@failed"], 0);
    assert_eq!(local.marks(), ["b one", "b risky", "b three"]);
    // That run finished on its only host.
    let none = "error: `@failed` matches no host
  --> --limit:1:1
   |
 1 | @failed
   | ^^^^^^^
";
    local
        .bench
        .refuses(&["play", "play.toml", "--limit", "@failed"], 3, none);
}

#[test]
fn to_look_at_the_failed_hosts_does_not_forget_them() {
    let local = Local::tasks(&[risky("")]);
    local.fails("c");
    local.ends(&[], 2);
    for _ in 0..2 {
        let ran = local.bench.run(&["exec", "@failed", "--", "echo", "seen"]);
        assert_eq!((ran.code, ran.out.as_str()), (0, "c  seen\n"), "{ran:?}");
    }
    // A command on hosts that are named otherwise is a run like any other.
    local.bench.run(&["exec", "a,b", "--", "false"]);
    let ran = local.bench.run(&["exec", "@failed", "--", "echo", "seen"]);
    assert!(ran.out.contains("a") && ran.out.contains("b"), "{ran:?}");
    assert!(!ran.out.contains("c  seen"), "{ran:?}");
}

#[test]
fn hosts_that_were_not_reached() {
    let local = Local::tasks(&[mark("one", "")]);
    let path = local.bench.path("inventory/hosts.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    // Nobody listens at the discard port.
    let away = "b = { address = \"127.0.0.1\", port = 9 }\n";
    let here = "b = { connection = { transport = \"local\" } }\n";
    std::fs::write(&path, text.replace(here, away)).unwrap();
    local.ends(&[], 4);
    std::fs::write(&path, text).unwrap();
    local.marks();
    local.ends(&["--limit", "@unreachable"], 0);
    assert_eq!(local.marks(), ["b one"]);
}

#[test]
fn without_a_run_there_is_no_such_host() {
    let local = Local::tasks(&[mark("one", "")]);
    let refused = "error: there is no run before this one that `@failed` could mean
  --> --limit:1:3
   |
 1 | a:&@failed
   |   ^^^^^^^^
   = help: it means the last run on the same inventory; `runner history` lists the runs
";
    let args = ["play", "play.toml", "--limit", "a:&@failed"];
    local.bench.refuses(&args, 5, refused);
}

#[test]
fn a_file_of_that_name_is_named_with_its_folder() {
    let local = Local::tasks(&[mark("one", "")]);
    local.write("failed", "c\n");
    local.ends(&["--limit", "@./failed"], 0);
    assert_eq!(local.marks(), ["c one"]);
}
