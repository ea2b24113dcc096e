//! What a run was about to do, kept as checksums: enough to see whether a later one would do the same, and what differs.

use crate::document::{Data, Node, Table};
use crate::playbook::{Play, Task};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Of larger files only size and time of the last change are looked at.
const LARGE: u64 = 4 * 1024 * 1024;

/// At most so many differences are told.
const TOLD: usize = 8;

/// A plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    plays: Vec<PlayPrint>,
    /// Lists of hosts, which most plays share.
    hosts: Vec<Vec<String>>,
    files: Files,
    variables: Variables,
    extra: Variables,
}

/// Files of this machine that tasks read, each with a checksum.
type Files = BTreeMap<String, String>;

/// Hosts or variables, each with a checksum over its values.
type Variables = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct PlayPrint {
    name: String,
    hosts: usize,
    once: bool,
    settings: String,
    vars: Variables,
    tasks: Vec<TaskPrint>,
    handlers: Vec<TaskPrint>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct TaskPrint {
    name: String,
    module: String,
    place: String,
    sum: String,
}

impl PartialEq for TaskPrint {
    /// A task may be moved by a comment above it.
    fn eq(&self, other: &Self) -> bool {
        self.sum == other.sum
    }
}

impl Eq for TaskPrint {}

/// What is compared of a run, beside its plays.
pub struct Ground<'a> {
    /// Goes into every checksum, so that a short value can't be looked up by its checksum in another run's journal.
    pub salt: &'a str,
    /// The hosts with their variables.
    pub hosts: Vec<(&'a str, &'a Table)>,
    /// The variables of `-e`.
    pub extra: &'a Table,
    /// The files that tasks read.
    pub files: Vec<std::path::PathBuf>,
}

impl Plan {
    /// The plan of these plays, each with its hosts.
    pub fn new(plays: &[(Play, Vec<String>)], ground: &Ground<'_>) -> Self {
        let mut hosts: Vec<Vec<String>> = Vec::new();
        let salt = ground.salt;
        let prints = plays
            .iter()
            .map(|(play, names)| {
                let known = hosts.iter().position(|known| known == names);
                let list = known.unwrap_or_else(|| {
                    hosts.push(names.clone());
                    hosts.len() - 1
                });
                print(play, list, salt)
            })
            .collect();
        Self {
            plays: prints,
            hosts,
            files: ground
                .files
                .iter()
                .map(|path| (path.display().to_string(), file(path, salt)))
                .collect(),
            variables: ground
                .hosts
                .iter()
                .map(|(name, vars)| ((*name).to_owned(), Sum::new(salt).table(vars).text()))
                .collect(),
            extra: each(ground.extra, salt),
        }
    }

    /// The plays: for each its hosts, whether it is for one of them only, and how many tasks it has.
    pub fn plays(&self) -> impl Iterator<Item = (&[String], bool, usize)> {
        self.plays.iter().map(|play| {
            let hosts = self.hosts.get(play.hosts).map_or(&[][..], Vec::as_slice);
            (hosts, play.once, play.tasks.len())
        })
    }

