//! Redacts what comes in pieces: a secret may be cut anywhere.
//!
//! What may be the beginning of a secret is held back until it is known. The result does not depend on the cuts.

use super::forms::{Forms, Hit};
use super::view::View;
use std::sync::Arc;

/// So much is looked at in one go.
const PIECE: usize = 64 * 1024;

/// A filter for what comes in pieces.
pub struct Stream {
    forms: Arc<Forms>,
    /// What was pushed and is not decided yet.
    held: Vec<u8>,
    /// So much at the start of it belongs to a secret whose place was taken already.
    covered: usize,
    found: bool,
}

impl Stream {
    pub(super) fn new(forms: Arc<Forms>) -> Self {
        Self {
            forms,
            held: Vec::new(),
            covered: 0,
            found: false,
        }
    }

    /// Takes the next piece, and answers all that can be said of the text by now.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<u8> {
        if self.forms.count() == 0 {
            return bytes.to_vec();
        }
        let mut clean = Vec::with_capacity(bytes.len());
        for piece in bytes.chunks(PIECE) {
            self.held.extend_from_slice(piece);
            self.decide(false, &mut clean);
        }
        clean
    }

    /// Nothing follows: answers what was held back.
    pub fn finish(&mut self) -> Vec<u8> {
        let mut clean = Vec::new();
        self.decide(true, &mut clean);
        self.held.clear();
        self.covered = 0;
        clean
    }

    /// How much is held back.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether a whole text holds a secret.
    pub(super) fn finds(mut self, bytes: &[u8]) -> bool {
        for piece in bytes.chunks(PIECE) {
            self.push(piece);
            if self.found {
                return true;
            }
        }
        self.finish();
        self.found
    }

    /// Says what can be said of the held text, and keeps the rest.
    fn decide(&mut self, last: bool, clean: &mut Vec<u8>) {
        let forms = self.forms.clone();
        let (spans, sure) = self.look(&forms, last);
        let mut at = 0;
        let mut covered = 0;
        for (index, span) in spans.iter().enumerate() {
            let begun = index == 0 && self.covered > 0;
            if span.start >= sure && !begun {
                break;
            }
            if !begun {
                clean.extend_from_slice(&self.held[at..span.start]);
                clean.extend_from_slice(forms.marker(span.secret));
                self.found = true;
            }
            at = span.end;
            covered = span.end.saturating_sub(sure);
        }
        if at < sure {
            clean.extend_from_slice(&self.held[at..sure]);
        }
        self.held.drain(..sure);
        self.covered = covered;
    }

    /// Where secrets stand in the held text, and up to where that is sure.
    fn look(&self, forms: &Forms, last: bool) -> (Vec<Hit>, usize) {
        let text = &self.held;
        let mut sure = text.len();
        let mut spans = Vec::new();
        let mut views = Vec::new();
        for search in forms.searches() {
            // A text that looks the same in a view was looked through as it is, for the same.
            if search.view == View::Raw || search.view.differs(text) {
                let seen = search.view.see(text, last);
                spans.extend(search.hits(&seen));
                sure = sure.min(search.beginning(&seen));
                views.push(seen);
            }
        }
        let spans = joined(spans, self.covered);
        if last {
            return (spans, text.len());
        }
        // A secret that may take one more byte is not over yet.
        let open = (spans.iter()).find(|span| span.open && span.end == text.len());
        sure = open.map_or(sure, |span| sure.min(span.start));
        // What means one byte stays together in every view.
        while let Some(earlier) = views
            .iter()
            .map(|seen| seen.whole(sure))
            .find(|at| *at < sure)
        {
            sure = earlier;
        }
        (spans, sure)
    }
}

/// The spans in order, those that overlap as one, which goes by the name of the first. So much at the start is one from
/// before.
fn joined(mut spans: Vec<Hit>, covered: usize) -> Vec<Hit> {
    spans.sort_by_key(|span| (span.start, span.secret));
    let mut all: Vec<Hit> = Vec::new();
    if covered > 0 {
        all.push(Hit {
            start: 0,
            end: covered,
            secret: 0,
            open: false,
        });
    }
    for span in spans {
        match all.last_mut() {
            Some(last) if span.start < last.end => {
                last.open = match span.end.cmp(&last.end) {
                    std::cmp::Ordering::Greater => span.open,
                    std::cmp::Ordering::Equal => span.open || last.open,
                    std::cmp::Ordering::Less => last.open,
                };
                last.end = last.end.max(span.end);
            }
            _ => all.push(span),
        }
    }
    all
}
