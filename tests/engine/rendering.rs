//! Rendering and reading by themselves: values stay what they are, and nothing undefined passes.

use crate::scene::table;
use proptest::prelude::*;
use runner::diagnostic::Source;
use runner::document::{self, Node};
use runner::vars::{HostVariables, Lookup, PlayScope, Scope, Trouble, World};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;

/// A scope of host `h` with these layers, weakest first: inventory, play, task, facts, `-e`.
fn scope(inventory: &str, play: &str, task: &str, facts: &[(&str, Value)], extra: &str) -> Scope {
    let host = HostVariables {
        name: "h".into(),
        groups: vec!["g".into()],
        address: "10.0.0.1".into(),
        vars: table(inventory),
    };
    let world = Arc::new(World::new(
        vec![host],
        vec![
            ("all".into(), vec!["h".into()]),
            ("g".into(), vec!["h".into()]),
        ],
        table(extra),
        HashSet::from(["produced".to_string()]),
        false,
        Vec::new(),
    ));
    for (name, value) in facts {
        world.set("h", name, value.clone());
    }
    let play = Arc::new(PlayScope {
        vars: table(play),
        ..PlayScope::default()
    });
    let mut scope = Scope::new(&world, "h", &play);
    scope.task = Arc::new(table(task));
    scope
}

fn node(text: &str) -> Node {
    Node::from_value(&json!(text), &Source::new("x", text).place(0..text.len()))
}

fn render(scope: &Scope, text: &str) -> Result<Value, String> {
    match Lookup::new(scope.clone()).render(&node(text)) {
        Ok(node) => Ok(node.to_value()),
        Err(Trouble::Problem(problem)) => Err(problem.message),
        Err(Trouble::Later(name)) => Err(format!("later: {name}")),
    }
}

#[test]
fn an_expression_alone_yields_the_value_itself() {
    let scope = scope(
        "n = 7\nf = 1.5\nb = false\ns = \"07\"\nl = [1, [2]]\nt = { a = { b = \"c\" } }\nv = \"1.10\"",
        "",
        "",
        &[],
        "",
    );
    for (text, value) in [
        ("{{ n }}", json!(7)),
        (" {{ n }} ", json!(" 7 ")),
        ("{{- n -}}", json!(7)),
        ("{{ n + 1 }}", json!(8)),
        ("{{ f }}", json!(1.5)),
        ("{{ b }}", json!(false)),
        ("{{ s }}", json!("07")),
        ("{{ v }}", json!("1.10")),
        ("{{ l }}", json!([1, [2]])),
        ("{{ t }}", json!({"a": {"b": "c"}})),
        ("{{ t.a.b }}", json!("c")),
        ("{{ none }}", json!(null)),
        ("n={{ n }}", json!("n=7")),
        ("{{ n }}{{ n }}", json!("77")),
        ("{{ n }} {{ n }}\n", json!("7 7\n")),
        ("{% if b %}x{% endif %}", json!("")),
        ("{{ '{{' }} n }}", json!("{{ n }}")),
        ("no template", json!("no template")),
    ] {
        assert_eq!(render(&scope, text), Ok(value), "{text}");
    }
}

#[test]
fn nothing_undefined_passes() {
    let scope = scope("t = { a = 1 }\nl = [1]", "", "", &[], "");
    for (text, message) in [
        ("{{ nope }}", "`nope` is undefined"),
        ("x{{ nope }}", "`nope` is undefined"),
        ("{% if nope %}x{% endif %}", "`nope` is undefined"),
        ("{% for x in nope %}x{% endfor %}", "`nope` is undefined"),
        ("{{ nope ~ 'x' }}", "`nope` is undefined"),
        ("{{ nope.more }}", "`nope` is undefined"),
        ("{{ nope | length }}", "`nope` is undefined"),
        ("{{ t.b }}", "this value is undefined"),
        ("{{ l[1] }}", "this value is undefined"),
        ("{{ nope | no_filter }}", "filter no_filter is unknown"),
    ] {
        assert_eq!(render(&scope, text), Err(message.into()), "{text}");
    }
    for text in [
        "{{ nope | default('x') }}",
        "{{ t.b | default('x') }}",
        "{{ 'y' if nope is defined else 'x' }}",
    ] {
        assert_eq!(render(&scope, text), Ok(json!("x")), "{text}");
    }
}

#[test]
fn a_layer_wins_over_those_below_it() {
    let all = "a = \"{}\"\nb = \"{}\"\nc = \"{}\"\nd = \"{}\"\ne = \"{}\"";
    let layer = |name: &str, count: usize| -> String {
        let lines: Vec<String> = all
            .lines()
            .take(count)
            .map(|line| line.replace("{}", name))
            .collect();
        lines.join("\n")
    };
    let scope = scope(
        &layer("inventory", 5),
        &layer("play", 4),
        &layer("task", 3),
        &[("a", json!("fact")), ("b", json!("fact"))],
        &layer("extra", 1),
    );
    assert_eq!(
        render(&scope, "{{ [a, b, c, d, e] }}"),
        Ok(json!(["extra", "fact", "task", "play", "inventory"]))
    );
    let scope = scope.with("a", json!("item"));
    assert_eq!(render(&scope, "{{ a }}"), Ok(json!("item")));
}

