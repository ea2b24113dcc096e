//! One exchange with a host: send a script, read the answers, end it when asked to.

use super::message::{self, Cutter, Said, Step};
use super::shell::{self, Shell, Shells};
use crate::modules::Done;
use crate::transport::{Chunk, Connection, Ending, Exit, Output, Process};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// How long ended work may take to be gone before it is named as possibly left over.
pub(super) const GONE_WITHIN: Duration = Duration::from_secs(5);

/// Whose rights an exchange uses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Identity {
    /// The user to become.
    pub user: Option<String>,
}

/// What every exchange of a run needs to know.
#[derive(Clone)]
pub struct Terms {
    /// The password for `sudo`, if the operator gave one.
    pub become_password: Option<String>,
    /// Becomes true when the run shall stop.
    pub stop: watch::Receiver<bool>,
    /// How many shells have said everything and are about to end.
    pub leaving: watch::Sender<usize>,
    /// Everyone on the host may see what is sent, as with `ssh HOST COMMAND`.
    pub public: bool,
}

/// How an exchange went.
#[derive(Debug, Default)]
pub struct Reply {
    /// The answers of the steps that ended.
    pub answers: Vec<Done>,
    /// Why the rest has no answer.
    pub trouble: Option<Trouble>,
}

/// Why an exchange did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It certainly did not start.
    NotStarted(String),
    /// There is no usable shell, or no right to use it.
    NoShell(String),
    /// The connection was lost while it ran.
    Lost(String),
    /// Its deadline passed. `left` names the process if it could not be confirmed gone.
    TimedOut {
        /// The process that may be left.
        left: Option<i64>,
    },
    /// The run was stopped.
    Stopped {
        /// The process that may be left.
        left: Option<i64>,
    },
    /// The shell itself ended before the step did.
    ShellEnded(Exit),
}

/// Sends steps and reads their answers. `line` gets the last whole line of the first step now and then.
pub async fn run(
    connection: &dyn Connection,
    shells: &mut Shells,
    terms: &Terms,
    identity: &Identity,
    steps: &[Step],
    deadline: Option<Duration>,
    line: &mut (dyn FnMut(&[u8]) + Send),
) -> Reply {
    let end = deadline.map(|limit| Instant::now() + limit);
    if let Some(shell) = shells.take(identity).await {
        let message = Message::new(steps, shell.last);
        let heard = message.send(shell.process, terms, end, true, line).await;
        if !heard.refused() {
            return heard.settle(&message, terms, shells, identity);
        }
    }
    let message = Message::new(steps, None);
    let in_request = shell::fits_request(terms, identity, &message.text);
    let opened = if in_request {
        Shell::with_message(connection, terms, identity, &message.text).await
    } else {
        Shell::open(connection, terms, identity).await
    };
    match opened {
        Err(trouble) => Reply {
            trouble: Some(trouble),
            ..Reply::default()
        },
        Ok(shell) => {
            let heard = message
                .send(shell.process, terms, end, !in_request, line)
                .await;
            heard.settle(&message, terms, shells, identity)
        }
    }
}

/// Steps on their way.
struct Message {
    text: String,
    nonce: String,
    /// For each step, whether its lines are shown while it runs.
    live: Vec<bool>,
    /// For each step, whether the ones behind it need it.
    needed: Vec<bool>,
}

/// What was heard after a message.
struct Heard {
    process: Process,
    streams: Streams,
    /// Why it was not waited for any longer.
    why: Option<Trouble>,
    /// The whole message has left.
    sent: bool,
}

impl Message {
    fn new(steps: &[Step], last: Option<i64>) -> Self {
        let nonce = message::nonce();
        Self {
            text: message::script(&nonce, steps, last),
            nonce,
            live: steps.iter().map(|step| step.live).collect(),
            needed: steps.iter().map(|step| step.needed).collect(),
        }
    }

