//! What tasks have registered, as templates see it.

use minijinja::Value;
use minijinja::value::{Enumerator, Object, ObjectRepr, Serde};
use serde_json::{Map, Value as Json};
use std::fmt;
use std::sync::Arc;

const LINES: &str = "stdout_lines";

/// A value as templates see it. The results of tasks, also those in a list, have their lines.
pub(super) fn value(json: &Json) -> Value {
    match json {
        Json::Object(table) if said(table).is_some() => Value::from_object(Registered {
            root: Arc::new(table.clone()),
            name: None,
        }),
        Json::Array(items) if items.iter().filter_map(Json::as_object).any(has_lines) => {
            items.iter().map(value).collect()
        }
        other => Value::from(Serde(other)),
    }
}

fn has_lines(table: &Map<String, Json>) -> bool {
    said(table).is_some()
}

/// What a command said, where its lines are not there already.
fn said(table: &Map<String, Json>) -> Option<&str> {
    match table.contains_key(LINES) {
        true => None,
        false => table.get("rc").and(table.get("stdout"))?.as_str(),
    }
}

/// A table that a task has registered, or the result of a task. Only what is asked for is copied, and `stdout_lines` is
/// made of `stdout` then: as a list of its own it would be many times as large.
pub(super) struct Registered {
    root: Arc<Map<String, Json>>,
    /// Under which name the table is found there; without one it is the root.
    name: Option<String>,
}

impl Registered {
    /// A table among the facts of a host.
    pub(super) fn among(facts: Arc<Map<String, Json>>, name: &str) -> Self {
        Self {
            root: facts,
            name: Some(name.to_string()),
        }
    }

    fn table(&self) -> Option<&Map<String, Json>> {
        match &self.name {
            Some(name) => self.root.get(name)?.as_object(),
            None => Some(&self.root),
        }
    }
}

impl fmt::Debug for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name.as_deref().unwrap_or("result"))
    }
}

impl Object for Registered {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let table = self.table()?;
        match table.get(key) {
            Some(json) => Some(value(json)),
            None if key == LINES => Some(Value::from_object(Lines::new(said(table)?))),
            None => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let table = self.table().into_iter();
        let lines = table
            .clone()
            .filter(|table| has_lines(table))
            .map(|_| LINES);
        let keys = table.flat_map(|table| table.keys().map(String::as_str));
        Enumerator::Values(keys.chain(lines).map(Value::from).collect())
    }
}

/// The lines of a text, which are cut when they are asked for.
#[derive(Debug)]
struct Lines {
    text: String,
    /// Where they begin, in bytes.
    begins: Vec<usize>,
}

impl Lines {
    fn new(text: &str) -> Self {
        let begin = text.as_ptr().addr();
        let begins = text.lines().map(|line| line.as_ptr().addr() - begin);
        Self {
            text: text.to_string(),
            begins: begins.collect(),
        }
    }
}

impl Object for Lines {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let begin = *self.begins.get(key.as_usize()?)?;
        self.text.get(begin..)?.lines().next().map(Value::from)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.begins.len())
    }
}
