//! Connections that break: what is unreachable, what is unknown, and that nothing runs twice.

use crate::scene::{Ran, Scene, holds};
use runner::transport::fake::{FakeAnswer, FakeTransport};
use runner::transport::{Chunk, ConnectError, Exit};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A transport whose first messages with this text in them are answered so; all others are really run.
fn answering(text: &'static str, answers: Vec<FakeAnswer>) -> FakeTransport {
    let count = AtomicUsize::new(0);
    FakeTransport::new(move |_, _, stdin| {
        if !holds(stdin, text) {
            return FakeAnswer::real();
        }
        let now = count.fetch_add(1, Ordering::SeqCst);
        answers.get(now).cloned().unwrap_or_else(FakeAnswer::real)
    })
}

async fn play(task: &str, answers: Vec<FakeAnswer>) -> Ran {
    let task = format!("name = \"x\"\n{task}");
    let scene = Scene::tasks(&["a"], "", &[&task, "name = \"after\"\ndebug = \"hi\""]);
    scene.over(answering("MARK", answers)).await
}

#[tokio::test]
async fn a_command_whose_end_is_not_known_is_unknown_and_never_tried_again() {
    for more in [
        "",
        "retries = 5\ndelay = \"0s\"",
        "until = \"false\"\nretries = 5\ndelay = \"0s\"",
        "ignore_errors = true",
        "failed_when = false",
        "changed_when = false",
    ] {
        let ran = play(
            &format!("command = \"echo MARK\"\n{more}"),
            vec![FakeAnswer::lost("")],
        )
        .await;
        assert_eq!(ran.trace(), ["a: x: unknown"], "{more}");
        assert_eq!(
            ran.outcome("a", "x").message,
            "the connection was lost while it ran: it may have run to its end, or not"
        );
        assert_eq!(ran.sent("MARK"), 1, "{more}");
        assert_eq!(ran.code(), 16, "{more}");
        assert_eq!(ran.report.unfinished(), ["a"]);
    }
}

#[tokio::test]
async fn a_lost_turn_ends_its_loop_and_speaks_for_it() {
    let ran = play(
        "shell = \"echo MARK{{ item }}; exit 1\"\nloop = [1, 2, 3]",
        vec![FakeAnswer::real(), FakeAnswer::lost("")],
    )
    .await;
    assert_eq!(ran.trace(), ["a: x: unknown"]);
    assert_eq!(ran.sent("MARK3"), 0);
    assert_eq!(ran.code(), 16);
}

#[tokio::test]
async fn a_command_that_has_not_started_goes_over_a_new_connection_once() {
    let refused = || FakeAnswer::not_started("no channel");
    let ran = play("command = \"echo MARK\"", vec![refused()]).await;
    assert_eq!(ran.trace(), ["a: x: changed", "a: after: ok"]);
    assert_eq!(ran.code(), 0);
    let ran = play(
        "command = \"echo MARK\"",
        vec![refused(), refused(), refused()],
    )
    .await;
    assert_eq!(ran.trace(), ["a: x: unreachable"]);
    assert_eq!(ran.outcome("a", "x").message, "no channel");
    assert_eq!(ran.sent("MARK"), 2);
    assert_eq!(ran.code(), 4);
}

#[tokio::test]
async fn a_question_that_is_lost_has_changed_nothing() {
    let ran = play(
        "file = { path = \"/nonexistent/MARK\", content = \"\" }",
        vec![FakeAnswer::lost("")],
    )
    .await;
    assert_eq!(ran.trace(), ["a: x: unreachable"]);
    assert_eq!(
        ran.outcome("a", "x").message,
        "the connection was lost while the host was asked; nothing was changed"
    );
    assert_eq!(ran.code(), 4);
}

#[tokio::test]
async fn hosts_that_cannot_be_reached_or_trusted_add_up() {
    let scene = Scene::tasks(
        &["a", "b", "c", "d"],
        "",
        &["name = \"x\"\ncommand = [\"test\", \"{{ inventory_hostname }}\", \"=\", \"d\"]"],
    );
    let transport = FakeTransport::new(|_, _, _| FakeAnswer::real())
        .refuse("a", ConnectError::unreachable("connection refused"))
        .refuse("b", ConnectError::identity("another key"));
    let ran = scene.over(transport).await;
    assert_eq!(
        ran.sorted(),
        [
            "a: unreachable: connection refused",
            "b: refused: another key",
            "c: x: failed",
            "d: x: changed"
        ]
    );
    assert_eq!(ran.code(), 2 + 4 + 8);
}

/// What did not come to its end is not for `failed_when` to judge.
#[tokio::test]
async fn a_right_that_is_missing_is_a_failure_whatever_the_playbook_says() {
    for more in ["", "failed_when = false", "changed_when = false"] {
        let task = format!("name = \"x\"\ncommand = \"true\"\nbecome = true\n{more}");
        let scene = Scene::tasks(&["a"], "", &[&task]);
        let ran = scene
            .over(FakeTransport::new(|_, command, _| {
                assert!(
                    command.starts_with("exec sudo -n -H -u root -- /bin/sh"),
                    "{command}"
                );
                FakeAnswer::fail(1, "sudo: a password is required\n")
            }))
            .await;
        assert_eq!(ran.trace(), ["a: x: failed"], "{more}");
        let outcome = ran.outcome("a", "x");
        assert_eq!(
            outcome.message,
            "cannot become root: sudo: a password is required"
        );
        assert_eq!(outcome.help, ["give the password with --ask-become-pass"]);
    }
}

#[tokio::test]
async fn a_login_without_a_shell_says_so() {
    let scene = Scene::tasks(&["a"], "", &["name = \"x\"\ncommand = \"true\""]);
    let ran = scene
        .over(FakeTransport::new(|_, _, _| {
            FakeAnswer::say(vec![
                Chunk::Stdout(b"This account is currently not available.\n".to_vec()),
                Chunk::Exit(Exit::Code(1)),
            ])
        }))
        .await;
    assert_eq!(
        ran.outcome("a", "x").message,
        "there is no shell to run it: This account is currently not available."
    );
    assert_eq!(ran.code(), 2);
}

#[tokio::test]
async fn a_shell_that_is_killed_is_no_lost_connection() {
    let ran = play("shell = \"kill -9 $PPID $$\"", vec![]).await;
    assert_eq!(ran.trace(), ["a: x: failed"]);
    assert_eq!(ran.code(), 2);
}

#[tokio::test]
async fn exit_codes_are_told_apart() {
    for (command, message) in [
        ("exit 7", "exit code 7"),
        ("exit 255", "exit code 255"),
        ("DIR/none", "exit code 127: command not found"),
        ("exec /", "exit code 126: it cannot be executed"),
        ("kill -9 $$; true", "killed by signal 9"),
    ] {
        let task = format!("name = \"x\"\nshell = \"{command}\"");
        let ran = Scene::tasks(&["a"], "", &[&task]).play().await;
        assert_eq!(ran.outcome("a", "x").message, message, "{command}");
    }
}
