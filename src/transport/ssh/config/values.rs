//! The values of keywords.

use super::Setting;
use super::file::Line;
use super::tokens::expand;
use super::words::Word;
use crate::diagnostic::Problem;
use crate::transport::ssh::settings::{Jump, StrictHostKeyChecking};
use std::net::IpAddr;
use std::time::Duration;

fn setting<T>(line: &Line, word: &Word, value: T) -> Setting<T> {
    Setting {
        value,
        place: line.place(word),
    }
}

fn wrong(line: &Line, word: &Word, expected: &str) -> Problem {
    Problem::new(format!(
        "`{}` is no value for `{}`",
        word.text, line.keyword.text
    ))
    .at(line.place(word))
    .label(expected)
}

/// One word.
pub fn word(line: &Line) -> Result<Setting<String>, Problem> {
    let word = line.argument()?;
    Ok(setting(line, word, word.text.clone()))
}

/// `yes` or `no`.
pub fn flag(line: &Line) -> Result<Setting<bool>, Problem> {
    let word = line.argument()?;
    match word.text.to_ascii_lowercase().as_str() {
        "yes" | "true" => Ok(setting(line, word, true)),
        "no" | "false" => Ok(setting(line, word, false)),
        _ => Err(wrong(line, word, "`yes` or `no`")),
    }
}

/// A port.
pub fn port(line: &Line) -> Result<Setting<u16>, Problem> {
    let word = line.argument()?;
    match word.text.parse() {
        Ok(port) if port > 0 && !word.text.starts_with('+') => Ok(setting(line, word, port)),
        _ => Err(wrong(line, word, "1 to 65535")),
    }
}

/// A whole number.
pub fn number(line: &Line) -> Result<Setting<u32>, Problem> {
    let word = line.argument()?;
    match word.text.parse() {
        Ok(number) => Ok(setting(line, word, number)),
        Err(_) => Err(wrong(line, word, "a whole number")),
    }
}

/// A time as `90`, `1m30s`, `2h`. `None` for `none`.
pub fn time(line: &Line) -> Result<Option<Setting<Duration>>, Problem> {
    let word = line.argument()?;
    if word.text == "none" {
        return Ok(None);
    }
    match seconds(&word.text) {
        Some(seconds) => Ok(Some(setting(line, word, Duration::from_secs(seconds)))),
        None => Err(wrong(line, word, "seconds, or as in `1m30s`")),
    }
}

fn seconds(text: &str) -> Option<u64> {
    let mut total: u64 = 0;
    let mut rest = text;
    if text.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = rest[digits..].chars().next();
        let factor = match unit.map(|unit| unit.to_ascii_lowercase()) {
            None | Some('s') => 1,
            Some('m') => 60,
            Some('h') => 60 * 60,
            Some('d') => 24 * 60 * 60,
            Some('w') => 7 * 24 * 60 * 60,
            Some(_) => return None,
        };
        total = total.checked_add(number.checked_mul(factor)?)?;
        rest = &rest[digits + usize::from(unit.is_some())..];
    }
    // OpenSSH counts in an int.
    i32::try_from(total).is_ok().then_some(total)
}

/// What to do with unknown host keys.
pub fn strictness(line: &Line) -> Result<Setting<StrictHostKeyChecking>, Problem> {
    let word = line.argument()?;
    let value = match word.text.to_ascii_lowercase().as_str() {
        "yes" | "true" => StrictHostKeyChecking::Yes,
        "no" | "false" | "off" => StrictHostKeyChecking::No,
        "accept-new" => StrictHostKeyChecking::AcceptNew,
        "ask" => StrictHostKeyChecking::Ask,
        _ => return Err(wrong(line, word, "`yes`, `accept-new`, `no` or `ask`")),
    };
    Ok(setting(line, word, value))
}

/// Paths, or `none` alone.
pub fn files(line: &Line) -> Result<Setting<Vec<String>>, Problem> {
    let [first, more @ ..] = line.arguments.as_slice() else {
        return Err(
            Problem::new(format!("`{}` has no argument", line.keyword.text))
                .at(line.place(&line.keyword)),
        );
    };
    for word in &line.arguments {
        if word.text.is_empty() {
            return Err(wrong(line, word, "a path"));
        }
        if word.text.eq_ignore_ascii_case("none") && !more.is_empty() {
            return Err(wrong(line, word, "`none` stands alone"));
        }
    }
    let paths = line
        .arguments
        .iter()
        .map(|word| word.text.clone())
        .collect();
    Ok(setting(line, first, paths))
}

/// Hosts to jump through, or `none`.
pub fn jumps(line: &Line) -> Result<Setting<String>, Problem> {
    // OpenSSH takes the rest of the line as it is, newer versions without a comment.
    let text = line.rest.text.trim_start_matches(['=', ' ', '\t']);
    let text = text.split('#').next().unwrap_or(text).trim_end();
    if !text.eq_ignore_ascii_case("none") {
        Jump::parse_list(text).map_err(|problem| problem.at(line.place(&line.rest)))?;
    }
    Ok(setting(line, &line.rest, text.to_string()))
}

/// Refuses a `ProxyCommand` other than `none`.
pub fn proxy_command(line: &Line) -> Result<(), Problem> {
    if line
        .rest
        .text
        .trim_start_matches(['=', ' ', '\t'])
        .eq_ignore_ascii_case("none")
    {
        return Ok(());
    }
    Err(not_supported(line, "`ProxyCommand`").help(
        "use `ProxyJump` for a hop over SSH, and `ProxyCommand none` or another file for the rest",
    ))
}

/// Refuses a list without any way to log in that the runner has.
pub fn authentications(line: &Line) -> Result<(), Problem> {
    let word = line.argument()?;
    let ours = ["publickey", "password", "keyboard-interactive"];
    if word.text.split(',').any(|name| ours.contains(&name)) {
        return Ok(());
    }
    Err(Problem::new(format!(
        "`PreferredAuthentications {}` leaves no way to log in",
        word.text
    ))
    .at(line.place(word))
    .help("add `publickey`"))
}

/// Refuses what is not supported, except for values that ask for what the runner does anyway.
pub fn unsupported(line: &Line, harmless: &[&str], help: &str) -> Result<(), Problem> {
    let value = line.arguments.first().map_or("", |word| word.text.as_str());
    if harmless
        .iter()
        .any(|known| known.eq_ignore_ascii_case(value))
    {
        return Ok(());
    }
    let name = if harmless.is_empty() {
        format!("`{}`", line.keyword.text)
    } else {
        format!("`{} {value}`", line.keyword.text)
    };
    Err(not_supported(line, &name).help(help))
}

fn not_supported(line: &Line, what: &str) -> Problem {
    Problem::new(format!("{what} is not supported")).at(line.place(&line.keyword))
}

/// The name to dial: `%h` is the name that was asked for.
pub fn host_name(setting: &Setting<String>, name: &str) -> Result<String, Problem> {
    expand(&setting.value, &[('h', name)], None)
        .map_err(|problem| Problem::new(problem).at(setting.place.clone()))
}

/// A host name as OpenSSH looks it up: names in lower case, addresses as they are.
pub fn canonical_host(host: String) -> String {
    if host.parse::<IpAddr>().is_ok() {
        host
    } else {
        host.to_ascii_lowercase()
    }
}
