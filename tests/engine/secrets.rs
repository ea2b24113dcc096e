//! What `no_log` hides, and that it would be seen otherwise.

use crate::scene::{Ran, Scene};
use runner::event::Event;

const SECRET: &str = "s3cr3t-w0rd";

async fn play(no_log: bool) -> Ran {
    let mut scene = Scene::tasks(
        &["a"],
        "",
        &[
            &format!(
                "name = \"loud\"\nshell = \"for n in 1 2 3 4; do echo {{{{ secret }}}}; echo {{{{ secret }}}} >&2; sleep 0.15; done; exit 1\"\n\
                 no_log = {no_log}\nignore_errors = true\nregister = \"r\""
            ),
            &format!(
                "name = \"file\"\nfile = {{ path = \"DIR/x\", content = \"{{{{ secret }}}}\" }}\nno_log = {no_log}"
            ),
            &format!(
                "name = \"debug\"\ndebug = {{ msg = \"{{{{ secret }}}}\" }}\nno_log = {no_log}"
            ),
            &format!(
                "name = \"loop\"\ncommand = \"echo {{{{ item }}}}\"\nloop = [\"{{{{ secret }}}}\"]\nno_log = {no_log}"
            ),
            &format!(
                "name = \"wrong\"\nfile = {{ path = \"{{{{ r.stdout_lines[0] }}}}\", content = \"\" }}\nno_log = {no_log}"
            ),
        ],
    );
    scene.diff = true;
    scene.extra = format!("secret = \"{SECRET}\"");
    scene.play().await
}

fn told(event: &Event) -> bool {
    let bytes = |bytes: &[u8]| String::from_utf8_lossy(bytes).contains(SECRET);
    match event {
        Event::TaskOutput { line, .. } => bytes(line),
        Event::TaskFinished { outcome, .. } => {
            bytes(&outcome.stdout)
                || bytes(&outcome.stderr)
                || format!("{outcome:?}").contains(SECRET)
        }
        other => format!("{other:?}").contains(SECRET),
    }
}

#[tokio::test]
async fn nothing_of_a_hidden_task_is_told() {
    let ran = play(true).await;
    assert_eq!(
        ran.trace(),
        [
            "a: loud: ignored",
            "a: file: changed",
            "a: debug: ok",
            "a: loop: changed",
            "a: wrong: failed"
        ]
    );
    let leaks: Vec<&Event> = ran.events.iter().filter(|event| told(event)).collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
    assert_eq!(ran.outcome("a", "loud").message, "hidden by no_log");
    assert_eq!(ran.outcome("a", "loud").code, Some(1));
}

#[tokio::test]
async fn without_it_all_of_it_is_told() {
    let ran = play(false).await;
    let kinds = |event: &&Event| match event {
        Event::TaskOutput { .. } => Some("output".to_string()),
        Event::TaskFinished { task, .. } => Some(task.name.clone()),
        _ => None,
    };
    let mut told: Vec<String> = ran
        .events
        .iter()
        .filter(|event| told(event))
        .filter_map(|event| kinds(&event))
        .collect();
    told.dedup();
    assert_eq!(told, ["output", "loud", "file", "debug", "loop", "wrong"]);
}
