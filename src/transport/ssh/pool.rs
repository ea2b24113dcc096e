//! Session channels of one connection. The first is opened ahead of time; one that has needed a second gets a spare one
//! from then on, so that opening costs no more round trips.

use super::client::{Client, Shared};
use russh::Channel;
use russh::client::{Handle, Msg};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// How often a refusal is met with another try where no channel of ours is open that could be in the way.
const TRIES: u32 = 6;

/// Opens session channels, keeps a spare one, and queues where the server allows no more of them.
pub(super) struct Pool {
    handle: Arc<Handle<Client>>,
    shared: Arc<Shared>,
    /// How long the server may take to open a channel.
    patience: Duration,
    state: Mutex<State>,
    /// A channel is there, or there will be none.
    ready: Notify,
    /// A channel was closed.
    released: Notify,
}

#[derive(Default)]
struct State {
    spare: Option<Channel<Msg>>,
    opening: bool,
    /// The server has refused a channel, so none is kept ahead of time any more.
    limited: bool,
    /// Commands that wait for a channel.
    waiting: usize,
    /// Channels that were taken so far.
    taken: usize,
    /// Channels that commands use.
    open: usize,
    /// Why no channel can be opened.
    failed: Option<String>,
}

/// Counts a channel as used until it is dropped.
pub(super) struct Slot(Arc<Pool>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.state().open -= 1;
        self.0.released.notify_one();
    }
}

struct Waiting<'a>(&'a Pool);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

impl Pool {
    pub(super) fn new(
        handle: Arc<Handle<Client>>,
        shared: Arc<Shared>,
        patience: Duration,
    ) -> Arc<Self> {
        let pool = Arc::new(Self {
            handle,
            shared,
            patience,
            state: Mutex::default(),
            ready: Notify::new(),
            released: Notify::new(),
        });
        pool.fill();
        pool
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an open session channel.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(super) async fn take(self: &Arc<Self>) -> Result<(Channel<Msg>, Slot), String> {
        self.state().waiting += 1;
        let waiting = Waiting(self);
        loop {
            let ready = self.ready.notified();
            tokio::pin!(ready);
            ready.as_mut().enable();
            if let Some(why) = self.shared.why() {
                return Err(why);
            }
            {
                let mut state = self.state();
                if let Some(channel) = state.spare.take() {
                    state.open += 1;
                    state.taken += 1;
                    drop(state);
                    drop(waiting);
                    self.fill();
                    return Ok((channel, Slot(self.clone())));
                }
                if let (false, Some(why)) = (state.opening, state.failed.take()) {
                    return Err(why);
                }
            }
            self.fill();
            tokio::select! {
                () = ready => {}
                why = self.shared.ended() => return Err(why),
            }
        }
    }

    /// Has a spare channel from now on, however few were needed so far.
    pub(super) fn prepare(self: &Arc<Self>) {
        {
            let mut state = self.state();
            state.taken = state.taken.max(2);
        }
        self.fill();
    }

    /// Opens a channel in the background, if one is missing.
    fn fill(self: &Arc<Self>) {
        {
            let mut state = self.state();
            // Most connections only ever use one channel.
            let ahead = state.taken != 1 && !state.limited;
            let wanted = state.waiting > 0 || ahead;
            if state.opening || state.spare.is_some() || !wanted {
                return;
            }
            state.opening = true;
        }
        let pool = self.clone();
        tokio::spawn(async move {
            let opened = tokio::select! {
                opened = pool.open() => opened,
                why = pool.shared.ended() => Err(Some(why)),
            };
            {
                let mut state = pool.state();
                state.opening = false;
                match opened {
                    Ok(channel) => state.spare = Some(channel),
                    Err(why) => state.failed = why,
                }
            }
            pool.ready.notify_waiters();
        });
    }

    /// Opens a channel, waiting for others to be closed if the server wants that. An error without words means
    /// that nobody waits for the channel.
    async fn open(&self) -> Result<Channel<Msg>, Option<String>> {
        let mut tries = 0;
        loop {
            let opened =
                tokio::time::timeout(self.patience, self.handle.channel_open_session()).await;
            let refusal = match opened {
                Ok(Ok(channel)) => return Ok(channel),
                Ok(Err(russh::Error::ChannelOpenFailure(refusal))) => refusal,
                Ok(Err(_)) => {
                    let why = self.shared.why();
                    return Err(Some(why.unwrap_or_else(|| "the connection is gone".into())));
                }
                Err(_) => {
                    return Err(Some(format!(
                        "the server did not open a session within {} s",
                        self.patience.as_secs()
                    )));
                }
            };
            let (waiting, open) = {
                let mut state = self.state();
                state.limited = true;
                (state.waiting, state.open)
            };
            if waiting == 0 {
                return Err(None);
            }
            if open > 0 {
                self.released.notified().await;
                continue;
            }
            tries += 1;
            if tries == TRIES {
                return Err(Some(format!(
                    "the server refuses to open a session: {refusal:?}"
                )));
            }
            // The server may still be busy with the end of the one before.
            tokio::time::sleep(Duration::from_millis(10 << tries)).await;
        }
    }
}
