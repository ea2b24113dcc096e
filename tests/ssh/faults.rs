//! Servers and links that misbehave.

use super::scripted::{Script, serve};
use super::{Ended, finish, loopback, refused, start, within};
use crate::support::promise;
use crate::support::sshd::Sshd;
use runner::transport::ssh::{SshOptions, SshTransport};
use runner::transport::{ConnectErrorKind, Ending, Exit};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// A port on which nobody listens.
pub fn closed_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// A server that says these bytes to each client, then closes or stays silent.
async fn says(bytes: &'static [u8], closes: bool) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = stream.write_all(bytes).await;
            if closes {
                // With the client's words read, closing is no reset.
                let _ = stream.read(&mut [0; 64]).await;
            } else {
                open.push(stream);
            }
        }
    });
    (port, count)
}

#[tokio::test]
async fn a_closed_port_is_refused() {
    let port = closed_port();
    let error = refused(loopback(port)).await;
    assert_eq!(error.kind, ConnectErrorKind::Unreachable);
    assert_eq!(
        error.message,
        format!("connecting to 127.0.0.1:{port}: connection refused")
    );
}

#[tokio::test]
async fn an_unknown_name_is_named() {
    let mut target = loopback(22);
    target.address = "no-such-host.invalid".into();
    let error = refused(target).await;
    assert!(
        error.message.starts_with("name lookup: ")
            && error.message.contains("`no-such-host.invalid`"),
        "{error}"
    );
}

/// Makes several attempts where only the clock was against the first.
fn judged(attempt: impl AsyncFn()) {
    promise::judged(|_| Runtime::new().unwrap().block_on(attempt()));
}

#[test]
fn a_silent_server_is_given_up_at_the_deadline() {
    judged(async || {
        for bytes in [&b""[..], b"SSH-2.0-Silence\r\n"] {
            let (port, _) = says(bytes, false).await;
            let mut target = loopback(port);
            target.connect_timeout = Duration::from_secs(1);
            let begun = Instant::now();
            let error = refused(target).await;
            assert_eq!(error.message, "key exchange: no answer within 1 s");
            promise::within("the verdict", begun.elapsed(), Duration::from_secs(2));
        }
    });
}

#[tokio::test]
async fn what_is_not_ssh_is_quoted() {
    let (port, count) = says(b"HTTP/1.1 400 Bad Request\r\n\r\n", true).await;
    let error = refused(loopback(port)).await;
    assert_eq!(
        error.message,
        "key exchange: not an SSH server: it said \"HTTP/1.1 400 Bad Request\""
    );
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_server_that_closes_at_once_is_asked_again_for_a_while() {
    let (port, count) = says(b"", true).await;
    let error = refused(loopback(port)).await;
    assert_eq!(
        error.message,
        "key exchange: the server closed the connection before it said anything"
    );
    assert_eq!(count.load(Ordering::SeqCst), 11);
}

#[tokio::test]
async fn no_algorithm_in_common_is_said() {
    use crate::support::sshd::Sshd;
    let Some(sshd) = Sshd::start(&["Ciphers aes256-cbc"]) else {
        return;
    };
    let error = refused(super::target(&sshd)).await;
    assert_eq!(
        error.message,
        "key exchange: no cipher algorithm in common, the server offers aes256-cbc"
    );
}

async fn connected() -> Arc<dyn runner::transport::Connection> {
    let script = Script {
        password: Some("p"),
        ..Script::default()
    };
    let (port, _) = serve(script).await;
    let transport = SshTransport::new(SshOptions {
        password: Some("p".into()),
        ..SshOptions::default()
    });
    transport.connect_to(loopback(port)).await.unwrap()
}

#[tokio::test]
async fn a_refused_command_has_not_started() {
    let connection = connected().await;
    let mut process = start(&connection, "refuse").await;
    assert_eq!(finish(&mut *process.output).await, Ended::default());
    assert_eq!(
        process.output.ending(),
        Ending::NotStarted("the server refuses to run commands".into())
    );
}

#[tokio::test]
async fn a_channel_without_a_status_is_unknown() {
    let connection = connected().await;
    let mut process = start(&connection, "no status").await;
    let ended = finish(&mut *process.output).await;
    assert_eq!((ended.stdout, ended.exit), (b"some".to_vec(), None));
    assert_eq!(
        process.output.ending(),
        Ending::Lost("the server closed the channel without saying how the command ended".into())
    );
}

#[test]
fn a_status_before_the_output_on_a_channel_that_is_never_closed() {
    judged(never_closed);
}

async fn never_closed() {
    let connection = connected().await;
    let mut process = start(&connection, "status first, never closed").await;
    let begun = Instant::now();
    let ended = finish(&mut *process.output).await;
    assert_eq!(ended.stdout, b"late");
    assert_eq!(ended.exit, Some(Exit::Code(5)));
    promise::within("the end", begun.elapsed(), Duration::from_secs(4));
}

#[tokio::test]
async fn closing_loses_what_still_runs() {
    let connection = connected().await;
    let mut process = start(&connection, "for ever").await;
    within(connection.close()).await;
    assert_eq!(finish(&mut *process.output).await, Ended::default());
    assert!(matches!(process.output.ending(), Ending::Lost(_)));
}

/// A proxy in front of a port, which forwards nothing more once it is told to stall.
async fn proxy(port: u16) -> (u16, tokio::sync::watch::Sender<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let own = listener.local_addr().unwrap().port();
    let (stall, stalled) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let mut stalled = stalled.clone();
            tokio::spawn(async move {
                let mut far = tokio::net::TcpStream::connect(("127.0.0.1", port))
                    .await
                    .unwrap();
                let told = async {
                    let _ = stalled.wait_for(|stalled| *stalled).await;
                };
                tokio::select! {
                    _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
                    () = told => {}
                }
                // Both sides stay open, and nothing passes.
                std::future::pending::<()>().await;
            });
        }
    });
    (own, stall)
}

#[test]
fn a_dead_link_is_noticed_and_what_runs_is_unknown() {
    judged(stalled);
}

async fn stalled() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    let (port, stall) = proxy(sshd.port).await;
    let mut target = super::target(&sshd);
    target.port = port;
    target.server_alive_interval = Some(Duration::from_secs(1));
    target.server_alive_count_max = 2;
    let connection = super::connect(target).await;
    let mut process = start(&connection, "echo begun; exec cat").await;
    assert!(within(process.output.next()).await.is_some());
    stall.send_replace(true);
    let begun = Instant::now();
    assert_eq!(finish(&mut *process.output).await, Ended::default());
    assert_eq!(
        process.output.ending(),
        Ending::Lost("the host no longer answers".into())
    );
    promise::within("the verdict", begun.elapsed(), Duration::from_secs(10));
    let again = connection.start("true").await.map(drop).unwrap_err();
    assert_eq!(again.0, "the host no longer answers");
    let begun = Instant::now();
    within(connection.close()).await;
    promise::within("the end", begun.elapsed(), Duration::from_secs(2));
}
