//! Servers that allow little: everything still works.

use crate::harness::{Case, MARK};
use crate::watch::in_time;
use crate::world::Bad;
use std::process::{Child, Command};
use std::time::Duration;

#[test]
fn logins_are_throttled() {
    Case::new([]).good(26).sshd(&["MaxStartups 2:100:2"]).run();
}

#[test]
fn only_one_session_is_allowed() {
    // A file that travels on a channel of its own, and answers that are asked for ahead.
    let file = "name = \"file\"\ncopy = { src = \"big\", dest = \"{{ home }}/big\" }";
    let asked = "name = \"asked\"\nstat = { path = \"{{ home }}/big\" }";
    Case::new([])
        .good(26)
        .sshd(&["MaxSessions 1"])
        .tasks(&[MARK, file, asked])
        .prepare(|world| std::fs::write(world.path("etc/big"), vec![7; 300_000]).unwrap())
        .run();
}

/// Sends a signal to the runner.
fn signal(child: &Child, name: &str) {
    let status = Command::new("kill")
        .args(["-s", name, &child.id().to_string()])
        .status();
    assert!(status.unwrap().success());
}

#[test]
fn a_machine_that_stands_still_is_not_the_hosts_fault() {
    let hosts = (0..26).map(|_| Bad::Host);
    Case::new(hosts)
        .good(0)
        .deadline(6)
        .marks(1..=1)
        .meanwhile(|world, child| {
            let begun = || world.bad.iter().any(|host| host.open() > 0);
            assert!(in_time(Duration::from_secs(60), begun));
            signal(child, "STOP");
            in_time(Duration::from_secs(8), || false);
            signal(child, "CONT");
        })
        .run();
}
