//! What came from a host is data, and never rendered again.

use crate::scene::Scene;

#[tokio::test]
async fn a_value_from_a_host_is_never_a_template() {
    let ask = r#"name = "ask"
command = ["printf", "%s", "{{ '{{' }} 7*7 }}"]
register = "r""#;
    let scene = Scene::tasks(
        &["a"],
        "vars = { through = \"{{ r.stdout }}\" }",
        &[
            ask,
            "name = \"show\"\ndebug = { msg = \"{{ r.stdout }}\" }",
            "name = \"inside\"\ndebug = { msg = \"<{{ r.stdout }}>\" }",
            "name = \"variable\"\ndebug = { msg = \"{{ through }}\" }",
            "name = \"task\"\ndebug = { msg = \"{{ mine }}\" }\nvars = { mine = \"{{ through }}\" }",
            "name = \"fact\"\nset_fact = { fact = \"{{ r.stdout }}\" }",
            "name = \"facts\"\ndebug = { msg = \"{{ fact }}\" }",
            "name = \"other\"\ndebug = { msg = \"{{ hostvars.a.fact }}\" }",
            "name = \"file\"\nfile = { path = \"DIR/file\", content = \"{{ r.stdout }}\" }",
            "name = \"template\"\ntemplate = { src = \"t.conf\", dest = \"DIR/t\" }",
            "name = \"items\"\ndebug = { msg = \"{{ item }}\" }\nloop = \"r.stdout_lines\"",
            "name = \"when\"\ndebug = \"hi\"\nwhen = \"r.stdout == '{' ~ '{ 7*7 }' ~ '}'\"",
            "name = \"again\"\ncommand = [\"printf\", \"%s\", \"{{ r.stdout }}\"]\nregister = \"s\"",
            "name = \"twice\"\ndebug = { msg = \"{{ s.stdout }}\" }",
            "name = \"env\"\nshell = \"printf %s \\\"$X\\\"\"\nenv = { X = \"{{ r.stdout }}\" }\nregister = \"e\"",
            "name = \"envs\"\ndebug = { msg = \"{{ e.stdout }}\" }",
        ],
    );
    scene.write("templates/t.conf", "{{ r.stdout }}");
    let ran = scene.play().await;
    assert_eq!(ran.code(), 0, "{:#?}", ran.trace());
    for name in [
        "show", "variable", "task", "facts", "other", "items", "twice", "envs",
    ] {
        assert_eq!(ran.shown("a", name), "{{ 7*7 }}", "{name}");
    }
    assert_eq!(ran.shown("a", "inside"), "<{{ 7*7 }}>");
    assert_eq!(scene.read("file"), "{{ 7*7 }}");
    assert_eq!(scene.read("t"), "{{ 7*7 }}");
    assert_eq!(ran.outcome("a", "when").status, runner::event::Status::Ok);
}

#[tokio::test]
async fn a_value_from_a_host_is_one_argument_in_a_list_and_one_word_in_a_quote() {
    let scene = Scene::tasks(
        &["a"],
        "",
        &[
            "command = [\"printf\", \"%s\", \"x; touch DIR/pwned; $(touch DIR/pwned) `touch DIR/pwned` 'y' \\\"z\\\"\"]\nregister = \"r\"",
            "command = [\"printf\", \"%s\", \"{{ r.stdout }}\"]\nregister = \"s\"",
            "shell = \"printf %s {{ r.stdout | quote }}\"\nregister = \"t\"",
            "name = \"same\"\nassert = { that = [\"r.stdout == s.stdout\", \"r.stdout == t.stdout\"] }",
        ],
    );
    let ran = scene.play().await;
    assert_eq!(ran.code(), 0, "{:#?}", ran.trace());
    assert!(!scene.path("pwned").exists());
}

#[tokio::test]
async fn the_command_line_wins_over_everything() {
    let mut scene = Scene::tasks(
        &["a"],
        "vars = { x = \"play\" }",
        &[
            "set_fact = { x = \"fact\" }",
            "command = \"true\"\nregister = \"x\"",
            "name = \"show\"\ndebug = { msg = \"{{ x }} {{ y }}\" }\nvars = { x = \"task\", y = \"task\" }",
        ],
    );
    scene.extra = "x = \"extra\"".into();
    assert_eq!(scene.play().await.shown("a", "show"), "extra task");
}

#[tokio::test]
async fn facts_win_over_what_was_written() {
    let scene = Scene::tasks(
        &["a", "b"],
        "vars = { x = \"play\" }",
        &[
            "name = \"before\"\ndebug = { msg = \"{{ x }}{{ y }}\" }",
            "set_fact = { x = \"fact\", y = \"{{ y }}+\" }\nwhen = \"inventory_hostname == 'a'\"",
            "name = \"after\"\ndebug = { msg = \"{{ x }}{{ y }}\" }\nvars = { x = \"task\" }",
            "name = \"others\"\ndebug = { msg = \"{{ hostvars.a.y }}{{ hostvars.b.y }}\" }",
        ],
    )
    .inventory("[groups]\nall = { vars = { y = \"inv\" } }\n");
    let ran = scene.play().await;
    assert_eq!(ran.shown("a", "before"), "playinv");
    assert_eq!(ran.shown("a", "after"), "factinv+");
    assert_eq!(ran.shown("b", "after"), "taskinv");
    assert_eq!(ran.shown("b", "others"), "inv+inv");
}

/// The lines of what a command said are a part of the table like any other.
#[tokio::test]
async fn the_lines_of_a_registered_output() {
    let said = r#"name = "said"
command = ["printf", 'one\n\ntwo\n']
register = "r"
changed_when = "result.stdout_lines | length == 3""#;
    let scene = Scene::tasks(
        &["a", "b"],
        "",
        &[
            said,
            r#"name = "list"
debug = { msg = "{{ r.stdout_lines | tojson }} {{ r['stdout_lines'][2] }} {{ 'stdout_lines' in r }}" }"#,
            r#"name = "table"
debug = { msg = "{{ r | tojson }}" }"#,
            r#"name = "parts"
debug = { msg = "{{ r.stdout_lines[-1] }} {{ r.stdout_lines[:1] }} {{ r.stdout_lines[3] is defined }}" }"#,
            r#"name = "looped"
command = ["echo", "{{ item }}"]
loop = ["x", "y"]
register = "both"
failed_when = "result.stdout_lines[0] not in ['x', 'y']""#,
            r#"name = "results"
debug = { msg = "{{ both.results[1].stdout_lines }} {{ item.stdout_lines[0] }}" }
loop = "both.results""#,
            r#"name = "other"
debug = { msg = "{{ hostvars.a.r.stdout_lines | join('+') }} {{ r.nothing is defined }}" }"#,
        ],
    );
    let ran = scene.play().await;
    assert_eq!(ran.code(), 0, "{:#?}", ran.trace());
    assert_eq!(ran.shown("a", "list"), r#"["one", "", "two"] two true"#);
    let table = ran.shown("a", "table");
    let lines = r#""stdout_lines":["one","","two"]"#;
    assert!(table.replace(' ', "").contains(lines), "{table}");
    assert_eq!(ran.shown("a", "parts"), "two ['one'] false");
    assert_eq!(ran.shown("a", "results"), "['y'] x\n['y'] y");
    assert_eq!(ran.shown("b", "other"), "one++two false");
}
