//! Where secrets come from, which of them are wanted, and what shows of them.

use crate::keys::{encrypted, identity};
use crate::support::bench::{Bench, play};
use crate::support::terminal;

/// A host that needs no SSH.
const LOCAL: &str = "[hosts]\none = { connection = { transport = \"local\" } }\n";

fn bench(secrets: &str, tasks: &[&str]) -> Bench {
    Bench::with(play(tasks)).file(
        "inventory/hosts.toml",
        format!("{LOCAL}[secrets]\n{secrets}"),
    )
}

const SHOW: &str = "debug = { msg = \"<{{ pw }}> {{ pw | length }}\" }";

#[test]
fn a_secret_is_a_variable_that_is_not_shown() {
    let bench = bench(
        "pw = { env = \"PW\" }\n",
        &[SHOW, "assert = { that = \"pw == 's3cr3t-w0rd'\" }"],
    );
    let ran = bench
        .command(&["play", "play.toml"])
        .env("PW", "s3cr3t-w0rd")
        .output()
        .unwrap();
    let out = String::from_utf8(ran.stdout).unwrap();
    assert!(out.contains("<[secret pw]> 11"), "{out}");
    assert_eq!(ran.status.code(), Some(0), "{out}");
}

#[test]
fn a_secret_is_no_template() {
    let bench = bench(
        "pw = { command = [\"printf\", \"%s\", \"{{ 1 + 1 }} {{\"] }\n",
        &[SHOW],
    );
    let ran = bench.run(&["play", "play.toml"]);
    assert!(
        ran.out.contains("<[secret pw]> 14"),
        "{}{}",
        ran.out,
        ran.err
    );
}

#[test]
fn only_what_is_used_is_found_out_and_only_once() {
    let count = "echo x >>asked; echo s3cr3t-w0rd";
    let secrets = format!(
        "pw = {{ command = [\"sh\", \"-c\", \"{count}\"] }}\nother = {{ command = [\"sh\", \"-c\", \"touch never\"] }}\n\
         unset = {{ env = \"NOWHERE\" }}\nquestion = {{ prompt = \"never\" }}\n"
    );
    let bench = bench(
        &secrets,
        &[
            "debug = { msg = \"{{ pw }}{{ pw }}\" }",
            "name = \"other\"\ntags = [\"x\"]\ndebug = { msg = \"{{ other }}{{ question }}\" }",
        ],
    );
    let bench = bench.file(
        "inventory/more.toml",
        "[hosts]\ntwo = { connection = { transport = \"local\" } }\n",
    );
    let asked = || std::fs::read_to_string(bench.path("asked")).unwrap_or_default();
    for args in [
        &["validate", "play.toml"][..],
        &["play", "play.toml", "--list-tasks"],
        &["ping", "all"],
        &["exec", "all", "--", "echo", "{{ pw }}"],
        &["inventory", "one"],
        &["inventory", "--list"],
        &["play", "play.toml", "--skip-tags", "x"],
    ] {
        let ran = bench.run(args);
        assert_eq!(ran.code, 0, "{args:?} {}{}", ran.out, ran.err);
        assert_eq!(
            asked(),
            if args.contains(&"--skip-tags") {
                "x\n"
            } else {
                ""
            },
            "{args:?}"
        );
    }
    assert!(!bench.path("never").exists());
}

#[test]
fn a_secret_behind_a_result_is_found_out_before_the_run() {
    let tasks = [
        "command = \"echo {{ inventory_hostname }}\"\nregister = \"said\"\nchanged_when = false",
        "debug = { msg = \"{{ said.stdout }} {{ indirect }}\" }",
    ];
    let bench = bench("pw = { env = \"NOWHERE\" }\n", &tasks);
    let bench = bench.file(
        "inventory/more.toml",
        "[groups]\nall = { vars = { indirect = \"<{{ pw }}>\" } }\n",
    );
    let ran = bench.run(&["play", "play.toml"]);
    assert_eq!(ran.code, 5, "{}", ran.out);
    assert!(
        ran.err
            .contains("the environment variable NOWHERE is not set"),
        "{}",
        ran.err
    );
    assert_eq!(ran.out, "");
}

