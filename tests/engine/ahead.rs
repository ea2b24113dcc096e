//! Changes that travel together: each is made only where the host still gives the answer that it is meant for.

use crate::scene::{Scene, holds};
use runner::event::{Event, Status};
use runner::transport::Chunk;
use runner::transport::fake::{FakeAnswer, FakeTransport};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::watch;

#[tokio::test]
async fn a_change_that_another_has_made_needless_is_not_made() {
    let scene = Scene::tasks(
        &["a"],
        "",
        &[
            "name = \"1\"\nshell = { cmd = \"echo 1 > DIR/one; echo wanted > DIR/two\", creates = \"DIR/one\" }",
            "name = \"2\"\nfile = { path = \"DIR/two\", content = \"wanted\\n\" }",
            "name = \"3\"\nfile = { path = \"DIR/three\", content = \"3\\n\" }",
        ],
    );
    let ran = scene.play().await;
    assert_eq!(ran.trace(), ["a: 1: changed", "a: 2: ok", "a: 3: changed"]);
    assert_eq!(scene.read("two"), "wanted\n");
    assert_eq!(scene.read("three"), "3\n");
    assert_eq!(ran.trips("a"), 3);
}

#[tokio::test]
async fn a_change_that_another_has_made_different_is_decided_anew() {
    let scene = Scene::tasks(
        &["a"],
        "",
        &[
            "name = \"1\"\nshell = { cmd = \"echo 1 > DIR/one; mkdir DIR/two\", creates = \"DIR/one\" }",
            "name = \"2\"\nfile = { path = \"DIR/two\", content = \"wanted\\n\" }",
            "name = \"3\"\nfile = { path = \"DIR/three\", content = \"3\\n\" }",
        ],
    );
    let ran = scene.play().await;
    assert_eq!(ran.trace(), ["a: 1: changed", "a: 2: failed"]);
    assert!(
        ran.outcome("a", "2")
            .message
            .ends_with("two is a directory")
    );
    assert!(!scene.path("three").exists());
}

#[tokio::test]
async fn a_change_that_fails_holds_back_what_follows() {
    let scene = Scene::tasks(
        &["a"],
        "",
        &[
            "name = \"1\"\nfile = { path = \"DIR/one\", content = \"1\\n\" }",
            "name = \"2\"\nfile = { path = \"DIR/none/two\", content = \"2\\n\" }",
            "name = \"3\"\nfile = { path = \"DIR/three\", content = \"3\\n\" }",
        ],
    );
    let ran = scene.play().await;
    assert_eq!(ran.trace(), ["a: 1: changed", "a: 2: failed"]);
    assert!(!scene.path("three").exists());
    assert_eq!(ran.trips("a"), 2);
}

/// What a task registers anew is not taken from before.
#[tokio::test]
async fn a_result_from_before_decides_over_nothing() {
    let scene = Scene::tasks(
        &["a"],
        "",
        &[
            "name = \"0\"\nstat = \"DIR\"\nregister = \"r\"",
            "name = \"1\"\nfile = { path = \"DIR/one\", content = \"1\\n\" }",
            "name = \"2\"\nstat = \"DIR/none\"\nregister = \"r\"",
            "name = \"3\"\nfile = { path = \"DIR/three\", content = \"3\\n\" }\nwhen = \"r.exists\"",
            "name = \"4\"\nshell = { cmd = \"echo 4 > DIR/four\", creates = \"DIR/four\" }\nregister = \"s\"",
            "name = \"5\"\nfile = { path = \"DIR/five\", content = \"5\\n\" }\nwhen = \"not s.changed\"",
        ],
    );
    let first = scene.play().await;
    let said = |last: &[&str]| {
        let mut all = vec!["a: 0: ok".to_string()];
        all.extend(last.iter().map(|line| format!("a: {line}")));
        all
    };
    let wanted = [
        "1: changed",
        "2: ok",
        "3: skipped",
        "4: changed",
        "5: skipped",
    ];
    assert_eq!(first.trace(), said(&wanted));
    assert!(!scene.path("three").exists() && !scene.path("five").exists());
}

