//! The process that the operator starts when connections are to be kept: it has another one do the run, and ends with
//! it. The other one can stay behind then, with the connections, without keeping the operator's shell waiting.

use crate::exit;
use crate::transport::kept::{Folder, Socket};
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The first argument of the process that does the run. The others reach it on the socket that the second one names:
/// what `-e` says is nothing to be read in the list of processes for as long as connections are kept.
pub(super) const WORKER: &str = "__worker";

/// What that process is called in the list of processes.
const NAME: &str = "runner: connections";

/// What the worker says first. A binary that was replaced in the meantime says something else.
pub(super) const GREETING: &[u8] = concat!("runner ", env!("CARGO_PKG_VERSION"), "\n").as_bytes();

/// How long the worker may take to report.
const START: Duration = Duration::from_secs(5);

/// Has a worker do the run, and answers its exit code.
///
/// # Errors
///
/// Why there is no worker. Nothing has been done then.
pub(super) fn run(arguments: &[OsString]) -> Result<u8, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(lead(arguments))
}

async fn lead(arguments: &[OsString]) -> Result<u8, String> {
    let folder = Folder::open()?;
    let failed = |error: io::Error| format!("no worker could be started: {error}");
    let socket = folder.front().map_err(failed)?;
    let program = std::env::current_exe().map_err(failed)?;
    let mut child = Command::new(program)
        .arg0(NAME)
        .arg(WORKER)
        .arg(socket.path())
        .spawn()
        .map_err(failed)?;
    let id = child.id();
    let met = tokio::select! {
        biased;
        met = tokio::time::timeout(START, meet(&socket, id)) => met,
        ended = child.wait() => {
            let status = ended.map_err(failed)?;
            return match status.signal() {
                // The operator's doing.
                Some(_) => Ok(code(status)),
                None => Err(format!("the worker ended: {status}")),
            };
        }
    };
    drop(socket);
    let ready = match met {
        Ok(Ok(stream)) => Signals::new().map(|signals| (stream, signals)),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    };
    match ready {
        Ok((stream, signals)) => Ok(follow(stream, signals, child, arguments).await),
        Err(error) => {
            child.kill().await.ok();
            Err(failed(error))
        }
    }
}

/// Waits for the worker's greeting.
async fn meet(socket: &Socket, worker: Option<u32>) -> io::Result<UnixStream> {
    loop {
        let mut stream = socket.accept().await?;
        let peer = stream.peer_cred()?.pid();
        // Not every system tells.
        if peer.is_some() && peer.map(i32::cast_unsigned) != worker {
            continue;
        }
        let mut greeting = vec![0; GREETING.len()];
        stream.read_exact(&mut greeting).await?;
        return match greeting == GREETING {
            true => Ok(stream),
            false => Err(io::Error::other(
                "the program was replaced by another version",
            )),
        };
    }
}

/// Tells the worker what to do, passes signals on to it, and waits for its end or for its word that it stays.
async fn follow(
    mut stream: UnixStream,
    mut signals: Signals,
    mut child: Child,
    arguments: &[OsString],
) -> u8 {
    // If it is gone already, its status says why.
    stream.write_all(&packed(arguments)).await.ok();
    let (mut read, mut write) = stream.into_split();
    loop {
        tokio::select! {
            code = read.read_u8() => match code {
                Ok(code) => return code,
                Err(_) => break,
            },
            number = signals.next() => {
                write.write_u8(number).await.ok();
            }
        }
    }
    child.wait().await.map_or(exit::DEFECT, code)
}

fn code(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(exit::DEFECT),
        (None, Some(signal)) => u8::try_from(128 + signal).unwrap_or(exit::DEFECT),
        (None, None) => exit::DEFECT,
    }
}

/// The length, and the arguments with a NUL behind each.
fn packed(arguments: &[OsString]) -> Vec<u8> {
    let mut all = Vec::new();
    for argument in arguments {
        all.extend_from_slice(&argument.clone().into_vec());
        all.push(0);
    }
    let length = u32::try_from(all.len()).unwrap_or(u32::MAX);
    let mut text = length.to_be_bytes().to_vec();
    text.append(&mut all);
    text
}

/// The arguments, taken apart again.
pub(super) fn unpacked(text: &[u8]) -> Vec<OsString> {
    let mut parts: Vec<_> = (text.split(|byte| *byte == 0))
        .map(|part| OsString::from_vec(part.to_vec()))
        .collect();
    // Behind the last NUL.
    parts.pop();
    parts
}

/// The signals that ask a run to end.
struct Signals([(u8, Signal); 4]);

impl Signals {
    fn new() -> io::Result<Self> {
        let watched = |kind: SignalKind| -> io::Result<(u8, Signal)> {
            let number = u8::try_from(kind.as_raw_value()).unwrap_or(0);
            Ok((number, signal(kind)?))
        };
        Ok(Self([
            watched(SignalKind::interrupt())?,
            watched(SignalKind::terminate())?,
            watched(SignalKind::hangup())?,
            watched(SignalKind::quit())?,
        ]))
    }

    /// The number of the next one.
    async fn next(&mut self) -> u8 {
        let [int, term, hup, quit] = &mut self.0;
        tokio::select! {
            _ = int.1.recv() => int.0,
            _ = term.1.recv() => term.0,
            _ = hup.1.recv() => hup.0,
            _ = quit.1.recv() => quit.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_any_bytes_arrive() {
        let word = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let words = [word(b"runner"), word(b""), word(b"\xff\n"), word(b"")];
        let text = packed(&words);
        assert_eq!(text[..4], 12u32.to_be_bytes());
        assert_eq!(unpacked(&text[4..]), words);
        assert_eq!(unpacked(b""), Vec::<OsString>::new());
    }
}
