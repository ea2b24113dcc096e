//! What holds for all patterns.

use crate::select;
use proptest::prelude::*;
use runner::inventory::Pattern;
use runner::inventory::range::expand;
use std::collections::BTreeSet;

/// Terms that match something.
fn term() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("all"),
        Just("web"),
        Just("db"),
        Just("site"),
        Just("front"),
        Just("cache"),
        Just("web0[1:4]"),
        Just("web[1:3]"),
        Just("web[-1]"),
        Just("*.example.com"),
        Just("~web0[3-5]"),
        Just("site[2:7]"),
        Just("none"),
    ]
    .prop_map(str::to_string)
}

/// The hosts as a set; no host at all is the empty set.
fn set(pattern: &str) -> BTreeSet<String> {
    match select(pattern) {
        Ok(hosts) => hosts.into_iter().collect(),
        Err(error) if error.contains("matches no host\n") => BTreeSet::new(),
        Err(error) => panic!("{error}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn patterns_are_sets(a in term(), b in term(), c in term()) {
        let (sa, sb, sc) = (set(&a), set(&b), set(&c));
        prop_assert_eq!(set(&format!("{a}:{b}")), &sa | &sb);
        prop_assert_eq!(set(&format!("{a},&{b}")), &sa & &sb);
        prop_assert_eq!(set(&format!("{a}:!{b}")), &sa - &sb);
        prop_assert_eq!(set(&format!("!{b}:{a}:{c}")), &(&sa | &sc) - &sb);
        prop_assert_eq!(set(&format!("{a}:!{c}:&{b}")), &(&sa & &sb) - &sc);
    }

    #[test]
    fn no_host_is_selected_twice(a in term(), b in term()) {
        if let Ok(hosts) = select(&format!("{a}:{b}")) {
            let set: BTreeSet<&String> = hosts.iter().collect();
            prop_assert_eq!(set.len(), hosts.len());
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in any::<String>()) {
        if let Err(problem) = Pattern::option("--limit", &text) {
            let _ = problem.to_string();
        }
        let _ = expand(&text);
    }

    #[test]
    fn any_text_of_the_right_letters_is_selected_or_refused(text in r"[webd0-3\[\]:,!&*?~.()\\ é-]{0,16}") {
        if let Err(error) = select(&text) {
            prop_assert!(error.starts_with("exit "));
        }
    }

    #[test]
    fn a_range_has_all_its_numbers_in_order(first in 0usize..500, count in 0usize..50, step in 1usize..7, width in 0usize..5) {
        let last = first + count;
        let names = expand(&format!("h[{first:0width$}:{last}:{step}]x")).unwrap();
        let wanted: Vec<usize> = (first..=last).step_by(step).collect();
        let numbers: Vec<usize> = names.iter().map(|name| name[1..name.len() - 1].parse().unwrap()).collect();
        prop_assert_eq!(numbers, wanted);
        if format!("{first:0width$}").starts_with('0') {
            prop_assert!(names.iter().all(|name| name.len() >= 2 + width));
        }
    }
}
