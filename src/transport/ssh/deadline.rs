//! One deadline for all that it takes to connect. It stands still while the operator is asked something, and does not count
//! what this machine was too busy for.

use super::lag::{Lag, MUCH};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// The moment at which an attempt to connect is given up.
pub(super) struct Deadline {
    /// `None` while it stands still.
    end: watch::Sender<Option<Instant>>,
    pauses: Mutex<Pauses>,
    lag: Arc<Lag>,
    /// The lag that the end has been moved for.
    credited: Mutex<Duration>,
}

struct Pauses {
    count: usize,
    left: Duration,
}

/// The deadline stands still until this is dropped.
pub(super) struct Pause<'a>(&'a Deadline);

impl Deadline {
    pub(super) fn after(time: Duration, lag: Arc<Lag>) -> Self {
        Self {
            credited: Mutex::new(lag.lost()),
            lag,
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
            let over = async {
                match end {
                    Some(end) => tokio::time::sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                output = &mut future => return Some(output),
                _ = moved.changed() => {}
                () = over => if !self.credit() {
                    return None;
                },
            }
        }
    }

    /// Moves the end by the lag that there was since; whether there was any.
    fn credit(&self) -> bool {
        let mut credited = self.credited.lock().unwrap_or_else(PoisonError::into_inner);
        let mut more = self.lag.lost().saturating_sub(*credited);
        if let Some(end) = *self.end.borrow() {
            let late = end.elapsed();
            if late > MUCH {
                // Who looks for lag may not have had a turn yet, and gets one.
                more = more.max(late + MUCH);
            }
        }
        *credited += more;
        self.end.send_modify(|end| *end = end.map(|end| end + more));
        !more.is_zero()
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

    #[tokio::test(start_paused = true)]
    async fn it_ends_what_takes_too_long() {
        let deadline = Deadline::after(Duration::from_secs(10), Arc::default());
        let start = Instant::now();
        assert!(deadline.run(std::future::pending::<()>()).await.is_none());
        assert_eq!(start.elapsed(), Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn it_stands_still_while_the_operator_is_asked() {
        let deadline = Arc::new(Deadline::after(Duration::from_secs(10), Arc::default()));
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
