//! Logging in: keys, then the password.

use super::agent::{self, Agent};
use super::client::{Client, Shared};
use super::deadline::Deadline;
use super::dial::Progress;
use super::explain;
use super::keys::Keys;
use super::known_hosts::fingerprint;
use super::password::Password;
use super::settings::Target;
use super::signer::{Candidate, SignError, Signer, candidates};
use super::stream::Head;
use crate::transport::ConnectError;
use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::{HashAlg, PublicKey};
use russh::{MethodKind, MethodSet};

/// A server may ask for the password in several steps, but not for ever.
const QUESTIONS: usize = 8;

/// What is said of a key or a password that is right, where the server wants more.
const NOT_ENOUGH: &str = " (accepted, but not enough)";

/// Logs in on a connection.
pub(super) struct Login<'a> {
    pub(super) target: &'a Target,
    pub(super) keys: &'a Keys,
    pub(super) password: Option<&'a Password>,
    pub(super) deadline: &'a Deadline,
    pub(super) shared: &'a Shared,
    pub(super) head: &'a Head,
    pub(super) progress: &'a Progress,
    /// What was tried, in words.
    pub(super) tried: Vec<String>,
    /// What could not be tried, and why.
    pub(super) notes: Vec<String>,
    /// What the server accepts, as far as it has said so.
    pub(super) accepts: Option<MethodSet>,
}

enum Step {
    Done,
    /// Go on with what the server accepts now.
    Next,
}

