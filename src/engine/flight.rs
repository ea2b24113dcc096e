//! A message on its way: sent once, its answers heard one after the other, as they are needed.

use super::cutter::{Cutter, Said};
use super::exchange::{GONE_WITHIN, Identity, Leave, Next, Terms, Trouble, drain, next, over};
use super::heartbeat;
use super::lock::Gate;
use super::message::{self, Step};
use super::shell::{self, Shell};
use super::spill::Spill;
use super::waiting::{Gone, LOCK_ENDED, Shells, make_room};
use crate::modules::Done;
use crate::redact::Redactor;
use crate::spool::Rests;
use crate::transport::{Chunk, Connection, Exit, Process};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Called with the last whole line of what is waited for, some times a second.
pub(super) type Line<'a> = dyn FnMut(&[u8]) + Send + 'a;

/// A message on its way. Dropped before its end it runs on, unless the connection is closed; its answers are lost.
pub(super) struct Flight {
    process: Process,
    streams: Streams,
    plan: Vec<Planned>,
    /// The output of its only step comes whole.
    spills: bool,
    /// Answers that were taken.
    taken: usize,
    /// The code of the last of them.
    last: Option<i64>,
    /// Why it is no longer waited for.
    why: Option<Trouble>,
    /// Until when the end of what was ended is waited for.
    grace: Option<Instant>,
    /// The whole message has left.
    sent: bool,
    /// Nothing more will be heard.
    over: bool,
    /// Where the process's number goes.
    told: Option<Arc<AtomicI64>>,
}

/// What there is to know of a step that was sent.
struct Planned {
    /// Its lines are shown while it runs.
    live: bool,
    /// The steps behind it need it.
    needed: bool,
}

impl Flight {
    /// Sends steps to a host.
    ///
    /// # Errors
    ///
    /// Why there is no shell for them: none of them has run.
    pub(super) async fn start(
        connection: &dyn Connection,
        shells: &mut Shells,
        terms: &Terms,
        identity: &Identity,
        steps: &[Step],
        end: Option<Instant>,
    ) -> Result<Self, Trouble> {
        let nonce = message::nonce();
        let mut gone = false;
        match shells.take(identity).await {
            Ok(Some(shell)) => {
                let text = message::script(&nonce, steps, shell.last);
                let mut flight = Self::new(shell, &nonce, steps);
                flight.write(&text, terms, end).await;
                flight.listen(terms, end, &mut |_| {}, Flight::begun).await;
                gone = flight.gone();
                if !gone && !flight.streams.out.refused {
                    return Ok(flight);
                }
                flight.leave(terms);
            }
            Ok(None) => {}
            Err(Gone) => gone = true,
        }
        if gone && terms.lock.is_some() && !shells.holds() {
            return Err(Trouble::NotStarted(LOCK_ENDED.into()));
        }
        if let Some(message) =
            shell::in_request(terms, identity, &nonce, steps, connection.heartbeat())
        {
            let starting = Shell::with_message(connection, terms, identity, &message);
            let shell = make_room(starting, shells.make_room()).await?;
            return Ok(Self::new(shell, &nonce, steps));
        }
        let starting = Shell::open(connection, terms, identity);
        let shell = make_room(starting, shells.make_room()).await?;
        let text = message::script(&nonce, steps, None);
        let mut flight = Self::new(shell, &nonce, steps);
        flight.write(&text, terms, end).await;
        Ok(flight)
    }

    fn new(shell: Shell, nonce: &str, steps: &[Step]) -> Self {
        Self {
            process: shell.process,
            streams: Streams::new(nonce, shell.gate),
            spills: matches!(steps, [step] if step.spills),
            plan: steps
                .iter()
                .map(|step| Planned {
                    live: step.live,
                    needed: step.needed,
                })
                .collect(),
            taken: 0,
            last: None,
            why: None,
            grace: None,
            sent: true,
            over: false,
            told: None,
        }
    }

    async fn write(&mut self, text: &str, terms: &Terms, end: Option<Instant>) {
        let mut stop = terms.stop.clone();
        tokio::select! {
            biased;
            trouble = over(end, &mut stop) => self.end(trouble).await,
            // An input that is gone shows in the output as well, with the better message.
            written = self.process.input.write(text.as_bytes()) => self.sent = written.is_ok(),
        }
    }

    /// Waits for the answers of so many steps, or until nothing more will be heard.
    pub(super) async fn hear(
        &mut self,
        steps: usize,
        terms: &Terms,
        end: Option<Instant>,
        line: &mut Line<'_>,
    ) {
        self.listen(terms, end, line, |flight| flight.heard() >= steps)
            .await;
    }

