//! The way of one host through its tasks.

use crate::scene::Scene;
use runner::engine::Selection;
use runner::event::{Event, Status};
use runner::transport::fake::{FakeAnswer, FakeTransport};
use tokio::sync::watch;

#[tokio::test]
async fn tasks_run_in_order_and_results_are_kept() {
    let scene = Scene::tasks(
        &["a"],
        "",
        &[
            "name = \"one\"\nshell = \"echo hello; echo oops >&2; exit 3\"\nregister = \"r\"\nfailed_when = \"r.rc != 3\"",
            "name = \"two\"\ndebug = { msg = \"{{ r.stdout }}/{{ r.stderr }}/{{ r.rc }}/{{ r.changed }}/{{ r.stdout_lines | length }}\" }",
            "name = \"three\"\ncommand = \"true\"\nwhen = \"r.rc == 0\"",
            "name = \"four\"\ncommand = \"true\"\nwhen = [\"r.rc == 3\", \"'hell' in r.stdout\"]",
        ],
    );
    let ran = scene.play().await;
    assert_eq!(
        ran.trace(),
        [
            "a: one: changed",
            "a: two: ok",
            "a: three: skipped",
            "a: four: changed"
        ]
    );
    assert_eq!(ran.shown("a", "two"), "hello/oops/3/true/1");
    assert_eq!(ran.outcome("a", "three").message, "not when r.rc == 0");
    assert_eq!(ran.code(), 0);
}

#[tokio::test]
async fn loops_have_items_and_results() {
    let scene = Scene::tasks(
        &["a"],
        "vars = { words = [\"x\", \"y\", \"z\"] }",
        &[
            "name = \"each\"\ncommand = [\"printf\", \"%s\", \"<{{ item }}>\"]\nloop = \"words\"\nwhen = \"item != 'y'\"\nregister = \"r\"",
            "name = \"all\"\ndebug = { msg = \"{{ r.results | selectattr('stdout', 'defined') | map(attribute='stdout') | join }}\" }",
            "name = \"none\"\ncommand = \"false\"\nloop = []",
            "name = \"mixed\"\ncommand = [\"test\", \"{{ item }}\", \"=\", \"b\"]\nloop = [\"a\", \"b\"]\nignore_errors = true",
        ],
    );
    let ran = scene.play().await;
    assert_eq!(
        ran.trace(),
        [
            "a: each: changed",
            "a: all: ok",
            "a: none: skipped",
            "a: mixed: ignored"
        ]
    );
    assert_eq!(ran.outcome("a", "each").message, "2 of 3 items: x, z");
    assert_eq!(ran.shown("a", "all"), "<x><z>");
    assert_eq!(ran.outcome("a", "none").message, "the loop has no items");
    assert_eq!(ran.outcome("a", "mixed").message, "item a: exit code 1");
}

/// The worst turn of a loop speaks for all of them.
#[tokio::test]
async fn a_guard_in_a_loop_is_not_hidden_by_a_failure_before_it() {
    let scene = Scene::tasks(
        &["a"],
        "",
        &[
            "name = \"go\"\nremove = \"{{ item.path }}\"\nloop = [{ path = \"DIR/full\" }, { path = \"DIR/link/x\" }]",
        ],
    );
    std::fs::create_dir(scene.path("full")).unwrap();
    std::fs::create_dir(scene.path("real")).unwrap();
    std::fs::write(scene.path("real/x"), "").unwrap();
    std::os::unix::fs::symlink(scene.path("real"), scene.path("link")).unwrap();
    let ran = scene.play().await;
    assert_eq!(ran.trace(), ["a: go: guarded"]);
    assert_eq!(ran.code(), 9);
    assert!(scene.path("real/x").exists());
}

#[tokio::test]
async fn a_task_is_tried_again_until_it_holds() {
    let scene = Scene::tasks(
        &["a"],
        "",
        &[
            "name = \"third\"\nshell = \"echo x >> DIR/tries; grep -c x DIR/tries\"\nregister = \"r\"\nuntil = \"r.stdout == '3'\"\nretries = 5\ndelay = \"0s\"",
            "name = \"never\"\nshell = \"echo y >> DIR/never\"\nuntil = \"false\"\nretries = 2\ndelay = \"0s\"\nignore_errors = true",
            "name = \"plain\"\nshell = \"echo z >> DIR/plain; [ $(grep -c z DIR/plain) = 2 ]\"\nretries = 5\ndelay = \"0s\"",
            "name = \"hopeless\"\nshell = \"echo w >> DIR/hopeless; false\"\nretries = 2\ndelay = \"0s\"",
        ],
    );
    let ran = scene.play().await;
    assert_eq!(
        ran.trace(),
        [
            "a: third: changed",
            "a: never: ignored",
            "a: plain: changed",
            "a: hopeless: failed"
        ]
    );
    assert_eq!(scene.read("tries"), "x\nx\nx\n");
    assert_eq!(scene.read("never"), "y\ny\ny\n");
    assert_eq!(
        ran.outcome("a", "never").message,
        "`until` did not hold after 3 tries: \"false\""
    );
    assert_eq!(scene.read("plain"), "z\nz\n");
    assert_eq!(scene.read("hopeless"), "w\nw\nw\n");
    let left: Vec<u32> = ran
        .events
        .iter()
        .filter_map(|event| match event {
            Event::TaskRetry { left, .. } => Some(*left),
            _ => None,
        })
        .collect();
    assert_eq!(left, [5, 4, 2, 1, 5, 2, 1]);
}

