//! TOML with the place of every key and value, for reports that point at the line meant.

mod read;
mod secret;

pub use read::{boolean, duration, integer, mode, parse_duration, text};
pub use secret::{Origin, Secret};

use crate::diagnostic::{Place, Problem, Problems, Source};
use serde_json::Value;
use toml::de::{DeTable, DeValue};

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct Node {
    /// Where the value stands.
    pub place: Place,
    /// The value.
    pub data: Data,
}

/// What a [`Node`] holds.
#[derive(Debug, Clone)]
pub enum Data {
    /// A text; in a playbook possibly a template.
    String(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// Nothing: TOML has no such value, a rendered expression can.
    Null,
    /// A list.
    Array(Vec<Node>),
    /// Keys and values.
    Table(Table),
    /// A text that nobody may see, and that is found out when it is needed.
    Secret(Secret),
}

/// A table that keeps order, and the place of each key.
#[derive(Debug, Clone, Default)]
pub struct Table {
    entries: Vec<Entry>,
}

/// One key of a table with its value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// Where the key stands.
    pub key_place: Place,
    /// The value.
    pub value: Node,
}

impl Node {
    /// The kind of value in words: `a string`, `a table`.
    pub fn kind(&self) -> &'static str {
        match &self.data {
            Data::String(_) => "a string",
            Data::Integer(_) => "an integer",
            Data::Float(_) => "a float",
            Data::Boolean(_) => "a boolean",
            Data::Null => "nothing",
            Data::Array(_) => "a list",
            Data::Table(_) => "a table",
            Data::Secret(_) => "a secret",
        }
    }

    /// A problem that says what was expected here and what was found.
    pub fn expected(&self, what: &str) -> Problem {
        Problem::new(format!("expected {what}, found {}", self.kind())).at(self.place.clone())
    }

    /// The text, or a problem.
    pub fn string(&self) -> Result<&str, Problem> {
        match &self.data {
            Data::String(text) => Ok(text),
            _ => Err(self.expected("a string")),
        }
    }

    /// The boolean, or a problem.
    pub fn boolean(&self) -> Result<bool, Problem> {
        match &self.data {
            Data::Boolean(value) => Ok(*value),
            _ => Err(self.expected("a boolean")),
        }
    }

    /// The whole number, or a problem.
    pub fn integer(&self) -> Result<i64, Problem> {
        match &self.data {
            Data::Integer(value) => Ok(*value),
            _ => Err(self.expected("an integer")),
        }
    }

    /// The list, or a problem.
    pub fn array(&self) -> Result<&[Node], Problem> {
        match &self.data {
            Data::Array(items) => Ok(items),
            _ => Err(self.expected("a list")),
        }
    }

    /// The table, or a problem.
    pub fn table(&self) -> Result<&Table, Problem> {
        match &self.data {
            Data::Table(table) => Ok(table),
            _ => Err(self.expected("a table")),
        }
    }

    /// A list of strings, or one string as a list of one.
    pub fn strings(&self) -> Result<Vec<String>, Problem> {
        match &self.data {
            Data::String(text) => Ok(vec![text.clone()]),
            Data::Array(items) => items
                .iter()
                .map(|item| item.string().map(str::to_string))
                .collect(),
            _ => Err(self.expected("a string or a list of strings")),
        }
    }

    /// The items of a list, or the value itself as a list of one.
    pub fn each(&self) -> &[Node] {
        match &self.data {
            Data::Array(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    /// Whether a text in it has one of these words in it.
    pub fn mentions(&self, words: &[String]) -> bool {
        match &self.data {
            Data::String(text) => words.iter().any(|word| text.contains(word.as_str())),
            Data::Array(items) => items.iter().any(|item| item.mentions(words)),
            Data::Table(table) => table.mentions(words),
            _ => false,
        }
    }

    /// The value without places; in place of a secret its name.
    pub fn to_value(&self) -> Value {
        match &self.data {
            Data::String(text) => Value::String(text.clone()),
            Data::Integer(value) => Value::from(*value),
            Data::Float(value) => Value::from(*value),
            Data::Boolean(value) => Value::Bool(*value),
            Data::Null => Value::Null,
            Data::Array(items) => items.iter().map(Node::to_value).collect(),
            Data::Table(table) => Value::Object(
                table
                    .iter()
                    .map(|entry| (entry.key.clone(), entry.value.to_value()))
                    .collect(),
            ),
            Data::Secret(secret) => Value::String(secret.marker()),
        }
    }

    /// A value as a node that stands, whole, at one place.
    pub fn from_value(value: &Value, place: &Place) -> Node {
        let data = match value {
            Value::Null => Data::Null,
            Value::Bool(value) => Data::Boolean(*value),
            Value::Number(number) => match number.as_i64() {
                Some(value) => Data::Integer(value),
                None => Data::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Data::String(text.clone()),
            Value::Array(items) => Data::Array(
                items
                    .iter()
                    .map(|item| Node::from_value(item, place))
                    .collect(),
            ),
            Value::Object(map) => Data::Table(
                map.iter()
                    .map(|(key, value)| Entry {
                        key: key.clone(),
                        key_place: place.clone(),
                        value: Node::from_value(value, place),
                    })
                    .collect(),
            ),
        };
        Node {
            place: place.clone(),
            data,
        }
    }
}

impl Table {
    /// The entry of a key.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// All entries in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Whether a text in one of its values has one of these words in it.
    pub fn mentions(&self, words: &[String]) -> bool {
        self.iter().any(|entry| entry.value.mentions(words))
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Notes every key that is not among the known ones; `of` names the table: `a play`.
    pub fn refuse_unknown(&self, known: &[&str], of: &str, problems: &mut Problems) {
        for entry in &self.entries {
            if !known.contains(&entry.key.as_str()) {
                problems.push(
                    Problem::new(format!("unknown key `{}` in {of}", entry.key))
                        .at(entry.key_place.clone())
                        .did_you_mean(&entry.key, known.iter().copied()),
                );
            }
        }
    }
}

impl FromIterator<Entry> for Table {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        Self {
            entries: entries.into_iter().collect(),
        }
    }
}

/// Parses a whole TOML text.
///
/// # Errors
///
/// The first syntax error of the text, with its place.
pub fn parse(source: &Source) -> Result<Node, Problems> {
    let (table, errors) = DeTable::parse_recoverable(source.text());
    let mut problems = Problems::new();
    note_first(&errors, source, &mut problems);
    let span = 0..source.text().len();
    let root = convert_table(table.get_ref(), source);
    problems.or(Node {
        place: source.place(span),
        data: Data::Table(root),
    })
}

/// Parses one TOML value, as given on the command line.
///
/// # Errors
///
/// The first syntax error of the text.
pub fn parse_value(source: &Source) -> Result<Node, Problems> {
    let (value, errors) = DeValue::parse_recoverable(source.text());
    let mut problems = Problems::new();
    note_first(&errors, source, &mut problems);
    let node = convert(value.get_ref(), value.span(), source);
    problems.or(node)
}

/// One missing bracket makes errors of all that follows, so only the first one is worth reading.
fn note_first(errors: &[toml::de::Error], source: &Source, problems: &mut Problems) {
    let span = |error: &toml::de::Error| error.span().unwrap_or(0..0);
    if let Some(error) = errors.iter().min_by_key(|error| span(error).start) {
        problems.push(Problem::new(one_line(error.message())).at(source.place(span(error))));
    }
}

fn one_line(message: &str) -> String {
    message.trim().replace('\n', ", ")
}

fn convert_table(table: &DeTable<'_>, source: &Source) -> Table {
    table
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().to_string(),
            key_place: source.place(key.span()),
            value: convert(value.get_ref(), value.span(), source),
        })
        .collect()
}

fn convert(value: &DeValue<'_>, span: std::ops::Range<usize>, source: &Source) -> Node {
    let data = match value {
        DeValue::String(text) => Data::String(text.to_string()),
        DeValue::Integer(number) => {
            match i64::from_str_radix(&number.as_str().replace('_', ""), number.radix()) {
                Ok(value) => Data::Integer(value),
                Err(_) => Data::String(number.as_str().to_string()),
            }
        }
        DeValue::Float(number) => {
            Data::Float(number.as_str().replace('_', "").parse().unwrap_or(f64::NAN))
        }
        DeValue::Boolean(value) => Data::Boolean(*value),
        DeValue::Datetime(value) => Data::String(value.to_string()),
        DeValue::Array(items) => Data::Array(
            items
                .iter()
                .map(|item| convert(item.get_ref(), item.span(), source))
                .collect(),
        ),
        DeValue::Table(table) => Data::Table(convert_table(table, source)),
    };
    Node {
        place: source.place(span),
        data,
    }
}
