//! The byte stream under a connection: TCP, or a channel of a jump host.

use super::flow::Flow;
use russh::ChannelStream;
use russh::client::Msg;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How much of what the server says first is kept, to quote it when it is no SSH server.
const HEAD: usize = 512;

/// The first bytes that the server sent.
#[derive(Debug, Clone, Default)]
pub(super) struct Head(Arc<Mutex<Vec<u8>>>);

impl Head {
    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, bytes: &[u8]) {
        let mut head = self.lock();
        let room = HEAD.saturating_sub(head.len());
        head.extend_from_slice(&bytes[..room.min(bytes.len())]);
    }

    fn lines(&self) -> Vec<String> {
        let head = self.lock();
        let text = String::from_utf8_lossy(&head);
        text.lines().map(str::to_string).collect()
    }

    /// The server's identification, `SSH-2.0-OpenSSH_9.2`, if it has sent one.
    pub(super) fn identification(&self) -> Option<String> {
        self.lines()
            .into_iter()
            .find(|line| line.starts_with("SSH-"))
    }

    /// The size of the server's first packet, which is its offer for the key exchange.
    pub(super) fn offer(&self) -> Option<usize> {
        let head = self.lock();
        let start = memchr::memmem::find(&head, b"SSH-")?;
        let packet = start + memchr::memchr(b'\n', &head[start..])? + 1;
        let length = head.get(packet..packet + 4)?.try_into().ok()?;
        Some(4 + u32::from_be_bytes(length) as usize)
    }

    /// The first line that the server sent instead of an identification, made safe to show.
    pub(super) fn other_words(&self) -> Option<String> {
        if self.identification().is_some() {
            return None;
        }
        let line = self.lines().into_iter().next()?;
        let shown: String = line.chars().take(80).flat_map(char::escape_debug).collect();
        (!shown.is_empty()).then_some(shown)
    }
}

enum Inner {
    Tcp(TcpStream),
    Channel(ChannelStream<Msg>),
}

/// A byte stream that remembers what the server said first. On TCP it has every segment acknowledged at once: the
/// server's small answers otherwise wait behind our delayed acknowledgment, 40 ms at a time. While much is being sent, that carries the
/// acknowledgments along.
pub(super) struct Stream {
    inner: Inner,
    head: Head,
    flow: Arc<Flow>,
}

impl Stream {
    pub(super) fn tcp(stream: TcpStream, head: Head, flow: Arc<Flow>) -> Self {
        acknowledge(&stream);
        Self::new(Inner::Tcp(stream), head, flow)
    }

    pub(super) fn channel(stream: ChannelStream<Msg>, head: Head, flow: Arc<Flow>) -> Self {
        Self::new(Inner::Channel(stream), head, flow)
    }

    fn new(inner: Inner, head: Head, flow: Arc<Flow>) -> Self {
        Self { inner, head, flow }
    }
}

/// The kernel leaves the mode again by itself, so this is repeated.
fn acknowledge(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    let _ = rustix::net::sockopt::set_tcp_quickack(stream, true);
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = match &mut this.inner {
            Inner::Tcp(stream) => {
                let polled = Pin::new(&mut *stream).poll_read(context, buffer);
                if polled.is_ready() && !this.flow.is_busy() {
                    acknowledge(stream);
                }
                polled
            }
            Inner::Channel(stream) => Pin::new(stream).poll_read(context, buffer),
        };
        if polled.is_ready() {
            this.head.note(&buffer.filled()[before..]);
        }
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match &mut this.inner {
            Inner::Tcp(stream) => {
                let polled = Pin::new(&mut *stream).poll_write(context, bytes);
                if polled.is_ready() && !this.flow.is_busy() {
                    acknowledge(stream);
                }
                polled
            }
            Inner::Channel(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = match &mut this.inner {
            Inner::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Inner::Channel(stream) => Pin::new(stream).poll_flush(context),
        };
        if polled.is_ready() {
            // All that was encrypted so far has been written: russh flushes only then.
            this.flow.written();
        }
        polled
    }

    /// Never fails: the other side may be gone already, and that must not hide why the connection ended.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = match &mut self.get_mut().inner {
            Inner::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Inner::Channel(stream) => Pin::new(stream).poll_shutdown(context),
        };
        polled.map(|_| Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(bytes: &[u8]) -> Head {
        let head = Head::default();
        head.note(bytes);
        head
    }

    #[test]
    fn an_identification_is_found_behind_other_lines() {
        let head = head(b"welcome\r\nSSH-2.0-OpenSSH_9.2\r\n\0\0");
        assert_eq!(
            head.identification().as_deref(),
            Some("SSH-2.0-OpenSSH_9.2")
        );
        assert_eq!(head.other_words(), None);
    }

    #[test]
    fn the_size_of_the_offer_is_read() {
        assert_eq!(
            head(b"hi\r\nSSH-2.0-x\r\n\0\0\x04\x3c\x06").offer(),
            Some(1088)
        );
        assert_eq!(head(b"SSH-2.0-x\r\n\0\0\x04").offer(), None);
        assert_eq!(head(b"HTTP/1.1 400\r\n").offer(), None);
    }

    #[test]
    fn what_is_no_identification_is_quoted_without_control_characters() {
        assert_eq!(
            head(b"HTTP/1.1 400 Bad Request\r\n")
                .other_words()
                .as_deref(),
            Some("HTTP/1.1 400 Bad Request")
        );
        assert_eq!(
            head(b"\x1b[31mred").other_words().as_deref(),
            Some("\\u{1b}[31mred")
        );
        assert_eq!(head(b"").other_words(), None);
    }
}
