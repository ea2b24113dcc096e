//! A task on a host with everything filled in: the same function serves the check before the run and the run itself.

use crate::diagnostic::{Place, Problem, Problems, Source};
use crate::document::{Data, Entry, Node, Secret};
use crate::modules::{Args, Kind, Local, Module, Spec};
use crate::playbook::{Play, Task, no_list};
use crate::vars::{Lookup, Scope, Trouble, World};
use serde_json::Value;
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// What became of a task for one host.
pub enum Prepared {
    /// Its condition does not hold here, in the words of the playbook.
    Skipped(String),
    /// It needs a value that no task has produced yet.
    Later(String),
    /// It can run.
    Ready(Vec<Turn>),
}

/// A task that can run: once, or once for each item of its loop.
pub struct Turn {
    /// The item of the loop.
    pub item: Option<Value>,
    /// The module, or `None` where the condition does not hold for this item.
    pub module: Option<Box<dyn Module>>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// The variables that it was filled in with.
    pub scope: Scope,
}

/// Fills in a task for the host of a scope.
///
/// # Errors
///
/// What is wrong with the task for this host.
pub fn prepare(task: &Task, play: &Play, scope: &Scope, diff: bool) -> Result<Prepared, Problems> {
    match fill(task, play, scope, diff) {
        Ok(prepared) => Ok(prepared),
        Err(Stop::Later(name)) => Ok(Prepared::Later(name)),
        Err(Stop::Problems(problems)) => Err(problems),
    }
}

/// The name of a task for a host; as written if it can't be rendered yet.
pub fn title(task: &Task, scope: &Scope) -> String {
    let mut scope = scope.clone();
    scope.task = Arc::new(task.vars.clone());
    let lookup = Lookup::new(scope);
    task.name
        .as_ref()
        .and_then(|name| lookup.text(name).ok())
        .unwrap_or_else(|| task.title())
}

enum Stop {
    Later(String),
    Problems(Problems),
}

impl From<Trouble> for Stop {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Later(name) => Stop::Later(name),
            Trouble::Problem(problem) => Stop::Problems((*problem).into()),
        }
    }
}

impl From<Problem> for Stop {
    fn from(problem: Problem) -> Self {
        Stop::Problems(problem.into())
    }
}

fn fill(task: &Task, play: &Play, scope: &Scope, diff: bool) -> Result<Prepared, Stop> {
    let mut scope = scope.clone();
    scope.task = Arc::new(task.vars.clone());
    let Some(items) = &task.items else {
        return Ok(match turn(task, play, scope, None, diff)? {
            turn if turn.module.is_none() => Prepared::Skipped(condition_text(task)),
            turn => Prepared::Ready(vec![turn]),
        });
    };
    let list = match &items.data {
        Data::Array(_) => Lookup::new(scope.clone()).render(items)?.to_value(),
        _ => Lookup::new(scope.clone()).expression(items)?,
    };
    let Value::Array(list) = list else {
        return Err(no_list(items).into());
    };
    let turns = list
        .into_iter()
        .map(|item| {
            let scope = scope.with("item", item.clone());
            turn(task, play, scope, Some(item), diff)
        })
        .collect::<Result<Vec<_>, _>>()?;
    if !turns.is_empty() && turns.iter().all(|turn| turn.module.is_none()) {
        return Ok(Prepared::Skipped(condition_text(task)));
    }
    Ok(Prepared::Ready(turns))
}

fn condition_text(task: &Task) -> String {
    match task.when.as_ref().map(|when| &when.data) {
        Some(Data::String(text)) => format!("not when {text}"),
        _ => "its condition does not hold".to_string(),
    }
}

