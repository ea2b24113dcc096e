//! The host's identity.

use super::{printed, refusal, refused, run, target, transport, within};
use crate::support::sshd::{Sshd, keygen, public_key_line};
use runner::transport::ConnectErrorKind;
use runner::transport::ssh::settings::StrictHostKeyChecking;
use runner::transport::ssh::{HostKeyPrompt, NewKey, SshOptions, SshTransport};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

fn fingerprint(public: &Path) -> String {
    let output = std::process::Command::new("ssh-keygen")
        .arg("-lf")
        .arg(public)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().nth(1).unwrap().to_string()
}

#[tokio::test]
async fn an_unknown_key_is_refused_with_the_way_out() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    let mut target = target(&sshd);
    let file = sshd.files.path("empty");
    target.user_known_hosts_files = vec![file.clone()];
    let error = refused(target).await;
    let shown = fingerprint(&sshd.files.host_key("ed25519").with_extension("pub"));
    assert_eq!(error.kind, ConnectErrorKind::Identity);
    assert_eq!(
        error.message,
        format!("the host key of host1 is not known: ssh-ed25519 {shown}")
    );
    assert_eq!(
        error.help,
        [
            "to trust hosts on first contact: --accept-new-host-keys".to_string(),
            format!(
                "or note the key yourself after comparing it: ssh-keyscan -p {} 127.0.0.1 >> {}",
                sshd.port,
                file.display()
            ),
        ]
    );
    assert!(!file.exists());
    assert!(!sshd.log().contains("Accepted"));
}

#[tokio::test]
async fn a_changed_key_is_refused_with_both_fingerprints_and_nothing_is_sent() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    let other = sshd.files.path("other");
    keygen(&other, "ed25519");
    let mut target = target(&sshd);
    let file = sshd.files.path("changed");
    let line = format!("[127.0.0.1]:{} {}\n", sshd.port, public_key_line(&other));
    fs::write(&file, format!("# a comment\n{line}")).unwrap();
    target.user_known_hosts_files = vec![file.clone()];
    let expected = fingerprint(&other.with_extension("pub"));
    let shown = fingerprint(&sshd.files.host_key("ed25519").with_extension("pub"));
    for strict in [StrictHostKeyChecking::Yes, StrictHostKeyChecking::AcceptNew] {
        target.strict_host_key_checking = strict;
        let error = refused(target.clone()).await;
        assert_eq!(error.kind, ConnectErrorKind::Identity);
        assert_eq!(
            error.message,
            format!(
                "the host key of host1 has changed: {}:2 has ssh-ed25519 {expected}, \
                 the host shows ssh-ed25519 {shown}",
                file.display()
            )
        );
    }
    assert!(!sshd.log().contains("Accepted"));
    assert!(!sshd.log().contains("Postponed"));
}

#[tokio::test]
async fn the_type_that_is_known_is_the_one_that_is_asked_for() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    for key_type in ["ed25519", "ecdsa", "rsa"] {
        let mut target = target(&sshd);
        let file = sshd.files.path(key_type);
        let key = sshd.files.host_key_line(key_type);
        fs::write(&file, format!("[127.0.0.1]:{} {key}\n", sshd.port)).unwrap();
        target.user_known_hosts_files = vec![file];
        let connection = super::connect(target).await;
        assert_eq!(run(&connection, "echo ok").await, printed("ok\n"));
    }
}

#[tokio::test]
async fn a_new_key_is_noted_once() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    let mut target = target(&sshd);
    let file = sshd.files.path("new");
    target.user_known_hosts_files = vec![file.clone()];
    target.strict_host_key_checking = StrictHostKeyChecking::AcceptNew;
    let transport = Arc::new(transport());
    let mut logins = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let (transport, target) = (transport.clone(), target.clone());
        logins.spawn(async move { transport.connect_to(target).await.map(drop) });
    }
    for login in within(logins.join_all()).await {
        login.unwrap();
    }
    super::connect(target.clone()).await;
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        format!(
            "[127.0.0.1]:{} {}\n",
            sshd.port,
            sshd.files.host_key_line("ed25519")
        )
    );
    target.strict_host_key_checking = StrictHostKeyChecking::Yes;
    super::connect(target).await;
}

struct Operator {
    answer: bool,
    asked: Mutex<Vec<Vec<NewKey>>>,
}

impl HostKeyPrompt for Operator {
    fn ask(&self, keys: &[NewKey]) -> bool {
        self.asked.lock().unwrap().push(keys.to_vec());
        self.answer
    }
}

#[tokio::test]
async fn all_new_hosts_are_one_question() {
    for answer in [true, false] {
        let servers: Vec<Sshd> = (0..3).filter_map(|_| Sshd::start(&[])).collect();
        let [first, ..] = &servers[..] else { return };
        let operator = Arc::new(Operator {
            answer,
            asked: Mutex::default(),
        });
        let transport = Arc::new(SshTransport::new(SshOptions {
            host_keys: Some(operator.clone()),
            ..SshOptions::default()
        }));
        let file = first.files.path("asked");
        let mut logins = tokio::task::JoinSet::new();
        for (number, sshd) in servers.iter().enumerate() {
            let (transport, mut target) = (transport.clone(), target(sshd));
            target.name = format!("host{number}");
            target.user_known_hosts_files = vec![file.clone()];
            target.strict_host_key_checking = StrictHostKeyChecking::Ask;
            logins.spawn(async move {
                if answer {
                    transport.connect_to(target).await.unwrap();
                } else {
                    let error = refusal(&transport, target).await;
                    assert_eq!(error.kind, ConnectErrorKind::Identity);
                }
            });
        }
        within(logins.join_all()).await;
        let asked = operator.asked.lock().unwrap();
        assert_eq!(asked.len(), 1, "{asked:?}");
        let hosts: Vec<&str> = asked[0].iter().map(|key| key.host.as_str()).collect();
        assert_eq!(hosts, ["host0", "host1", "host2"]);
        assert_eq!(
            asked[0][0].fingerprint,
            fingerprint(&first.files.host_key("ed25519").with_extension("pub"))
        );
        let lines = fs::read_to_string(&file)
            .unwrap_or_default()
            .lines()
            .count();
        assert_eq!(lines, if answer { 3 } else { 0 });
    }
}
