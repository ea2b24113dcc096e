//! Carries files between this machine and a host, over as many connections as it takes.

use super::exchange::{Identity, Trouble};
use super::host::{HostRun, IDLE, SENT};
use super::outcome::{self, Full};
use super::transfer::{self, Upload, Way};
use super::waiting::Roomy;
use crate::event::{Event, Status};
use crate::modules::Action;
use crate::playbook::Task;
use std::sync::atomic::Ordering;
use tokio::time::Instant;

/// How often a transfer that was broken goes on over a new connection.
const RECONNECTS: u32 = 3;

impl HostRun {
    /// Does what does not travel in a script.
    pub(super) async fn transfer(
        &self,
        task: &Task,
        identity: &Identity,
        action: &Action,
    ) -> Result<(), Box<Full>> {
        if let Action::Pause(length) = action {
            let mut stop = self.context.terms.stop.clone();
            return tokio::select! {
                () = tokio::time::sleep(*length) => Ok(()),
                _ = stop.wait_for(|stop| *stop) => {
                    Err(Box::new(outcome::trouble(Trouble::Stopped { left: None }, true, None)))
                }
                () = self.context.locks.when_refused() => Err(Box::new(outcome::locked())),
            };
        }
        let deadline = task.timeout.map(|limit| Instant::now() + limit);
        let resumes = matches!(action, Action::Upload { resume: true, .. });
        let mut reconnects = if resumes { RECONNECTS } else { 0 };
        let mut begun = false;
        let error = loop {
            let error = match self.carry(identity, action, deadline).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let absent = matches!(error, transfer::Error::Trouble(Trouble::NotStarted(_)));
            let broken = absent
                || matches!(
                    error,
                    transfer::Error::Trouble(Trouble::Lost(_) | Trouble::Unheard)
                );
            begun |= !absent;
            if !broken || reconnects == 0 || self.context.stopping() {
                break error;
            }
            reconnects -= 1;
            self.close().await;
        };
        let user = identity.user.as_deref();
        let why = match error {
            transfer::Error::Failed(message) => {
                return Err(Box::new(Full::new(Status::Failed, message)));
            }
            transfer::Error::Trouble(why) => why,
        };
        let lost = matches!(why, Trouble::Lost(_));
        let mut full = Box::new(outcome::trouble(why, false, user));
        if let (Action::Upload { to, .. }, true, false) = (action, lost, resumes) {
            full = outcome::left_behind(full, to);
        }
        if let (Action::Upload { to, .. }, true) = (action, resumes && begun) {
            full.help.push(format!(
                "what has arrived is kept on the host as {to}: the next run goes on from there"
            ));
        }
        Err(full)
    }

    /// Carries a file, over one connection.
    async fn carry(
        &self,
        identity: &Identity,
        action: &Action,
        deadline: Option<Instant>,
    ) -> Result<(), transfer::Error> {
        let Some(connection) = self.connection().await else {
            let why = Trouble::NotStarted("there is no connection".into());
            return Err(transfer::Error::Trouble(why));
        };
        self.keep_locked(identity)
            .await
            .map_err(transfer::Error::Trouble)?;
        self.acting.store(SENT, Ordering::Relaxed);
        let mark = self.meter.mark();
        let roomy = Roomy {
            connection: &*connection,
            shells: &self.shells,
        };
        let way = Way {
            connection: &roomy,
            terms: &self.context.terms,
            identity,
            deadline,
        };
        let mut tell = |transfer| {
            let host = self.name().to_string();
            self.context.send(Event::Transfer { host, transfer });
        };
        let result = match action {
            Action::Upload { from, to, resume } => {
                let source = self.context.sources.open(from).await;
                let upload = Upload {
                    source: source.map_err(transfer::Error::Failed)?,
                    to,
                    resume: *resume,
                };
                transfer::upload(&way, &upload, &mut tell).await
            }
            Action::Fetch { from, to, sum } => {
                transfer::fetch(&way, from, to, sum, &mut tell).await
            }
            Action::Run(_) | Action::Pause(_) => Ok(()),
        };
        self.acting.store(IDLE, Ordering::Relaxed);
        let traffic = self.meter.since(&mark);
        self.context.send(mark.exchanged(self.name(), traffic));
        result
    }
}
