//! Whether a host is the one it claims to be, and the one question about all that are new.

use super::deadline::Deadline;
use super::known_hosts::{KnownHosts, Verdict, fingerprint};
use super::settings::{StrictHostKeyChecking, Target};
use crate::diagnostic::Problem;
use crate::transport::ConnectError;
use russh::keys::{Algorithm, PublicKey};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// A question waits for more hosts until nothing new has happened for this long.
const QUIET: Duration = Duration::from_secs(1);

/// A host that shows a key nobody knows yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// The host's name in the inventory.
    pub host: String,
    /// The name or address that was dialed, and the port.
    pub address: String,
    /// The kind of key: `ssh-ed25519`.
    pub algorithm: String,
    /// Its fingerprint as OpenSSH shows it: `SHA256:...`.
    pub fingerprint: String,
}

/// Asks the operator about new host keys.
pub trait HostKeyPrompt: Send + Sync {
    /// Whether all of these keys are to be trusted and noted. May take its time; it runs on a thread of its own.
    fn ask(&self, keys: &[NewKey]) -> bool;
}

type Files = (Vec<PathBuf>, Vec<PathBuf>);

/// The known host keys of a run, and the hosts that wait for an answer.
pub(super) struct HostKeys {
    loaded: Mutex<HashMap<Files, Arc<KnownHosts>>>,
    prompt: Option<Arc<dyn HostKeyPrompt>>,
    terminal: Arc<tokio::sync::Mutex<()>>,
    batch: Mutex<Batch>,
    changed: Notify,
}

#[derive(Default)]
struct Batch {
    waiting: Vec<(NewKey, oneshot::Sender<bool>)>,
    /// Handshakes that have not settled the host's identity, the waiting ones included.
    outstanding: usize,
    collecting: bool,
}

/// A handshake on its way to the host's identity.
pub(super) struct Ticket(Arc<HostKeys>);

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.batch().outstanding -= 1;
        self.0.changed.notify_one();
    }
}

