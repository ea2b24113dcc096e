//! What inventories mean.

use crate::{inventory, names};
use runner::inventory::Inventory;

#[test]
fn ranges_stand_for_many_hosts() {
    let inventory = inventory(
        "[hosts]\n\"web[01:03].example.com\" = { address = \"10.0.0.[1:3]\" }\n\"r[a:b]n[1:3:2]\" = {}\n",
    );
    assert_eq!(
        names(&inventory, "all"),
        "web01.example.com web02.example.com web03.example.com ran1 ran3 rbn1 rbn3"
    );
    let host = inventory.host("web02.example.com").unwrap();
    assert_eq!(host.connection.address.as_deref(), Some("10.0.0.2"));
}

fn layered() -> Inventory {
    inventory(
        r#"[connection]
user = "all"
port = 1

[hosts]
h = { groups = ["leaf", "late"], vars = { own = "host" }, identity_file = "~/keys/h" }

[groups]
late = { vars = { same_depth = "late", deep = "late" }, connection = { port = 4 } }
leaf = { vars = { deep = "leaf" } }
middle = { children = ["leaf"], vars = { deep = "middle", same_depth = "middle", own = "middle" }, connection = { port = 3, user = "middle" } }
top = { children = ["middle", "leaf"], vars = { deep = "top", same_depth = "top", own = "top" } }
first = { children = ["leaf"], vars = { tie = "first" } }
second = { children = ["leaf"], vars = { tie = "second" } }
all = { vars = { deep = "all", own = "all" }, connection = { port = 2 } }
"#,
    )
}

#[test]
fn parents_hold_below_their_children_and_groups_below_the_host() {
    let inventory = layered();
    let values: Vec<String> = inventory
        .variables("h")
        .iter()
        .map(|variable| {
            let hidden: Vec<String> = variable
                .overrides
                .iter()
                .map(|(origin, _)| origin.to_string())
                .collect();
            format!(
                "{} from {}, over {}",
                variable.name,
                variable.origin,
                hidden.join(" > ")
            )
        })
        .collect();
    assert_eq!(
        values,
        [
            "deep from group leaf, over group middle > group top > group late > group all",
            "own from host h, over group middle > group top > group all",
            "same_depth from group middle, over group top > group late",
            "tie from group second, over group first",
        ]
    );
    let host = inventory.host("h").unwrap();
    assert_eq!(
        host.groups,
        ["late", "leaf", "middle", "top", "first", "second"]
    );
    assert_eq!(host.connection.port, Some(3));
    assert_eq!(host.connection.user.as_deref(), Some("middle"));
    let home = std::env::var("HOME").unwrap();
    assert_eq!(
        host.connection.identity_file,
        Some(vec![format!("{home}/keys/h").into()])
    );
}

#[test]
fn five_thousand_hosts() {
    let mut text = String::from("[connection]\nuser = \"ops\"\n\n[hosts]\n");
    for at in 0..5000 {
        text.push_str(&format!(
            "node{at:04} = {{ address = \"10.{}.{}.{}\", groups = [\"rack{}\", \"zone{}\"], vars = {{ id = {at} }} }}\n",
            at / 2500, at / 250 % 250, at % 250, at / 40, at % 3
        ));
    }
    text.push_str(
        "[groups]\nfleet = { children = [\"zone0\", \"zone1\", \"zone2\"], vars = { tier = 1 } }\n",
    );
    let start = std::time::Instant::now();
    let inventory = inventory(&text);
    let loaded = start.elapsed();
    let found = names(&inventory, "fleet:&zone1:!node4*:!rack1");
    println!(
        "loaded in {loaded:?}, with the pattern {:?}",
        start.elapsed()
    );
    assert_eq!(found.split(' ').count(), 1319);
}
