//! Playbooks that are no playbooks.

use crate::support::bench::{Bench, play, refused};

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