fn turn(
    task: &Task,
    play: &Play,
    scope: Scope,
    item: Option<Value>,
    diff: bool,
) -> Result<Turn, Stop> {
    let lookup = Lookup::new(scope.clone());
    if let Some(when) = &task.when
        && !lookup.holds(when)?
    {
        return Ok(Turn {
            item,
            module: None,
            env: Vec::new(),
            scope,
        });
    }
    let body = match task.verbatim {
        true => task.body.clone(),
        false => render_body(task.spec, &task.body, &lookup)?,
    };
    let mut env = Vec::new();
    for table in [&play.env, &task.env] {
        for entry in lookup.render_table(table)?.iter() {
            env.retain(|(name, _)| name != &entry.key);
            env.push((
                environment_name(entry)?,
                crate::document::text(&entry.value)?,
            ));
        }
    }
    let files = Files {
        dir: play.dir.clone(),
        lookup: &lookup,
        diff,
        no_log: task.no_log,
        later: Mutex::new(None),
    };
    let args = Args::new(task.spec, &body, &files).map_err(Stop::Problems)?;
    let module = (task.spec.build)(&args);
    let later = files
        .later
        .lock()
        .unwrap_or_else(|broken| broken.into_inner())
        .take();
    if let Some(name) = later {
        return Err(Stop::Later(name));
    }
    let module = module.map_err(|problem| problem.at(task.place.clone()))?;
    warn_of_shown(task, &args, &*module, &scope.world);
    Ok(Turn {
        item,
        module: Some(module),
        env,
        scope,
    })
}

/// Warns of secrets that everyone on the host can read while the task runs.
fn warn_of_shown(task: &Task, args: &Args, module: &dyn Module, world: &World) {
    let Some(secrets) = &world.secrets else {
        return;
    };
    let visible = module.visible();
    if visible.is_some_and(|text| secrets.holds(&text)) {
        world.note_warning(format!(
            "{}: the command has a secret in it, which the host's list of processes shows: hand it over with `env` or `stdin`",
            task.place
        ));
    }
    for (name, place) in args.shown(&|text| secrets.holds(text)) {
        world.note_warning(format!(
            "{place}: `{name}` has a secret in it, which the host's list of processes shows: hand it over in the content of a file, or \
             with `env` or `stdin` of a command"
        ));
    }
}

fn environment_name(entry: &Entry) -> Result<String, Problem> {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if entry.key.is_empty()
        || !entry.key.chars().all(good)
        || entry.key.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err(Problem::new(format!(
            "`{}` is no name for an environment variable",
            entry.key
        ))
        .at(entry.key_place.clone())
        .help("use letters, digits and `_`"));
    }
    Ok(entry.key.clone())
}

/// Renders the arguments. Conditions become `{ expr, value }` tables.
fn render_body(spec: &Spec, body: &Node, lookup: &Lookup) -> Result<Node, Trouble> {
    let Data::Table(table) = &body.data else {
        return lookup.render(body);
    };
    let conditions = |key: &str| {
        spec.args
            .iter()
            .any(|arg| arg.name == key && arg.kind == Kind::Conditions)
    };
    let rendered = table
        .iter()
        .map(|entry| {
            let value = if conditions(&entry.key) {
                evaluate(&entry.value, lookup)?
            } else {
                lookup.render(&entry.value)?
            };
            Ok(Entry {
                value,
                ..entry.clone()
            })
        })
        .collect::<Result<_, Trouble>>()?;
    Ok(Node {
        place: body.place.clone(),
        data: Data::Table(rendered),
    })
}

fn evaluate(node: &Node, lookup: &Lookup) -> Result<Node, Trouble> {
    let one = |item: &Node| -> Result<Node, Trouble> {
        let value = serde_json::json!({
            "expr": item.string().unwrap_or(item.place.text()),
            "value": lookup.expression(item)?,
        });
        Ok(Node::from_value(&value, &item.place))
    };
    let items = match &node.data {
        Data::Array(items) => items.iter().map(one).collect::<Result<_, _>>()?,
        _ => vec![one(node)?],
    };
    Ok(Node {
        place: node.place.clone(),
        data: Data::Array(items),
    })
}

/// The files of this machine, seen from a playbook's folder.
struct Files<'a> {
    dir: PathBuf,
    lookup: &'a Lookup,
    diff: bool,
    no_log: bool,
    later: Mutex<Option<String>>,
}

