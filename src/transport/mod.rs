//! How commands reach a host: the traits, and their three implementations.
//!
//! A transport connects; a connection starts commands; a command has an input and an output. Nothing
//! here knows of tasks or modules. [`ssh`] is the real one, [`kept`] gives its connections a life beyond the run,
//! [`local`] runs on this machine, and [`fake`] answers from a script, for tests.

pub mod fake;
pub mod kept;
pub mod local;
mod route;
pub mod ssh;

use crate::inventory::Host;
use async_trait::async_trait;
use bytes::Bytes;
pub use route::Routes;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Something that can connect to hosts.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Connects and authenticates, within the host's `connect_timeout`.
    async fn connect(&self, host: &Host) -> Result<Arc<dyn Connection>, ConnectError>;
}

/// An authenticated connection to one host.
#[async_trait]
pub trait Connection: Send + Sync {
    /// Asks the host to run a command under the user's login shell.
    ///
    /// # Errors
    ///
    /// [`StartError`] means that the command has certainly not started.
    async fn start(&self, command: &str) -> Result<Process, StartError>;

    /// Says goodbye; commands that still run lose their channel.
    async fn close(&self);

    /// The signs of life by which both sides know that the other is there. `None` where none are needed or wanted.
    fn heartbeat(&self) -> Option<Heartbeat> {
        None
    }
}

/// Signs of life, for as long as commands run on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// How often each side gives one.
    pub every: Duration,
    /// Who has heard none for so long takes the other side for gone.
    pub limit: Duration,
}

/// No more time passes between two signs of life. It is also how far the two sides may be apart in what they take for the last one.
const BEAT: Duration = Duration::from_secs(2);

impl Heartbeat {
    /// For a connection that counts as dead after this time of silence.
    pub fn new(limit: Duration) -> Self {
        Self {
            every: BEAT.min(limit / 4),
            limit,
        }
    }
}

/// A command that was asked to run.
pub struct Process {
    /// Its standard input.
    pub input: Box<dyn Input>,
    /// What it prints, and how it ends.
    pub output: Box<dyn Output>,
}

/// The standard input of a command.
#[async_trait]
pub trait Input: Send {
    /// Writes all the bytes; an error means that the channel is gone.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Lost>;
    /// As [`Input::write`], for much: where it can, it does not copy, and returns when so little is waiting to be sent
    /// that more should follow.
    async fn send(&mut self, bytes: Bytes) -> Result<(), Lost> {
        self.write(&bytes).await
    }
    /// Ends the input.
    async fn end(&mut self) -> Result<(), Lost>;
}

/// The output of a command. It must be read to its end, or it blocks the whole connection.
#[async_trait]
pub trait Output: Send {
    /// The next piece; `None` when nothing follows. Without an [`Chunk::Exit`] before that the outcome is unknown.
    async fn next(&mut self) -> Option<Chunk>;

    /// Why the output has ended, once [`Output::next`] has answered `None`.
    fn ending(&self) -> Ending;
}

/// Why nothing follows on an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The command has ended, and how was said.
    Exited,
    /// The host has refused to start the command: it has certainly not run.
    NotStarted(String),
    /// The command may run on, have ended, or never have started. The cause in one line.
    Lost(String),
}

/// A piece of what a command says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// Bytes on standard output.
    Stdout(Vec<u8>),
    /// Bytes on standard error.
    Stderr(Vec<u8>),
    /// How it ended. Output can still follow.
    Exit(Exit),
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// With an exit code.
    Code(i32),
    /// Killed by a signal, named without `SIG`.
    Signal(String),
}

/// Why there is no connection. Nothing was started on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectError {
    /// What kind of failure it is, which decides the exit code.
    pub kind: ConnectErrorKind,
    /// The cause in one line: `connection refused`.
    pub message: String,
    /// The way out, a line each.
    pub help: Vec<String>,
}

/// What kind of failure to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectErrorKind {
    /// No connection, or no login.
    Unreachable,
    /// The host's key is not the one that is known, or not known at all.
    Identity,
}

impl ConnectError {
    /// A host that could not be reached.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self {
            kind: ConnectErrorKind::Unreachable,
            message: message.into(),
            help: Vec::new(),
        }
    }

    /// A host whose identity is refused.
    pub fn identity(message: impl Into<String>) -> Self {
        Self {
            kind: ConnectErrorKind::Identity,
            message: message.into(),
            help: Vec::new(),
        }
    }

    /// Adds a line that names the way out.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ConnectError {}

/// A command that could not be requested: it has certainly not started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartError(pub String);

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// The channel or the whole connection is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost(pub String);

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Lost {}
