//! Links that swallow everything and close nothing. A host is told of none of it: it ends what runs there because it hears
//! nothing more, no sooner than the runner could have called the link dead, and at most five seconds after that.

use crate::commands::{STUBBORN, bad, signal};
use crate::files::new;
use crate::harness::{Case, MARK};
use crate::support::promise::{lasts, within};
use crate::support::proxy::{At, Fault, Rule, to_client, to_server};
use crate::support::sshd;
use crate::watch::{at_work, in_time};
use crate::world::{Bad, World};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A link that says nothing for three seconds is dead.
pub const ALIVE: &str = ", server_alive_interval = \"1s\", server_alive_count_max = 2";
pub const LIMIT: Duration = Duration::from_secs(3);

/// What is promised for the remote trees of a dead link, once the runner has given its verdict.
pub const GONE: Duration = Duration::from_secs(5);

/// How long things may take that nothing is promised of.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Of what is said, so many bytes pass before the packets vanish.
pub const PASSES: u64 = 32 * 1024;

pub fn vanishing() -> Bad {
    Bad::link(vec![to_client(At::Byte(PASSES), Fault::Vanish)])
}

/// Says more than passes.
pub const LOUD: &str = "printf %65536s x";

fn when_struck(world: &World) -> Instant {
    let struck = || world.bad[0].struck();
    assert!(
        in_time(PATIENCE, || struck().is_some()),
        "in vain: the fault strikes"
    );
    struck().unwrap()
}

/// What runs on the bad host.
fn running(world: &World) -> Vec<String> {
    at_work(&world.bad[0].home)
}

