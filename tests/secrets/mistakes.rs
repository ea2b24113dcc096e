//! What is wrong with secrets is said before anything is connected to, and without them.

use crate::keys::{encrypted, identity};
use crate::support::bench::{Bench, play};
use std::os::unix::fs::PermissionsExt;

const USE: &str = "debug = { msg = \"{{ pw }}\" }";

/// A playbook that uses a secret which is declared so.
fn declared(secret: &str) -> Bench {
    Bench::with(play(&[USE]).replacen("\n", &format!("\nsecrets.pw = {secret}\n"), 1))
}

#[track_caller]
fn refused(secret: &str, words: &str) {
    declared(secret).refuses(&["play", "play.toml"], 5, words);
}

#[test]
fn a_secret_in_clear() {
    refused(
        "\"s3cr3t-w0rd\"",
        "
error: expected a table that says where the secret comes from, found a string
  --> play.toml:2:14
   |
 2 | secrets.pw = *************
   |              ^^^^^^^^^^^^^
   = help: one of `pw = { env = \"NAME\" }`, `{ command = [\"pass\", \"show\", \"pw\"] }`, `{ prompt = \"Password\" }`, `{ file = \"secrets.toml.age\" }`
",
    );
}

#[test]
fn a_source_that_is_none() {
    refused(
        "{ value = \"s3cr3t-w0rd\" }",
        "
error: unknown key `value` in secret `pw`
  --> play.toml:2:16
   |
 2 | secrets.pw = { value = ************* }
   |                ^^^^^
   = help: a secret has one of `env`, `command`, `prompt` and `file`, and `file` may have a `key`
",
    );
}

