//! One deadline for all that it takes to connect. It stands still while the operator is asked something, and while this
//! machine does: being stopped, suspended or swamped is not the host's fault.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How often the clock is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// A look that is late by more means that this machine stood still. Deadlines must be kept on one that is merely busy.
const STOOD_STILL: Duration = Duration::from_millis(500);

/// The moment at which an attempt to connect is given up.
pub(super) struct Deadline {
    /// `None` while it stands still.
    end: watch::Sender<Option<Instant>>,
    pauses: Mutex<Pauses>,
}

struct Pauses {
    count: usize,
    left: Duration,
}

/// The deadline stands still until this is dropped.
pub(super) struct Pause<'a>(&'a Deadline);

impl Deadline {
    pub(super) fn after(time: Duration) -> Self {
        Self {
            end: watch::Sender::new(Some(Instant::now() + time)),
            pauses: Mutex::new(Pauses {
                count: 0,
                left: time,
            }),
        }
    }

    /// Runs to the end of the future, or to the deadline: then `None`.
    pub(super) async fn run<F: Future>(&self, future: F) -> Option<F::Output> {
        tokio::pin!(future);
        let mut moved = self.end.subscribe();
        loop {
            let end = *moved.borrow_and_update();
            let look = end.map(|end| end.min(Instant::now() + LOOK));
            let looked = async {
                match look {
                    Some(look) => tokio::time::sleep_until(look).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                output = &mut future => return Some(output),
                _ = moved.changed() => {}
                () = looked => {
                    let late = look.map_or(Duration::ZERO, |look| look.elapsed());
                    if late > STOOD_STILL {
                        tracing::debug!(?late, "this machine stood still");
                        self.end.send_modify(|end| *end = end.map(|end| end + late));
                    } else if look == end {
                        return None;
                    }
                }
            }
        }
    }

    /// Makes the deadline stand still.
    pub(super) fn pause(&self) -> Pause<'_> {
        let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.count += 1;
        if let (1, Some(end)) = (pauses.count, *self.end.borrow()) {
            pauses.left = end.saturating_duration_since(Instant::now());
        }
        if pauses.count == 1 {
            self.end.send_replace(None);
        }
        Pause(self)
    }
}

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        let mut pauses = self.0.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.count -= 1;
        if pauses.count == 0 {
            self.0.end.send_replace(Some(Instant::now() + pauses.left));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[tokio::test(start_paused = true)]
    async fn it_ends_what_takes_too_long() {
        let deadline = Deadline::after(Duration::from_secs(10));
        let start = Instant::now();
        assert!(deadline.run(std::future::pending::<()>()).await.is_none());
        assert_eq!(start.elapsed(), Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn it_stands_still_while_the_operator_is_asked() {
        let deadline = Arc::new(Deadline::after(Duration::from_secs(10)));
        let start = Instant::now();
        let asking = deadline.clone();
        let asked = deadline
            .run(async move {
                tokio::time::sleep(Duration::from_secs(4)).await;
                let pause = asking.pause();
                tokio::time::sleep(Duration::from_secs(3600)).await;
                drop(pause);
                std::future::pending::<()>().await;
            })
            .await;
        assert!(asked.is_none());
        assert_eq!(start.elapsed(), Duration::from_secs(3610));
    }
}
