//! A playbook, read and checked for two hosts as before a run.

#![no_main]

use libfuzzer_sys::fuzz_target;
use runner::diagnostic::Problems;
use runner::document::Table;
use runner::inventory::Pattern;
use runner::playbook::{Play, Task};
use runner::vars::{HostVariables, PlayScope, Scope, World};
use runner::{plan, playbook};
use std::sync::Arc;

const HOSTS: [&str; 2] = ["bookie1", "bookie2"];

fn world(plays: &[Play]) -> Arc<World> {
    let host = |name: &str| HostVariables {
        name: name.to_string(),
        groups: vec!["bookies".to_string()],
        address: "192.0.2.7".to_string(),
        vars: Table::default(),
    };
    let tasks = plays
        .iter()
        .flat_map(|play| play.tasks.iter().chain(&play.handlers));
    let names: Vec<String> = HOSTS.iter().map(|name| name.to_string()).collect();
    Arc::new(World::new(
        HOSTS.iter().map(|name| host(name)).collect(),
        vec![("bookies".to_string(), names)],
        Table::default(),
        tasks.flat_map(Task::produces).collect(),
        false,
        Vec::new(),
    ))
}

fuzz_target!(|input: &[u8]| {
    let path = runner_fuzz::file("play.toml", input);
    let (playbook, mut problems) = playbook::load(&path);
    let world = world(&playbook.plays);
    for play in &playbook.plays {
        if let Err(problem) = Pattern::parse(&play.hosts, &play.place) {
            problems.push(problem);
        }
        let scope = Arc::new(PlayScope {
            vars: play.vars.clone(),
            dir: play.dir.clone(),
            hosts: HOSTS.iter().map(|name| name.to_string()).collect(),
        });
        let tasks: Vec<&Task> = play.tasks.iter().chain(&play.handlers).collect();
        let mut found = Problems::new();
        for host in HOSTS {
            plan::check(play, &Scope::new(&world, host, &scope), &tasks, &mut found);
        }
        problems.extend(found);
    }
    runner_fuzz::show(&problems);
});
