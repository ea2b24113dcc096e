//! The arguments of a task: declared in a table, checked against it, taken by name.

use super::Spec;
use crate::diagnostic::{Place, Problem, Problems};
use crate::document::{Data, Node, Table};
pub use crate::document::{boolean, duration, integer, mode, parse_duration, text};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// One argument of a task type.
#[derive(Debug, Clone, Copy)]
pub struct Arg {
    /// Its key.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// Whether it must be given.
    pub required: bool,
    /// The default in words, for the documentation; empty if there is none.
    pub default: &'static str,
    /// A sentence or two.
    pub doc: &'static str,
}

impl Arg {
    /// An argument that may be missing.
    pub const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self {
            name,
            kind,
            required: false,
            default: "",
            doc,
        }
    }

    /// It must be given.
    pub const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    /// What a missing one means, in words.
    pub const fn default(self, default: &'static str) -> Self {
        Self { default, ..self }
    }
}

/// What values an argument takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text. Numbers are taken as text too.
    String,
    /// A text, or a list of texts.
    Strings,
    /// True or false.
    Boolean,
    /// A whole number.
    Integer,
    /// File permissions in octal, as a string: `"0644"`.
    Mode,
    /// A length of time: `"500ms"`, `"10s"`, `"5m"`, `"1h"`, or a whole number of seconds.
    Duration,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A table of texts (numbers and booleans are taken as text).
    Map,
    /// A command: a string split as a shell would split it, or a list of arguments.
    Command,
    /// Expressions. A module sees each as a table of `expr`, its text, and `value`, what it yields.
    Conditions,
    /// Any value.
    Any,
}

impl Kind {
    /// In words, for messages and documentation: `a string`.
    pub fn words(self) -> String {
        match self {
            Kind::String => "a string".into(),
            Kind::Strings => "a string or a list of strings".into(),
            Kind::Boolean => "a boolean".into(),
            Kind::Integer => "an integer".into(),
            Kind::Mode => "a mode such as \"0644\"".into(),
            Kind::Duration => "a duration such as \"30s\" or \"5m\"".into(),
            Kind::Choice(words) => format!("one of `{}`", words.join("`, `")),
            Kind::Map => "a table of strings".into(),
            Kind::Command => "a command (a string or a list)".into(),
            Kind::Conditions => "an expression or a list of expressions".into(),
            Kind::Any => "any value".into(),
        }
    }
}

/// What a module may use of this machine while it is built: files next to the playbook.
pub trait Local: Send + Sync {
    /// Finds a file or folder: as given, or relative to the playbook's folder (and `sub` in it, such as `files`).
    fn find(&self, path: &str, sub: &str) -> Result<PathBuf, String>;
    /// Renders a template file of this machine with the variables of the host.
    ///
    /// # Errors
    ///
    /// A problem with the place in the template.
    fn template(&self, path: &str) -> Result<String, Problem>;
    /// Whether `--diff` was given, so that probes bring back contents.
    fn diff(&self) -> bool;
    /// Whether nobody else on a host may see a text.
    fn hides(&self, text: &str) -> bool;
}

/// The rendered arguments of a task on a host.
pub struct Args<'a> {
    /// The whole body.
    pub node: &'a Node,
    /// The task type.
    pub spec: &'static Spec,
    /// Files of this machine.
    pub local: &'a dyn Local,
    table: Table,
}

impl<'a> Args<'a> {
    /// Checks a body against the declared arguments.
    ///
    /// # Errors
    ///
    /// All problems: unknown keys, missing keys, wrong types.
    pub fn new(
        spec: &'static Spec,
        node: &'a Node,
        local: &'a dyn Local,
    ) -> Result<Self, Problems> {
        let mut problems = check(spec, node, |_| false);
        let table = problems.note(body(spec, node)).unwrap_or_default();
        problems.or(Self {
            node,
            spec,
            local,
            table,
        })
    }

