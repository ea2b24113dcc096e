//! `runner inventory`: which hosts and groups there are, and where each value of a host comes from.

use crate::document::{Data, Node};
use crate::inventory::{Host, Inventory, Pattern, SelectError, Variable};
use crate::ui::escape::escape_str;
use crate::ui::words::Count;
use crate::vars::{Lookup, PlayScope, Scope, Trouble, World, is_template};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use unicode_width::UnicodeWidthStr;

/// What of the inventory is shown.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Options {
    /// A host, to see its settings and variables, or a pattern
    pub pattern: Option<String>,
    /// Draw the tree of groups and hosts
    #[arg(long, conflicts_with = "list")]
    pub graph: bool,
    /// Print everything as JSON, as a dynamic inventory does
    #[arg(long)]
    pub list: bool,
}

/// Why the inventory is not shown.
#[derive(Debug)]
pub enum Error {
    /// The pattern gives no hosts.
    Select(SelectError),
    /// The output cannot be written.
    Write(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Select(error) => error.fmt(f),
            Error::Write(error) => writeln!(f, "error: cannot write the output: {error}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<SelectError> for Error {
    fn from(error: SelectError) -> Self {
        Error::Select(error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Error::Write(error)
    }
}

/// Shows the inventory.
///
/// # Errors
///
/// The pattern is wrong or matches nothing, or `out` cannot be written.
pub fn run(inventory: &Inventory, options: &Options, out: &mut dyn Write) -> Result<(), Error> {
    let named = options
        .pattern
        .as_deref()
        .filter(|_| !options.graph && !options.list);
    if let Some(host) = named.and_then(|name| inventory.host(name)) {
        return Ok(show_host(inventory, host, out)?);
    }
    let hosts = match &options.pattern {
        None => inventory.hosts().to_vec(),
        Some(text) => {
            let pattern = Pattern::option("PATTERN", text)
                .map_err(|problem| SelectError::Bad(problem.into()))?;
            inventory.select(&pattern)?
        }
    };
    if options.list {
        list(inventory, &hosts, out)?;
    } else if options.graph {
        Tree::new(inventory, &hosts, out).draw()?;
    } else {
        table(inventory, &hosts, out)?;
    }
    Ok(())
}

/// A line for each host: name, address, groups.
fn table(inventory: &Inventory, hosts: &[Arc<Host>], out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<[String; 3]> = hosts
        .iter()
        .map(|host| [host.name.clone(), address(host), host.groups.join(", ")])
        .collect();
    let head = ["HOST", "ADDRESS", "GROUPS"].map(String::from);
    let widest = |column: usize| {
        let cells = rows.iter().chain([&head]).map(|row| row[column].width());
        cells.max().unwrap_or(0)
    };
    let widths = [widest(0), widest(1)];
    for [host, address, groups] in [&head].into_iter().chain(&rows) {
        let line = format!(
            "{}  {}  {groups}",
            pad(host, widths[0]),
            pad(address, widths[1])
        );
        writeln!(out, "{}", escape_str(line.trim_end()))?;
    }
    let shown = Count(hosts.len(), "host");
    match inventory.hosts().len() {
        total if total == hosts.len() => writeln!(out, "\n{shown}"),
        total => writeln!(out, "\n{shown} of {total}"),
    }
}

fn address(host: &Host) -> String {
    let settings = &host.connection;
    let address = settings.address.as_deref();
    match (address, settings.port) {
        (Some(address), Some(port)) if address.contains(':') => format!("[{address}]:{port}"),
        (address, Some(port)) => format!("{}:{port}", address.unwrap_or(&host.name)),
        (address, None) => address.unwrap_or("-").to_string(),
    }
}

fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// The tree of groups and the hosts in them.
struct Tree<'a> {
    inventory: &'a Inventory,
    chosen: HashSet<&'a str>,
    drawn: HashSet<&'a str>,
    out: &'a mut dyn Write,
}

/// What stands on a branch.
enum Branch<'a> {
    Group(&'a str),
    Host(&'a str),
}

impl<'a> Tree<'a> {
    fn new(inventory: &'a Inventory, hosts: &'a [Arc<Host>], out: &'a mut dyn Write) -> Self {
        Self {
            inventory,
            chosen: hosts.iter().map(|host| host.name.as_str()).collect(),
            drawn: HashSet::new(),
            out,
        }
    }

    fn draw(&mut self) -> io::Result<()> {
        writeln!(self.out, "all ({})", self.chosen.len())?;
        let inventory = self.inventory;
        let top = inventory.groups().iter().filter(|group| group.depth == 1);
        let top = top.map(|group| group.name.as_str());
        let branches: Vec<Branch> = top
            .filter(|name| self.count(name) > 0)
            .map(Branch::Group)
            .collect();
        self.branches(&branches, "")
    }

    /// How many of the chosen hosts are in a group.
    fn count(&self, group: &str) -> usize {
        let hosts = self
            .inventory
            .group(group)
            .map_or(&[][..], |group| &group.hosts);
        hosts
            .iter()
            .filter(|host| self.chosen.contains(host.name.as_str()))
            .count()
    }

    fn branches(&mut self, branches: &[Branch<'a>], indent: &str) -> io::Result<()> {
        for (at, branch) in branches.iter().enumerate() {
            let last = at + 1 == branches.len();
            let (twig, below) = if last {
                ("└─", "   ")
            } else {
                ("├─", "│  ")
            };
            let indent_below = format!("{indent}{below}");
            match branch {
                Branch::Host(name) => writeln!(self.out, "{indent}{twig} {name}")?,
                Branch::Group(name) if !self.drawn.insert(name) => {
                    // Drawn in full once: groups can share children many times over.
                    let count = self.count(name);
                    writeln!(
                        self.out,
                        "{indent}{twig} {} ({count}, as above)",
                        escape_str(name)
                    )?;
                }
                Branch::Group(name) => {
                    let count = self.count(name);
                    writeln!(self.out, "{indent}{twig} {} ({count})", escape_str(name))?;
                    self.branches(&self.inside(name), &indent_below)?;
                }
            }
        }
        Ok(())
    }

    fn inside(&self, group: &str) -> Vec<Branch<'a>> {
        let Some(group) = self.inventory.group(group) else {
            return Vec::new();
        };
        let children = group.children.iter().map(String::as_str);
        let children = children
            .filter(|name| self.count(name) > 0)
            .map(Branch::Group);
        let hosts = group.own_hosts.iter().map(|host| host.name.as_str());
        let hosts = hosts
            .filter(|name| self.chosen.contains(name))
            .map(Branch::Host);
        children.chain(hosts).collect()
    }
}

/// Everything as Ansible's script protocol has it, so that this can itself be an inventory.
fn list(inventory: &Inventory, hosts: &[Arc<Host>], out: &mut dyn Write) -> io::Result<()> {
    let chosen: HashSet<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    let vars = hosts
        .iter()
        .map(|host| (host.name.clone(), host_vars(inventory, host)));
    let mut root = Map::new();
    root.insert(
        "_meta".into(),
        json!({ "hostvars": vars.collect::<Map<_, _>>() }),
    );
    for group in inventory.groups() {
        let names = group.own_hosts.iter().map(|host| host.name.as_str());
        let own: Vec<&str> = names.filter(|name| chosen.contains(name)).collect();
        let mut children: Vec<&str> = group.children.iter().map(String::as_str).collect();
        if group.depth == 0 {
            let top = inventory.groups().iter().filter(|group| group.depth == 1);
            children = top.map(|group| group.name.as_str()).collect();
        }
        let mut value = Map::new();
        if !children.is_empty() {
            value.insert("children".into(), json!(children));
        }
        if !own.is_empty() || value.is_empty() {
            value.insert("hosts".into(), json!(own));
        }
        root.insert(group.name.clone(), Value::Object(value));
    }
    serde_json::to_writer_pretty(&mut *out, &root)?;
    writeln!(out)
}

fn host_vars(inventory: &Inventory, host: &Host) -> Value {
    let settings = &host.connection;
    let mut vars = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            vars.insert(name.into(), value);
        }
    };
    put("ansible_host", settings.address.clone().map(Value::from));
    put("ansible_port", settings.port.map(Value::from));
    put("ansible_user", settings.user.clone().map(Value::from));
    let key = settings
        .identity_file
        .as_ref()
        .and_then(|files| files.first());
    let key = key.map(|file| Value::from(file.to_string_lossy()));
    put("ansible_ssh_private_key_file", key);
    let transport = settings.transport.as_deref().filter(|name| *name != "ssh");
    put("ansible_connection", transport.map(Value::from));
    let variables = inventory.variables(&host.name).into_iter();
    // Its name instead of its value would be taken for the value.
    for variable in variables.filter(|one| !matches!(one.value.data, Data::Secret(_))) {
        vars.insert(variable.name.into(), variable.value.to_value());
    }
    Value::Object(vars)
}

/// Settings and variables of one host, each with its origin and what it hides.
fn show_host(inventory: &Inventory, host: &Host, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", host.name)?;
    writeln!(out, "groups: {}", escape_str(&host.groups.join(", ")))?;
    let render = Renderer::new(inventory, host);
    let settings = inventory.settings(&host.name);
    let variables = inventory.variables(&host.name);
    for (title, values) in [("connection", settings), ("variables", variables)] {
        if values.is_empty() {
            continue;
        }
        writeln!(out, "\n{title}")?;
        for (left, right) in lines(&values, &render) {
            let line = match right.is_empty() {
                true => format!("  {left}"),
                false => format!("  {}  # {right}", pad(&left, COLUMN)),
            };
            writeln!(out, "{}", escape_str(&line))?;
        }
    }
    Ok(())
}

/// Where the origins begin, if the values leave room.
const COLUMN: usize = 36;

/// Value and origin of each line.
fn lines(values: &[Variable<'_>], render: &Renderer) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let origin = |name: &dyn fmt::Display, node: &Node| {
        let (line, _) = node.place.line_column();
        format!("{name}, {}:{line}", node.place.source.name())
    };
    for variable in values {
        let shown = origin(&variable.origin, variable.value);
        let written = display(variable.value);
        match render.value(variable.value) {
            None => lines.push((format!("{} = {written}", variable.name), shown)),
            Some(Ok(value)) => {
                lines.push((format!("{} = {}", variable.name, display(&value)), shown));
                lines.push((format!("  written as {written}"), String::new()));
            }
            Some(Err(why)) => {
                lines.push((format!("{} = {written}", variable.name), shown));
                lines.push((format!("  not rendered here: {why}"), String::new()));
            }
        }
        for (layer, entry) in &variable.overrides {
            lines.push((
                format!("  instead of {}", display(&entry.value)),
                origin(layer, &entry.value),
            ));
        }
    }
    lines
}

/// A value as TOML would have it, on one line.
fn display(node: &Node) -> String {
    match &node.data {
        Data::Array(items) => {
            let items: Vec<String> = items.iter().map(display).collect();
            format!("[{}]", items.join(", "))
        }
        Data::Table(table) if table.is_empty() => "{}".into(),
        Data::Table(table) => {
            let entry = |entry: &crate::document::Entry| {
                format!("{} = {}", entry.key, display(&entry.value))
            };
            let entries: Vec<String> = table.iter().map(entry).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Data::Secret(secret) => format!("[secret: {}]", secret.origin()),
        _ => node.to_value().to_string(),
    }
}

/// Renders the templates in the variables of a host, as far as the inventory alone can.
struct Renderer(Lookup);

impl Renderer {
    fn new(inventory: &Inventory, host: &Host) -> Self {
        let world = World::new(
            super::prepare::host_variables(inventory),
            inventory.group_lists(),
            crate::document::Table::default(),
            HashSet::new(),
            false,
            Vec::<PathBuf>::new(),
        );
        let play = Arc::new(PlayScope::default());
        Self(Lookup::new(Scope::new(&Arc::new(world), &host.name, &play)))
    }

    /// The rendered value, or why there is none; `None` if it has no template in it.
    fn value(&self, node: &Node) -> Option<Result<Node, String>> {
        if !has_template(node) {
            return None;
        }
        Some(self.0.render(node).map_err(|trouble| match trouble {
            Trouble::Later(name) => format!("`{name}` is set by a task"),
            Trouble::Problem(problem) => problem.message,
        }))
    }
}

fn has_template(node: &Node) -> bool {
    match &node.data {
        Data::String(text) => is_template(text),
        Data::Array(items) => items.iter().any(has_template),
        Data::Table(table) => table.iter().any(|entry| has_template(&entry.value)),
        _ => false,
    }
}
