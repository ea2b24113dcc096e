//! The SSH transport against a real `sshd` on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that can't go on says so"
)]

mod support;

use runner::transport::ssh::settings::{StrictHostKeyChecking, Target};
use runner::transport::ssh::{SshOptions, SshTransport};
use runner::transport::{Chunk, Connection, Exit, Process};
use std::sync::Arc;
use std::time::Duration;
use support::sshd::{Sshd, current_user};

/// Long enough for a busy machine, short enough for a test that hangs.
const PATIENCE: Duration = Duration::from_secs(60);

fn target(sshd: &Sshd) -> Target {
    Target {
        name: "host1".into(),
        address: "127.0.0.1".into(),
        port: sshd.port,
        user: current_user(),
        identity_files: vec![sshd.files.client_key()],
        identities_only: true,
        identity_agent: None,
        user_known_hosts_files: vec![sshd.known_hosts()],
        global_known_hosts_files: Vec::new(),
        host_key_name: "127.0.0.1".into(),
        host_key_port: sshd.port,
        strict_host_key_checking: StrictHostKeyChecking::Yes,
        jumps: Vec::new(),
        connect_timeout: Duration::from_secs(20),
        server_alive_interval: Some(Duration::from_secs(15)),
        server_alive_count_max: 3,
    }
}

fn transport() -> SshTransport {
    SshTransport::new(SshOptions::default())
}

/// What a command printed, and how it ended.
#[derive(Debug, Default, PartialEq)]
struct Ended {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    exit: Option<Exit>,
}

async fn finish(mut process: Process) -> Ended {
    let mut ended = Ended::default();
    let reading = async {
        while let Some(chunk) = process.output.next().await {
            match chunk {
                Chunk::Stdout(bytes) => ended.stdout.extend(bytes),
                Chunk::Stderr(bytes) => ended.stderr.extend(bytes),
                Chunk::Exit(exit) => ended.exit = Some(exit),
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap();
    ended
}

async fn run(connection: &Arc<dyn Connection>, command: &str) -> Ended {
    let mut process = connection.start(command).await.unwrap();
    process.input.end().await.unwrap();
    finish(process).await
}

fn printed(text: &str) -> Ended {
    Ended {
        stdout: text.into(),
        stderr: Vec::new(),
        exit: Some(Exit::Code(0)),
    }
}

#[tokio::test]
async fn a_key_logs_in_and_a_command_runs() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    let connection = transport().connect_to(target(&sshd)).await.unwrap();
    assert_eq!(run(&connection, "echo hello").await, printed("hello\n"));
    assert_eq!(
        run(&connection, "echo out; echo err >&2; exit 3").await,
        Ended {
            stdout: "out\n".into(),
            stderr: "err\n".into(),
            exit: Some(Exit::Code(3)),
        }
    );
    connection.close().await;
}
