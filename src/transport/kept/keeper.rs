//! The process that keeps connections: what it holds, what it answers, and when it ends.

use super::wire::{Answer, Ask, Frame, Listed, Receiver, Sender, open};
use super::{Folder, Kept, Made, Socket, close_all};
use crate::transport::{Chunk, Connection, Process};
use bytes::Bytes;
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How long somebody who has connected may take to say what for.
const QUESTION: Duration = Duration::from_secs(5);

/// A server that was heard not longer ago than this is taken for alive.
const FRESH: Duration = Duration::from_secs(1);

/// A run that does not take its output for so long counts as stalled.
const STALLED: Duration = Duration::from_millis(250);

/// Output that nobody takes holds up the whole connection. After so long it is given up if others want to use it.
const UNREAD: Duration = Duration::from_secs(10);

/// How long to wait when a client can't be accepted, most likely for want of descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// Holds connections open for those who ask with the same rights.
pub struct Keeper {
    socket: Socket,
    entries: Arc<Entries>,
}

/// The connections by their key.
type Entries = Mutex<HashMap<String, Arc<Entry>>>;

fn locked(entries: &Entries) -> MutexGuard<'_, HashMap<String, Arc<Entry>>> {
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keeper {
    /// Takes over what a run has made. From here on others can ask for it.
    ///
    /// # Errors
    ///
    /// There is no place for its socket.
    pub fn new(folder: &Folder, made: &Made, persist: Duration) -> io::Result<Self> {
        let socket = folder.keeper()?;
        let entries = made.take().into_iter().map(|kept| {
            let key = kept.key.clone();
            (key, Arc::new(Entry::new(kept, persist)))
        });
        Ok(Self {
            socket,
            entries: Arc::new(Mutex::new(entries.collect())),
        })
    }

    /// Serves until no connection is left or `stop` is done.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let mut kept = JoinSet::new();
        for entry in locked(&self.entries).values() {
            entry.kept.connection.prepare();
            kept.spawn(keep(entry.clone(), self.entries.clone()));
        }
        let accept = async {
            loop {
                match self.socket.accept().await {
                    Ok(stream) => {
                        tokio::spawn(serve(stream, self.entries.clone()));
                    }
                    Err(_) => sleep(PAUSE).await,
                }
            }
        };
        tokio::select! {
            () = accept => {}
            () = async { while kept.join_next().await.is_some() {} } => {}
            () = stop => {}
        }
        drop(self.socket);
        kept.abort_all();
        let left: Vec<Kept> = (locked(&self.entries).drain())
            .map(|(_, entry)| entry.kept.clone())
            .collect();
        close_all(left).await;
    }
}

/// One connection.
struct Entry {
    kept: Kept,
    host_key: String,
    usage: watch::Sender<Usage>,
    /// When the server was last heard.
    heard: Mutex<Option<Instant>>,
    /// How many of its channels wait for somebody to take their output.
    stalled: AtomicUsize,
}

struct Usage {
    /// Runs that have it attached, and commands on it.
    users: usize,
    /// Only the runs.
    runs: usize,
    /// When the last one left.
    since: Instant,
    persist: Duration,
    /// No further run may use it.
    closing: bool,
}

impl Usage {
    fn end(&self) -> Instant {
        match self.closing {
            true => self.since,
            // A time beyond all clocks is for ever, as far as anybody will see.
            false => (self.since.checked_add(self.persist))
                .unwrap_or_else(|| self.since + Duration::from_secs(365 * 86400)),
        }
    }
}

/// Somebody uses a connection.
struct Lease {
    entry: Arc<Entry>,
    run: usize,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.entry.usage.send_modify(|usage| {
            usage.users -= 1;
            usage.runs -= self.run;
            usage.since = Instant::now();
        });
    }
}

impl Entry {
    fn new(kept: Kept, persist: Duration) -> Self {
        let host_key = kept.connection.host_key();
        Self {
            host_key: (host_key.and_then(|key| key.to_openssh().ok())).unwrap_or_default(),
            kept,
            usage: watch::Sender::new(Usage {
                users: 0,
                runs: 0,
                since: Instant::now(),
                persist,
                closing: false,
            }),
            heard: Mutex::default(),
            stalled: AtomicUsize::new(0),
        }
    }

