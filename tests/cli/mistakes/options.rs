//! The command line: options, variables, patterns, words; and what a guard refuses.

use crate::support::bench::{Bench, play};

#[test]
fn tags_and_tasks_that_nobody_has() {
    Bench::with(play(&[
        "name = \"upload\"\ncommand = \"uptime\"\ntags = [\"config\"]",
    ]))
    .refuses(
        &[
            "play",
            "play.toml",
            "--tags",
            "confg",
            "--skip-tags",
            "data",
            "--start-at-task",
            "uplod",
        ],
        5,
        r#"
error: --tags: no task has the tag `confg`
   = help: did you mean `config`?

error: --skip-tags: no task has the tag `data`

error: --start-at-task: there is no task `uplod`
   = help: did you mean `upload`?
"#,
    );
}

#[test]
fn variables_of_the_command_line() {
    Bench::with(play(&["command = \"uptime\""])).refuses(
        &[
            "play",
            "play.toml",
            "-e",
            "novalue",
            "-e",
            "1a=2",
            "-e",
            "x=[1,",
            "-e",
            "@none.toml",
        ],
        5,
        r#"
error: a variable is given as key=value, or as @file
  --> -e:1:1
   |
 1 | novalue
   | ^^^^^^^

error: `1a` is no name for a variable
  --> -e:1:1
   |
 1 | 1a=2
   | ^^
   = help: use letters, digits and `_`

error: unclosed array, expected `]`
  --> -e:1:4
   |
 1 | [1,
   |    ^

error: cannot read the variables in none.toml: no such file or directory
"#,
    );
}

#[test]
fn patterns_that_match_no_host() {
    Bench::with("[[play]]\nhosts = \"onne\"\n\n[[play.task]]\ncommand = \"uptime\"\n").refuses(
        &["play", "play.toml"],
        3,
        r#"
error: there is no host or group `onne`
  --> play.toml:2:10
   |
 2 | hosts = "onne"
   |          ^^^^
   = help: did you mean `one`?
"#,
    );
    Bench::with(play(&["command = \"uptime\""])).refuses(
        &["play", "play.toml", "--limit", "bookies"],
        3,
        r#"
error: there is no host or group `bookies`
  --> --limit:1:1
   |
 1 | bookies
   | ^^^^^^^
   = help: `runner inventory` lists all hosts and groups
"#,
    );
}

#[test]
fn options_that_clap_refuses() {
    let bench = Bench::with(play(&["command = \"uptime\""]));
    bench.refuses(
        &["play"],
        5,
        r#"
error: the following required arguments were not provided:
  <PLAYBOOK>

Usage: runner play <PLAYBOOK>

For more information, try '--help'.
"#,
    );
    bench.refuses(
        &["paly", "x"],
        5,
        r#"
error: unrecognized subcommand 'paly'

  tip: a similar subcommand exists: 'play'

Usage: runner <COMMAND>

For more information, try '--help'.
"#,
    );
    bench.refuses(
        &["play", "play.toml", "--conect-timeout", "5"],
        5,
        r#"
error: unexpected argument '--conect-timeout' found

  tip: a similar argument exists: '--connect-timeout'

Usage: runner play --connect-timeout <DURATION> <PLAYBOOK>

For more information, try '--help'.
"#,
    );
    bench.refuses(
        &["play", "play.toml", "--forks", "0"],
        5,
        r#"
error: invalid value '0' for '--forks <COUNT>': 0 is not in 1..=4294967295

For more information, try '--help'.
"#,
    );
}

#[test]
fn guards_refuse_before_connecting() {
    Bench::with(play(&[
        "remove.path = \"/\"",
        "remove = \"/mnt/data/{{ empty }}\"\nvars = { empty = \"\" }",
    ]))
    .refuses(
        &["play", "play.toml"],
        9,
        r#"
error: refusing to remove `/`: it is the root of the file system
  --> play.toml:5:15
   |
 5 | remove.path = "/"
   |               ^^^ for host one

error: refusing to remove `/mnt/data/`: it ends in `/`
  --> play.toml:8:10
   |
 8 | remove = "/mnt/data/{{ empty }}"
   |          ^^^^^^^^^^^^^^^^^^^^^^^ for host one
   = help: is a variable at its end empty? if not, write it without the slash
"#,
    );
    Bench::new().refuses(
        &["task", "all", "remove.path = \"/\""],
        9,
        r#"
error: refusing to remove `/`: it is the root of the file system
  --> the task:1:15
   |
 1 | remove.path = "/"
   |               ^^^ for host one
"#,
    );
}

#[test]
fn words_of_ad_hoc_commands() {
    let bench = Bench::new();
    bench.refuses(
        &["exec", "all", "--timeout", "soon", "--", "true"],
        5,
        "error: --timeout is a number with a unit, such as 30s or 5m\n",
    );
    bench.refuses(
        &["task", "all", "directry.path = '/x'"],
        5,
        r#"
error: unknown key `directry` in a task
  --> the task:1:1
   |
 1 | directry.path = '/x'
   | ^^^^^^^^ neither a module nor a task option
   = help: did you mean `directory`?
"#,
    );
}
