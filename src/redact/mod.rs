//! Takes secrets out of whatever leaves the process, by their value.
//!
//! A [`Redactor`] knows the values. It finds them in plain, in base64 (both alphabets, also inside of longer data and
//! over line ends), in hex, quoted for a shell, escaped as in JSON, TOML or Rust, percent-encoded as in URLs, and each
//! longer line of a value of several lines. What it finds becomes `[secret NAME]`. A value that was changed otherwise,
//! a hash for example, is not found.
//!
//! Without secrets none of this costs more than a look at a flag.

mod event;
mod forms;
mod parts;
mod stream;
mod view;

use forms::Forms;
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
pub use stream::Stream;

/// The fewest bytes of a secret: a shorter one would be found everywhere.
pub const SHORTEST: usize = 4;

/// Knows the secrets of a run. Clones share what they know.
#[derive(Clone, Default)]
pub struct Redactor(Arc<Shared>);

#[derive(Default)]
struct Shared {
    any: AtomicBool,
    forms: RwLock<Arc<Forms>>,
}

/// A secret of fewer than [`SHORTEST`] bytes, which can't be hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooShort;

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor of {} secrets", self.forms().count())
    }
}

impl Redactor {
    /// Hides a value from now on. `name` stands in its place.
    ///
    /// # Errors
    ///
    /// The value is too short to be hidden. Line ends behind it don't count.
    pub fn add(&self, name: &str, value: &str) -> Result<(), TooShort> {
        if value.trim_end_matches(['\r', '\n']).len() < SHORTEST {
            return Err(TooShort);
        }
        let mut forms = self.0.forms.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(more) = forms.with(name, value) {
            *forms = Arc::new(more);
            self.0.any.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Hides every text and number of a value from now on.
    ///
    /// # Errors
    ///
    /// One of them is too short to be hidden; the others are hidden.
    pub fn add_value(&self, name: &str, value: &Value) -> Result<(), TooShort> {
        match value {
            Value::String(text) => self.add(name, text),
            Value::Number(number) => self.add(name, &number.to_string()),
            Value::Array(items) => {
                let all: Vec<_> = items
                    .iter()
                    .map(|item| self.add_value(name, item))
                    .collect();
                all.into_iter().collect()
            }
            Value::Object(map) => {
                let each = |(key, value): (&String, &Value)| {
                    self.add_value(&format!("{name}.{key}"), value)
                };
                let all: Vec<_> = map.iter().map(each).collect();
                all.into_iter().collect()
            }
            Value::Bool(_) | Value::Null => Ok(()),
        }
    }

    /// Whether there is nothing to hide.
    pub fn is_empty(&self) -> bool {
        !self.0.any.load(Ordering::Acquire)
    }

    /// Whether these bytes hold a secret.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        !self.is_empty() && Stream::new(self.forms()).finds(bytes)
    }

    /// Whether a value holds a secret, in a text, a number or a key.
    pub fn holds_value(&self, value: &Value) -> bool {
        if self.is_empty() {
            return false;
        }
        match value {
            Value::String(text) => self.holds(text.as_bytes()),
            Value::Number(number) => self.holds(number.to_string().as_bytes()),
            Value::Array(items) => items.iter().any(|item| self.holds_value(item)),
            Value::Object(map) => map
                .iter()
                .any(|(key, value)| self.holds(key.as_bytes()) || self.holds_value(value)),
            Value::Bool(_) | Value::Null => false,
        }
    }

    /// These bytes without secrets.
    pub fn bytes<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        if !self.holds(bytes) {
            return Cow::Borrowed(bytes);
        }
        let mut stream = self.stream();
        let mut clean = stream.push(bytes);
        clean.extend(stream.finish());
        Cow::Owned(clean)
    }

    /// The beginning of something longer, without secrets, and without an end that could be the first part of one.
    pub(crate) fn beginning(&self, bytes: &[u8]) -> Vec<u8> {
        self.stream().push(bytes)
    }

    /// This text without secrets.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.bytes(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(clean) => Cow::Owned(String::from_utf8_lossy(&clean).into_owned()),
        }
    }

    /// Takes the secrets out of every text, number and key of a value.
    pub fn value(&self, value: &mut Value) {
        if self.is_empty() {
            return;
        }
        match value {
            Value::String(text) => self.string(text),
            Value::Number(number) => {
                if let Cow::Owned(clean) = self.text(&number.to_string()) {
                    *value = Value::String(clean);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(map) => self.map(map),
            Value::Bool(_) | Value::Null => {}
        }
    }

    /// Takes the secrets out of every text, number and key of an object.
    pub fn map(&self, map: &mut serde_json::Map<String, Value>) {
        if self.is_empty() {
            return;
        }
        map.values_mut().for_each(|value| self.value(value));
        if map.keys().any(|key| self.holds(key.as_bytes())) {
            let clean = |(key, value): (String, Value)| (self.text(&key).into_owned(), value);
            *map = std::mem::take(map).into_iter().map(clean).collect();
        }
    }

    /// A filter for what comes in pieces.
    pub fn stream(&self) -> Stream {
        Stream::new(self.forms())
    }

    fn string(&self, text: &mut String) {
        if let Cow::Owned(clean) = self.text(text) {
            *text = clean;
        }
    }

    fn vector(&self, bytes: &mut Vec<u8>) {
        if let Cow::Owned(clean) = self.bytes(bytes) {
            *bytes = clean;
        }
    }

    fn forms(&self) -> Arc<Forms> {
        let forms = self.0.forms.read();
        forms.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests;
