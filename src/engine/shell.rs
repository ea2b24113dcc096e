//! Shells on a host: how one is started with the right identity.
//!
//! A shell that waits spares the next message a channel, a login shell and two round trips. Each message still gets a
//! `sh` of its own in a session of its own, so that what belongs to it can be ended together and nothing else with it.

use super::exchange::{Identity, Next, Terms, Trouble, next};
use super::heartbeat;
use super::lock::{Gate, Verdict};
use super::message::{self, Step};
use super::password::{Password, Try};
use crate::shell::quote;
use crate::transport::{Chunk, Connection, Ending, Heartbeat, Process};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Starts one `sh` after the other, each of which reads one message. Without `setsid` there is only one: the next
/// message could end what the first has left running. Login shells of all kinds must take this as one quoted word. The last code
/// is in `c`.
///
/// The code that asks for the next one is [`message::AGAIN`].
const LOOP: &str =
    r#"export rn_s rn_t; while $rn_s /bin/sh; c=$?; [ $c = 77 ] && [ -n "$rn_s" ]; do :; done"#;

/// The loop, with a watchdog beside it that ends what runs there when no sign of life comes.
fn looping(heartbeat: Option<Heartbeat>) -> String {
    let find = "rn_t= rn_s=; command -v setsid >/dev/null && rn_s=setsid;";
    let Some(heartbeat) = heartbeat else {
        return format!("{find} {LOOP}");
    };
    // Only one that has something to end is waited for: then all of it is gone.
    let watchdog = heartbeat::of_loop(heartbeat);
    format!(
        "{find} {watchdog} {LOOP}; if [ -z \"$rn_m\" ]; then kill $rn_t 2>/dev/null; else wait $rn_t; c=$rn_m; fi"
    )
}

/// A message up to this size can travel in the request that starts its shell.
const IN_REQUEST: usize = 16 * 1024;

/// So much may be said before `sudo` lets a shell in.
const UNLOCK: usize = 1024 * 1024;

/// How long sudo may take to let a shell in.
const SUDO: Duration = Duration::from_secs(30);

/// How long a shell may take to say what became of its lock.
const ANSWERS: Duration = Duration::from_secs(30);

/// A shell that reads messages.
pub(super) struct Shell {
    pub(super) process: Process,
    /// The session of the message before, which must be empty by now: what still runs there could speak into the next one.
    pub(super) last: Option<i64>,
    /// What it says of its lock.
    pub(super) gate: Gate,
}

impl Shell {
    /// Starts a shell that reads messages from its input. Where the run has a lock the shell takes it first, and reads nothing if
    /// another run has it.
    pub(super) async fn open(
        connection: &dyn Connection,
        terms: &Terms,
        identity: &Identity,
    ) -> Result<Self, Trouble> {
        let heartbeat = connection.heartbeat();
        let looping = looping(heartbeat);
        let Some(key) = &terms.lock else {
            let script = format!("{looping}; exit $c");
            let process = start(connection, terms, identity, &script).await?;
            return Ok(Self::new(process, heartbeat));
        };
        let request = Request::new(terms, identity, &looping);
        // The lock belongs to the user who logs in, whoever the work is done by.
        let body = match &identity.user {
            None => looping.clone(),
            Some(_) => format!("{}; c=$?", request.command),
        };
        let nonce = message::nonce();
        let script = quote(&key.guard(&nonce, &body));
        let process = begin(connection, format!("exec /bin/sh -c {script}")).await?;
        let mut shell = Self {
            process,
            last: None,
            gate: key.gate(&nonce),
        };
        request.answer(&mut shell.process, &mut shell.gate).await?;
        // What comes before could be taken for an answer to what sudo asks.
        shell.process.input = heartbeat::beating(shell.process.input, heartbeat);
        Ok(shell)
    }

    fn new(mut process: Process, heartbeat: Option<Heartbeat>) -> Self {
        process.input = heartbeat::beating(process.input, heartbeat);
        Self {
            process,
            last: None,
            gate: Gate::open(),
        }
    }

