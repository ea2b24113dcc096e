//! Round trips are the price of everything: how many messages a play takes on a connected host.

use crate::scene::Scene;

const FILES: [&str; 6] = ["1", "2", "3", "4", "5", "6"];

fn six_files() -> Scene {
    let tasks: Vec<String> = FILES
        .iter()
        .map(|n| format!("name = \"{n}\"\nfile = {{ path = \"DIR/{n}\", content = \"{n}\", mode = \"0644\" }}"))
        .collect();
    let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
    Scene::tasks(&["a"], "", &tasks)
}

#[tokio::test]
async fn a_second_run_takes_one_message() {
    let scene = six_files();
    let first = scene.play().await;
    assert_eq!(first.trace(), FILES.map(|n| format!("a: {n}: changed")));
    // One to ask, and one for each change, which asks for the rest again.
    assert_eq!(first.trips("a"), 1 + 6);
    let second = scene.play().await;
    assert_eq!(second.trace(), FILES.map(|n| format!("a: {n}: ok")));
    assert_eq!(second.trips("a"), 1);
    std::fs::write(scene.path("4"), "other").unwrap();
    let third = scene.play().await;
    assert_eq!(
        third.outcome("a", "4").status,
        runner::event::Status::Changed
    );
    assert_eq!(third.trips("a"), 1 + 1);
}

#[tokio::test]
async fn a_loop_asks_for_all_items_at_once() {
    let scene = Scene::tasks(
        &["a"],
        "",
        &[
            "name = \"x\"\nfile = { path = \"DIR/{{ item }}\", content = \"x\" }\nloop = [1, 2, 3, 4, 5]",
        ],
    );
    scene.play().await;
    assert_eq!(scene.play().await.trips("a"), 1);
}

#[tokio::test]
async fn what_needs_no_host_sends_nothing() {
    let scene = Scene::tasks(
        &["a"],
        "",
        &[
            "debug = \"hi\"",
            "set_fact = { x = 1 }",
            "assert = { that = \"x == 1\" }",
            "command = \"false\"\nwhen = \"x == 2\"",
        ],
    );
    let ran = scene.play().await;
    assert_eq!((ran.code(), ran.trips("a")), (0, 0));
}

/// A result is waited for; what follows it is asked in one message again.
#[tokio::test]
async fn a_task_that_depends_on_a_result_asks_after_it() {
    let scene = Scene::tasks(
        &["a"],
        "",
        &[
            "name = \"1\"\nstat = \"DIR/1\"\nregister = \"one\"",
            "name = \"2\"\nfile = { path = \"DIR/{{ 'x' if one.exists else 'y' }}\", content = \"\" }",
            "name = \"3\"\nstat = \"DIR/3\"",
        ],
    );
    scene.write("y", "");
    let ran = scene.play().await;
    assert_eq!(ran.trace(), ["a: 1: ok", "a: 2: ok", "a: 3: ok"]);
    assert_eq!(ran.trips("a"), 2);
}
