//! What the screen shows of made-up runs on the 26 hosts.

#![allow(clippy::unwrap_used, clippy::panic)]

mod live;
mod support;
mod timing;
mod transfers;

use runner::diagnostic::Source;
use runner::event::{Event, Outcome, Status};
use runner::ui::{Options, Output};
use support::{HOSTS, done, outcome, over, play, run, show, task};

#[test]
fn a_finished_cluster_says_that_nothing_changed() {
    let mut events = vec![run(false), play(0, "hosts", &HOSTS, 2)];
    for (index, name) in [(0, "data directories"), (1, "configuration")] {
        let task = task(0, index, name);
        events.extend(HOSTS.map(|host| done(host, &task, outcome(Status::Ok))));
    }
    events.extend([Event::PlayFinished { play: 0 }, over(3)]);
    let (out, err, report) = show(Options::default(), &events);
    insta::assert_snapshot!(out);
    assert_eq!(err, "");
    assert_eq!(report.exit_code(), 0);
}

#[test]
fn failures_come_at_once_and_the_same_one_comes_once() {
    let source = Source::new(
        "playbooks/zookeeper.toml",
        "[[play]]\nname = \"x\"\n\n[[play.task]]\nname = \"configuration\"\n",
    );
    let mut events = vec![run(false), play(0, "hosts", &HOSTS, 1)];
    let task = task(0, 0, "configuration");
    for (at, host) in HOSTS.into_iter().enumerate() {
        match at {
            0 | 5 => events.push(Event::HostLost {
                host: host.to_owned(),
                status: Status::Unreachable,
                message: format!("no answer from 29.16.21.{}:22 within 10 s", 64 + at),
                help: vec!["is the host up? try `ping`".to_owned()],
            }),
            11..14 => {
                let stderr: String = (1..=25)
                    .map(|n| format!("line {n} of \x1b[31mtrouble\n"))
                    .collect();
                let failed = Outcome {
                    message: "cannot write /home/dcos/zookeeper.conf".to_owned(),
                    help: vec!["free some space on /home".to_owned()],
                    code: Some(1),
                    stderr: stderr.into_bytes(),
                    place: Some(source.place(21..33)),
                    ..outcome(Status::Failed)
                };
                events.push(done(host, &task, failed));
            }
            20 => events.push(done(host, &task, outcome(Status::Changed))),
            _ => events.push(done(host, &task, outcome(Status::Ok))),
        }
    }
    events.extend([Event::PlayFinished { play: 0 }, over(200)]);
    let (out, _, report) = show(Options::default(), &events);
    insta::assert_snapshot!(out);
    assert_eq!(report.exit_code(), 6);
}

