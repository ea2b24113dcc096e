//! Connections that outlive the run that made them.
//!
//! A run that is over hands its connections to a [`Keeper`], which it becomes itself: an SSH session can't leave its
//! process. The next run asks the keepers that it finds in a private [`Folder`] and uses their connections as its own;
//! where there is none, or anything is wrong with it, it connects as ever. A keeper has no keys and no passwords:
//! it can't connect, only keep.

mod client;
mod folder;
mod keeper;
mod wire;

use self::client::Keepers;
use super::ssh::SshConnection;
use super::ssh::SshTransport;
use super::ssh::settings::Target;
use super::{ConnectError, Connection, Heartbeat, Process, StartError, Transport};
use crate::inventory::Host;
use async_trait::async_trait;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use client::{close, list};
pub use folder::{Folder, Socket, connect};
pub use keeper::Keeper;
pub use wire::Listed;

/// The most connections that one run leaves behind. One that has more leaves none: to hold thousands of logins open
/// unasked is no favor to anybody.
pub const MOST: usize = 512;

/// Hosts over SSH, on connections that are kept where there are some.
pub struct KeptTransport {
    ssh: SshTransport,
    keepers: Keepers,
    made: Arc<Made>,
    persist: Duration,
}

impl KeptTransport {
    /// Uses the connections that are kept in a folder, and remembers new ones. All are kept for `persist` after
    /// their last use.
    pub fn new(ssh: SshTransport, folder: Folder, persist: Duration) -> Self {
        Self {
            ssh,
            keepers: Keepers::new(folder),
            made: Arc::default(),
            persist,
        }
    }

    /// The connections that this run has made and given back.
    pub fn made(&self) -> Arc<Made> {
        self.made.clone()
    }
}

#[async_trait]
impl Transport for KeptTransport {
    async fn connect(&self, host: &Host) -> Result<Arc<dyn Connection>, ConnectError> {
        let target = self.ssh.target(host)?;
        let key = key(&target);
        let trusts = |host_key: &str| {
            russh::keys::PublicKey::from_openssh(host_key)
                .is_ok_and(|host_key| self.ssh.trusts(&target, &host_key))
        };
        let timeout = target.connect_timeout;
        if let Some(kept) = self
            .keepers
            .attach(&key, trusts, self.persist, timeout)
            .await
        {
            tracing::debug!(host = %host.name, "on a kept connection");
            return Ok(Arc::new(kept));
        }
        let made = self.ssh.log_in(target.clone()).await?;
        Ok(Arc::new(Own {
            made: self.made.clone(),
            kept: Kept {
                key,
                since: Instant::now(),
                connection: made,
                target,
            },
        }))
    }
}

/// A connection that can be kept.
#[derive(Clone)]
struct Kept {
    key: String,
    target: Target,
    since: Instant,
    connection: Arc<SshConnection>,
}

/// The connections that a run has made and no longer needs.
#[derive(Default)]
pub struct Made(Mutex<HashMap<String, Kept>>);

impl Made {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is something to keep.
    pub fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    /// Decides what becomes of them at the end of a run: if they are not `wanted`, or too many, they are closed.
    pub async fn settle(&self, wanted: bool) {
        let over: Vec<Kept> = {
            let mut all = self.all();
            all.retain(|_, kept| kept.connection.is_alive());
            match wanted && all.len() <= MOST {
                true => Vec::new(),
                false => all.drain().map(|(_, kept)| kept).collect(),
            }
        };
        close_all(over).await;
    }

    fn take(&self) -> Vec<Kept> {
        self.all().drain().map(|(_, kept)| kept).collect()
    }
}

/// Says goodbye to all of them at once.
async fn close_all(kept: Vec<Kept>) {
    let mut closing = JoinSet::new();
    for kept in kept {
        closing.spawn(async move { kept.connection.close().await });
    }
    while closing.join_next().await.is_some() {}
}

/// A connection of this run. To close it is to give it back.
struct Own {
    made: Arc<Made>,
    kept: Kept,
}

#[async_trait]
impl Connection for Own {
    async fn start(&self, command: &str) -> Result<Process, StartError> {
        self.kept.connection.start(command).await
    }

    async fn close(&self) {
        let kept = self.kept.clone();
        let before = match kept.connection.is_alive() {
            true => self.made.all().insert(kept.key.clone(), kept),
            false => Some(kept),
        };
        if let Some(before) = before {
            before.connection.close().await;
        }
    }

    fn heartbeat(&self) -> Option<Heartbeat> {
        self.kept.connection.heartbeat()
    }
}

/// Names a target: two that are reached in the same way, as the same user and with the same keys have the same name.
///
/// The host's name in the inventory makes no difference, nor do the times. The network does: what `10.0.0.1` is
/// differs from one network namespace to the next.
fn key(target: &Target) -> String {
    let namespace = std::fs::read_link("/proc/self/ns/net").unwrap_or_default();
    let mut text = format!("{namespace:?}\n");
    for target in target.jumps.iter().chain([target]) {
        let Target {
            name: _,
            address,
            port,
            user,
            identity_files,
            identities_only,
            identity_agent,
            user_known_hosts_files,
            global_known_hosts_files,
            host_key_name,
            host_key_port,
            strict_host_key_checking,
            jumps: _,
            connect_timeout: _,
            server_alive_interval: _,
            server_alive_count_max: _,
        } = target;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{user:?} {address:?} {port} {identity_files:?} {identities_only} {identity_agent:?} \
             {user_known_hosts_files:?} {global_known_hosts_files:?} {host_key_name:?} {host_key_port} \
             {strict_host_key_checking:?}"
        );
    }
    let mut name = String::new();
    for byte in Sha256::digest(text) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}
