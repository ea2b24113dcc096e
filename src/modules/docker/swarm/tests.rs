use super::super::super::testing::build;
use crate::modules::{Action, Done, Failure, Found};
use serde_json::{Value, json};

const INACTIVE: &str = r#"{"NodeID":"","NodeAddr":"","LocalNodeState":"inactive","ControlAvailable":false,"Error":"","RemoteManagers":null}"#;

fn info(node: &str, manager: bool, cluster: Option<&str>) -> String {
    let mut info = json!({
        "NodeID": node,
        "NodeAddr": "10.0.0.1",
        "LocalNodeState": "active",
        "ControlAvailable": manager,
        "Error": "",
        "RemoteManagers": [{ "NodeID": "m1", "Addr": "10.0.0.1:2377" }],
    });
    if let Some(id) = cluster {
        info["Cluster"] = json!({ "ID": id, "Spec": {} });
    }
    info.to_string() + "\n"
}

fn found(stdout: impl Into<String>) -> Found {
    Found {
        stdout: stdout.into().into_bytes(),
        ..Found::default()
    }
}

fn done(stdout: impl Into<String>) -> Vec<Done> {
    vec![Done {
        stdout: stdout.into().into_bytes(),
        ..Done::default()
    }]
}

const INIT: &str = "docker_swarm = { state = 'init', advertise_addr = '10.0.0.1' }";

fn joined(role: &str) -> String {
    format!(
        "docker_swarm = {{ state = 'joined', role = '{role}', swarm = {{ changed = true, cluster_id = 'c1', \
         address = '10.0.0.1:2377', worker_token = 'W', manager_token = 'M', nodes = ['m1', 'w1'] }} }}"
    )
}

#[test]
fn a_host_without_a_swarm_begins_one() {
    let module = build(INIT).unwrap();
    let before = found(INACTIVE);
    let changes = module.changes(&before).unwrap();
    let [Action::Run(script)] = &changes.actions[..] else {
        panic!()
    };
    assert!(
        script
            .text
            .contains("docker swarm init --advertise-addr 10.0.0.1 >/dev/null")
    );
    let after = info("m1", true, Some("c1"))
        + "worker_token SWMTKN-1-w\nmanager_token SWMTKN-1-m\nnode m1\nnode w1\n";
    let result = module.result(&before, &done(after.clone())).unwrap();
    assert_eq!(
        Value::Object(result.clone()),
        json!({
            "cluster_id": "c1", "node_id": "m1", "address": "10.0.0.1:2377",
            "worker_token": "SWMTKN-1-w", "manager_token": "SWMTKN-1-m", "nodes": ["m1", "w1"],
        })
    );
    // The second time the probe says the same.
    assert!(
        module
            .changes(&found(after.clone()))
            .unwrap()
            .actions
            .is_empty()
    );
    assert_eq!(module.result(&found(after), &[]).unwrap(), result);
}

#[test]
fn a_worker_of_another_swarm_begins_none() {
    let module = build(INIT).unwrap();
    assert_eq!(
        module.changes(&found(info("w1", false, None))).unwrap_err(),
        Failure::new("this host is a worker of the swarm of 10.0.0.1:2377")
            .help("begin with one of its managers, or leave on this host: `docker swarm leave`")
    );
    let other = build("docker_swarm = { state = 'init', advertise_addr = '10.0.0.9' }").unwrap();
    assert_eq!(
        other
            .changes(&found(info("m1", true, Some("c1"))))
            .unwrap_err()
            .message,
        "this host is in a swarm under the address 10.0.0.1, not 10.0.0.9"
    );
}

#[test]
fn a_host_joins_with_the_token_of_its_role() {
    for (role, token) in [("worker", "W"), ("manager", "M")] {
        let module = build(&joined(role)).unwrap();
        let changes = module.changes(&found(INACTIVE)).unwrap();
        assert_eq!(changes.because, format!("joins as {role}"));
        let [Action::Run(script)] = &changes.actions[..] else {
            panic!()
        };
        assert!(
            script
                .text
                .contains(&format!("docker swarm join --token {token} 10.0.0.1:2377")),
            "{}",
            script.text
        );
    }
}

