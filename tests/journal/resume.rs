//! What a run that goes on does, and what it does not do again.

use crate::local::{Local, mark, risky};

#[test]
fn what_is_finished_is_not_done_again() {
    let local = Local::tasks(&[mark("one", ""), risky(""), mark("three", "")]);
    local.fails("b");
    local.ends(&[], 2);
    let first = [
        "a one", "a risky", "a three", "b one", "b risky", "c one", "c risky", "c three",
    ];
    assert_eq!(local.marks(), first);
    local.mended();
    let out = local.ends(&["--resume"], 0);
    assert_eq!(local.marks(), ["b risky", "b three"]);
    assert!(
        out.contains("3 hosts as wanted, 2 changed on 1 host"),
        "{out}"
    );
}

#[test]
fn a_resumed_run_can_be_resumed() {
    let local = Local::tasks(&[mark("one", ""), risky(""), mark("three", "")]);
    local.fails("b");
    local.fails("c");
    local.ends(&[], 2);
    local.marks();
    std::fs::remove_file(local.bench.path("fails-c")).unwrap();
    local.ends(&["--resume"], 2);
    assert_eq!(local.marks(), ["b risky", "c risky", "c three"]);
    local.mended();
    local.ends(&["--resume"], 0);
    assert_eq!(local.marks(), ["b risky", "b three"]);
}

#[test]
fn where_nothing_is_left_nothing_is_done() {
    let local = Local::tasks(&[mark("one", "")]);
    local.ends(&[], 0);
    let run = local.only();
    local.marks();
    let out = local.ends(&["--resume"], 0);
    assert_eq!(
        out,
        format!("nothing is left to do: run {run} of play.toml finished on 3 hosts\n")
    );
    assert!(local.marks().is_empty());
    assert_eq!(local.only(), run);
}

#[test]
fn without_a_run_before_there_is_nothing_to_go_on_from() {
    let local = Local::tasks(&[mark("one", "")]);
    local.bench.refuses(
        &["play", "play.toml", "--resume"],
        5,
        "error: there is no run of play.toml on this inventory to go on from
   = help: play it without --resume
",
    );
    // A check is no run to go on from, and leaves nothing behind.
    local.ends(&["--check"], 0);
    assert_eq!(local.play(&["--resume"]).code, 5);
}

#[test]
fn values_and_handlers_are_back() {
    let local = Local::tasks(&[
        "\n[[play.task]]\nname = \"look\"\ncommand = \"echo seen {{ inventory_hostname }}\"\nregister = \"seen\"\nnotify = \"told\"\n".into(),
        "\n[[play.task]]\nset_fact = { kept = \"fact {{ seen.stdout }}\" }\n".into(),
        risky(""),
        "\n[[play.task]]\nshell = \"echo {{ inventory_hostname }} {{ kept }} >> DIR/marks\"\n".into(),
        "\n[[play.handler]]\nname = \"told\"\nshell = \"echo {{ inventory_hostname }} told >> DIR/marks\"\n".into(),
    ]);
    local.fails("b");
    local.ends(&[], 2);
    assert_eq!(
        local.marks(),
        [
            "a fact seen a",
            "a risky",
            "a told",
            "b risky",
            "c fact seen c",
            "c risky",
            "c told"
        ]
    );
    local.mended();
    local.ends(&["--resume"], 0);
    assert_eq!(local.marks(), ["b fact seen b", "b risky", "b told"]);
}

#[test]
fn a_handler_that_has_run_does_not_run_again() {
    let handler = |name: &str, more: &str| {
        format!(
            "\n[[play.handler]]\nname = \"{name}\"\nshell = \"echo {{{{ inventory_hostname }}}} {name} >> DIR/marks{more}\"\n"
        )
    };
    let local = Local::tasks(&[
        mark("one", "notify = [\"first\", \"second\"]"),
        handler("first", ""),
        handler("second", "; test ! -e DIR/fails-{{ inventory_hostname }}"),
    ]);
    local.fails("a");
    local.ends(&[], 2);
    local.marks();
    local.mended();
    local.ends(&["--resume"], 0);
    assert_eq!(local.marks(), ["a second"]);
}

#[test]
fn a_loop_goes_on_with_the_items_that_are_left() {
    let local = Local::tasks(&[
        "\n[[play.task]]\nloop = [1, 2, 3, 4]\nregister = \"all\"\nshell = \"echo {{ inventory_hostname }} {{ item }} >> DIR/marks; \
         echo got {{ item }}; test {{ item }} != 3 -o ! -e DIR/fails-{{ inventory_hostname }}\"\n".into(),
        "\n[[play.task]]\nshell = \"echo {{ inventory_hostname }} {{ all.results | map(attribute='stdout') | join(' ') }} >> DIR/marks\"\n".into(),
    ]);
    local.fails("b");
    local.ends(&["--limit", "b"], 2);
    assert_eq!(local.marks(), ["b 1", "b 2", "b 3", "b 4"]);
    local.mended();
    local.ends(&["--limit", "b", "--resume"], 0);
    assert_eq!(local.marks(), ["b 3", "b got 1 got 2 got 3 got 4"]);
}

