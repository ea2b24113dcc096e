//! Patterns: their algebra, and the words for those that mean nothing.

#![allow(clippy::panic, clippy::unwrap_used)]

use proptest::prelude::*;
use runner::diagnostic::{Problem, Source};
use runner::inventory::range::expand;
use runner::inventory::{Inventory, Pattern, SelectError};
use std::collections::BTreeSet;
use std::sync::LazyLock;

const TEXT: &str = r#"
[hosts]
"web[01:06]" = { groups = ["web"] }
"db-[a:c].example.com" = { groups = ["db"] }
cache = { address = "10.0.0.9" }

[groups]
site = { children = ["web", "db"] }
front = { hosts = ["web01", "web02", "cache"] }
none = {}
"#;

static INVENTORY: LazyLock<Inventory> = LazyLock::new(|| {
    Inventory::from_sources(&[Source::new("hosts.toml", TEXT)])
        .unwrap_or_else(|problems| panic!("{problems}"))
});

fn select(pattern: &str) -> Result<Vec<String>, String> {
    let bad = |problem: Problem| format!("exit 5\n{problem}");
    let pattern = Pattern::option("--limit", pattern).map_err(bad)?;
    let hosts = INVENTORY.select(&pattern);
    let hosts = hosts.map_err(|error| format!("exit {}\n{error}", error.exit_code()))?;
    Ok(hosts.iter().map(|host| host.name.clone()).collect())
}

fn names(pattern: &str) -> String {
    select(pattern)
        .unwrap_or_else(|error| panic!("{error}"))
        .join(" ")
}

#[test]
fn what_terms_name() {
    assert_eq!(names("all").split(' ').count(), 10);
    assert_eq!(names("*").split(' ').count(), 10);
    assert_eq!(
        names("db"),
        "db-a.example.com db-b.example.com db-c.example.com"
    );
    assert_eq!(names("cache"), "cache");
    assert_eq!(names("web0[12]"), "web01 web02");
    assert_eq!(names("web0[!1-4]"), "web05 web06");
    assert_eq!(
        names("*.example.com:!db-b*"),
        "db-a.example.com db-c.example.com"
    );
}

#[test]
fn slices_include_both_ends() {
    assert_eq!(names("web[0]"), "web01");
    assert_eq!(names("web[-1]"), "web06");
    assert_eq!(names("web[0:2]"), "web01 web02 web03");
    assert_eq!(names("web[4:]"), "web05 web06");
    assert_eq!(names("web[:1]"), "web01 web02");
    assert_eq!(names("web[-2:-1]"), "web05 web06");
    assert_eq!(names("web[4:100]"), "web05 web06");
    assert_eq!(names("*.example.com[1]"), "db-b.example.com");
    assert_eq!(names("web[01:05][-1]"), "web05");
}

#[test]
fn ranges_where_the_name_before_them_is_no_group() {
    assert_eq!(names("web[01:02]"), "web01 web02");
    assert_eq!(names("web0[1:3]"), "web01 web02 web03");
    assert_eq!(
        names("db-[a:c:2].example.com"),
        "db-a.example.com db-c.example.com"
    );
    assert_eq!(names("web0[1:3][0]"), "web01");
}

#[test]
fn unions_first_then_intersections_then_exclusions() {
    assert_eq!(names("front:cache"), "web01 web02 cache");
    assert_eq!(names("cache,web01"), "cache web01");
    assert_eq!(names("!web:&front:all"), "cache");
    assert_eq!(names("!site"), "cache");
    assert_eq!(names("&front"), "web01 web02 cache");
    assert_eq!(names(" web[0] , db[0], "), "web01 db-a.example.com");
    assert_eq!(names("all:!none:!web:!db"), "cache");
}

#[test]
fn regular_expressions() {
    assert_eq!(names(r"~web\d[2-3]"), "web02 web03");
    assert_eq!(names(r"~web0{1,2}(?:5|6):!web06"), "web05");
    assert_eq!(names(r"~.*-[ac]\."), "db-a.example.com db-c.example.com");
}

