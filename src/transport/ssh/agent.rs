//! The operator's SSH agent.

use super::explain;
use russh::keys::PublicKey;
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixStream;

/// How long the agent may take to say which keys it holds.
const PATIENCE: Duration = Duration::from_secs(2);

/// A connection to the agent, and the keys that it holds.
pub(super) struct Agent {
    pub(super) client: AgentClient<UnixStream>,
    pub(super) keys: Vec<(PublicKey, String)>,
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

/// What an agent complains about, in plain words.
pub(super) fn words(error: &russh::keys::Error) -> String {
    match error {
        russh::keys::Error::IO(error) => match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "it closed the connection".into(),
            _ => explain::io(error),
        },
        russh::keys::Error::AgentFailure => "it refuses".into(),
        _ => "it does not speak the agent protocol".into(),
    }
}
