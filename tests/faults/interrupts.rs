//! A runner that is interrupted at a bad moment: at an open question, in the midst of a large upload, by a terminal that is
//! closed.

use crate::harness::Case;
use crate::support::proxy::{At, Fault, to_server};
use crate::watch::{files, in_time};
use crate::world::{Bad, World, lock_key};
use std::fs;
use std::process::{Child, Command};
use std::time::Duration;

/// How long hosts may take to come as far as a case needs them.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ctrl-C, as it is typed.
const CTRL_C: &str = "\x03";

const TASK: &str = "name = \"task\"\nshell = \"echo >~/ran\"\nenv = { WORD = \"{{ word }}\" }\nvars = { word = \"none\" }";

/// Somebody types Ctrl-C at a question. The terminal is looked at by the harness.
fn at_a_question(question: &str, options: &[&str], prepare: impl Fn(&World) + Copy + 'static) {
    // Without and with a process of its own for the run.
    for persist in ["0", "10s"] {
        let ran = Case::new([])
            .good(26)
            .tasks(&[TASK])
            .options(options)
            .options(&["--persist", persist])
            .prepare(prepare)
            .types(question, CTRL_C)
            .exits(130)
            .run();
        let Some(ran) = ran else { return };
        assert!(ran.took < PATIENCE, "{:?}", ran.took);
        let text = ran.out.text() + &ran.err.text();
        // One Ctrl-C is one, and the run ends in order.
        assert!(!text.contains("ended at once"), "{text}");
        for host in ran.world.hosts() {
            assert!(!host.home.join("ran").exists(), "{}", host.name);
        }
    }
}

#[test]
fn ctrl_c_at_the_question_for_a_passphrase() {
    at_a_question("Passphrase for", &[], |world| {
        lock_key(world, "a passphrase")
    });
}

#[test]
fn ctrl_c_at_the_question_for_new_keys() {
    at_a_question("(yes/no)", &[], |world| {
        fs::remove_file(world.path("etc/known_hosts")).unwrap();
    });
}

#[test]
fn ctrl_c_at_the_question_for_a_sudo_password() {
    at_a_question("sudo password: ", &["--ask-become-pass"], |_| {});
}

#[test]
fn ctrl_c_at_the_question_for_a_secret() {
    let words = ["--ask-secret", "pin", "-e", "word={{ pin }}"];
    at_a_question("pin: ", &words, |_| {});
}

fn signal(name: &str, process: u32) {
    let mut command = Command::new("kill");
    let status = command.args(["-s", name, &process.to_string()]).status();
    assert!(status.unwrap().success());
}

/// The journal of the only run.
fn records(world: &World) -> String {
    let journal = files(&world.path("state"));
    let mut texts = journal.iter().map(fs::read_to_string);
    texts.find_map(Result::ok).unwrap_or_default()
}

/// What it says in its last line.
fn last_record(world: &World) -> String {
    records(world)
        .lines()
        .last()
        .unwrap_or_default()
        .to_string()
}

#[test]
fn a_terminal_that_is_closed_ends_the_trees_and_the_journal_is_whole() {
    let hang =
        "name = \"hang\"\nshell = 'trap \"\" HUP; echo up >~/up; while :; do sleep 1000; done'";
    let ran = Case::new([])
        .good(4)
        .tasks(&[hang])
        .types("a question that nobody asks", "")
        .meanwhile(|world, terminal| {
            let up = || world.hosts().all(|host| host.home.join("up").exists());
            assert!(in_time(PATIENCE, up), "in vain: the commands run");
            signal("KILL", terminal.id());
        })
        .exits(-1)
        .run();
    let Some(ran) = ran else { return };
    let told = || last_record(&ran.world).contains("\"signal\":\"HUP\"");
    assert!(in_time(PATIENCE, told), "{}", last_record(&ran.world));
    let last = last_record(&ran.world);
    assert!(last.contains("\"exit_code\":129"), "{last}");
    assert!(last.contains("\"unfinished\":4"), "{last}");
}

/// So many bytes travel, slowly.
const LARGE: usize = 50 << 20;

/// What a link does that needs some seconds for the file.
const SLOW: Fault = Fault::Slice(64 * 1024, Duration::from_millis(10));

/// The runner is interrupted while a large file is on its way to two hosts. What it says.
fn in_an_upload(exit: i32, link: Fault, how: impl Fn(&World, &Child) + 'static) -> Option<String> {
    let slow = || Bad::link(vec![to_server(At::Byte(4 << 20), link.clone())]);
    let copy =
        "name = \"large\"\ncopy = { src = \"large\", dest = \"{{ home }}/file\", mode = \"0644\" }";
    let ran = Case::new([slow(), slow()])
        .good(0)
        .patient()
        .tasks(&[copy])
        .prepare(|world| {
            // Nothing that compresses.
            let mut word = 1_u64;
            let mut next = || {
                word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                word.to_be_bytes()[0]
            };
            let bytes: Vec<u8> = (0..LARGE).map(|_| next()).collect();
            fs::write(world.path("etc/large"), bytes).unwrap();
            for host in world.hosts() {
                fs::write(host.home.join("file"), "old").unwrap();
            }
        })
        .meanwhile(move |world, child| {
            let begun = |host: &crate::world::Host| {
                let sizes = files(&host.home).into_iter().filter_map(|file| {
                    let name = file.to_string_lossy();
                    name.contains(".runner-")
                        .then(|| fs::metadata(&file).ok())?
                });
                sizes.map(|file| file.len()).any(|size| size > 2 << 20)
            };
            let begun = || world.hosts().all(begun);
            assert!(
                in_time(PATIENCE, begun),
                "in vain: the files are on their way"
            );
            how(world, child);
        })
        .exits(exit)
        .run();
    let ran = ran?;
    for host in ran.world.hosts() {
        let file = fs::read(host.home.join("file")).unwrap();
        assert_eq!(file.len(), 3, "{}", host.name);
    }
    let text = ran.out.text() + &ran.err.text();
    assert!(text.contains("2 of 2 hosts"), "{text}");
    let last = last_record(&ran.world);
    assert!(last.contains(&format!("\"exit_code\":{exit}")), "{last}");
    assert!(last.contains("\"unfinished\":2"), "{last}");
    Some(text)
}

#[test]
fn ctrl_c_in_the_midst_of_a_large_upload() {
    let text = in_an_upload(130, SLOW, |_, child| signal("INT", child.id()));
    let Some(text) = text else { return };
    assert!(!text.contains("ended at once"), "{text}");
}

#[test]
fn a_request_to_end_in_the_midst_of_a_large_upload() {
    let text = in_an_upload(143, SLOW, |_, child| signal("TERM", child.id()));
    let Some(text) = text else { return };
    assert!(!text.contains("ended at once"), "{text}");
}

#[test]
fn a_second_ctrl_c_in_the_midst_of_a_large_upload() {
    // A link that carries nothing more would take its time.
    let text = in_an_upload(130, Fault::Stall, |world, child| {
        let stalled = || world.bad.iter().all(|host| host.struck().is_some());
        assert!(in_time(PATIENCE, stalled), "in vain: the links stall");
        signal("INT", child.id());
        // Two that come at once are one.
        let taken = || records(world).contains("\"signal\":\"INT\"");
        assert!(in_time(PATIENCE, taken), "in vain: the signal is taken");
        signal("INT", child.id());
    });
    let Some(text) = text else { return };
    assert!(text.contains("ended at once"), "{text}");
}
