//! From a playbook and an inventory to a run: hosts chosen, everything checked that can be checked without a host.

use super::options::{BecomeOptions, InventoryOptions, RunOptions};
use super::{Refusal, journal, secrets};
use crate::diagnostic::{Problem, Problems};
use crate::engine::{Options, Past, Run, Selection};
use crate::inventory::{Host, Inventory, Pattern, SelectError};
use crate::plan;
use crate::playbook::{Play, Playbook, Privilege, Task};
use crate::run_id::RunId;
use crate::vars::{HostVariables, PlayScope, Scope, Secrets, World};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

/// What the operator asked for.
pub(super) struct Request<'a> {
    /// What is run, for the screen.
    pub name: String,
    pub playbook: Playbook,
    /// What is wrong with the playbook so far.
    pub problems: Problems,
    pub inventory: &'a InventoryOptions,
    pub rights: &'a BecomeOptions,
    pub run: &'a RunOptions,
    pub selection: Selection,
    /// The values of secrets are of use; else their names stand for them.
    pub reveals: bool,
}

/// Chooses the hosts and checks every task for each of them.
pub(super) fn prepare(request: Request<'_>) -> Result<Run, Refusal> {
    let mut problems = request.problems;
    let inventory = match request.inventory.load() {
        Ok(inventory) => inventory,
        Err(found) => {
            problems.extend(found);
            return Err(problems.into());
        }
    };
    let store = secrets::store(request.run);
    let extra = match request.run.extra(&store) {
        Ok(extra) => extra,
        Err(found) => {
            problems.extend(found);
            Default::default()
        }
    };
    let limit = problems.note(request.inventory.limit()).flatten();
    let limit = match &limit {
        Some(pattern) => Some(journal::select(&inventory, request.inventory, pattern)?),
        None => None,
    };
    let mut missing = Problems::new();
    let mut plays = Vec::new();
    for play in request.playbook.plays {
        match hosts(&play, &inventory, request.inventory) {
            Ok(found) => plays.push((play, within(found, limit.as_deref()))),
            Err(SelectError::NoHost(found)) => missing.extend(found),
            Err(SelectError::Bad(found)) => problems.extend(found),
        }
    }
    secrets::hide_extra(&extra, &inventory, &plays);
    let mut world = world(&inventory, &plays, extra, request.run.check);
    if request.reveals {
        world = world.with_secrets(store.clone());
    }
    let world = Arc::new(world);
    check_selection(&plays, &request.selection, &mut problems);
    let plays = request.selection.apply(plays);
    for (play, hosts) in &plays {
        check(play, hosts, &world, &mut problems);
    }
    if request.reveals {
        for secret in plan::secrets(&plays, &world) {
            problems.note(store.find(&secret));
        }
        // From here on the terminal is the screen's.
        store.close();
    }
    if !problems.is_empty() {
        problems.extend(missing);
        return Err(problems.into());
    }
    if !missing.is_empty() {
        return Err(Refusal::no_hosts(missing));
    }
    let used: HashSet<&String> = plays.iter().flat_map(|(_, hosts)| hosts).collect();
    if used.is_empty() {
        return Err(Refusal::no_hosts(
            Problem::new("no play of this playbook is for a host of --limit").into(),
        ));
    }
    let hosts: Vec<Host> = inventory
        .hosts()
        .iter()
        .filter(|host| used.contains(&host.name))
        .map(|host| (**host).clone())
        .collect();
    Ok(Run {
        name: request.name,
        hosts,
        world,
        options: Options {
            id: RunId::new(),
            check: request.run.check,
            diff: request.run.diff,
            forks: request.run.forks as usize,
            privilege: Privilege {
                become_: (request.rights.become_ || request.rights.become_user.is_some())
                    .then_some(true),
                user: request.rights.become_user.clone(),
            },
            become_password: None,
            redactor: super::hidden::redactor().clone(),
            public: false,
            announces: false,
            shows: false,
            lock: None,
        },
        past: Past::default(),
        plays,
    })
}

