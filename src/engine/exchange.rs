//! One exchange with a host: send a script, read the answers, end it when asked to.

use super::message::{self, Cutter, Said, Step};
use crate::modules::Done;
use crate::shell::quote;
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
    terms: &Terms,
    identity: &Identity,
    steps: &[Step],
    deadline: Option<Duration>,
    line: &mut (dyn FnMut(&[u8]) + Send),
) -> Reply {
    let nonce = message::nonce();
    let script = message::script(&nonce, steps);
    let shell = Shell {
        command: command(identity, terms, &nonce),
        nonce: &nonce,
        live: steps.iter().map(|step| step.live).collect(),
        needed: steps.iter().map(|step| step.needed).collect(),
        password: password(identity, terms),
    };
    shell
        .run(connection, terms, script.as_bytes(), deadline, line)
        .await
}

fn password<'t>(identity: &Identity, terms: &'t Terms) -> Option<&'t str> {
    identity.user.as_ref()?;
    terms.become_password.as_deref()
}

/// Starts a `sh` that runs one short script, with its standard input open to the caller.
pub async fn open(
    connection: &dyn Connection,
    terms: &Terms,
    identity: &Identity,
    script: &str,
) -> Result<Process, Trouble> {
    let nonce = message::nonce();
    let start = |command: String| async move {
        let started = connection.start(&command).await;
        started.map_err(|error| Trouble::NotStarted(error.0))
    };
    let Some(password) = password(identity, terms) else {
        let command = format!("{} -c {}", command(identity, terms, &nonce), quote(script));
        return start(command).await;
    };
    let user = quote(identity.user.as_deref().unwrap_or("root"));
    let script = quote(&format!("echo {nonce}-ready; {script}"));
    let command = format!("exec sudo -S -H -p {nonce}-password -u {user} -- /bin/sh -c {script}");
    let mut process = start(command).await?;
    unlock(&mut process, password, &nonce).await?;
    Ok(process)
}

/// The command that turns the login shell into a `sh` that reads its script.
fn command(identity: &Identity, terms: &Terms, nonce: &str) -> String {
    let Some(user) = &identity.user else {
        return "exec /bin/sh".to_string();
    };
    let user = quote(user);
    match terms.become_password {
        None => format!("exec sudo -n -H -u {user} -- /bin/sh"),
        // Whether sudo asks is only seen by waiting: it says one of two things first.
        Some(_) => format!(
            "exec sudo -S -H -p {nonce}-password -u {user} -- /bin/sh -c 'echo {nonce}-ready; exec /bin/sh'"
        ),
    }
}

struct Shell<'a> {
    command: String,
    nonce: &'a str,
    /// For each step, whether its lines are shown while it runs.
    live: Vec<bool>,
    /// For each step, whether the ones behind it need it.
    needed: Vec<bool>,
    password: Option<&'a str>,
}

impl Shell<'_> {
    async fn run(
        &self,
        connection: &dyn Connection,
        terms: &Terms,
        script: &[u8],
        deadline: Option<Duration>,
        line: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Reply {
        let end = deadline.map(|limit| Instant::now() + limit);
        let mut process = match connection.start(&self.command).await {
            Ok(process) => process,
            Err(error) => {
                return Reply {
                    trouble: Some(Trouble::NotStarted(error.0)),
                    ..Reply::default()
                };
            }
        };
        let mut streams = Streams::new(self.nonce, &self.live);
        if let Some(password) = self.password
            && let Err(trouble) = unlock(&mut process, password, self.nonce).await
        {
            return Reply {
                trouble: Some(trouble),
                ..Reply::default()
            };
        }
        // An input that is gone shows in the output as well, with the better message.
        let mut sent = process.input.write(script).await.is_ok();
        let mut stop = terms.stop.clone();
        let mut why = None;
        let mut limit = end;
        while !self.complete(&streams) {
            if streams.code.is_some() {
                // The shell is gone: what it said is on its way, or held open by somebody else.
                let soon = Instant::now() + Duration::from_secs(2);
                limit = Some(limit.map_or(soon, |limit| limit.min(soon)));
            }
            let next = next(&mut *process.output, limit, &mut stop, why.is_some()).await;
            match next {
                Next::Chunk(Some(chunk)) => streams.take(chunk, line),
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
        if sent && why.is_none() {
            // The shell is about to end by itself; this spares the server an open input.
            process.input.end().await.ok();
        }
        let mut leave = Leave::new(&terms.leaving);
        if streams.code.is_some() {
            leave.now();
        }
        let reply = self.reply(streams, why, process.output.ending());
        drain(process.output, leave);
        reply
    }

    /// Whether every step that will run has ended, on both streams.
    fn complete(&self, streams: &Streams<'_>) -> bool {
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

    fn reply(&self, streams: Streams<'_>, why: Option<Trouble>, ending: Ending) -> Reply {
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
                None => lost(ending),
                Some(_) if streams.out.pid.is_none() => {
                    Trouble::NoShell(no_shell(&streams.err.noise, &streams.out.noise))
                }
                Some(exit) => Trouble::ShellEnded(exit),
            }),
        };
        Reply { answers, trouble }
    }
}