    /// What another plan, made with the same salt, does differently, a line each.
    pub fn differences(&self, now: &Plan) -> Vec<String> {
        let mut found = Vec::new();
        if self.plays.len() != now.plays.len() {
            let (was, is) = (self.plays.len(), now.plays.len());
            found.push(format!("there were {was} plays to run, there are now {is}"));
        }
        for (before, after) in self.plays.iter().zip(&now.plays) {
            let hosts = |plan: &Plan, play: &PlayPrint| {
                plan.hosts.get(play.hosts).cloned().unwrap_or_default()
            };
            let name = &before.name;
            if before.name != after.name {
                found.push(format!("play `{name}` is now `{}`", after.name));
            }
            lists(name, &hosts(self, before), &hosts(now, after), &mut found);
            if before.once != after.once || before.settings != after.settings {
                found.push(format!("the settings of play `{name}` have changed"));
            }
            let of = format!(" of play `{name}`");
            maps("variable", &of, &before.vars, &after.vars, &mut found);
            tasks("task", name, &before.tasks, &after.tasks, &mut found);
            tasks(
                "handler",
                name,
                &before.handlers,
                &after.handlers,
                &mut found,
            );
        }
        maps("file", "", &self.files, &now.files, &mut found);
        for (host, sum) in &self.variables {
            if now.variables.get(host).is_some_and(|now| now != sum) {
                found.push(format!("the variables of host `{host}` have changed"));
            }
        }
        maps("variable", " of -e", &self.extra, &now.extra, &mut found);
        let more = found.len().saturating_sub(TOLD);
        if more > 1 {
            found.truncate(TOLD);
            found.push(format!("and {more} more differences"));
        }
        found
    }
}

fn lists(play: &str, before: &[String], after: &[String], found: &mut Vec<String>) {
    let missing = |from: &[String], of: &[String]| -> Vec<String> {
        let missing = of.iter().filter(|host| !from.contains(host));
        missing.map(|host| format!("`{host}`")).collect()
    };
    let (gone, new) = (missing(after, before), missing(before, after));
    let some = |hosts: &[String]| match hosts.len() {
        0..=3 => hosts.join(", "),
        many => format!("{} and {} more", hosts[..2].join(", "), many - 2),
    };
    match (gone.is_empty(), new.is_empty()) {
        (true, true) if before != after => {
            found.push(format!("the hosts of play `{play}` are in another order"));
        }
        (true, true) => {}
        (false, true) => found.push(format!("play `{play}` is no longer for {}", some(&gone))),
        (true, false) => found.push(format!("play `{play}` is now also for {}", some(&new))),
        (false, false) => found.push(format!(
            "play `{play}` is no longer for {}, but for {}",
            some(&gone),
            some(&new)
        )),
    }
}

fn maps(what: &str, of: &str, before: &Variables, after: &Variables, found: &mut Vec<String>) {
    for (name, sum) in before {
        match after.get(name) {
            Some(now) if now == sum => {}
            Some(_) => found.push(format!("{what} `{name}`{of} has changed")),
            None => found.push(format!("{what} `{name}`{of} is gone")),
        }
    }
    for name in after.keys().filter(|name| !before.contains_key(*name)) {
        found.push(format!("{what} `{name}`{of} is new"));
    }
}

/// Only the first that differs: those behind an inserted task all seem to.
fn tasks(
    what: &str,
    play: &str,
    before: &[TaskPrint],
    after: &[TaskPrint],
    found: &mut Vec<String>,
) {
    let name = |task: &TaskPrint| match task.name == task.module {
        true => format!("`{}`", task.name),
        false => format!("`{}` ({})", task.name, task.module),
    };
    let count = before.len().max(after.len());
    let differs = (0..count).find(|at| before.get(*at) != after.get(*at));
    let Some(at) = differs else { return };
    let number = at + 1;
    found.push(match (before.get(at), after.get(at)) {
        (Some(was), Some(is)) if name(was) == name(is) => {
            let (name, place) = (name(is), &is.place);
            format!("{what} {number} of play `{play}`, {name} at {place}, has changed")
        }
        (Some(was), Some(is)) => {
            let (was, is, place) = (name(was), name(is), &is.place);
            format!("{what} {number} of play `{play}` was {was}, is now {is} at {place}")
        }
        (Some(was), None) => {
            let (name, place) = (name(was), &was.place);
            format!("{what} {number} of play `{play}`, {name} at {place}, is gone")
        }
        (None, Some(is)) => {
            let (name, place) = (name(is), &is.place);
            format!("{what} {number} of play `{play}`, {name} at {place}, is new")
        }
        (None, None) => return,
    });
}