fn hosts(
    play: &Play,
    inventory: &Inventory,
    options: &InventoryOptions,
) -> Result<Vec<Arc<Host>>, SelectError> {
    let pattern = Pattern::parse(&play.hosts, &play.place)
        .map_err(|problem| SelectError::Bad(problem.into()))?;
    journal::select(inventory, options, &pattern)
}

fn within(hosts: Vec<Arc<Host>>, limit: Option<&[Arc<Host>]>) -> Vec<String> {
    let allowed: Option<HashSet<&str>> =
        limit.map(|limit| limit.iter().map(|host| host.name.as_str()).collect());
    hosts
        .iter()
        .filter(|host| {
            allowed
                .as_ref()
                .is_none_or(|allowed| allowed.contains(host.name.as_str()))
        })
        .map(|host| host.name.clone())
        .collect()
}

/// What each host's variables are made of.
pub(super) fn host_variables(inventory: &Inventory) -> Vec<HostVariables> {
    let variables = |host: &Arc<Host>| HostVariables {
        name: host.name.clone(),
        groups: host.groups.clone(),
        address: host
            .connection
            .address
            .clone()
            .unwrap_or_else(|| host.name.clone()),
        vars: inventory.variable_table(&host.name),
    };
    inventory.hosts().iter().map(variables).collect()
}

fn world(
    inventory: &Inventory,
    plays: &[(Play, Vec<String>)],
    extra: crate::document::Table,
    check: bool,
) -> World {
    let tasks = |play: &Play| -> Vec<String> {
        let all = play.tasks.iter().chain(&play.handlers);
        all.flat_map(Task::produces)
            .chain(play.unread.clone())
            .collect()
    };
    let produced = plays.iter().flat_map(|(play, _)| tasks(play)).collect();
    let mut folders: Vec<PathBuf> = Vec::new();
    for (play, _) in plays {
        for folder in [play.dir.clone(), play.dir.join("templates")] {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
    }
    World::new(
        host_variables(inventory),
        inventory.group_lists(),
        extra,
        produced,
        check,
        folders,
    )
}

/// Tags and the task to start at must exist somewhere, or they are misspelt.
fn check_selection(plays: &[(Play, Vec<String>)], selection: &Selection, problems: &mut Problems) {
    let tasks: Vec<&Task> = plays.iter().flat_map(|(play, _)| &play.tasks).collect();
    let known: HashSet<&str> = tasks
        .iter()
        .flat_map(|task| &task.tags)
        .map(String::as_str)
        .collect();
    let special = ["all", "tagged", "untagged", "always", "never"];
    for (option, tags) in [
        ("--tags", &selection.tags),
        ("--skip-tags", &selection.skip_tags),
    ] {
        for tag in tags {
            if !known.contains(tag.as_str()) && !special.contains(&tag.as_str()) {
                problems.push(
                    Problem::new(format!("{option}: no task has the tag `{tag}`"))
                        .did_you_mean(tag, known.iter().copied()),
                );
            }
        }
    }
    if let Some(name) = &selection.start_at {
        let titles: Vec<String> = tasks.iter().map(|task| task.title()).collect();
        if !titles.contains(name) {
            problems.push(
                Problem::new(format!("--start-at-task: there is no task `{name}`"))
                    .did_you_mean(name, titles.iter().map(String::as_str)),
            );
        }
    }
}

/// Checks the tasks that will run; what is left out by its tags may be unfinished.
fn check(play: &Play, hosts: &[String], world: &Arc<World>, problems: &mut Problems) {
    let scope = Arc::new(PlayScope {
        vars: play.vars.clone(),
        dir: play.dir.clone(),
        hosts: hosts.to_vec(),
    });
    let tasks: Vec<&Task> = play.tasks.iter().chain(&play.handlers).collect();
    for host in hosts {
        plan::check(play, &Scope::new(world, host, &scope), &tasks, problems);
    }
}