/// Why an output ended without an exit code.
pub fn lost(ending: Ending) -> Trouble {
    match ending {
        Ending::NotStarted(why) => Trouble::NotStarted(why),
        Ending::Lost(why) => Trouble::Lost(why),
        Ending::Exited => Trouble::Lost("the connection was lost".to_string()),
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
struct Streams<'a> {
    live: &'a [bool],
    out: Cutter,
    err: Cutter,
    code: Option<Exit>,
    shown: Instant,
}

impl<'a> Streams<'a> {
    fn new(nonce: &str, live: &'a [bool]) -> Self {
        Self {
            live,
            out: Cutter::new(nonce),
            err: Cutter::new(nonce),
            code: None,
            shown: Instant::now(),
        }
    }

    fn take(&mut self, chunk: Chunk, line: &mut (dyn FnMut(&[u8]) + Send)) {
        match chunk {
            Chunk::Stdout(bytes) => {
                self.out.feed(&bytes);
                self.show(false, line);
            }
            Chunk::Stderr(bytes) => {
                self.err.feed(&bytes);
                self.show(true, line);
            }
            Chunk::Exit(exit) => self.code = Some(exit),
        }
    }

    /// Shows the last whole line, some times a second.
    fn show(&mut self, complaint: bool, line: &mut (dyn FnMut(&[u8]) + Send)) {
        if self.shown.elapsed() < Duration::from_millis(100) {
            return;
        }
        let stream = if complaint { &self.err } else { &self.out };
        if !self.live.get(stream.done.len()).is_some_and(|live| *live) {
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

/// Waits for sudo's question, answers it once, and waits until the shell is there.
async fn unlock(process: &mut Process, password: &str, nonce: &str) -> Result<(), Trouble> {
    let prompt = format!("{}-password", nonce);
    let ready = format!("{}-ready\n", nonce);
    let mut asked = 0;
    let end = Instant::now() + Duration::from_secs(30);
    let mut heard = Vec::new();
    let mut complaints = Vec::new();
    loop {
        match timeout_at(end, process.output.next()).await {
            Err(_) => return Err(Trouble::NoShell("sudo did not answer within 30 s".into())),
            Ok(Some(Chunk::Stdout(bytes))) => heard.extend(bytes),
            Ok(Some(Chunk::Stderr(bytes))) => complaints.extend(bytes),
            Ok(Some(Chunk::Exit(_))) | Ok(None) => {
                let said = String::from_utf8_lossy(&complaints).replace(&prompt, "");
                let said = said.trim().lines().last().unwrap_or("").trim().to_string();
                return Err(Trouble::NoShell(match said.is_empty() {
                    true => "sudo ended without a word".into(),
                    false => said,
                }));
            }
        }
        if memchr::memmem::find(&heard, ready.as_bytes()).is_some() {
            return Ok(());
        }
        let questions = memchr::memmem::find_iter(&complaints, prompt.as_bytes()).count();
        if questions > asked {
            if asked == 1 {
                // A second try would only bring the account closer to being locked.
                process.input.end().await.ok();
                return Err(Trouble::NoShell("sudo: the password is wrong".into()));
            }
            asked = questions;
            let line = format!("{password}\n");
            if process.input.write(line.as_bytes()).await.is_err() {
                return Err(Trouble::Lost("the connection was lost".into()));
            }
        }
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

/// An unread channel would block the whole connection: read what still comes, and forget it.
fn drain(mut output: Box<dyn Output>, mut leave: Leave) {
    tokio::spawn(async move {
        let end = Instant::now() + Duration::from_secs(30);
        while let Ok(Some(chunk)) = timeout_at(end, output.next()).await {
            if matches!(chunk, Chunk::Exit(_)) {
                leave.now();
            }
        }
    });
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
