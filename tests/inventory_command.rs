//! What `runner inventory` prints.

#![allow(clippy::panic, clippy::unwrap_used)]

use runner::cli::inventory::{Error, Options, run};
use runner::diagnostic::Source;
use runner::inventory::Inventory;

const TEXT: &str = r#"[connection]
user = "deploy"

[hosts]
gate = { address = "10.0.0.1", port = 2222 }
"web[1:2]" = { address = "10.0.1.[1:2]", groups = ["web"] }
db1 = { groups = ["db"], vars = { role = "primary", url = "db://{{ inventory_hostname }}:{{ db_port }}", old = "{{ nobody }}" }, connection = { user = "postgres" } }

[groups]
all = { vars = { role = "none", db_port = 5432 } }
site = { children = ["web", "db"], vars = { role = "member", labels = ["a", "b"] }, connection = { port = 22 } }
edge = { children = ["web"] }
"#;

fn show(arguments: Options) -> String {
    let inventory = Inventory::from_sources(&[Source::new("hosts.toml", TEXT)])
        .unwrap_or_else(|problems| panic!("{problems}"));
    let mut out = Vec::new();
    match run(&inventory, &arguments, &mut out) {
        Ok(()) => String::from_utf8(out).unwrap(),
        Err(Error::Select(error)) => format!("exit {}\n{error}", error.exit_code()),
        Err(Error::Write(error)) => panic!("{error}"),
    }
}

fn pattern(text: &str) -> Options {
    Options {
        pattern: Some(text.into()),
        ..Options::default()
    }
}

#[test]
fn a_table_of_all_hosts() {
    assert_eq!(
        show(Options::default()),
        "\
HOST  ADDRESS        GROUPS
gate  10.0.0.1:2222  ungrouped
web1  10.0.1.1:22    site, edge, web
web2  10.0.1.2:22    site, edge, web
db1   db1:22         site, db

4 hosts
"
    );
}

#[test]
fn a_table_of_some_hosts() {
    assert_eq!(
        show(pattern("site:!web[0]")),
        "\
HOST  ADDRESS      GROUPS
web2  10.0.1.2:22  site, edge, web
db1   db1:22       site, db

2 hosts of 4
"
    );
}

#[test]
fn a_pattern_that_matches_nothing() {
    assert_eq!(
        show(pattern("wbe")),
        "\
exit 3
error: there is no host or group `wbe`
  --> PATTERN:1:1
   |
 1 | wbe
   | ^^^
   = help: did you mean `web`?
"
    );
}

#[test]
fn the_tree() {
    let options = Options {
        graph: true,
        ..Options::default()
    };
    assert_eq!(
        show(options),
        "\
all (4)
├─ site (3)
│  ├─ web (2)
│  │  ├─ web1
│  │  └─ web2
│  └─ db (1)
│     └─ db1
├─ edge (2)
│  └─ web (2, as above)
└─ ungrouped (1)
   └─ gate
"
    );
}

#[test]
fn where_each_value_of_a_host_comes_from() {
    assert_eq!(
        show(pattern("db1")),
        r#"db1
groups: site, db

connection
  user = "postgres"                     # host db1, hosts.toml:7
    instead of "deploy"                 # [connection], hosts.toml:2
  port = 22                             # group site, hosts.toml:11

variables
  role = "primary"                      # host db1, hosts.toml:7
    instead of "member"                 # group site, hosts.toml:11
    instead of "none"                   # group all, hosts.toml:10
  db_port = 5432                        # group all, hosts.toml:10
  labels = ["a", "b"]                   # group site, hosts.toml:11
  url = "db://db1:5432"                 # host db1, hosts.toml:7
    written as "db://{{ inventory_hostname }}:{{ db_port }}"
  old = "{{ nobody }}"                  # host db1, hosts.toml:7
    not rendered here: `nobody` is undefined
"#
    );
}

#[test]
fn the_list_is_itself_a_dynamic_inventory() {
    let options = Options {
        list: true,
        ..Options::default()
    };
    let said: serde_json::Value = serde_json::from_str(&show(options)).unwrap();
    assert_eq!(said["_meta"]["hostvars"]["db1"]["role"], "primary");
    assert_eq!(said["_meta"]["hostvars"]["gate"]["ansible_port"], 2222);
    assert_eq!(
        said["site"],
        serde_json::json!({ "children": ["web", "db"] })
    );
    assert_eq!(
        said["web"],
        serde_json::json!({ "hosts": ["web1", "web2"] })
    );
    assert_eq!(
        said["all"],
        serde_json::json!({ "children": ["site", "edge", "ungrouped"] })
    );
}