impl Login<'_> {
    /// Tries everything there is, until the server is content.
    ///
    /// # Errors
    ///
    /// Everything that was tried, or why the connection ended.
    pub(super) async fn run(mut self, handle: &mut Handle<Client>) -> Result<(), ConnectError> {
        let (files, problems) = self.keys.of(self.target).await;
        self.notes.extend(problems);
        let mut agent = self.agent().await;
        for candidate in candidates(self.target, files, agent.as_ref()) {
            if !self.may(MethodKind::PublicKey) {
                break;
            }
            if let Step::Done = self.offer(handle, &candidate, agent.as_mut()).await? {
                return Ok(());
            }
        }
        if self.accepts.is_none() {
            // Nothing was tried yet, so the server has not said what it accepts.
            let asked = handle.authenticate_none(&self.target.user).await;
            if let Step::Done = self.judge(asked.ok()).await? {
                return Ok(());
            }
        }
        if let Some(password) = self.password
            && let Step::Done = self.enter(handle, password).await?
        {
            return Ok(());
        }
        Err(self.denied())
    }

    async fn agent(&mut self) -> Option<Agent> {
        let socket = self.target.identity_agent.as_ref()?;
        match agent::open(socket).await {
            Ok(agent) => Some(agent),
            Err(why) => {
                self.notes.push(why);
                None
            }
        }
    }

    /// Whether the server accepts a method, as far as it has said so.
    fn may(&self, method: MethodKind) -> bool {
        self.accepts
            .as_ref()
            .is_none_or(|accepts| accepts.contains(&method))
    }

    /// Offers one key.
    async fn offer(
        &mut self,
        handle: &mut Handle<Client>,
        candidate: &Candidate,
        agent: Option<&mut Agent>,
    ) -> Result<Step, ConnectError> {
        let (public, words) = match candidate {
            Candidate::Agent(public, comment) => (
                public.clone(),
                format!("key {comment} of the agent ({})", fingerprint(public)),
            ),
            Candidate::File(file) => (file.public.clone(), format!("key {}", file.words())),
        };
        let mut signer = Signer {
            candidate,
            keys: self.keys,
            agent,
            deadline: self.deadline,
            progress: self.progress,
            asked: false,
        };
        for hash in self.hashes(handle, &public).await {
            let asked = handle
                .authenticate_publickey_with(&self.target.user, public.clone(), hash, &mut signer)
                .await;
            let result = match asked {
                Ok(result) => Some(result),
                Err(SignError::Gone) => None,
                Err(SignError::Why(why)) => {
                    self.notes.push(format!("{words}: {why}"));
                    return Ok(Step::Next);
                }
            };
            if matches!(result, Some(AuthResult::Success)) && !signer.asked {
                return Err(ConnectError::unreachable(
                    "authentication: the server says yes without having asked for a signature",
                )
                .help("a server that lets anyone in may not be the one that is meant"));
            }
            if !self.tried.contains(&words) {
                self.tried.push(words.clone());
            }
            if let Step::Done = self.judge(result).await? {
                return Ok(Step::Done);
            }
        }
        Ok(Step::Next)
    }

    /// The signature algorithms to try for a key. Only RSA has more than one.
    async fn hashes(&self, handle: &Handle<Client>, key: &PublicKey) -> Vec<Option<HashAlg>> {
        if !key.algorithm().is_rsa() {
            return vec![None];
        }
        // A server this old never says what it takes, and waiting for that would cost a second.
        let old = self
            .head
            .identification()
            .is_some_and(|id| has_only_sha1(&id));
        if old {
            return vec![None];
        }
        match handle.best_supported_rsa_hash().await {
            Ok(Some(hash)) => vec![hash],
            _ => vec![Some(HashAlg::Sha512), None],
        }
    }

    /// Enters the password, if the server wants one and no other host has refused it.
    async fn enter(
        &mut self,
        handle: &mut Handle<Client>,
        password: &Password,
    ) -> Result<Step, ConnectError> {
        let plain = self.may(MethodKind::Password);
        if !plain && !self.may(MethodKind::KeyboardInteractive) {
            return Ok(Step::Next);
        }
        let turn = match password.turn(&self.target.user, self.deadline).await {
            Ok(turn) => turn,
            Err(host) => {
                self.notes
                    .push(format!("the password was not tried: {host} has refused it"));
                return Ok(Step::Next);
            }
        };
        self.tried.push("the password".into());
        let entered = match plain {
            true => {
                let user = &self.target.user;
                let asked = handle.authenticate_password(user, password.text()).await;
                self.judge(asked.ok()).await
            }
            false => self.answer(handle, password.text()).await,
        };
        let enough = |tried: &String| tried.ends_with(NOT_ENOUGH);
        match &entered {
            Ok(Step::Done) => turn.taken(),
            Ok(Step::Next) if self.tried.last().is_some_and(enough) => turn.taken(),
            Ok(Step::Next) => turn.refused(&self.target.name),
            Err(_)
                if self
                    .accepts
                    .as_ref()
                    .is_some_and(|accepts| accepts.is_empty()) =>
            {
                turn.refused(&self.target.name);
            }
            // The connection is gone, so nothing is known.
            Err(_) => {}
        }
        entered
    }

    /// Answers the server's questions with the password.
    async fn answer(
        &mut self,
        handle: &mut Handle<Client>,
        password: &str,
    ) -> Result<Step, ConnectError> {
        let mut reply = handle
            .authenticate_keyboard_interactive_start(&self.target.user, None)
            .await;
        let mut given = false;
        for _ in 0..QUESTIONS {
            let prompts = match reply {
                Ok(KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. }) => prompts,
                Ok(KeyboardInteractiveAuthResponse::Success) => return Ok(Step::Done),
                Ok(KeyboardInteractiveAuthResponse::Failure {
                    remaining_methods,
                    partial_success,
                }) => {
                    let result = AuthResult::Failure {
                        remaining_methods,
                        partial_success,
                    };
                    return self.judge(Some(result)).await;
                }
                Err(_) => return self.judge(None).await,
            };
            if let Some(prompt) = prompts.first()
                && (given || prompts.len() > 1)
            {
                let words: String = prompt.prompt.trim().chars().take(80).collect();
                return Err(ConnectError::unreachable(format!(
                    "authentication: the server asks for more than the password: \"{}\"",
                    words.escape_debug()
                )));
            }
            given |= !prompts.is_empty();
            let answers = prompts.iter().map(|_| password.to_string()).collect();
            reply = handle
                .authenticate_keyboard_interactive_respond(answers)
                .await;
        }
        Err(ConnectError::unreachable(
            "authentication: the server asks for ever",
        ))
    }

    /// Takes the server's answer to an attempt; no answer means that the connection is gone.
    async fn judge(&mut self, result: Option<AuthResult>) -> Result<Step, ConnectError> {
        match result {
            Some(AuthResult::Success) => Ok(Step::Done),
            Some(AuthResult::Failure {
                remaining_methods,
                partial_success,
            }) => {
                // No methods at all is also what is reported for a connection that has ended.
                if remaining_methods.is_empty() {
                    let why = self.shared.ended().await;
                    if why == explain::NOTHING_ELSE {
                        self.accepts = Some(remaining_methods);
                        return Err(self.denied());
                    }
                    return Err(self.ended(&why));
                }
                if partial_success && let Some(last) = self.tried.last_mut() {
                    last.push_str(NOT_ENOUGH);
                }
                self.accepts = Some(remaining_methods);
                Ok(Step::Next)
            }
            None => {
                let why = self.shared.ended().await;
                Err(self.ended(&why))
            }
        }
    }

    fn ended(&self, why: &str) -> ConnectError {
        let mut message = format!("authentication: {why}");
        if !self.tried.is_empty() {
            message.push_str(&format!(" (tried {})", self.tried.join(", ")));
        }
        self.noted(ConnectError::unreachable(message))
    }

    fn denied(&self) -> ConnectError {
        let tried = match self.tried.is_empty() {
            true => "there was nothing to try".to_string(),
            false => format!("tried {}", self.tried.join(", ")),
        };
        let accepts: Vec<&str> = self
            .accepts
            .iter()
            .flat_map(|accepts| accepts.iter())
            .map(<&str>::from)
            .collect();
        let accepts = match accepts.is_empty() {
            true => "nothing else".to_string(),
            false => accepts.join(","),
        };
        let error = self.noted(ConnectError::unreachable(format!(
            "permission denied for user `{}`: {tried}, the server accepts {accepts}",
            self.target.user,
        )));
        let asks = self.may(MethodKind::Password) || self.may(MethodKind::KeyboardInteractive);
        match asks && self.password.is_none() {
            true => error.help("to log in with a password: --ask-pass"),
            false => error,
        }
    }

    fn noted(&self, error: ConnectError) -> ConnectError {
        self.notes.iter().fold(error, ConnectError::help)
    }
}

/// Whether a server's identification is of an OpenSSH before 7.2, which knows RSA signatures only with SHA-1.
fn has_only_sha1(identification: &str) -> bool {
    let Some(version) = identification.strip_prefix("SSH-2.0-OpenSSH_") else {
        return false;
    };
    let mut numbers = version
        .split(|c: char| !c.is_ascii_digit())
        .map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version < (7, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_are_known_by_their_identification() {
        assert!(has_only_sha1("SSH-2.0-OpenSSH_5.3"));
        assert!(has_only_sha1("SSH-2.0-OpenSSH_6.6.1p1 Ubuntu-2ubuntu2"));
        assert!(has_only_sha1("SSH-2.0-OpenSSH_7.1"));
        assert!(!has_only_sha1("SSH-2.0-OpenSSH_7.4"));
        assert!(!has_only_sha1("SSH-2.0-OpenSSH_9.2p1 Debian-2"));
        assert!(!has_only_sha1("SSH-2.0-dropbear_2022.83"));
    }
}
