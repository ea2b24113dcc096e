//! The forms that a secret may take in an output, and the automata that find them.

use super::view::{Seen, View};
use aho_corasick::{AhoCorasick, Input, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// Lines of a secret of several lines are secrets themselves from so many bytes on: `}` or `- a` are none.
const LINE: usize = 8;

/// What is known about all secrets.
#[derive(Default)]
pub(super) struct Forms {
    secrets: Vec<(String, String)>,
    markers: Vec<String>,
    searches: Vec<Search>,
}

/// What is looked for in one view of a text.
pub(super) struct Search {
    pub view: View,
    automaton: Option<AhoCorasick>,
    patterns: Vec<Pattern>,
    /// The positions of the patterns, in the order of their texts.
    sorted: Vec<usize>,
    longest: usize,
    /// Characters beside some of them belong to them.
    edges: bool,
}

struct Pattern {
    text: Vec<u8>,
    secret: usize,
    /// In base64 a part of the character before and behind it belongs to the secret, too.
    before: bool,
    after: bool,
}

/// Where in a text a secret stands.
pub(super) struct Hit {
    pub start: usize,
    pub end: usize,
    pub secret: usize,
    /// What follows may belong to it, and is not seen yet.
    pub open: bool,
}

impl Forms {
    /// With one more secret; `None` if it is known.
    pub fn with(&self, name: &str, value: &str) -> Option<Forms> {
        let value = value.trim_end_matches(['\r', '\n']);
        if self.secrets.iter().any(|(_, known)| known == value) {
            return None;
        }
        let mut secrets = self.secrets.clone();
        secrets.push((name.to_string(), value.to_string()));
        let mut plain = Vec::new();
        let mut coded = Vec::new();
        for (secret, (_, value)) in secrets.iter().enumerate() {
            plain.extend(texts(value).map(|text| Pattern::whole(text.into_bytes(), secret)));
            coded.extend(encoded(value.as_bytes(), secret));
        }
        let mut all: Vec<Pattern> = Vec::new();
        all.extend(plain.iter().map(Pattern::copy));
        all.extend(coded.iter().map(Pattern::copy));
        let mut searches = vec![
            Search::new(View::Raw, all),
            Search::new(View::Quoted, plain.iter().map(Pattern::copy).collect()),
            Search::new(View::Escaped, plain.iter().map(Pattern::copy).collect()),
            Search::new(View::Percent, plain),
            Search::new(View::Joined, coded),
        ];
        searches.retain(|search| !search.patterns.is_empty());
        let mut forms = Forms {
            markers: Vec::new(),
            secrets,
            searches,
        };
        forms.markers = (0..forms.secrets.len())
            .map(|secret| forms.marker_for(secret))
            .collect();
        Some(forms)
    }

    /// How many secrets there are.
    pub fn count(&self) -> usize {
        self.secrets.len()
    }

    /// What stands in place of a secret.
    pub fn marker(&self, secret: usize) -> &[u8] {
        self.markers.get(secret).map_or(b"", |text| text.as_bytes())
    }

    /// The forms that may go over several lines, each with its secret.
    pub fn encoded(&self) -> impl Iterator<Item = (&[u8], usize)> {
        let joined = self
            .searches
            .iter()
            .filter(|search| search.view == View::Joined);
        let patterns = joined.flat_map(|search| &search.patterns);
        patterns.map(|pattern| (pattern.text.as_slice(), pattern.secret))
    }

    /// What is looked for, view by view.
    pub fn searches(&self) -> &[Search] {
        &self.searches
    }

    /// Its name, unless that says a secret.
    fn marker_for(&self, secret: usize) -> String {
        let clean =
            |text: &String| !(self.secrets.iter()).any(|(_, value)| text.contains(value.as_str()));
        [
            format!("[secret {}]", self.secrets[secret].0),
            "*****".to_string(),
        ]
        .into_iter()
        .find(clean)
        .unwrap_or_default()
    }
}

impl Pattern {
    fn whole(text: Vec<u8>, secret: usize) -> Self {
        Self {
            text,
            secret,
            before: false,
            after: false,
        }
    }

    fn copy(&self) -> Self {
        Self {
            text: self.text.clone(),
            ..*self
        }
    }
}

impl Search {
    fn new(view: View, patterns: Vec<Pattern>) -> Self {
        let texts = patterns.iter().map(|pattern| &pattern.text);
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .build(texts);
        let mut sorted: Vec<usize> = (0..patterns.len()).collect();
        sorted.sort_by(|a, b| patterns[*a].text.cmp(&patterns[*b].text));
        Self {
            view,
            automaton: automaton.ok(),
            longest: patterns
                .iter()
                .map(|pattern| pattern.text.len())
                .max()
                .unwrap_or(0),
            edges: patterns.iter().any(|pattern| pattern.before),
            patterns,
            sorted,
        }
    }

    /// Every place where a secret stands, also where one overlaps another.
    pub fn hits(&self, seen: &Seen<'_>) -> Vec<Hit> {
        let text = &seen.bytes;
        let found = (self.automaton.as_ref())
            .and_then(|automaton| automaton.try_find_overlapping_iter(Input::new(text)).ok());
        let Some(found) = found else {
            // There are too many to look for, so nothing can be said to be free of them.
            return vec![Hit {
                start: 0,
                end: seen.end(text.len()),
                secret: 0,
                open: false,
            }];
        };
        let letter = |at: usize| text.get(at).is_some_and(|byte| is_base64(*byte));
        found
            .map(|found| {
                let pattern = &self.patterns[found.pattern().as_usize()];
                let (start, end) = (found.start(), found.end());
                let before = pattern.before && seen.adjoins(start) && letter(start - 1);
                let after = pattern.after && seen.adjoins(end) && letter(end);
                // A quote may turn out to be the first of several that stand for one.
                let quote = text.get(end - 1) == Some(&b'\'');
                Hit {
                    start: seen.start(start - usize::from(before)),
                    end: seen.end(end + usize::from(after)),
                    secret: pattern.secret,
                    open: (pattern.after || quote) && end == text.len(),
                }
            })
            .collect()
    }

    /// Where in a text the first form begins that what follows may complete; its end if there is none.
    pub fn beginning(&self, seen: &Seen<'_>) -> usize {
        let text = &seen.bytes;
        let from = text.len().saturating_sub(self.longest.saturating_sub(1));
        let begins = |start: &usize| self.is_beginning(&text[*start..]);
        let start = (from..text.len()).find(begins).unwrap_or(text.len());
        // The character before a piece of base64 may belong to it.
        let edge = self.edges && seen.adjoins(start) && is_base64(text[start - 1]);
        seen.start(start - usize::from(edge)).min(seen.sure)
    }

    /// Whether one of the patterns is longer than this and begins with it.
    fn is_beginning(&self, text: &[u8]) -> bool {
        let at = (self.sorted).partition_point(|at| self.patterns[*at].text.as_slice() <= text);
        let next = self.sorted.get(at);
        next.is_some_and(|next| self.patterns[*next].text.starts_with(text))
    }
}

/// A letter of one of the two alphabets.
fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte)
}

