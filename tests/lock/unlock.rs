//! A lock that was left behind is named, and goes only when the operator says so.

use crate::hosts::{HOLD, Hosts, folder, machine, signal, since};
use crate::support::site::{alive, until};
use crate::support::sshd;
use std::fs;

const UNLOCK: [&str; 3] = ["unlock", "-F", "ssh_config"];

fn boot() -> String {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    id.trim().to_owned()
}

/// Leaves a lock behind on the machines, as when they went down with a run at work. Answers the run's name.
fn abandoned(hosts: &Hosts, machines: usize) -> String {
    let names = &["a", "b", "c"][..machines];
    let mut run = hosts.held(names);
    let id = hosts.lock(0)[0].clone();
    for machine in 0..machines {
        signal("KILL", &hosts.lock(machine)[1]);
    }
    run.signal("KILL");
    run.end();
    // What it ran on the hosts is about to end.
    hosts.go();
    id
}

#[test]
fn a_lock_without_its_process_is_named_and_stays_until_it_is_removed() {
    let Some(hosts) = Hosts::new(2) else { return };
    let id = abandoned(&hosts, 2);
    let ran = hosts.play("touch.toml", &[]);
    assert_eq!(ran.code, 7, "{ran:?}");
    assert_eq!(
        ran.err,
        format!(
            "locked: a, b (2): left locked by a run that is gone\n    run {id} of play.toml by ann@{}, since {}\n    \
             = help: see what it has left undone, then `runner unlock {id}`\n",
            machine(),
            since(&id),
        )
    );
    // To wait for it would be in vain.
    assert_eq!(hosts.play("touch.toml", &["--lock-wait", "10m"]).code, 7);
    assert_eq!(hosts.locks(0).len(), 1);
    let other = "20260203-040506-9f3a";
    let ran = hosts.bench.run(&[&UNLOCK[..], &[other]].concat());
    let mut lines: Vec<&str> = ran.out.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        ["a  no lock of this run", "b  no lock of this run"],
        "{ran:?}"
    );
    assert_eq!(ran.code, 0);
    let ran = hosts
        .bench
        .run(&[&UNLOCK[..], &[&id, "--limit", "b"]].concat());
    assert_eq!((ran.code, ran.out.as_str()), (0, "b  removed\n"), "{ran:?}");
    assert_eq!((hosts.locks(0).len(), hosts.locks(1).len()), (1, 0));
    let ran = hosts.bench.run(&[&UNLOCK[..], &[&id]].concat());
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        ran.out.contains("a  removed\n") && ran.out.contains("b  no lock of this run\n"),
        "{ran:?}"
    );
    assert_eq!(hosts.play("touch.toml", &[]).code, 0);
}

#[test]
fn a_run_at_work_keeps_its_lock_unless_that_is_forced() {
    let Some(hosts) = Hosts::new(1) else { return };
    let mut run = hosts.held(&["a"]);
    let [id, process, ..] = hosts.lock(0);
    let ran = hosts.bench.run(&[&UNLOCK[..], &[&id]].concat());
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(
        ran.err.starts_with(&format!(
            "a  run {id} is still at work: process {process}\n"
        )),
        "{ran:?}"
    );
    assert_eq!(hosts.locks(0).len(), 1);
    let ran = hosts.bench.run(&[&UNLOCK[..], &[&id, "--force"]].concat());
    assert_eq!((ran.code, ran.out.as_str()), (0, "a  removed\n"), "{ran:?}");
    assert_eq!(hosts.play("touch.toml", &[]).code, 0);
    hosts.go();
    assert_eq!(run.end().code, 0);
    hosts.assert_released();
}

#[test]
fn what_is_no_run_is_refused() {
    let Some(hosts) = Hosts::new(1) else { return };
    hosts.bench.refuses(
        &[&UNLOCK[..], &["last"]].concat(),
        5,
        "error: `last` is no run\n   = help: a run is named by its start and four digits, such as 20260203-040506-9f3a\n",
    );
}

#[test]
fn a_number_that_another_process_has_by_now_is_no_sign_of_life() {
    let Some(hosts) = Hosts::new(1) else { return };
    let write = |pid: &str, start: &str, content: &str| {
        let name = format!(".runner-lock.20260203-040506-9f3a.{pid}.{start}.eve@x");
        fs::write(folder(&hosts, 0).join(name), content).unwrap();
    };
    let gone = || {
        let ran = hosts.play("touch.toml", &[]);
        assert_eq!(ran.code, 7, "{ran:?}");
        let gone = ran.err.contains("left locked by a run that is gone");
        fs::remove_file(hosts.lock_path(0)).unwrap();
        gone
    };
    let me = std::process::id().to_string();
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let start = stat
        .rsplit(") ")
        .next()
        .unwrap()
        .split(' ')
        .nth(19)
        .unwrap()
        .to_owned();
    // It is this process; it was started at another time; before the machine was; on a host that tells nothing.
    for (pid, start, content, expected) in [
        (&me, &start, format!("{} site.toml\n", boot()), false),
        (
            &me,
            &"1".to_owned(),
            format!("{} site.toml\n", boot()),
            true,
        ),
        (
            &me,
            &start,
            "4dd6e1a3-0000-0000-0000-000000000000 site.toml\n".to_owned(),
            true,
        ),
        (&me, &"0".to_owned(), "- site.toml\n".to_owned(), false),
        // The machine went down before the file's content was written.
        (&me, &start, String::new(), false),
        (
            &"99999999".to_owned(),
            &start,
            format!("{} site.toml\n", boot()),
            true,
        ),
    ] {
        write(pid, start, &content);
        assert_eq!(gone(), expected, "{pid} {start} {content}");
    }
}

#[test]
fn somebody_else_s_lock_is_read_and_stays() {
    use crate::support::site::User;
    let Some(hosts) = Hosts::new(1) else { return };
    let Some(user) = User::new("k", std::path::Path::new("/bin/sh")) else {
        return;
    };
    let _first = hosts.held(&["a"]);
    let [id, process, ..] = hosts.lock(0);
    // The other one logs in to the same machine.
    let files = &hosts.machines[0].files;
    let open = |path: &std::path::Path, mode| {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    open(files.folder.path(), 0o755);
    open(&files.path("authorized_keys"), 0o644);
    let ran = hosts.play("touch.toml", &["--user", &user.name]);
    // What the inventory says wins over nothing: the option does.
    assert_eq!(ran.code, 7, "{ran:?}");
    assert!(
        ran.err
            .contains(&format!("run {id} of play.toml by ann@{}", machine())),
        "{ran:?}"
    );
    assert!(
        ran.err
            .contains(&format!("on a as root, process {process}")),
        "{ran:?}"
    );
    // Without the right to remove it, even by force.
    let ran = hosts
        .bench
        .run(&[&UNLOCK[..], &[&id, "--force", "--user", &user.name]].concat());
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("Operation not permitted"), "{ran:?}");
    assert_eq!(hosts.locks(0).len(), 1);
    let _ = (HOLD, alive(&process), sshd::current_user());
    until("the lock is there", || hosts.locks(0).len() == 1);
}
