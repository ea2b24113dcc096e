//! Looking names up and rendering what they hold.

use super::template::{self, is_template};
use super::{BUILTIN, HostVariables, Scope};
use crate::diagnostic::{Problem, Source};
use crate::document::{Data, Entry, Node, Table};
use minijinja::value::{Enumerator, Object, Serde};
use minijinja::{Error, ErrorKind, Value};
use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

/// Why something could not be rendered.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// It needs a value that no task has produced yet: its name.
    Later(String),
    /// It is wrong.
    Problem(Box<Problem>),
}

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Trouble::Problem(Box::new(problem))
    }
}

/// Renders with the variables of one scope. Values are rendered once and kept for as long as the lookup lives.
#[derive(Clone)]
pub struct Lookup(Arc<Inner>);

struct Inner {
    scope: Scope,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    later: Option<String>,
    missing: Vec<String>,
    problem: Option<Problem>,
    stack: Vec<String>,
    values: HashMap<String, Value>,
}

impl Lookup {
    /// A lookup in a scope.
    pub fn new(scope: Scope) -> Self {
        Self(Arc::new(Inner {
            scope,
            state: Mutex::default(),
        }))
    }

    /// The scope that it looks in.
    pub fn scope(&self) -> &Scope {
        &self.0.scope
    }

    /// Renders every template below a node. The places stay.
    pub fn render(&self, node: &Node) -> Result<Node, Trouble> {
        let data = match &node.data {
            Data::String(text) if is_template(text) => return self.render_string(text, node),
            Data::Array(items) => Data::Array(
                items
                    .iter()
                    .map(|item| self.render(item))
                    .collect::<Result<_, _>>()?,
            ),
            Data::Table(table) => Data::Table(self.render_table(table)?),
            plain => plain.clone(),
        };
        Ok(Node {
            place: node.place.clone(),
            data,
        })
    }

    /// Renders every value of a table.
    pub fn render_table(&self, table: &Table) -> Result<Table, Trouble> {
        table
            .iter()
            .map(|entry| {
                Ok(Entry {
                    key: entry.key.clone(),
                    key_place: entry.key_place.clone(),
                    value: self.render(&entry.value)?,
                })
            })
            .collect()
    }

    /// Renders a text that may be a template into a text.
    pub fn text(&self, node: &Node) -> Result<String, Trouble> {
        let rendered = self.render(node)?;
        Ok(match rendered.data {
            Data::String(text) => text,
            _ => crate::modules::args::text(&rendered)?,
        })
    }

    /// Renders a template file.
    pub fn file(&self, source: &Source) -> Result<String, Trouble> {
        let place = source.place(0..source.text().len());
        let environment = &self.0.scope.world.environment;
        let rendered = environment.render_named_str(source.name(), source.text(), self.context());
        self.settle(rendered, source.text(), &place)
    }

    /// Evaluates an expression, as in `when`: text without braces, or a boolean.
    pub fn expression(&self, node: &Node) -> Result<serde_json::Value, Trouble> {
        let Data::String(text) = &node.data else {
            return Ok(self.render(node)?.to_value());
        };
        if is_template(text) {
            return Ok(self.render(node)?.to_value());
        }
        let environment = &self.0.scope.world.environment;
        let value = environment
            .compile_expression(text)
            .and_then(|expression| expression.eval(self.context()))
            .and_then(defined);
        let value = self.settle(value, text, &node.place)?;
        to_json(&value, node)
    }

