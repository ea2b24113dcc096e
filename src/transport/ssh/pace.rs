//! Not too many logins at once to one address: servers throttle them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Logins at once to one address. OpenSSH begins to refuse at ten.
const AT_ONCE: usize = 8;

/// How often a login that the server cut off before it began is tried again.
const TRIES: u32 = 10;

/// Paces the logins of a run.
#[derive(Default)]
pub(super) struct Pace(Mutex<HashMap<String, Arc<Address>>>);

struct Address {
    permits: Arc<Semaphore>,
    limit: Mutex<usize>,
}

/// A login that may take place now.
pub(super) struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
    address: Arc<Address>,
}

impl Pace {
    /// Waits for a turn at an address.
    pub(super) async fn turn(&self, address: &str) -> Turn {
        let address = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(address.to_string())
                .or_insert_with(|| {
                    Arc::new(Address {
                        permits: Arc::new(Semaphore::new(AT_ONCE)),
                        limit: Mutex::new(AT_ONCE),
                    })
                })
                .clone()
        };
        Turn {
            _permit: address.permits.clone().acquire_owned().await.ok(),
            address,
        }
    }
}

impl Turn {
    /// The server has cut this login off: fewer at once from now on.
    pub(super) fn throttled(mut self) {
        let mut limit = self
            .address
            .limit
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if *limit > 1 {
            *limit -= 1;
            if let Some(permit) = self._permit.take() {
                permit.forget();
            }
        }
    }
}

/// How long to wait before the next try: longer each time, and not in step with others. `None` after the last one.
pub(super) fn pause_before(attempt: u32) -> Option<Duration> {
    if attempt >= TRIES {
        return None;
    }
    let most = 50_u64 << attempt.min(4);
    // The seed of a hash map is random; that is all the chance that is needed.
    let random =
        std::hash::BuildHasher::hash_one(&std::collections::hash_map::RandomState::new(), attempt);
    Some(Duration::from_millis(most / 2 + random % (most / 2 + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_throttled_login_lowers_the_limit_to_no_less_than_one() {
        let pace = Pace::default();
        for _ in 0..20 {
            pace.turn("a").await.throttled();
        }
        let turn = pace.turn("a").await;
        assert_eq!(turn.address.permits.available_permits(), 0);
        assert_eq!(*turn.address.limit.lock().unwrap(), 1);
        drop(turn);
        drop(pace.turn("a").await);
    }

    #[test]
    fn pauses_grow_and_end() {
        let first = pause_before(0).unwrap();
        assert!((25..=50).contains(&first.as_millis()), "{first:?}");
        let later = pause_before(9).unwrap();
        assert!((400..=800).contains(&later.as_millis()), "{later:?}");
        assert_eq!(pause_before(10), None);
    }
}
