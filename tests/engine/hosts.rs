//! Many hosts: who waits for whom, and when one's failure is everybody's.

use crate::scene::Scene;
use runner::event::Event;
use runner::transport::ConnectError;
use runner::transport::fake::{FakeAnswer, FakeTransport};
use std::sync::Arc;
use tokio::sync::Notify;

/// A transport on which one host answers only when it is told to.
fn slow(host: &'static str) -> (FakeTransport, Arc<Notify>) {
    let notify = Arc::new(Notify::new());
    let wait = notify.clone();
    let transport = FakeTransport::new(move |name, _, _| match name == host {
        true => FakeAnswer::real().after(wait.clone()),
        false => FakeAnswer::real(),
    });
    (transport, notify)
}

fn finished(event: &Event, on: &str, named: &str) -> bool {
    matches!(event, Event::TaskFinished { host, task, .. } if host == on && task.name == named)
}

#[tokio::test]
async fn hosts_do_not_wait_for_each_other() {
    let scene = Scene::tasks(
        &["a", "b"],
        "",
        &[
            "name = \"one\"\ncommand = \"true\"",
            "name = \"two\"\ncommand = \"true\"",
        ],
    );
    let (transport, notify) = slow("a");
    let mut told = 0;
    let ran = scene
        .watched(transport, &mut |event, _| {
            // Host a hears nothing before b is done with everything.
            if finished(event, "b", "two") || told > 0 && finished(event, "a", "one") {
                told += 1;
                notify.notify_one();
            }
        })
        .await;
    assert!(ran.at("b: two: changed") < ran.at("a: one: changed"));
    assert_eq!(ran.code(), 0);
}

/// A task that reads another host's result waits for it: also through a variable or a template.
#[tokio::test]
async fn who_reads_another_hosts_result_waits_for_it() {
    for (vars, reader) in [
        ("", "debug = { msg = \"{{ hostvars.b.r.stdout }}\" }"),
        (
            "",
            "debug = { msg = \"{{ hostvars[other].r.stdout }}\" }\nvars = { other = \"b\" }",
        ),
        (
            "vars = { x = \"{{ y }}\", y = \"{{ hostvars.b.r.stdout }}\" }",
            "debug = { msg = \"{{ x }}\" }",
        ),
        (
            "",
            "debug = \"hi\"\nenv = { X = \"{{ hostvars.b.r.stdout }}\" }",
        ),
        (
            "",
            "debug = \"hi\"\nfailed_when = \"hostvars.b.r.stdout != 'b'\"",
        ),
        (
            "",
            "template = { src = \"x.conf\", dest = \"DIR/{{ inventory_hostname }}.conf\" }",
        ),
        (
            "",
            "template = { src = \"outer.conf\", dest = \"DIR/{{ inventory_hostname }}.conf\" }",
        ),
    ] {
        let reader = format!("name = \"read\"\n{reader}");
        let ask = "name = \"ask\"\ncommand = \"echo {{ inventory_hostname }}\"\nregister = \"r\"";
        let scene = Scene::tasks(&["a", "b"], vars, &[ask, &reader]);
        scene.write("templates/x.conf", "{{ hostvars.b.r.stdout }}\n");
        scene.write("templates/outer.conf", "{% include 'x.conf' %}\n");
        let (transport, notify) = slow("b");
        let mut told = false;
        let ran = scene
            .watched(transport, &mut |event, _| {
                if finished(event, "a", "ask") || told {
                    told = true;
                    notify.notify_one();
                }
            })
            .await;
        assert_eq!(ran.code(), 0, "{vars} {reader} {:#?}", ran.trace());
        assert!(
            ran.at("b: ask: changed") < ran.start("a", "read"),
            "{vars} {reader}"
        );
    }
}

