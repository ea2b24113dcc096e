//! One `[[play]]` table.

use super::{Play, Portion, Privilege, Task, parse_task};
use crate::diagnostic::{Problem, Problems};
use crate::document::{Data, Node, Table};
use crate::secret;
use crate::vars;
use std::path::Path;

const KEYS: &[&str] = &[
    "name",
    "hosts",
    "vars",
    "secrets",
    "vars_files",
    "once",
    "serial",
    "any_errors_fatal",
    "max_fail_percentage",
    "tags",
    "become",
    "become_user",
    "env",
    "task",
    "handler",
    "import",
];

/// Reads a play; `dir` is the folder of its file. Notes every problem, and answers `None` if there is no telling
/// which hosts it is for.
pub fn parse_play(node: &Node, dir: &Path, problems: &mut Problems) -> Option<Play> {
    let table = problems.note(node.table())?;
    table.refuse_unknown(KEYS, "a play", problems);
    let tags = list(table, "tags", problems);
    let tasks = read_tasks(table, "task", &tags, problems);
    let handlers = named(read_tasks(table, "handler", &tags, problems), problems);
    for key in ["task", "handler"] {
        check_notify(table, key, &handlers, problems);
    }
    let Some(hosts) = table.get("hosts") else {
        problems.push(
            Problem::new("a play needs `hosts`")
                .at(first_line(node))
                .help("name a group or a pattern: hosts = \"all\""),
        );
        return None;
    };
    let text = problems.note(host_pattern(hosts))?;
    let play = Play {
        name: match table.get("name") {
            Some(name) => problems.note(name.string())?.to_string(),
            None => text.clone(),
        },
        hosts: text,
        place: hosts.place.clone(),
        dir: dir.to_path_buf(),
        vars: (sub_table(table, "vars", problems).iter().cloned())
            .chain(secret::table(table, dir, problems))
            .collect(),
        once: flag(table, "once", problems).unwrap_or(false),
        serial: serial(table, problems),
        any_errors_fatal: flag(table, "any_errors_fatal", problems).unwrap_or(false),
        max_fail_percentage: percentage(table, problems),
        tags,
        privilege: privilege(table, problems),
        env: sub_table(table, "env", problems),
        tasks,
        handlers,
        unread: registered(table),
    };
    vars::syntax(
        &Node {
            place: node.place.clone(),
            data: Data::Table(play.vars.clone()),
        },
        &mut |problem| problems.push(problem),
    );
    Some(play)
}

fn read_tasks(table: &Table, key: &str, tags: &[String], problems: &mut Problems) -> Vec<Task> {
    let Some(node) = table.get(key) else {
        return Vec::new();
    };
    match node.array() {
        Ok(items) => items
            .iter()
            .filter_map(|item| parse_task(item, tags, problems))
            .collect(),
        Err(problem) => {
            problems.push(problem.help(format!("tasks are written as `[[play.{key}]]`")));
            Vec::new()
        }
    }
}

/// Every name that a task of the play registers, whether or not the task can be read.
fn registered(table: &Table) -> Vec<String> {
    let tasks = table.get("task").and_then(|node| node.array().ok());
    let names = tasks.into_iter().flatten().filter_map(|task| {
        let name = task.table().ok()?.get("register")?.string().ok()?;
        Some(name.to_string())
    });
    names.collect()
}

/// A handler is found by its name, so it needs one.
fn named(handlers: Vec<Task>, problems: &mut Problems) -> Vec<Task> {
    for handler in &handlers {
        if handler.name.is_none() {
            problems.push(
                Problem::new("a handler needs a `name`")
                    .at(handler.place.clone())
                    .help("tasks name it in `notify`"),
            );
        }
    }
    handlers
}

/// Every handler that a task names in `notify` must be there.
fn check_notify(play: &Table, key: &str, handlers: &[Task], problems: &mut Problems) {
    let known: Vec<String> = handlers.iter().map(Task::title).collect();
    let tasks = play.get(key).and_then(|node| node.array().ok());
    for task in tasks.into_iter().flatten() {
        let notify = task.table().ok().and_then(|table| table.get("notify"));
        for name in notify.into_iter().flat_map(Node::each) {
            let Ok(text) = name.string() else { continue };
            if !known.iter().any(|known| known == text) {
                problems.push(
                    Problem::new(format!("there is no handler `{text}` in this play"))
                        .at(name.place.clone())
                        .did_you_mean(text, known.iter().map(String::as_str)),
                );
            }
        }
    }
}

fn host_pattern(node: &Node) -> Result<String, Problem> {
    Ok(node.strings()?.join(","))
}

fn serial(table: &Table, problems: &mut Problems) -> Vec<Portion> {
    let Some(node) = table.get("serial") else {
        return Vec::new();
    };
    node.each()
        .iter()
        .filter_map(|node| problems.note(portion(node)))
        .collect()
}

fn portion(node: &Node) -> Result<Portion, Problem> {
    let wrong = || {
        Problem::new("`serial` is a number of hosts, such as 3, or a part of them, such as \"30%\"")
            .at(node.place.clone())
    };
    match &node.data {
        Data::Integer(count) => usize::try_from(*count)
            .ok()
            .filter(|count| *count > 0)
            .map(Portion::Hosts)
            .ok_or_else(wrong),
        Data::String(text) => text
            .strip_suffix('%')
            .and_then(|number| number.parse().ok())
            .filter(|percent| (1..=100).contains(percent))
            .map(Portion::Percent)
            .ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

fn percentage(table: &Table, problems: &mut Problems) -> Option<u8> {
    let node = table.get("max_fail_percentage")?;
    let number = problems.note(node.integer())?;
    match u8::try_from(number) {
        Ok(percent) if percent <= 100 => Some(percent),
        _ => {
            problems.push(
                Problem::new("`max_fail_percentage` is a number from 0 to 100")
                    .at(node.place.clone()),
            );
            None
        }
    }
}

/// `become` and `become_user` of a play or a task.
pub(super) fn privilege(table: &Table, problems: &mut Problems) -> Privilege {
    Privilege {
        become_: flag(table, "become", problems),
        user: table
            .get("become_user")
            .and_then(|node| problems.note(node.string()))
            .map(str::to_string),
    }
}

/// A boolean that may be missing.
pub(super) fn flag(table: &Table, key: &str, problems: &mut Problems) -> Option<bool> {
    table
        .get(key)
        .and_then(|node| problems.note(node.boolean()))
}

/// A string or a list of strings; empty when missing.
pub(super) fn list(table: &Table, key: &str, problems: &mut Problems) -> Vec<String> {
    table
        .get(key)
        .and_then(|node| problems.note(node.strings()))
        .unwrap_or_default()
}

/// A table that may be missing.
pub(super) fn sub_table(table: &Table, key: &str, problems: &mut Problems) -> Table {
    table
        .get(key)
        .and_then(|node| problems.note(node.table()))
        .cloned()
        .unwrap_or_default()
}

fn first_line(node: &Node) -> crate::diagnostic::Place {
    let first = node
        .place
        .text()
        .lines()
        .next()
        .unwrap_or("")
        .trim_end()
        .len();
    node.place.within(0..first)
}