    /// Writes the message to a shell, unless it has come with it, and listens until it is answered.
    async fn send(
        &self,
        mut process: Process,
        terms: &Terms,
        end: Option<Instant>,
        write: bool,
        line: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Heard {
        let mut streams = Streams::new(&self.nonce);
        let mut stop = terms.stop.clone();
        let mut why = None;
        let mut limit = end;
        let mut sent = true;
        if write {
            sent = tokio::select! {
                biased;
                trouble = over(limit, &mut stop) => {
                    why = Some(trouble);
                    false
                }
                // An input that is gone shows in the output as well, with the better message.
                written = process.input.write(self.text.as_bytes()) => written.is_ok(),
            };
        }
        if why.is_some() {
            limit = Some(Instant::now() + GONE_WITHIN);
            process.input.end().await.ok();
        }
        while !self.complete(&streams) {
            if streams.code.is_some() {
                // The shell is gone: what it said is on its way, or held open by somebody else.
                let soon = Instant::now() + Duration::from_secs(2);
                limit = Some(limit.map_or(soon, |limit| limit.min(soon)));
            }
            let next = next(&mut *process.output, limit, &mut stop, why.is_some()).await;
            match next {
                Next::Chunk(Some(chunk)) => {
                    streams.take(chunk, &self.live, line);
                }
                Next::Chunk(None) => break,
                Next::Late if why.is_some() || streams.code.is_some() => break,
                Next::Late | Next::Stop => {
                    let pid = streams.out.pid;
                    why = Some(match next {
                        Next::Stop => Trouble::Stopped { left: pid },
                        _ => Trouble::TimedOut { left: pid },
                    });
                    limit = Some(Instant::now() + GONE_WITHIN);
                    sent &= process.input.end().await.is_ok();
                }
            }
        }
        Heard {
            process,
            streams,
            why,
            sent,
        }
    }

    /// Whether every step that will run has ended, on both streams.
    fn complete(&self, streams: &Streams) -> bool {
        if streams.out.refused && streams.err.refused {
            return true;
        }
        let (out, err) = (&streams.out.done, &streams.err.done);
        out.len() == err.len() && self.ends_with(out.len(), out.last().map(|said| said.code))
    }

    fn whole(&self, answers: &[Done]) -> bool {
        self.ends_with(answers.len(), answers.last().map(|done| done.code.into()))
    }

    /// Nothing follows so many steps, the last of which ended with this code.
    fn ends_with(&self, count: usize, code: Option<i64>) -> bool {
        let failed = |index: usize| self.needed[index] && code != Some(0);
        count == self.needed.len() || count.checked_sub(1).is_some_and(failed)
    }

    fn reply(&self, streams: Streams, why: Option<Trouble>, ending: Ending) -> Reply {
        let answers: Vec<Done> = streams
            .out
            .done
            .into_iter()
            .zip(
                streams
                    .err
                    .done
                    .into_iter()
                    .chain(std::iter::repeat_with(Said::default)),
            )
            .map(|(out, err)| answer(out, err))
            .collect();
        let ended = streams.code.is_some();
        let trouble = match why {
            _ if self.whole(&answers) => None,
            // Its end was confirmed: nothing is left of it.
            Some(Trouble::TimedOut { .. }) if ended => Some(Trouble::TimedOut { left: None }),
            Some(Trouble::Stopped { .. }) if ended => Some(Trouble::Stopped { left: None }),
            Some(why) => Some(why),
            None => Some(match streams.code {
                None => shell::lost(ending),
                Some(_) if streams.out.pid.is_none() => {
                    Trouble::NoShell(no_shell(&streams.err.noise, &streams.out.noise))
                }
                Some(exit) => Trouble::ShellEnded(exit),
            }),
        };
        Reply { answers, trouble }
    }
}

impl Heard {
    /// A waiting shell has certainly not run the message: it was gone before, or something of the last message still
    /// runs in it.
    fn refused(&self) -> bool {
        let silent = self.streams.out.pid.is_none() && self.streams.err.pid.is_none();
        self.streams.out.refused || silent && self.why.is_none() && self.streams.code.is_some()
    }