/// The texts that a value may show as: itself, its longer lines, and each with `+` for a blank.
fn texts(value: &str) -> impl Iterator<Item = String> {
    let lines = value
        .lines()
        .map(str::trim)
        .filter(|line| line.len() >= LINE);
    let mut texts: Vec<String> = [value]
        .into_iter()
        .chain(lines)
        .map(str::to_string)
        .collect();
    let blanks = texts.iter().filter(|text| text.contains(' '));
    let plus: Vec<String> = blanks.map(|text| text.replace(' ', "+")).collect();
    texts.extend(plus);
    texts.sort();
    texts.dedup();
    texts.into_iter()
}

/// A value in base64, in hex, and as Rust prints a list of bytes.
fn encoded(value: &[u8], secret: usize) -> Vec<Pattern> {
    let numbers: Vec<String> = value.iter().map(u8::to_string).collect();
    let mut patterns: Vec<Pattern> = [
        hex(value, |byte| format!("{byte:02x}")),
        hex(value, |byte| format!("{byte:02X}")),
        numbers.join(", "),
        numbers.join(","),
    ]
    .into_iter()
    .map(|text| Pattern::whole(text.into_bytes(), secret))
    .collect();
    for shift in 0..3 {
        let (text, before, after) = base64(value, shift);
        let url = text.replace('+', "-").replace('/', "_");
        let both = [Some(&text), (url != text).then_some(&url)];
        patterns.extend(both.into_iter().flatten().map(|text| Pattern {
            text: text.clone().into_bytes(),
            secret,
            before,
            after,
        }));
    }
    patterns
}

fn hex(value: &[u8], digits: fn(&u8) -> String) -> String {
    value.iter().map(digits).collect()
}

/// The characters of base64 that a value alone decides when so many bytes (of each three) come before it, and whether
/// the ones before and behind hold some of its bits.
fn base64(value: &[u8], shift: usize) -> (String, bool, bool) {
    let mut data = vec![0; shift];
    data.extend_from_slice(value);
    let text = STANDARD_NO_PAD.encode(&data);
    let start = (shift * 8).div_ceil(6);
    let bits = data.len() * 8;
    (
        text[start..bits / 6].to_string(),
        shift > 0,
        !bits.is_multiple_of(6),
    )
}
