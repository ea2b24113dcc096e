//! The input and output of a command on its channel.

use super::client::Shared;
use super::pool::Slot;
use crate::transport::{Chunk, Ending, Exit, Input, Lost, Output};
use async_trait::async_trait;
use bytes::Bytes;
use russh::client::Msg;
use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long a server may take to close a channel on which everything has been said.
const CLOSE: Duration = Duration::from_secs(1);

/// When a command has ended, its output follows at once. A channel that stays open and silent for this long is held
/// open by something that the command left behind, or by a server that never closes it.
const SILENCE_AFTER_EXIT: Duration = Duration::from_secs(5);

/// The part of a channel that input and output share. It closes the channel when both are gone.
pub(super) struct Line {
    write: Arc<ChannelWriteHalf<Msg>>,
    shared: Arc<Shared>,
    closed: watch::Receiver<bool>,
    /// Counts the channel as open.
    slot: Option<Slot>,
}

impl Line {
    pub(super) fn new(
        write: ChannelWriteHalf<Msg>,
        shared: Arc<Shared>,
        closed: watch::Receiver<bool>,
        slot: Slot,
    ) -> Arc<Self> {
        Arc::new(Self {
            write: Arc::new(write),
            shared,
            closed,
            slot: Some(slot),
        })
    }

    fn lost(&self) -> Lost {
        Lost(
            self.shared
                .why()
                .unwrap_or_else(|| "the command closed its input".into()),
        )
    }

    /// Waits until the server has closed the channel or the connection is gone.
    async fn gone(&self) {
        let mut closed = self.closed.clone();
        tokio::select! {
            _ = closed.wait_for(|closed| *closed) => {}
            _ = self.shared.ended() => {}
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        let id = self.write.id();
        self.shared.forget(id);
        let slot = self.slot.take();
        if *self.closed.borrow() || self.shared.why().is_some() {
            return;
        }
        // Closing takes a message to the connection's task.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let closing = self.write.clone();
            runtime.spawn(async move {
                let _ = closing.close().await;
                drop(slot);
            });
        }
    }
}

pub(super) struct ChannelInput(pub(super) Arc<Line>);

#[async_trait]
impl Input for ChannelInput {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        let line = &self.0;
        // The window of a dead channel never opens again, so the end is watched beside the write.
        tokio::select! {
            biased;
            () = line.gone() => Err(line.lost()),
            written = line.write.data_bytes(bytes.to_vec()) => written.map_err(|_| line.lost()),
        }
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), Lost> {
        let line = &self.0;
        let flow = line.shared.flow();
        let sent = async {
            flow.room().await;
            line.write.data_bytes(flow.give(bytes)).await
        };
        tokio::select! {
            biased;
            () = line.gone() => Err(line.lost()),
            sent = sent => sent.map_err(|_| line.lost()),
        }
    }

    async fn end(&mut self) -> Result<(), Lost> {
        self.0.write.eof().await.map_err(|_| self.0.lost())
    }
}

pub(super) struct ChannelOutput {
    read: ChannelReadHalf,
    line: Option<Arc<Line>>,
    exited: bool,
    eof: bool,
    /// The server has refused to start the command.
    refused: bool,
    ending: Ending,
}

impl ChannelOutput {
    pub(super) fn new(read: ChannelReadHalf, line: Arc<Line>) -> Self {
        Self {
            read,
            line: Some(line),
            exited: false,
            eof: false,
            refused: false,
            ending: Ending::Exited,
        }
    }

    async fn finish(&mut self) {
        let Some(line) = self.line.take() else { return };
        self.ending = if self.exited {
            Ending::Exited
        } else if self.refused {
            Ending::NotStarted("the server refuses to run commands".into())
        } else if *line.closed.borrow() {
            Ending::Lost(
                "the server closed the channel without saying how the command ended".into(),
            )
        } else {
            Ending::Lost(line.shared.ended().await)
        };
    }

    async fn message(&mut self) -> Option<ChannelMsg> {
        if !self.exited {
            return self.read.wait().await;
        }
        let patience = if self.eof { CLOSE } else { SILENCE_AFTER_EXIT };
        tokio::time::timeout(patience, self.read.wait())
            .await
            .unwrap_or(None)
    }
}

#[async_trait]
impl Output for ChannelOutput {
    async fn next(&mut self) -> Option<Chunk> {
        while self.line.is_some() {
            match self.message().await {
                Some(ChannelMsg::Data { data }) => return Some(Chunk::Stdout(data.to_vec())),
                Some(ChannelMsg::ExtendedData { data, ext: 1 }) => {
                    return Some(Chunk::Stderr(data.to_vec()));
                }
                Some(ChannelMsg::ExitStatus { exit_status }) if !self.exited => {
                    self.exited = true;
                    return Some(Chunk::Exit(Exit::Code(exit_status.cast_signed())));
                }
                Some(ChannelMsg::ExitSignal { signal_name, .. }) if !self.exited => {
                    self.exited = true;
                    return Some(Chunk::Exit(Exit::Signal(signal(&signal_name))));
                }
                Some(ChannelMsg::Eof) => self.eof = true,
                Some(ChannelMsg::Failure) => {
                    self.refused = true;
                    self.finish().await;
                }
                Some(ChannelMsg::Close) | None => self.finish().await,
                Some(_) => {}
            }
        }
        None
    }

    fn ending(&self) -> Ending {
        self.ending.clone()
    }
}

fn signal(signal: &Sig) -> String {
    match signal {
        Sig::Custom(name) => name.clone(),
        signal => format!("{signal:?}"),
    }
}