    /// The answers. The shell is kept for the next message, if it takes another.
    fn settle(
        self,
        message: &Message,
        terms: &Terms,
        shells: &mut Shells,
        identity: &Identity,
    ) -> Reply {
        let whole = self.sent && self.why.is_none() && message.complete(&self.streams);
        let again = self
            .streams
            .out
            .pid
            .filter(|_| whole && self.streams.out.again && self.streams.code.is_none());
        if let Some(pid) = again {
            let reply = message.reply(self.streams, None, Ending::Exited);
            shells.keep(identity, self.process, pid);
            return reply;
        }
        let mut leave = Leave::new(&terms.leaving);
        if self.streams.code.is_some() {
            leave.now();
        }
        let reply = message.reply(self.streams, self.why, self.process.output.ending());
        let Process { mut input, output } = self.process;
        tokio::spawn(async move {
            // A shell that takes no other message is about to end by itself; this spares the server an open input.
            if whole {
                input.end().await.ok();
            }
            drain(output, leave).await;
        });
        reply
    }
}

fn no_shell(complaint: &[u8], noise: &[u8]) -> String {
    let text = [complaint, noise]
        .iter()
        .map(|bytes| String::from_utf8_lossy(bytes).trim().to_string())
        .find(|text| !text.is_empty())
        .unwrap_or_else(|| "the login shell ended at once".to_string());
    text.lines().last().unwrap_or("").trim().to_string()
}

fn answer(out: Said, err: Said) -> Done {
    let mut done = Done {
        code: i32::try_from(out.code).unwrap_or(-1),
        stdout: out.bytes,
        stderr: err.bytes,
    };
    let dropped = out.dropped + err.dropped;
    if dropped > 0 {
        let note = format!("\n[{dropped} more bytes of output were not kept]\n");
        done.stderr.extend_from_slice(note.as_bytes());
    }
    done
}

/// Both streams of an exchange.
struct Streams {
    out: Cutter,
    err: Cutter,
    code: Option<Exit>,
    shown: Instant,
}

impl Streams {
    fn new(nonce: &str) -> Self {
        Self {
            out: Cutter::new(nonce),
            err: Cutter::new(nonce),
            code: None,
            shown: Instant::now(),
        }
    }

    fn take(&mut self, chunk: Chunk, live: &[bool], line: &mut (dyn FnMut(&[u8]) + Send)) {
        match chunk {
            Chunk::Stdout(bytes) => {
                self.out.feed(&bytes);
                self.show(false, live, line);
            }
            Chunk::Stderr(bytes) => {
                self.err.feed(&bytes);
                self.show(true, live, line);
            }
            Chunk::Exit(exit) => self.code = Some(exit),
        }
    }

    /// Shows the last whole line, some times a second.
    fn show(&mut self, complaint: bool, live: &[bool], line: &mut (dyn FnMut(&[u8]) + Send)) {
        if self.shown.elapsed() < Duration::from_millis(100) {
            return;
        }
        let stream = if complaint { &self.err } else { &self.out };
        if !live.get(stream.done.len()).is_some_and(|live| *live) {
            return;
        }
        let said = stream.running();
        let Some(end) = memchr::memrchr(b'\n', said) else {
            return;
        };
        let start = memchr::memrchr(b'\n', &said[..end]).map_or(0, |at| at + 1);
        self.shown = Instant::now();
        line(&said[start..end]);
    }
}

enum Next {
    Chunk(Option<Chunk>),
    Late,
    Stop,
}

async fn next(
    output: &mut dyn Output,
    limit: Option<Instant>,
    stop: &mut watch::Receiver<bool>,
    stopping: bool,
) -> Next {
    let late = async {
        match limit {
            Some(limit) => tokio::time::sleep_until(limit).await,
            None => std::future::pending().await,
        }
    };
    let stopped = async {
        if stopping || stop.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        () = stopped => Next::Stop,
        () = late => Next::Late,
        chunk = output.next() => Next::Chunk(chunk),
    }
}

/// Waits until there is no more time, or the run shall stop.
async fn over(limit: Option<Instant>, stop: &mut watch::Receiver<bool>) -> Trouble {
    let late = async {
        match limit {
            Some(limit) => tokio::time::sleep_until(limit).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = late => Trouble::TimedOut { left: None },
        _ = stop.wait_for(|stop| *stop) => Trouble::Stopped { left: None },
    }
}

/// An unread channel would block the whole connection: read what still comes, and forget it.
async fn drain(mut output: Box<dyn Output>, mut leave: Leave) {
    let end = Instant::now() + Duration::from_secs(30);
    while let Ok(Some(chunk)) = timeout_at(end, output.next()).await {
        if matches!(chunk, Chunk::Exit(_)) {
            leave.now();
        }
    }
}

/// Counts a shell as leaving until it has left.
struct Leave(Option<watch::Sender<usize>>);

impl Leave {
    fn new(leaving: &watch::Sender<usize>) -> Self {
        leaving.send_modify(|count| *count += 1);
        Self(Some(leaving.clone()))
    }

    fn now(&mut self) {
        if let Some(leaving) = self.0.take() {
            leaving.send_modify(|count| *count -= 1);
        }
    }
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.now();
    }
}