#[test]
fn a_member_is_left_as_it_is() {
    let worker = build(&joined("worker")).unwrap();
    for node in ["w1", "w9"] {
        let found = found(info(node, false, None));
        assert!(worker.changes(&found).unwrap().actions.is_empty());
        assert_eq!(worker.result(&found, &[]).unwrap()["node_id"], node);
    }
    let manager = build(&joined("manager")).unwrap();
    assert!(
        manager
            .changes(&found(info("m2", true, Some("c1"))))
            .unwrap()
            .actions
            .is_empty()
    );
}

#[test]
fn a_member_of_another_swarm_is_a_failure() {
    let manager = build(&joined("manager")).unwrap();
    assert_eq!(
        manager.changes(&found(info("x", true, Some("c2")))).unwrap_err(),
        Failure::new(
            "this host is in another swarm c2, managed by 10.0.0.1:2377, and not in c1 of 10.0.0.1:2377"
        )
        .help("if that other swarm needs it no more, leave on this host: `docker swarm leave`, which stops its services here")
    );
    let worker = build(&joined("worker")).unwrap();
    let elsewhere = info("x", false, None).replace("m1", "m7");
    assert_eq!(
        worker
            .changes(&found(elsewhere.clone()))
            .unwrap_err()
            .message,
        "this host is in another swarm, managed by 10.0.0.1:2377, and not in c1 of 10.0.0.1:2377"
    );
    // Also when docker says that it has joined.
    assert!(worker.result(&found(INACTIVE), &done(elsewhere)).is_err());
    let chatter = format!("Timeout was reached\n{}", info("w9", false, None));
    assert_eq!(
        worker.result(&found(INACTIVE), &done(chatter)).unwrap()["node_id"],
        "w9"
    );
}

#[test]
fn the_other_role_is_a_failure_with_its_command() {
    let manager = build(&joined("manager")).unwrap();
    assert_eq!(
        manager
            .changes(&found(info("w1", false, None)))
            .unwrap_err(),
        Failure::new("this host is a worker of the swarm, not a manager")
            .help("on a manager: `docker node promote w1`")
    );
}

#[test]
fn a_manager_leaves_only_by_force() {
    let module = build("docker_swarm = { state = 'left' }").unwrap();
    assert!(module.changes(&found(INACTIVE)).unwrap().actions.is_empty());
    assert_eq!(
        module
            .changes(&found(info("w1", false, None)))
            .unwrap()
            .actions
            .len(),
        1
    );
    let refused = module
        .changes(&found(info("m1", true, Some("c1"))))
        .unwrap_err();
    assert!(refused.guard);
    let module = build("docker_swarm = { state = 'left', force = true }").unwrap();
    let changes = module
        .changes(&found(info("m1", true, Some("c1"))))
        .unwrap();
    let [Action::Run(script)] = &changes.actions[..] else {
        panic!()
    };
    assert!(
        script
            .text
            .contains("docker swarm leave --force >/dev/null")
    );
}

#[test]
fn states_between_are_explained() {
    let module = build(&joined("worker")).unwrap();
    for (state, message) in [
        ("locked", "this host's swarm is locked"),
        (
            "pending",
            "this host is still looking for the managers of its swarm",
        ),
        ("error", "this host's swarm is in state error: no route"),
    ] {
        let info = json!({ "LocalNodeState": state, "Error": "no route" }).to_string();
        assert_eq!(module.changes(&found(info)).unwrap_err().message, message);
    }
}

#[test]
fn joining_needs_a_swarm() {
    let problem = build("docker_swarm = { state = 'joined' }").unwrap_err();
    assert!(
        problem.starts_with("error: `state = \"joined\"` needs `swarm`\n"),
        "{problem}"
    );
    let problem = build("docker_swarm = { state = 'joined', swarm = 'x' }").unwrap_err();
    assert!(
        problem.starts_with("error: `swarm` is not the registered result of an `init` task\n"),
        "{problem}"
    );
}
