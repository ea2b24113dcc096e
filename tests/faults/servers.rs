//! Servers that are no good: the others are done, and the bad one is named.

use crate::harness::Case;
use crate::support::hostile::{Server, Ssh};
use crate::world::Bad;
use std::time::Duration;

#[test]
fn nothing_is_wrong() {
    Case::new([]).good(26).run();
}

#[test]
fn a_silent_server() {
    let silent = Server::start(|wire| async move { wire.silence().await });
    Case::new([Bad::server(silent)])
        .unreachable("key exchange: no answer within DEADLINE")
        .at_deadline()
        .run();
}

#[test]
fn a_hand_made_server_is_believed() {
    let server = Server::start(|wire| async move {
        let (mut ssh, command) = Ssh::run(wire).await?;
        ssh.stdout(Ssh::perform(&command).await.stdout).await?;
        ssh.status(0).await?;
        ssh.eof().await?;
        ssh.close().await?;
        ssh.wire.silence().await
    });
    Case::new([Bad::server(server)])
        .good(1)
        .exec("echo made by hand")
        .says("bad    made by hand")
        .within(Duration::from_secs(5))
        .run();
}

/// Noise makes a run slower and never faster, so the fastest of some runs are compared.
#[test]
fn the_good_hosts_are_not_slowed() {
    const RUNS: usize = 20;
    let silent = Bad::server(Server::start(|wire| async move { wire.silence().await }));
    let mut alone = Duration::MAX;
    let mut beside = Duration::MAX;
    for _ in 0..RUNS {
        let Some(ran) = Case::new([]).run() else {
            return;
        };
        alone = alone.min(ran.good_done);
        let ran = Case::new([silent.clone()])
            .exits(4)
            .deadline(2)
            .run()
            .unwrap();
        beside = beside.min(ran.good_done);
        if beside <= alone.mul_f64(1.2) {
            println!("SLOWED {beside:?} beside a bad one, {alone:?} alone");
            return;
        }
    }
    panic!("{beside:?} beside a bad host, {alone:?} alone");
}
