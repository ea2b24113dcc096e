//! Silent links to hosts that are reached in other ways, or have other shells and tools: these, too, notice by themselves.

use crate::commands::bad;
use crate::files::new;
use crate::harness::{Case, MARK};
use crate::silence::{ALIVE, GONE, LIMIT, LONG, LOUD, PASSES, PATIENCE, vanishing};
use crate::support::promise::{lasts, within};
use crate::support::proxy::{At, Fault, Proxy, Rule, to_client, to_server};
use crate::support::sshd::{current_user, program, public_key_line, skip};
use crate::watch::{at_work, descendants, in_time};
use crate::world::{Bad, World};
use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A tree of which all stay in the group.
const TREE: &str = "sleep 1000 & LOUD; sleep 1000";

fn tree() -> String {
    bad(&format!("shell = \"{}\"", TREE.replace("LOUD", LOUD)))
}

/// Whatever runs on the bad hosts ends as long after the fault as it should.
fn live_as_long(world: &World, struck: impl Fn(usize) -> Option<Instant>) {
    let homes: Vec<_> = world.bad.iter().map(|host| &host.home).collect();
    let all = |holds: &dyn Fn(usize) -> bool| (0..homes.len()).all(holds);
    assert!(
        in_time(PATIENCE, || all(&|host| struck(host).is_some())),
        "in vain: the faults strike"
    );
    let mut lived = vec![None; homes.len()];
    let ended = in_time(PATIENCE, || {
        for (host, lived) in lived.iter_mut().enumerate() {
            if lived.is_none() && at_work(homes[host]).is_empty() {
                *lived = struck(host).map(|struck| struck.elapsed());
            }
        }
        lived.iter().all(Option::is_some)
    });
    println!("LIVED {lived:?}");
    let still: Vec<_> = homes.iter().flat_map(|home| at_work(home)).collect();
    assert!(ended, "these still run: {still:?}");
    for (host, lived) in world.bad.iter().zip(lived.into_iter().flatten()) {
        // The last sign of life may have come a while before the fault.
        lasts(&host.name, lived, LIMIT - LIMIT / 4);
        within(&host.name, lived, LIMIT + GONE);
    }
}

/// The host's end of the link lives on: it is the one to the jump host.
#[test]
fn behind_a_jump_host() {
    let jump = Arc::new(Mutex::new(None));
    let made = jump.clone();
    Case::new([Bad::Host])
        .good(0)
        .patient()
        .connection(ALIVE)
        .tasks(&[&tree()])
        .prepare(move |world| {
            let rule = to_client(At::Byte(PASSES), Fault::Vanish);
            let proxy = Proxy::start(world.sshd.address(), move |_| vec![rule.clone()]);
            let way = format!(
                "connection = {{ proxy_jump = \"{}@127.0.0.1:{}\", ",
                current_user(),
                proxy.port
            );
            let hosts = world.path("etc/hosts.toml");
            let text = fs::read_to_string(&hosts).unwrap();
            assert!(text.contains("connection = { "));
            fs::write(&hosts, text.replace("connection = { ", &way)).unwrap();
            let known = world.path("etc/known_hosts");
            let text = fs::read_to_string(&known).unwrap();
            let key = public_key_line(&world.path("host"));
            let text = format!("{text}[127.0.0.1]:{} {key}\n", proxy.port);
            fs::write(&known, text).unwrap();
            *made.lock().unwrap() = Some(proxy);
        })
        .meanwhile(move |world, _| {
            let struck = || jump.lock().unwrap().as_ref()?.seen().first()?.struck;
            live_as_long(world, |_| struck());
            // The jump host does not notice before its own server does.
            for process in descendants(world.sshd.pid()) {
                let pid = process.to_string();
                let _ = Command::new("kill").args(["-KILL", &pid]).status();
            }
        })
        .exits(16)
        .says("unknown: bad: fault")
        .within(LIMIT + GONE)
        .run();
}