/// The locks on a bad host, which is the last one.
fn locks(world: &World) -> Vec<PathBuf> {
    let folder = world.locks(world.good.len());
    let entries = fs::read_dir(folder).unwrap().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// The tree lives as long as the runner may believe in the link, and no more than five seconds longer. The harness sees that all is gone by
/// five seconds after the runner's end.
fn lives_as_long(world: &World) {
    let struck = when_struck(world);
    assert!(!running(world).is_empty(), "it has ended at once");
    assert!(
        in_time(PATIENCE, || running(world).is_empty()),
        "these still run: {:?}",
        running(world)
    );
    let lived = struck.elapsed();
    println!("LIVED {lived:?}");
    // The last sign of life may have come a while before the fault.
    lasts("the tree", lived, LIMIT - LIMIT / 4);
    within("the tree", lived, LIMIT + GONE);
}

/// Whoever it belongs to, and however it was sent.
#[test]
fn a_tree_behind_a_silent_link_ends_by_itself() {
    let loud = STUBBORN.replace("echo up >~/up", LOUD);
    // Also what `sudo` has started is known by this word.
    let named = loud.replace("sleep 1000; :", "sleep 1000; : {{ home }}");
    assert_ne!(named, loud);
    let task = bad(&named.replace("name = \"hang\"\n", ""));
    let mut cases = vec![
        Case::new([vanishing()]).good(3).tasks(&[MARK, &task]),
        Case::new([vanishing()])
            .good(3)
            .tasks(&[MARK, &task])
            .options(&["--no-lock"]),
    ];
    match sshd::program("sudo") {
        Some(_) => cases.push(
            Case::new([vanishing()])
                .good(3)
                .tasks(&[MARK, &format!("{task}\nbecome = true")]),
        ),
        None => sshd::skip("sudo is not installed"),
    }
    for case in cases {
        case.patient()
            .connection(ALIVE)
            .meanwhile(|world, _| lives_as_long(world))
            .exits(16)
            .says("unknown: bad: fault")
            .marks(1..=1)
            .within(LIMIT)
            .run();
    }
    // A single command travels with its request.
    let text = loud.split("'''").nth(1).unwrap();
    Case::new([vanishing()])
        .good(0)
        .patient()
        .connection(ALIVE)
        .exec(text)
        .meanwhile(|world, _| lives_as_long(world))
        .exits(16)
        .run();
}

/// More bytes than are on their way at once.
pub const LONG: usize = 16_000_000;

/// Cases of a host behind a link with this fault: as it is, without a lock, with no room for a shell that waits, and with other rights.
fn everywhere(rule: &Rule, task: &str) -> Vec<(&'static str, Case)> {
    let case = |task: &str| {
        Case::new([Bad::link(vec![rule.clone()])])
            .good(3)
            .patient()
            .connection(ALIVE)
            .tasks(&[MARK, &bad(task)])
            .meanwhile(|world, _| lives_as_long(world))
            .exits(16)
            .says("unknown: bad: fault")
            .marks(1..=1)
            .within(LIMIT)
    };
    let mut cases = vec![
        ("plain", case(task)),
        ("no lock", case(task).options(&["--no-lock"])),
        ("one session", case(task).sshd(&["MaxSessions 1"])),
    ];
    match sshd::program("sudo") {
        Some(_) => cases.push(("sudo", case(&format!("{task}\nbecome = true")))),
        None => sshd::skip("sudo is not installed"),
    }
    cases
}

/// Who takes a file on the host has no ear for the runner but the file's bytes. It ends, and nothing of the file stays.
#[test]
fn an_upload_behind_a_silent_link_ends_by_itself() {
    let vanishes = to_server(At::Byte(200_000), Fault::Vanish);
    let task = "copy = { src = \"large\", dest = \"{{ home }}/target\" }";
    for (name, case) in everywhere(&vanishes, task) {
        println!("CASE {name}");
        let ran = case
            .prepare(|world| {
                fs::create_dir(world.path("etc/files")).unwrap();
                fs::write(world.path("etc/files/large"), new(LONG)).unwrap();
                fs::write(world.bad[0].home.join("target"), "old").unwrap();
            })
            .run();
        let Some(ran) = ran else { return };
        let home = &ran.world.bad[0].home;
        assert_eq!(fs::read(home.join("target")).unwrap(), b"old");
        let text = ran.out.text();
        let help = format!(
            "= help: what has arrived may be left on the host as {}/.target.runner-",
            home.display()
        );
        assert!(text.contains(&help), "{text}");
    }
}

#[test]
fn a_fetch_behind_a_silent_link_ends_by_itself() {
    let vanishes = to_client(At::Byte(200_000), Fault::Vanish);
    let task = "fetch = { src = \"{{ home }}/source\", dest = \"got/{{ inventory_hostname }}\" }";
    for (name, case) in everywhere(&vanishes, task) {
        println!("CASE {name}");
        let ran = case
            .prepare(|world| {
                for host in world.hosts() {
                    fs::write(host.home.join("source"), new(LONG)).unwrap();
                }
            })
            .run();
        let Some(ran) = ran else { return };
        assert!(!ran.world.path("got/bad").exists());
    }
}

/// Nothing runs, but the run goes on: its lock must not keep others out for hours.
#[test]
fn a_lock_behind_a_silent_link_is_given_back() {
    let pause = "name = \"wait\"\npause = \"10m\"";
    Case::new([vanishing()])
        .good(1)
        .patient()
        .connection(ALIVE)
        .tasks(&[&bad(&format!("shell = \"{LOUD}; true\"")), pause])
        .meanwhile(|world, child| {
            let struck = when_struck(world);
            assert_eq!(locks(world).len(), 1);
            assert!(in_time(PATIENCE, || locks(world).is_empty()));
            let held = struck.elapsed();
            println!("HELD {held:?}");
            lasts("the lock", held, LIMIT - LIMIT / 4);
            within("the lock", held, LIMIT + GONE);
            signal("INT", child.id());
        })
        .exits(130)
        .within(PATIENCE)
        .run();
}

/// A runner that stands still gives no signs of life. When it goes on, it says what became of its work.
#[test]
fn a_runner_that_stands_still_is_gone_for_its_hosts() {
    let task = bad("shell = \"touch ~/up; sleep 1000\"");
    let ran = Case::new([Bad::Host])
        .good(0)
        .patient()
        .connection(ALIVE)
        .tasks(&[&task])
        .meanwhile(|world, child| {
            let up = || world.bad[0].home.join("up").exists();
            assert!(in_time(PATIENCE, up), "in vain: the command runs");
            signal("STOP", child.id());
            assert!(in_time(PATIENCE, || running(world).is_empty()));
            assert!(locks(world).is_empty());
            signal("CONT", child.id());
        })
        .exits(16)
        .within(PATIENCE)
        .run();
    let Some(ran) = ran else { return };
    let text = ran.out.text() + &ran.err.text();
    assert!(
        text.contains(
            "the host heard nothing from the runner for too long while it ran: it was ended, and may have done its work or a part of it\n    \
             = help: look at the host before you run this again\n"
        ),
        "{text}"
    );
}

/// What a slow or lossy link does all day: it stands still for a while, and goes on. And a run that does nothing for long keeps its lock.
#[test]
fn a_link_that_only_stumbles_ends_nothing() {
    let slow = ", server_alive_interval = \"3s\", server_alive_count_max = 2";
    let stumbles = |at: u64| to_client(At::Byte(at), Fault::Delay(Duration::from_secs(5)));
    let task = bad(&format!(
        "shell = \"ls -A $RUNNER_LOCK_DIR >~/before; {LOUD}; sleep 6; {LOUD}; sleep 6\""
    ));
    let ran = Case::new([Bad::link(vec![stumbles(PASSES), stumbles(96 * 1024)])])
        .good(1)
        .patient()
        .connection(slow)
        .tasks(&[
            &task,
            "pause = \"12s\"",
            &bad("shell = \"ls -A $RUNNER_LOCK_DIR >~/after\""),
        ])
        .within(PATIENCE)
        .run();
    let Some(ran) = ran else { return };
    let locks = |name| fs::read_to_string(ran.world.bad[0].home.join(name)).unwrap();
    assert_eq!(locks("before"), locks("after"));
    assert!(locks("before").starts_with(".runner-lock."));
}