    /// The value of a key as written, if given.
    pub fn get(&self, name: &str) -> Option<&Node> {
        debug_assert!(self.spec.open || self.spec.args.iter().any(|arg| arg.name == name));
        self.table.get(name)
    }

    /// All keys, for task types that take any (`set_fact`).
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Where the value of a key stands, or else the whole body.
    pub fn place(&self, name: &str) -> Place {
        self.table
            .get(name)
            .map_or_else(|| self.node.place.clone(), |node| node.place.clone())
    }

    /// A problem at the value of a key.
    pub fn problem(&self, name: &str, message: impl Into<String>) -> Problem {
        Problem::new(message).at(self.place(name))
    }

    /// The arguments that everyone on the host can read in its list of processes, and in which `holds` finds something.
    pub fn shown(&self, holds: &dyn Fn(&str) -> bool) -> Vec<(&'static str, &Place)> {
        let unseen = self.spec.unseen;
        let given = (self.spec.args.iter())
            .filter(|arg| !unseen.contains(&arg.name))
            .filter_map(|arg| Some((arg.name, self.table.get(arg.name)?)));
        given
            .filter(|(_, node)| any(node, holds))
            .map(|(name, node)| (name, &node.place))
            .collect()
    }

    /// A text that must be there.
    pub fn string(&self, name: &str) -> Result<String, Problem> {
        self.string_opt(name)?
            .ok_or_else(|| self.problem(name, format!("`{name}` is missing")))
    }

    /// A text that may be missing.
    pub fn string_opt(&self, name: &str) -> Result<Option<String>, Problem> {
        self.get(name).map(text).transpose()
    }

    /// A text, or several; empty when missing.
    pub fn strings(&self, name: &str) -> Result<Vec<String>, Problem> {
        match self.get(name) {
            None => Ok(Vec::new()),
            Some(node) => match &node.data {
                Data::Array(items) => items.iter().map(text).collect(),
                _ => Ok(vec![text(node)?]),
            },
        }
    }

    /// True or false, or the default.
    pub fn boolean(&self, name: &str, default: bool) -> Result<bool, Problem> {
        self.get(name).map_or(Ok(default), boolean)
    }

    /// A whole number that may be missing.
    pub fn integer_opt(&self, name: &str) -> Result<Option<i64>, Problem> {
        self.get(name).map(integer).transpose()
    }

    /// File permissions that may be missing.
    pub fn mode_opt(&self, name: &str) -> Result<Option<u32>, Problem> {
        self.get(name).map(mode).transpose()
    }

    /// A length of time, or the default.
    pub fn duration(&self, name: &str, default: Duration) -> Result<Duration, Problem> {
        self.get(name).map_or(Ok(default), duration)
    }

    /// Texts by key; empty when missing.
    pub fn map(&self, name: &str) -> Result<Vec<(String, String)>, Problem> {
        let Some(node) = self.get(name) else {
            return Ok(Vec::new());
        };
        node.table()?
            .iter()
            .map(|entry| Ok((entry.key.clone(), text(&entry.value)?)))
            .collect()
    }

    /// The texts of expressions and what each yielded; empty when missing.
    pub fn expressions(&self, name: &str) -> Result<Vec<(String, Value)>, Problem> {
        self.get(name).map_or(Ok(Vec::new()), expressions)
    }

    /// The words of a command; empty when missing.
    pub fn command(&self, name: &str) -> Result<Vec<String>, Problem> {
        self.get(name).map_or(Ok(Vec::new()), command)
    }
}

/// Whether a text in a value is such.
fn any(node: &Node, such: &dyn Fn(&str) -> bool) -> bool {
    match &node.data {
        Data::Array(items) => items.iter().any(|item| any(item, such)),
        Data::Table(table) => table.iter().any(|entry| any(&entry.value, such)),
        _ => text(node).is_ok_and(|text| such(&text)),
    }
}

