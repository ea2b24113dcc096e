//! Names that nobody knows, and those that are missing.

use crate::support::bench::{play, refused};

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
fn a_copy_has_one_source() {
    refused(
        play(&[
            "copy = { dest = \"/tmp/x\" }",
            "copy = { src = \"x\", content = \"y\", dest = \"/tmp/x\" }",
            "copy = { content = \"y\", dest = \"/tmp/\" }",
            "copy = { content = \"y\", dest = \"/tmp/x\", directory_mode = \"0755\" }",
            "copy = { content = [\"y\"], dest = \"/tmp/x\" }",
        ]),
        r#"
error: `copy` needs `src` or `content`
  --> play.toml:5:8
   |
 5 | copy = { dest = "/tmp/x" }
   |        ^^^^^^^^^^^^^^^^^^^ for host one

error: give either `src` or `content`, not both
  --> play.toml:8:31
   |
 8 | copy = { src = "x", content = "y", dest = "/tmp/x" }
   |                               ^^^ for host one

error: `/tmp/` names a directory, not a file
   --> play.toml:11:32
    |
 11 | copy = { content = "y", dest = "/tmp/" }
    |                                ^^^^^^^ for host one
    = help: is a variable at its end empty?

error: `directory_mode` is for directories
   --> play.toml:14:59
    |
 14 | copy = { content = "y", dest = "/tmp/x", directory_mode = "0755" }
    |                                                           ^^^^^^ for host one

error: expected a string, found a list
   --> play.toml:17:20
    |
 17 | copy = { content = ["y"], dest = "/tmp/x" }
    |                    ^^^^^
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