    /// Waits until the shell has its lock.
    pub(super) async fn locked(&mut self, terms: &Terms) -> Result<(), Trouble> {
        let mut stop = terms.stop.clone();
        let limit = Some(Instant::now() + ANSWERS);
        loop {
            if let Some(verdict) = self.gate.verdict() {
                return allowed(verdict);
            }
            match next(&mut *self.process.output, limit, &mut stop, false).await {
                Next::Chunk(Some(Chunk::Stdout(bytes))) => drop(self.gate.pass(bytes)),
                Next::Chunk(Some(_)) => {}
                Next::Chunk(None) => return Err(lost(self.process.output.ending())),
                Next::Late => {
                    return Err(Trouble::NoShell("the login shell does not answer".into()));
                }
                Next::Stop => return Err(Trouble::Stopped { left: None }),
            }
        }
    }

    /// Starts a shell with a message in the request itself, which everyone on the host can read in the list of processes.
    pub(super) async fn with_message(
        connection: &dyn Connection,
        terms: &Terms,
        identity: &Identity,
        message: &InRequest,
    ) -> Result<Self, Trouble> {
        let process = match message {
            InRequest::Line(line) => start(connection, terms, identity, line).await?,
            InRequest::Escaped(text) => {
                let script = format!(r#"eval "$(printf %b "{}")""#, escape(text));
                start(connection, terms, identity, &script).await?
            }
        };
        Ok(Self::new(process, connection.heartbeat()))
    }
}

/// What follows from what a shell has said of its lock.
pub(super) fn allowed(verdict: &Verdict) -> Result<(), Trouble> {
    match verdict {
        Verdict::Held => Ok(()),
        Verdict::Taken(holder) => Err(Trouble::Locked(holder.clone())),
        Verdict::Failed(why) => Err(Trouble::NoLock(why.clone())),
    }
}

/// A message that travels in the request for its shell.
pub(super) enum InRequest {
    /// As it is.
    Line(String),
    /// In the escapes of `printf`, which costs a process on the host.
    Escaped(String),
}

/// The steps as a message that travels in the request for its shell, if it may.
pub(super) fn in_request(
    terms: &Terms,
    identity: &Identity,
    nonce: &str,
    steps: &[Step],
    heartbeat: Option<Heartbeat>,
) -> Option<InRequest> {
    if !terms.public || password(identity, terms).is_some() {
        return None;
    }
    let message = match message::line(nonce, steps, heartbeat) {
        Some(line) => InRequest::Line(line),
        None => InRequest::Escaped(message::single(nonce, steps, heartbeat)),
    };
    let (InRequest::Line(text) | InRequest::Escaped(text)) = &message;
    let may = text.len() <= IN_REQUEST && !terms.redactor.holds(text.as_bytes());
    may.then_some(message)
}

/// Starts `sh -c` with a short script, with its standard input open to the caller.
pub(super) async fn start(
    connection: &dyn Connection,
    terms: &Terms,
    identity: &Identity,
    script: &str,
) -> Result<Process, Trouble> {
    let request = Request::new(terms, identity, script);
    let mut process = begin(connection, format!("exec {}", request.command)).await?;
    request.answer(&mut process, &mut Gate::open()).await?;
    Ok(process)
}

async fn begin(connection: &dyn Connection, command: String) -> Result<Process, Trouble> {
    let started = connection.start(&command).await;
    started.map_err(|error| Trouble::NotStarted(error.0))
}

/// `sh -c` with a script and the rights for it.
struct Request<'t> {
    command: String,
    /// What sudo may ask for, and the word by which its question is known.
    password: Option<(&'t Password, String)>,
    stop: watch::Receiver<bool>,
}

impl<'t> Request<'t> {
    fn new(terms: &'t Terms, identity: &Identity, script: &str) -> Self {
        let stop = terms.stop.clone();
        let Some(user) = &identity.user else {
            let command = format!("/bin/sh -c {}", quote(script));
            return Self {
                command,
                password: None,
                stop,
            };
        };
        let user = quote(user);
        let Some(password) = password(identity, terms) else {
            let script = quote(script);
            let command = format!("sudo -n -H -u {user} -- /bin/sh -c {script}");
            return Self {
                command,
                password: None,
                stop,
            };
        };
        // Whether sudo asks is only seen by waiting: it says one of two things first.
        let nonce = message::nonce();
        let script = quote(&format!("echo {nonce}-ready; {script}"));
        let command = format!("sudo -S -H -p {nonce}-password -u {user} -- /bin/sh -c {script}");
        Self {
            command,
            password: Some((password, nonce)),
            stop,
        }
    }

