//! Through jump hosts.

use super::{printed, refusal, run, target, transport, within};
use crate::support::sshd::Sshd;
use runner::transport::Exit;
use std::sync::Arc;

#[tokio::test]
async fn hosts_behind_a_jump_host_share_one_connection_to_it() {
    let (Some(jump), Some(sshd)) = (Sshd::start(&[]), Sshd::start(&[])) else {
        return;
    };
    let transport = Arc::new(transport());
    let mut logins = tokio::task::JoinSet::new();
    for number in 0..8 {
        let (transport, mut target) = (transport.clone(), target(&sshd));
        target.name = format!("host{number}");
        let mut first = super::target(&jump);
        first.name = "gate".into();
        target.jumps = vec![first];
        logins.spawn(async move {
            let connection = transport.connect_to(target).await.unwrap();
            // What a login shell's own files complain about is not the transport's.
            let ended = run(&connection, "echo ok").await;
            assert_eq!(ended.stdout, b"ok\n");
            assert_eq!(ended.exit, Some(Exit::Code(0)));
        });
    }
    within(logins.join_all()).await;
    assert_eq!(jump.log().matches("Accepted publickey").count(), 1);
    assert_eq!(sshd.log().matches("Accepted publickey").count(), 8);
}

#[tokio::test]
async fn two_jump_hosts_in_a_row() {
    let (Some(a), Some(b), Some(c)) = (Sshd::start(&[]), Sshd::start(&[]), Sshd::start(&[])) else {
        return;
    };
    let mut target = target(&c);
    target.jumps = vec![super::target(&a), super::target(&b)];
    let connection = transport().connect_to(target).await.unwrap();
    assert_eq!(run(&connection, "echo ok").await, printed("ok\n"));
    for sshd in [&a, &b, &c] {
        assert_eq!(sshd.log().matches("Accepted publickey").count(), 1);
    }
}

#[tokio::test]
async fn a_jump_host_that_can_not_be_reached_is_named() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    let mut target = target(&sshd);
    let mut jump = target.clone();
    jump.name = "gate".into();
    jump.port = super::faults::closed_port();
    target.jumps = vec![jump.clone()];
    let error = refusal(&transport(), target).await;
    assert_eq!(
        error.message,
        format!(
            "jump host gate: connecting to 127.0.0.1:{}: connection refused",
            jump.port
        )
    );
}

#[tokio::test]
async fn a_host_that_the_jump_host_can_not_reach_is_named() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    let mut jump = target(&sshd);
    jump.name = "gate".into();
    let mut target = target(&sshd);
    target.port = super::faults::closed_port();
    target.jumps = vec![jump];
    let port = target.port;
    let error = refusal(&transport(), target).await;
    assert_eq!(
        error.message,
        format!("connecting through gate: the jump host can't connect to 127.0.0.1:{port}")
    );
}
