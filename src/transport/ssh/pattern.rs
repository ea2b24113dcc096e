//! OpenSSH's patterns: `*` and `?`, and comma lists with negation.
//!
//! `known_hosts` files need not be UTF-8, so these work on bytes.

/// The longest part of a list that OpenSSH looks at; a list with a longer one matches nothing.
pub const LONGEST_PART: usize = 1022;

/// Whether a name matches a pattern of plain bytes, `*` (any bytes, or none) and `?` (any one byte).
pub fn matches(name: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut next) = (0, 0);
    // Where to go on after the last `*`, should the shortest match for it be too short.
    let mut retry = None;
    loop {
        match pattern.get(next) {
            Some(b'*') => {
                next += 1;
                retry = Some((at, next));
                continue;
            }
            Some(byte) if at < name.len() && (*byte == b'?' || *byte == name[at]) => {
                at += 1;
                next += 1;
                continue;
            }
            None if at == name.len() => return true,
            _ => {}
        }
        match retry {
            Some((from, after)) if from < name.len() => {
                at = from + 1;
                next = after;
                retry = Some((at, after));
            }
            _ => return false,
        }
    }
}

/// Whether a name matches a comma list of patterns. One that starts with `!` and matches rules the name out,
/// wherever it stands. With `fold` the patterns count as lower case; the name is taken as it is.
pub fn matches_list(name: &[u8], list: &[u8], fold: bool) -> bool {
    let mut found = false;
    for part in list.split(|byte| *byte == b',') {
        let (negated, part) = match part {
            [b'!', rest @ ..] => (true, rest),
            _ => (false, part),
        };
        if part.len() > LONGEST_PART {
            return false;
        }
        let hit = if fold {
            matches(name, &part.to_ascii_lowercase())
        } else {
            matches(name, part)
        };
        if hit && negated {
            return false;
        }
        found |= hit;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (name, pattern, expected) in [
            ("web1", "web1", true),
            ("web1", "web?", true),
            ("web1", "web*", true),
            ("web1", "*", true),
            ("", "*", true),
            ("", "", true),
            ("web1", "", false),
            ("web1", "web", false),
            ("web", "web?", false),
            ("a.b.c", "*.c", true),
            ("a.b.c", "a*b*c", true),
            ("a.b.c", "*?c", true),
            ("c", "*?c", false),
            ("aaab", "*aab", true),
            ("a*b", "a*b", true),
        ] {
            assert_eq!(
                matches(name.as_bytes(), pattern.as_bytes()),
                expected,
                "{name} {pattern}"
            );
        }
    }

    #[test]
    fn a_negation_rules_out_wherever_it_stands() {
        for (name, list, expected) in [
            ("web1", "db1,web1", true),
            ("web1", "web*,!web1", false),
            ("web1", "!web1,web*", false),
            ("web2", "!web1", false),
            ("web2", "!web1,*", true),
            ("web1", "WEB1", true),
            ("WEB1", "WEB1", false),
            ("web1", "", false),
            ("web1", ",,web1", true),
        ] {
            assert_eq!(
                matches_list(name.as_bytes(), list.as_bytes(), true),
                expected,
                "{name} {list}"
            );
        }
        let long = format!("{},web1", "x".repeat(LONGEST_PART + 1));
        assert!(!matches_list(b"web1", long.as_bytes(), true));
    }
}
