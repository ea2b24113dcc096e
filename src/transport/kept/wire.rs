//! What a run and a keeper say to each other: frames of a type, a length and a payload.

use crate::transport::{Ending, Exit, Heartbeat};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

/// Counts on with every change to what is said here. Those of another version leave each other alone.
const PROTOCOL: u32 = 2;

/// The longest payload.
const LONGEST: usize = 1024 * 1024;

/// The most bytes of input or output in one frame.
pub(super) const PIECE: usize = 32 * 1024;

const HEAD: usize = 5;

/// How often somebody who is not read from is looked at.
const LOOK: Duration = Duration::from_millis(250);

/// What is asked of a keeper, first thing on a connection.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    /// What is kept: [`Answer::Listed`] for each, and the end of the stream.
    List,
    /// Connections that no run uses are to be closed, the others as soon as they are free.
    Close { keys: Vec<String> },
    /// The connection is to be kept alive and ready while this stream lives.
    Attach {
        key: String,
        /// How long it is to be kept after that.
        persist: Duration,
        /// How long a sign of life from the server may take.
        patience: Duration,
    },
    /// A command, whose channel this stream becomes.
    Start { key: String, command: String },
}

/// What a keeper answers.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// One connection.
    Listed(Listed),
    /// The server is asked for a sign of life first.
    Asking,
    /// It is there, and will be.
    Attached,
    /// The command was asked to run.
    Started,
    /// It is not there, or nothing was started; and why.
    Refused(String),
}

/// A connection that is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Listed {
    /// Which target it leads to: see [`key`](super::key).
    pub(super) key: String,
    /// The host's name in the inventory of the run that made it.
    pub host: String,
    /// The user who is logged in.
    pub user: String,
    /// What was dialed.
    pub address: String,
    /// The port there.
    pub port: u16,
    /// The public key that the server has proven to have, as in known_hosts.
    pub(super) host_key: String,
    /// Its signs of life: how they were asked for when it was made.
    pub(super) heartbeat: Option<Heartbeat>,
    /// How long ago it was made.
    pub age: Duration,
    /// How many runs use it.
    pub runs: usize,
    /// For how long it has been unused.
    pub idle: Duration,
    /// How long it will be kept if nobody uses it.
    pub left: Duration,
    /// The process that keeps it.
    pub pid: u32,
}

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Frame {
    /// The version of this protocol, from each side first.
    Hello(u32),
    /// An [`Ask`] or an [`Answer`].
    Words(Bytes),
    Input(Bytes),
    InputEnd,
    Stdout(Bytes),
    Stderr(Bytes),
    Exit(Exit),
    Ending(Ending),
}

impl Frame {
    /// Appends the frame. False, and nothing appended, if it is too long.
    fn encode(&self, to: &mut BytesMut) -> bool {
        let start = to.len();
        let mut put = |kind: u8, parts: &[&[u8]]| {
            let length: usize = parts.iter().map(|part| part.len()).sum();
            to.reserve(HEAD + length);
            to.put_u8(kind);
            to.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
            for part in parts {
                to.put_slice(part);
            }
            length <= LONGEST
        };
        let fits = match self {
            Frame::Hello(version) => put(b'h', &[&version.to_be_bytes()]),
            Frame::Words(text) => put(b'w', &[text]),
            Frame::Input(bytes) => put(b'i', &[bytes]),
            Frame::InputEnd => put(b'n', &[]),
            Frame::Stdout(bytes) => put(b'o', &[bytes]),
            Frame::Stderr(bytes) => put(b'e', &[bytes]),
            Frame::Exit(Exit::Code(code)) => put(b'c', &[&code.to_be_bytes()]),
            Frame::Exit(Exit::Signal(name)) => put(b's', &[name.as_bytes()]),
            Frame::Ending(Ending::Exited) => put(b'x', &[]),
            Frame::Ending(Ending::NotStarted(why)) => put(b'r', &[why.as_bytes()]),
            Frame::Ending(Ending::Lost(why)) => put(b'l', &[why.as_bytes()]),
        };
        if !fits {
            to.truncate(start);
        }
        fits
    }

    /// Takes the first frame off, once it is all there.
    fn decode(from: &mut BytesMut) -> io::Result<Option<Frame>> {
        let Some((head, rest)) = from.split_at_checked(HEAD) else {
            return Ok(None);
        };
        let kind = head[0];
        let length = (&head[1..]).get_u32() as usize;
        if length > LONGEST {
            return Err(garbage("a frame is too long"));
        }
        if rest.len() < length {
            return Ok(None);
        }
        from.advance(HEAD);
        let payload = from.split_to(length).freeze();
        let text = || String::from_utf8_lossy(&payload).into_owned();
        let word = || <[u8; 4]>::try_from(&payload[..]).map_err(|_| garbage("a number is cut"));
        Ok(Some(match kind {
            b'h' => Frame::Hello(u32::from_be_bytes(word()?)),
            b'w' => Frame::Words(payload),
            b'i' => Frame::Input(payload),
            b'n' => Frame::InputEnd,
            b'o' => Frame::Stdout(payload),
            b'e' => Frame::Stderr(payload),
            b'c' => Frame::Exit(Exit::Code(i32::from_be_bytes(word()?))),
            b's' => Frame::Exit(Exit::Signal(text())),
            b'x' => Frame::Ending(Ending::Exited),
            b'r' => Frame::Ending(Ending::NotStarted(text())),
            b'l' => Frame::Ending(Ending::Lost(text())),
            _ => return Err(garbage("a frame is of no known type")),
        }))
    }
}