#[test]
fn layers_hold_for_secrets_too() {
    let playbook = format!(
        "[[play]]\nhosts = \"all\"\nsecrets.pw = {{ command = \"echo of-the-play\" }}\n[[play.task]]\nassert = {{ that = \"pw == 'of-the-play'\" }}\n\
         [[play]]\nhosts = \"all\"\n[[play.task]]\nassert = {{ that = \"pw == 'of-the-host'\" }}\n[[play.task]]\n{SHOW}\n"
    );
    let bench = Bench::with(playbook).file(
        "inventory/hosts.toml",
        "[secrets]\npw = { command = \"echo of-all\" }\n[groups]\ng = { secrets = { pw = { command = \"echo of-the-group\" } } }\n\
         [hosts]\none = { groups = [\"g\"], connection = { transport = \"local\" }, secrets = { pw = { command = \"echo of-the-host\" } } }\n",
    );
    let ran = bench.run(&["play", "play.toml"]);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    // What `-e` says instead is as secret.
    let ran = bench.run(&["play", "play.toml", "-e", "pw=of-the-line"]);
    assert_eq!(ran.code, 2, "{}{}", ran.out, ran.err);
    assert!(!ran.out.contains("of-the-line"), "{}", ran.out);
    let ran = bench.run(&["inventory", "one"]);
    let shown: Vec<&str> = ran
        .out
        .lines()
        .skip_while(|line| *line != "variables")
        .collect();
    assert_eq!(
        shown,
        [
            "variables",
            "  pw = [secret: command echo]           # host one, inventory/hosts.toml:6",
            "    instead of [secret: command echo]   # group g, inventory/hosts.toml:4",
            "    instead of [secret: command echo]   # group all, inventory/hosts.toml:2",
        ]
    );
    assert!(!bench.run(&["inventory", "--list"]).out.contains("pw"));
}

#[test]
fn a_whole_file_of_secrets() {
    let bench = Bench::with(play(&[
        "debug = { msg = \"{{ db.user }} {{ db.words[1] }} {{ token }}\" }",
        "assert = { that = [\"db.user == 'admin'\", \"token[:7] == 's3cr3t-'\"] }",
    ]))
    .file("inventory/hosts.toml", LOCAL);
    let key = identity(&bench.path("keys/mine"));
    let text = "token = \"s3cr3t-{{\"\n[db]\nuser = \"admin\"\nwords = [\"first\", \"second\"]\n";
    let bench = bench.file("s.toml.age", encrypted(text, &key));
    let args = [
        "play",
        "play.toml",
        "-e",
        "@s.toml.age",
        "--age-identity",
        "keys/mine",
    ];
    let ran = bench.run(&args);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    let shown = "[secret db.user] [secret db.words] [secret token]";
    assert!(ran.out.contains(shown), "{}", ran.out);
    let ran = bench
        .command(&args[..4])
        .env("RUNNER_AGE_IDENTITY", "keys/mine")
        .output()
        .unwrap();
    assert_eq!(ran.status.code(), Some(0));
}

#[test]
fn one_is_asked_for_by_an_option() {
    let bench = Bench::with(play(&["assert = { that = \"pw == 's3cr3t-w0rd'\" }", SHOW]))
        .file("inventory/hosts.toml", LOCAL);
    let command = bench.command(&["play", "play.toml", "--ask-secret", "pw"]);
    let Some(shown) = terminal::answered(&command, &[("pw: ", "s3cr3t-w0rd")]) else {
        return;
    };
    assert_eq!(shown.code, 0, "{}", shown.text);
    assert!(!shown.text.contains("s3cr3t-w0rd"), "{}", shown.text);
    assert!(shown.text.contains("[secret pw]"), "{}", shown.text);
}

#[test]
fn commands_of_this_machine_do_not_get_its_environment() {
    let bench = bench(
        "pw = { env = \"PW\" }\n",
        &[
            "shell = \"[ -z \\\"$PW\\\" ] && [ \\\"$OTHER\\\" = x ]\"",
            SHOW,
        ],
    );
    let ran = bench
        .command(&["play", "play.toml"])
        .envs([("PW", "s3cr3t-w0rd"), ("OTHER", "x")])
        .output()
        .unwrap();
    assert_eq!(
        ran.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&ran.stdout)
    );
}
