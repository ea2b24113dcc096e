//! Commands on this machine, in a process group of their own.

use super::{
    Chunk, ConnectError, Connection, Ending, Exit, Input, Lost, Output, Process, StartError,
    Transport,
};
use crate::inventory::Host;
use async_trait::async_trait;
use rustix::process::{Pid, Signal};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::watch;

/// The most that one read takes.
const PIECE: usize = 32 * 1024;

/// How long a process group that is asked to end has for it.
const ENDS: Duration = Duration::from_secs(3);

/// Runs commands on this machine with the rights of the runner.
#[derive(Debug, Default)]
pub struct LocalTransport {
    /// Environment variables of this process that its commands don't get.
    pub without: Vec<String>,
}

#[async_trait]
impl Transport for LocalTransport {
    async fn connect(&self, _: &Host) -> Result<Arc<dyn Connection>, ConnectError> {
        Ok(Arc::new(LocalConnection {
            closed: watch::Sender::new(false),
            without: self.without.clone(),
        }))
    }
}

struct LocalConnection {
    closed: watch::Sender<bool>,
    without: Vec<String>,
}

#[async_trait]
impl Connection for LocalConnection {
    async fn start(&self, command: &str) -> Result<Process, StartError> {
        if *self.closed.borrow() {
            return Err(StartError("the connection is closed".into()));
        }
        let mut shell = shell(command);
        for name in &self.without {
            shell.env_remove(name);
        }
        if let Some(home) = std::env::home_dir().filter(|home| home.is_dir()) {
            // Where a login would begin.
            shell.current_dir(home);
        }
        spawn(shell, self.closed.subscribe())
            .map_err(|error| StartError(format!("can't run /bin/sh: {error}")))
    }

    async fn close(&self) {
        self.closed.send_replace(true);
    }
}

/// `/bin/sh -c`, in a process group of its own, with its streams open to us.
pub(crate) fn shell(command: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell
        .arg("-c")
        .arg(command)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    shell
}

/// Starts a [`shell`]; its output ends when `closed` becomes true. Its process group is ended then, or when the output is
/// dropped before its end: it is asked to, and killed if it does not.
pub(crate) fn spawn(mut shell: Command, closed: watch::Receiver<bool>) -> std::io::Result<Process> {
    let mut child = shell.spawn()?;
    let input = LocalInput(child.stdin.take());
    let output = LocalOutput {
        stdout: child.stdout.take(),
        stderr: child.stderr.take(),
        child: Some(child),
        exited: false,
        closed,
        lost: false,
    };
    Ok(Process {
        input: Box::new(input),
        output: Box::new(output),
    })
}

struct LocalInput(Option<ChildStdin>);

#[async_trait]
impl Input for LocalInput {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        let lost = || Lost("the command closed its input".into());
        let input = self.0.as_mut().ok_or_else(lost)?;
        input.write_all(bytes).await.map_err(|_| lost())
    }

    async fn end(&mut self) -> Result<(), Lost> {
        self.0 = None;
        Ok(())
    }
}

struct LocalOutput {
    child: Option<Child>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    exited: bool,
    closed: watch::Receiver<bool>,
    lost: bool,
}

#[async_trait]
impl Output for LocalOutput {
    async fn next(&mut self) -> Option<Chunk> {
        let mut out = [0; PIECE];
        let mut err = [0; PIECE];
        while !self.lost && (!self.exited || self.stdout.is_some() || self.stderr.is_some()) {
            tokio::select! {
                biased;
                () = when_closed(&mut self.closed) => {
                    self.lost = true;
                    self.finish();
                }
                read = read(&mut self.stdout, &mut out), if self.stdout.is_some() => match read {
                    0 => self.stdout = None,
                    count => return Some(Chunk::Stdout(out[..count].to_vec())),
                },
                read = read(&mut self.stderr, &mut err), if self.stderr.is_some() => match read {
                    0 => self.stderr = None,
                    count => return Some(Chunk::Stderr(err[..count].to_vec())),
                },
                status = wait(&mut self.child), if !self.exited => {
                    self.exited = true;
                    return Some(Chunk::Exit(status.map_or(Exit::Code(-1), exit)));
                }
            }
        }
        None
    }

    fn ending(&self) -> Ending {
        if self.exited {
            Ending::Exited
        } else {
            Ending::Lost("the connection was closed".into())
        }
    }
}

