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
    // One to ask, and one for all changes: each is made where the host still gives the answer that it is meant for.
    assert_eq!(first.trips("a"), 1 + 1);
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

/// Ten tasks as a deployment has them: directories, files, a command that only looks and whose result decides over
/// a file, a command that runs once, and a last look.
fn ten_tasks() -> Scene {
    let tasks = [
        "name = \"conf\"\ndirectory = { path = \"DIR/h/conf\", mode = \"0750\" }",
        "name = \"data\"\ndirectory = { path = \"DIR/h/data\", mode = \"0755\" }",
        "name = \"log\"\ndirectory = { path = [\"DIR/h/log\", \"DIR/h/run\"], mode = \"0700\" }",
        "name = \"id\"\nfile = { path = \"DIR/h/id\", content = \"7\\n\", mode = \"0644\" }",
        "name = \"config\"\nfile = { path = \"DIR/h/conf/app\", content = \"x = 1\\n\", mode = \"0640\" }",
        "name = \"link\"\nlink = { dest = \"DIR/h/now\", src = \"conf\" }",
        "name = \"read\"\nshell = \"echo read >> DIR/looked; cat DIR/h/id\"\nchanged_when = false\nregister = \"id\"",
        "name = \"mark\"\nfile = { path = \"DIR/h/log/mark\", content = \"{{ id.stdout }}\", mode = \"0644\" }",
        "name = \"once\"\nshell = { cmd = \"echo 1 > DIR/h/once\", creates = \"DIR/h/once\" }",
        "name = \"check\"\nshell = \"echo check >> DIR/looked; grep -q 1 DIR/h/conf/app\"\nchanged_when = false",
    ];
    Scene::tasks(&["a"], "", &tasks)
}

#[tokio::test]
async fn a_finished_host_costs_one_message_and_one_for_each_result_that_decides() {
    let scene = ten_tasks();
    let first = scene.play().await;
    assert_eq!(first.code(), 0, "{:?}", first.trace());
    // One to ask and one for all changes and the look, up to the result that decides; then the same again.
    assert_eq!(first.trips("a"), 2 + 2);
    assert_eq!(scene.read("looked"), "read\ncheck\n");
    let second = scene.play().await;
    let names = [
        "conf", "data", "log", "id", "config", "link", "read", "mark", "once", "check",
    ];
    assert_eq!(second.trace(), names.map(|name| format!("a: {name}: ok")));
    assert_eq!(second.trips("a"), 1 + 1);
    // Each look ran once in each run.
    assert_eq!(scene.read("looked"), "read\ncheck\n".repeat(2));
    assert_eq!(second.outcome("a", "read").stdout, b"7\n");
}

/// What only looks does not run before a change that is due.
#[tokio::test]
async fn a_look_waits_for_the_change_before_it() {
    let scene = ten_tasks();
    scene.play().await;
    std::fs::write(scene.path("h/id"), "8\n").unwrap();
    let third = scene.play().await;
    assert_eq!(third.outcome("a", "read").stdout, b"7\n");
    assert_eq!(scene.read("looked"), "read\ncheck\n".repeat(2));
    assert_eq!(third.trips("a"), 1 + 1 + 1);
}

/// A look that fails ends it for its host, and what stands behind it has not run.
#[tokio::test]
async fn a_look_that_fails_holds_back_what_follows() {
    let scene = Scene::tasks(
        &["a"],
        "",
        &[
            "name = \"1\"\nping = {}",
            "name = \"2\"\nshell = \"echo 2 >> DIR/looked; exit 3\"\nchanged_when = false",
            "name = \"3\"\nshell = \"echo 3 >> DIR/looked\"\nchanged_when = false",
        ],
    );
    let ran = scene.play().await;
    assert_eq!(ran.trace(), ["a: 1: ok", "a: 2: failed"]);
    assert_eq!(ran.outcome("a", "2").code, Some(3));
    assert_eq!(scene.read("looked"), "2\n");
    assert_eq!(ran.trips("a"), 1);
}

/// Under --check nothing runs ahead that would not run in its turn.
#[tokio::test]
async fn under_check_no_look_runs() {
    let mut scene = ten_tasks();
    scene.play().await;
    scene.check = true;
    let ran = scene.play().await;
    assert_eq!(ran.code(), 0, "{:?}", ran.trace());
    assert_eq!(scene.read("looked"), "read\ncheck\n");
}
