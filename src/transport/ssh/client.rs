//! Our side of the SSH protocol's callbacks.

use super::deadline::Deadline;
use super::explain;
use super::flow::Flow;
use super::host_key::{HostKeys, Ticket};
use super::settings::Target;
use crate::transport::ConnectError;
use russh::client::{ChannelOpenHandle, DisconnectReason, Handler, Msg, Session};
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelId};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::watch;

/// Banners are text before the login; a server that sends more of them than this wants to keep us busy.
const BANNERS: usize = 64;

const CLOSED: &str = "the connection was closed";

/// What the connection's task tells everyone who uses the connection.
pub(super) struct Shared {
    /// Why the connection has ended; `None` while it lives.
    ended: watch::Sender<Option<String>>,
    /// What the server has said about the end.
    parting: OnceLock<String>,
    /// We are about to close the connection ourselves.
    closing: AtomicBool,
    /// The key that the server has shown and that was trusted.
    pub(super) host_key: OnceLock<PublicKey>,
    /// Set to true when the server has closed the channel.
    channels: Mutex<HashMap<ChannelId, watch::Sender<bool>>>,
    flow: Arc<Flow>,
}

impl Shared {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            ended: watch::Sender::new(None),
            parting: OnceLock::new(),
            closing: AtomicBool::new(false),
            host_key: OnceLock::new(),
            channels: Mutex::new(HashMap::new()),
            flow: Arc::default(),
        })
    }

    /// What is on its way through the connection.
    pub(super) fn flow(&self) -> &Arc<Flow> {
        &self.flow
    }

    /// Why the connection has ended, if it has.
    pub(super) fn why(&self) -> Option<String> {
        self.ended.borrow().clone()
    }

    /// Why the server has ended the connection, if it has said so.
    pub(super) fn parting_words(&self) -> Option<String> {
        self.parting.get().cloned()
    }

    /// Waits for the end of the connection.
    pub(super) async fn ended(&self) -> String {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    /// From now on the end of the connection is our own doing.
    pub(super) fn closing(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// Has the closing of a channel by the server noted from now on.
    pub(super) fn watch(&self, id: ChannelId) -> watch::Receiver<bool> {
        let sender = watch::Sender::new(false);
        let receiver = sender.subscribe();
        self.channels().insert(id, sender);
        receiver
    }

    /// Ends [`Shared::watch`].
    pub(super) fn forget(&self, id: ChannelId) {
        self.channels().remove(&id);
    }

    /// Whether no command runs.
    pub(super) fn is_idle(&self) -> bool {
        self.channels().is_empty()
    }

    fn channels(&self) -> MutexGuard<'_, HashMap<ChannelId, watch::Sender<bool>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, why: String) {
        let why = match self.closing.load(Ordering::SeqCst) {
            true => CLOSED.to_string(),
            false => why,
        };
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            if first {
                *ended = Some(why);
            }
            first
        });
    }
}

/// Why a handshake failed.
#[derive(Debug)]
pub(super) enum HandshakeError {
    /// The protocol or the link.
    Protocol(russh::Error),
    /// The server's identity.
    Refused(ConnectError),
}

impl From<russh::Error> for HandshakeError {
    fn from(error: russh::Error) -> Self {
        HandshakeError::Protocol(error)
    }
}

/// The handler of one connection. It lives as long as the connection's task.
pub(super) struct Client {
    pub(super) target: Arc<Target>,
    pub(super) host_keys: Arc<HostKeys>,
    pub(super) deadline: Arc<Deadline>,
    pub(super) shared: Arc<Shared>,
    /// Given back when the host's identity is settled.
    pub(super) ticket: Option<Ticket>,
    pub(super) banners: usize,
}

impl Drop for Client {
    fn drop(&mut self) {
        self.shared.end(CLOSED.into());
    }
}

impl Handler for Client {
    type Error = HandshakeError;

    async fn check_server_key(
        &mut self,
        key: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else {
            // None was offered, so this is not a server that plays by the rules.
            return Ok(false);
        };
        let judged = self
            .host_keys
            .check(&self.target, key, &self.deadline)
            .await;
        self.ticket = None;
        judged.map_err(HandshakeError::Refused)?;
        // A later key exchange can only show the same key again.
        let first = self.shared.host_key.get_or_init(|| key.clone());
        Ok(first.key_data() == key.key_data())
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut Session) -> Result<(), Self::Error> {
        self.banners += 1;
        if self.banners > BANNERS {
            return Err(russh::Error::Inconsistent.into());
        }
        tracing::debug!(host = %self.target.name, ?banner, "login banner");
        Ok(())
    }

    async fn channel_close(&mut self, id: ChannelId, _: &mut Session) -> Result<(), Self::Error> {
        if let Some(closed) = self.shared.channels().remove(&id) {
            closed.send_replace(true);
        }
        Ok(())
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<Self::Error>,
    ) -> Result<(), Self::Error> {
        let why = match &reason {
            DisconnectReason::ReceivedDisconnect(said) if said.message.is_empty() => {
                "the server closed the connection".to_string()
            }
            DisconnectReason::ReceivedDisconnect(said) => {
                let words: String = said.message.chars().take(200).collect();
                format!(
                    "the server closed the connection: \"{}\"",
                    words.escape_debug()
                )
            }
            DisconnectReason::Error(HandshakeError::Protocol(error)) => explain::session(error),
            DisconnectReason::Error(HandshakeError::Refused(error)) => error.message.clone(),
        };
        tracing::debug!(host = %self.target.name, %why, "connection ended");
        if matches!(&reason, DisconnectReason::ReceivedDisconnect(said) if !said.message.is_empty())
        {
            self.shared.parting.get_or_init(|| why.clone());
        }
        self.shared.end(why);
        match reason {
            DisconnectReason::ReceivedDisconnect(_) => Ok(()),
            DisconnectReason::Error(error) => Err(error),
        }
    }

    // A server has no reason to open channels to us. Dropping the handle refuses.

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        _reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }
}
