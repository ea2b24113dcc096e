//! Patterns: which hosts a play, a command or `--limit` means.
//!
//! A pattern is a list of terms, joined by `:` or `,`. A term is the name of a host or group, `all`, a glob, a range
//! of names, a slice of another term (`zookeeper[0]`, `all[0:9]`, both ends included), a regular expression
//! (`~web\d+`) or a list in a file (`@file`). Terms add up; whatever the order, those that begin with `&` then keep
//! only what they name, and those that begin with `!` take away.

mod select;
mod term;

use crate::diagnostic::{Place, Problem, Problems, Source};
use crate::document::{Data, Node};
pub use select::{Lookup, SelectError};
use std::fmt;
use std::net::Ipv6Addr;
use std::ops::Range;
use term::Term;

/// A pattern that is well formed. What it means is decided by [`Inventory::select`](super::Inventory::select).
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    place: Place,
    terms: Vec<Term>,
}

/// What a term does with the hosts that it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Op {
    /// Adds them.
    Union,
    /// Keeps only them.
    Intersection,
    /// Takes them away.
    Exclusion,
}

impl Pattern {
    /// Parses a pattern that the operator gave as an option or argument, which is named in problems.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its place.
    ///
    /// # Examples
    ///
    /// ```
    /// use runner::inventory::Pattern;
    /// assert!(Pattern::option("--limit", "zookeeper:&etcd,!gp22*").is_ok());
    /// assert!(Pattern::option("--limit", "web[05:01]:").is_err());
    /// ```
    pub fn option(option: &str, text: &str) -> Result<Pattern, Problem> {
        Self::parse(text, &Source::new(option, text).place(0..text.len()))
    }

    /// Parses a pattern that stands at a place, quoted or not.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its place.
    pub fn parse(text: &str, place: &Place) -> Result<Pattern, Problem> {
        // With escapes in the quotes the positions differ: then the whole text is meant.
        let shift = place.text().find(text);
        let at = |span: Range<usize>| match shift {
            Some(shift) => place.within(span.start + shift..span.end + shift),
            None => place.clone(),
        };
        if let Some(piece) = text.split(',').find(|piece| is_ipv6(piece.trim())) {
            let start = piece.as_ptr() as usize - text.as_ptr() as usize;
            return Err(ipv6(piece.trim()).at(at(start..start + piece.len())));
        }
        let mut terms = Vec::new();
        for (span, separator) in split(text) {
            let piece = &text[span.clone()];
            let start = span.start + (piece.len() - piece.trim_start().len());
            let piece = piece.trim();
            if piece.is_empty() {
                // A list may end in a comma.
                if separator == Some(',') && span.end == text.len() {
                    continue;
                }
                return Err(empty(text).at(at(span.start.saturating_sub(1)..span.end + 1)));
            }
            let place_of = |inner: Range<usize>| at(start + inner.start..start + inner.end);
            terms.push(Term::parse(piece, &place_of)?);
        }
        Ok(Pattern {
            text: text.to_string(),
            place: place.clone(),
            terms,
        })
    }

    /// Parses the value of a key: a pattern, or a list of patterns that add up.
    ///
    /// # Errors
    ///
    /// All problems of all patterns.
    pub fn from_node(node: &Node) -> Result<Pattern, Problems> {
        let Data::Array(items) = &node.data else {
            return Ok(Self::parse(node.string()?, &node.place)?);
        };
        if items.is_empty() {
            return Err(Problem::new("the pattern is empty")
                .at(node.place.clone())
                .into());
        }
        let mut problems = Problems::new();
        let mut texts = Vec::new();
        let mut terms = Vec::new();
        for item in items {
            let parsed = item
                .string()
                .and_then(|text| Self::parse(text, &item.place));
            if let Some(pattern) = problems.note(parsed) {
                texts.push(pattern.text);
                terms.extend(pattern.terms);
            }
        }
        problems.or(Pattern {
            text: texts.join(","),
            place: node.place.clone(),
            terms,
        })
    }

    /// The pattern that means every host.
    pub fn all() -> Pattern {
        Pattern {
            text: "all".into(),
            place: Source::new("pattern", "all").place(0..3),
            terms: vec![Term::all()],
        }
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where it stands.
    pub fn place(&self) -> &Place {
        &self.place
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The terms, each with the separator before it. Separators inside of brackets do not count, and in a regular
/// expression not those inside of any parentheses.
fn split(text: &str) -> Vec<(Range<usize>, Option<char>)> {
    let mut terms = Vec::new();
    let (mut start, mut before, mut depth) = (0, None, 0usize);
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        let regex = text[start..]
            .trim_start_matches(['&', '!', ' '])
            .starts_with('~');
        match c {
            _ if escaped => escaped = false,
            '\\' if regex => escaped = true,
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            '(' | '{' if regex => depth += 1,
            ')' | '}' if regex => depth = depth.saturating_sub(1),
            ':' | ',' if depth == 0 => {
                terms.push((start..at, before));
                start = at + 1;
                before = Some(c);
            }
            _ => {}
        }
    }
    terms.push((start..text.len(), before));
    terms
}

fn empty(text: &str) -> Problem {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Problem::new("the pattern is empty").help("`all` means every host");
    }
    Problem::new("a term of the pattern is empty")
}

fn ipv6(piece: &str) -> Problem {
    Problem::new(format!(
        "`{piece}` is an IPv6 address, and `:` separates the terms of a pattern"
    ))
    .help("name the host as it stands in the inventory")
}

/// Whether this is an IPv6 address, bare, in brackets, or with a port.
fn is_ipv6(text: &str) -> bool {
    let inner = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inner, _)) => inner,
        None => text,
    };
    let bare = inner.split_once('%').map_or(inner, |(bare, _)| bare);
    bare.parse::<Ipv6Addr>().is_ok()
}
