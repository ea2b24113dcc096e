//! `secrets` in an inventory or a play: which variables are secret, and where each comes from.

use crate::diagnostic::{Place, Problem, Problems, Source};
use crate::document::{Data, Entry, Node, Origin, Secret, Table};
use crate::vars::BUILTIN;
use std::path::Path;

const SOURCES: [&str; 4] = ["env", "command", "prompt", "file"];

/// Reads the `secrets` of a table that may have `vars`, too: as variables, with each problem noted. Relative paths start
/// in `folder`.
pub fn table(owner: &Table, folder: &Path, problems: &mut Problems) -> Vec<Entry> {
    let Some(node) = owner.get("secrets") else {
        return Vec::new();
    };
    let vars = owner.get("vars").and_then(|vars| vars.table().ok());
    let Some(table) = problems.note(
        node.table()
            .map_err(|_| hidden(node.expected("a table"), node)),
    ) else {
        return Vec::new();
    };
    let mut secrets = Vec::new();
    for entry in table.iter() {
        if vars.is_some_and(|vars| vars.entry(&entry.key).is_some()) {
            problems.push(
                Problem::new(format!("`{}` is a secret and a variable", entry.key))
                    .at(entry.key_place.clone())
                    .help("it stands in `secrets` or in `vars`"),
            );
        }
        // One that is wrong is there all the same, or else whatever uses it would be wrong, too.
        secrets.push(
            problems
                .note(declare(entry, folder))
                .unwrap_or_else(|| Entry {
                    value: Node {
                        place: entry.value.place.clone(),
                        data: Data::String(format!("[secret {}]", entry.key)),
                    },
                    ..entry.clone()
                }),
        );
    }
    secrets
}

/// Reads one secret: `db_password = { env = "DB_PASSWORD" }`.
///
/// # Errors
///
/// What is wrong with it, without what may be the secret itself.
pub fn declare(entry: &Entry, folder: &Path) -> Result<Entry, Problem> {
    check_name(entry)?;
    let Data::Table(table) = &entry.value.data else {
        let problem = entry
            .value
            .expected("a table that says where the secret comes from");
        return Err(hidden(problem, &entry.value).help(format!(
            "one of `{0} = {{ env = \"NAME\" }}`, `{{ command = [\"pass\", \"show\", \"{0}\"] }}`, `{{ prompt = \"Password\" }}`, `{{ file = \"secrets.toml.age\" }}`",
            entry.key
        )));
    };
    for part in table.iter() {
        if !SOURCES.contains(&part.key.as_str()) && part.key != "key" {
            let known = SOURCES.into_iter().chain(["key"]);
            return Err(Problem::new(format!("unknown key `{}` in secret `{}`", part.key, entry.key))
                .at(masked(&part.key_place, &part.value.place))
                .did_you_mean(&part.key, known)
                .help("a secret has one of `env`, `command`, `prompt` and `file`, and `file` may have a `key`"));
        }
    }
    let sources: Vec<&Entry> = table
        .iter()
        .filter(|part| SOURCES.contains(&part.key.as_str()))
        .collect();
    let [source] = sources[..] else {
        return Err(
            Problem::new(format!("secret `{}` needs one source", entry.key))
                .at(entry.key_place.clone())
                .help("a secret has one of `env`, `command`, `prompt` and `file`"),
        );
    };
    let key = table.entry("key");
    if let Some(key) = key.filter(|_| source.key != "file") {
        return Err(Problem::new("`key` belongs to `file`").at(key.key_place.clone()));
    }
    let text = || filled(&source.value);
    let origin = match source.key.as_str() {
        "env" => Origin::Environment(variable(&source.value)?),
        "command" => Origin::Command(words(&source.value)?),
        "prompt" => Origin::Prompt(text()?),
        _ => Origin::File(
            folder.join(text()?),
            match key {
                Some(key) => filled(&key.value)?,
                None => entry.key.clone(),
            },
        ),
    };
    Ok(secret(&entry.key, origin, &entry.key_place))
}

/// A secret that the operator is asked for because an option says so.
///
/// # Errors
///
/// Its name is none for a variable.
pub fn prompt(name: &str, place: &Place) -> Result<Entry, Problem> {
    let entry = secret(name, Origin::Prompt(name.to_string()), place);
    check_name(&entry)?;
    Ok(entry)
}

fn secret(name: &str, origin: Origin, place: &Place) -> Entry {
    Entry {
        key: name.to_string(),
        key_place: place.clone(),
        value: Node {
            place: place.clone(),
            data: Data::Secret(Secret::new(name, origin, place.clone())),
        },
    }
}

fn check_name(entry: &Entry) -> Result<(), Problem> {
    let name = &entry.key;
    let problem = if BUILTIN.contains(&name.as_str()) {
        Problem::new(format!("`{name}` is built in and cannot be set"))
    } else if is_identifier(name) {
        return Ok(());
    } else {
        Problem::new(format!("{name:?} cannot be the name of a variable"))
            .help("a name is made of letters, digits and `_`, and starts with no digit")
    };
    Err(problem.at(masked(&entry.key_place, &entry.value.place)))
}

fn is_identifier(name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    !name.is_empty() && name.chars().all(word) && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn filled(node: &Node) -> Result<String, Problem> {
    match node.string()?.trim() {
        "" => Err(Problem::new("expected a text, found an empty one").at(node.place.clone())),
        _ => Ok(node.string()?.to_string()),
    }
}

fn variable(node: &Node) -> Result<String, Problem> {
    let name = filled(node)?;
    match name.contains(['=', '\0']) {
        true => Err(
            Problem::new(format!("`{name}` is no name for an environment variable"))
                .at(node.place.clone()),
        ),
        false => Ok(name),
    }
}

fn words(node: &Node) -> Result<Vec<String>, Problem> {
    let words = match &node.data {
        Data::String(text) => shell_words::split(text).map_err(|_| {
            Problem::new("a quote in this command is not closed").at(node.place.clone())
        })?,
        _ => node.strings()?,
    };
    match words.first().is_none_or(String::is_empty) {
        true => Err(Problem::new("expected a command, found an empty one").at(node.place.clone())),
        false => Ok(words),
    }
}

/// A problem with a value that was perhaps meant to be the secret itself: it is not shown.
fn hidden(problem: Problem, node: &Node) -> Problem {
    Problem {
        place: Some(masked(&node.place, &node.place)),
        ..problem
    }
}

/// A place in a text of which this other place can't be read.
fn masked(place: &Place, hidden: &Place) -> Place {
    let text = hidden.source.text();
    let (Some(before), Some(inner), Some(after)) = (
        text.get(..hidden.span.start),
        text.get(hidden.span.clone()),
        text.get(hidden.span.end..),
    ) else {
        return place.clone();
    };
    // As many bytes as before, so that all other places hold.
    let stars: String = inner
        .bytes()
        .map(|byte| if byte == b'\n' { '\n' } else { '*' })
        .collect();
    Source::new(hidden.source.name(), format!("{before}{stars}{after}")).place(place.span.clone())
}
