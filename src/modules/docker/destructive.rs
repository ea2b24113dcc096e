//! What every docker module has to keep: nothing is taken away or taken down unless the task says so in its own words.

use super::super::testing::{Tools, build_in, run_in};
use crate::modules::{Action, Failure, Found};

/// What takes something away, stops something or moves it, among the words of a `docker` command.
const DESTRUCTIVE: [&str; 17] = [
    "rm",
    "rmi",
    "remove",
    "prune",
    "--prune",
    "kill",
    "stop",
    "down",
    "leave",
    "demote",
    "rollback",
    "scale",
    "volume",
    "--force",
    "-f",
    "--label-rm",
    "--availability",
];

const INACTIVE: &str = r#"{"NodeID":"","NodeAddr":"","LocalNodeState":"inactive","ControlAvailable":false,"Error":"","RemoteManagers":null}"#;

const WORKER: &str = r#"{"NodeID":"w9","NodeAddr":"10.0.0.9","LocalNodeState":"active","ControlAvailable":false,"Error":"","RemoteManagers":[{"NodeID":"m9","Addr":"10.0.0.9:2377"}]}"#;

const MANAGER: &str = r#"{"NodeID":"m9","NodeAddr":"10.0.0.9","LocalNodeState":"active","ControlAvailable":true,"Error":"","RemoteManagers":[{"NodeID":"m9","Addr":"10.0.0.9:2377"}],"Cluster":{"ID":"c9","Spec":{}}}"#;

const NODE: &str = r#"{"ID":"idw","Version":{"Index":9},"Spec":{"Labels":{"a":"1","c":"1"},"Role":"worker","Availability":"drain"},"Description":{"Hostname":"web1","Resources":{}},"Status":{"State":"ready","Addr":"10.0.0.1"}}"#;

/// Another image and a service that the file does not have.
const STACK: &str = "spec|t_a|old|||2|app:0\nspec|t_c|x|||1|app:1\nverdict|ok\n";

const COMPOSE: &str =
    "version: \"3.7\"\nservices:\n  a: { image: app:1, deploy: { replicas: 2 } }\n";

const JOINED: &str = "docker_swarm = { state = 'joined', swarm = { cluster_id = 'c1', address = '10.0.0.1:2377', \
     worker_token = 'W', manager_token = 'M', nodes = ['m1'] } }";

/// What came of a task on a host that is in this state: the destructive words that docker was asked with, or why nothing was done.
fn asked(task: &str, state: &str) -> Result<Vec<String>, Failure> {
    // It agrees to everything.
    let tools = Tools::docker("");
    // Nobody waits for an engine that never gets anywhere.
    tools.add("sleep", "");
    let folder = tools.folder();
    std::fs::write(folder.join("app.yaml"), COMPOSE).unwrap();
    let dest = folder.join("dest.yaml");
    let task = task.replace("DEST", dest.to_str().unwrap());
    let module = build_in(folder, &task).unwrap_or_else(|problem| panic!("{problem}"));
    let changes = module.changes(&Found {
        stdout: format!("{state}\n").into_bytes(),
        ..Found::default()
    })?;
    assert!(!changes.actions.is_empty(), "{task} has nothing to do");
    for action in &changes.actions {
        if let Action::Run(script) = action {
            run_in(&["sh"], script, &[("PATH", &tools.path())]);
        }
    }
    let asked = tools.asked();
    let words = asked.lines().flat_map(str::split_whitespace);
    let mut found: Vec<String> = words
        .filter(|word| DESTRUCTIVE.contains(word))
        .map(str::to_string)
        .collect();
    found.sort();
    found.dedup();
    println!("{task}: {found:?} in\n{asked}");
    Ok(found)
}

#[test]
fn nothing_is_destroyed_unless_it_is_asked_for_by_name() {
    let init = "docker_swarm = { state = 'init' }";
    let stack = "docker_stack = { name = 't', compose = 'app.yaml', dest = 'DEST', wait = '0' }";
    let rows: [(&str, &str, &[&str]); 12] = [
        (init, INACTIVE, &[]),
        (JOINED, INACTIVE, &[]),
        ("docker_swarm = { state = 'left' }", WORKER, &["leave"]),
        (
            "docker_swarm = { state = 'left', force = true }",
            MANAGER,
            &["--force", "leave"],
        ),
        (
            "docker_node = { node = 'web1', labels = { b = 1 } }",
            NODE,
            &[],
        ),
        (
            "docker_node = { node = 'web1', labels = { b = 1 }, exact = true }",
            NODE,
            &["--label-rm"],
        ),
        (
            "docker_node = { node = 'web1', availability = 'active' }",
            NODE,
            &["--availability"],
        ),
        (stack, STACK, &[]),
        (stack, "verdict|wait", &[]),
        (
            "docker_stack = { name = 't', compose = 'app.yaml', dest = 'DEST', wait = '0', prune = true }",
            STACK,
            &["--prune"],
        ),
        // Its volumes stay.
        (
            "docker_stack = { name = 't', state = 'absent', wait = '1s' }",
            "service a",
            &["rm"],
        ),
        ("docker_exec = { service = 's', command = 'true' }", "", &[]),
    ];
    for (task, state, wanted) in rows {
        assert_eq!(asked(task, state).unwrap(), wanted, "{task}");
    }
}

/// Where only destruction would help, nothing is done.
#[test]
fn what_would_take_destruction_is_refused() {
    for (task, state, guard) in [
        ("docker_swarm = { state = 'init' }", WORKER, false),
        (JOINED, WORKER, false),
        (JOINED, MANAGER, false),
        ("docker_swarm = { state = 'left' }", MANAGER, true),
    ] {
        let refused = asked(task, state).unwrap_err();
        assert_eq!(refused.guard, guard, "{task}: {refused:?}");
        assert!(!refused.help.is_empty(), "{task}: {refused:?}");
    }
}