/// The signs of life go through the process that keeps the connection.
#[test]
fn on_a_kept_connection() {
    let keep = ["--persist", "30s"];
    Case::new([vanishing()])
        .good(0)
        .patient()
        .connection(ALIVE)
        .options(&keep)
        .tasks(&[&tree()])
        .prepare(move |world| {
            let words = [&["exec", "all", "--shell", "true"], &keep[..]].concat();
            let ran = world.runner(&words).output().unwrap();
            assert!(ran.status.success(), "{ran:?}");
        })
        .meanwhile(|world, _| {
            let proxy = world.bad[0].proxy.as_ref().unwrap();
            live_as_long(world, |_| world.bad[0].struck());
            assert_eq!(proxy.seen().len(), 1, "the connection was not kept");
        })
        .exits(16)
        .says("unknown: bad: fault")
        .within(LIMIT)
        .run();
}

/// What the host lacks, or has in another form: what is mounted over it for a login.
const LACKS: [(&str, &str); 5] = [
    ("bash", "mount --bind \"$(command -v bash)\" /bin/sh"),
    ("busybox", "mount --bind \"$(command -v busybox)\" /bin/sh"),
    (
        "no setsid",
        "mount --bind /dev/null \"$(command -v setsid)\"",
    ),
    ("no /proc", "mount -t tmpfs none /proc"),
    (
        "neither",
        "mount --bind /dev/null \"$(command -v setsid)\" && mount -t tmpfs none /proc",
    ),
];

/// What a host has of that.
const HAS: &str = "name = \"has\"\nshell = \"{ command -v setsid; echo /proc/sel[f]; /bin/sh --help 2>&1; } >~/has; true\"";

fn lacks_it(name: &str, has: &str) -> bool {
    let (setsid, proc) = (has.contains("setsid"), has.contains("/proc/self\n"));
    match name {
        "bash" => has.contains("GNU bash") && setsid && proc,
        "busybox" => has.contains("BusyBox") && setsid && proc,
        "no setsid" => !setsid && proc,
        "no /proc" => setsid && !proc,
        _ => !setsid && !proc,
    }
}

/// A case of one host for each of these.
fn lacking(rule: Rule, task: &str) -> Option<Case> {
    if current_user() != "root" || program("busybox").is_none() {
        skip("only root can mount something, and busybox must be there");
        return None;
    }
    let bad_hosts = LACKS.map(|_| Bad::link(vec![rule.clone()]));
    let case = Case::new(bad_hosts)
        .good(2)
        .patient()
        .connection(ALIVE)
        .sshd(&["ForceCommand exec sh \"$HOME/../../etc/login\""])
        .tasks(&[MARK, HAS, &bad(task)])
        .prepare(|world| {
            let mut text = "mounts=\ncase ${HOME##*/} in\n".to_string();
            for (host, (_, mounts)) in world.bad.iter().zip(LACKS) {
                text += &format!("{}) mounts='{mounts}' ;;\n", host.name);
            }
            text += "esac\n[ -n \"$mounts\" ] || exec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"\n\
                 export mounts\nexec unshare --mount sh -c 'eval \"$mounts\" && exec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\"'\n";
            fs::write(world.path("etc/login"), text).unwrap();
            fs::create_dir(world.path("etc/files")).unwrap();
            fs::write(world.path("etc/files/large"), new(LONG)).unwrap();
            for host in world.hosts() {
                fs::write(host.home.join("source"), new(LONG)).unwrap();
            }
        })
        .meanwhile(|world, _| {
            live_as_long(world, |host| world.bad[host].struck());
            for (host, (name, _)) in world.bad.iter().zip(LACKS) {
                let has = fs::read_to_string(host.home.join("has")).unwrap();
                assert!(lacks_it(name, &has), "{name}: {has}");
            }
        })
        .exits(16)
        .marks(1..=1)
        .within(PATIENCE);
    Some(case)
}

#[test]
fn a_tree_on_a_host_that_lacks_something() {
    let rule = to_client(At::Byte(PASSES), Fault::Vanish);
    let task = format!("shell = \"{}\"", TREE.replace("LOUD", LOUD));
    lacking(rule, &task).map(Case::run);
}

#[test]
fn a_file_to_a_host_that_lacks_something() {
    let rule = to_server(At::Byte(200_000), Fault::Vanish);
    let task = "copy = { src = \"large\", dest = \"{{ home }}/target\" }";
    lacking(rule, task).map(Case::run);
}

#[test]
fn a_file_from_a_host_that_lacks_something() {
    let rule = to_client(At::Byte(200_000), Fault::Vanish);
    let task = "fetch = { src = \"{{ home }}/source\", dest = \"got/{{ inventory_hostname }}\" }";
    lacking(rule, task).map(Case::run);
}
