//! The keys to offer, and the signatures that the server asks for.

use super::agent::Agent;
use super::deadline::Deadline;
use super::dial::{Phase, Progress};
use super::keys::{KeyFile, Keys};
use super::settings::Target;
use russh::keys::agent::AgentIdentity;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode;
use russh::keys::ssh_key::Signature;
use russh::keys::ssh_key::private::KeypairData;
use russh::keys::{HashAlg, PrivateKey, PublicKey};
use std::sync::Arc;

/// A key to offer.
pub(super) enum Candidate {
    Agent(PublicKey, String),
    File(Arc<KeyFile>),
}

/// The keys to offer: first those that are configured, through the agent where it holds them; then the agent's others.
pub(super) fn candidates(
    target: &Target,
    files: Vec<Arc<KeyFile>>,
    agent: Option<&Agent>,
) -> Vec<Candidate> {
    let held: &[(PublicKey, String)] = agent.map_or(&[], |agent| &agent.keys);
    let same = |a: &PublicKey, b: &PublicKey| a.key_data() == b.key_data();
    let mut rest: Vec<Candidate> = held
        .iter()
        .filter(|_| !target.identities_only)
        .filter(|(key, _)| !files.iter().any(|file| same(&file.public, key)))
        .map(|(key, comment)| Candidate::Agent(key.clone(), comment.clone()))
        .collect();
    let mut all: Vec<Candidate> = files
        .into_iter()
        .map(|file| {
            match held.iter().find(|(key, _)| same(key, &file.public)) {
                // An unlocked file saves the agent's round trip, and works where the agent refuses.
                Some((key, _)) if file.is_locked() => {
                    Candidate::Agent(key.clone(), file.path.display().to_string())
                }
                _ => Candidate::File(file),
            }
        })
        .collect();
    all.append(&mut rest);
    all
}

/// Signs with a key, and remembers whether the server has asked for it.
pub(super) struct Signer<'a> {
    pub(super) candidate: &'a Candidate,
    pub(super) keys: &'a Keys,
    pub(super) agent: Option<&'a mut Agent>,
    pub(super) deadline: &'a Deadline,
    pub(super) progress: &'a Progress,
    pub(super) asked: bool,
}

pub(super) enum SignError {
    /// The connection is gone.
    Gone,
    /// The key can't be used.
    Why(String),
}

impl From<russh::SendError> for SignError {
    fn from(_: russh::SendError) -> Self {
        SignError::Gone
    }
}

impl russh::Signer for Signer<'_> {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        identity: &AgentIdentity,
        hash: Option<HashAlg>,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        self.asked = true;
        match self.candidate {
            Candidate::Agent(..) => {
                let Some(agent) = &mut self.agent else {
                    return Err(SignError::Why("the agent is gone".into()));
                };
                self.progress.enter(Phase::Agent(agent.socket.clone()));
                // Whoever sits at a terminal may be asked for a confirmation, a PIN or a touch.
                let attended = self.keys.can_ask();
                let signed = agent
                    .sign(identity, hash, data, &self.keys.signed, attended)
                    .await;
                self.progress.enter(Phase::Authentication);
                signed.map_err(SignError::Why)
            }
            Candidate::File(file) => {
                // The operator may be asked for the passphrase.
                let pause = file.is_locked().then(|| self.deadline.pause());
                let secret = self.keys.secret(file).await.map_err(SignError::Why)?;
                drop(pause);
                tokio::task::spawn_blocking(move || sign(&secret, hash, data))
                    .await
                    .map_err(|error| SignError::Why(error.to_string()))?
                    .ok_or_else(|| SignError::Why("it can't sign".into()))
            }
        }
    }
}

/// The data with the signature behind it, as the protocol wants it.
fn sign(key: &PrivateKey, hash: Option<HashAlg>, mut data: Vec<u8>) -> Option<Vec<u8>> {
    let signature: Signature = match key.key_data() {
        KeypairData::Rsa(pair) => (pair, hash).try_sign(&data).ok()?,
        pair => pair.try_sign(&data).ok()?,
    };
    let mut encoded = Vec::new();
    signature.encode(&mut encoded).ok()?;
    encoded.encode(&mut data).ok()?;
    Some(data)
}