impl LocalOutput {
    /// Ends the whole process group. A shell that has something to give back does so first.
    fn finish(&mut self) {
        let Some(mut child) = self.child.take().filter(|_| !self.exited) else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return signal(&child, Signal::KILL);
        };
        signal(&child, Signal::TERM);
        runtime.spawn(async move {
            if tokio::time::timeout(ENDS, child.wait()).await.is_err() {
                signal(&child, Signal::KILL);
            }
        });
    }
}

impl Drop for LocalOutput {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Sends a signal to the process group of a child. Only while its leader is not reaped can nobody else have that number.
fn signal(child: &Child, signal: Signal) {
    if let Some(pid) = child.id()
        && let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw)
    {
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}

async fn wait(child: &mut Option<Child>) -> std::io::Result<ExitStatus> {
    match child {
        Some(child) => child.wait().await,
        None => std::future::pending().await,
    }
}

/// Waits for the closing of the connection. One that was merely dropped lets its commands go on.
pub(crate) async fn when_closed(closed: &mut watch::Receiver<bool>) {
    let dropped = closed.wait_for(|closed| *closed).await.is_err();
    if dropped {
        std::future::pending::<()>().await;
    }
}

/// Reads what is there; an error ends the stream as its end does.
async fn read(stream: &mut Option<impl AsyncRead + Unpin>, buffer: &mut [u8]) -> usize {
    match stream {
        Some(stream) => stream.read(buffer).await.unwrap_or(0),
        None => 0,
    }
}

/// How a process of this machine has ended.
pub(crate) fn exit(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(code),
        (None, Some(signal)) => Exit::Signal(signal_name(signal)),
        (None, None) => Exit::Code(-1),
    }
}

/// A signal's name without `SIG`, or its number.
fn signal_name(number: i32) -> String {
    let name = match number {
        1 => "HUP",
        2 => "INT",
        3 => "QUIT",
        4 => "ILL",
        6 => "ABRT",
        8 => "FPE",
        9 => "KILL",
        11 => "SEGV",
        13 => "PIPE",
        14 => "ALRM",
        15 => "TERM",
        _ if number == Signal::USR1.as_raw() => "USR1",
        _ if number == Signal::USR2.as_raw() => "USR2",
        _ if number == Signal::BUS.as_raw() => "BUS",
        _ => return number.to_string(),
    };
    name.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn finish(output: &mut dyn Output) -> (String, String, Option<Exit>) {
        let (mut out, mut err, mut exit) = (Vec::new(), Vec::new(), None);
        let reading = async {
            while let Some(chunk) = output.next().await {
                match chunk {
                    Chunk::Stdout(bytes) => out.extend(bytes),
                    Chunk::Stderr(bytes) => err.extend(bytes),
                    Chunk::Exit(how) => exit = Some(how),
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), reading)
            .await
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(out), text(err), exit)
    }

    fn start(command: &str) -> (Process, watch::Sender<bool>) {
        let closed = watch::Sender::new(false);
        let process = spawn(shell(command), closed.subscribe()).unwrap();
        (process, closed)
    }

    #[tokio::test]
    async fn both_streams_the_input_and_the_exit_code_arrive() {
        let (mut process, _closed) = start("cat; echo err >&2; exit 7");
        process.input.write(b"in\n").await.unwrap();
        process.input.end().await.unwrap();
        let ended = finish(&mut *process.output).await;
        assert_eq!(ended, ("in\n".into(), "err\n".into(), Some(Exit::Code(7))));
        assert_eq!(process.output.ending(), Ending::Exited);
    }

    #[tokio::test]
    async fn a_signal_is_named() {
        let (mut process, _closed) = start("kill -KILL $$");
        let (_, _, exit) = finish(&mut *process.output).await;
        assert_eq!(exit, Some(Exit::Signal("KILL".into())));
    }

    #[tokio::test]
    async fn a_closed_connection_ends_the_whole_group() {
        let (mut process, closed) = start("sleep 1000 & echo $!; wait");
        let Some(Chunk::Stdout(pid)) = process.output.next().await else {
            panic!("no output");
        };
        closed.send_replace(true);
        assert_eq!(process.output.next().await, None);
        assert_eq!(
            process.output.ending(),
            Ending::Lost("the connection was closed".into())
        );
        let pid = String::from_utf8(pid).unwrap();
        let state = format!("/proc/{}/stat", pid.trim());
        let gone = async {
            loop {
                // Nobody may reap it soon, but then it is a zombie.
                match std::fs::read_to_string(&state) {
                    Ok(stat) if !stat.contains(") Z ") => tokio::task::yield_now().await,
                    _ => break,
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(30), gone)
            .await
            .unwrap();
    }
}