#[tokio::test(start_paused = true)]
async fn between_tries_it_waits() {
    let scene = Scene::tasks(
        &["a"],
        "",
        &["name = \"x\"\ndebug = \"hi\"\nuntil = \"false\"\nretries = 3\ndelay = \"20s\""],
    );
    let started = tokio::time::Instant::now();
    let ran = scene.play().await;
    assert_eq!(ran.trace(), ["a: x: failed"]);
    assert_eq!(started.elapsed().as_secs(), 60);
}

#[tokio::test]
async fn handlers_run_once_at_the_end_and_only_after_a_change() {
    let scene = Scene::new(
        &["a", "b"],
        r#"
[[play]]
hosts = "all"

[[play.task]]
name = "one"
file = { path = "DIR/{{ inventory_hostname }}", content = "1" }
notify = ["second", "first"]

[[play.task]]
name = "two"
file = { path = "DIR/{{ inventory_hostname }}.2", content = "2" }
notify = "second"

[[play.task]]
name = "last"
debug = "the tasks are over"

[[play.handler]]
name = "first"
command = "true"

[[play.handler]]
name = "second"
command = "true"
notify = "third"

[[play.handler]]
name = "unasked"
command = "false"

[[play.handler]]
name = "third"
command = "true"
"#,
    );
    scene.write("b", "1");
    scene.write("b.2", "2");
    let ran = scene.play().await;
    assert_eq!(
        ran.sorted(),
        [
            "a: one: changed",
            "a: two: changed",
            "a: last: ok",
            "a: first: changed",
            "a: second: changed",
            "a: third: changed",
            "b: one: ok",
            "b: two: ok",
            "b: last: ok",
        ]
    );
}

#[tokio::test]
async fn a_failed_host_leaves_and_the_others_go_on() {
    let scene = Scene::tasks(
        &["a", "b"],
        "",
        &[
            "name = \"one\"\ncommand = [\"test\", \"{{ inventory_hostname }}\", \"=\", \"b\"]",
            "name = \"two\"\ncommand = \"true\"",
        ],
    );
    let ran = scene.play().await;
    assert_eq!(
        ran.sorted(),
        ["a: one: failed", "b: one: changed", "b: two: changed"]
    );
    assert_eq!(ran.outcome("a", "one").message, "exit code 1");
    assert_eq!(ran.code(), 2);
    assert_eq!(ran.report.unfinished(), ["a"]);
}

#[tokio::test]
async fn failures_can_be_ignored_and_judged() {
    let scene = Scene::tasks(
        &["a"],
        "",
        &[
            "name = \"ignored\"\ncommand = \"false\"\nignore_errors = true\nregister = \"r\"",
            "name = \"seen\"\ndebug = { msg = \"{{ r.failed }}\" }",
            "name = \"fine\"\ncommand = \"false\"\nfailed_when = false",
            "name = \"still\"\ncommand = \"true\"\nchanged_when = false",
            "name = \"result\"\nshell = \"echo changed: 0\"\nchanged_when = \"'changed: 0' not in result.stdout\"",
            "name = \"lies\"\nshell = \"echo ERROR\"\nfailed_when = \"'ERROR' in result.stdout\"",
        ],
    );
    let ran = scene.play().await;
    assert_eq!(
        ran.trace(),
        [
            "a: ignored: ignored",
            "a: seen: ok",
            "a: fine: changed",
            "a: still: ok",
            "a: result: ok",
            "a: lies: failed",
        ]
    );
    assert_eq!(ran.shown("a", "seen"), "true");
    assert_eq!(
        ran.outcome("a", "lies").message,
        "failed_when holds: \"'ERROR' in result.stdout\""
    );
    assert_eq!(ran.code(), 2);
}

fn tagged(tags: &[&str], skip_tags: &[&str], start_at: Option<&str>) -> Scene {
    let owned = |tags: &[&str]| tags.iter().map(|tag| tag.to_string()).collect();
    let mut scene = Scene::tasks(
        &["a"],
        "",
        &[
            "name = \"plain\"\ndebug = \"x\"",
            "name = \"config\"\ndebug = \"x\"\ntags = [\"config\"]",
            "name = \"always\"\ndebug = \"x\"\ntags = [\"always\"]",
            "name = \"never\"\ndebug = \"x\"\ntags = [\"never\", \"wipe\"]",
        ],
    );
    scene.selection = Selection {
        tags: owned(tags),
        skip_tags: owned(skip_tags),
        start_at: start_at.map(str::to_string),
    };
    scene
}

