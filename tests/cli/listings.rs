//! What the program tells without connecting to anything.

use crate::support::bench::{Bench, Ran, play};

fn says(bench: &Bench, args: &[&str], words: &str) {
    let ran = bench.run(args);
    let expected = Ran {
        code: 0,
        out: words.strip_prefix('\n').unwrap_or(words).to_string(),
        err: String::new(),
    };
    assert_eq!(ran, expected, "{args:?}");
    assert_eq!(bench.connections(), 0, "{args:?}");
}

fn two_tasks() -> Bench {
    Bench::with(play(&[
        "name = \"first\"\ncommand = \"uptime\"\ntags = [\"x\", \"y\"]",
        "debug = \"hi\"",
    ]))
}

#[test]
fn hosts_and_tasks() {
    let bench = two_tasks();
    says(
        &bench,
        &["play", "play.toml", "--list-hosts", "--list-tasks"],
        "all [all]: 1 host\n  one\n  command: first  [x, y]\n  debug: debug\n",
    );
    says(
        &bench,
        &["play", "play.toml", "--list-tasks", "--tags", "x"],
        "all [all]: 1 host\n  command: first  [x, y]\n",
    );
    says(
        &bench,
        &["play", "play.toml", "--list-tasks", "--skip-tags", "x"],
        "all [all]: 1 host\n  debug: debug\n",
    );
    says(
        &bench,
        &[
            "play",
            "play.toml",
            "--list-tasks",
            "--start-at-task",
            "debug",
        ],
        "all [all]: 1 host\n  debug: debug\n",
    );
}

#[test]
fn validate_checks_every_playbook() {
    let bench = Bench::new()
        .file("playbooks/a.toml", play(&["comand = \"uptime\""]))
        .file(
            "playbooks/b.toml",
            play(&["debug = { msg = \"{{ nope }}\" }"]),
        )
        .file("playbooks/c.toml", play(&["remove = \"/\""]));
    bench.refuses(
        &["validate"],
        5,
        r#"
error: unknown key `comand` in a task
  --> playbooks/a.toml:5:1
   |
 5 | comand = "uptime"
   | ^^^^^^ neither a module nor a task option
   = help: did you mean `command`?

error: `nope` is undefined
  --> playbooks/b.toml:5:21
   |
 5 | debug = { msg = "{{ nope }}" }
   |                     ^^^^ for host one

error: refusing to remove `/`: it is the root of the file system
  --> playbooks/c.toml:5:10
   |
 5 | remove = "/"
   |          ^^^ for host one
"#,
    );
    says(
        &two_tasks(),
        &["validate", "play.toml"],
        "1 playbook and 1 host are as they should be\n",
    );
}

#[test]
fn modules_are_described() {
    let bench = Bench::new();
    let list = bench.run(&["modules"]);
    assert_eq!(list.code, 0);
    for spec in runner::modules::all() {
        let line = list.out.lines().find(|line| {
            line.split_once(' ')
                .is_some_and(|(name, summary)| name == spec.name && summary.trim() == spec.summary)
        });
        assert!(line.is_some(), "{} in\n{}", spec.name, list.out);
        let page = bench.run(&["modules", spec.name]);
        assert_eq!(page.code, 0);
        for arg in spec.args {
            assert!(page.out.contains(arg.name), "{}: {}", spec.name, arg.name);
        }
        assert!(page.out.contains(spec.example.trim()), "{}", page.out);
    }
    bench.refuses(
        &["modules", "comand"],
        5,
        "error: there is no module `comand`\n   = help: did you mean `command`?\n   = help: `runner modules` lists them\n",
    );
}

#[test]
fn completions_are_made_for_every_shell() {
    let bench = Bench::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = bench.run(&["completions", shell]);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{shell}");
        assert!(ran.out.contains("accept-new-host-keys"), "{shell}");
    }
}

#[test]
fn help_names_every_command_and_option() {
    let bench = Bench::new();
    let ran = bench.run(&["--help"]);
    assert_eq!(ran.code, 0);
    for command in [
        "play",
        "exec",
        "task",
        "ping",
        "inventory",
        "validate",
        "demo",
        "modules",
        "completions",
    ] {
        assert!(ran.out.contains(&format!("\n  {command} ")), "{command}");
    }
    let ran = bench.run(&["play", "--help"]);
    for option in [
        "-i, --inventory",
        "-l, --limit",
        "-C, --check",
        "-D, --diff",
        "-t, --tags",
        "--skip-tags",
        "-e, --extra-vars",
        "-f, --forks",
        "-b, --become",
        "-K, --ask-become-pass",
        "-u, --user",
        "--key",
        "--list-hosts",
        "--list-tasks",
        "--start-at-task",
        "-o, --output",
        "-v, --verbose",
        "--log",
    ] {
        assert!(
            ran.out.contains(&format!(" {option}")),
            "{option}\n{}",
            ran.out
        );
    }
}

/// Nobody has to wait for a program that writes into a closed pipe.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let bench = Bench::new();
    let mut child = bench
        .command(&["completions", "bash"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_trace_has_each_task_and_not_what_it_said() {
    let bench = Bench::with(play(&["command = \"echo canary-in-output\""])).file(
        "inventory/hosts.toml",
        "[hosts]\none = { connection = { transport = \"local\" } }\n",
    );
    let ran = bench.run(&["play", "play.toml", "--log", "trace.log"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let trace = std::fs::read_to_string(bench.path("trace.log")).unwrap();
    assert!(
        trace.contains("task host=\"one\" place=play.toml:5:1 status=Changed"),
        "{trace}"
    );
    assert!(!trace.contains("canary"), "{trace}");
}
