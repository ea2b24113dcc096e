//! Ctrl-C and its kin: the first asks for an orderly end, the second ends at once.
//!
//! With a front there are two processes that can be sent a signal. The terminal sends it to both, and that is one
//! signal; `kill` sends it to one of them. So each process's are counted, and the larger count is the true one.
//!
//! A reader of the results that is gone, as `head` is, counts as a signal, too: `PIPE`.

use super::worker::Told;
use crate::event::Event;
use crate::exit;
use crate::ui::Events;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::getpgrp;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use std::io::IsTerminal;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// How often it is asked whether somebody reads the results.
const READ: Duration = Duration::from_millis(250);

/// The terminal's modes, such as the echo that a question for a passphrase switches off.
#[derive(Clone)]
pub(super) struct Modes(Option<Termios>);

impl Modes {
    /// Looks at the terminal behind standard input, if it is one.
    pub fn save() -> Self {
        Self(tcgetattr(std::io::stdin()).ok())
    }

    /// Sets the terminal as it was, unless it has gone over to another program: to touch it then would stop this one.
    pub fn restore(&self) {
        let ours = tcgetpgrp(std::io::stdin()).is_ok_and(|group| group == getpgrp());
        if let Some(modes) = self.0.as_ref().filter(|_| ours) {
            tcsetattr(std::io::stdin(), OptionalActions::Now, modes).ok();
        }
    }
}

/// A run takes the signals itself.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The modes of the terminal before the first question.
static BEFORE: OnceLock<Modes> = OnceLock::new();

/// For questions before a run: until it takes the signals, each ends this process, and leaves the terminal as it was.
pub(super) fn guard() {
    if BEFORE.set(Modes::save()).is_err() {
        return;
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return;
    };
    let (ready, armed) = std::sync::mpsc::channel();
    let waiting = move || {
        runtime.block_on(async {
            let Ok(mut signals) = Signals::new(None, Counts::default()) else {
                return;
            };
            signals.deaf = true;
            ready.send(()).ok();
            let name = signals.next().await;
            if !TAKEN.load(Ordering::SeqCst) {
                leave(exit::signal(name));
            }
        });
    };
    let spawned = std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(waiting);
    if spawned.is_ok() {
        armed.recv().ok();
    }
}

/// Waits for what a signal does that was raised already: to raise it again would be a second Ctrl-C. Whoever has asked gets no answer.
pub(super) fn interrupted() -> ! {
    loop {
        std::thread::park();
    }
}

/// Ends this process before its run has begun. The terminal may stand at a question.
pub(super) fn leave(code: u8) -> ! {
    if let Some(modes) = BEFORE.get() {
        modes.restore();
        rustix::io::write(rustix::stdio::stderr(), b"\n").ok();
    }
    std::process::exit(i32::from(code));
}

/// What the operator wants of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Wish {
    /// To go on.
    #[default]
    GoOn,
    /// To end at once.
    EndNow,
}

/// How many signals there were, for all that look for the next one in turn: the front may still tell of one that was seen before.
#[derive(Clone, Default)]
pub(super) struct Counts(Arc<Mutex<Sent>>);

#[derive(Clone, Copy, Default)]
struct Sent {
    own: Told,
    told: Told,
}