#[tokio::test]
async fn tags_choose_tasks() {
    let names = |ran: crate::scene::Ran| -> Vec<String> {
        let lines = ran.trace();
        lines
            .iter()
            .map(|line| line.split(": ").nth(1).unwrap().to_string())
            .collect()
    };
    for (tags, skip, start, expected) in [
        (&[][..], &[][..], None, &["plain", "config", "always"][..]),
        (&["config"], &[], None, &["config", "always"]),
        (&["wipe"], &[], None, &["always", "never"]),
        (&["never"], &[], None, &["always", "never"]),
        (&["all"], &[], None, &["plain", "config", "always"]),
        (&["tagged"], &[], None, &["config", "always", "never"]),
        (&["untagged"], &[], None, &["plain", "always"]),
        (&[], &["config"], None, &["plain", "always"]),
        (&["config"], &["always"], None, &["config"]),
        (&[], &[], Some("config"), &["config", "always"]),
    ] {
        let ran = tagged(tags, skip, start).play().await;
        assert_eq!(names(ran), expected, "{tags:?} {skip:?} {start:?}");
    }
}

#[tokio::test]
async fn the_environment_reaches_commands() {
    let scene = Scene::tasks(
        &["a"],
        "env = { A = \"play\", B = \"it's {{ inventory_hostname }} \\\"$B\\\"\" }",
        &[
            "name = \"x\"\nshell = \"echo $A; echo \\\"$B\\\"\"\nenv = { A = \"task\" }\nregister = \"r\"",
            "name = \"y\"\nshell = \"echo $A\"\nregister = \"s\"",
            "name = \"show\"\ndebug = { msg = \"{{ r.stdout }};{{ s.stdout }}\" }",
        ],
    );
    let ran = scene.play().await;
    assert_eq!(ran.shown("a", "show"), "task\nit's a \"$B\";play");
}

#[tokio::test]
async fn a_deadline_ends_a_command_and_its_children() {
    let scene = Scene::tasks(
        &["a"],
        "",
        &[
            "name = \"slow\"\nshell = \"sleep 1000 & echo $! > DIR/child; trap '' TERM; echo $$ > DIR/shell; while :; do sleep 1000; done\"\ntimeout = \"500ms\"",
        ],
    );
    let ran = scene.play().await;
    assert_eq!(ran.trace(), ["a: slow: failed"]);
    assert_eq!(
        ran.outcome("a", "slow").message,
        "it took longer than its timeout and was ended"
    );
    for file in ["child", "shell"] {
        let pid = scene.read(file).trim().to_string();
        assert!(!alive(&pid), "{file} {pid} still runs");
    }
}

/// Whether a process runs; a dead one that nobody has waited for does not.
pub fn alive(pid: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    state.is_ok_and(|text| {
        let state = text.rsplit(')').next().unwrap().trim().chars().next();
        state != Some('Z') && state != Some('X')
    })
}

/// What a command leaves running on purpose is not the runner's to end.
#[tokio::test]
async fn a_service_that_was_started_stays() {
    let items: Vec<String> = (0..30).map(|n| n.to_string()).collect();
    let scene = Scene::tasks(
        &["a"],
        "",
        &[&format!(
            "name = \"start\"\nshell = \"sleep 600 >/dev/null 2>&1 & echo $! >> DIR/pids\"\nloop = {items:?}"
        )],
    );
    let ran = scene.play().await;
    assert_eq!(ran.trace(), ["a: start: changed"]);
    let pids = scene.read("pids");
    let dead: Vec<&str> = pids.lines().filter(|pid| !alive(pid)).collect();
    for pid in pids.lines().filter(|pid| alive(pid)) {
        let status = std::process::Command::new("kill").arg(pid).status();
        assert!(status.unwrap().success());
    }
    assert_eq!(pids.lines().count(), 30);
    assert!(dead.is_empty(), "{} of 30 were ended", dead.len());
}

#[tokio::test]
async fn a_stopped_run_says_who_was_not_done() {
    let scene = Scene::tasks(
        &["a", "b"],
        "",
        &[
            "name = \"hang\"\nshell = \"echo $$ > DIR/pid; exec sleep 1000\"\nwhen = \"inventory_hostname == 'a'\"",
            "name = \"more\"\nshell = \"until [ -s DIR/pid ]; do sleep 0.01; done\"",
        ],
    );
    let transport = FakeTransport::new(|_, _, _| FakeAnswer::real());
    let mut stop_after_b = |event: &Event, stop: &watch::Sender<bool>| {
        if matches!(event, Event::TaskFinished { host, task, .. } if host == "b" && task.name == "more")
        {
            stop.send(true).unwrap();
        }
    };
    let ran = scene.watched(transport, &mut stop_after_b).await;
    assert_eq!(
        ran.sorted(),
        ["a: hang: unknown", "b: hang: skipped", "b: more: changed"]
    );
    let outcome = ran.outcome("a", "hang");
    assert_eq!(
        (outcome.status, outcome.message.as_str()),
        (
            Status::Unknown,
            "stopped by the operator while it ran: it was ended, and may have done its work or a part of it"
        )
    );
    assert!(!alive(scene.read("pid").trim()));
    assert_eq!(ran.report.counts("a").get(Status::Unknown), 1);
}