    async fn listen(
        &mut self,
        terms: &Terms,
        end: Option<Instant>,
        line: &mut Line<'_>,
        enough: impl Fn(&Flight) -> bool,
    ) {
        let mut stop = terms.stop.clone();
        while !self.over {
            if self.complete() {
                self.over = true;
                break;
            }
            if enough(self) {
                break;
            }
            if self.streams.code.is_some() {
                // The shell is gone: what it said is on its way, or held open by somebody else.
                let soon = Instant::now() + Duration::from_secs(2);
                self.grace = Some(self.grace.map_or(soon, |grace| grace.min(soon)));
            }
            let limit = self.grace.or(end);
            let ending = self.why.is_some();
            match next(&mut *self.process.output, limit, &mut stop, ending).await {
                Next::Chunk(Some(chunk)) => {
                    let live = |step: usize| self.plan.get(step).is_some_and(|plan| plan.live);
                    self.streams.take(chunk, self.taken, live, line);
                    self.tell();
                    // A server that answers what nobody has asked is not listened to.
                    let most = self.plan.len() - self.taken;
                    self.streams.out.done.truncate(most);
                    self.streams.err.done.truncate(most);
                    if self.spills {
                        self.streams.spill(&terms.redactor).await;
                    }
                }
                Next::Chunk(None) => self.over = true,
                Next::Late if self.grace.is_some() => self.over = true,
                Next::Late => {
                    let left = self.streams.out.pid;
                    self.end(Trouble::TimedOut { left }).await;
                }
                Next::Stop => {
                    let left = self.streams.out.pid;
                    self.end(Trouble::Stopped { left }).await;
                }
            }
        }
    }

    /// Has the process's number written down once it is known.
    pub(super) fn tells(&mut self, told: Arc<AtomicI64>) {
        self.told = Some(told);
        self.tell();
    }

    fn tell(&mut self) {
        if let Some(pid) = self.streams.out.pid
            && let Some(told) = self.told.take()
        {
            told.store(pid, Ordering::Relaxed);
        }
    }

    /// Ends what runs on the host, and gives it a while to be gone.
    async fn end(&mut self, why: Trouble) {
        self.why = Some(why);
        self.grace = Some(Instant::now() + GONE_WITHIN);
        self.sent &= self.process.input.end().await.is_ok();
    }

    /// How many steps have ended, on both streams.
    fn heard(&self) -> usize {
        self.taken + self.streams.out.done.len().min(self.streams.err.done.len())
    }

    /// Whether the host's shell has read the message. Then it has the lock, too.
    pub(super) fn begun(&self) -> bool {
        self.streams.out.pid.is_some()
    }

    /// Whether every step that will run has ended.
    fn complete(&self) -> bool {
        if self.streams.out.refused && self.streams.err.refused || self.streams.locked().is_err() {
            return true;
        }
        let (out, err) = (&self.streams.out.done, &self.streams.err.done);
        let code = out.last().map_or(self.last, |said| Some(said.code));
        out.len() == err.len() && self.ends_with(self.taken + out.len(), code)
    }

    /// Nothing follows so many steps, the last of which ended with this code.
    fn ends_with(&self, count: usize, code: Option<i64>) -> bool {
        let failed = |step: usize| self.plan[step].needed && code != Some(0);
        count == self.plan.len() || count.checked_sub(1).is_some_and(failed)
    }

    /// The answers that have come since the last call, in the order of the steps, but no more than `most`.
    pub(super) fn take(&mut self, most: usize) -> Vec<Done> {
        let (out, err) = (&mut self.streams.out.done, &mut self.streams.err.done);
        // Where nothing more comes, one stream has to do.
        let count = match self.over {
            true => out.len(),
            false => out.len().min(err.len()),
        };
        let count = count.min(most);
        self.taken += count;
        if let Some(said) = count.checked_sub(1).and_then(|last| out.get(last)) {
            self.last = Some(said.code);
        }
        let mut complaints = err.drain(..count.min(err.len())).collect::<Vec<_>>();
        complaints.resize_with(count, Said::default);
        out.drain(..count)
            .zip(complaints)
            .map(|(out, err)| answer(out, err))
            .collect()
    }

    /// How many answers were taken.
    pub(super) fn taken(&self) -> usize {
        self.taken
    }

    /// Whether nothing more will be heard, and everything is taken.
    pub(super) fn is_exhausted(&self) -> bool {
        self.over && self.streams.out.done.is_empty()
    }

