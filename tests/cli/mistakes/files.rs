//! Files that are not there, and what imports what.

use crate::support::bench::{Bench, play, refused};

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
