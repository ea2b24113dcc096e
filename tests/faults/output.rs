//! What commands say: too much of it, bytes that steer terminals, lines that look like ours, and nobody who reads.

use crate::harness::Case;
use crate::watch::in_time;
use crate::world::{Bad, World};
use base64::Engine;
use std::fs;
use std::process::{Child, Command};
use std::time::Duration;

/// At most this much of a stream is kept, in bytes.
const KEPT: u64 = 16 << 20;

/// What is kept is there twice while it is shown: as it came, and with the host before each line.
const HELD: u64 = 2 * KEPT;

/// How long a host may take to come as far as a case needs it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A text for the bad host, and `fine` from the others.
fn bad_says(text: &str) -> String {
    format!("case $HOME in */bad) {text} ;; *) echo fine ;; esac")
}

#[test]
fn a_gibibyte_is_cut_openly_and_costs_no_memory() {
    let line = "0123456789".repeat(6);
    let ran = Case::new([Bad::Host])
        .patient()
        .exec(&bad_says(&format!("yes {line} | head -c 1073741824")))
        .exits(2)
        .says("bad     failed: it ran well and said too much: 1056964608 more bytes than the 16 MiB that are kept")
        .says("good25  fine")
        .within(PATIENCE * 2)
        .asked(HELD)
        .run();
    if let Some(ran) = ran {
        println!("PEAK {} MiB at 1 GiB of output", ran.peak / 1024);
        // Each line with its host before it.
        assert!(ran.out.count > KEPT, "{}", ran.out.count);
    }
}

#[test]
fn a_line_of_100_mib_is_one_line() {
    let line = "head -c 104857600 /dev/zero | tr '\\0' x";
    let ran = Case::new([Bad::Host])
        .patient()
        .exec(&bad_says(line))
        .exits(2)
        .says("bad     failed: it ran well and said too much: 88080384 more bytes than the 16 MiB that are kept")
        .within(PATIENCE)
        .asked(HELD)
        .run();
    if let Some(ran) = ran {
        println!("PEAK {} MiB at a line of 100 MiB", ran.peak / 1024);
    }
    let task =
        format!("name = \"fault\"\nwhen = \"'bad' in group_names\"\nshell = '''{line}; exit 3'''");
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
        .asked(HELD)
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
    let lines: Vec<serde_json::Value> = ran
        .out
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let bad = lines
        .iter()
        .find(|line| line["event"] == "task_finished" && line["host"] == "bad")
        .unwrap();
    for stream in ["stdout_base64", "stderr_base64"] {
        let text = bad[stream].as_str().unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(text);
        assert_eq!(bytes.unwrap(), FORGED, "{stream}");
    }
    assert_eq!((&bad["code"], &bad["dropped"]), (&3.into(), &0.into()));
    let ends = |line: &&serde_json::Value| line["event"] == "run_finished";
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
        assert!(in_time(Duration::from_secs(5), gone), "it goes on");
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
