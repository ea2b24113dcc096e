//! Filters and functions beyond Jinja's own, named as Ansible users know them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::{Serde, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Value};
use sha2::Digest as _;
use std::path::Path;

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("to_json", to_json);
    environment.add_filter("from_json", from_json);
    environment.add_filter("b64encode", |text: &str| STANDARD.encode(text));
    environment.add_filter("b64decode", b64decode);
    environment.add_filter("quote", |text: &str| crate::shell::quote(text));
    environment.add_filter("basename", basename);
    environment.add_filter("dirname", dirname);
    environment.add_filter("hash", hash);
    environment.add_filter("lines", |text: &str| {
        text.lines().map(str::to_string).collect::<Vec<_>>()
    });
    environment.add_filter("regex_search", regex_search);
    environment.add_filter("regex_replace", regex_replace);
    environment.add_filter("regex_findall", regex_findall);
    environment.add_filter("flatten", flatten);
    environment.add_filter("intersect", |a: Vec<Value>, b: Vec<Value>| {
        a.into_iter().filter(|x| b.contains(x)).collect::<Vec<_>>()
    });
    environment.add_filter("difference", |a: Vec<Value>, b: Vec<Value>| {
        a.into_iter().filter(|x| !b.contains(x)).collect::<Vec<_>>()
    });
    environment.add_filter("union", union);
    environment.add_test("match", |text: &str, pattern: &str| {
        Ok::<_, Error>(regex(&format!("^(?:{pattern})"))?.is_match(text))
    });
    environment.add_test("search", |text: &str, pattern: &str| {
        Ok::<_, Error>(regex(pattern)?.is_match(text))
    });
    environment.add_function("env", |name: &str| std::env::var(name).ok());
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, detail.into())
}

fn to_json(value: Value) -> Result<String, Error> {
    serde_json::to_string(&value).map_err(|error| invalid(error.to_string()))
}

fn from_json(text: &str) -> Result<Value, Error> {
    let value: serde_json::Value = serde_json::from_str(text)
        .map_err(|error| invalid(format!("from_json: this is no JSON: {error}")))?;
    Ok(Value::from(Serde(&value)))
}

fn b64decode(text: &str) -> Result<String, Error> {
    let bytes = STANDARD
        .decode(text.trim())
        .map_err(|error| invalid(format!("b64decode: {error}")))?;
    String::from_utf8(bytes).map_err(|_| invalid("b64decode: the result is not UTF-8"))
}

fn basename(path: &str) -> String {
    Path::new(path)
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn dirname(path: &str) -> String {
    Path::new(path)
        .parent()
        .map_or_else(String::new, |parent| parent.to_string_lossy().into_owned())
}

fn hash(text: &str, algorithm: Option<&str>) -> Result<String, Error> {
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    match algorithm.unwrap_or("sha256") {
        "sha256" => Ok(hex(&sha2::Sha256::digest(text))),
        "sha512" => Ok(hex(&sha2::Sha512::digest(text))),
        "sha1" => Ok(hex(&sha1::Sha1::digest(text))),
        other => Err(invalid(format!(
            "hash: unknown algorithm `{other}` (sha256, sha512 or sha1)"
        ))),
    }
}

fn regex(pattern: &str) -> Result<regex::Regex, Error> {
    regex::Regex::new(pattern).map_err(|error| invalid(format!("bad regular expression: {error}")))
}

/// The first match (its first group, if the pattern has one), or nothing.
fn regex_search(text: &str, pattern: &str) -> Result<Option<String>, Error> {
    Ok(regex(pattern)?.captures(text).and_then(|found| {
        found
            .get(1)
            .or_else(|| found.get(0))
            .map(|part| part.as_str().to_string())
    }))
}

fn regex_findall(text: &str, pattern: &str) -> Result<Vec<String>, Error> {
    let all = regex(pattern)?
        .captures_iter(text)
        .filter_map(|found| found.get(1).or_else(|| found.get(0)))
        .map(|part| part.as_str().to_string())
        .collect();
    Ok(all)
}

fn regex_replace(text: &str, pattern: &str, by: &str) -> Result<String, Error> {
    // Ansible users write groups as \1.
    let by = regex(r"\\(\d)")?.replace_all(by, "$${$1}").into_owned();
    Ok(regex(pattern)?.replace_all(text, by.as_str()).into_owned())
}

fn flatten(value: Value) -> Result<Vec<Value>, Error> {
    let mut flat = Vec::new();
    for item in value.try_iter()? {
        if item.kind() == ValueKind::Seq {
            flat.extend(flatten(item)?);
        } else {
            flat.push(item);
        }
    }
    Ok(flat)
}

fn union(a: Vec<Value>, b: Vec<Value>) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    for value in a.into_iter().chain(b) {
        if !all.contains(&value) {
            all.push(value);
        }
    }
    all
}
