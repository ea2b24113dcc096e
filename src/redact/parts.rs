//! What is no secret by itself, and shows a part of one: a line of wrapped base64, an older value in a diff.

use super::Redactor;
use super::forms::Forms;
use similar::{DiffOp, TextDiff};
use std::borrow::Cow;

/// So many characters of base64 at the edge of a line are no coincidence.
const PART: usize = 4;

impl Redactor {
    /// A single line of what a command prints, without secrets. Where the lines before and behind it are not known, it
    /// may hold a part of a secret in base64 or hex that goes over several lines.
    pub(super) fn line<'l>(&self, line: &'l [u8]) -> Cow<'l, [u8]> {
        let clean = self.bytes(line);
        let forms = self.forms();
        let text = line.trim_ascii();
        if let Some(secret) = (text.len() >= PART).then(|| forms.inside(text)).flatten() {
            return Cow::Owned(forms.marker(secret).to_vec());
        }
        let (start, end) = (forms.ends(&clean), forms.begins(&clean));
        if start.is_none() && end.is_none() {
            return clean;
        }
        let mut whole = Vec::new();
        let (mut from, mut to) = (0, clean.len());
        if let Some((length, secret)) = start {
            whole.extend_from_slice(forms.marker(secret));
            from = length;
        }
        let behind = end.map(|(length, secret)| {
            to = clean.len() - length;
            forms.marker(secret)
        });
        whole.extend_from_slice(clean.get(from..to).unwrap_or_default());
        whole.extend_from_slice(behind.unwrap_or_default());
        Cow::Owned(whole)
    }

    /// The text before a change, without the lines in whose place there are secrets now: they may hold older ones.
    pub(super) fn former(&self, before: &str, after: &str) -> Option<String> {
        if !self.holds(after.as_bytes()) {
            return None;
        }
        let diff = TextDiff::from_lines(before, after);
        let mut clean = String::new();
        for op in diff.ops() {
            let new = op.new_range().filter_map(|at| diff.new_slice(at));
            let new: String = new.collect();
            let replaced = matches!(op, DiffOp::Replace { .. }) && self.holds(new.as_bytes());
            for line in op.old_range().filter_map(|at| diff.old_slice(at)) {
                clean.push_str(match replaced {
                    true => "[in place of this line there is a secret]\n",
                    false => line,
                });
            }
        }
        Some(clean)
    }
}

impl Forms {
    /// Which secret has this in the middle of one of its encoded forms.
    fn inside(&self, text: &[u8]) -> Option<usize> {
        let mut forms = self.encoded();
        let found = forms.find(|(form, _)| memchr::memmem::find(form, text).is_some());
        found.map(|(_, secret)| secret)
    }

    /// The end of an encoded form at the start of a line: its length, and of which secret.
    fn ends(&self, line: &[u8]) -> Option<(usize, usize)> {
        let longest = |(form, secret): (&[u8], usize)| {
            let lengths = (PART..form.len().min(line.len())).rev();
            let length = lengths
                .into_iter()
                .find(|length| line.starts_with(&form[form.len() - length..]));
            Some((length?, secret))
        };
        self.encoded().filter_map(longest).max()
    }

    /// The start of an encoded form at the end of a line: its length, and of which secret.
    fn begins(&self, line: &[u8]) -> Option<(usize, usize)> {
        let longest = |(form, secret): (&[u8], usize)| {
            let lengths = (PART..form.len().min(line.len())).rev();
            let length = lengths
                .into_iter()
                .find(|length| line.ends_with(&form[..*length]));
            Some((length?, secret))
        };
        self.encoded().filter_map(longest).max()
    }
}