    /// Answers what sudo asks, if anything.
    async fn answer(&self, process: &mut Process, gate: &mut Gate) -> Result<(), Trouble> {
        match &self.password {
            Some((password, nonce)) => {
                let stop = self.stop.clone();
                unlock(process, gate, password, nonce, stop).await
            }
            None => Ok(()),
        }
    }
}

fn password<'t>(identity: &Identity, terms: &'t Terms) -> Option<&'t Password> {
    identity.user.as_ref()?;
    terms.become_password.as_deref()
}

/// Octal escapes for `printf %b` in double quotes, for all that any login shell could take for something else.
fn escape(message: &str) -> String {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || b" _-./:,+@%=;()[]{}<>&|*?#~^".contains(&byte);
    let mut escaped = String::with_capacity(message.len() * 2);
    for byte in message.bytes() {
        if plain(byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("\\0{byte:03o}"));
        }
    }
    escaped
}

/// Why an output ended without an exit code.
pub(super) fn lost(ending: Ending) -> Trouble {
    match ending {
        Ending::NotStarted(why) => Trouble::NotStarted(why),
        Ending::Lost(why) => Trouble::Lost(why),
        Ending::Exited => Trouble::Lost("the connection was lost".to_string()),
    }
}

/// Waits for sudo's question, answers it once, and waits until the shell is there.
async fn unlock(
    process: &mut Process,
    gate: &mut Gate,
    password: &Password,
    nonce: &str,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Trouble> {
    let prompt = format!("{nonce}-password");
    let ready = format!("{nonce}-ready\n");
    let mut turn: Option<Try> = None;
    let mut asked = 0;
    let mut end = Instant::now() + SUDO;
    let mut heard = Vec::new();
    let mut complaints = Vec::new();
    loop {
        match timeout_at(end, process.output.next()).await {
            Err(_) => return Err(Trouble::NoShell("sudo did not answer within 30 s".into())),
            Ok(Some(Chunk::Stdout(bytes))) => heard.extend(gate.pass(bytes)),
            Ok(Some(Chunk::Stderr(bytes))) => complaints.extend(bytes),
            Ok(Some(Chunk::Exit(_))) | Ok(None) => {
                let said = String::from_utf8_lossy(&complaints).replace(&prompt, "");
                let said = said.trim().lines().last().unwrap_or("").trim().to_string();
                if let Some(turn) = turn.filter(|_| said.contains("incorrect password")) {
                    turn.refused();
                }
                return Err(Trouble::NoShell(match said.is_empty() {
                    true => "sudo ended without a word".into(),
                    false => said,
                }));
            }
        }
        if heard.len() + complaints.len() > UNLOCK {
            return Err(Trouble::NoShell("sudo says more than it should".into()));
        }
        if let Some(verdict) = gate.verdict() {
            allowed(verdict)?;
        }
        if memchr::memmem::find(&heard, ready.as_bytes()).is_some() {
            if let Some(turn) = turn {
                turn.taken();
            }
            return Ok(());
        }
        let questions = memchr::memmem::find_iter(&complaints, prompt.as_bytes()).count();
        if questions > asked {
            if asked == 1 {
                // A second try would only bring the account closer to being locked.
                process.input.end().await.ok();
                if let Some(turn) = turn {
                    turn.refused();
                }
                return Err(Trouble::NoShell("sudo: the password is wrong".into()));
            }
            asked = questions;
            turn = tokio::select! {
                turn = password.turn() => turn,
                _ = stop.wait_for(|stop| *stop) => return Err(Trouble::Stopped { left: None }),
            };
            if turn.is_none() {
                process.input.end().await.ok();
                let why = "sudo: the password was not tried: a host has refused it";
                return Err(Trouble::NoShell(why.into()));
            }
            end = Instant::now() + SUDO;
            let line = format!("{}\n", password.text());
            if process.input.write(line.as_bytes()).await.is_err() {
                return Err(Trouble::Lost("the connection was lost".into()));
            }
        }
    }
}
