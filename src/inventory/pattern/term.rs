//! One term of a pattern.

use super::Op;
use crate::diagnostic::{Place, Problem};
use crate::inventory::range::expand;
use regex::Regex;
use std::ops::Range;

/// A term that is well formed.
#[derive(Debug, Clone)]
pub(super) struct Term {
    pub op: Op,
    /// The text without `&` and `!`.
    pub text: String,
    pub place: Place,
    /// Read as the slice of another term, where it can be.
    pub slice: Option<(Kind, Slice)>,
    /// Read without a slice, where it can be. One of the two is there.
    pub plain: Option<Kind>,
}

/// What a term names.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// A host or a group.
    Name(String),
    /// Hosts and groups whose whole name matches.
    Glob(Regex),
    /// Hosts and groups whose name begins with a match.
    Regex(Regex),
    /// These hosts.
    Names(Vec<String>),
    /// The hosts in a list of this name.
    List(String),
}

/// A part of some hosts, both ends included; negative positions count from the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slice {
    One(i64),
    Range(i64, i64),
}

impl Term {
    /// The term that means every host.
    pub fn all() -> Term {
        Term {
            op: Op::Union,
            text: "all".into(),
            place: crate::diagnostic::Source::new("pattern", "all").place(0..3),
            slice: None,
            plain: Some(Kind::Name("all".into())),
        }
    }

    /// Reads a term without blanks around it.
    pub fn parse(piece: &str, at: &dyn Fn(Range<usize>) -> Place) -> Result<Term, Problem> {
        let (op, rest) = match piece.as_bytes().first() {
            Some(b'&') => (Op::Intersection, &piece[1..]),
            Some(b'!') => (Op::Exclusion, &piece[1..]),
            _ => (Op::Union, piece),
        };
        let text = rest.trim_start();
        let start = piece.len() - text.len();
        let place = at(0..piece.len());
        let inner = |span: Range<usize>| at(span.start + start..span.end + start);
        if text.is_empty() || text.starts_with(['&', '!']) {
            return Err(Problem::new(format!(
                "`{}` must be followed by the hosts that it is for",
                &piece[..1]
            ))
            .at(place));
        }
        let (slice, plain) = if let Some(expression) = text.strip_prefix('~') {
            (None, Some(Kind::Regex(regex(expression, &place)?)))
        } else if let Some(name) = text.strip_prefix('@') {
            if name.is_empty() {
                return Err(Problem::new("`@` must be followed by the name of a file").at(place));
            }
            (None, Some(Kind::List(name.to_string())))
        } else {
            brackets(text, &inner)?
        };
        Ok(Term {
            op,
            text: text.to_string(),
            place,
            slice,
            plain,
        })
    }
}

type Readings = (Option<(Kind, Slice)>, Option<Kind>);

/// Both ways to read a text that may end in brackets: `web[1:5]` is a slice of the group `web` if there is one,
/// and else five hosts.
fn brackets(text: &str, at: &dyn Fn(Range<usize>) -> Place) -> Result<Readings, Problem> {
    let plain = plain(text, at);
    let open = match text.rfind('[') {
        Some(open) if open > 0 && text.ends_with(']') => open,
        _ => return Ok((None, Some(plain?))),
    };
    let Some(slice) = slice(&text[open + 1..text.len() - 1]) else {
        return Ok((None, Some(plain?)));
    };
    match (self::plain(&text[..open], at), plain) {
        (Ok(base), plain) => Ok((Some((base, slice)), plain.ok())),
        (Err(_), plain) => Ok((None, Some(plain?))),
    }
}

