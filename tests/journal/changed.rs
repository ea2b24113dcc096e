//! What has changed since the run that is to be gone on from.

use crate::local::{Local, mark, risky};

/// Plays with a failure, changes something, and is told what, on the way to going on.
#[track_caller]
fn changed(local: &Local, change: impl FnOnce(&Local), options: &[&str], told: &[&str]) {
    local.fails("b");
    local.ends(&[], 2);
    let run = local.only();
    local.marks();
    change(local);
    let told: String = told
        .iter()
        .map(|line| format!("   = help: {line}\n"))
        .collect();
    local.bench.refuses(
        &[&["play", "play.toml", "--resume"], options].concat(),
        5,
        &format!(
            "error: play.toml has changed since run {run}\n{told}   = help: undo that, or play it without --resume: \
             what is as wanted already stays as it is\n"
        ),
    );
    assert!(local.marks().is_empty());
}

fn three() -> Local {
    Local::tasks(&[mark("one", ""), risky(""), mark("three", "")])
}

fn tasks(tasks: &[String]) -> String {
    format!(
        "[[play]]\nname = \"work\"\nhosts = \"all\"\n{}",
        tasks.concat()
    )
}

#[test]
fn another_task() {
    let now = tasks(&[mark("one", ""), risky(""), mark("drei", "")]);
    changed(
        &three(),
        |local| local.write("play.toml", &now),
        &[],
        &["task 3 of play `work` was `three` (shell), is now `drei` (shell) at play.toml:17"],
    );
}

#[test]
fn a_task_with_another_argument_or_modifier() {
    let now = tasks(&[
        mark("one", ""),
        risky("ignore_errors = true"),
        mark("three", ""),
    ]);
    changed(
        &three(),
        |local| local.write("play.toml", &now),
        &[],
        &["task 2 of play `work`, `risky` (shell) at play.toml:12, has changed"],
    );
}

#[test]
fn a_task_more_and_a_task_less() {
    let more = tasks(&[
        mark("one", ""),
        risky(""),
        mark("three", ""),
        mark("four", ""),
    ]);
    changed(
        &three(),
        |local| local.write("play.toml", &more),
        &[],
        &["task 4 of play `work`, `four` (shell) at play.toml:22, is new"],
    );
    let less = tasks(&[mark("one", ""), risky("")]);
    changed(
        &three(),
        |local| local.write("play.toml", &less),
        &[],
        &["task 3 of play `work`, `three` (shell) at play.toml:17, is gone"],
    );
}

#[test]
fn a_comment_is_no_change() {
    let local = three();
    local.fails("b");
    local.ends(&[], 2);
    local.marks();
    local.mended();
    let now = tasks(&[mark("one", ""), risky(""), mark("three", "")]);
    local.write("play.toml", &format!("# it was b's disk\n\n{now}"));
    local.ends(&["--resume"], 0);
    assert_eq!(local.marks(), ["b risky", "b three"]);
}

#[test]
fn the_hosts_of_a_play_and_their_variables() {
    changed(
        &three(),
        |local| {
            let path = local.bench.path("inventory/hosts.toml");
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.replace("c = {", "d = {");
            let text = text.replace("a = {", "a = { vars = { x = 1 },");
            std::fs::write(path, text).unwrap();
        },
        &[],
        &[
            "play `work` is no longer for `c`, but for `d`",
            "the variables of host `a` have changed",
        ],
    );
}

#[test]
fn a_variable_and_a_file() {
    let play = |value: &str| {
        let tasks = [
            "\n[[play.task]]\nfile = { path = \"DIR/out-{{ inventory_hostname }}\", content = \"{{ color }}\" }\n".into(),
            "\n[[play.task]]\ntemplate = { src = \"made.conf\", dest = \"DIR/made-{{ inventory_hostname }}\" }\n".into(),
            risky(""),
        ];
        let head = format!("hosts = \"all\"\nvars = {{ color = \"{value}\" }}\n");
        self::tasks(&tasks).replace("hosts = \"all\"\n", &head)
    };
    let local = Local::new(&play("red"));
    local.write("made.conf", "of {{ color }}\n");
    changed(
        &local,
        |local| {
            local.write("play.toml", &play("blue"));
            local.write("made.conf", "made of {{ color }}\n");
        },
        &["-e", "size=3"],
        &[
            "variable `color` of play `work` has changed",
            "file `made.conf` has changed",
            "variable `size` of -e is new",
        ],
    );
}

#[test]
fn another_part_of_the_playbook() {
    let local = three();
    local.fails("b");
    local.ends(&["--limit", "a,b"], 2);
    let run = local.only();
    local.bench.refuses(
        &["play", "play.toml", "--resume", "--skip-tags", "tagged"],
        5,
        &format!(
            "error: this is not the part of play.toml that run {run} played
   = help: it was played with --limit a,b
   = help: this is with --skip-tags tagged
"
        ),
    );
}

#[test]
fn another_inventory_is_another_run() {
    let local = three();
    local.fails("b");
    local.ends(&[], 2);
    let run = local.only();
    let hosts = std::fs::read_to_string(local.bench.path("inventory/hosts.toml")).unwrap();
    local.write("staging.toml", &hosts);
    let ran = local.play(&["--resume", "-i", "staging.toml"]);
    assert_eq!(ran.code, 5);
    let none = "error: there is no run of play.toml on this inventory";
    assert!(ran.err.starts_with(none), "{ran:?}");
    let folder = local.bench.root().canonicalize().unwrap();
    let folder = folder.display();
    local.bench.refuses(
        &[
            "play",
            "play.toml",
            &format!("--resume={run}"),
            "-i",
            "staging.toml",
        ],
        5,
        &format!(
            "error: run {run} was of {folder}/play.toml on {folder}/inventory
   = help: this is of {folder}/play.toml on {folder}/staging.toml
"
        ),
    );
}
