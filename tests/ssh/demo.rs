//! The throw-away hosts inside the process.

use super::{Ended, finish, loopback, printed, run, start, within};
use crate::support::sshd::{keygen, program, skip};
use runner::demo::server::Server;
use runner::transport::ssh::settings::Target;
use runner::transport::{Ending, Exit};
use std::path::Path;

async fn host(name: &str, folder: &Path) -> (Server, Target) {
    let home = folder.join(name);
    std::fs::create_dir(&home).unwrap();
    let key = folder.join("id");
    let public = russh::keys::load_public_key(key.with_extension("pub")).unwrap();
    let server = Server::start(name, home, public).await.unwrap();
    let mut target = loopback(server.addr.port());
    target.name = name.to_string();
    target.identity_files = vec![key];
    (server, target)
}

fn folder() -> Option<tempfile::TempDir> {
    if program("ssh-keygen").is_none() {
        skip("ssh-keygen is not installed");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    keygen(&folder.path().join("id"), "ed25519");
    Some(folder)
}

#[tokio::test]
async fn twenty_six_hosts_each_have_a_home() {
    let Some(folder) = folder() else { return };
    let mut logins = tokio::task::JoinSet::new();
    for number in 0..26 {
        let name = format!("host{number}");
        let (server, target) = host(&name, folder.path()).await;
        let home = folder.path().join(&name).display().to_string();
        logins.spawn(async move {
            let connection = super::connect(target).await;
            let mut process =
                start(&connection, "pwd; echo $HOSTNAME; cat; echo e >&2; exit 4").await;
            within(process.input.write(b"input\n")).await.unwrap();
            within(process.input.end()).await.unwrap();
            let ended = finish(&mut *process.output).await;
            assert_eq!(
                ended,
                Ended {
                    stdout: format!("{home}\n{name}\ninput\n").into(),
                    stderr: b"e\n".to_vec(),
                    exit: Some(Exit::Code(4)),
                }
            );
            let killed = run(&connection, "kill -TERM $$").await;
            assert_eq!(killed.exit, Some(Exit::Signal("TERM".into())));
            drop(server);
        });
    }
    within(logins.join_all()).await;
}

#[tokio::test]
async fn much_goes_in_and_comes_out_at_once() {
    let Some(folder) = folder() else { return };
    let (_server, target) = host("a", folder.path()).await;
    let connection = super::connect(target).await;
    let process = start(&connection, "cat").await;
    let (mut input, mut output) = (process.input, process.output);
    let piece = vec![b'x'; 1024 * 1024];
    let writing = async {
        for _ in 0..32 {
            input.write(&piece).await.unwrap();
        }
        input.end().await.unwrap();
    };
    let ((), ended) = within(async { tokio::join!(writing, finish(&mut *output)) }).await;
    assert_eq!(ended.exit, Some(Exit::Code(0)));
    assert_eq!(ended.stdout.len(), 32 * 1024 * 1024);
}

#[tokio::test]
async fn another_key_is_refused() {
    let Some(folder) = folder() else { return };
    let (_server, mut target) = host("a", folder.path()).await;
    let other = folder.path().join("other");
    keygen(&other, "ecdsa");
    target.identity_files = vec![other];
    let error = super::refused(target).await;
    assert!(
        error.message.ends_with("the server accepts publickey"),
        "{error}"
    );
}

#[tokio::test]
async fn a_host_that_is_gone_ends_the_input_of_its_commands() {
    let Some(folder) = folder() else { return };
    let (server, target) = host("a", folder.path()).await;
    let connection = super::connect(target).await;
    let mut process = start(&connection, "echo ready; cat; touch ended").await;
    assert!(within(process.output.next()).await.is_some());
    drop(server);
    assert_eq!(finish(&mut *process.output).await, Ended::default());
    assert_eq!(
        process.output.ending(),
        Ending::Lost("the server closed the connection: \"the host is gone\"".into())
    );
    let file = folder.path().join("a/ended");
    within(async {
        while !file.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(printed("").stdout, b"");
}