fn plain(text: &str, at: &dyn Fn(Range<usize>) -> Place) -> Result<Kind, Problem> {
    let foreign =
        |c: char| c.is_whitespace() || c.is_control() || r#"@(){}|\/'"`$;<>&"#.contains(c);
    if let Some((found, c)) = text.char_indices().find(|(_, c)| foreign(*c)) {
        let problem = Problem::new(format!("{c:?} cannot stand in the name of a host or group"))
            .at(at(found..found + c.len_utf8()));
        return Err(match c {
            c if c.is_whitespace() => problem.help("separate hosts and groups by `,` or `:`"),
            '@' => problem.help("only the name of the host stands here; the user is given by `--user` or in the inventory"),
            '&' => problem.help("to keep only the hosts of a group, write `:&group`"),
            _ => problem.help("a regular expression starts with `~`"),
        });
    }
    if text == "*" {
        return Ok(Kind::Name("all".into()));
    }
    let ranges = text.split('[').skip(1).any(|rest| {
        rest.split(']')
            .next()
            .is_some_and(|inner| inner.contains(':'))
    });
    let starred = text.contains(['*', '?']);
    if ranges && !starred || text.matches('[').count() != text.matches(']').count() {
        let names = expand(text);
        let names = names.map_err(|error| Problem::new(error.message).at(at(error.span)))?;
        return Ok(Kind::Names(names));
    }
    if starred || text.contains('[') {
        let glob = glob(text);
        let glob = Regex::new(&glob);
        return glob
            .map(Kind::Glob)
            .map_err(|_| Problem::new(format!("`{text}` is not a glob")).at(at(0..text.len())));
    }
    Ok(Kind::Name(text.to_string()))
}

/// `0`, `-1`, `0:2`, `1:`, `:2`. Zeros in front of a number belong to names: `web[01:05]` is a range.
fn slice(inner: &str) -> Option<Slice> {
    let number = |text: &str| {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let padded = digits.len() > 1 && digits.starts_with('0');
        if plain && !padded {
            text.parse().ok()
        } else {
            None
        }
    };
    match inner.split_once(':') {
        None => number(inner).map(Slice::One),
        Some((first, last)) => {
            let first = if first.is_empty() {
                Some(0)
            } else {
                number(first)
            };
            let last = if last.is_empty() {
                Some(-1)
            } else {
                number(last)
            };
            Some(Slice::Range(first?, last?))
        }
    }
}

impl Slice {
    /// The part of some hosts; empty when it is past their end.
    pub fn of(self, hosts: &[usize]) -> &[usize] {
        let length = i64::try_from(hosts.len()).unwrap_or(i64::MAX);
        let position = |at: i64| {
            if at < 0 {
                at.saturating_add(length)
            } else {
                at
            }
        };
        let (first, last) = match self {
            // A single position past an end is nothing, and not the nearest host.
            Slice::One(at) if position(at) < 0 => return &[],
            Slice::One(at) => (position(at), position(at)),
            Slice::Range(first, last) => (position(first).max(0), position(last)),
        };
        let end = last.saturating_add(1).clamp(0, length);
        let first = first.min(end);
        let index = |at: i64| usize::try_from(at).unwrap_or(0);
        &hosts[index(first)..index(end)]
    }
}

fn regex(expression: &str, place: &Place) -> Result<Regex, Problem> {
    Regex::new(&format!("^(?:{expression})")).map_err(|error| {
        let text = error.to_string();
        let last = text.lines().last().unwrap_or_default();
        let cause = last.trim_start_matches("error: ");
        Problem::new(format!(
            "`{expression}` is not a regular expression: {cause}"
        ))
        .at(place.clone())
    })
}

/// A glob as a regular expression: `*`, `?`, `[abc]`, `[a-c]`, `[!a-c]`.
fn glob(text: &str) -> String {
    let mut out = String::from("^(?s:");
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '[' => match class(rest) {
                Some((class, after)) => {
                    out.push_str(&class);
                    rest = after;
                }
                None => out.push_str("\\["),
            },
            _ => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out.push_str(")$");
    out
}

/// The class that begins behind a `[`, and what follows it.
fn class(rest: &str) -> Option<(String, &str)> {
    let (inner, after) = rest.split_once(']')?;
    let (not, inner) = match inner.strip_prefix('!') {
        Some(inner) => ("^", inner),
        None => ("", inner),
    };
    if inner.is_empty() {
        return None;
    }
    let mut out = format!("[{not}");
    let letters: Vec<char> = inner.chars().collect();
    for (at, c) in letters.iter().enumerate() {
        // A `-` between two letters makes a range, and else stands for itself.
        if *c == '-' && at > 0 && at + 1 < letters.len() {
            out.push('-');
        } else {
            out.push_str(&format!("\\x{{{:x}}}", u32::from(*c)));
        }
    }
    out.push(']');
    Some((out, after))
}