#[test]
fn the_names_of_the_runner_cannot_be_taken() {
    let own = "inventory_hostname = \"x\"\ngroups = \"x\"\naddress = \"mine\"";
    let scope = scope("", own, own, &[("inventory_hostname", json!("x"))], own);
    assert_eq!(render(&scope, "{{ inventory_hostname }}"), Ok(json!("h")));
    assert_eq!(render(&scope, "{{ groups.g }}"), Ok(json!(["h"])));
    // A variable of this name is older than the runner's.
    assert_eq!(render(&scope, "{{ address }}"), Ok(json!("mine")));
}

#[test]
fn what_a_task_will_produce_is_not_known_ahead() {
    let mut scope = scope("", "through = \"<{{ produced }}>\"", "", &[], "");
    assert_eq!(
        render(&scope, "{{ produced }}"),
        Err("`produced` is undefined".into())
    );
    scope.ahead = true;
    for text in [
        "{{ produced }}",
        "x{{ produced.y }}",
        "{{ through }}",
        "{{ hostvars.h.produced }}",
    ] {
        assert_eq!(
            render(&scope, text),
            Err("later: produced".into()),
            "{text}"
        );
    }
    assert_eq!(
        render(&scope, "{{ nope }}"),
        Err("`nope` is undefined".into())
    );
}

#[test]
fn variables_may_not_turn_in_a_circle() {
    let scope = scope(
        "a = \"{{ b }}\"\nb = [\"x\", { c = \"{{ a }}\" }]\nd = \"{{ d }}\"\ne = \"{{ a }}\"",
        "",
        "",
        &[],
        "",
    );
    for (text, message) in [
        ("{{ a }}", "`a` refers to itself: a -> b -> a"),
        ("{{ d }}", "`d` refers to itself: d -> d"),
        ("{{ e }}", "`a` refers to itself: a -> b -> a"),
        ("{{ hostvars.h.d }}", "`d` refers to itself: d -> d"),
    ] {
        assert_eq!(render(&scope, text), Err(message.into()), "{text}");
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON has no other", |f| f.is_finite())
            .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a host said comes through as it is, also where it looks like a template.
    #[test]
    fn facts_come_through_as_they_are(fact in value(), text in "\\PC*|[{}%# a-z]*") {
        let scope = scope("", "through = \"{{ x }}\"", "", &[("x", fact.clone()), ("s", json!(text))], "");
        prop_assert_eq!(render(&scope, "{{ x }}"), Ok(fact.clone()));
        prop_assert_eq!(render(&scope, "{{ through }}"), Ok(fact));
        prop_assert_eq!(render(&scope, "<{{ s }}>"), Ok(json!(format!("<{text}>"))));
    }

    /// What is written in TOML is read as it is, and each value knows its place.
    #[test]
    fn toml_is_read_as_it_is(value in value()) {
        let text = toml::to_string(&json!({ "x": value })).unwrap();
        let source = Source::new("x", text.clone());
        let root = document::parse(&source).unwrap();
        let node = root.table().unwrap().get("x").unwrap();
        prop_assert_eq!(node.to_value(), value.clone());
        // Tables have headers, and so have lists of them.
        if !value.is_object() && !value.is_array() {
            let again = document::parse_value(&Source::new("y", node.place.text())).unwrap();
            prop_assert_eq!(again.to_value(), value);
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC*|[\\[\\]{}=\"'.a\\n#0-9-]{0,60}") {
        for result in [document::parse(&Source::new("x", text.clone())), document::parse_value(&Source::new("x", text.clone()))] {
            if let Err(problems) = result {
                prop_assert!(!problems.is_empty());
                prop_assert!(problems.to_string().starts_with("error: "));
            }
        }
    }

    #[test]
    fn no_text_makes_the_renderer_panic(text in "(\\{\\{|\\}\\}|\\{%|%\\}|if|for|in|[ a-z0-9.|()'+~-]){0,30}") {
        let scope = scope("a = 1", "", "", &[], "");
        let _ = render(&scope, &text);
    }
}

#[test]
fn numbers_and_dates_are_read() {
    let root = document::parse(&Source::new(
        "x",
        "a = 1_000\nb = 0xff\nc = 0o17\nd = 0b11\ne = -7\nf = 1e3\ng = 2024-05-01\nh = +1.5\r\n",
    ))
    .unwrap();
    assert_eq!(
        root.to_value(),
        json!({"a": 1000, "b": 255, "c": 15, "d": 3, "e": -7, "f": 1000.0, "g": "2024-05-01", "h": 1.5})
    );
}

#[test]
fn durations_and_modes_are_read() {
    let duration = |text: &str| document::parse_duration(text).map(|length| length.as_millis());
    for (text, millis) in [
        ("500ms", 500),
        ("30s", 30_000),
        ("5m", 300_000),
        ("1.5h", 5_400_000),
        ("2d", 172_800_000),
        ("7", 7000),
    ] {
        assert_eq!(duration(text), Some(millis), "{text}");
    }
    for text in ["", "s", "-1s", "1 week", "1e400", "1..2s"] {
        assert_eq!(duration(text), None, "{text}");
    }
    let mode = |text: &str| document::mode(&node(text)).ok();
    assert_eq!(mode("0644"), Some(0o644));
    assert_eq!(mode("2755"), Some(0o2755));
    assert_eq!(mode("0o600"), Some(0o600));
    for text in ["", "64", "0888", "100000", "rw"] {
        assert_eq!(mode(text), None, "{text}");
    }
}
