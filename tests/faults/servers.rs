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
