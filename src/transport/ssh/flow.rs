//! How much of what was given to a connection is still waiting to be written.
//!
//! russh takes as much as the server's window allows, 2 MiB for OpenSSH, and holds it encrypted until the socket takes it.
//! Times the hosts of a run that is far too much memory, and larger than what fits a processor's cache. So a sender
//! waits here, until what it has given before is written.

use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

/// So many bytes may wait to be written.
const WAITING: u64 = 256 * 1024;

/// The bytes on their way through a connection.
#[derive(Default)]
pub(super) struct Flow {
    given: AtomicU64,
    /// Encrypted: they are about to be written.
    taken: AtomicU64,
    written: AtomicU64,
    progress: Notify,
}

/// Bytes that tell when they have been encrypted, which is when they are dropped.
struct Parcel {
    bytes: Bytes,
    flow: Arc<Flow>,
}

impl AsRef<[u8]> for Parcel {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        let count = self.bytes.len() as u64;
        self.flow.taken.fetch_add(count, Ordering::AcqRel);
    }
}

impl Flow {
    /// Counts bytes as given. What comes back stands for them.
    pub(super) fn give(self: &Arc<Self>, bytes: Bytes) -> Bytes {
        self.given.fetch_add(bytes.len() as u64, Ordering::AcqRel);
        Bytes::from_owner(Parcel {
            bytes,
            flow: self.clone(),
        })
    }

    /// Everything that was encrypted has been written.
    pub(super) fn written(&self) {
        let taken = self.taken.load(Ordering::Acquire);
        if self.written.swap(taken, Ordering::AcqRel) != taken {
            self.progress.notify_waiters();
        }
    }

    /// Whether something that was given is not written yet.
    pub(super) fn is_busy(&self) -> bool {
        self.given.load(Ordering::Acquire) != self.written.load(Ordering::Acquire)
    }

    /// Waits until there is room for more.
    pub(super) async fn room(&self) {
        loop {
            let progress = self.progress.notified();
            tokio::pin!(progress);
            progress.as_mut().enable();
            let given = self.given.load(Ordering::Acquire);
            if given.saturating_sub(self.written.load(Ordering::Acquire)) < WAITING {
                return;
            }
            progress.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether there is room right now.
    async fn has_room(flow: &Flow) -> bool {
        tokio::select! {
            biased;
            () = flow.room() => true,
            () = std::future::ready(()) => false,
        }
    }

    #[tokio::test]
    async fn a_sender_waits_until_what_was_given_is_encrypted_and_written() {
        let flow = Arc::new(Flow::default());
        let half = Bytes::from(vec![0; WAITING as usize / 2]);
        let first = flow.give(half.clone());
        assert!(has_room(&flow).await);
        let second = flow.give(half);
        assert!(!has_room(&flow).await);
        flow.written();
        assert!(!has_room(&flow).await, "nothing was encrypted yet");
        drop(first.slice(1..));
        drop(first);
        assert!(!has_room(&flow).await, "it is not written yet");
        flow.written();
        assert!(has_room(&flow).await);
        assert!(flow.is_busy());
        drop(second);
        flow.written();
        assert!(!flow.is_busy());
    }

    #[tokio::test]
    async fn a_waiting_sender_is_woken() {
        let flow = Arc::new(Flow::default());
        let all = flow.give(Bytes::from(vec![0; WAITING as usize]));
        let waiting = tokio::spawn({
            let flow = flow.clone();
            async move { flow.room().await }
        });
        tokio::task::yield_now().await;
        drop(all);
        flow.written();
        waiting.await.unwrap();
    }
}
