//! The SSH transport against a real `sshd` on loopback, and against servers of our own that misbehave.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that can't go on says so"
)]

mod commands;
mod demo;
mod faults;
mod host_keys;
mod jump;
mod limits;
mod login;
mod scripted;
#[path = "../support/mod.rs"]
mod support;

use runner::transport::ssh::settings::{StrictHostKeyChecking, Target};
use runner::transport::ssh::{SshOptions, SshTransport};
use runner::transport::{Chunk, ConnectError, Connection, Ending, Exit, Output, Process};
use std::sync::Arc;
use std::time::Duration;
use support::sshd::{Sshd, current_user};

/// Long enough for a busy machine, short enough for a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A target on loopback that trusts any host key and has no key to log in with.
fn loopback(port: u16) -> Target {
    Target {
        name: "host1".into(),
        address: "127.0.0.1".into(),
        port,
        user: current_user(),
        identity_files: Vec::new(),
        identities_only: true,
        identity_agent: None,
        user_known_hosts_files: Vec::new(),
        global_known_hosts_files: Vec::new(),
        host_key_name: "127.0.0.1".into(),
        host_key_port: port,
        strict_host_key_checking: StrictHostKeyChecking::No,
        jumps: Vec::new(),
        connect_timeout: Duration::from_secs(30),
        server_alive_interval: Some(Duration::from_secs(15)),
        server_alive_count_max: 3,
    }
}

/// A server that is known, and the key that may log in.
fn target(sshd: &Sshd) -> Target {
    Target {
        identity_files: vec![sshd.files.client_key()],
        user_known_hosts_files: vec![sshd.known_hosts()],
        strict_host_key_checking: StrictHostKeyChecking::Yes,
        ..loopback(sshd.port)
    }
}

fn transport() -> SshTransport {
    SshTransport::new(SshOptions::default())
}

async fn connect(target: Target) -> Arc<dyn Connection> {
    transport().connect_to(target).await.unwrap()
}

async fn refused(target: Target) -> ConnectError {
    refusal(&transport(), target).await
}

async fn refusal(transport: &SshTransport, target: Target) -> ConnectError {
    match transport.connect_to(target).await {
        Ok(_) => panic!("this must not connect"),
        Err(error) => error,
    }
}

/// What a command printed, and how it ended.
#[derive(Debug, Default, PartialEq)]
struct Ended {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    exit: Option<Exit>,
}

async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.unwrap()
}

async fn finish(output: &mut dyn Output) -> Ended {
    let mut ended = Ended::default();
    within(async {
        while let Some(chunk) = output.next().await {
            match chunk {
                Chunk::Stdout(bytes) => ended.stdout.extend(bytes),
                Chunk::Stderr(bytes) => ended.stderr.extend(bytes),
                Chunk::Exit(exit) => ended.exit = Some(exit),
            }
        }
    })
    .await;
    ended
}

async fn start(connection: &Arc<dyn Connection>, command: &str) -> Process {
    within(connection.start(command)).await.unwrap()
}

async fn run(connection: &Arc<dyn Connection>, command: &str) -> Ended {
    let mut process = start(connection, command).await;
    within(process.input.end()).await.unwrap();
    let ended = finish(&mut *process.output).await;
    assert_eq!(process.output.ending(), Ending::Exited);
    ended
}

fn printed(text: &str) -> Ended {
    Ended {
        stdout: text.into(),
        stderr: Vec::new(),
        exit: Some(Exit::Code(0)),
    }
}
