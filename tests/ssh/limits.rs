//! Servers that allow little.

use super::{connect, printed, run, target, transport, within};
use crate::support::sshd::Sshd;
use std::sync::Arc;

#[tokio::test]
async fn one_session_at_a_time_is_enough() {
    let Some(sshd) = Sshd::start(&["MaxSessions 1"]) else {
        return;
    };
    let connection = connect(target(&sshd)).await;
    let mut running = tokio::task::JoinSet::new();
    for number in 0..5 {
        let connection = connection.clone();
        running.spawn(async move {
            assert_eq!(
                run(&connection, &format!("sleep 0.1; echo {number}")).await,
                printed(&format!("{number}\n"))
            );
        });
    }
    within(running.join_all()).await;
}

#[tokio::test]
async fn throttled_logins_all_get_through() {
    let Some(sshd) = Sshd::start(&["MaxStartups 2:100:2"]) else {
        return;
    };
    let transport = Arc::new(transport());
    let mut logins = tokio::task::JoinSet::new();
    for number in 0..26 {
        let (transport, mut target) = (transport.clone(), target(&sshd));
        target.name = format!("host{number}");
        logins.spawn(async move {
            let connection = transport.connect_to(target).await.unwrap();
            assert_eq!(run(&connection, "echo ok").await, printed("ok\n"));
        });
    }
    within(logins.join_all()).await;
}
