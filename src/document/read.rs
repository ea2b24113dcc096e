//! Readers of single values, for everything that takes them: texts, numbers, file modes, durations.

use super::{Data, Node};
use crate::diagnostic::Problem;
use std::time::Duration;

/// A text; numbers and booleans are taken as written.
pub fn text(node: &Node) -> Result<String, Problem> {
    match &node.data {
        Data::String(text) => Ok(text.clone()),
        Data::Integer(value) => Ok(value.to_string()),
        Data::Float(value) => Ok(value.to_string()),
        Data::Boolean(value) => Ok(value.to_string()),
        _ => Err(node.expected("a string")),
    }
}

/// True or false; `"true"` and `"false"` are taken too, since a template can yield them.
pub fn boolean(node: &Node) -> Result<bool, Problem> {
    match &node.data {
        Data::Boolean(value) => Ok(*value),
        Data::String(text) if text == "true" => Ok(true),
        Data::String(text) if text == "false" => Ok(false),
        _ => Err(node.expected("a boolean")),
    }
}

/// A whole number; its text is taken too, since a template can yield it.
pub fn integer(node: &Node) -> Result<i64, Problem> {
    match &node.data {
        Data::Integer(value) => Ok(*value),
        Data::String(text) => text.trim().parse().map_err(|_| node.expected("an integer")),
        _ => Err(node.expected("an integer")),
    }
}

/// File permissions.
pub fn mode(node: &Node) -> Result<u32, Problem> {
    let wrong = || {
        Problem::new("a mode is an octal number in quotes, such as \"0644\"").at(node.place.clone())
    };
    let Data::String(text) = &node.data else {
        return Err(
            wrong().help("a bare number is easily read as decimal; write the mode as a string")
        );
    };
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let octal =
        (3..=5).contains(&digits.len()) && digits.bytes().all(|b| (b'0'..=b'7').contains(&b));
    if !octal {
        return Err(wrong());
    }
    u32::from_str_radix(digits, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777)
        .ok_or_else(wrong)
}

/// A length of time: a number with `ms`, `s`, `m`, `h` or `d`, or a whole number of seconds.
pub fn duration(node: &Node) -> Result<Duration, Problem> {
    let wrong = || {
        Problem::new(
            "a duration is a number with a unit, such as \"500ms\", \"30s\", \"5m\" or \"1h\"",
        )
        .at(node.place.clone())
    };
    match &node.data {
        Data::Integer(seconds) => u64::try_from(*seconds)
            .map(Duration::from_secs)
            .map_err(|_| wrong()),
        Data::Float(seconds) => Duration::try_from_secs_f64(*seconds).map_err(|_| wrong()),
        Data::String(text) => parse_duration(text).ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

/// Reads `500ms`, `30s`, `5m`, `1.5h`, `2d`, or a number of seconds.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number.parse().ok()?;
    let scale = match unit.trim() {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return None,
    };
    Duration::try_from_secs_f64(number * scale).ok()
}
