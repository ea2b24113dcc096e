//! A run's side: finding keepers, and commands over what they keep.

use super::Folder;
use super::folder::connect;
use super::wire::{Answer, Ask, Frame, Listed, PIECE, Receiver, Sender, open};
use crate::transport::{
    Chunk, Connection, Ending, Heartbeat, Input, Lost, Output, Process, StartError,
};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, OnceCell};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long a keeper may take for an answer that needs nobody else.
const LOCAL: Duration = Duration::from_millis(250);

/// How long a server may take for a sign of life, unless a new connection has less time.
const PATIENCE: Duration = Duration::from_secs(2);

const GONE: &str = "the process that kept the connection is gone";

/// The keepers that there are when a run first needs a connection.
pub(super) struct Keepers {
    folder: Folder,
    found: OnceCell<HashMap<String, (PathBuf, Listed)>>,
}

impl Keepers {
    pub(super) fn new(folder: Folder) -> Self {
        Self {
            folder,
            found: OnceCell::new(),
        }
    }

    /// A connection that is kept for a target and alive, if its host's key is one that the caller trusts.
    pub(super) async fn attach(
        &self,
        key: &str,
        trusts: impl Fn(&str) -> bool,
        persist: Duration,
        connect_timeout: Duration,
    ) -> Option<KeptConnection> {
        let found = self
            .found
            .get_or_init(async || {
                let all = everything(&self.folder).await;
                let named =
                    |(path, listed): (PathBuf, Listed)| (listed.key.clone(), (path, listed));
                all.into_iter().map(named).collect()
            })
            .await;
        let (path, listed) = found.get(key)?;
        if !trusts(&listed.host_key) {
            tracing::debug!(host = %listed.host, "a connection is kept, but the host's key is not known to be right");
            return None;
        }
        let patience = PATIENCE.min(connect_timeout);
        match attach(path, key, persist, patience).await {
            Ok(lease) => Some(KeptConnection {
                path: path.clone(),
                key: key.to_string(),
                heartbeat: listed.heartbeat,
                lease: Mutex::new(Some(lease)),
            }),
            Err(error) => {
                tracing::debug!(host = %listed.host, %error, "a kept connection is not used");
                None
            }
        }
    }
}

/// All connections that are kept, and where. Keepers that don't answer count as none.
async fn everything(folder: &Folder) -> Vec<(PathBuf, Listed)> {
    let mut asking = JoinSet::new();
    for path in folder.keepers() {
        asking.spawn(async move {
            let listed = timeout(LOCAL, of(&path)).await;
            let listed = listed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            if let Err(error) = &listed {
                tracing::debug!(path = %path.display(), %error, "no answer from a keeper of connections");
            }
            let listed = listed.unwrap_or_default().into_iter();
            listed
                .map(|listed| (path.clone(), listed))
                .collect::<Vec<_>>()
        });
    }
    asking.join_all().await.into_iter().flatten().collect()
}

