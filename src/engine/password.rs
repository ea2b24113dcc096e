//! The password for `sudo`. One that is wrong must not lock an account that many hosts share, so until a host has taken it
//! it is tried at one host at a time, and once a host has refused it, nowhere again.

use std::sync::Arc;
use tokio::sync::{Mutex, OwnedMutexGuard};

/// The password, and what became of it.
pub struct Password {
    text: String,
    verdict: Arc<Mutex<Verdict>>,
}

enum Verdict {
    Untried,
    Taken,
    Refused,
}

/// The right to try the password; nobody else does while it is not known whether it is right.
pub(super) struct Try(Option<OwnedMutexGuard<Verdict>>);

impl Password {
    pub(super) fn new(text: String) -> Self {
        Self {
            text,
            verdict: Arc::new(Mutex::new(Verdict::Untried)),
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Waits until it is known whether the password may be tried. `None`: a host has refused it.
    pub(super) async fn turn(&self) -> Option<Try> {
        let verdict = self.verdict.clone().lock_owned().await;
        match *verdict {
            Verdict::Untried => Some(Try(Some(verdict))),
            Verdict::Taken => Some(Try(None)),
            Verdict::Refused => None,
        }
    }
}

impl Try {
    /// The host has taken the password.
    pub(super) fn taken(self) {
        if let Some(mut verdict) = self.0 {
            *verdict = Verdict::Taken;
        }
    }

    /// The host has refused it. Where another has taken it before, that says nothing of the others.
    pub(super) fn refused(self) {
        if let Some(mut verdict) = self.0 {
            *verdict = Verdict::Refused;
        }
    }
}
