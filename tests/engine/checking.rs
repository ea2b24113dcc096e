//! `--check` and `--diff`: nothing is done, and what would be done is told.

use crate::scene::Scene;
use runner::event::Status;

#[tokio::test]
async fn check_changes_nothing_and_tells_what_would_change() {
    let mut scene = Scene::new(
        &["a"],
        r#"
[[play]]
hosts = "all"

[[play.task]]
name = "there"
file = { path = "DIR/there", content = "1" }

[[play.task]]
name = "new"
file = { path = "DIR/new", content = "2" }
notify = "handler"

[[play.task]]
name = "command"
command = "touch DIR/command"
register = "r"

[[play.task]]
name = "needs it"
debug = { msg = "{{ r.stdout }}" }

[[play.task]]
name = "needs it too"
command = "touch DIR/too"
when = "r.rc == 0"

[[play.task]]
name = "reads"
command = "touch DIR/reads"
changed_when = false
register = "s"

[[play.task]]
name = "real"
command = "touch DIR/real"
check_mode = false
changed_when = false
register = "t"

[[play.task]]
name = "needs real"
debug = { msg = "rc {{ t.rc }} {{ check_mode }}" }

[[play.handler]]
name = "handler"
command = "touch DIR/handler"
"#,
    );
    scene.write("there", "1");
    scene.check = true;
    let ran = scene.play().await;
    assert_eq!(
        ran.trace(),
        [
            "a: there: ok",
            "a: new: changed",
            "a: command: changed",
            "a: needs it: skipped",
            "a: needs it too: skipped",
            "a: reads: skipped",
            "a: real: ok",
            "a: needs real: ok",
            "a: handler: changed",
        ]
    );
    assert_eq!(ran.outcome("a", "command").message, "would run");
    assert_eq!(
        ran.outcome("a", "needs it").message,
        "needs `r`, which --check does not produce"
    );
    assert_eq!(ran.shown("a", "needs real"), "rc 0 true");
    for name in ["new", "command", "too", "reads", "handler"] {
        assert!(!scene.path(name).exists(), "{name}");
    }
    assert!(scene.path("real").exists());
    assert_eq!(ran.code(), 0);
    assert_eq!(ran.report.counts("a").get(Status::Changed), 3);
}

#[tokio::test]
async fn diff_shows_what_changes_also_under_check() {
    for check in [true, false] {
        let mut scene = Scene::tasks(
            &["a"],
            "",
            &["name = \"x\"\nfile = { path = \"DIR/x\", content = \"new\\n\" }"],
        );
        scene.write("x", "old\n");
        scene.check = check;
        scene.diff = true;
        let ran = scene.play().await;
        let diff = ran.outcome("a", "x").diff.clone().unwrap();
        assert_eq!(
            (diff.before.as_str(), diff.after.as_str()),
            ("old\n", "new\n")
        );
        assert_eq!(scene.read("x"), if check { "old\n" } else { "new\n" });
        scene.diff = false;
        scene.write("x", "old\n");
        assert!(scene.play().await.outcome("a", "x").diff.is_none());
    }
}
