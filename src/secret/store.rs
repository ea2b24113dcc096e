//! Finds the values of secrets.

use super::{Ask, Identities, command, sealed, unasked};
use crate::diagnostic::{Problem, Problems};
use crate::document::{Data, Entry, Node, Origin, Secret, Table};
use crate::redact::{Redactor, SHORTEST};
use crate::vars::Secrets;
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Finds the values of secrets, and tells the redactor of each before anybody has it.
pub struct Store {
    redactor: Redactor,
    identities: Identities,
    ask: Arc<dyn Ask>,
    /// One question at a time. What was decrypted is kept, or why it could not be.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    files: HashMap<PathBuf, Result<Node, Problem>>,
    environment: Vec<String>,
    /// The run has begun: the terminal is the screen's.
    quiet: bool,
}

impl Store {
    /// A store that knows nothing yet.
    pub fn new(redactor: Redactor, identities: Identities, ask: Arc<dyn Ask>) -> Self {
        Self {
            redactor,
            identities,
            ask,
            state: Mutex::default(),
        }
    }

    /// From now on nobody is asked.
    pub fn close(&self) {
        self.state().quiet = true;
    }

    /// The environment variables that secrets came from.
    pub fn environment(&self) -> Vec<String> {
        self.state().environment.clone()
    }

    /// All values of an encrypted file, as variables.
    ///
    /// # Errors
    ///
    /// Why it can't be read, and what is wrong in it.
    pub fn file(&self, path: &Path) -> Result<Table, Problems> {
        let node = self.decrypted(&mut self.state(), path)?;
        let mut problems = Problems::new();
        let mut secrets = Vec::new();
        for entry in node.table()?.iter() {
            let origin = Origin::File(path.to_path_buf(), entry.key.clone());
            let place = crate::diagnostic::Source::new(path.display().to_string(), "").place(0..0);
            let secret = Secret::new(&entry.key, origin, place.clone());
            let value = entry.value.to_value();
            problems.note(secret.value(|| self.known(&entry.key, value)));
            secrets.push(Entry {
                key: entry.key.clone(),
                key_place: place.clone(),
                value: Node {
                    place,
                    data: Data::Secret(secret),
                },
            });
        }
        problems.or(secrets.into_iter().collect())
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find_text(&self, secret: &Secret) -> Result<String, Problem> {
        let name = secret.name();
        let mut state = self.state();
        match secret.origin() {
            Origin::Environment(variable) => match std::env::var(variable) {
                Ok(text) => {
                    state.environment.push(variable.clone());
                    Ok(text)
                }
                Err(std::env::VarError::NotPresent) => Err(Problem::new(format!(
                    "secret `{name}`: the environment variable {variable} is not set"
                ))),
                Err(_) => Err(Problem::new(format!(
                    "secret `{name}`: the environment variable {variable} is not UTF-8"
                ))),
            },
            Origin::Command(words) => command::output(words).map_err(|problem| Problem {
                message: format!("secret `{name}`: {}", problem.message),
                ..problem
            }),
            Origin::Prompt(_) if state.quiet => Err(Problem::new(format!(
                "secret `{name}` was not asked for before the run, since nothing said that it is needed"
            ))
            .help(format!("ask for it with --ask-secret {name}"))),
            Origin::Prompt(question) => {
                let question = format!("{}: ", question.trim_end_matches([':', ' ']));
                self.ask.ask(&question).map_err(|why| {
                    unasked(format!("secret `{name}`"), &why).help(
                        "without a terminal it comes from `env`, `command` or `file`, or from -e @FILE.age",
                    )
                })
            }
            Origin::File(path, key) => {
                let root = self.decrypted(&mut state, path)?;
                let node = inner(&root, key).ok_or_else(|| {
                    let keys: Vec<&str> = match &root.data {
                        Data::Table(table) => table.iter().map(|entry| entry.key.as_str()).collect(),
                        _ => Vec::new(),
                    };
                    Problem::new(format!("secret `{name}`: there is no `{key}` in {}", path.display()))
                        .did_you_mean(key, keys)
                        .help(format!("`runner secret edit {}` shows and changes it", path.display()))
                })?;
                match &node.data {
                    Data::String(text) => Ok(text.clone()),
                    _ => Err(Problem::new(format!(
                        "secret `{name}`: `{key}` in {} is {}, and a secret is a text",
                        path.display(),
                        node.kind()
                    ))
                    .help(format!("name one of its keys: key = \"{key}.NAME\""))),
                }
            }
        }
    }

    fn decrypted(&self, state: &mut State, path: &Path) -> Result<Node, Problem> {
        if let Some(known) = state.files.get(path) {
            return known.clone();
        }
        let opened = sealed::open(path, &self.identities, &self.redactor, &*self.ask);
        let parsed = opened.and_then(|opened| {
            sealed::parse(path, &opened.text).map_err(|problems| {
                // One of them is enough to go on with.
                problems
                    .iter()
                    .next()
                    .cloned()
                    .unwrap_or_else(|| Problem::new("this is not TOML"))
            })
        });
        state.files.insert(path.to_path_buf(), parsed.clone());
        parsed
    }

    /// Hides a value that was found.
    fn known(&self, name: &str, value: Value) -> Result<Value, Problem> {
        if has_empty(&value) {
            return Err(Problem::new(format!("secret `{name}` is empty")));
        }
        if has_nul(&value) {
            return Err(Problem::new(format!(
                "secret `{name}` has a NUL byte in it"
            )));
        }
        self.redactor.add_value(name, &value).map_err(|_| {
            Problem::new(format!("secret `{name}` is too short to be hidden in what is shown"))
                .help(format!(
                    "a secret has at least {SHORTEST} bytes; for a shorter one take a variable, and `no_log = true` where it is used"
                ))
        })?;
        Ok(value)
    }
}

impl Secrets for Store {
    fn find(&self, secret: &Secret) -> Result<Value, Problem> {
        secret.value(|| {
            let text = self.find_text(secret);
            text.and_then(|text| self.known(secret.name(), Value::String(text)))
                .map_err(|problem| problem.at(secret.place().clone()))
        })
    }

    fn holds(&self, text: &str) -> bool {
        self.redactor.holds(text.as_bytes())
    }
}

/// The value under keys with dots between.
fn inner<'n>(root: &'n Node, key: &str) -> Option<&'n Node> {
    key.split('.').try_fold(root, |node, key| match &node.data {
        Data::Table(table) => table.get(key),
        _ => None,
    })
}

fn has_empty(value: &Value) -> bool {
    any_text(value, &|text| {
        text.trim_end_matches(['\r', '\n']).is_empty()
    })
}

fn has_nul(value: &Value) -> bool {
    any_text(value, &|text| text.contains('\0'))
}

fn any_text(value: &Value, test: &dyn Fn(&str) -> bool) -> bool {
    match value {
        Value::String(text) => test(text),
        Value::Array(items) => items.iter().any(|item| any_text(item, test)),
        Value::Object(map) => map.values().any(|item| any_text(item, test)),
        _ => false,
    }
}
