//! Time that this machine has taken from the run, being too busy or stopped. It is not the hosts' fault, so no host's
//! deadline counts it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(50);

/// A look that is late by less is no lag: deadlines have to be kept on a machine that is merely busy.
pub(super) const MUCH: Duration = Duration::from_millis(500);

/// The time that was lost since a run has begun to connect.
#[derive(Default)]
pub(super) struct Lag {
    millis: Arc<AtomicU64>,
    ticking: OnceLock<JoinHandle<()>>,
}

impl Lag {
    /// Begins to look, unless that is done.
    pub(super) fn watch(&self) {
        self.ticking.get_or_init(|| {
            let millis = self.millis.clone();
            tokio::spawn(async move {
                loop {
                    let asleep = Instant::now();
                    tokio::time::sleep(TICK).await;
                    let late = asleep.elapsed().saturating_sub(TICK);
                    if late > MUCH {
                        tracing::debug!(?late, "this machine stood still");
                        let late = u64::try_from(late.as_millis()).unwrap_or(u64::MAX);
                        millis.fetch_add(late, Ordering::Relaxed);
                    }
                }
            })
        });
    }

    /// All that was lost.
    pub(super) fn lost(&self) -> Duration {
        Duration::from_millis(self.millis.load(Ordering::Relaxed))
    }
}

impl Drop for Lag {
    fn drop(&mut self) {
        if let Some(ticking) = self.ticking.get() {
            ticking.abort();
        }
    }
}