impl HostKeys {
    pub(super) fn new(
        prompt: Option<Arc<dyn HostKeyPrompt>>,
        terminal: Arc<tokio::sync::Mutex<()>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            loaded: Mutex::default(),
            prompt,
            terminal,
            batch: Mutex::default(),
            changed: Notify::new(),
        })
    }

    fn batch(&self) -> MutexGuard<'_, Batch> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Announces a handshake, so that the question waits for it.
    pub(super) fn ticket(self: &Arc<Self>) -> Ticket {
        self.batch().outstanding += 1;
        Ticket(self.clone())
    }

    fn known(&self, target: &Target) -> Result<Arc<KnownHosts>, ConnectError> {
        let files = (
            target.user_known_hosts_files.clone(),
            target.global_known_hosts_files.clone(),
        );
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = loaded.get(&files) {
            return Ok(known.clone());
        }
        let known = Arc::new(KnownHosts::load(&files.0, &files.1).map_err(refused)?);
        loaded.insert(files, known.clone());
        Ok(known)
    }

    /// The key types that are known for a host.
    pub(super) fn algorithms(&self, target: &Target) -> Result<Vec<Algorithm>, ConnectError> {
        Ok(self
            .known(target)?
            .algorithms(&target.host_key_name, target.host_key_port))
    }

    /// Judges the key that a host shows.
    ///
    /// # Errors
    ///
    /// The key is not to be trusted.
    pub(super) async fn check(
        self: &Arc<Self>,
        target: &Target,
        key: &PublicKey,
        deadline: &Deadline,
    ) -> Result<(), ConnectError> {
        let known = self.known(target)?;
        match known.verdict(&target.host_key_name, target.host_key_port, key) {
            Verdict::Known { .. } => Ok(()),
            Verdict::Revoked { file, line } => Err(ConnectError::identity(format!(
                "the host key of {} is marked as revoked in {}:{line}: {}",
                target.name,
                file.display(),
                described(key),
            ))),
            Verdict::Changed { .. }
                if target.strict_host_key_checking == StrictHostKeyChecking::No =>
            {
                Ok(())
            }
            Verdict::Changed {
                file,
                line,
                known_algorithm,
                known_fingerprint,
            } => Err(ConnectError::identity(format!(
                "the host key of {} has changed: {}:{line} has {known_algorithm} {known_fingerprint}, the host shows {}",
                target.name,
                file.display(),
                described(key),
            ))
            .help("nothing was sent to it; it may be another machine that answers at this address")
            .help(format!(
                "if the host was set up anew: ssh-keygen -f {} -R {}",
                crate::shell::quote(&file.to_string_lossy()),
                crate::shell::quote(&known_name(target)),
            ))),
            Verdict::Unknown => match target.strict_host_key_checking {
                StrictHostKeyChecking::AcceptNew => self.note(target, key),
                StrictHostKeyChecking::No => {
                    // As with OpenSSH: it is noted where that is possible.
                    let _ = self.note(target, key);
                    Ok(())
                }
                StrictHostKeyChecking::Ask if self.prompt.is_some() => {
                    let _pause = deadline.pause();
                    if self.ask(target, key).await {
                        self.note(target, key)
                    } else {
                        Err(unknown(target, key))
                    }
                }
                StrictHostKeyChecking::Ask | StrictHostKeyChecking::Yes => {
                    Err(unknown(target, key))
                }
            },
        }
    }

    /// Whether a key that was trusted by another run would be trusted by this one, without a word to anybody.
    ///
    /// `accept-new` is no exception: the other run has noted the key, so it is known, unless somebody took it out
    /// again. Only with `no`, where any key will do, it need not be known.
    pub(super) fn trusts(&self, target: &Target, key: &PublicKey) -> bool {
        let Ok(known) = self.known(target) else {
            return false;
        };
        match known.verdict(&target.host_key_name, target.host_key_port, key) {
            Verdict::Known { .. } => true,
            Verdict::Changed { .. } | Verdict::Revoked { .. } => false,
            Verdict::Unknown => target.strict_host_key_checking == StrictHostKeyChecking::No,
        }
    }

    /// Adds the key to the first known_hosts file.
    fn note(&self, target: &Target, key: &PublicKey) -> Result<(), ConnectError> {
        let Some(file) = target.user_known_hosts_files.first() else {
            return Ok(());
        };
        KnownHosts::add(file, &target.host_key_name, target.host_key_port, key).map_err(refused)?;
        // What was read before does not hold this line.
        self.loaded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        Ok(())
    }

    async fn ask(self: &Arc<Self>, target: &Target, key: &PublicKey) -> bool {
        let (sender, answer) = oneshot::channel();
        let new = NewKey {
            host: target.name.clone(),
            address: format!("{}:{}", target.address, target.port),
            algorithm: key.algorithm().to_string(),
            fingerprint: fingerprint(key),
        };
        let start = {
            let mut batch = self.batch();
            batch.waiting.push((new, sender));
            !std::mem::replace(&mut batch.collecting, true)
        };
        self.changed.notify_one();
        if start {
            tokio::spawn(self.clone().collect());
        }
        answer.await.unwrap_or(false)
    }

    /// Asks about all hosts that wait, as soon as no other is on its way to waiting.
    async fn collect(self: Arc<Self>) {
        loop {
            loop {
                let all_here = {
                    let batch = self.batch();
                    batch.waiting.len() >= batch.outstanding
                };
                if all_here
                    || tokio::time::timeout(QUIET, self.changed.notified())
                        .await
                        .is_err()
                {
                    break;
                }
            }
            let waiting = {
                let mut batch = self.batch();
                // One whose connection is given up in the meantime is not worth a question.
                batch.waiting.retain(|(_, answer)| !answer.is_closed());
                if batch.waiting.is_empty() {
                    batch.collecting = false;
                    return;
                }
                std::mem::take(&mut batch.waiting)
            };
            let (mut keys, answers): (Vec<NewKey>, Vec<_>) = waiting.into_iter().unzip();
            keys.sort_by(|a, b| a.host.cmp(&b.host));
            let prompt = self.prompt.clone();
            let _terminal = self.terminal.lock().await;
            let trusted =
                tokio::task::spawn_blocking(move || prompt.is_some_and(|prompt| prompt.ask(&keys)))
                    .await
                    .unwrap_or(false);
            for answer in answers {
                let _ = answer.send(trusted);
            }
        }
    }
}

fn described(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), fingerprint(key))
}

/// The host as it is written in a known_hosts file.
fn known_name(target: &Target) -> String {
    match target.host_key_port {
        22 => target.host_key_name.clone(),
        port => format!("[{}]:{port}", target.host_key_name),
    }
}

fn unknown(target: &Target, key: &PublicKey) -> ConnectError {
    let error = ConnectError::identity(format!(
        "the host key of {} is not known: {}",
        target.name,
        described(key)
    ))
    .help("to trust hosts on first contact: --accept-new-host-keys");
    let Some(file) = target.user_known_hosts_files.first() else {
        return error;
    };
    error.help(format!(
        "or note the key yourself after comparing it: ssh-keyscan -p {} {} >> {}",
        target.port,
        crate::shell::quote(&target.address),
        crate::shell::quote(&file.to_string_lossy()),
    ))
}

fn refused(problem: Problem) -> ConnectError {
    let mut error = ConnectError::identity(problem.message);
    error.help = problem.help;
    error
}
