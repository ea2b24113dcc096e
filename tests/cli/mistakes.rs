//! Mistakes in playbooks and options: the words for each, all at once, and nothing is connected to.

use crate::bench::{Bench, play, refused};

#[test]
fn unknown_keys_of_a_play() {
    refused(
        "[[play]]\nhots = \"all\"\nseriel = 2\n\n[[play.task]]\ncommand = \"uptime\"\n",
        r#"
error: a play needs `hosts`
  --> play.toml:1:1
   |
 1 | [[play]]
   | ^^^^^^^^
   = help: name a group or a pattern: hosts = "all"

error: unknown key `hots` in a play
  --> play.toml:2:1
   |
 2 | hots = "all"
   | ^^^^
   = help: did you mean `hosts`?

error: unknown key `seriel` in a play
  --> play.toml:3:1
   |
 3 | seriel = 2
   | ^^^^^^
   = help: did you mean `serial`?
"#,
    );
}

#[test]
fn unknown_keys_of_a_task() {
    refused(
        play(&["comand = \"uptime\"\nregistre = \"x\""]),
        r#"
error: unknown key `comand` in a task
  --> play.toml:5:1
   |
 5 | comand = "uptime"
   | ^^^^^^ neither a module nor a task option
   = help: did you mean `command`?

error: unknown key `registre` in a task
  --> play.toml:6:1
   |
 6 | registre = "x"
   | ^^^^^^^^ neither a module nor a task option
   = help: did you mean `register`?
"#,
    );
}

#[test]
fn unknown_keys_of_a_module() {
    refused(
        play(&["directory = { path = \"/tmp/x\", mod = \"0755\" }"]),
        r#"
error: unknown key `mod` in `directory`
  --> play.toml:5:32
   |
 5 | directory = { path = "/tmp/x", mod = "0755" }
   |                                ^^^
   = help: did you mean `mode`?
"#,
    );
}

#[test]
fn a_task_has_exactly_one_module() {
    refused(
        play(&[
            "command = \"uptime\"\nshell = \"uptime\"",
            "name = \"nothing\"\nwhen = \"true\"",
        ]),
        r#"
error: a task has one module, and this one has `command` and `shell`
  --> play.toml:6:1
   |
 6 | shell = "uptime"
   | ^^^^^
   = help: make two tasks of it

error: this task has no module
  --> play.toml:8:1
   |
 8 | [[play.task]]
   | ^^^^^^^^^^^^^
   = help: say what it does, such as `command = "uptime"`; `runner modules` lists them
"#,
    );
}

#[test]
fn missing_arguments() {
    refused(
        play(&["template = { dest = \"/tmp/x\" }", "copy = \"/tmp/x\""]),
        r#"
error: `template` needs `src`
  --> play.toml:5:12
   |
 5 | template = { dest = "/tmp/x" }
   |            ^^^^^^^^^^^^^^^^^^^
   = help: src: The template, relative to the playbook or to `templates` beside it.

error: expected a table, found a string
  --> play.toml:8:8
   |
 8 | copy = "/tmp/x"
   |        ^^^^^^^^
   = help: see `runner modules copy` for its arguments
"#,
    );
}

#[test]
fn values_of_the_wrong_type() {
    refused(
        play(&[
            "file = { path = [\"/a\"], content = { a = 1 } }\nignore_errors = \"maybe\"\nretries = -1\n\
             register = \"a b\"\ntags = 3\nloop = 7\nwhen = 3",
        ]),
        r#"
error: expected a string, found a list
  --> play.toml:5:17
   |
 5 | file = { path = ["/a"], content = { a = 1 } }
   |                 ^^^^^^

error: expected a string, found a table
  --> play.toml:5:35
   |
 5 | file = { path = ["/a"], content = { a = 1 } }
   |                                   ^^^^^^^^^

error: expected a boolean, found a string
  --> play.toml:6:17
   |
 6 | ignore_errors = "maybe"
   |                 ^^^^^^^

error: `retries` is a number from 0
  --> play.toml:7:11
   |
 7 | retries = -1
   |           ^^

error: `a b` is no name for a variable
  --> play.toml:8:12
   |
 8 | register = "a b"
   |            ^^^^^
   = help: use letters, digits and `_`

error: expected a string or a list of strings, found an integer
  --> play.toml:9:8
   |
 9 | tags = 3
   |        ^

error: `loop` needs a list
   --> play.toml:10:8
    |
 10 | loop = 7
    |        ^
    = help: an expression such as "groups.all" or a list of values

error: expected an expression such as "x.rc == 0", found an integer
   --> play.toml:11:8
    |
 11 | when = 3
    |        ^
"#,
    );
}