    /// For a run, which says how long the connection is to be kept when it is through, or for a command.
    fn lease(self: &Arc<Self>, run: Option<Duration>) -> Option<Lease> {
        let runs = usize::from(run.is_some());
        let open = self.usage.send_if_modified(|usage| {
            // A run that has it already may go on with it.
            let open = !usage.closing || run.is_none() && usage.runs > 0;
            if open {
                usage.users += 1;
                usage.runs += runs;
                usage.persist = run.unwrap_or(usage.persist);
            }
            open
        });
        open.then(|| Lease {
            entry: self.clone(),
            run: runs,
        })
    }

    fn close(&self) {
        self.usage.send_modify(|usage| usage.closing = true);
    }

    fn heard(&self) -> MutexGuard<'_, Option<Instant>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_fresh(&self) -> bool {
        self.heard().is_some_and(|when| when.elapsed() <= FRESH)
    }

    fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::SeqCst) > 0
    }

    fn listed(&self) -> Listed {
        let usage = self.usage.borrow();
        let idle = match usage.users {
            0 => usage.since.elapsed(),
            _ => Duration::ZERO,
        };
        Listed {
            key: self.kept.key.clone(),
            host: self.kept.target.name.clone(),
            user: self.kept.target.user.clone(),
            address: self.kept.target.address.clone(),
            port: self.kept.target.port,
            host_key: self.host_key.clone(),
            heartbeat: self.kept.connection.heartbeat(),
            age: self.kept.since.elapsed(),
            runs: usage.runs,
            idle,
            left: match usage.closing {
                true => Duration::ZERO,
                false => usage.persist.saturating_sub(idle),
            },
            pid: std::process::id(),
        }
    }

    /// Waits until nobody has used it for its time. Nobody can use it from then on.
    async fn expired(&self) {
        let mut changes = self.usage.subscribe();
        loop {
            let (users, end) = {
                let usage = changes.borrow_and_update();
                (usage.users, usage.end())
            };
            tokio::select! {
                _ = changes.changed() => {}
                () = sleep_until(end), if users == 0 => {
                    let over = |usage: &mut Usage| {
                        let over = usage.users == 0 && usage.end() <= Instant::now();
                        usage.closing |= over;
                        over
                    };
                    if self.usage.send_if_modified(over) {
                        return;
                    }
                }
            }
        }
    }
}

/// Stays with a connection to its end.
async fn keep(entry: Arc<Entry>, entries: Arc<Entries>) {
    tokio::select! {
        () = entry.kept.connection.ended() => {}
        () = entry.expired() => {}
    }
    entry.close();
    locked(&entries).remove(&entry.kept.key);
    entry.kept.connection.close().await;
}

/// Answers one question.
async fn serve(stream: UnixStream, entries: Arc<Entries>) {
    let (mut receiver, mut sender) = open(stream);
    let Ok(Ok(Some(ask))) = timeout(QUESTION, receiver.words()).await else {
        return;
    };
    let find = |key: &str| locked(&entries).get(key).cloned();
    // Who has hung up meanwhile needs no answer.
    let _: io::Result<()> = match ask {
        Ask::List => list(&entries, &mut sender).await,
        Ask::Close { keys } => {
            for entry in keys.iter().filter_map(|key| find(key)) {
                entry.close();
            }
            Ok(())
        }
        Ask::Attach {
            key,
            persist,
            patience,
        } => attach(find(&key), persist, patience, &mut receiver, &mut sender).await,
        Ask::Start { key, command } => start(find(&key), &command, receiver, sender).await,
    };
}

async fn list(entries: &Entries, sender: &mut Sender) -> io::Result<()> {
    let all: Vec<Arc<Entry>> = locked(entries).values().cloned().collect();
    for entry in all {
        sender.say(&Answer::Listed(entry.listed())).await?;
    }
    // A stream with nothing on it but the greeting is an answer, too.
    sender.flush().await
}

async fn refuse(sender: &mut Sender, why: &str) -> io::Result<()> {
    sender.say(&Answer::Refused(why.to_string())).await
}