/// What one keeper keeps.
async fn of(path: &Path) -> io::Result<Vec<Listed>> {
    let (mut receiver, _sender) = ask(path, &Ask::List).await?;
    let mut all = Vec::new();
    while let Some(answer) = receiver.words().await? {
        match answer {
            Answer::Listed(listed) => all.push(listed),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
    Ok(all)
}

async fn ask(path: &Path, ask: &Ask) -> io::Result<(Receiver, Sender)> {
    let (receiver, mut sender) = open(connect(path).await?);
    sender.say(ask).await?;
    Ok((receiver, sender))
}

async fn attach(
    path: &Path,
    key: &str,
    persist: Duration,
    patience: Duration,
) -> io::Result<(Receiver, Sender)> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    let wanted = Ask::Attach {
        key: key.to_string(),
        persist,
        patience,
    };
    let mut stream = timeout(LOCAL, ask(path, &wanted)).await.map_err(late)??;
    let mut limit = LOCAL;
    loop {
        let answer = timeout(limit, stream.0.words()).await.map_err(late)??;
        match answer {
            Some(Answer::Attached) => return Ok(stream),
            Some(Answer::Asking) => limit = patience + LOCAL,
            Some(Answer::Refused(why)) => return Err(io::Error::other(why)),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// All connections that are kept for this user.
pub async fn list(folder: &Folder) -> Vec<Listed> {
    let mut all: Vec<Listed> = (everything(folder).await.into_iter())
        .map(|(_, listed)| listed)
        .collect();
    all.sort_by(|a, b| {
        (&a.host, &a.address, a.port, a.pid).cmp(&(&b.host, &b.address, b.port, b.pid))
    });
    all
}

/// Ends connections, those that a run uses as soon as it no longer does. Waits until their keepers know of it.
pub async fn close(folder: &Folder, closed: &[Listed]) {
    let mut asking = JoinSet::new();
    for path in folder.keepers() {
        let keys = closed.iter().map(|listed| listed.key.clone()).collect();
        asking.spawn(async move {
            let asked = async {
                let (mut receiver, _sender) = ask(&path, &Ask::Close { keys }).await?;
                // It hangs up when that is done.
                receiver.words::<Answer>().await
            };
            timeout(PATIENCE, asked).await.ok();
        });
    }
    asking.join_all().await;
}

/// A connection that another process keeps.
pub(super) struct KeptConnection {
    path: PathBuf,
    key: String,
    heartbeat: Option<Heartbeat>,
    /// The connection is not closed while this stands.
    lease: Mutex<Option<(Receiver, Sender)>>,
}

#[async_trait]
impl Connection for KeptConnection {
    async fn start(&self, command: &str) -> Result<Process, StartError> {
        let wanted = Ask::Start {
            key: self.key.clone(),
            command: command.to_string(),
        };
        // A keeper acts on whole requests only: one that could not be sent was not heard.
        let (mut receiver, sender) = ask(&self.path, &wanted)
            .await
            .map_err(|error| StartError(format!("{GONE}: {error}")))?;
        let ended = match receiver.words().await {
            Ok(Some(Answer::Started)) => None,
            Ok(Some(Answer::Refused(why))) => return Err(StartError(why)),
            // It may have asked the server before it went.
            _ => Some(Ending::Lost(GONE.into())),
        };
        let sender = Arc::new(Mutex::new(sender));
        Ok(Process {
            input: Box::new(KeptInput(sender.clone())),
            output: Box::new(KeptOutput {
                receiver,
                exited: false,
                ended,
                _sender: sender,
            }),
        })
    }

    async fn close(&self) {
        self.lease.lock().await.take();
    }

    fn heartbeat(&self) -> Option<Heartbeat> {
        self.heartbeat
    }
}

/// The stream is closed when input and output are both gone, and the keeper closes the channel then.
struct KeptInput(Arc<Mutex<Sender>>);

impl KeptInput {
    async fn put(&self, frame: Frame) -> Result<(), Lost> {
        let mut sender = self.0.lock().await;
        // The keeper hangs up when the command has ended as well as when the connection is gone; the output knows.
        (sender.send(&frame).await).map_err(|_| Lost("the command closed its input".into()))
    }
}

#[async_trait]
impl Input for KeptInput {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        for piece in bytes.chunks(PIECE) {
            self.put(Frame::Input(Bytes::copy_from_slice(piece)))
                .await?;
        }
        Ok(())
    }

    async fn send(&mut self, mut bytes: Bytes) -> Result<(), Lost> {
        while !bytes.is_empty() {
            let piece = bytes.split_to(PIECE.min(bytes.len()));
            self.put(Frame::Input(piece)).await?;
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<(), Lost> {
        self.put(Frame::InputEnd).await
    }
}

struct KeptOutput {
    receiver: Receiver,
    exited: bool,
    ended: Option<Ending>,
    _sender: Arc<Mutex<Sender>>,
}

#[async_trait]
impl Output for KeptOutput {
    async fn next(&mut self) -> Option<Chunk> {
        while self.ended.is_none() {
            match self.receiver.next().await {
                Ok(Some(Frame::Stdout(bytes))) => return Some(Chunk::Stdout(bytes.to_vec())),
                Ok(Some(Frame::Stderr(bytes))) => return Some(Chunk::Stderr(bytes.to_vec())),
                Ok(Some(Frame::Exit(exit))) => {
                    self.exited = true;
                    return Some(Chunk::Exit(exit));
                }
                Ok(Some(Frame::Ending(ending))) => self.ended = Some(ending),
                _ => {
                    self.ended = Some(match self.exited {
                        true => Ending::Exited,
                        false => Ending::Lost(GONE.into()),
                    });
                }
            }
        }
        None
    }

    fn ending(&self) -> Ending {
        self.ended.clone().unwrap_or(Ending::Exited)
    }
}