#[test]
fn values_that_no_module_takes() {
    refused(
        play(&[
            "directory = { path = \"/tmp/x\", mode = 755 }",
            "directory = { path = \"/tmp/x\", mode = \"0999\" }",
            "command = \"uptime\"\ntimeout = \"5 minutes\"\ndelay = \"-1s\"",
            "docker_node = { node = \"x\", availability = \"drian\" }",
            "command = \"echo 'open\"",
        ]),
        r#"
error: a mode is an octal number in quotes, such as "0644"
  --> play.toml:5:39
   |
 5 | directory = { path = "/tmp/x", mode = 755 }
   |                                       ^^^
   = help: a bare number is easily read as decimal; write the mode as a string

error: a mode is an octal number in quotes, such as "0644"
  --> play.toml:8:39
   |
 8 | directory = { path = "/tmp/x", mode = "0999" }
   |                                       ^^^^^^

error: a duration is a number with a unit, such as "500ms", "30s", "5m" or "1h"
   --> play.toml:12:11
    |
 12 | timeout = "5 minutes"
    |           ^^^^^^^^^^^

error: a duration is a number with a unit, such as "500ms", "30s", "5m" or "1h"
   --> play.toml:13:9
    |
 13 | delay = "-1s"
    |         ^^^^^

error: `drian` is not one of `active`, `pause`, `drain`
   --> play.toml:16:44
    |
 16 | docker_node = { node = "x", availability = "drian" }
    |                                            ^^^^^^^
    = help: did you mean `drain`?

error: a quote is not closed in this command
   --> play.toml:19:11
    |
 19 | command = "echo 'open"
    |           ^^^^^^^^^^^^
"#,
    );
}

#[test]
fn options_of_a_play() {
    refused(
        "[[play]]\nhosts = \"all:&\"\nserial = [0, \"120%\", true]\nmax_fail_percentage = 101\nonce = \"yes\"\n\n\
         [[play.task]]\ncommand = \"uptime\"\nenv = { A = \"1\" }\n",
        r#"
error: `&` must be followed by the hosts that it is for
  --> play.toml:2:14
   |
 2 | hosts = "all:&"
   |              ^

error: `serial` is a number of hosts, such as 3, or a part of them, such as "30%"
  --> play.toml:3:11
   |
 3 | serial = [0, "120%", true]
   |           ^

error: `serial` is a number of hosts, such as 3, or a part of them, such as "30%"
  --> play.toml:3:14
   |
 3 | serial = [0, "120%", true]
   |              ^^^^^^

error: `serial` is a number of hosts, such as 3, or a part of them, such as "30%"
  --> play.toml:3:22
   |
 3 | serial = [0, "120%", true]
   |                      ^^^^

error: `max_fail_percentage` is a number from 0 to 100
  --> play.toml:4:23
   |
 4 | max_fail_percentage = 101
   |                       ^^^

error: expected a boolean, found a string
  --> play.toml:5:8
   |
 5 | once = "yes"
   |        ^^^^^
"#,
    );
}

#[test]
fn names_that_are_none() {
    refused(
        play(&[
            "command = \"uptime\"\nenv = { \"A-B\" = \"1\" }",
            "command = \"uptime\"\nregister = \"hostvars\"",
        ]),
        r#"
error: `A-B` is no name for an environment variable
  --> play.toml:6:9
   |
 6 | env = { "A-B" = "1" }
   |         ^^^^^ for host one
   = help: use letters, digits and `_`

error: `hostvars` is provided by the runner and can't be registered
   --> play.toml:10:12
    |
 10 | register = "hostvars"
    |            ^^^^^^^^^^
"#,
    );
}

