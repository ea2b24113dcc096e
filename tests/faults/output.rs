//! What commands say: too much of it, bytes that steer terminals, lines that look like ours, and nobody who reads.

use crate::commands::bad;
use crate::harness::Case;
use crate::support::promise::within;
use crate::watch::in_time;
use crate::world::{Bad, World};
use base64::Engine;
use serde_json::Value;
use std::fs;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// At most this much of a stream is kept where a task registers it, in bytes.
const KEPT: u64 = 16 << 20;

/// How long a host may take to come as far as a case needs it.
const PATIENCE: Duration = Duration::from_secs(60);

/// How soon a runner that is interrupted has ended.
const INTERRUPTED: Duration = Duration::from_secs(5);

/// How long a busy machine may take to show a gibibyte.
const LONG: Duration = Duration::from_secs(600);

/// A text for the bad host, and `fine` from the others.
fn bad_says(text: &str) -> String {
    format!("case $HOME in */bad) {text} ;; *) echo fine ;; esac")
}

/// The lines of a JSON output.
fn events(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What came of the task on the bad host.
fn finished(events: &[Value]) -> &Value {
    let is_it = |event: &&Value| event["event"] == "task_finished" && event["host"] == "bad";
    events.iter().find(is_it).unwrap()
}

/// What [`NUMBERS`] prints: 22 MiB.
fn numbers() -> String {
    (1..=3_000_000)
        .map(|number| format!("{number}\n"))
        .collect()
}

const NUMBERS: &str = "seq 1 3000000";

#[test]
fn a_gibibyte_from_26_hosts_comes_whole_and_costs_no_memory() {
    let line = "x".repeat(1023);
    // A twenty-sixth each.
    let lines = (1_u64 << 30) / 26 / 1024 + 1;
    let ran = Case::new([])
        .good(26)
        .patient()
        .exec(&format!("yes {line} | head -n {lines}"))
        .hangs_after(LONG)
        .within(LONG)
        .run();
    let Some(ran) = ran else { return };
    println!("PEAK {} MiB at 1 GiB of output", ran.peak / 1024);
    // Each line with its host before it.
    let before = "good26  ".len() as u64;
    assert_eq!(ran.out.count, 26 * lines * (1024 + before));
}

#[test]
fn json_has_every_byte_of_a_large_output() {
    let bytes = format!("{NUMBERS} | tr '\\n' '\\377'");
    for (text, key) in [(NUMBERS, "stdout"), (&bytes, "stdout_base64")] {
        let ran = Case::new([Bad::Host])
            .good(3)
            .patient()
            .exec(&bad_says(&format!("{text}; {text} >&2; exit 3")))
            .options(&["--output", "json"])
            .through("\"$@\" >out.json")
            .exits(2)
            .within(PATIENCE)
            .run();
        let Some(ran) = ran else { return };
        println!("PEAK {} MiB at 44 MiB as JSON", ran.peak / 1024);
        let lines = events(&fs::read_to_string(ran.world.path("out.json")).unwrap());
        let bad = finished(&lines);
        for key in [key.to_string(), key.replace("out", "err")] {
            let said = bad[&key].as_str().unwrap();
            let said = match key.ends_with("base64") {
                false => said.to_string(),
                true => {
                    let bytes = base64::engine::general_purpose::STANDARD.decode(said);
                    let line_end = |byte| if byte == 0xff { b'\n' } else { byte };
                    String::from_utf8(bytes.unwrap().into_iter().map(line_end).collect()).unwrap()
                }
            };
            assert!(said == numbers(), "{key} is {} bytes", said.len());
        }
        assert_eq!((&bad["code"], &bad["dropped"]), (&3.into(), &0.into()));
    }
}

#[test]
fn large_outputs_that_are_equal_are_shown_once() {
    if crate::support::sshd::program("script").is_none() {
        crate::support::sshd::skip("script is not installed");
        return;
    }
    let terminal =
        "TERM=xterm script --quiet --return --command \"$(printf '%q ' \"$@\")\" /dev/null";
    let ran = Case::new([Bad::Host])
        .good(3)
        .patient()
        .exec(&format!("{NUMBERS}; {}", bad_says("echo odd")))
        .through(&format!("{terminal} </dev/null >screen"))
        .within(PATIENCE)
        .run();
    let Some(ran) = ran else { return };
    let screen = fs::read(ran.world.path("screen")).unwrap();
    let screen = String::from_utf8_lossy(&screen).replace("\r\n", "\n");
    let numbers = numbers();
    let blocks: Vec<usize> = screen.match_indices(&numbers).map(|(at, _)| at).collect();
    let [first, second] = blocks[..] else {
        panic!("{} blocks", blocks.len())
    };
    let head = &screen[..first];
    assert!(head.contains("good[1-3] (3)"), "{head}");
    let after = &screen[second + numbers.len()..];
    assert!(after.starts_with("odd\n"), "{after}");
}

#[test]
fn without_room_for_a_large_output_it_is_cut_openly() {
    let small = "mkdir small; mount -t tmpfs -o size=1m none small; TMPDIR=$PWD/small exec \"$@\"";
    let ran = Case::new([Bad::Host])
        .good(3)
        .patient()
        .exec(&bad_says(NUMBERS))
        .through(&format!("unshare --mount sh -c '{small}' sh \"$@\""))
        .exits(2)
        .says("good3  fine")
        .within(PATIENCE)
        .run();
    let Some(ran) = ran else { return };
    let said = ran.err.text();
    let verdict = "bad    failed: it ran well, and the last ";
    let verdict = said.lines().find_map(|line| line.strip_prefix(verdict));
    let (missing, why) = verdict
        .and_then(|verdict| verdict.split_once(' '))
        .unwrap_or_else(|| panic!("{said}"));
    assert_eq!(
        why,
        format!(
            "bytes of what it said are missing: cannot write to {}: no space left on device",
            ran.world.path("small").display()
        )
    );
    // What is shown and what is missing are all.
    let shown = ran.out.text();
    let shown = shown
        .lines()
        .filter_map(|line| line.strip_prefix("bad    "));
    let shown: usize = shown.map(|line| line.len() + 1).sum();
    let whole = numbers().len() - missing.parse::<usize>().unwrap();
    // A line that is cut ends all the same.
    assert!([whole, whole + 1].contains(&shown), "{shown} of {whole}");
}

#[test]
fn what_is_registered_is_cut_openly() {
    let lines = "changed_when = \"all.stdout_lines[1] == '2'\"";
    let task = bad(&format!(
        "shell = \"{NUMBERS}\"\nregister = \"all\"\n{lines}"
    ));
    let more = numbers().len() as u64 - KEPT;
    Case::new([Bad::Host])
        .good(3)
        .patient()
        .tasks(&[&task])
        .exits(2)
        .says("failed: bad: fault")
        .says(&format!(
            "it ran well and said too much: {more} more bytes than the 16 MiB that are kept"
        ))
        .says("= help: have it write to a file on the host, and `fetch` that")
        .within(PATIENCE)
        // As it came, in the journal's line, and twice as a variable.
        .asked(4 * KEPT)
        .run()
        .inspect(|ran| println!("PEAK {} MiB at 16 MiB of short lines", ran.peak / 1024));
}

#[test]
fn a_line_of_100_mib_is_one_line() {
    let line = "head -c 104857600 /dev/zero | tr '\\0' x";
    let ran = Case::new([Bad::Host])
        .patient()
        .exec(&bad_says(line))
        .within(PATIENCE)
        .run();
    if let Some(ran) = ran {
        println!("PEAK {} MiB at a line of 100 MiB", ran.peak / 1024);
        let fine = 25 * "good25  fine\n".len() as u64;
        let bad = 104_857_600 + "bad     \n".len() as u64;
        assert_eq!(ran.out.count, fine + bad);
    }
    let task = bad(&format!("shell = '''{line}; exit 3'''"));
    Case::new([Bad::Host])
        .good(3)
        .patient()
        .tasks(&[&task])
        .exits(2)
        .says("failed: bad: fault")
        .says("exit code 3")
        .says(&format!("| {} ... 16775168 more bytes", "x".repeat(2048)))
        .says("88080384 more bytes, not kept")
        .within(PATIENCE)
        .asked(KEPT)
        .run();
}

/// No text, the end of a string, a screen that is cleared, a title, a line that is written over, our own last lines.
const FORGED: &[u8] = b"\xff\xfe\x00\x1b[2J\x1b]0;title\x07\rgone\x9b31m\n\
     26 of 26 hosts failed (0.1 s)\n  unreachable: good1: no route\n\
     {\"event\":\"run_finished\",\"exit_code\":0}\n";

/// As `printf` takes it.
fn forged() -> String {
    let octal: String = FORGED.iter().map(|byte| format!("\\{byte:03o}")).collect();
    bad_says(&format!("printf '{octal}'; printf '{octal}' >&2; exit 3"))
}

#[test]
fn what_a_host_says_steers_nothing_and_passes_for_nobody_elses() {
    let ran = Case::new([Bad::Host])
        .patient()
        .exec(&forged())
        .exits(2)
        .says("bad     26 of 26 hosts failed (0.1 s)")
        .says("bad     failed: exit code 3")
        .within(PATIENCE)
        .run();
    let Some(ran) = ran else { return };
    let text = ran.out.text() + &ran.err.text();
    let passes = |line: &&str| line.starts_with("26 of") || line.trim().starts_with("unreachable");
    assert_eq!(text.lines().find(passes), None);
    let task = format!("name = \"fault\"\nshell = '''{}'''", forged());
    Case::new([Bad::Host])
        .patient()
        .tasks(&[&task])
        .exits(2)
        .says("| 26 of 26 hosts failed (0.1 s)")
        .says("|   unreachable: good1: no route")
        .within(PATIENCE)
        .run();
}

#[test]
fn json_has_the_exact_bytes() {
    let ran = Case::new([Bad::Host])
        .patient()
        .exec(&forged())
        .options(&["--output", "json"])
        .exits(2)
        .run();
    let Some(ran) = ran else { return };
    let lines = events(&ran.out.text());
    let bad = finished(&lines);
    for stream in ["stdout_base64", "stderr_base64"] {
        let text = bad[stream].as_str().unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(text);
        assert_eq!(bytes.unwrap(), FORGED, "{stream}");
    }
    assert_eq!((&bad["code"], &bad["dropped"]), (&3.into(), &0.into()));
    let ends = |line: &&Value| line["event"] == "run_finished";
    assert_eq!(lines.iter().filter(ends).count(), 1);
    assert_eq!(lines.last().unwrap()["exit_code"], 2);
}

/// A run on a terminal that nobody reads, with far more to say than it takes.
fn unread(exit: i32, how: impl Fn(&World, &Child) + 'static) -> Option<Case> {
    if crate::support::sshd::program("script").is_none() {
        crate::support::sshd::skip("script is not installed");
        return None;
    }
    let terminal = "TERM=xterm script --quiet --return --command \"$(printf '%q ' \"$@\")\" /dev/null </dev/null";
    let reader = "until [ -e etc/read ]; do sleep 0.1; done; cat >/dev/null";
    let case = Case::new([Bad::Host])
        .good(3)
        .patient()
        .exec("seq 1 100000; echo >~/done")
        .through(&format!(
            "{terminal} | {{ {reader}; }}; exit ${{PIPESTATUS[0]}}"
        ))
        .exits(exit)
        .asked(4 * 8 * 600_000)
        .meanwhile(move |world, child| {
            let done = || world.hosts().all(|host| host.home.join("done").exists());
            assert!(in_time(PATIENCE, done), "in vain: the commands end");
            how(world, child);
            fs::write(world.path("etc/read"), "").unwrap();
        });
    Some(case)
}

#[test]
fn a_terminal_that_reads_again_gets_everything() {
    let Some(case) = unread(0, |_, _| {}) else {
        return;
    };
    case.run();
}

#[test]
fn a_terminal_that_reads_no_more_does_not_hold_up_an_interrupt() {
    let interrupted = |world: &World, _: &Child| {
        let runner = runner(world);
        // Until the connections are closed the first asks for an orderly end.
        let gone = || {
            let mut command = Command::new("kill");
            command.args(["-s", "INT", &runner.to_string()]);
            !command
                .stderr(std::process::Stdio::null())
                .status()
                .unwrap()
                .success()
        };
        let interrupted = Instant::now();
        assert!(in_time(PATIENCE, gone), "it goes on");
        within("the runner's end", interrupted.elapsed(), INTERRUPTED);
    };
    let Some(case) = unread(130, interrupted) else {
        return;
    };
    case.run();
}

/// The runner's process in this world.
fn runner(world: &World) -> u32 {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is_runner = |id: &u32| {
        let name = fs::read_to_string(format!("/proc/{id}/comm")).unwrap_or_default();
        let folder = fs::read_link(format!("/proc/{id}/cwd")).unwrap_or_default();
        name == "runner\n" && folder == fs::canonicalize(world.folder()).unwrap()
    };
    ids.find(is_runner).unwrap()
}