impl Local for Files<'_> {
    fn find(&self, path: &str, sub: &str) -> Result<PathBuf, String> {
        let tries = [self.dir.join(path), self.dir.join(sub).join(path)];
        if let Some(found) = tries.iter().find(|path| path.exists()) {
            self.lookup.scope().world.note_file(found.clone());
            return Ok(found.clone());
        }
        Err(match path.starts_with('/') {
            true => format!("{path}: no such file"),
            false => format!(
                "{path}: no such file (looked for {} and {})",
                tries[0].display(),
                tries[1].display()
            ),
        })
    }

    fn template(&self, path: &str) -> Result<String, Problem> {
        let found = self.find(path, "templates").map_err(Problem::new)?;
        let text = std::fs::read_to_string(&found).map_err(|error| {
            Problem::new(format!(
                "cannot read {}: {}",
                found.display(),
                crate::diagnostic::cause(&error)
            ))
        })?;
        let source = Source::new(found.display().to_string(), text);
        self.lookup.file(&source).map_err(|trouble| match trouble {
            Trouble::Problem(problem) => *problem,
            Trouble::Later(name) => {
                let problem = Problem::new(format!("`{name}` is not known yet"));
                let mut later = self
                    .later
                    .lock()
                    .unwrap_or_else(|broken| broken.into_inner());
                *later = Some(name);
                problem
            }
        })
    }

    fn diff(&self) -> bool {
        self.diff
    }

    fn hides(&self, text: &str) -> bool {
        let secrets = self.lookup.scope().world.secrets.as_ref();
        self.no_log || secrets.is_some_and(|secrets| secrets.holds(text))
    }
}

/// Checks every task of a play for one host, before anything is connected to. Values that tasks will produce are not
/// known yet; what depends on them is checked when it runs.
pub fn check(play: &Play, scope: &Scope, tasks: &[&Task], problems: &mut Problems) {
    let mut scope = scope.clone();
    scope.ahead = true;
    let mut pending = HashSet::new();
    for task in tasks {
        scope.pending = Arc::new(pending.clone());
        scope.task = Arc::new(task.vars.clone());
        match prepare(task, play, &scope, false) {
            Err(found) => {
                for problem in found.iter() {
                    problems.push(for_host(problem.clone(), &scope, &task.place));
                }
            }
            Ok(Prepared::Ready(_)) if task.items.is_none() => {
                let lookup = Lookup::new(scope.clone());
                let name = task.name.as_ref().map(|name| lookup.text(name));
                if let Some(Err(Trouble::Problem(problem))) = name {
                    problems.push(for_host(*problem, &scope, &task.place));
                }
            }
            Ok(_) => {}
        }
        pending.extend(task.produces());
    }
}

/// The secrets that a run may come to use, also where the check has not come to them.
pub fn secrets(plays: &[(Play, Vec<String>)], world: &World) -> Vec<Secret> {
    let mut words = world.words();
    let mut tables = vec![&world.extra];
    for (play, hosts) in plays {
        tables.push(&play.vars);
        let hosts = hosts.iter().filter_map(|name| world.hosts.get(name));
        tables.extend(hosts.map(|host| &host.vars));
        words.table(&play.env);
        for task in play.tasks.iter().chain(&play.handlers) {
            tables.push(&task.vars);
            words.table(&task.env);
            let conditions = [
                &task.when,
                &task.until,
                &task.changed_when,
                &task.failed_when,
            ];
            let parts = conditions.into_iter().chain([&task.name, &task.items]);
            parts.flatten().for_each(|node| words.node(node));
            if !task.verbatim {
                words.node(&task.body);
            }
        }
    }
    words.secrets(&tables)
}

fn for_host(problem: Problem, scope: &Scope, place: &Place) -> Problem {
    let problem = problem.at(place.clone());
    if problem.label.is_empty() {
        problem.label(format!("for host {}", scope.host.name))
    } else {
        problem
    }
}