#[test]
fn two_sources() {
    refused(
        "{ env = \"A\", prompt = \"b\" }",
        "
error: secret `pw` needs one source
  --> play.toml:2:9
   |
 2 | secrets.pw = { env = \"A\", prompt = \"b\" }
   |         ^^
   = help: a secret has one of `env`, `command`, `prompt` and `file`
",
    );
}

#[test]
fn a_secret_and_a_variable() {
    let playbook = "[[play]]\nhosts = \"all\"\nvars = { pw = 1 }\nsecrets.pw = { env = \"A\" }\n[[play.task]]\nping = {}\n";
    let bench = Bench::with(playbook);
    bench.refuses(
        &["validate", "play.toml"],
        5,
        "
error: `pw` is a secret and a variable
  --> play.toml:4:9
   |
 4 | secrets.pw = { env = \"A\" }
   |         ^^
   = help: it stands in `secrets` or in `vars`
",
    );
}

#[test]
fn an_environment_variable_that_is_not_set() {
    refused(
        "{ env = \"NOWHERE\" }",
        "
error: secret `pw`: the environment variable NOWHERE is not set
  --> play.toml:2:9
   |
 2 | secrets.pw = { env = \"NOWHERE\" }
   |         ^^ for host one
",
    );
}

#[test]
fn a_command_that_fails() {
    refused(
        "{ command = [\"sh\", \"-c\", \"echo s3cr3t-w0rd; printf 'no \\\\033[1mkey\\n' >&2; exit 7\"] }",
        "
error: secret `pw`: the command sh failed with exit code 7
  --> play.toml:2:9
   |
 2 | secrets.pw = { command = [\"sh\", \"-c\", \"echo s3cr3t-w0rd; printf 'no \\\\033[1mkey\\n' >&2; exit 7\"] }
   |         ^^ for host one
   = help: it said: no \\x1b[1mkey
",
    );
}

#[test]
fn a_command_that_is_not_there() {
    refused(
        "{ command = \"no-such-command\" }",
        "
error: secret `pw`: the command no-such-command cannot be run: no such file or directory
  --> play.toml:2:9
   |
 2 | secrets.pw = { command = \"no-such-command\" }
   |         ^^ for host one
",
    );
}

#[test]
fn nobody_to_ask() {
    let bench = declared("{ prompt = \"Password\" }");
    let mut command = std::process::Command::new("setsid");
    let program = bench.command(&[]);
    command
        .arg("--wait")
        .arg(program.get_program())
        .args(["play", "play.toml"]);
    command
        .current_dir(bench.root())
        .env("RUNNER_PERSIST", "0")
        .env("HOME", bench.root());
    let ran = command.stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(
        String::from_utf8(ran.stderr).unwrap(),
        "error: cannot ask for secret `pw`: there is no terminal
  --> play.toml:2:9
   |
 2 | secrets.pw = { prompt = \"Password\" }
   |         ^^ for host one
   = help: without a terminal it comes from `env`, `command` or `file`, or from -e @FILE.age
"
    );
    assert_eq!(ran.status.code(), Some(5));
}

#[test]
fn a_secret_that_is_empty_or_too_short() {
    refused(
        "{ command = \"true\" }",
        "
error: secret `pw` is empty
  --> play.toml:2:9
   |
 2 | secrets.pw = { command = \"true\" }
   |         ^^ for host one
",
    );
    refused(
        "{ command = \"echo abc\" }",
        "
error: secret `pw` is too short to be hidden in what is shown
  --> play.toml:2:9
   |
 2 | secrets.pw = { command = \"echo abc\" }
   |         ^^ for host one
   = help: a secret has at least 4 bytes; for a shorter one take a variable, and `no_log = true` where it is used
",
    );
}

/// The first line of the report on a secret in this file, and the ways out.
fn of_file(bench: &Bench) -> Vec<String> {
    let ran = bench.run(&["play", "play.toml"]);
    assert_eq!((ran.code, ran.out.as_str()), (5, ""), "{}", ran.err);
    assert_eq!(bench.connections(), 0);
    assert!(ran.err.contains("--> play.toml:2:9\n"), "{}", ran.err);
    assert!(!ran.err.contains("s3cr3t"), "{}", ran.err);
    let lines = ran.err.lines().map(str::trim);
    let root = bench.root().display().to_string();
    lines
        .filter(|line| line.starts_with("error: ") || line.starts_with("= help: "))
        .map(|line| line.trim_start_matches("= ").replace(&root, "HOME"))
        .collect()
}

#[test]
fn files_that_cannot_be_read() {
    let bench = declared("{ file = \"s.toml.age\" }");
    assert_eq!(
        of_file(&bench),
        ["error: cannot read s.toml.age: no such file or directory"]
    );
    let bench = bench.file("s.toml.age", "pw = \"s3cr3t-w0rd\"\n");
    assert_eq!(
        of_file(&bench),
        [
            "error: s.toml.age is not encrypted with age",
            "help: `runner secret edit FILE` makes an encrypted file"
        ]
    );
    let other = runner::secret::Identity::generate();
    let sealed = encrypted("pw = \"s3cr3t-w0rd\"\n", &other);
    let bench = bench.file("s.toml.age", &sealed);
    assert_eq!(
        of_file(&bench),
        [
            "error: there is no age identity to read s.toml.age with",
            "help: there is no HOME/.config/runner/age.txt",
            "help: name a file of keys with --age-identity or RUNNER_AGE_IDENTITY",
        ]
    );
    let path = bench.path(".config/runner/age.txt");
    let mine = identity(&path);
    assert_eq!(
        of_file(&bench),
        [
            "error: s.toml.age is not encrypted for any of the age identities",
            "help: tried the keys in HOME/.config/runner/age.txt",
            "help: name a file of keys with --age-identity or RUNNER_AGE_IDENTITY",
        ]
    );
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(
        of_file(&bench),
        [
            "error: others can read the age identity HOME/.config/runner/age.txt (mode 0644)",
            "help: chmod 600 HOME/.config/runner/age.txt",
        ]
    );
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut sealed = encrypted("pw = \"s3cr3t-w0rd\"\n", &mine);
    let at = sealed.len() - 60;
    sealed[at] = if sealed[at] == b'A' { b'B' } else { b'A' };
    let bench = bench.file("s.toml.age", &sealed);
    assert_eq!(
        of_file(&bench),
        [
            "error: s.toml.age is damaged: it is not what was encrypted",
            "help: take it from a backup or from version control",
        ]
    );
}

#[test]
fn files_that_hold_something_else() {
    let bench = declared("{ file = \"s.toml.age\" }");
    let mine = identity(&bench.path(".config/runner/age.txt"));
    let with = |bench: Bench, text: &str| bench.file("s.toml.age", encrypted(text, &mine));
    let bench = with(bench, "a = \"s3cr3t-1\"\npw = \"s3cr3t-2\n");
    assert_eq!(
        of_file(&bench),
        [
            "error: s.toml.age:2:15: this is not TOML",
            "help: `runner secret edit FILE` shows and mends it"
        ]
    );
    let bench = with(bench, "pw = 123456\n");
    assert_eq!(
        of_file(&bench),
        [
            "error: s.toml.age:1:6: a secret is a text, and this is an integer",
            "help: put it in quotes, or with the ordinary variables",
        ]
    );
    let bench = with(bench, "pw_ = \"s3cr3t-w0rd\"\n");
    assert_eq!(
        of_file(&bench),
        [
            "error: secret `pw`: there is no `pw` in s.toml.age",
            "help: did you mean `pw_`?",
            "help: `runner secret edit s.toml.age` shows and changes it",
        ]
    );
    let bench = with(bench, "[pw]\nx = \"s3cr3t-w0rd\"\n");
    assert_eq!(
        of_file(&bench),
        [
            "error: secret `pw`: `pw` in s.toml.age is a table, and a secret is a text",
            "help: name one of its keys: key = \"pw.NAME\"",
        ]
    );
}