fn print(play: &Play, hosts: usize, salt: &str) -> PlayPrint {
    let settings = Sum::new(salt)
        .text_of(&format!(
            "{:?} {} {:?} {:?}",
            play.serial, play.any_errors_fatal, play.max_fail_percentage, play.privilege
        ))
        .table(&play.env);
    let all = |tasks: &[Task]| tasks.iter().map(|task| task_print(task, salt)).collect();
    PlayPrint {
        name: play.name.clone(),
        hosts,
        once: play.once,
        settings: settings.text(),
        vars: each(&play.vars, salt),
        tasks: all(&play.tasks),
        handlers: all(&play.handlers),
    }
}

fn task_print(task: &Task, salt: &str) -> TaskPrint {
    let mut sum = Sum::new(salt).text_of(task.spec.name).node(&task.body);
    let nodes = [
        &task.name,
        &task.when,
        &task.items,
        &task.until,
        &task.changed_when,
        &task.failed_when,
    ];
    for node in nodes {
        sum = match node {
            Some(node) => sum.node(node),
            None => sum.text_of("-"),
        };
    }
    let rest = format!(
        "{:?} {} {:?} {:?} {:?} {} {} {:?} {:?}",
        task.register,
        task.retries,
        task.delay,
        task.timeout,
        task.privilege,
        task.ignore_errors,
        task.no_log,
        task.notify,
        task.check_mode
    );
    let sum = sum.text_of(&rest).table(&task.env).table(&task.vars);
    let (line, _) = task.place.line_column();
    TaskPrint {
        name: task.title(),
        module: task.spec.name.to_string(),
        place: format!("{}:{line}", task.place.source.name()),
        sum: sum.text(),
    }
}

fn each(table: &Table, salt: &str) -> Variables {
    let one = |entry: &crate::document::Entry| {
        let sum = Sum::new(salt).node(&entry.value).text();
        (entry.key.clone(), sum)
    };
    table.iter().map(one).collect()
}

/// A file's content, or of a large one its size and time.
fn file(path: &Path, salt: &str) -> String {
    let sum = Sum::new(salt);
    let Ok(about) = std::fs::metadata(path) else {
        return sum.text_of("missing").text();
    };
    if about.is_dir() {
        return sum.text_of("folder").text();
    }
    if about.len() > LARGE {
        let stamp = format!("{} {} {}", about.len(), about.mtime(), about.mtime_nsec());
        return sum.text_of(&stamp).text();
    }
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(LARGE).read_to_end(&mut bytes));
    match read {
        Ok(_) => sum.bytes(&bytes).text(),
        Err(_) => sum.text_of("unreadable").text(),
    }
}

/// A checksum in the making. Every part goes in with its kind and length, so that no two texts make the same.
struct Sum(Sha256);

impl Sum {
    fn new(salt: &str) -> Self {
        Self(Sha256::new()).text_of(salt)
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    fn text_of(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    fn node(self, node: &Node) -> Self {
        match &node.data {
            Data::String(text) => self.text_of("s").text_of(text),
            Data::Integer(number) => self.text_of(&format!("i{number}")),
            Data::Float(number) => self.text_of(&format!("f{number}")),
            Data::Boolean(value) => self.text_of(&format!("b{value}")),
            Data::Null => self.text_of("n"),
            Data::Array(items) => {
                let start = self.text_of(&format!("a{}", items.len()));
                items.iter().fold(start, Sum::node)
            }
            Data::Table(table) => self.table(table),
            // Where it comes from, since nothing of a secret is kept.
            Data::Secret(secret) => self.text_of("x").text_of(&format!("{:?}", secret.origin())),
        }
    }

    fn table(self, table: &Table) -> Self {
        let start = self.text_of(&format!("t{}", table.len()));
        table.iter().fold(start, |sum, entry| {
            sum.text_of(&entry.key).node(&entry.value)
        })
    }

    /// Sixteen digits of it.
    fn text(self) -> String {
        let sum = self.0.finalize();
        sum.iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}