    /// Why there are no more answers although there should be; asked when it is over and all are taken.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        if self.ends_with(self.taken, self.last) {
            return None;
        }
        if let Err(trouble) = self.streams.locked() {
            return Some(trouble);
        }
        let ended = self.streams.code.is_some();
        Some(match (&self.why, &self.streams.code) {
            // Its end was confirmed: nothing is left of it.
            (Some(Trouble::TimedOut { .. }), _) if ended => Trouble::TimedOut { left: None },
            (Some(Trouble::Stopped { .. }), _) if ended => Trouble::Stopped { left: None },
            (Some(why), _) => why.clone(),
            (None, Some(Exit::Code(heartbeat::MISSED))) => Trouble::Unheard,
            (None, None) => shell::lost(self.process.output.ending()),
            (None, Some(_)) if !self.begun() => {
                let (out, err) = (&self.streams.out, &self.streams.err);
                Trouble::NoShell(no_shell([
                    &err.noise,
                    &out.noise,
                    self.streams.gate.noise(),
                ]))
            }
            (None, Some(exit)) => Trouble::ShellEnded(exit.clone()),
        })
    }

    /// A waiting shell was gone before it could read the message. One in which something of the last message still runs says so itself.
    fn gone(&self) -> bool {
        let silent = !self.begun() && self.streams.err.pid.is_none();
        silent && self.why.is_none() && self.streams.code.is_some() && !self.streams.out.refused
    }

    /// Keeps the shell for the next message, if it takes another.
    pub(super) fn land(self, terms: &Terms, shells: &mut Shells, identity: &Identity) {
        let whole = self.sent && self.why.is_none() && self.complete();
        let again = self
            .streams
            .out
            .pid
            .filter(|_| whole && self.streams.out.again && self.streams.code.is_none());
        match again {
            Some(pid) => shells.keep(identity, self.process, Some(pid)),
            None => {
                if self.streams.code == Some(Exit::Code(heartbeat::MISSED)) {
                    shells.lose();
                }
                self.leave(terms);
            }
        }
    }

    /// Lets the shell go.
    fn leave(self, terms: &Terms) {
        let mut leave = Leave::new(&terms.leaving);
        if self.streams.code.is_some() {
            leave.now();
        }
        let whole = self.sent && self.why.is_none() && self.complete();
        let Process { mut input, output } = self.process;
        tokio::spawn(async move {
            // A shell that takes no other message is about to end by itself; this spares the server an open input.
            if whole {
                input.end().await.ok();
            }
            drain(output, leave).await;
        });
    }
}

fn no_shell(said: [&[u8]; 3]) -> String {
    let text = said
        .iter()
        .map(|bytes| String::from_utf8_lossy(bytes).trim().to_string())
        .find(|text| !text.is_empty())
        .unwrap_or_else(|| "the login shell ended at once".to_string());
    text.lines().last().unwrap_or("").trim().to_string()
}

fn answer(out: Said, err: Said) -> Done {
    Done {
        code: i32::try_from(out.code).unwrap_or(-1),
        stdout: out.bytes,
        stderr: err.bytes,
        rest: Rests {
            stdout: out.rest,
            stderr: err.rest,
        },
        dropped: out.dropped + err.dropped,
    }
}

/// Both streams of an exchange.
struct Streams {
    gate: Gate,
    out: Cutter,
    err: Cutter,
    spilled: [Option<Spill>; 2],
    code: Option<Exit>,
    shown: Instant,
}

impl Streams {
    fn new(nonce: &str, gate: Gate) -> Self {
        Self {
            gate,
            out: Cutter::new(nonce),
            err: Cutter::new(nonce),
            spilled: [None, None],
            code: None,
            shown: Instant::now(),
        }
    }

    /// Why the shell does not read messages, if it has said so.
    fn locked(&self) -> Result<(), Trouble> {
        self.gate.verdict().map_or(Ok(()), shell::allowed)
    }

    /// Takes a piece. `taken`: so many steps before those that are kept here.
    fn take(
        &mut self,
        chunk: Chunk,
        taken: usize,
        live: impl Fn(usize) -> bool,
        line: &mut Line<'_>,
    ) {
        match chunk {
            Chunk::Stdout(bytes) => {
                let bytes = self.gate.pass(bytes);
                self.out.feed(&bytes);
                self.show(false, taken, live, line);
            }
            Chunk::Stderr(bytes) => {
                self.err.feed(&bytes);
                self.show(true, taken, live, line);
            }
            Chunk::Exit(exit) => self.code = Some(exit),
        }
    }

    /// Holds no more than a part of a large output.
    async fn spill(&mut self, redactor: &Redactor) {
        let [out, err] = &mut self.spilled;
        Spill::follow(out, &mut self.out, redactor).await;
        Spill::follow(err, &mut self.err, redactor).await;
    }

    /// Shows the last whole line, some times a second.
    fn show(
        &mut self,
        complaint: bool,
        taken: usize,
        live: impl Fn(usize) -> bool,
        line: &mut Line<'_>,
    ) {
        if self.shown.elapsed() < Duration::from_millis(100) {
            return;
        }
        let stream = match complaint {
            true => &mut self.err,
            false => &mut self.out,
        };
        if !live(taken + stream.done.len()) {
            return;
        }
        let Some(last) = stream.line() else {
            return;
        };
        self.shown = Instant::now();
        line(&last);
    }
}