#[test]
fn a_play_for_one_host_goes_on_there_and_what_it_registered_is_shared() {
    let local = Local::new(&format!(
        "[[play]]\nname = \"lead\"\nhosts = \"all\"\nonce = true\n{}{}\n[[play]]\nname = \"rest\"\nhosts = \"all\"\n{}{}",
        "\n[[play.task]]\ncommand = \"echo token of {{ inventory_hostname }}\"\nregister = \"token\"\n",
        mark("lead", ""),
        risky(""),
        "\n[[play.task]]\nshell = \"echo {{ inventory_hostname }} {{ token.stdout }}, {{ hostvars.a.token.stdout }} >> DIR/marks\"\n"
    ));
    local.fails("c");
    local.ends(&[], 2);
    local.marks();
    local.mended();
    local.ends(&["--resume"], 0);
    assert_eq!(local.marks(), ["c risky", "c token of a, token of a"]);
}

#[test]
fn hosts_in_turn_and_a_failure_that_ends_all() {
    let local = Local::new(&format!(
        "[[play]]\nhosts = \"all\"\nserial = 1\nany_errors_fatal = true\n{}{}{}",
        mark("one", ""),
        risky(""),
        mark("three", "")
    ));
    local.fails("b");
    local.ends(&[], 2);
    assert_eq!(
        local.marks(),
        ["a one", "a risky", "a three", "b one", "b risky"]
    );
    local.mended();
    local.ends(&["--resume"], 0);
    assert_eq!(
        local.marks(),
        ["b risky", "b three", "c one", "c risky", "c three"]
    );
}

#[test]
fn a_check_may_look_at_what_is_left_and_does_not_count() {
    let local = Local::tasks(&[mark("one", ""), risky(""), mark("three", "")]);
    local.fails("b");
    local.ends(&[], 2);
    local.marks();
    local.mended();
    local.ends(&["--resume", "--check"], 0);
    assert!(local.marks().is_empty());
    local.ends(&["--resume"], 0);
    assert_eq!(local.marks(), ["b risky", "b three"]);
}

#[test]
fn a_run_can_be_named() {
    let local = Local::tasks(&[mark("one", ""), risky("")]);
    local.fails("b");
    local.ends(&[], 2);
    let run = local.only();
    local.mended();
    local.marks();
    local.ends(&["--limit", "a"], 0);
    local.marks();
    local.ends(&[&format!("--resume={run}")], 0);
    assert_eq!(local.marks(), ["b risky"]);
    let gone = "20260203-040506-9f3a";
    local.bench.refuses(
        &["play", "play.toml", &format!("--resume={gone}")],
        5,
        &format!("error: there is no run {gone}\n   = help: `runner history` lists the runs that are known\n"),
    );
}

#[test]
fn what_may_hold_a_secret_is_not_kept_and_asked_again_where_that_is_harmless() {
    let secret = "canary-9f2c";
    let local = Local::tasks(&[
        format!("\n[[play.task]]\nname = \"look\"\ncommand = \"echo {secret}\"\nchanged_when = false\nregister = \"token\"\nno_log = true\n"),
        risky(""),
        "\n[[play.task]]\nshell = \"echo {{ inventory_hostname }} {{ token.stdout | length }} >> DIR/marks\"\n".into(),
    ]);
    local.fails("b");
    local.ends(&[], 2);
    local.marks();
    let kept = std::fs::read_to_string(&local.journals()[0]).unwrap();
    assert!(!kept.contains(secret), "{kept}");
    local.mended();
    local.ends(&["--resume"], 0);
    assert_eq!(local.marks(), ["b 11", "b risky"]);
}

#[test]
fn what_may_hold_a_secret_and_would_have_to_be_done_again_is_refused() {
    let local = Local::tasks(&[
        "\n[[play.task]]\nname = \"make\"\ncommand = \"echo canary\"\nregister = \"token\"\nno_log = true\n".into(),
        risky(""),
        "\n[[play.task]]\nname = \"use\"\nshell = \"echo {{ token.stdout }}\"\n".into(),
    ]);
    local.fails("b");
    local.ends(&[], 2);
    let run = local.only();
    local.mended();
    local.bench.refuses(
        &["play", "play.toml", "--resume"],
        5,
        &format!(
            "error: `token` is needed here, and run {run} did not keep it
   --> play.toml:18:1
    |
 18 | shell = \"echo {{{{ token.stdout }}}}\"
    | ^^^^^
    = help: `make` at play.toml:7 registered it on a; what may hold a secret is not written down
    = help: play it without --resume
"
        ),
    );
}
