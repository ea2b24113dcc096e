//! `runner history` and `runner show`.

use crate::local::{Local, mark, risky};
use serde_json::Value;

#[test]
fn a_run_is_shown_as_it_was() {
    let local = Local::tasks(&[mark("one", ""), risky(""), mark("three", "")]);
    local.fails("b");
    for options in [&[][..], &["--check"], &["-v"]] {
        let ran = local.play(options);
        let verbose = options.iter().filter(|option| **option == "-v");
        let args: Vec<&str> = ["show", "last"]
            .into_iter()
            .chain(verbose.copied())
            .collect();
        let shown = local.bench.run(&args);
        assert_eq!(shown.out, ran.out);
        assert_eq!((shown.code, shown.err.as_str()), (0, ""));
    }
    let ran = local.bench.run(&["exec", "all", "--", "echo", "hello"]);
    assert_eq!(local.bench.run(&["show"]).out, ran.out);
}

#[test]
fn a_run_is_shown_as_events() {
    let local = Local::tasks(&[mark("one", ""), risky("")]);
    local.fails("b");
    let lines = |text: &str| -> Vec<Value> {
        text.lines()
            .map(|line| {
                let mut line: Value = serde_json::from_str(line).unwrap();
                // When the screen heard of it, and when the journal did.
                line.as_object_mut().unwrap().remove("time");
                line
            })
            .collect()
    };
    let ran = local.ends(&["--output", "json"], 2);
    let shown = local.bench.run(&["show", "--output", "json"]);
    assert_eq!(lines(&shown.out), lines(&ran));
    assert!(shown.out.contains(&local.only()), "{}", shown.out);
}

#[test]
fn the_runs_are_listed() {
    let local = Local::tasks(&[mark("one", ""), risky("")]);
    assert_eq!(local.bench.run(&["history"]).out, "there is no run yet\n");
    local.fails("b");
    local.ends(&["--limit", "a,b"], 2);
    let run = local.only();
    let out = local.bench.run(&["history"]).out;
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 2, "{out}");
    assert_eq!(lines[0], format!("{run}  play play.toml --limit a,b"));
    let end = ", 2 hosts: 3 changed and 1 failed (exit 2, ";
    assert!(lines[1].contains(end), "{out}");
    local.bench.run(&["exec", "c", "--", "true"]);
    let out = local.bench.run(&["history", "-n", "1"]).out;
    assert!(out.contains("  exec true\n"), "{out}");
    assert_eq!(out.lines().count(), 2);
    let json = local.bench.run(&["history", "--output", "json"]).out;
    let all: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(all[0]["command"], "exec");
    assert_eq!(all[1]["id"], run);
    assert_eq!(all[1]["exit_code"], 2);
    let totals = serde_json::json!({"changed": 3, "failed": 1});
    assert_eq!(all[1]["totals"], totals);
    assert_eq!(all[1]["state"], "ended");
}

#[test]
fn what_is_no_run_is_refused() {
    let local = Local::tasks(&[mark("one", "")]);
    let none = format!(
        "error: there is no run yet\n   = help: runs are kept in {}\n",
        local.runs().display()
    );
    local.bench.refuses(&["show"], 5, &none);
    let wrong = "error: `lats` is no name of a run
   = help: `runner history` lists them; `last` is the last one
";
    local.bench.refuses(&["show", "lats"], 5, wrong);
}

#[test]
fn only_so_many_are_kept() {
    let local = Local::tasks(&[mark("one", "")]);
    std::fs::create_dir_all(local.runs()).unwrap();
    for number in 0..205 {
        let name = format!("20200101-000000-{number:04x}.jsonl");
        std::fs::write(local.runs().join(name), "").unwrap();
    }
    local.ends(&[], 0);
    let journals = local.journals();
    assert_eq!(journals.len(), 200);
    let last = journals.last().unwrap().file_name().unwrap();
    assert!(!last.to_str().unwrap().starts_with("2020"), "{last:?}");
}

#[test]
fn runs_at_the_same_time_do_not_disturb_each_other() {
    let local = Local::tasks(&[mark("one", ""), mark("two", "")]);
    let children: Vec<_> = (0..6)
        .map(|_| {
            let mut command = local.bench.command(&["play", "play.toml", "--no-lock"]);
            command.stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let json = local.bench.run(&["history", "--output", "json"]).out;
    let all: Value = serde_json::from_str(&json).unwrap();
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 6);
    let six = serde_json::json!({"changed": 6});
    assert!(all.iter().all(|run| run["totals"] == six), "{json}");
}