/// A play that one failure ends for all makes no change before its turn.
#[tokio::test]
async fn where_a_failure_ends_it_for_all_nothing_runs_ahead() {
    let scene = Scene::tasks(
        &["a"],
        "any_errors_fatal = true",
        &[
            "name = \"1\"\nfile = { path = \"DIR/one\", content = \"1\\n\" }",
            "name = \"2\"\nfile = { path = \"DIR/two\", content = \"2\\n\" }",
            "name = \"3\"\nfile = { path = \"DIR/three\", content = \"3\\n\" }",
        ],
    );
    let ran = scene.play().await;
    assert_eq!((ran.code(), ran.trips("a")), (0, 1 + 3));
}

#[tokio::test]
async fn a_stopped_run_tells_what_was_done() {
    let scene = Scene::tasks(
        &["a"],
        "",
        &[
            "name = \"1\"\nfile = { path = \"DIR/one\", content = \"1\\n\" }",
            "name = \"2\"\nfile = { path = \"DIR/two\", content = \"2\\n\" }",
            "name = \"hang\"\nshell = { cmd = \"echo begun; exec sleep 1000\", creates = \"DIR/none\" }",
            "name = \"4\"\nfile = { path = \"DIR/four\", content = \"4\\n\" }",
        ],
    );
    let transport = FakeTransport::new(|_, _, _| FakeAnswer::real());
    let mut stop_at_hang = |event: &Event, stop: &watch::Sender<bool>| {
        if matches!(event, Event::TaskStarted { task, .. } if task.name == "hang") {
            stop.send(true).unwrap();
        }
    };
    let ran = scene.watched(transport, &mut stop_at_hang).await;
    assert_eq!(
        ran.trace(),
        ["a: 1: changed", "a: 2: changed", "a: hang: unknown"]
    );
    assert!(!scene.path("four").exists());
}

/// The connection breaks behind the first of three changes: the second may have been made, and nobody says otherwise.
#[tokio::test]
async fn a_lost_connection_leaves_the_next_change_unknown() {
    let scene = Scene::tasks(
        &["a"],
        "",
        &[
            "name = \"1\"\nfile = { path = \"DIR/one\", content = \"1\\n\" }",
            "name = \"2\"\nfile = { path = \"DIR/two\", content = \"2\\n\" }",
            "name = \"3\"\nfile = { path = \"DIR/three\", content = \"3\\n\" }",
        ],
    );
    for answers in [1, 2] {
        let messages = AtomicUsize::new(0);
        let transport = FakeTransport::new(move |_, _, stdin| {
            if messages.fetch_add(1, Ordering::SeqCst) != 1 {
                return FakeAnswer::real();
            }
            assert!(holds(stdin, "/one") && holds(stdin, "/two") && holds(stdin, "/three"));
            let text = String::from_utf8_lossy(stdin);
            let nonce = text
                .split("rn_n=")
                .nth(1)
                .unwrap()
                .split(';')
                .next()
                .unwrap();
            let mut said = format!("\n{nonce} pid-again 7\n");
            for step in 0..answers {
                let missing = if step == 1 { "missing\n" } else { "" };
                said.push_str(&format!("{missing}\n{nonce} {step} 0\n"));
            }
            let complaints = said.replace("missing\n", "");
            let bytes = |text: String| text.into_bytes();
            FakeAnswer::say(vec![
                Chunk::Stdout(bytes(said)),
                Chunk::Stderr(bytes(complaints)),
            ])
        });
        let ran = scene.over(transport).await;
        assert_eq!(ran.trace(), ["a: 1: changed", "a: 2: unknown"], "{answers}");
        assert_eq!(ran.outcome("a", "2").status, Status::Unknown);
        assert_eq!(ran.code(), 16);
    }
}
