//! A change to a text, as a unified diff.

use super::escape::escape;
use super::style::{Style, Tone};
use crate::modules::Diff;
use similar::{ChangeTag, TextDiff};

/// The lines of a diff, each made safe, colored if wanted.
pub(super) fn lines(diff: &Diff, style: Style) -> Vec<String> {
    let name = escape(diff.name.as_bytes()).into_owned();
    let side = |text: &str| match text.is_empty() {
        true => "/dev/null".to_owned(),
        false => name.clone(),
    };
    let mut lines = vec![
        style.paint(Tone::Strong, format!("--- {}", side(&diff.before))),
        style.paint(Tone::Strong, format!("+++ {}", side(&diff.after))),
    ];
    lines.extend(hunks(&diff.before, &diff.after, 3, style));
    lines
}

/// The hunks of a diff of two texts.
pub(super) fn hunks(before: &str, after: &str, context: usize, style: Style) -> Vec<String> {
    let diff = TextDiff::from_lines(before, after);
    let mut lines = Vec::new();
    for hunk in diff.unified_diff().context_radius(context).iter_hunks() {
        lines.push(style.paint(Tone::Place, hunk.header()));
        for change in hunk.iter_changes() {
            let text = change.value();
            let ended = text.strip_suffix('\n');
            let text = escape(ended.unwrap_or(text).as_bytes());
            lines.push(match change.tag() {
                ChangeTag::Equal => format!(" {text}"),
                ChangeTag::Delete => style.paint(Tone::Removed, format!("-{text}")),
                ChangeTag::Insert => style.paint(Tone::Good, format!("+{text}")),
            });
            if ended.is_none() {
                lines.push(style.paint(Tone::Faint, "\\ no newline at the end"));
            }
        }
    }
    lines
}

/// How many lines differ between two texts.
pub(super) fn changed(before: &str, after: &str) -> usize {
    let diff = TextDiff::from_lines(before, after);
    let changes = diff.iter_all_changes();
    changes
        .filter(|change| change.tag() != ChangeTag::Equal)
        .count()
}
