//! Variables whose values nobody may see.

use crate::diagnostic::{Place, Problem};
use serde_json::Value;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// A variable whose value nobody may see. It is found out when it is needed, once; clones share what was found.
#[derive(Clone)]
pub struct Secret(Arc<Inner>);

struct Inner {
    name: String,
    origin: Origin,
    place: Place,
    value: OnceLock<Result<Value, Problem>>,
}

/// Where the value of a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// This environment variable.
    Environment(String),
    /// What this command of the operator's machine prints.
    Command(Vec<String>),
    /// The operator's answer to this question.
    Prompt(String),
    /// A file that is encrypted with age, and the keys that lead to the value in it, with dots between.
    File(PathBuf, String),
}

impl Secret {
    /// A secret that is declared at a place.
    pub fn new(name: impl Into<String>, origin: Origin, place: Place) -> Self {
        Self(Arc::new(Inner {
            name: name.into(),
            origin,
            place,
            value: OnceLock::new(),
        }))
    }

    /// The name of the variable.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Where its value comes from.
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// Where it is declared.
    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// Its value, which is found out on the first call; others wait for it meanwhile.
    pub fn value(&self, find: impl FnOnce() -> Result<Value, Problem>) -> Result<Value, Problem> {
        self.0.value.get_or_init(find).clone()
    }

    /// What is said instead of the value.
    pub fn marker(&self) -> String {
        format!("[secret {}]", self.0.name)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({}, {})", self.0.name, self.0.origin)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Environment(name) => write!(f, "environment variable {name}"),
            // Its arguments may say more than is good.
            Origin::Command(words) => {
                write!(f, "command {}", words.first().map_or("", String::as_str))
            }
            Origin::Prompt(_) => f.write_str("prompt"),
            Origin::File(path, key) => write!(f, "`{key}` in {}", path.display()),
        }
    }
}
