//! A transport that answers from a script, for tests of the engine.

use super::{
    Chunk, ConnectError, Connection, Ending, Exit, Input, Lost, Output, Process, StartError,
    Transport, local,
};
use crate::inventory::Host;
use async_trait::async_trait;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, watch};

type Answering = dyn Fn(&str, &str, &[u8]) -> FakeAnswer + Send + Sync;

/// Hosts that exist only in a closure.
///
/// The closure gets the host's name, the command and what was written to its input until the output was first read. A shell
/// that takes one message after the other is asked about for each message.
pub struct FakeTransport {
    answer: Arc<Answering>,
    refusals: Mutex<HashMap<String, ConnectError>>,
    log: Arc<Mutex<Vec<FakeRun>>>,
}

/// A command that a fake host was asked to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FakeRun {
    /// The host's name.
    pub host: String,
    /// The command.
    pub command: String,
    /// What was on its input before its output was read.
    pub stdin: Vec<u8>,
    /// Which of the processes on its connection it went to, from 0.
    pub process: usize,
}

/// What a fake host does with a command.
#[derive(Debug, Clone)]
pub struct FakeAnswer {
    kind: Kind,
    wait: Option<Arc<Notify>>,
}

#[derive(Debug, Clone)]
enum Kind {
    Say(Vec<Chunk>),
    Refuse(String),
    Real,
}

impl FakeAnswer {
    /// Prints this, and ends with 0.
    pub fn ok(stdout: impl Into<Vec<u8>>) -> Self {
        Self::say(vec![
            Chunk::Stdout(stdout.into()),
            Chunk::Exit(Exit::Code(0)),
        ])
    }

    /// Complains, and ends with a code.
    pub fn fail(code: i32, stderr: impl Into<Vec<u8>>) -> Self {
        Self::say(vec![
            Chunk::Stderr(stderr.into()),
            Chunk::Exit(Exit::Code(code)),
        ])
    }

    /// Says these pieces. Without an exit among them the connection is lost behind the last.
    pub fn say(chunks: Vec<Chunk>) -> Self {
        Self {
            kind: Kind::Say(chunks),
            wait: None,
        }
    }

    /// Loses the connection while the command runs, after it has printed this.
    pub fn lost(stdout: impl Into<Vec<u8>>) -> Self {
        Self::say(vec![Chunk::Stdout(stdout.into())])
    }

    /// Refuses to start the command.
    pub fn not_started(why: impl Into<String>) -> Self {
        Self {
            kind: Kind::Refuse(why.into()),
            wait: None,
        }
    }

    /// Runs the command on this machine after all, with the same input.
    pub fn real() -> Self {
        Self {
            kind: Kind::Real,
            wait: None,
        }
    }

    /// Answers only when this is notified.
    pub fn after(mut self, notify: Arc<Notify>) -> Self {
        self.wait = Some(notify);
        self
    }
}

impl FakeTransport {
    /// Hosts that answer like this.
    pub fn new(answer: impl Fn(&str, &str, &[u8]) -> FakeAnswer + Send + Sync + 'static) -> Self {
        Self {
            answer: Arc::new(answer),
            refusals: Mutex::default(),
            log: Arc::default(),
        }
    }

    /// Lets no connection to a host come about.
    pub fn refuse(self, host: &str, error: ConnectError) -> Self {
        lock(&self.refusals).insert(host.to_string(), error);
        self
    }