impl Counts {
    fn with<T>(&self, look: impl FnOnce(&mut Sent) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Sent {
    /// How many signals of each kind there were in truth.
    fn total(&self) -> [u32; 3] {
        [
            self.own.int.max(self.told.int),
            self.own.term.max(self.told.term),
            self.own.hup.max(self.told.hup),
        ]
    }
}

/// Turns the first signal into a stop of the run, and the second into its end. Never comes back from the third.
pub(super) async fn watch(
    stop: watch::Sender<bool>,
    wish: watch::Sender<Wish>,
    events: Events,
    modes: Modes,
    front: Option<watch::Receiver<Told>>,
    counts: Counts,
) {
    let Ok(mut signals) = Signals::new(front, counts) else {
        return;
    };
    TAKEN.store(true, Ordering::SeqCst);
    let name = signals.next().await;
    events
        .send(
            Event::Interrupted {
                signal: name.to_string(),
            }
            .into(),
        )
        .ok();
    stop.send(true).ok();
    drop(events);
    signals.next().await;
    wish.send(Wish::EndNow).ok();
    let name = signals.next().await;
    end(name, &modes)
}

/// Waits for a signal and ends at once. For when everything is done but a terminal that does not take the rest of it.
pub(super) async fn impatience(modes: Modes, front: Option<watch::Receiver<Told>>, counts: Counts) {
    if let Ok(mut signals) = Signals::new(front, counts) {
        // There is no more work that a missing reader could stop.
        signals.deaf = true;
        end(signals.next().await, &modes);
    }
}

pub(super) fn end(name: &str, modes: &Modes) -> ! {
    modes.restore();
    ended_at_once();
    std::process::exit(i32::from(exit::signal(name)));
}

/// Says that nothing was waited for, where that can be said.
pub(super) fn ended_at_once() {
    // The bars stay where they are, and the cursor, which is never hidden, is on the last of them.
    let last =
        b"\nended at once: commands on the hosts end by themselves when their connection is gone\n";
    // A terminal that takes nothing would hold up the end, and so would whoever waits for it with a lock on the stream.
    let err = rustix::stdio::stderr();
    if ready(&err, PollFlags::OUT).contains(PollFlags::OUT) {
        rustix::io::write(err, last).ok();
    }
}

/// What is true of a descriptor now.
fn ready(descriptor: &impl AsFd, wanted: PollFlags) -> PollFlags {
    let mut asked = [PollFd::new(descriptor, wanted)];
    match poll(&mut asked, Some(&Timespec::default())) {
        Ok(_) => asked[0].revents(),
        Err(_) => PollFlags::empty(),
    }
}

/// Waits until nobody reads standard output any more, if it is a pipe.
async fn unread() {
    if std::io::stdout().is_terminal() {
        // Its end is told by a signal.
        return std::future::pending().await;
    }
    let mut ticks = tokio::time::interval(READ);
    let gone = PollFlags::ERR | PollFlags::HUP;
    while !ready(&rustix::stdio::stdout(), PollFlags::empty()).intersects(gone) {
        ticks.tick().await;
    }
}

/// The signals of this process and of its front.
struct Signals {
    int: Signal,
    term: Signal,
    hup: Signal,
    front: Option<watch::Receiver<Told>>,
    counts: Counts,
    /// Nobody reading the results is known, or does not matter.
    deaf: bool,
}

impl Signals {
    fn new(front: Option<watch::Receiver<Told>>, counts: Counts) -> std::io::Result<Self> {
        Ok(Self {
            int: signal(SignalKind::interrupt())?,
            term: signal(SignalKind::terminate())?,
            hup: signal(SignalKind::hangup())?,
            front,
            counts,
            deaf: false,
        })
    }

    /// Waits for a signal that is not the other half of one that was there already.
    async fn next(&mut self) -> &'static str {
        loop {
            let before = self.counts.with(|sent| sent.total());
            let front = async {
                if let Some(front) = &mut self.front
                    && front.changed().await.is_ok()
                {
                    return *front.borrow_and_update();
                }
                std::future::pending().await
            };
            tokio::select! {
                _ = self.int.recv() => self.counts.with(|sent| sent.own.int += 1),
                _ = self.term.recv() => self.counts.with(|sent| sent.own.term += 1),
                _ = self.hup.recv() => self.counts.with(|sent| sent.own.hup += 1),
                told = front => self.counts.with(|sent| sent.told = told),
                () = unread(), if !self.deaf => {
                    self.deaf = true;
                    return "PIPE";
                }
            }
            let after = self.counts.with(|sent| sent.total());
            let name = ["INT", "TERM", "HUP"]
                .into_iter()
                .zip(after.into_iter().zip(before))
                .find(|(_, (after, before))| after > before);
            if let Some((name, _)) = name {
                return name;
            }
        }
    }
}
