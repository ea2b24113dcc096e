//! One `[[play.task]]` table: exactly one module, and modifiers around it.

use super::Task;
use super::play::{flag, list, privilege, sub_table};
use crate::diagnostic::{Problem, Problems};
use crate::document::{self, Data, Entry, Node, Table};
use crate::modules::{self, Kind, args};
use crate::vars;
use std::time::Duration;

/// Every modifier of a task.
pub const MODIFIERS: &[&str] = &[
    "name",
    "when",
    "loop",
    "register",
    "until",
    "retries",
    "delay",
    "timeout",
    "env",
    "become",
    "become_user",
    "changed_when",
    "failed_when",
    "ignore_errors",
    "tags",
    "no_log",
    "notify",
    "check_mode",
    "vars",
];

/// Reads a task; `tags` are those of its play.
pub fn parse_task(node: &Node, tags: &[String], problems: &mut Problems) -> Option<Task> {
    let table = problems.note(node.table())?;
    let module = module(node, table, problems);
    check_syntax(table, problems);
    let (entry, spec) = module?;
    problems.extend(args::check(spec, &entry.value, holds_template));
    let mut all_tags = list(table, "tags", problems);
    all_tags.extend(tags.iter().cloned());
    Some(Task {
        name: table.get("name").cloned(),
        spec,
        body: entry.value.clone(),
        place: entry.key_place.clone(),
        when: table.get("when").cloned(),
        items: table.get("loop").cloned(),
        register: register(table, problems),
        until: table.get("until").cloned(),
        retries: retries(table, problems),
        delay: duration(table, "delay", problems).unwrap_or(Duration::from_secs(5)),
        timeout: duration(table, "timeout", problems),
        env: sub_table(table, "env", problems),
        privilege: privilege(table, problems),
        changed_when: table.get("changed_when").cloned(),
        failed_when: table.get("failed_when").cloned(),
        ignore_errors: flag(table, "ignore_errors", problems).unwrap_or(false),
        tags: all_tags,
        no_log: flag(table, "no_log", problems).unwrap_or(false),
        notify: list(table, "notify", problems),
        check_mode: flag(table, "check_mode", problems),
        vars: sub_table(table, "vars", problems),
        verbatim: false,
    })
}

/// A task of one module with a body that is known already, for ad-hoc commands.
///
/// # Errors
///
/// What is wrong with the body.
pub fn one_task(node: &Node) -> Result<Task, Problems> {
    let mut problems = Problems::new();
    let task = parse_task(node, &[], &mut problems);
    match task {
        Some(task) => problems.or(task),
        None => Err(problems),
    }
}

fn module<'a>(
    node: &Node,
    table: &'a Table,
    problems: &mut Problems,
) -> Option<(&'a Entry, &'static modules::Spec)> {
    let mut found = None;
    let mut unknown = false;
    for entry in table.iter() {
        if MODIFIERS.contains(&entry.key.as_str()) {
            continue;
        }
        match (modules::find(&entry.key), found) {
            (Some(spec), None) => found = Some((entry, spec)),
            (Some(_), Some((first, _))) => {
                let first: &Entry = first;
                problems.push(
                    Problem::new(format!(
                        "a task has one module, and this one has `{}` and `{}`",
                        first.key, entry.key
                    ))
                    .at(entry.key_place.clone())
                    .help("make two tasks of it"),
                );
            }
            (None, _) => {
                let known = modules::all().iter().map(|spec| spec.name);
                problems.push(
                    Problem::new(format!("unknown key `{}` in a task", entry.key))
                        .at(entry.key_place.clone())
                        .label("neither a module nor a task option")
                        .did_you_mean(&entry.key, known.chain(MODIFIERS.iter().copied())),
                );
                unknown = true;
            }
        }
    }
    // A misspelt module is no missing module.
    if found.is_none() && !unknown {
        let end = node
            .place
            .text()
            .lines()
            .next()
            .unwrap_or("")
            .trim_end()
            .len();
        problems.push(
            Problem::new("this task has no module")
                .at(node.place.within(0..end))
                .help(
                    "say what it does, such as `command = \"uptime\"`; `runner modules` lists them",
                ),
        );
    }
    found
}

/// Whether a value has to be rendered before it can be checked.
fn holds_template(node: &Node) -> bool {
    matches!(&node.data, Data::String(text) if vars::is_template(text))
}

fn check_syntax(table: &Table, problems: &mut Problems) {
    for entry in table.iter() {
        vars::syntax(&entry.value, &mut |problem| problems.push(problem));
        if ["when", "until", "changed_when", "failed_when"].contains(&entry.key.as_str()) {
            condition(&entry.value, problems);
        }
        match &entry.value.data {
            Data::Array(_) => {}
            Data::String(_) if entry.key == "loop" => condition(&entry.value, problems),
            _ if entry.key == "loop" => problems.push(no_list(&entry.value)),
            _ => {}
        }
        if let Some(spec) = modules::find(&entry.key)
            && let Data::Table(body) = &entry.value.data
        {
            for arg in spec.args.iter().filter(|arg| arg.kind == Kind::Conditions) {
                if let Some(value) = body.get(arg.name) {
                    condition(value, problems);
                }
            }
        }
    }
}

/// What to say of a `loop` over something else than a list.
pub(crate) fn no_list(node: &Node) -> Problem {
    Problem::new("`loop` needs a list")
        .at(node.place.clone())
        .help("an expression such as \"groups.all\" or a list of values")
}

/// Checks the syntax of an expression, or of each in a list.
fn condition(node: &Node, problems: &mut Problems) {
    match &node.data {
        Data::Boolean(_) => {}
        Data::String(text) if vars::is_template(text) => {}
        Data::String(_) => {
            if let Err(problem) = vars::expression_syntax(node) {
                problems.push(problem);
            }
        }
        Data::Array(items) => items.iter().for_each(|item| condition(item, problems)),
        _ => problems.push(node.expected("an expression such as \"x.rc == 0\"")),
    }
}

fn register(table: &Table, problems: &mut Problems) -> Option<String> {
    let node = table.get("register")?;
    let name = problems.note(node.string())?;
    let identifier = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty();
    if !identifier {
        problems.push(
            Problem::new(format!("`{name}` is no name for a variable"))
                .at(node.place.clone())
                .help("use letters, digits and `_`"),
        );
        return None;
    }
    if vars::BUILTIN.contains(&name) {
        problems.push(
            Problem::new(format!(
                "`{name}` is provided by the runner and can't be registered"
            ))
            .at(node.place.clone()),
        );
        return None;
    }
    Some(name.to_string())
}

fn retries(table: &Table, problems: &mut Problems) -> u32 {
    let default = if table.get("until").is_some() { 3 } else { 0 };
    let Some(node) = table.get("retries") else {
        return default;
    };
    match problems.note(node.integer()).map(u32::try_from) {
        Some(Ok(retries)) => retries,
        Some(Err(_)) => {
            problems.push(Problem::new("`retries` is a number from 0").at(node.place.clone()));
            default
        }
        None => default,
    }
}

fn duration(table: &Table, key: &str, problems: &mut Problems) -> Option<Duration> {
    table
        .get(key)
        .and_then(|node| problems.note(document::duration(node)))
}
