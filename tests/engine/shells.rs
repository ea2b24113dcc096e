//! One shell takes all messages of a host, and each message is a world of its own.

use crate::scene::{Scene, holds};
use runner::event::Status;

/// Which process each message went to.
fn processes(ran: &crate::scene::Ran) -> Vec<usize> {
    ran.runs.iter().map(|run| run.process).collect()
}

#[tokio::test]
async fn all_messages_go_to_one_shell() {
    let scene = Scene::tasks(
        &["a"],
        "",
        &[
            "name = \"1\"\nshell = \"cd /; umask 000; X=1; echo one\"",
            "name = \"2\"\nshell = \"pwd; umask; echo \\\"[$X]\\\"\"",
            "name = \"3\"\nshell = \"exit 5\"\nignore_errors = true",
            "name = \"4\"\nshell = \"kill -0 $PPID && echo there\"",
        ],
    );
    let ran = scene.play().await;
    assert_eq!(ran.code(), 0, "{:?}", ran.trace());
    assert_eq!(processes(&ran), [0, 0, 0, 0]);
    let second = String::from_utf8_lossy(&ran.outcome("a", "2").stdout);
    assert!(
        second.ends_with("[]\n") && !second.starts_with("/\n"),
        "{second}"
    );
    assert!(!second.contains("\n0000\n"), "{second}");
}

/// What a task leaves running keeps its streams, and what it says later is not the next task's.
#[tokio::test]
async fn what_still_runs_cannot_speak_into_the_next_task() {
    let scene = Scene::tasks(
        &["a"],
        "",
        &[
            "name = \"start\"\nshell = \"(read -r x <DIR/fifo; echo noise; echo noise >&2) &\"",
            "name = \"next\"\nshell = \"echo >DIR/fifo; echo mine\"",
            "name = \"last\"\nshell = \"echo last\"",
        ],
    );
    let made = std::process::Command::new("mkfifo")
        .arg(scene.path("fifo"))
        .status();
    assert!(made.unwrap().success());
    let ran = scene.play().await;
    assert_eq!(ran.code(), 0, "{:?}", ran.trace());
    assert_eq!(ran.outcome("a", "next").stdout, b"mine\n");
    assert_eq!(ran.outcome("a", "next").stderr, b"");
    assert_eq!(ran.outcome("a", "last").stdout, b"last\n");
    // The second message was refused by the first shell, and went to another one.
    assert_eq!(processes(&ran), [0, 0, 1, 1]);
}

#[tokio::test]
async fn a_shell_that_is_gone_is_replaced() {
    let scene = Scene::tasks(
        &["a"],
        "",
        &[
            "name = \"1\"\nshell = \"kill -9 $PPID\"\nignore_errors = true",
            "name = \"2\"\nshell = \"echo two\"",
        ],
    );
    let ran = scene.play().await;
    assert_eq!(ran.outcome("a", "1").status, Status::Ignored);
    assert_eq!(ran.outcome("a", "2").stdout, b"two\n");
    assert_eq!(processes(&ran), [0, 1]);
}

/// An ad-hoc command travels in the request itself, whatever bytes it has; a playbook's message never does.
#[tokio::test]
async fn what_is_public_travels_in_the_request() {
    let task = r#"name = "1"
command = { argv = ["printf", "%s|", "it's", "a \"b\" $c `d` \\e !f", "new\nline", "ä%d\\n"] }"#;
    let mut scene = Scene::tasks(&["a"], "", &[task]);
    let wanted = "it's|a \"b\" $c `d` \\e !f|new\nline|ä%d\\n|";
    for public in [false, true] {
        scene.public = public;
        let ran = scene.play().await;
        let said = String::from_utf8_lossy(&ran.outcome("a", "1").stdout).into_owned();
        assert_eq!(said, wanted);
        assert_eq!(holds(&ran.runs[0].stdin, "printf"), !public);
        assert_eq!(ran.runs[0].command.contains("printf %b"), public);
        let strange = |c: char| "\n!`\\\"".contains(c);
        let quoted = ran.runs[0]
            .command
            .replace("\\0", "")
            .replace("\"$(", "")
            .replace("\")\"", "");
        assert!(
            !public || !quoted.replace("%b \"", "").contains(strange),
            "{quoted}"
        );
    }
}

/// What needs no escapes goes as one line that a login shell of any kind hands on as it is.
#[tokio::test]
async fn what_is_plain_needs_no_escapes() {
    let mut scene = Scene::tasks(
        &["a"],
        "",
        &["name = \"1\"\ncommand = \"echo it\\\\'s 'a b'\""],
    );
    scene.public = true;
    let ran = scene.play().await;
    assert_eq!(ran.outcome("a", "1").stdout, b"it's a b\n");
    let command = &ran.runs[0].command;
    assert!(!command.contains("printf %b"), "{command}");
    let history = command.replace("$! ", "").contains('!');
    assert!(!command.contains('\n') && !history, "{command}");
}
