//! A command on a throw-away host: its channel on one side, a process on the other.

use super::Place;
use crate::transport::Exit;
use crate::transport::local;
use bytes::Bytes;
use russh::server::{Handle, Msg};
use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, Command};
use tokio::sync::{mpsc, watch};

/// The most that one read takes.
const PIECE: usize = 32 * 1024;

/// The stream number of standard error.
const STDERR: u32 = 1;

/// Waits for the request to run a command, runs it, and closes the channel. When the channel or the connection is gone
/// the command sees the end of its input; it is not killed.
pub(super) async fn run(
    channel: Channel<Msg>,
    handle: Handle,
    place: Arc<Place>,
    gone: watch::Receiver<()>,
) {
    let id = channel.id();
    let (mut read, write) = channel.split();
    let command = loop {
        match read.wait().await {
            Some(ChannelMsg::Exec { command, .. }) => break command,
            Some(ChannelMsg::Close) | None => return,
            Some(_) => {}
        }
    };
    let write = Arc::new(write);
    let exited = async |exit: Exit| {
        let _ = match exit {
            Exit::Code(code) => write.exit_status(code.cast_unsigned()).await.map_err(drop),
            Exit::Signal(name) => {
                handle
                    .exit_signal_request(id, Sig::Custom(name), false, String::new(), String::new())
                    .await
            }
        };
    };
    match shell(&command, &place).spawn() {
        Err(error) => {
            let words = format!("can't run /bin/sh: {error}\n");
            let _ = write.extended_data_bytes(STDERR, words.into_bytes()).await;
            exited(Exit::Code(127)).await;
        }
        Ok(mut child) => {
            let (sender, input) = mpsc::unbounded_channel();
            tokio::spawn(forward(read, sender));
            tokio::spawn(feed(input, child.stdin.take()));
            let out = pump(child.stdout.take(), write.clone(), None, gone.clone());
            let err = pump(child.stderr.take(), write.clone(), Some(STDERR), gone);
            // What the command left running may hold its output open; how it ended is told at once.
            let end = async {
                let status = child.wait().await;
                exited(status.map_or(Exit::Code(255), local::exit)).await;
            };
            tokio::join!(out, err, end);
        }
    }
    let _ = write.eof().await;
    let _ = write.close().await;
}

fn shell(command: &[u8], place: &Place) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell
        .arg("-c")
        .arg(OsStr::from_bytes(command))
        .process_group(0)
        .current_dir(&place.home)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", &place.home)
        .env("PWD", &place.home)
        .env("USER", "demo")
        .env("LOGNAME", "demo")
        .env("SHELL", "/bin/sh")
        .env("HOSTNAME", &place.name)
        // Each of these hosts is a machine of its own.
        .env("RUNNER_LOCK_DIR", &place.home)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    shell
}

/// Takes what arrives off the channel at once: a command that does not read must not hold up the connection.
async fn forward(mut read: ChannelReadHalf, input: mpsc::UnboundedSender<Bytes>) {
    loop {
        match read.wait().await {
            Some(ChannelMsg::Data { data }) => {
                // A command that has closed its input has the rest thrown away.
                let _ = input.send(data);
            }
            Some(ChannelMsg::Eof) => break,
            Some(ChannelMsg::Close) | None => return,
            Some(_) => {}
        }
    }
    drop(input);
    // The channel's messages still have to be taken.
    while !matches!(read.wait().await, Some(ChannelMsg::Close) | None) {}
}

async fn feed(mut input: mpsc::UnboundedReceiver<Bytes>, stdin: Option<ChildStdin>) {
    let Some(mut stdin) = stdin else { return };
    while let Some(bytes) = input.recv().await {
        if stdin.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// Sends what a command prints, until it prints no more or nobody is there to hear it.
async fn pump(
    stream: Option<impl AsyncRead + Unpin>,
    write: Arc<ChannelWriteHalf<Msg>>,
    number: Option<u32>,
    mut gone: watch::Receiver<()>,
) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0; PIECE];
    loop {
        let count = stream.read(&mut buffer).await.unwrap_or(0);
        if count == 0 {
            return;
        }
        let bytes = Bytes::copy_from_slice(&buffer[..count]);
        let send = async {
            match number {
                None => write.data_bytes(bytes).await,
                Some(number) => write.extended_data_bytes(number, bytes).await,
            }
        };
        // The window of a connection that is gone never opens again.
        let sent = tokio::select! {
            sent = send => sent.is_ok(),
            _ = gone.changed() => false,
        };
        if !sent {
            return;
        }
    }
}