#[tokio::test]
async fn batches_go_one_after_the_other() {
    let hosts = ["a", "b", "c", "d", "e"];
    for (serial, batches) in [
        ("2", &[&["a", "b"][..], &["c", "d"], &["e"]][..]),
        ("[1, \"60%\"]", &[&["a"], &["b", "c", "d"], &["e"]]),
        ("\"10%\"", &[&["a"], &["b"], &["c"], &["d"], &["e"]]),
        ("\"100%\"", &[&["a", "b", "c", "d", "e"]]),
    ] {
        let scene = Scene::new(
            &hosts,
            &format!(
                "[[play]]\nhosts = \"all\"\nserial = {serial}\n\n[[play.task]]\nname = \"x\"\ncommand = \"true\"\nnotify = \"h\"\n\n\
                 [[play.task]]\nname = \"who\"\ndebug = {{ msg = \"{{{{ play_hosts | join }}}}\" }}\n\n\
                 [[play.handler]]\nname = \"h\"\ncommand = \"true\"\n"
            ),
        );
        let ran = scene.play().await;
        assert_eq!(ran.code(), 0);
        for pair in batches.windows(2) {
            let done = pair[0]
                .iter()
                .map(|host| ran.at(&format!("{host}: h: changed")));
            let begun = pair[1].iter().map(|host| ran.start(host, "x"));
            assert!(done.max() < begun.min(), "{serial}");
        }
        for batch in batches {
            assert_eq!(ran.shown(batch[0], "who"), batch.concat());
        }
    }
}

/// The trace of two plays, the first of which loses host a of four.
async fn after_a_failure(keys: &str) -> (Vec<String>, u8) {
    let scene = Scene::new(
        &["a", "b", "c", "d"],
        &format!(
            "[[play]]\nhosts = \"all\"\nserial = 2\n{keys}\n\n[[play.task]]\nname = \"one\"\n\
             command = [\"test\", \"{{{{ inventory_hostname }}}}\", \"!=\", \"a\"]\n\n\
             [[play]]\nhosts = \"d\"\n\n[[play.task]]\nname = \"next\"\ndebug = \"x\"\n"
        ),
    );
    let ran = scene.play().await;
    (ran.sorted(), ran.code())
}

#[tokio::test]
async fn one_failure_can_end_it_for_all() {
    let all = [
        "a: one: failed",
        "b: one: changed",
        "c: one: changed",
        "d: one: changed",
        "d: next: ok",
    ];
    let (trace, code) = after_a_failure("").await;
    assert_eq!((trace, code), (all.map(String::from).to_vec(), 2));
    let (trace, code) = after_a_failure("max_fail_percentage = 25").await;
    assert_eq!((trace, code), (all.map(String::from).to_vec(), 2));
    for keys in [
        "any_errors_fatal = true",
        "max_fail_percentage = 24",
        "max_fail_percentage = 0",
    ] {
        let (trace, code) = after_a_failure(keys).await;
        assert_eq!(trace, ["a: one: failed", "b: one: changed"], "{keys}");
        assert_eq!(code, 2);
    }
}

/// A play that needs its hosts is not begun with fewer than it was promised.
#[tokio::test]
async fn hosts_that_were_lost_before_count() {
    let plays = |keys: &str| {
        format!(
            "[[play]]\nhosts = \"all\"\n\n[[play.task]]\nname = \"one\"\n\
             command = [\"test\", \"{{{{ inventory_hostname }}}}\", \"!=\", \"a\"]\n\n\
             [[play]]\nname = \"second\"\nhosts = \"all\"\n{keys}\n\n[[play.task]]\nname = \"next\"\ndebug = \"x\"\n\n\
             [[play]]\nhosts = \"d\"\n\n[[play.task]]\nname = \"last\"\ndebug = \"x\"\n"
        )
    };
    let expected = [
        "a: one: failed",
        "b: one: changed",
        "b: next: cancelled",
        "c: one: changed",
        "c: next: cancelled",
        "d: one: changed",
        "d: next: cancelled",
    ];
    for (keys, allowed) in [
        ("any_errors_fatal = true", "any_errors_fatal allows none"),
        (
            "max_fail_percentage = 24",
            "max_fail_percentage allows 24 percent",
        ),
    ] {
        let ran = Scene::new(&["a", "b", "c", "d"], &plays(keys)).play().await;
        assert_eq!(ran.sorted(), expected, "{keys}");
        assert_eq!(ran.code(), 2);
        let words = format!(
            "play `second` is not begun: 1 of its 4 hosts has left the run before, and {allowed}"
        );
        assert_eq!(ran.warnings(), [words]);
    }
    for keys in [
        "",
        "max_fail_percentage = 25",
        "any_errors_fatal = true\nonce = true",
    ] {
        let ran = Scene::new(&["a", "b", "c", "d"], &plays(keys)).play().await;
        let trace = ran.sorted();
        assert!(
            trace.contains(&"b: next: ok".to_string()),
            "{keys}: {trace:?}"
        );
        assert!(
            trace.contains(&"d: last: ok".to_string()),
            "{keys}: {trace:?}"
        );
    }
}

