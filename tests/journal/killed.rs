//! A runner that is killed at some moment, and what the next one makes of it, on a real `sshd`.

use crate::support::bench::Ran;
use crate::support::site::{Site, until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// How many tasks leave a line on each host.
const TASKS: usize = 6;

const HOSTS: [&str; 3] = ["one", "two", "three"];

/// Tasks that take a moment and leave a line `HOST NUMBER`, tasks that ask first between them, and a handler.
fn playbook() -> String {
    let mut text = "[[play]]\nname = \"work\"\nhosts = \"all\"\n".to_owned();
    for task in 0..TASKS {
        text += &format!(
            "\n[[play.task]]\nname = \"task {task}\"\nnotify = \"told\"\n\
             shell = \"echo {{{{ inventory_hostname }}}} {task} >> DIR/marks; sleep 0.0{task}\"\n\
             \n[[play.task]]\nname = \"file {task}\"\n\
             file = {{ path = \"DIR/made/{{{{ inventory_hostname }}}}-{task}\", content = \"{task}\\n\" }}\n"
        );
    }
    text += &format!(
        "\n[[play.task]]\nname = \"loop\"\nloop = [10, 11, 12]\n\
         shell = \"echo {{{{ inventory_hostname }}}} {{{{ item }}}} >> DIR/marks; sleep 0.02\"\n\
         \n[[play.handler]]\nname = \"told\"\nshell = \"echo {{{{ inventory_hostname }}}} {TASKS} >> DIR/marks\"\n"
    );
    text
}

/// What every host leaves, each once.
fn wanted() -> BTreeMap<String, usize> {
    let numbers = || (0..=TASKS).chain(10..13);
    let lines = HOSTS
        .iter()
        .flat_map(|host| numbers().map(move |number| format!("{host} {number}")));
    lines.map(|line| (line, 1)).collect()
}

struct Field(Site);

impl Field {
    fn new() -> Option<Self> {
        let site = Site::here("")?;
        let folder = site.bench.root().to_str().unwrap().to_owned();
        let inventory = std::fs::read_to_string(site.bench.path("inventory/hosts.toml")).unwrap();
        let (head, line) = inventory.split_once('\n').unwrap();
        let lines = HOSTS.map(|host| line.replacen("one", host, 1)).concat();
        std::fs::write(
            site.bench.path("inventory/hosts.toml"),
            format!("{head}\n{lines}"),
        )
        .unwrap();
        std::fs::create_dir(site.bench.path("made")).unwrap();
        std::fs::write(
            site.bench.path("play.toml"),
            playbook().replace("DIR", &folder),
        )
        .unwrap();
        Some(Self(site))
    }

    fn play(&self, options: &[&str]) -> Ran {
        self.0.play(options)
    }

    /// How often each line was left.
    fn marks(&self) -> BTreeMap<String, usize> {
        let text = std::fs::read_to_string(self.0.bench.path("marks")).unwrap_or_default();
        let mut marks = BTreeMap::new();
        for line in text.lines() {
            *marks.entry(line.to_owned()).or_default() += 1;
        }
        marks
    }

    fn start(&self, options: &[&str]) -> Child {
        let mut command = self.0.command(options);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().unwrap()
    }

    /// Nothing of an ended run runs on the hosts any more: a line that it leaves later would be counted wrongly.
    fn settled(&self) {
        let server = self.0.sshd.pid().to_string();
        until("the hosts are quiet", || {
            let children =
                std::fs::read_to_string(format!("/proc/{server}/task/{server}/children"));
            children.is_ok_and(|children| children.trim().is_empty())
        });
    }

    fn forget(&self) {
        std::fs::remove_file(self.0.bench.path("marks")).ok();
        std::fs::remove_dir_all(self.0.bench.path("made")).unwrap();
        std::fs::create_dir(self.0.bench.path("made")).unwrap();
        std::fs::remove_dir_all(self.0.bench.path(".local")).ok();
    }
}

/// A number below `below`, from a seed.
fn next(seed: &mut u64, below: u64) -> u64 {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

/// The lines that unknown tasks were to leave, as the journal of the last run that is not over lists them.
fn unknown(ran: &Ran) -> Vec<String> {
    let mut lines = Vec::new();
    for line in ran
        .err
        .lines()
        .filter_map(|line| line.trim().strip_prefix("= help: `"))
    {
        let Some((name, rest)) = line.split_once("` at ") else {
            continue;
        };
        let hosts = rest.split_once(" on ").unwrap().1;
        let of: Vec<&str> = HOSTS
            .into_iter()
            .filter(|host| hosts.contains(host))
            .collect();
        let numbers: Vec<String> = match name.split_once(' ') {
            Some(("task", number)) => vec![number.to_owned()],
            Some(_) => Vec::new(),
            None if name == "loop" => (10..13).map(|item: usize| item.to_string()).collect(),
            None => vec![TASKS.to_string()],
        };
        for number in numbers {
            lines.extend(of.iter().map(|host| format!("{host} {number}")));
        }
    }
    lines
}

/// Kills runs at some moment, again and again, until one comes to its end: everything was done once, but for what was
/// named as unknown and done again, or not, as the operator said.
fn killed_until_done(field: &Field, seed: &mut u64, decision: &str) -> (usize, usize) {
    let begun = Instant::now();
    assert_eq!(field.play(&["--check"]).code, 0);
    let whole = begun.elapsed();
    let mut maybe: Vec<String> = Vec::new();
    let (mut kills, mut options) = (0, Vec::new());
    loop {
        let mut child = field.start(&options);
        let moment = next(seed, 2 * u64::try_from(whole.as_millis()).unwrap() + 200);
        let end = Instant::now() + Duration::from_millis(moment);
        let (_never, clock) = std::sync::mpsc::channel::<()>();
        while Instant::now() < end && child.try_wait().unwrap().is_none() {
            let _ = clock.recv_timeout(Duration::from_millis(2));
        }
        child.kill().unwrap();
        let status = child.wait().unwrap();
        if status.success() {
            break;
        }
        kills += 1;
        assert!(kills < 60, "it does not get on");
        field.settled();
        let ran = field.play(&["--resume", "--check"]);
        options = match ran.code {
            0 if ran.out.starts_with("nothing is left") => break,
            0 => vec!["--resume"],
            5 if ran.err.contains("it is not known whether") => {
                maybe.extend(unknown(&ran));
                vec!["--resume", decision]
            }
            5 if ran.err.contains("there is no run of") => Vec::new(),
            _ => panic!("{ran:?}"),
        };
    }
    let marks = field.marks();
    for (line, count) in wanted() {
        let left = marks.get(&line).copied().unwrap_or(0);
        let open = maybe.iter().filter(|open| **open == line).count();
        let good = match decision {
            "--retry-unknown" => (count..=count + open).contains(&left),
            _ => (count.saturating_sub(open)..=count).contains(&left),
        };
        assert!(
            good,
            "{line}: {left} times, {open} times unknown, after {kills} kills\n{marks:?}"
        );
    }
    let known = wanted();
    assert!(
        marks.keys().all(|line| known.contains_key(line)),
        "{marks:?}"
    );
    (kills, maybe.len())
}

#[test]
fn everything_is_done_once_or_named_as_unknown() {
    let Some(field) = Field::new() else { return };
    let mut seed = std::env::var("SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(7);
    let rounds = std::env::var("ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(4);
    let (mut kills, mut open) = (0, 0);
    for round in 0..rounds {
        let decision = ["--retry-unknown", "--skip-unknown"][round % 2];
        let (killed, unknown) = killed_until_done(&field, &mut seed, decision);
        kills += killed;
        open += unknown;
        field.forget();
    }
    println!("{kills} kills, {open} unknown");
}

#[test]
fn what_is_unknown_is_listed_and_needs_a_word() {
    let Some(field) = Field::new() else { return };
    let folder = field.0.bench.root().to_str().unwrap().to_owned();
    let tasks = "[[play]]\nname = \"work\"\nhosts = \"one\"\n
[[play.task]]\nname = \"long\"\nregister = \"said\"\nshell = \"echo one long >> DIR/marks; exec sleep 600\"\n
[[play.task]]\nname = \"after\"\nshell = \"echo one after >> DIR/marks\"\n";
    std::fs::write(
        field.0.bench.path("play.toml"),
        tasks.replace("DIR", &folder),
    )
    .unwrap();
    let mut child = field.start(&[]);
    until("the long task runs", || {
        field.marks().contains_key("one long")
    });
    // The journal belongs to a run that is going on.
    let busy = field.play(&["--resume"]);
    assert_eq!(busy.code, 5, "{busy:?}");
    assert!(
        busy.err
            .contains(" is still going on\n   = help: it is process "),
        "{busy:?}"
    );
    let listed = field.0.bench.run(&["history"]).out;
    assert!(listed.contains("1 host: still going on"), "{listed}");
    child.kill().unwrap();
    child.wait().unwrap();
    field.settled();
    let run = field.0.bench.run(&["history", "--output", "json"]).out;
    let run: Value = serde_json::from_str(&run).unwrap();
    assert_eq!(
        (&run[0]["state"], &run[0]["unknown"]),
        (&"killed".into(), &1.into())
    );
    let run = run[0]["id"].as_str().unwrap();
    let wanted = format!(
        "error: it is not known whether 1 task of run {run} was done
   = help: `long` at play.toml:8 on one
   = help: look at the hosts; then --retry-unknown does that again, and --skip-unknown takes it as done
"
    );
    let ran = field.play(&["--resume"]);
    assert_eq!((ran.code, ran.err), (5, wanted));
    let shown = field.0.bench.run(&["show"]).out;
    assert!(
        shown.contains("the runner was ended while it ran"),
        "{shown}"
    );
    assert!(shown.contains("1 of 1 host unknown: one"), "{shown}");
    let ran = field
        .0
        .bench
        .run(&["exec", "@unknown", "-F", "ssh_config", "--", "echo", "here"]);
    assert_eq!(ran.out, "one  here\n", "{ran:?}");
    let ran = field.play(&["--resume", "--skip-unknown"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        field.marks(),
        BTreeMap::from([("one long".into(), 1), ("one after".into(), 1)])
    );
}

/// With connections that are kept the run is another process, which may stay behind.
#[test]
fn a_run_whose_connections_are_kept_has_a_journal_too() {
    let Some(field) = Field::new() else { return };
    let runtime = tempfile::tempdir().unwrap();
    let command = |args: &[&str]| {
        let mut command = field.0.bench.command(args);
        command.env("XDG_RUNTIME_DIR", runtime.path());
        command.env("RUNNER_PERSIST", "30s");
        command
    };
    let play = ["play", "play.toml", "-F", "ssh_config"];
    let mut child = command(&play)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("something was done", || field.marks().len() > 3);
    child.kill().unwrap();
    child.wait().unwrap();
    field.settled();
    let resume = [&play[..], &["--resume", "--skip-unknown"]].concat();
    let ran = Ran::from(command(&resume).output().unwrap());
    assert_eq!(ran.code, 0, "{ran:?}");
    let marks = field.marks();
    assert!(marks.values().all(|count| *count == 1), "{marks:?}");
    // The process that stays with the connections does not hold it open.
    let listed = field.0.bench.run(&["history", "--output", "json"]).out;
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["state"], "ended", "{listed}");
    assert_eq!(listed[1]["state"], "killed", "{listed}");
    assert_eq!(field.0.bench.run(&["show"]).out, ran.out);
    let closed = command(&["connections", "close", "--all"]).status();
    assert!(closed.unwrap().success());
}

#[test]
fn a_stopped_run_can_be_gone_on_with() {
    for signal in ["INT", "TERM", "HUP"] {
        let Some(field) = Field::new() else { return };
        let mut child = field.start(&[]);
        until("something was done", || field.marks().len() > 3);
        let pid = child.id().to_string();
        let kill = std::process::Command::new("kill")
            .args(["-s", signal, &pid])
            .status();
        assert!(kill.unwrap().success());
        until("the runner ends", || child.try_wait().unwrap().is_some());
        field.settled();
        let shown = field.0.bench.run(&["show"]);
        let end = format!("stopped by SIG{signal} after ");
        assert!(
            shown.out.lines().last().unwrap().starts_with(&end),
            "{shown:?}"
        );
        let ran = field.play(&["--resume", "--skip-unknown"]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let marks = field.marks();
        assert!(marks.values().all(|count| *count == 1), "{marks:?}");
    }
}