    /// Whether a condition holds: a boolean, an expression, or a list of them that must all hold.
    pub fn holds(&self, node: &Node) -> Result<bool, Trouble> {
        if let Data::Array(items) = &node.data {
            for item in items {
                if !self.holds(item)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        let value = self.expression(node)?;
        match value {
            serde_json::Value::Bool(value) => Ok(value),
            serde_json::Value::String(text) if text == "true" => Ok(true),
            serde_json::Value::String(text) if text == "false" => Ok(false),
            other => Ok(Value::from(Serde(&other)).is_true()),
        }
    }

    fn render_string(&self, text: &str, node: &Node) -> Result<Node, Trouble> {
        let environment = &self.0.scope.world.environment;
        if let Some((expression, start)) = template::sole_expression(environment, text) {
            let value = environment
                .compile_expression(expression)
                .and_then(|expression| expression.eval(self.context()))
                .and_then(defined);
            let place =
                template::inner_place(text, &node.place, Some(start..start + expression.len()));
            let value = self.settle(value, expression, &place)?;
            return Ok(Node::from_value(&to_json(&value, node)?, &node.place));
        }
        let rendered = environment.render_str(text, self.context());
        let text = self.settle(rendered, text, &node.place)?;
        Ok(Node {
            place: node.place.clone(),
            data: Data::String(text),
        })
    }

    fn context(&self) -> Value {
        Value::from_object(Context(self.clone()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0
            .state
            .lock()
            .unwrap_or_else(|broken| broken.into_inner())
    }

    /// Turns what the engine says into a value, a problem with its place, or "later".
    fn settle<T>(
        &self,
        result: Result<T, Error>,
        text: &str,
        place: &crate::diagnostic::Place,
    ) -> Result<T, Trouble> {
        let mut state = self.state();
        if let Some(name) = state.later.take() {
            return Err(Trouble::Later(name));
        }
        let nested = state.problem.take();
        let missing = std::mem::take(&mut state.missing);
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if let Some(problem) = nested {
            return Err(problem.into());
        }
        let included = error.name().filter(|name| {
            *name != place.source.name()
                && !name.starts_with('<')
                && error.template_source().is_some()
        });
        let mut problem = match (included, error.template_source()) {
            (Some(name), Some(inner)) => {
                let source = Source::new(name, inner);
                let whole = source.place(0..inner.len());
                template::problem(&error, inner, &whole)
            }
            _ => template::problem(&error, text, place),
        };
        if error.kind() == ErrorKind::UndefinedError {
            let at = problem.place.as_ref().map_or("", |place| place.text());
            let name = missing
                .iter()
                .rev()
                .find(|name| at.contains(name.as_str()))
                .or(missing.last());
            if let Some(name) = name {
                problem.message = format!("`{name}` is undefined");
                if let Some(place) = &problem.place
                    && let Some(start) = place.text().find(name.as_str())
                {
                    problem.place = Some(place.within(start..start + name.len()));
                }
                let known = self.names();
                problem = problem.did_you_mean(name, known.iter().map(String::as_str));
            } else {
                problem.message = "this value is undefined".to_string();
            }
        }
        Err(problem.into())
    }

    /// Every name that this scope knows.
    fn names(&self) -> Vec<String> {
        let scope = &self.0.scope;
        let tables = [
            &scope.world.extra,
            &*scope.task,
            &scope.play.vars,
            &scope.host.vars,
        ];
        let mut names: Vec<String> = BUILTIN.iter().map(|name| name.to_string()).collect();
        for table in tables {
            names.extend(table.iter().map(|entry| entry.key.clone()));
        }
        names.extend(scope.world.produced.iter().cloned());
        names.sort();
        names
    }

    fn later(&self, name: &str) -> Value {
        self.state().later.get_or_insert_with(|| name.to_string());
        Value::from(Error::new(
            ErrorKind::InvalidOperation,
            format!("`{name}` is not known yet"),
        ))
    }

    /// The value of a name, or nothing.
    fn value(&self, name: &str) -> Option<Value> {
        let scope = &self.0.scope;
        if let Some(value) = self.builtin(name) {
            return Some(value);
        }
        if let Some(value) = scope.locals.get(name) {
            return Some(Value::from(Serde(value)));
        }
        if let Some(node) = scope.world.extra.get(name) {
            return Some(self.variable(name, node));
        }
        if scope.pending.contains(name) {
            return Some(self.later(name));
        }
        if let Some(value) = scope.world.facts(&scope.host.name).get(name) {
            return Some(Value::from(Serde(value)));
        }
        let layers = [&*scope.task, &scope.play.vars, &scope.host.vars];
        if let Some(node) = layers.iter().find_map(|table| table.get(name)) {
            return Some(self.variable(name, node));
        }
        if scope.ahead && scope.world.produced.contains(name) {
            return Some(self.later(name));
        }
        (name == "address").then(|| Value::from(scope.host.address.clone()))
    }

    fn builtin(&self, name: &str) -> Option<Value> {
        let scope = &self.0.scope;
        Some(match name {
            "inventory_hostname" => Value::from(scope.host.name.clone()),
            "group_names" => Value::from(scope.host.groups.clone()),
            "groups" => scope.world.groups.clone(),
            "hostvars" => Value::from_object(AllHosts(self.clone())),
            "playbook_dir" => {
                let dir = std::path::absolute(Path::new(".").join(&scope.play.dir));
                Value::from(dir.unwrap_or_default().display().to_string())
            }
            "play_hosts" => Value::from(scope.play.hosts.clone()),
            "check_mode" => Value::from(scope.world.check),
            _ => return None,
        })
    }

    /// Renders a variable that the operator wrote.
    fn variable(&self, name: &str, node: &Node) -> Value {
        {
            let mut state = self.state();
            if let Some(value) = state.values.get(name) {
                return value.clone();
            }
            if state.stack.iter().any(|outer| outer == name) {
                let circle = format!("`{}` refers to itself", state.stack.join("` -> `"));
                state
                    .problem
                    .get_or_insert(Problem::new(circle.clone()).at(node.place.clone()));
                return Value::from(Error::new(ErrorKind::InvalidOperation, circle));
            }
            state.stack.push(name.to_string());
        }
        let rendered = self.render(node);
        let mut state = self.state();
        state.stack.pop();
        match rendered {
            Ok(node) => {
                let value = Value::from(Serde(node.to_value()));
                state.values.insert(name.to_string(), value.clone());
                value
            }
            Err(trouble) => {
                let detail = match trouble {
                    Trouble::Later(name) => {
                        let detail = format!("`{name}` is not known yet");
                        state.later.get_or_insert(name);
                        detail
                    }
                    Trouble::Problem(problem) => {
                        let detail = problem.message.clone();
                        state.problem.get_or_insert(*problem);
                        detail
                    }
                };
                Value::from(Error::new(ErrorKind::InvalidOperation, detail))
            }
        }
    }
}

fn defined(value: Value) -> Result<Value, Error> {
    if value.is_undefined() {
        return Err(Error::from(ErrorKind::UndefinedError));
    }
    Ok(value)
}

fn to_json(value: &Value, node: &Node) -> Result<serde_json::Value, Trouble> {
    serde_json::to_value(value).map_err(|error| {
        Problem::new(format!("this value cannot be used here: {error}"))
            .at(node.place.clone())
            .into()
    })
}

/// The names of a scope, as the template engine asks for them.
struct Context(Lookup);

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "variables of {}", self.0.scope().host.name)
    }
}

impl Object for Context {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let value = self.0.value(key);
        if value.is_none() {
            self.0.state().missing.push(key.to_string());
        }
        value
    }
}

