//! Values that nothing takes.

use crate::support::bench::{play, refused};

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
