//! The paths that `Include` means.

use std::path::{Component, Path, PathBuf};

/// The paths that match a pattern with `*`, `?` and `[...]`, sorted. One without these is itself.
pub fn glob(pattern: &Path) -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::new()];
    for component in pattern.components() {
        let name = component.as_os_str().to_string_lossy();
        if !matches!(component, Component::Normal(_)) || !name.contains(['*', '?', '[']) {
            for path in &mut paths {
                path.push(component);
            }
            continue;
        }
        paths = paths
            .iter()
            .flat_map(|folder| inside(folder, &name))
            .collect();
    }
    paths.retain(|path| path.exists());
    paths
}

fn inside(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let pattern: Vec<char> = pattern.chars().collect();
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        // A leading dot is only matched by a dot.
        .filter(|name| !name.starts_with('.') || pattern.first() == Some(&'.'))
        .filter(|name| matches(&name.chars().collect::<Vec<_>>(), &pattern))
        .collect();
    names.sort_unstable();
    names.into_iter().map(|name| folder.join(name)).collect()
}

fn matches(name: &[char], pattern: &[char]) -> bool {
    match (pattern, name) {
        ([], _) => name.is_empty(),
        (['*', rest @ ..], _) => (0..=name.len()).any(|taken| matches(&name[taken..], rest)),
        (['?', rest @ ..], [_, name @ ..]) => matches(name, rest),
        (['[', ..], [first, name @ ..]) => match class(pattern, *first) {
            Some((true, rest)) => matches(name, rest),
            Some((false, _)) => false,
            // Without an end it is a bracket.
            None => *first == '[' && matches(name, &pattern[1..]),
        },
        ([first, rest @ ..], [other, name @ ..]) => first == other && matches(name, rest),
        _ => false,
    }
}

/// Whether a `[...]` at the start has this character, and what follows it.
fn class(pattern: &[char], c: char) -> Option<(bool, &[char])> {
    let negated = matches!(pattern.get(1), Some('!' | '^'));
    let start = if negated { 2 } else { 1 };
    // A bracket that comes first is one of the characters.
    let end = (start + 1..pattern.len()).find(|at| pattern[*at] == ']')?;
    let mut members = &pattern[start..end];
    let mut found = false;
    while let Some((first, rest)) = members.split_first() {
        members = match rest {
            ['-', last, rest @ ..] => {
                found |= (*first..=*last).contains(&c);
                rest
            }
            rest => {
                found |= *first == c;
                rest
            }
        };
    }
    Some((found != negated, &pattern[end + 1..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (name, pattern, expected) in [
            ("a.conf", "*.conf", true),
            ("a.conf", "?.conf", true),
            ("ab.conf", "?.conf", false),
            ("a1", "a[0-9]", true),
            ("ax", "a[!0-9]", true),
            ("a1", "a[^0-9]", false),
            ("a]", "a[]]", true),
            ("a[", "a[", true),
        ] {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            assert_eq!(
                matches(&chars(name), &chars(pattern)),
                expected,
                "{name} {pattern}"
            );
        }
    }

    #[test]
    fn files_in_order_without_hidden_ones() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.conf", "a.conf", ".c.conf", "d.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(
            glob(&folder.path().join("*.conf")),
            [folder.path().join("a.conf"), folder.path().join("b.conf")]
        );
        assert!(glob(&folder.path().join("none")).is_empty());
    }
}