/// The body as a table: a bare value becomes the one argument that it stands for.
fn body(spec: &Spec, node: &Node) -> Result<Table, Problem> {
    match &node.data {
        Data::Table(table) => Ok(table.clone()),
        _ if spec.bare.is_empty() => Err(node.expected("a table").help(format!(
            "see `runner modules {}` for its arguments",
            spec.name
        ))),
        _ => Ok(std::iter::once(crate::document::Entry {
            key: spec.bare.to_string(),
            key_place: node.place.clone(),
            value: node.clone(),
        })
        .collect()),
    }
}

/// Checks a body against the declared arguments without taking them. Values for which `later` answers true
/// (templates that are not rendered yet) are not checked for their kind.
pub fn check(spec: &'static Spec, node: &Node, later: impl Fn(&Node) -> bool) -> Problems {
    let mut problems = Problems::new();
    if later(node) {
        return problems;
    }
    let Some(table) = problems.note(body(spec, node)) else {
        return problems;
    };
    if !spec.open {
        let known: Vec<&str> = spec.args.iter().map(|arg| arg.name).collect();
        table.refuse_unknown(&known, &format!("`{}`", spec.name), &mut problems);
    }
    for arg in spec.args {
        match table.get(arg.name) {
            None if arg.required => problems.push(
                Problem::new(format!("`{}` needs `{}`", spec.name, arg.name))
                    .at(node.place.clone())
                    .help(format!("{}: {}", arg.name, arg.doc)),
            ),
            Some(value) if !later(value) => {
                if let Err(problem) = check_kind(arg.kind, value) {
                    problems.push(problem);
                }
            }
            _ => {}
        }
    }
    problems
}

fn check_kind(kind: Kind, node: &Node) -> Result<(), Problem> {
    match kind {
        Kind::String => text(node).map(drop),
        Kind::Strings => match &node.data {
            Data::Array(items) => items.iter().try_for_each(|item| text(item).map(drop)),
            Data::Table(_) => Err(node.expected(&kind.words())),
            _ => text(node).map(drop),
        },
        Kind::Boolean => boolean(node).map(drop),
        Kind::Integer => integer(node).map(drop),
        Kind::Mode => mode(node).map(drop),
        Kind::Duration => duration(node).map(drop),
        Kind::Choice(words) => {
            let word = text(node)?;
            if words.contains(&word.as_str()) {
                return Ok(());
            }
            Err(Problem::new(format!("`{word}` is not {}", kind.words()))
                .at(node.place.clone())
                .did_you_mean(&word, words.iter().copied()))
        }
        Kind::Map => node
            .table()?
            .iter()
            .try_for_each(|entry| text(&entry.value).map(drop)),
        Kind::Command => command(node).map(drop),
        Kind::Conditions => expressions(node).map(drop),
        Kind::Any => Ok(()),
    }
}

/// The texts of expressions and what each yielded. Before rendering, and for a plain value, both are the same.
pub fn expressions(node: &Node) -> Result<Vec<(String, Value)>, Problem> {
    let one = |node: &Node| match &node.data {
        Data::Table(table) => match (table.get("expr"), table.get("value")) {
            (Some(expr), Some(value)) => Ok((text(expr)?, value.to_value())),
            _ => Err(node.expected("an expression")),
        },
        _ => Ok((text(node)?, node.to_value())),
    };
    match &node.data {
        Data::Array(items) => items.iter().map(one).collect(),
        _ => Ok(vec![one(node)?]),
    }
}

/// The words of a command.
pub fn command(node: &Node) -> Result<Vec<String>, Problem> {
    let words = match &node.data {
        Data::Array(items) => items.iter().map(text).collect::<Result<Vec<_>, _>>()?,
        Data::String(line) => shell_words::split(line).map_err(|_| {
            Problem::new("a quote is not closed in this command").at(node.place.clone())
        })?,
        _ => return Err(node.expected("a command: a string or a list")),
    };
    if words.is_empty() {
        return Err(Problem::new("the command is empty").at(node.place.clone()));
    }
    Ok(words)
}