fn refused(pattern: &str) -> String {
    match select(pattern) {
        Ok(hosts) => panic!("`{pattern}` matched {hosts:?}"),
        Err(error) => error,
    }
}

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
fn lists_of_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts.txt");
    std::fs::write(
        &path,
        "# the first ones\nweb01\n\n  web[1:2]  # two more\ncache\n",
    )
    .unwrap();
    let list = format!("@{}", path.display());
    assert_eq!(names(&list), "web01 web02 web03 cache");
    assert_eq!(names(&format!("front:!{list}:web06")), "web06");
    std::fs::write(&path, "web01\nweb1x:!db\n@other\n").unwrap();
    let said = refused(&list).replace(&format!("{}/", folder.path().display()), "");
    insta::assert_snapshot!(said, @r#"
exit 5
error: a list of hosts cannot name another list
  --> hosts.txt:3:1
   |
 3 | @other
   | ^^^^^^

error: there is no host or group `web1x`
  --> hosts.txt:2:1
   |
 2 | web1x:!db
   | ^^^^^
   = help: `runner inventory` lists all hosts and groups
"#);
}

#[test]
fn a_list_with_a_meaning_of_its_own() {
    let pattern = Pattern::option("--limit", "@failed").unwrap();
    let lookup = |name: &str| match name {
        "failed" => Ok(Some(Source::new("@failed", "web02\ncache\n"))),
        _ => Ok(None),
    };
    let hosts = INVENTORY.select_with(&pattern, &lookup).unwrap();
    let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names, ["web02", "cache"]);
    let none = |_: &str| Err(Problem::new("there is no last run"));
    match INVENTORY.select_with(&pattern, &none) {
        Err(SelectError::Bad(problems)) => insta::assert_snapshot!(problems, @r#"
error: there is no last run
  --> --limit:1:1
   |
 1 | @failed
   | ^^^^^^^
"#),
        other => panic!("{other:?}"),
    }
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

/// Terms that match something.
fn term() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("all"),
        Just("web"),
        Just("db"),
        Just("site"),
        Just("front"),
        Just("cache"),
        Just("web0[1:4]"),
        Just("web[1:3]"),
        Just("web[-1]"),
        Just("*.example.com"),
        Just("~web0[3-5]"),
        Just("site[2:7]"),
        Just("none"),
    ]
    .prop_map(str::to_string)
}

/// The hosts as a set; no host at all is the empty set.
fn set(pattern: &str) -> BTreeSet<String> {
    match select(pattern) {
        Ok(hosts) => hosts.into_iter().collect(),
        Err(error) if error.contains("matches no host\n") => BTreeSet::new(),
        Err(error) => panic!("{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn patterns_are_sets(a in term(), b in term(), c in term()) {
        let (sa, sb, sc) = (set(&a), set(&b), set(&c));
        prop_assert_eq!(set(&format!("{a}:{b}")), &sa | &sb);
        prop_assert_eq!(set(&format!("{a},&{b}")), &sa & &sb);
        prop_assert_eq!(set(&format!("{a}:!{b}")), &sa - &sb);
        prop_assert_eq!(set(&format!("!{b}:{a}:{c}")), &(&sa | &sc) - &sb);
        prop_assert_eq!(set(&format!("{a}:!{c}:&{b}")), &(&sa & &sb) - &sc);
    }

    #[test]
    fn no_host_is_selected_twice(a in term(), b in term()) {
        if let Ok(hosts) = select(&format!("{a}:{b}")) {
            let set: BTreeSet<&String> = hosts.iter().collect();
            prop_assert_eq!(set.len(), hosts.len());
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in any::<String>()) {
        if let Err(problem) = Pattern::option("--limit", &text) {
            let _ = problem.to_string();
        }
        let _ = expand(&text);
    }

    #[test]
    fn any_text_of_the_right_letters_is_selected_or_refused(text in r"[webd0-3\[\]:,!&*?~.()\\ é-]{0,16}") {
        if let Err(error) = select(&text) {
            prop_assert!(error.starts_with("exit "));
        }
    }

    #[test]
    fn a_range_has_all_its_numbers_in_order(first in 0usize..500, count in 0usize..50, step in 1usize..7, width in 0usize..5) {
        let last = first + count;
        let names = expand(&format!("h[{first:0width$}:{last}:{step}]x")).unwrap();
        let wanted: Vec<usize> = (first..=last).step_by(step).collect();
        let numbers: Vec<usize> = names.iter().map(|name| name[1..name.len() - 1].parse().unwrap()).collect();
        prop_assert_eq!(numbers, wanted);
        if format!("{first:0width$}").starts_with('0') {
            prop_assert!(names.iter().all(|name| name.len() >= 2 + width));
        }
    }
}