    /// What was run so far, in the order in which outputs were first read.
    pub fn runs(&self) -> Vec<FakeRun> {
        lock(&self.log).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Transport for FakeTransport {
    async fn connect(&self, host: &Host) -> Result<Arc<dyn Connection>, ConnectError> {
        if let Some(error) = lock(&self.refusals).get(&host.name) {
            return Err(error.clone());
        }
        Ok(Arc::new(FakeConnection {
            host: host.name.clone(),
            answer: self.answer.clone(),
            log: self.log.clone(),
            gone: Arc::default(),
            started: AtomicUsize::new(0),
            closed: watch::Sender::new(false),
        }))
    }
}

struct FakeConnection {
    host: String,
    answer: Arc<Answering>,
    log: Arc<Mutex<Vec<FakeRun>>>,
    gone: Arc<AtomicBool>,
    started: AtomicUsize,
    closed: watch::Sender<bool>,
}

const LOST: &str = "the connection was lost";

#[async_trait]
impl Connection for FakeConnection {
    async fn start(&self, command: &str) -> Result<Process, StartError> {
        if self.gone.load(Ordering::SeqCst) {
            return Err(StartError(LOST.into()));
        }
        let state = Arc::new(Mutex::new(State {
            // This is how a shell that takes many messages looks.
            messages: command.contains("while "),
            ..State::default()
        }));
        Ok(Process {
            input: Box::new(FakeInput {
                state: state.clone(),
                gone: self.gone.clone(),
            }),
            output: Box::new(FakeOutput {
                run: FakeRun {
                    host: self.host.clone(),
                    command: command.to_string(),
                    stdin: Vec::new(),
                    process: self.started.fetch_add(1, Ordering::SeqCst),
                },
                answer: self.answer.clone(),
                log: self.log.clone(),
                state,
                gone: self.gone.clone(),
                closed: self.closed.subscribe(),
                said: None,
                ending: Ending::Exited,
            }),
        })
    }

    async fn close(&self) {
        self.gone.store(true, Ordering::SeqCst);
        self.closed.send_replace(true);
    }
}

#[derive(Default)]
struct State {
    stdin: Vec<u8>,
    ended: bool,
    /// The input of a command that really runs.
    real: Option<Box<dyn Input>>,
    /// Each write after the first answer is another message.
    messages: bool,
    begun: bool,
    /// A message that was not answered yet has come.
    arrived: Arc<Notify>,
}

struct FakeInput {
    state: Arc<Mutex<State>>,
    gone: Arc<AtomicBool>,
}

impl FakeInput {
    fn real(&self) -> Option<Box<dyn Input>> {
        lock(&self.state).real.take()
    }
}

#[async_trait]
impl Input for FakeInput {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        if self.gone.load(Ordering::SeqCst) {
            return Err(Lost(LOST.into()));
        }
        {
            let mut state = lock(&self.state);
            if state.messages && state.begun {
                state.stdin = bytes.to_vec();
                state.arrived.notify_one();
                return Ok(());
            }
        }
        if let Some(mut real) = self.real() {
            let written = real.write(bytes).await;
            lock(&self.state).real = Some(real);
            return written;
        }
        lock(&self.state).stdin.extend_from_slice(bytes);
        Ok(())
    }

    async fn end(&mut self) -> Result<(), Lost> {
        lock(&self.state).ended = true;
        if let Some(mut real) = self.real() {
            return real.end().await;
        }
        Ok(())
    }
}

enum Saying {
    Chunks(std::vec::IntoIter<Chunk>),
    Real(Box<dyn Output>),
}

struct FakeOutput {
    run: FakeRun,
    answer: Arc<Answering>,
    log: Arc<Mutex<Vec<FakeRun>>>,
    state: Arc<Mutex<State>>,
    gone: Arc<AtomicBool>,
    closed: watch::Receiver<bool>,
    said: Option<Saying>,
    ending: Ending,
}

impl FakeOutput {
    /// Asks the closure, once for each message.
    async fn begin(&mut self) {
        {
            let mut state = lock(&self.state);
            state.begun = true;
            self.run.stdin = state.stdin.clone();
        }
        lock(&self.log).push(self.run.clone());
        let run = &self.run;
        let answer = (self.answer)(&run.host, &run.command, &run.stdin);
        // Should the caller stop waiting, the next call must not ask again.
        let before = self.said.replace(Saying::Chunks(Vec::new().into_iter()));
        self.ending = Ending::Lost(LOST.into());
        if let Some(wait) = &answer.wait {
            let mut closed = self.closed.clone();
            tokio::select! {
                () = wait.notified() => {}
                () = local::when_closed(&mut closed) => return,
            }
        }
        match answer.kind {
            Kind::Refuse(why) => self.ending = Ending::NotStarted(why),
            Kind::Say(chunks) => {
                if chunks.iter().any(|chunk| matches!(chunk, Chunk::Exit(_))) {
                    self.ending = Ending::Exited;
                }
                self.said = Some(Saying::Chunks(chunks.into_iter()));
            }
            Kind::Real if matches!(before, Some(Saying::Real(_))) => {
                let real = lock(&self.state).real.take();
                if let Some(mut input) = real {
                    let _ = input.write(&run.stdin).await;
                    lock(&self.state).real = Some(input);
                }
                self.said = before;
            }
            Kind::Real => match local::spawn(local::shell(&run.command), self.closed.clone()) {
                Err(error) => self.ending = Ending::NotStarted(error.to_string()),
                Ok(mut process) => {
                    let _ = process.input.write(&run.stdin).await;
                    if lock(&self.state).ended {
                        let _ = process.input.end().await;
                    }
                    lock(&self.state).real = Some(process.input);
                    self.said = Some(Saying::Real(process.output));
                }
            },
        }
    }
}

#[async_trait]
impl Output for FakeOutput {
    async fn next(&mut self) -> Option<Chunk> {
        if self.said.is_none() {
            self.begin().await;
        }
        let arrived = lock(&self.state).arrived.clone();
        while let Some(Saying::Real(output)) = &mut self.said {
            let chunk = tokio::select! {
                biased;
                () = arrived.notified() => None,
                chunk = output.next() => Some(chunk),
            };
            match chunk {
                None => self.begin().await,
                Some(chunk) => {
                    if let (None, Some(Saying::Real(output))) = (&chunk, &self.said) {
                        self.ending = output.ending();
                    }
                    return chunk;
                }
            }
        }
        match &mut self.said {
            None | Some(Saying::Real(_)) => None,
            Some(Saying::Chunks(chunks)) => {
                let chunk = chunks.next();
                if chunk.is_none() && matches!(self.ending, Ending::Lost(_)) {
                    self.gone.store(true, Ordering::SeqCst);
                }
                chunk
            }
        }
    }