#[test]
fn json_is_one_event_per_line() {
    let task = task(0, 0, "uptime");
    let result = Outcome {
        stdout: b"up\xff\n".to_vec(),
        code: Some(0),
        ..outcome(Status::Changed)
    };
    let events = [run(false), done(HOSTS[0], &task, result), over(1)];
    let options = Options {
        output: Output::Json,
        ..Options::default()
    };
    let (out, _, _) = show(options, &events);
    let lines: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let names: Vec<_> = lines
        .iter()
        .map(|line| line["event"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["run_started", "task_finished", "run_finished"]);
    assert_eq!(lines[0]["version"], 1);
    assert_eq!(lines[1]["stdout_base64"], "dXD/Cg==");
    assert_eq!(lines[1]["stderr"], "");
    assert_eq!(lines[2]["totals"]["changed"], 1);
    assert_eq!(lines[2]["exit_code"], 0);
}

#[test]
fn a_dry_run_says_what_would_change_and_why() {
    let mut events = vec![run(true), play(0, "hosts", &HOSTS, 1)];
    let task = task(0, 0, "configuration");
    for (at, host) in HOSTS.into_iter().enumerate() {
        let changed = Outcome {
            message: "mode 0644 -> 0755".to_owned(),
            diff: Some(runner::modules::Diff {
                name: "/home/dcos/zookeeper.conf".to_owned(),
                before: "a=1\nb=2\n".to_owned(),
                after: "a=1\nb=3".to_owned(),
            }),
            ..outcome(Status::Changed)
        };
        let result = if at < 2 { changed } else { outcome(Status::Ok) };
        events.push(done(host, &task, result));
    }
    events.extend([Event::PlayFinished { play: 0 }, over(3)]);
    let (out, _, report) = show(Options::default(), &events);
    insta::assert_snapshot!(out);
    assert_eq!(report.exit_code(), 0);
}

#[test]
fn a_loop_counts_once_and_names_that_differ_are_joined() {
    let mut events = vec![run(false), play(0, "labels", &HOSTS[..2], 2)];
    for (host, label) in [(HOSTS[0], "zk1"), (HOSTS[1], "zk2")] {
        for (item, status) in [
            ("a", Status::Ok),
            ("b", Status::Changed),
            ("c", Status::Skipped),
        ] {
            let mut task = task(0, 0, &format!("label {label} set"));
            task.item = Some(item.to_owned());
            events.push(done(host, &task, outcome(status)));
        }
        events.push(done(host, &task(0, 1, "done"), outcome(Status::Ok)));
    }
    events.extend([Event::PlayFinished { play: 0 }, over(3)]);
    let (out, _, report) = show(Options::default(), &events);
    let line = "  label zk… set ................................ changed 2\n";
    assert!(out.contains(line), "{out}");
    assert_eq!(report.counts(HOSTS[0]).get(Status::Changed), 1);
    assert_eq!(report.totals().get(Status::Ok), 2);
}

#[test]
fn an_interrupted_run_says_so() {
    let task = task(0, 0, "stack");
    let events = [
        run(false),
        play(0, "services", &HOSTS[..1], 1),
        Event::Interrupted {
            signal: "INT".to_owned(),
        },
        done(HOSTS[0], &task, outcome(Status::Cancelled)),
        Event::PlayFinished { play: 0 },
        over(12),
    ];
    let (out, _, report) = show(Options::default(), &events);
    let last = out.lines().last().unwrap();
    assert_eq!(
        last,
        "stopped by SIGINT after 12 s: 1 of 26 hosts not finished"
    );
    assert_eq!(report.exit_code(), 130);
}

#[test]
fn in_a_pipe_an_ad_hoc_command_gives_lines_with_their_host() {
    let task = task(0, 0, "command");
    let printed = |stdout: &[u8]| Outcome {
        stdout: stdout.to_vec(),
        code: Some(0),
        ..outcome(Status::Changed)
    };
    let failed = Outcome {
        stderr: b"sh: uname: not found\n".to_vec(),
        code: Some(127),
        message: "ended with exit code 127".to_owned(),
        ..outcome(Status::Failed)
    };
    let events = [
        run(false),
        done("gp22aitppapn50h", &task, printed(b"one\ntwo\n")),
        done("gp22aitppap3j1z", &task, printed(b"\x1b]0;title\x07\n")),
        done("gp22aitppap224s", &task, failed),
        over(1),
    ];
    let options = Options {
        adhoc: true,
        ..Options::default()
    };
    let (out, err, report) = show(options, &events);
    assert_eq!(
        out,
        "gp22aitppapn50h  one\ngp22aitppapn50h  two\ngp22aitppap3j1z  \\x1b]0;title\\x07\n"
    );
    assert_eq!(
        err,
        "gp22aitppap224s  sh: uname: not found\n\
         gp22aitppap224s  failed: ended with exit code 127\n\
         1 of 26 hosts failed: gp22aitppap224s (1.0 s)\n"
    );
    assert_eq!(report.exit_code(), 2);
}

#[test]
fn what_a_task_shows_stands_behind_its_hosts() {
    let mut events = vec![run(false), play(0, "hosts", &HOSTS[..4], 1)];
    let task = task(0, 0, "say");
    for (at, text) in [(3, "two"), (0, "one"), (2, "two"), (1, "a\nb")] {
        let says = Outcome {
            shown: Some(text.to_owned()),
            ..outcome(Status::Ok)
        };
        events.push(done(HOSTS[at], &task, says));
    }
    let (out, _, _) = show(Options::default(), &events);
    let told = "
hosts (4 hosts)
  say .......................................... ok 4
    gp22aitppapn50h                       one
    gp22aitppap3j1z
      a
      b
    gp22aitppap224s, gp22aitppapqbnp (2)  two
";
    assert!(out.starts_with(told.trim_start_matches('\n')), "{out}");
}
