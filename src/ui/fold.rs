//! Host names folded: `bookie[1-3]`, `web[01-05,09]`, `rack[1-2]node[1-8]`.
//!
//! Names that are alike but for numbers become one, as ClusterShell writes them. Where many names share
//! nothing but their beginning, that is written once, as a shell's braces do: `gp22aitppap{csve,92xg}`.

use std::collections::HashMap;
use unicode_width::UnicodeWidthStr;

/// The shortest beginning that is worth braces.
const PREFIX: usize = 4;

/// The names, folded and joined with commas, in the order in which they came.
///
/// ```
/// assert_eq!(runner::ui::fold::fold(&["web02", "web01", "web03", "db"]), "web[01-03], db");
/// ```
pub fn fold<S: AsRef<str>>(names: &[S]) -> String {
    let folded: Vec<String> = nodes(names).into_iter().map(|node| node.text).collect();
    folded.join(", ")
}

/// The names, folded and shortened until they fit a width: first with braces, then with `and 20 more`.
///
/// Empty if not even one name fits.
pub fn fit<S: AsRef<str>>(names: &[S], width: usize) -> String {
    let nodes = nodes(names);
    let whole = join(&nodes, ", ");
    if whole.width() <= width {
        return whole;
    }
    let prefix = shared_prefix(&nodes);
    let total: usize = nodes.iter().map(|node| node.count).sum();
    for shown in (1..=nodes.len()).rev() {
        let (head, tail) = nodes.split_at(shown);
        let more = match tail.iter().map(|node| node.count).sum::<usize>() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let text = braced(head, &prefix);
        if text.width() + more.len() <= width {
            return text + &more;
        }
    }
    let count = super::words::Count(total, "host").to_string();
    if count.len() <= width {
        count
    } else {
        String::new()
    }
}

/// All the names, folded, and with braces where they begin alike.
pub(super) fn short<S: AsRef<str>>(names: &[S]) -> String {
    let nodes = nodes(names);
    braced(&nodes, &shared_prefix(&nodes))
}

fn braced(nodes: &[Node], prefix: &str) -> String {
    if nodes.len() == 1 || prefix.is_empty() {
        return join(nodes, ", ");
    }
    let rest = nodes.iter().map(|node| &node.text[prefix.len()..]);
    format!("{prefix}{{{}}}", rest.collect::<Vec<_>>().join(","))
}

fn join(nodes: &[Node], with: &str) -> String {
    let texts: Vec<&str> = nodes.iter().map(|node| node.text.as_str()).collect();
    texts.join(with)
}

/// The beginning that all of several names share, if it is long enough.
fn shared_prefix(nodes: &[Node]) -> String {
    let Some((first, rest)) = nodes.split_first() else {
        return String::new();
    };
    let mut shared = first.text.len();
    for node in rest {
        let run = first
            .text
            .chars()
            .zip(node.text.chars())
            .take_while(|(mine, theirs)| mine == theirs)
            .map(|(mine, _)| mine.len_utf8())
            .sum::<usize>();
        shared = shared.min(run);
    }
    let prefix = &first.text[..shared];
    // A bracket must stay whole, and no name may be left empty.
    let prefix = prefix.split(['[', '{']).next().unwrap_or("");
    let spoilt = nodes.iter().any(|node| node.text.len() == prefix.len());
    if rest.is_empty() || prefix.chars().count() < PREFIX || spoilt {
        String::new()
    } else {
        prefix.to_owned()
    }
}

/// Some names in one.
struct Node {
    text: String,
    count: usize,
}

/// A number in a name as it is written: its value, and how many digits it has.
type Number = (u64, usize);

/// A name's numbers, each a set, when some names have been folded.
type Numbers = Vec<Vec<Number>>;

fn nodes<S: AsRef<str>>(names: &[S]) -> Vec<Node> {
    let mut order: Vec<Vec<&str>> = Vec::new();
    let mut alike: HashMap<Vec<&str>, Vec<Numbers>> = HashMap::new();
    for name in names {
        let (texts, numbers) = split(name.as_ref());
        let known = alike.entry(texts.clone()).or_insert_with(|| {
            order.push(texts);
            Vec::new()
        });
        known.push(numbers.into_iter().map(|number| vec![number]).collect());
    }
    let mut nodes = Vec::new();
    for texts in order {
        let mut entries = alike.remove(&texts).unwrap_or_default();
        for dimension in (0..texts.len() - 1).rev() {
            entries = merge(entries, dimension);
        }
        for numbers in entries {
            nodes.push(node(&texts, &numbers));
        }
    }
    nodes
}

/// Cuts a name into the texts around its numbers, and the numbers.
fn split(name: &str) -> (Vec<&str>, Vec<Number>) {
    let mut texts = Vec::new();
    let mut numbers = Vec::new();
    let mut start = 0;
    let mut at = 0;
    while at < name.len() {
        let digits = name[at..]
            .bytes()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        match name[at..at + digits].parse() {
            Ok(value) => {
                texts.push(&name[start..at]);
                numbers.push((value, digits));
                at += digits;
                start = at;
            }
            // No number here, or one that is too large to count with.
            Err(_) => at += digits.max(name[at..].chars().next().map_or(1, char::len_utf8)),
        }
    }
    texts.push(&name[start..]);
    (texts, numbers)
}