async fn attach(
    entry: Option<Arc<Entry>>,
    persist: Duration,
    patience: Duration,
    receiver: &mut Receiver,
    sender: &mut Sender,
) -> io::Result<()> {
    let lease = entry.and_then(|entry| entry.lease(Some(persist)));
    let Some(lease) = lease else {
        return refuse(sender, "it is no longer kept").await;
    };
    let entry = &lease.entry;
    // What holds it up is one of its users here, and says nothing about the server.
    if entry.is_stalled() {
        return refuse(sender, "it is held up by a run that stands still").await;
    }
    if !entry.is_fresh() {
        sender.say(&Answer::Asking).await?;
        if !entry.kept.connection.ping(patience).await {
            let alone = entry.usage.borrow().users == 1;
            if alone && !entry.is_stalled() {
                entry.close();
            }
            return refuse(sender, "the server gives no sign of life").await;
        }
        *entry.heard() = Some(Instant::now());
    }
    sender.say(&Answer::Attached).await?;
    tokio::select! {
        _ = receiver.next() => {}
        () = entry.kept.connection.ended() => {}
    }
    Ok(())
}

async fn start(
    entry: Option<Arc<Entry>>,
    command: &str,
    receiver: Receiver,
    mut sender: Sender,
) -> io::Result<()> {
    let Some(lease) = entry.and_then(|entry| entry.lease(None)) else {
        return refuse(&mut sender, "the connection is no longer kept").await;
    };
    // To be stopped halfway would leave it open whether the command has started, so whoever has hung up is
    // noticed after it.
    match lease.entry.kept.connection.start(command).await {
        Err(error) => refuse(&mut sender, &error.0).await,
        Ok(process) => {
            sender.say(&Answer::Started).await?;
            join(&lease.entry, process, receiver, sender).await;
            Ok(())
        }
    }
}

/// Joins a command's channel and a stream until either ends; the other ends with it.
async fn join(entry: &Arc<Entry>, process: Process, mut receiver: Receiver, mut sender: Sender) {
    let Process {
        mut input,
        mut output,
    } = process;
    let incoming = async {
        loop {
            let written = async {
                match receiver.next().await {
                    Ok(Some(Frame::Input(bytes))) => Some(bytes),
                    Ok(Some(Frame::InputEnd)) => Some(Bytes::new()),
                    _ => None,
                }
            };
            let Some(bytes) = written.await else { return };
            if bytes.is_empty() {
                let _ = input.end().await;
                continue;
            }
            tokio::select! {
                // A command that takes no more input has the rest thrown away; its output says how it ends.
                _ = input.send(bytes) => {}
                () = receiver.hung_up() => return,
            }
        }
    };
    let outgoing = async {
        while let Some(chunk) = output.next().await {
            *entry.heard() = Some(Instant::now());
            let frame = match chunk {
                Chunk::Stdout(bytes) => Frame::Stdout(bytes.into()),
                Chunk::Stderr(bytes) => Frame::Stderr(bytes.into()),
                Chunk::Exit(exit) => Frame::Exit(exit),
            };
            if !deliver(entry, &mut sender, &frame).await {
                return;
            }
        }
        let ending = Frame::Ending(output.ending());
        deliver(entry, &mut sender, &ending).await;
    };
    tokio::select! {
        () = incoming => {}
        () = outgoing => {}
    }
}

/// Counts a channel as stalled.
struct Stall<'a>(&'a AtomicUsize);

impl<'a> Stall<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Stall<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Hands a frame to a run. False: it is gone, or stands in the way of others for too long.
async fn deliver(entry: &Entry, sender: &mut Sender, frame: &Frame) -> bool {
    let sending = sender.send(frame);
    tokio::pin!(sending);
    if let Ok(sent) = timeout(STALLED, &mut sending).await {
        return sent.is_ok();
    }
    let _stall = Stall::new(&entry.stalled);
    loop {
        match timeout(UNREAD, &mut sending).await {
            Ok(sent) => return sent.is_ok(),
            Err(_) if entry.usage.borrow().runs > 1 => return false,
            Err(_) => {}
        }
    }
}
