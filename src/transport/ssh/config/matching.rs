//! `Host` and `Match` lines.

use super::file::Line;
use super::words::{self, Word};
use crate::diagnostic::Problem;
use crate::transport::ssh::pattern;

/// Who the conditions of a `Match` are about.
pub struct Subject<'a> {
    /// The name to dial, as far as it is known.
    pub host: String,
    /// The name that was asked for.
    pub original_host: &'a str,
    /// The user to log in as.
    pub user: &'a str,
    /// The user of this machine.
    pub local_user: &'a str,
    /// Whether the files are gone through for the second time.
    pub in_final: bool,
}

/// What a `Match` line says.
pub struct Matched {
    /// Whether what follows applies.
    pub applies: bool,
    /// Whether the files are to be gone through once more.
    pub wants_final: bool,
}

/// Whether what follows a `Host` line applies to a host by one of its names. A name that is ruled out with `!` rules
/// out the host.
pub fn host_line(line: &Line, names: &[Option<&str>]) -> Result<bool, Problem> {
    let mut found = false;
    for word in &line.arguments {
        let (negated, text) = match word.text.strip_prefix('!') {
            Some(text) => (true, text),
            None => (false, word.text.as_str()),
        };
        if word.text.is_empty() {
            return Err(Problem::new("a name of `Host` is empty").at(line.place(word)));
        }
        let mut names = names.iter().flatten();
        if names.any(|name| pattern::matches(name.as_bytes(), text.as_bytes())) {
            if negated {
                return Ok(false);
            }
            found = true;
        }
    }
    Ok(found)
}

/// Whether what follows a `Match` line applies.
///
/// # Errors
///
/// A condition that nobody knows, or that is not supported while the others hold. With `matters` unset the latter is fine.
pub fn match_line(line: &Line, subject: &Subject<'_>, matters: bool) -> Result<Matched, Problem> {
    let inside = |word: &Word| {
        let start = line.rest.span.start;
        line.place(&Word {
            text: word.text.clone(),
            span: start + word.span.start..start + word.span.end,
        })
    };
    let tokens = words::tokens(&line.rest.text).map_err(|span| {
        let word = Word {
            text: String::new(),
            span,
        };
        Problem::new("the quote has no end").at(inside(&word))
    })?;
    let mut matched = Matched {
        applies: true,
        wants_final: false,
    };
    let mut unsupported = None;
    let mut count = 0;
    let mut tokens = tokens
        .iter()
        .take_while(|token| !token.text.starts_with('#'));
    while let Some(token) = tokens.next() {
        let (negated, name) = match token.text.strip_prefix('!') {
            Some(name) => (true, name),
            None => (false, token.text.as_str()),
        };
        let name = name.to_ascii_lowercase();
        count += 1;
        if name == "all" {
            // OpenSSH lets one other condition stand before it, for the sake of `final all`.
            if count > 2 || tokens.next().is_some() {
                return Err(Problem::new("`all` stands alone in a `Match`").at(inside(token)));
            }
            matched.applies &= !negated;
            return Ok(matched);
        }
        if name == "final" || name == "canonical" {
            matched.wants_final |= name == "final";
            matched.applies &= subject.in_final != negated;
            continue;
        }
        let Some(list) = tokens.next() else {
            return Err(Problem::new(format!("`{name}` says nothing to match")).at(inside(token)));
        };
        let holds = |text: &str, fold| {
            pattern::matches_list(text.as_bytes(), list.text.as_bytes(), fold) != negated
        };
        matched.applies &= match name.as_str() {
            "host" => holds(&subject.host, true),
            "originalhost" => holds(subject.original_host, true),
            "user" => holds(subject.user, false),
            "localuser" => holds(subject.local_user, false),
            "exec" | "tagged" | "localnetwork" | "sessiontype" | "command" | "version" => {
                unsupported.get_or_insert((name, token));
                true
            }
            _ => {
                let known = [
                    "all",
                    "canonical",
                    "final",
                    "host",
                    "localuser",
                    "originalhost",
                    "user",
                ];
                return Err(
                    Problem::new(format!("unknown condition `{name}` in a `Match`"))
                        .at(inside(token))
                        .did_you_mean(&name, known),
                );
            }
        };
    }
    if count == 0 {
        return Err(Problem::new("a `Match` needs a condition").at(line.place(&line.keyword)));
    }
    match unsupported {
        Some((name, token)) if matched.applies && matters => Err(Problem::new(format!(
            "`Match {name}` is not supported, and decides here about {}",
            subject.original_host
        ))
        .at(inside(token))
        .help("name the hosts instead: `Match host` or `Host`, or put a `!` for them before the others")),
        _ => Ok(matched),
    }
}
