//! The shipped playbooks, with the shipped inventory and without a host: they load, and their templates say what they
//! should.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use runner::diagnostic::Source;
use runner::document::Table;
use runner::inventory::Inventory;
use runner::playbook::{self, Play};
use runner::vars::{HostVariables, Lookup, PlayScope, Scope, World};
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn plays(name: &str) -> Vec<Play> {
    let (playbook, problems) = playbook::load(&root().join("playbooks").join(name));
    assert!(problems.is_empty(), "{name}:\n{problems}");
    playbook.plays
}

/// What a host sees in a play of a playbook.
fn scope(host: &str, play: &Play) -> Scope {
    let inventory = match Inventory::load(&[root().join("inventory")]) {
        Ok(inventory) => inventory,
        Err(problems) => panic!("{problems}"),
    };
    let hosts = inventory
        .hosts()
        .iter()
        .map(|host| HostVariables {
            name: host.name.clone(),
            groups: host.groups.clone(),
            address: host.connection.address.clone().unwrap_or_default(),
            vars: inventory.variable_table(&host.name),
        })
        .collect();
    let world = World::new(
        hosts,
        inventory.group_lists(),
        Table::default(),
        HashSet::new(),
        false,
        vec![root().join("playbooks")],
    );
    let play = PlayScope {
        vars: play.vars.clone(),
        dir: PathBuf::from("playbooks"),
        hosts: Vec::new(),
    };
    Scope::new(&Arc::new(world), host, &Arc::new(play))
}

fn render(file: &str) -> String {
    let play = plays("verify.toml").remove(0);
    let text = std::fs::read_to_string(root().join("playbooks").join(file)).unwrap();
    let lookup = Lookup::new(scope("gp22aitppapcsve", &play));
    match lookup.file(&Source::new(file, text)) {
        Ok(text) => text,
        Err(trouble) => panic!("{file}: {trouble:?}"),
    }
}

#[test]
fn every_playbook_loads() {
    let mut names: Vec<String> = std::fs::read_dir(root().join("playbooks"))
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    names.sort();
    assert!(names.contains(&"deploy.toml".to_string()));
    for name in names {
        assert!(!plays(&name).is_empty(), "{name}");
    }
}

#[test]
fn each_part_of_a_deployment_has_its_tag() {
    let tags: HashSet<String> = plays("deploy.toml")
        .iter()
        .flat_map(|play| &play.tasks)
        .flat_map(|task| task.tags.clone())
        .collect();
    for tag in [
        "swarm",
        "labels",
        "image",
        "fresh",
        "zookeeper",
        "metadata",
        "bookies",
        "brokers",
        "verify",
    ] {
        assert!(tags.contains(tag), "{tag}");
    }
}

#[test]
fn the_zookeeper_servers_know_each_other() {
    let conf = render("templates/zookeeper.conf");
    let servers: Vec<&str> = conf
        .lines()
        .filter(|line| line.starts_with("server."))
        .collect();
    assert_eq!(
        servers,
        [
            "server.1=zk1:2888:3888",
            "server.2=zk2:2888:3888",
            "server.3=zk3:2888:3888"
        ]
    );
}

#[test]
fn the_stacks_place_each_service_on_its_own_host() {
    for (stack, services) in [
        ("zookeeper", vec!["zk1", "zk2", "zk3"]),
        ("bookies", vec!["bookie1", "bookie2", "bookie3"]),
        ("brokers", vec!["broker1", "broker2"]),
    ] {
        let text = render(&format!("stacks/{stack}.yaml"));
        for service in &services {
            assert!(text.contains(&format!("\n  {service}:\n")), "{text}");
            assert!(
                text.contains(&format!("    hostname: {service}\n")),
                "{text}"
            );
            let place = format!("          - node.labels.{service} == true\n");
            assert!(text.contains(&place), "{text}");
        }
        assert_eq!(text.matches("endpoint_mode: dnsrr").count(), services.len());
    }
}

#[test]
fn connection_strings_name_all_three_zookeepers() {
    let bookies = render("stacks/bookies.yaml");
    let uri = r#"metadataServiceUri: "metadata-store:zk:zk1:2181,zk2:2181,zk3:2181""#;
    assert_eq!(bookies.matches(uri).count(), 3, "{bookies}");
    let brokers = render("stacks/brokers.yaml");
    let url = r#" metadataStoreUrl: "zk:zk1:2181,zk2:2181,zk3:2181""#;
    assert_eq!(brokers.matches(url).count(), 2, "{brokers}");
}

#[test]
fn each_broker_advertises_itself() {
    let text = render("stacks/brokers.yaml");
    let advertised: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("advertisedAddress: "))
        .collect();
    assert_eq!(advertised, ["broker1", "broker2"]);
}

#[test]
fn a_changed_configuration_changes_the_service() {
    let text = render("stacks/zookeeper.yaml");
    let marks: HashSet<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("CONFIGURATION: "))
        .collect();
    assert_eq!(marks.len(), 1, "{text}");
    assert!(marks.iter().all(|mark| mark.len() == 18), "{marks:?}");
}