fn garbage(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// Both ends of a stream of frames, each with its greeting already on its way.
pub(super) fn open(stream: UnixStream) -> (Receiver, Sender) {
    let (read, write) = stream.into_split();
    let receiver = Receiver {
        read,
        buffer: BytesMut::new(),
        greeted: false,
    };
    let mut sender = Sender {
        write,
        pending: BytesMut::new(),
    };
    Frame::Hello(PROTOCOL).encode(&mut sender.pending);
    (receiver, sender)
}

/// Takes frames off a stream.
pub(super) struct Receiver {
    read: OwnedReadHalf,
    buffer: BytesMut,
    greeted: bool,
}

impl Receiver {
    /// The next frame; `None` where the stream ends. Nothing is lost when this is dropped halfway.
    pub(super) async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            match Frame::decode(&mut self.buffer)? {
                Some(Frame::Hello(PROTOCOL)) if !self.greeted => self.greeted = true,
                Some(_) if !self.greeted => {
                    return Err(garbage("the other end is another version"));
                }
                Some(frame) => return Ok(Some(frame)),
                None => {
                    self.buffer.reserve(PIECE + HEAD);
                    if self.read.read_buf(&mut self.buffer).await? == 0 {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// The next words, as what they mean.
    pub(super) async fn words<T: for<'de> Deserialize<'de>>(&mut self) -> io::Result<Option<T>> {
        match self.next().await? {
            None => Ok(None),
            Some(Frame::Words(text)) => Ok(Some(serde_json::from_slice(&text)?)),
            Some(_) => Err(garbage("these are no words")),
        }
    }

    /// Waits until the other end is gone, also while there is something to be read.
    pub(super) async fn hung_up(&self) {
        loop {
            match self.read.ready(Interest::READABLE).await {
                Ok(ready) if !ready.is_read_closed() => tokio::time::sleep(LOOK).await,
                _ => return,
            }
        }
    }
}

/// Puts frames on a stream.
pub(super) struct Sender {
    write: OwnedWriteHalf,
    pending: BytesMut,
}

impl Sender {
    /// Sends a frame, in one piece if it is small. Where this is dropped halfway, the rest goes before the next frame.
    pub(super) async fn send(&mut self, frame: &Frame) -> io::Result<()> {
        if !frame.encode(&mut self.pending) {
            return Err(garbage("a frame is too long"));
        }
        self.flush().await
    }

    /// Sends what is said in words.
    pub(super) async fn say(&mut self, words: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_vec(words)?;
        self.send(&Frame::Words(text.into())).await
    }

    /// Sends what is still pending.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        while !self.pending.is_empty() {
            if self.write.write_buf(&mut self.pending).await? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Frame> {
        vec![
            Frame::Words(Bytes::from_static(b"\"List\"")),
            Frame::Input(Bytes::from_static(b"in")),
            Frame::InputEnd,
            Frame::Stdout(Bytes::from_static(b"\0out")),
            Frame::Stderr(Bytes::from(vec![7; LONGEST])),
            Frame::Exit(Exit::Code(-1)),
            Frame::Exit(Exit::Signal("TERM".into())),
            Frame::Ending(Ending::Exited),
            Frame::Ending(Ending::NotStarted("no".into())),
            Frame::Ending(Ending::Lost("gone".into())),
        ]
    }

    #[tokio::test]
    async fn every_frame_arrives_as_it_was_sent() {
        let (here, there) = UnixStream::pair().unwrap();
        let ((mut receiver, _keep), (_read, mut sender)) = (open(here), open(there));
        let sending = async {
            for frame in all() {
                sender.send(&frame).await.unwrap();
            }
            drop(sender);
        };
        let receiving = async {
            let mut found = Vec::new();
            while let Some(frame) = receiver.next().await.unwrap() {
                found.push(frame);
            }
            found
        };
        let ((), found) = tokio::join!(sending, receiving);
        assert!(found == all());
    }

    #[test]
    fn what_is_cut_waits_for_the_rest_and_what_is_no_frame_is_refused() {
        let mut whole = BytesMut::new();
        assert!(Frame::Exit(Exit::Code(7)).encode(&mut whole));
        for end in 0..whole.len() {
            let mut part = BytesMut::from(&whole[..end]);
            assert_eq!(Frame::decode(&mut part).unwrap(), None);
        }
        let refused = |bytes: &[u8]| Frame::decode(&mut BytesMut::from(bytes)).is_err();
        assert!(refused(b"?\0\0\0\0"));
        assert!(refused(b"i\xff\0\0\0"));
        assert!(refused(b"c\0\0\0\x01x"));
        let mut long = BytesMut::new();
        assert!(!Frame::Input(vec![0; LONGEST + 1].into()).encode(&mut long));
        assert!(long.is_empty());
    }

    #[tokio::test]
    async fn another_version_is_not_listened_to() {
        let (here, there) = UnixStream::pair().unwrap();
        let (mut receiver, _keep) = open(here);
        let (_read, mut sender) = open(there);
        sender.pending.clear();
        Frame::Hello(PROTOCOL + 1).encode(&mut sender.pending);
        sender.send(&Frame::InputEnd).await.unwrap();
        assert!(receiver.next().await.is_err());
    }

    #[tokio::test]
    async fn a_hang_up_is_seen_behind_unread_bytes() {
        let (here, there) = UnixStream::pair().unwrap();
        let (receiver, _keep) = open(here);
        let (read, mut sender) = open(there);
        sender.send(&Frame::InputEnd).await.unwrap();
        drop((read, sender));
        let seen = tokio::time::timeout(Duration::from_secs(30), receiver.hung_up());
        seen.await.unwrap();
    }
}
