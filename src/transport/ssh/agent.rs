//! The operator's SSH agent.

use super::explain;
use russh::keys::HashAlg;
use russh::keys::PublicKey;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep_until};

/// How long an agent may take for an answer that needs nobody's hands.
const PATIENCE: Duration = Duration::from_secs(2);

/// When each agent has signed last: one that signs for many hosts, a slow card say, is at work and does not hang.
#[derive(Default)]
pub(super) struct Signed(Mutex<HashMap<PathBuf, Instant>>);

impl Signed {
    fn note(&self, socket: &Path) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(socket.to_path_buf(), Instant::now());
    }

    /// Waits until an agent has signed for nobody for too long.
    async fn silence(&self, socket: &Path) {
        let mut since = Instant::now();
        loop {
            sleep_until(since + PATIENCE).await;
            let last = {
                let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                all.get(socket).copied()
            };
            match last.filter(|last| *last > since) {
                Some(last) => since = last,
                None => return,
            }
        }
    }
}

/// A connection to the agent, and the keys that it holds.
pub(super) struct Agent {
    client: AgentClient<UnixStream>,
    pub(super) keys: Vec<(PublicKey, String)>,
    pub(super) socket: PathBuf,
    /// An answer is still owed.
    hangs: bool,
}

/// Asks the agent for its keys.
///
/// # Errors
///
/// Why it can't be used.
pub(super) async fn open(socket: &Path) -> Result<Agent, String> {
    let asked = tokio::time::timeout(PATIENCE, async {
        let mut client = AgentClient::connect_uds(socket)
            .await
            .map_err(|error| words(&error))?;
        let held = client
            .request_identities()
            .await
            .map_err(|error| words(&error))?;
        Ok::<_, String>((client, held))
    })
    .await;
    let named = |why: &str| format!("agent {}: {why}", socket.display());
    match asked {
        Err(_) => Err(named(&format!("no answer within {} s", PATIENCE.as_secs()))),
        Ok(Err(why)) => Err(named(&why)),
        Ok(Ok((client, held))) => Ok(Agent {
            client,
            socket: socket.to_path_buf(),
            hangs: false,
            keys: held
                .into_iter()
                .filter_map(|identity| match identity {
                    AgentIdentity::PublicKey { key, comment } => Some((key, comment)),
                    AgentIdentity::Certificate { .. } => None,
                })
                .collect(),
        }),
    }
}

impl Agent {
    /// Has it sign. `others`: what it signs for other hosts. `attended`: somebody may be asked to confirm that, so it may take its time.
    ///
    /// # Errors
    ///
    /// Why there is no signature.
    pub(super) async fn sign(
        &mut self,
        identity: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
        others: &Signed,
        attended: bool,
    ) -> Result<Vec<u8>, String> {
        let late = format!("no signature within {} s", PATIENCE.as_secs());
        if self.hangs {
            return Err(late);
        }
        self.hangs = true;
        let signed = tokio::select! {
            biased;
            signed = self.client.sign_request(identity, hash, data) => signed,
            () = others.silence(&self.socket), if !attended => return Err(late),
        };
        self.hangs = false;
        others.note(&self.socket);
        signed.map_err(|error| words(&error))
    }
}

/// What an agent complains about, in plain words.
fn words(error: &russh::keys::Error) -> String {
    match error {
        russh::keys::Error::IO(error) => match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "it closed the connection".into(),
            _ => explain::io(error),
        },
        russh::keys::Error::AgentFailure => "it refuses".into(),
        _ => "it does not speak the agent protocol".into(),
    }
}
