//! The password of a run. One that is wrong must not lock an account on every host, so until a host has taken it for a
//! user it is tried at one host at a time, and once a host has refused it then, at no other.

use super::deadline::Deadline;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OwnedMutexGuard;

/// The password, and what became of it for each user.
pub(super) struct Password {
    text: String,
    users: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Verdict>>>>,
}

#[derive(Default)]
enum Verdict {
    #[default]
    Untried,
    Taken,
    /// By this host.
    Refused(String),
}

/// The right to try the password; nobody else does while it is not known whether it is right.
pub(super) struct Try(Option<OwnedMutexGuard<Verdict>>);

impl Password {
    pub(super) fn new(text: String) -> Self {
        Self {
            text,
            users: Mutex::default(),
        }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Waits until it is known whether the password may be tried for a user; the deadline stands still.
    ///
    /// # Errors
    ///
    /// The host that has refused it.
    pub(super) async fn turn(&self, user: &str, deadline: &Deadline) -> Result<Try, String> {
        let verdict = {
            let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
            users.entry(user.to_string()).or_default().clone()
        };
        let _pause = deadline.pause();
        let verdict = verdict.lock_owned().await;
        match &*verdict {
            Verdict::Untried => Ok(Try(Some(verdict))),
            Verdict::Taken => Ok(Try(None)),
            Verdict::Refused(host) => Err(host.clone()),
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

    /// The host has refused it.
    pub(super) fn refused(self, host: &str) {
        if let Some(mut verdict) = self.0 {
            *verdict = Verdict::Refused(host.to_string());
        }
    }
}