/// Unreachable hosts count as well as failed ones, and hosts that had to stop are not as wanted.
#[tokio::test]
async fn an_unreachable_host_can_end_it_for_all() {
    let scene = Scene::new(
        &["a", "b"],
        "[[play]]\nhosts = \"all\"\nany_errors_fatal = true\n\n[[play.task]]\nname = \"one\"\ncommand = \"true\"\nregister = \"r\"\n\n\
         [[play.task]]\nname = \"two\"\ncommand = \"echo {{ hostvars | length }}\"\n\n\
         [[play]]\nhosts = \"all\"\n\n[[play.task]]\nname = \"next\"\ncommand = \"true\"\n",
    );
    let transport = FakeTransport::new(|_, _, _| FakeAnswer::real())
        .refuse("a", ConnectError::unreachable("no answer"));
    let ran = scene.over(transport).await;
    let trace = ran.sorted();
    assert_eq!(trace[0], "a: unreachable: no answer");
    // How far b had come by then is nobody's promise.
    let last = trace.last().unwrap();
    assert!(
        last == "b: one: cancelled" || last == "b: two: cancelled",
        "{trace:?}"
    );
    let named = last.split(": ").nth(1).unwrap();
    assert_eq!(
        ran.outcome("b", named).message,
        "not begun: another host has failed"
    );
    assert_eq!(ran.code(), 4);
    assert_eq!(ran.report.unfinished(), ["a", "b"]);
}

const ONCE: &str = r#"
[[play]]
hosts = "all"
once = true

[[play.task]]
name = "ask"
command = "echo {{ inventory_hostname }}"
register = "r"

[[play.task]]
name = "keep"
set_fact = { kept = "{{ r.stdout }}!" }

[[play]]
hosts = "all"

[[play.task]]
name = "tell"
debug = { msg = "{{ r.stdout }}{{ kept }}" }
"#;

#[tokio::test]
async fn once_is_on_the_first_host_that_answers_and_all_know_the_result() {
    let scene = Scene::new(&["a", "b", "c"], ONCE);
    let transport = FakeTransport::new(|_, _, _| FakeAnswer::real())
        .refuse("a", ConnectError::unreachable("no answer"));
    let ran = scene.over(transport).await;
    assert_eq!(
        ran.sorted(),
        [
            "a: unreachable: no answer",
            "b: ask: changed",
            "b: keep: ok",
            "b: tell: ok",
            "c: tell: ok",
        ]
    );
    assert_eq!(ran.shown("c", "tell"), "bb!");
    assert_eq!(ran.code(), 4);
}

#[tokio::test]
async fn once_with_nobody_there_is_fatal_where_any_error_is() {
    let playbook = ONCE.replace("once = true", "once = true\nany_errors_fatal = true");
    let playbook = playbook.replacen("hosts = \"all\"", "hosts = \"a:b\"", 1);
    let scene = Scene::new(&["a", "b", "c"], &playbook);
    let transport = FakeTransport::new(|_, _, _| FakeAnswer::real())
        .refuse("a", ConnectError::unreachable("no answer"))
        .refuse("b", ConnectError::identity("another key"));
    let ran = scene.over(transport).await;
    assert_eq!(
        ran.trace(),
        ["a: unreachable: no answer", "b: refused: another key"]
    );
    assert_eq!(ran.code(), 12);
}

#[tokio::test]
async fn so_many_at_a_time() {
    let mut scene = Scene::tasks(
        &["a", "b", "c"],
        "",
        &[
            "name = \"one\"\ncommand = \"true\"",
            "name = \"two\"\ncommand = \"true\"",
        ],
    );
    scene.forks = 1;
    let ran = scene.play().await;
    let mut last = 0;
    for line in ran.trace().chunks(2) {
        // A host that has begun is done before another begins.
        assert_eq!(line[0].split(':').next(), line[1].split(':').next());
        last += 1;
    }
    assert_eq!(last, 3);
}
