//! An authenticated connection.

use super::channel::{ChannelInput, ChannelOutput, Line};
use super::client::{Client, Shared};
use super::pool::Pool;
use super::settings::Target;
use crate::transport::{Connection, Heartbeat, Process, StartError};
use async_trait::async_trait;
use russh::client::Handle;
use russh::keys::PublicKey;
use russh::{ChannelMsg, ChannelReadHalf, ChannelStream, Disconnect};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// How long a polite end may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Whoever waits for a silent server longer than this wants no heartbeat.
const LONGEST: Duration = Duration::from_secs(86400);

/// A connection to one host over SSH.
pub(crate) struct SshConnection {
    handle: Arc<Handle<Client>>,
    shared: Arc<Shared>,
    pool: Arc<Pool>,
    heartbeat: Option<Heartbeat>,
    /// Whether signs of life are asked for.
    beating: Arc<Mutex<bool>>,
    /// What this connection runs through.
    _jump: Option<Arc<Link>>,
}

/// A connection to a jump host, shared by all that is reached through it.
pub(super) struct Link {
    handle: Handle<Client>,
    shared: Arc<Shared>,
    _jump: Option<Arc<Link>>,
}

impl Link {
    pub(super) fn new(
        handle: Handle<Client>,
        shared: Arc<Shared>,
        jump: Option<Arc<Link>>,
    ) -> Self {
        Self {
            handle,
            shared,
            _jump: jump,
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.shared.why().is_none()
    }

    /// Connects from the jump host to the next one.
    pub(super) async fn dial(
        &self,
        host: &str,
        port: u16,
    ) -> Result<ChannelStream<russh::client::Msg>, String> {
        let opened = self
            .handle
            .channel_open_direct_tcpip(host, u32::from(port), "127.0.0.1", 0)
            .await;
        match opened {
            Ok(channel) => Ok(channel.into_stream()),
            Err(russh::Error::ChannelOpenFailure(
                russh::ChannelOpenFailure::AdministrativelyProhibited,
            )) => Err("the jump host does not permit forwarding".into()),
            Err(russh::Error::ChannelOpenFailure(_)) => {
                Err(format!("the jump host can't connect to {host}:{port}"))
            }
            Err(_) => Err(self
                .shared
                .why()
                .unwrap_or_else(|| "the connection to the jump host is gone".into())),
        }
    }
}

impl SshConnection {
    pub(super) fn new(
        handle: Handle<Client>,
        shared: Arc<Shared>,
        jump: Option<Arc<Link>>,
        target: &Target,
    ) -> Self {
        let handle = Arc::new(handle);
        let pool = Pool::new(handle.clone(), shared.clone(), target.connect_timeout);
        let limit = target.patience().filter(|limit| *limit < LONGEST);
        Self {
            handle,
            shared,
            pool,
            heartbeat: limit.map(Heartbeat::new),
            beating: Arc::default(),
            _jump: jump,
        }
    }

    /// Waits for the end of the connection.
    pub(crate) async fn ended(&self) {
        self.shared.ended().await;
    }

    /// Whether the connection has not ended as far as is known.
    pub(crate) fn is_alive(&self) -> bool {
        self.shared.why().is_none()
    }

    /// Makes ready for more commands: the next one costs a single round trip.
    pub(crate) fn prepare(&self) {
        self.pool.prepare();
    }

    /// Asks the server for a sign of life.
    pub(crate) async fn ping(&self, patience: Duration) -> bool {
        let asked = tokio::time::timeout(patience, self.handle.send_ping()).await;
        matches!(asked, Ok(Ok(()))) && self.is_alive()
    }

    /// Asks the server for signs of life while commands run. So the time of its last one is as exactly known here as the time of
    /// ours is there, and both sides come to the same verdict at about the same time.
    fn beat(&self) {
        let Some(Heartbeat { every, .. }) = self.heartbeat else {
            return;
        };
        let mut beating = self.beating.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut *beating, true) {
            return;
        }
        let (handle, shared) = (Arc::downgrade(&self.handle), self.shared.clone());
        let beating = self.beating.clone();
        tokio::spawn(async move {
            while beat_once(every, &handle, &shared).await {
                let mut beating = beating.lock().unwrap_or_else(PoisonError::into_inner);
                if shared.is_idle() {
                    *beating = false;
                    return;
                }
            }
        });
    }

    /// The public key that the server has proven to have.
    pub(crate) fn host_key(&self) -> Option<&PublicKey> {
        self.shared.host_key.get()
    }
}

#[async_trait]
impl Connection for SshConnection {
    async fn start(&self, command: &str) -> Result<Process, StartError> {
        let (read, write, slot) = loop {
            let (channel, slot) = self.pool.take().await.map_err(StartError)?;
            let (mut read, write) = channel.split();
            if !closed_while_idle(&mut read).await {
                break (read, write, slot);
            }
        };
        let closed = self.shared.watch(write.id());
        self.beat();
        let asked = write.exec(true, command).await;
        let line = Line::new(write, self.shared.clone(), closed, slot);
        if asked.is_err() {
            // The connection's task no longer takes requests, so this one never left.
            let why = self.shared.ended().await;
            return Err(StartError(why));
        }
        // From here on the command may have started: what is lost now is unknown. The server's word on the request
        // is not waited for, which would cost a round trip: a refusal is told at the end of the output.
        Ok(Process {
            input: Box::new(ChannelInput(line.clone())),
            output: Box::new(ChannelOutput::new(read, line)),
        })
    }

    async fn close(&self) {
        self.shared.closing();
        let goodbye = async {
            let _ = self
                .handle
                .disconnect(Disconnect::ByApplication, "", "")
                .await;
            self.shared.ended().await
        };
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    }

    fn heartbeat(&self) -> Option<Heartbeat> {
        self.heartbeat
    }
}

/// Waits, and asks for one sign of life. False: the connection has ended.
async fn beat_once(every: Duration, handle: &Weak<Handle<Client>>, shared: &Shared) -> bool {
    let asked = async {
        tokio::time::sleep(every).await;
        match handle.upgrade() {
            Some(handle) => handle.send_ping().await.is_ok(),
            None => false,
        }
    };
    tokio::select! {
        asked = asked => asked,
        _ = shared.ended() => false,
    }
}

/// Whether the server has closed a channel that was kept ahead of time.
async fn closed_while_idle(read: &mut ChannelReadHalf) -> bool {
    loop {
        tokio::select! {
            biased;
            message = read.wait() => {
                if matches!(message, None | Some(ChannelMsg::Close)) {
                    return true;
                }
            }
            () = std::future::ready(()) => return false,
        }
    }
}