    fn ending(&self) -> Ending {
        self.ending.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::ConnectionSettings;

    async fn connect(
        transport: &FakeTransport,
        name: &str,
    ) -> Result<Arc<dyn Connection>, ConnectError> {
        transport
            .connect(&Host {
                name: name.into(),
                connection: ConnectionSettings::default(),
                groups: Vec::new(),
                vars: crate::document::Table::default(),
            })
            .await
    }

    async fn chunks(process: &mut Process) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        while let Some(chunk) = process.output.next().await {
            chunks.push(chunk);
        }
        chunks
    }

    #[tokio::test]
    async fn commands_are_answered_and_noted() {
        let transport = FakeTransport::new(|host, command, stdin| {
            FakeAnswer::ok(format!("{host} {command} {}", stdin.len()))
        });
        let connection = connect(&transport, "a").await.unwrap();
        let mut process = connection.start("true").await.unwrap();
        process.input.write(b"123").await.unwrap();
        assert_eq!(
            chunks(&mut process).await,
            [Chunk::Stdout("a true 3".into()), Chunk::Exit(Exit::Code(0))]
        );
        assert_eq!(process.output.ending(), Ending::Exited);
        assert_eq!(
            transport.runs(),
            [FakeRun {
                host: "a".into(),
                command: "true".into(),
                stdin: b"123".to_vec(),
                process: 0,
            }]
        );
    }

    #[tokio::test]
    async fn a_lost_connection_starts_nothing_more() {
        let transport = FakeTransport::new(|_, _, _| FakeAnswer::lost("half"))
            .refuse("b", ConnectError::unreachable("connection refused"));
        let connection = connect(&transport, "a").await.unwrap();
        let mut process = connection.start("true").await.unwrap();
        assert_eq!(chunks(&mut process).await, [Chunk::Stdout("half".into())]);
        assert_eq!(process.output.ending(), Ending::Lost(LOST.into()));
        let again = connection.start("true").await.map(drop);
        assert_eq!(again, Err(StartError(LOST.into())));
        let refused = connect(&transport, "b").await.map(drop);
        assert_eq!(
            refused,
            Err(ConnectError::unreachable("connection refused"))
        );
    }

    #[tokio::test]
    async fn an_answer_can_wait_and_a_command_can_really_run() {
        let ready = Arc::new(Notify::new());
        let waiting = ready.clone();
        let transport =
            FakeTransport::new(move |_, _, _| FakeAnswer::real().after(waiting.clone()));
        let connection = connect(&transport, "a").await.unwrap();
        let mut process = connection.start("cat").await.unwrap();
        process.input.write(b"real").await.unwrap();
        process.input.end().await.unwrap();
        ready.notify_one();
        assert_eq!(
            chunks(&mut process).await,
            [Chunk::Stdout("real".into()), Chunk::Exit(Exit::Code(0))]
        );
    }
}