#[test]
fn handlers_must_be_there_and_have_names() {
    refused(
        "[[play]]\nhosts = \"all\"\n\n[[play.task]]\ncommand = \"uptime\"\nnotify = [\"restart broker\", \"restart brokr\"]\n\n\
         [[play.handler]]\nname = \"restart broker\"\ncommand = \"uptime\"\n\n[[play.handler]]\ncommand = \"uptime\"\n",
        r#"
error: there is no handler `restart brokr` in this play
  --> play.toml:6:29
   |
 6 | notify = ["restart broker", "restart brokr"]
   |                             ^^^^^^^^^^^^^^^
   = help: did you mean `restart broker`?

error: a handler needs a `name`
   --> play.toml:13:1
    |
 13 | command = "uptime"
    | ^^^^^^^
    = help: tasks name it in `notify`
"#,
    );
}

#[test]
fn toml_that_is_none() {
    refused(
        "[[play]\nhosts = \"all\"\n",
        r#"
error: unclosed array table, expected `]`
  --> play.toml:1:8
   |
 1 | [[play]
   |        ^
"#,
    );
    refused(
        "[[play]]\nhosts = \"all\n\n[[play.task]]\ncommand = \"uptime\"\n",
        r#"
error: invalid basic string, expected `"`
  --> play.toml:2:13
   |
 2 | hosts = "all
   |             ^
"#,
    );
    refused(
        play(&["command = \"uptime\"\ncommand = \"date\""]),
        r#"
error: duplicate key
  --> play.toml:6:1
   |
 6 | command = "date"
   | ^^^^^^^
"#,
    );
    refused(
        b"[[play]]\nhosts = \"\xff\"\n",
        "error: cannot read play.toml: it is not UTF-8 text\n",
    );
}

#[test]
fn a_playbook_is_made_of_plays() {
    refused(
        "",
        r#"
error: play.toml has no play
   = help: a play is a `[[play]]` table with `hosts` and `[[play.task]]` tables
"#,
    );
    refused(
        "plays = 1\n\n[play]\nhosts = \"all\"\n",
        r#"
error: unknown key `plays` in a playbook
  --> play.toml:1:1
   |
 1 | plays = 1
   | ^^^^^
   = help: did you mean `play`?

error: expected a list, found a table
  --> play.toml:3:1
   |
 3 | [play]
   | ^^^^^^
   = help: plays are written as `[[play]]`
"#,
    );
}

/// However deep, it is refused, and the stack holds.
#[test]
fn nesting_without_end() {
    let deep = [
        format!("x = {}{}\n", "[".repeat(10_000), "]".repeat(10_000)),
        format!("x = {}1{}\n", "{a=".repeat(10_000), "}".repeat(10_000)),
        format!("{} = 1\n", vec!["a"; 10_000].join(".")),
        format!("[{}]\n", vec!["a"; 10_000].join(".")),
        play(&[&format!(
            "command = \"true\"\nwhen = \"{}1{}\"",
            "(".repeat(10_000),
            ")".repeat(10_000)
        )]),
        play(&[&format!(
            "command = \"true\"\nwhen = \"{}true\"",
            "not ".repeat(10_000)
        )]),
        play(&[&format!(
            "command = \"true\"\nwhen = \"1{} > 0\"",
            "+1".repeat(10_000)
        )]),
        play(&[&format!(
            "command = \"true\"\nwhen = \"x{}\"",
            ".x".repeat(10_000)
        )]),
        play(&[&format!(
            "command = \"true\"\nwhen = \"x{}\"",
            "|int".repeat(10_000)
        )]),
        play(&[&format!(
            "debug = {{ msg = \"{}{}\" }}",
            "{% if true %}".repeat(10_000),
            "{% endif %}".repeat(10_000)
        )]),
    ];
    for playbook in deep {
        let bench = Bench::with(&playbook);
        let ran = bench.run(&["play", "play.toml"]);
        let start = &playbook[..100];
        assert_eq!(ran.code, 5, "{start}\n{}", ran.err);
        assert!(ran.err.starts_with("error: "), "{start}\n{}", ran.err);
        // A line of 20,000 characters helps nobody.
        assert!(ran.err.len() < 1000, "{start}\n{}", ran.err);
        assert_eq!(bench.connections(), 0);
    }
}

#[test]
fn several_mistakes_in_several_files_come_at_once() {
    Bench::with("[[play]]\nimport = \"a.toml\"\n\n[[play]]\nimport = \"b.toml\"\n")
        .file("a.toml", play(&["comand = \"uptime\""]))
        .file(
            "b.toml",
            play(&[
                "debug = { msg = \"{{ nope }}\" }",
                "template = { src = \"c.conf\", dest = \"/tmp/c\" }",
            ]),
        )
        .file("templates/c.conf", "a\nb {{ neither }}\n")
        .refuses(
            &["play", "play.toml", "-e", "bad"],
            5,
            r#"
error: unknown key `comand` in a task
  --> a.toml:5:1
   |
 5 | comand = "uptime"
   | ^^^^^^ neither a module nor a task option
   = help: did you mean `command`?

error: a variable is given as key=value, or as @file
  --> -e:1:1
   |
 1 | bad
   | ^^^

error: `nope` is undefined
  --> b.toml:5:21
   |
 5 | debug = { msg = "{{ nope }}" }
   |                     ^^^^ for host one

error: `neither` is undefined
  --> templates/c.conf:2:6
   |
 2 | b {{ neither }}
   |      ^^^^^^^ for host one
"#,
        );
}

#[test]
fn files_that_are_not_there() {
    refused(
        "[[play]]\nimport = \"nowhere.toml\"\n\n[[play]]\nhosts = \"all\"\nvars_files = [\"play.toml\", \"none.toml\"]\n\n\
         [[play.task]]\ncopy = { src = \"big.tar\", dest = \"/tmp/big.tar\" }\n\n\
         [[play.task]]\ntemplate = { src = \"x.conf\", dest = \"/tmp/x\" }\n",
        r#"
error: cannot read nowhere.toml: no such file or directory
  --> play.toml:2:10
   |
 2 | import = "nowhere.toml"
   |          ^^^^^^^^^^^^^^

error: cannot read none.toml: no such file or directory
  --> play.toml:6:28
   |
 6 | vars_files = ["play.toml", "none.toml"]
   |                            ^^^^^^^^^^^

error: big.tar: no such file (looked for big.tar and files/big.tar)
  --> play.toml:9:16
   |
 9 | copy = { src = "big.tar", dest = "/tmp/big.tar" }
   |                ^^^^^^^^^ for host one

error: x.conf: no such file (looked for x.conf and templates/x.conf)
   --> play.toml:12:20
    |
 12 | template = { src = "x.conf", dest = "/tmp/x" }
    |                    ^^^^^^^^ for host one
"#,
    );
}

#[test]
fn imports_in_a_circle() {
    Bench::with("[[play]]\nimport = \"other.toml\"\n")
        .file("other.toml", "[[play]]\nimport = \"play.toml\"\n")
        .refuses(
            &["play", "play.toml"],
            5,
            r#"
error: play.toml imports itself
  --> other.toml:2:10
   |
 2 | import = "play.toml"
   |          ^^^^^^^^^^^
"#,
        );
}

#[test]
fn an_import_has_few_keys() {
    refused(
        "[[play]]\nimport = 3\nhosts = \"all\"\n",
        r#"
error: expected a string, found an integer
  --> play.toml:2:10
   |
 2 | import = 3
   |          ^

error: unknown key `hosts` in an import
  --> play.toml:3:1
   |
 3 | hosts = "all"
   | ^^^^^
"#,
    );
}

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
fn playbooks_and_inventories_that_are_not_there() {
    let bench = Bench::new().file("playbooks/deploy.toml", play(&["command = \"uptime\""]));
    bench.refuses(
        &["play", "deplyo.toml"],
        5,
        r#"
error: there is no playbook `deplyo.toml`
   = help: looked for deplyo.toml and playbooks/deplyo.toml
   = help: did you mean `deploy.toml`?
"#,
    );
    bench.refuses(
        &["play", "deploy.toml", "-i", "nowhere"],
        5,
        r#"
error: cannot read the inventory nowhere: no such file or directory
   = help: name one with `-i FILE` or `-i FOLDER`
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