/// `hostvars`: every host by name.
struct AllHosts(Lookup);

impl fmt::Debug for AllHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hostvars")
    }
}

impl Object for AllHosts {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let host = self.0.scope().world.hosts.get(key.as_str()?)?;
        Some(Value::from_object(OneHost {
            from: self.0.clone(),
            host: host.clone(),
        }))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let hosts = self.0.scope().world.hosts.keys();
        Enumerator::Values(hosts.map(|name| Value::from(name.clone())).collect())
    }
}

/// `hostvars[name]`: what the inventory says of a host, and what tasks have set on it.
struct OneHost {
    from: Lookup,
    host: Arc<HostVariables>,
}

impl fmt::Debug for OneHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hostvars of {}", self.host.name)
    }
}

impl Object for OneHost {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let scope = self.from.scope();
        if self.host.name == scope.host.name {
            return self.from.value(name);
        }
        let mut scope = scope.clone();
        scope.host = self.host.clone();
        scope.play = Arc::default();
        scope.task = Arc::default();
        scope.locals.clear();
        let other = Lookup::new(scope);
        let value = other.value(name);
        // What the other host's lookup noted belongs to this rendering.
        let mut theirs = other.state();
        let mut ours = self.from.state();
        if let Some(later) = theirs.later.take() {
            ours.later.get_or_insert(later);
        }
        if let Some(problem) = theirs.problem.take() {
            ours.problem.get_or_insert(problem);
        }
        if value.is_none() {
            ours.missing.push(name.to_string());
        }
        value
    }
}