/// Makes one of the entries that differ only in one dimension.
fn merge(entries: Vec<Numbers>, dimension: usize) -> Vec<Numbers> {
    let mut merged: Vec<Numbers> = Vec::new();
    let mut places: HashMap<Numbers, usize> = HashMap::new();
    for mut entry in entries {
        let set = std::mem::take(&mut entry[dimension]);
        match places.get(&entry) {
            Some(place) => merged[*place][dimension].extend(set),
            None => {
                places.insert(entry.clone(), merged.len());
                entry[dimension] = set;
                merged.push(entry);
            }
        }
    }
    for entry in &mut merged {
        entry[dimension].sort_unstable();
        entry[dimension].dedup();
    }
    merged
}

fn node(texts: &[&str], numbers: &Numbers) -> Node {
    let mut text = texts[0].to_owned();
    for (set, behind) in numbers.iter().zip(&texts[1..]) {
        text.push_str(&ranges(set));
        text.push_str(behind);
    }
    Node {
        text,
        count: numbers.iter().map(Vec::len).product(),
    }
}

/// Sorted numbers as `[01-05,09]`; a single one without brackets.
fn ranges(set: &[Number]) -> String {
    let write = |(value, digits): Number| format!("{value:0digits$}");
    let mut parts: Vec<(Number, Number)> = Vec::new();
    for number in set {
        match parts.last_mut() {
            Some((_, last)) if follows(*last, *number) => *last = *number,
            _ => parts.push((*number, *number)),
        }
    }
    let texts: Vec<String> = parts
        .iter()
        .map(|(first, last)| match first == last {
            true => write(*first),
            false => format!("{}-{}", write(*first), write(*last)),
        })
        .collect();
    match set.len() {
        1 => texts.concat(),
        _ => format!("[{}]", texts.join(",")),
    }
}

/// Whether one number is written as the one after another: 10 follows 9 and 09, but 010 does not.
fn follows(before: Number, number: Number) -> bool {
    let grown = number.1 == before.1 + 1 && number.0.to_string().len() == number.1;
    before.0.checked_add(1) == Some(number.0) && (number.1 == before.1 || grown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn runs_of_numbers_become_ranges() {
        assert_eq!(fold(&["bookie1", "bookie2", "bookie3"]), "bookie[1-3]");
        assert_eq!(fold(&["web09", "web01", "web02"]), "web[01-02,09]");
        assert_eq!(fold(&["n9", "n10", "n11"]), "n[9-11]");
        assert_eq!(fold(&["n09", "n10"]), "n[09-10]");
        assert_eq!(fold(&["n9", "n010"]), "n[9,010]");
        assert_eq!(fold(&["db"]), "db");
        assert_eq!(fold::<&str>(&[]), "");
        assert_eq!(fold(&["a1.x", "b1.x", "a2.x"]), "a[1-2].x, b1.x");
    }

    #[test]
    fn several_numbers_fold_where_they_form_a_block() {
        let all = ["r1n1", "r1n2", "r2n1", "r2n2"];
        assert_eq!(fold(&all), "r[1-2]n[1-2]");
        assert_eq!(fold(&all[..3]), "r1n[1-2], r2n1");
    }

    #[test]
    fn names_without_a_pattern_are_listed() {
        let names = ["gp22aitppapcsve", "gp22aitppap92xg", "gp22aitppapch5z"];
        let listed = "gp22aitppapcsve, gp22aitppap92xg, gp22aitppapch5z";
        assert_eq!(fold(&names), listed);
        assert_eq!(fit(&names, 49), listed);
        assert_eq!(fit(&names, 48), "gp22aitppap{csve,92xg,ch5z}");
        assert_eq!(fit(&names, 26), "gp22aitppapcsve and 2 more");
        assert_eq!(fit(&names, 25), "3 hosts");
        assert_eq!(fit(&names, 5), "");
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let names = ["alpha", "beta", "gamma", "web1", "web2"];
        assert_eq!(fit(&names, 27), "alpha, beta and 3 more");
        assert_eq!(fit(&names, 18), "alpha and 4 more");
    }

    #[test]
    fn a_number_too_large_to_count_with_is_text() {
        assert_eq!(
            fold(&["h99999999999999999999999", "h2"]),
            "h99999999999999999999999, h2"
        );
    }

    /// Expands what `fold` wrote.
    fn expand(text: &str) -> Vec<String> {
        let Some((before, rest)) = text.split_once('[') else {
            return vec![text.to_owned()];
        };
        let (set, behind) = rest.split_once(']').unwrap();
        let mut all = Vec::new();
        for part in set.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            for value in first.parse::<u64>().unwrap()..=last.parse::<u64>().unwrap() {
                let digits = first.len();
                for tail in expand(behind) {
                    all.push(format!("{before}{value:0digits$}{tail}"));
                }
            }
        }
        all
    }

    proptest! {
        #[test]
        fn folded_names_are_the_same_names(names in proptest::collection::btree_set("[ab]{0,1}[0-9]{1,2}(n[0-9]{1,3})?", 1..40)) {
            let names: Vec<String> = names.into_iter().collect();
            let mut back: Vec<String> = fold(&names).split(", ").flat_map(expand).collect();
            back.sort();
            prop_assert_eq!(back, names);
        }

        #[test]
        fn what_must_fit_fits(names in proptest::collection::btree_set("[a-c]{1,9}[0-9]{0,2}", 1..40), width in 0usize..100) {
            let names: Vec<String> = names.into_iter().collect();
            prop_assert!(fit(&names, width).width() <= width);
        }
    }
}
