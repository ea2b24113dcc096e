//! The words for patterns that mean nothing.

use crate::refused;
use runner::diagnostic::Source;
use runner::inventory::Pattern;

#[test]
fn terms_that_match_nothing() {
    let all = [
        "wbe",
        "web:!frnot",
        "web[6]",
        "none[0]",
        "web0[5:8]",
        "zzz*",
        "web:&db",
        "10.0.0.9",
        "web01:22",
        "xyz[1:3]",
        "~x",
        "none",
        "front[9]",
        "cache[1]",
    ];
    let said: Vec<String> = all.iter().map(|pattern| refused(pattern)).collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
exit 3
error: there is no host or group `wbe`
  --> --limit:1:1
   |
 1 | wbe
   | ^^^
   = help: did you mean `web`?

exit 3
error: there is no host or group `frnot`
  --> --limit:1:5
   |
 1 | web:!frnot
   |     ^^^^^^
   = help: did you mean `front`?

exit 3
error: `web[6]` matches no host
  --> --limit:1:1
   |
 1 | web[6]
   | ^^^^^^
   = help: `web` has 6 hosts, `web[0]` to `web[5]`

exit 3
error: `none[0]` matches no host
  --> --limit:1:1
   |
 1 | none[0]
   | ^^^^^^^
   = help: `none` has no hosts

exit 3
error: 2 of the 4 hosts of `web0[5:8]` are not in the inventory, the first is `web07`
  --> --limit:1:1
   |
 1 | web0[5:8]
   | ^^^^^^^^^

exit 3
error: `zzz*` matches no host and no group
  --> --limit:1:1
   |
 1 | zzz*
   | ^^^^

exit 3
error: `web:&db` matches no host
  --> --limit:1:1
   |
 1 | web:&db
   | ^^^^^^^

exit 3
error: there is no host or group `10.0.0.9`
  --> --limit:1:1
   |
 1 | 10.0.0.9
   | ^^^^^^^^
   = help: it is the address of `cache`

exit 3
error: there is no host or group `22`
  --> --limit:1:7
   |
 1 | web01:22
   |       ^^
   = help: `:` separates the terms of a pattern; a port is not part of it

exit 3
error: `xyz[1:3]` matches no host
  --> --limit:1:1
   |
 1 | xyz[1:3]
   | ^^^^^^^^

exit 3
error: `~x` matches no host and no group
  --> --limit:1:1
   |
 1 | ~x
   | ^^

exit 3
error: `none` matches no host
  --> --limit:1:1
   |
 1 | none
   | ^^^^

exit 3
error: `front[9]` matches no host
  --> --limit:1:1
   |
 1 | front[9]
   | ^^^^^^^^
   = help: `front` has 3 hosts, `front[0]` to `front[2]`

exit 3
error: `cache[1]` matches no host
  --> --limit:1:1
   |
 1 | cache[1]
   | ^^^^^^^^
   = help: `cache` has 1 host, `cache[0]`
"#);
}

#[test]
fn patterns_that_are_malformed() {
    let all = [
        "",
        " ",
        "web::db",
        "web:",
        ":web",
        "fe80::1",
        "[::1]:22",
        "web,10:0:0:0:0:0:0:1",
        "web[1:",
        "web]",
        "a[3:1]x",
        "!",
        "web:!!db",
        "~(",
        "@",
        "web db",
        "dcos@web01",
        "web&db",
        "(web|db)",
        "a[1:900000]x",
        "@gone.txt",
    ];
    let said: Vec<String> = all.iter().map(|pattern| refused(pattern)).collect();
    insta::assert_snapshot!(said.join("\n"), @r#"
exit 5
error: the pattern is empty
  --> --limit:1:1
   |
 1 | 
   | ^
   = help: `all` means every host

exit 5
error: the pattern is empty
  --> --limit:1:1
   |
 1 | 
   | ^
   = help: `all` means every host

exit 5
error: a term of the pattern is empty
  --> --limit:1:4
   |
 1 | web::db
   |    ^^

exit 5
error: a term of the pattern is empty
  --> --limit:1:4
   |
 1 | web:
   |    ^

exit 5
error: a term of the pattern is empty
  --> --limit:1:1
   |
 1 | :web
   | ^

exit 5
error: `fe80::1` is an IPv6 address, and `:` separates the terms of a pattern
  --> --limit:1:1
   |
 1 | fe80::1
   | ^^^^^^^
   = help: name the host as it stands in the inventory

exit 5
error: `[::1]:22` is an IPv6 address, and `:` separates the terms of a pattern
  --> --limit:1:1
   |
 1 | [::1]:22
   | ^^^^^^^^
   = help: name the host as it stands in the inventory

exit 5
error: `10:0:0:0:0:0:0:1` is an IPv6 address, and `:` separates the terms of a pattern
  --> --limit:1:5
   |
 1 | web,10:0:0:0:0:0:0:1
   |     ^^^^^^^^^^^^^^^^
   = help: name the host as it stands in the inventory

exit 5
error: `[` without a `]` behind it
  --> --limit:1:4
   |
 1 | web[1:
   |    ^

exit 5
error: `]` without a `[` before it
  --> --limit:1:4
   |
 1 | web]
   |    ^

exit 5
error: `[3:1]` is empty: it ends before it begins
  --> --limit:1:2
   |
 1 | a[3:1]x
   |  ^^^^^

exit 5
error: `!` must be followed by the hosts that it is for
  --> --limit:1:1
   |
 1 | !
   | ^

exit 5
error: `!` must be followed by the hosts that it is for
  --> --limit:1:5
   |
 1 | web:!!db
   |     ^^^^

exit 5
error: `(` is not a regular expression: unclosed group
  --> --limit:1:1
   |
 1 | ~(
   | ^^

exit 5
error: `@` must be followed by the name of a file
  --> --limit:1:1
   |
 1 | @
   | ^

exit 5
error: ' ' cannot stand in the name of a host or group
  --> --limit:1:4
   |
 1 | web db
   |    ^
   = help: separate hosts and groups by `,` or `:`

exit 5
error: '@' cannot stand in the name of a host or group
  --> --limit:1:5
   |
 1 | dcos@web01
   |     ^
   = help: only the name of the host stands here; the user is given by `--user` or in the inventory

exit 5
error: '&' cannot stand in the name of a host or group
  --> --limit:1:4
   |
 1 | web&db
   |    ^
   = help: to keep only the hosts of a group, write `:&group`

exit 5
error: '(' cannot stand in the name of a host or group
  --> --limit:1:1
   |
 1 | (web|db)
   | ^
   = help: a regular expression starts with `~`

exit 5
error: `1:900000` stands for more than 100000 names
  --> --limit:1:2
   |
 1 | a[1:900000]x
   |  ^^^^^^^^^^

exit 5
error: cannot read the list of hosts gone.txt: no such file or directory
  --> --limit:1:1
   |
 1 | @gone.txt
   | ^^^^^^^^^
"#);
}

#[test]
fn a_pattern_in_a_playbook_points_into_it() {
    let source = Source::new("deploy.toml", "hosts = [\"web\", \"db:[\"]\n");
    let root = runner::document::parse(&source).unwrap();
    let problems = Pattern::from_node(root.table().unwrap().get("hosts").unwrap()).unwrap_err();
    insta::assert_snapshot!(problems, @r#"
error: `[` without a `]` behind it
  --> deploy.toml:1:21
   |
 1 | hosts = ["web", "db:["]
   |                     ^
"#);
}
