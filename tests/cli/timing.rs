//! `--timing`: the numbers of a real run.

use crate::support::bench::Bench;
use crate::support::site::Site;
use serde_json::Value;

const PLAYBOOK: &str = r#"
[[play]]
name = "files"
hosts = "all"

[[play.task]]
name = "first"
file = { path = "{{ dir }}/{{ inventory_hostname }}-1", content = "x" }

[[play.task]]
name = "second"
file = { path = "{{ dir }}/{{ inventory_hostname }}-2", content = "x" }

[[play]]
name = "end"
hosts = "all"
once = true

[[play.task]]
name = "wait"
shell = "echo 12345"
"#;

/// The line of `--timing`, once its sums have been checked.
#[track_caller]
fn timing(out: &str) -> Value {
    let lines = out.lines().map(|line| serde_json::from_str(line).unwrap());
    let line = lines
        .into_iter()
        .find(|line: &Value| line["event"] == "timing");
    let timing = line.unwrap_or_else(|| panic!("no timing in {out}"));
    let seconds = |value: &Value| value.as_f64().unwrap();
    let spent = timing["spent"].as_object().unwrap();
    let sum: f64 = spent.values().map(seconds).sum();
    let took = seconds(&timing["took"]);
    assert!((sum - took).abs() < 1e-6, "{sum} of {took}");
    let path = timing["path"].as_array().unwrap();
    let path: f64 = path.iter().map(|step| seconds(&step["took"])).sum();
    assert!(path <= took, "{path} of {took}");
    timing
}

fn exchanges(timing: &Value) -> Vec<u64> {
    let plays = timing["plays"].as_array().unwrap();
    let tasks = plays
        .iter()
        .flat_map(|play| play["tasks"].as_array().unwrap());
    tasks
        .map(|task| task["exchanges"].as_u64().unwrap())
        .collect()
}

#[test]
fn a_run_says_where_its_time_went() {
    let bench = Bench::with(PLAYBOOK).file(
        "inventory/hosts.toml",
        "[hosts]\n\"h[1:3]\" = { connection = { transport = \"local\" } }\n",
    );
    let dir = format!("dir={}", bench.root().display());
    let play = |output: &[&str]| {
        let args = ["play", "play.toml", "--timing", "-e", &dir];
        let ran = bench.run(&[&args, output].concat());
        assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        ran.out
    };
    let first = timing(&play(&["-o", "json"]));
    // One question, which asks for the second task, too; then one message for both changes.
    assert_eq!(exchanges(&first), [2 * 3, 0, 1]);
    let second = timing(&play(&["-o", "json"]));
    assert_eq!(exchanges(&second), [3, 0, 1]);
    let steps = second["path"].as_array().unwrap();
    let last = steps.last().unwrap();
    assert_eq!(
        (&last["play"], &last["host"], &last["task"]),
        (&1.into(), &"h1".into(), &0.into())
    );
    let wait = &second["plays"][1]["tasks"][0];
    // Six bytes, and what marks the ends of the step.
    assert!(wait["received"].as_u64().unwrap() > 6, "{wait}");
    let text = play(&[]);
    for title in [
        "what the run waited for ",
        "the whole run ",
        "tasks ",
        "hosts ",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(title)),
            "{title}: {text}"
        );
    }
}

#[test]
fn making_a_connection_has_its_own_column() {
    let Some(site) = Site::here(PLAYBOOK) else {
        return;
    };
    let dir = format!("dir={}", site.bench.root().display());
    let ran = site.play(&["--timing", "-o", "json", "-e", &dir]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let timing = timing(&ran.out);
    let host = &timing["hosts"][0];
    let connecting = host["connecting"].as_f64().unwrap();
    assert!(connecting > 0.0, "{host}");
    assert_eq!(timing["spent"]["connecting"], connecting);
    assert_eq!(
        (&host["host"], &host["exchanges"]),
        (&"one".into(), &3.into())
    );
}
