//! Looking names up and rendering what they hold.

use super::registered::{self, Registered};
use super::template::{self, is_template};
use super::{BUILTIN, Scope, names};
use crate::diagnostic::{Problem, Source, closest};
use crate::document::{Data, Entry, Node, Table};
use minijinja::value::Serde;
use minijinja::{Error, ErrorKind, Value};
use std::collections::HashMap;
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

/// So many variables may refer to each other in a row. Each takes some of the stack.
const DEPTH: usize = 50;

#[derive(Default)]
pub(super) struct State {
    pub later: Option<String>,
    pub missing: Vec<Missing>,
    pub problem: Option<Problem>,
    /// The variables that are being rendered, outermost first, each with its host.
    pub stack: Vec<(String, String)>,
    /// What has been rendered, also in vain: the template engine may ask for a name more than once.
    values: HashMap<String, Result<Value, Trouble>>,
}

/// A name that was looked for in vain, which matters only if the rendering fails for it.
pub(super) struct Missing {
    pub name: String,
    pub message: String,
}

impl Missing {
    pub fn variable(name: &str) -> Self {
        Self {
            name: name.to_string(),
            message: format!("`{name}` is undefined"),
        }
    }
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
            Data::Secret(secret) => {
                let value = match &self.0.scope.world.secrets {
                    Some(secrets) => secrets.find(secret)?,
                    None => node.to_value(),
                };
                return Ok(Node::from_value(&value, &node.place));
            }
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
            _ => crate::document::text(&rendered)?,
        })
    }

    /// Renders a template file.
    pub fn file(&self, source: &Source) -> Result<String, Trouble> {
        let place = source.place(0..source.text().len());
        self.0.scope.world.read(source.text());
        let environment = &self.0.scope.world.environment;
        let rendered = template::moderate(source.text()).and_then(|()| {
            environment.render_named_str(source.name(), source.text(), self.context())
        });
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
        let value = template::moderate_expression(text)
            .and_then(|()| environment.compile_expression(text))
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
        self.settle(template::moderate(text), text, &node.place)?;
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
        Value::from_object(names::Context(self.clone()))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
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
        let error = innermost(&error);
        let included = error.name().filter(|name| {
            *name != place.source.name()
                && !name.starts_with('<')
                && error.template_source().is_some()
        });
        let mut problem = match (included, error.template_source()) {
            (Some(name), Some(inner)) => {
                let source = Source::new(self.0.scope.world.included(name), inner);
                let whole = source.place(0..inner.len());
                template::problem(error, inner, &whole)
            }
            _ => template::problem(error, text, place),
        };
        // Some filters take an undefined value for one of the wrong type.
        let undefined = error.kind() == ErrorKind::UndefinedError
            || error
                .detail()
                .is_some_and(|detail| detail.contains("of type undefined"));
        if undefined {
            let at = problem.place.as_ref().map_or("", |place| place.text());
            let missing = missing
                .iter()
                .rev()
                .find(|missing| at.contains(missing.name.as_str()))
                .or(missing.last());
            problem = match missing {
                Some(missing) => self.undefined(missing, problem),
                None => Problem {
                    message: "this value is undefined".to_string(),
                    ..problem
                },
            };
        }
        Err(problem.into())
    }

    fn undefined(&self, missing: &Missing, mut problem: Problem) -> Problem {
        let name = missing.name.as_str();
        problem.message.clone_from(&missing.message);
        if let Some(place) = &problem.place
            && let Some(start) = place.text().find(name)
        {
            problem.place = Some(place.within(start..start + name.len()));
        }
        let known = self.names();
        let known = known
            .iter()
            .map(String::as_str)
            .filter(|known| *known != name);
        match (closest(name, known), name) {
            (_, "item") => problem.help("only a task with `loop` has it"),
            (_, "result") => problem.help("only `until`, `changed_when` and `failed_when` have it"),
            (Some(near), _) => problem.help(format!("did you mean `{near}`?")),
            (None, _) => problem,
        }
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
    pub(super) fn value(&self, name: &str) -> Option<Value> {
        let scope = &self.0.scope;
        if let Some(value) = self.builtin(name) {
            return Some(value);
        }
        if let Some(value) = scope.locals.get(name) {
            return Some(registered::value(value));
        }
        if let Some(node) = scope.world.extra.get(name) {
            return Some(self.variable(name, node));
        }
        if scope.pending.contains(name) {
            return Some(self.later(name));
        }
        let facts = scope.world.facts(&scope.host.name);
        match facts.get(name) {
            Some(serde_json::Value::Object(_)) => {
                return Some(Value::from_object(Registered::among(facts, name)));
            }
            Some(value) => return Some(registered::value(value)),
            None => {}
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
            "hostvars" => Value::from_object(names::AllHosts(self.clone())),
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
            if let Some(known) = state.values.get(name).cloned() {
                return known.unwrap_or_else(|trouble| state.in_vain(trouble));
            }
            let here = (self.0.scope.host.name.clone(), name.to_string());
            if let Some(wrong) = endless(&state.stack, &here) {
                state
                    .problem
                    .get_or_insert(Problem::new(wrong.clone()).at(node.place.clone()));
                return Value::from(Error::new(ErrorKind::InvalidOperation, wrong));
            }
            state.stack.push(here);
        }
        let rendered = self.render(node);
        let mut state = self.state();
        state.stack.pop();
        let rendered = rendered.map(|node| Value::from(Serde(node.to_value())));
        state.values.insert(name.to_string(), rendered.clone());
        rendered.unwrap_or_else(|trouble| state.in_vain(trouble))
    }
}

impl State {
    /// Notes why a variable has no value, and answers a value that ends the rendering.
    fn in_vain(&mut self, trouble: Trouble) -> Value {
        let detail = match trouble {
            Trouble::Later(name) => {
                let detail = format!("`{name}` is not known yet");
                self.later.get_or_insert(name);
                detail
            }
            Trouble::Problem(problem) => {
                let detail = problem.message.clone();
                self.problem.get_or_insert(*problem);
                detail
            }
        };
        Value::from(Error::new(ErrorKind::InvalidOperation, detail))
    }
}

/// Why one more variable must not be rendered inside of others.
fn endless(stack: &[(String, String)], next: &(String, String)) -> Option<String> {
    if let Some(start) = stack.iter().position(|outer| outer == next) {
        let names: Vec<String> = stack[start..]
            .iter()
            .chain([next])
            .map(
                |(host, name)| match stack.iter().all(|(other, _)| other == host) {
                    true => name.clone(),
                    false => format!("hostvars.{host}.{name}"),
                },
            )
            .collect();
        return Some(format!(
            "`{}` refers to itself: {}",
            next.1,
            names.join(" -> ")
        ));
    }
    (stack.len() >= DEPTH).then(|| {
        format!(
            "`{}` refers to `{}` and so on, more than {DEPTH} variables deep",
            stack[0].1, stack[1].1
        )
    })
}

/// An error inside of an included template comes wrapped; what counts is the error itself.
fn innermost(error: &Error) -> &Error {
    let mut inner = error;
    while let Some(next) = std::error::Error::source(inner)
        .and_then(|source| source.downcast_ref::<Error>())
        .filter(|next| next.template_source().is_some())
    {
        inner = next;
    }
    inner
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
