//! The inventory that comes with the program.

use crate::names;
use runner::inventory::Inventory;

fn shipped() -> Inventory {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("inventory");
    Inventory::load(&[folder]).unwrap_or_else(|problems| panic!("{problems}"))
}

#[test]
fn the_shipped_inventory_has_the_hosts_and_groups_of_the_cluster() {
    let inventory = shipped();
    let sizes: Vec<(&str, usize)> = inventory
        .groups()
        .iter()
        .map(|group| (group.name.as_str(), group.hosts.len()))
        .collect();
    assert_eq!(
        sizes,
        [
            ("all", 26),
            ("pulsar", 8),
            ("query", 5),
            ("index", 4),
            ("coord", 2),
            ("zookeeper", 3),
            ("etcd", 3),
            ("brokers", 2),
            ("managers", 3),
            ("minio", 4),
            ("bookies", 3),
            ("ungrouped", 0),
        ]
    );
    let first = inventory.group("managers").unwrap().hosts[0].clone();
    assert_eq!(first.connection.address.as_deref(), Some("29.16.21.80"));
    assert_eq!(first.connection.user.as_deref(), Some("dcos"));
    let zk: Vec<String> = inventory
        .variables("gp22aitppapch5z")
        .iter()
        .map(|variable| {
            format!(
                "{} = {} ({})",
                variable.name,
                variable.value.to_value(),
                variable.origin
            )
        })
        .collect();
    assert_eq!(
        zk,
        [
            r#"labels = ["zk3","etcd3"] (host gp22aitppapch5z)"#,
            "zk_id = 3 (host gp22aitppapch5z)"
        ]
    );
}

#[test]
fn patterns_on_the_shipped_inventory() {
    let inventory = shipped();
    assert_eq!(names(&inventory, "zookeeper[0]"), "gp22aitppapcsve");
    assert_eq!(names(&inventory, "zookeeper[-1]"), "gp22aitppapch5z");
    assert_eq!(
        names(&inventory, "managers[0:1]"),
        "gp22aitppap3jmy gp22aitppapvgr5"
    );
    assert_eq!(names(&inventory, "all:!managers").split(' ').count(), 23);
    assert_eq!(names(&inventory, "pulsar:&etcd").split(' ').count(), 3);
    assert_eq!(names(&inventory, "gp22*").split(' ').count(), 26);
    assert_eq!(names(&inventory, "~.*apk,!query"), "gp22aitppapkkpt");
}
