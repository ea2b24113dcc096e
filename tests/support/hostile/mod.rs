//! Servers that misbehave as a script says: raw TCP, and SSH by hand, with every packet at the script's will.
//!
//! A script is an async function of one connection. When it returns, the connection is closed; an error is the client's
//! end of it.

mod ssh;

#[allow(unused_imports, reason = "each test uses a part of it")]
pub use ssh::{Offer, Ssh, host_key_line, message};

use super::background::background;
use super::proxy::Chance;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, JoinSet};

/// How long a client may take to close what the script has closed.
const LINGER: Duration = Duration::from_secs(5);

/// What the servers call themselves.
const IDENTIFICATION: &str = "SSH-2.0-hostile";

/// A server on a loopback port, until it is dropped.
pub struct Server {
    pub port: u16,
    accepted: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Server {
    /// A server that does this with every connection.
    pub fn start<S, F>(script: S) -> Self
    where
        S: Fn(Wire) -> F + Send + Sync + 'static,
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (accepted, open) = <(Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
        let (begun, running) = (accepted.clone(), open.clone());
        let accepting = background().spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                begun.fetch_add(1, Ordering::SeqCst);
                running.fetch_add(1, Ordering::SeqCst);
                let _ = stream.set_nodelay(true);
                let stream = Arc::new(tokio::sync::Mutex::new(stream));
                let played = script(Wire(stream.clone()));
                let running = running.clone();
                connections.spawn(async move {
                    if played.await.is_ok() {
                        let mut stream = stream.lock().await;
                        let _ = stream.shutdown().await;
                        let rest = swallow(&mut stream);
                        let _ = tokio::time::timeout(LINGER, rest).await;
                    }
                    running.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self {
            port,
            accepted,
            open,
            accepting,
        }
    }

    /// How many connections there were.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// How many the client has not closed yet.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn swallow(stream: &mut TcpStream) {
    let _ = tokio::io::copy(stream, &mut tokio::io::sink()).await;
}

/// A connection, byte by byte.
pub struct Wire(Arc<tokio::sync::Mutex<TcpStream>>);

impl Wire {
    /// Sends bytes.
    pub async fn say(&self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.0.lock().await.write_all(bytes.as_ref()).await
    }

    /// Sends them one at a time.
    pub async fn drip(&self, bytes: impl AsRef<[u8]>, pause: Duration) -> io::Result<()> {
        for byte in bytes.as_ref() {
            self.say([*byte]).await?;
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    /// Sends so many bytes of noise.
    pub async fn noise(&self, seed: u64, count: usize) -> io::Result<()> {
        let mut chance = Chance(seed);
        let bytes: Vec<u8> = (0..count).map(|_| chance.below(256) as u8).collect();
        self.say(bytes).await
    }

    /// Reads so many bytes.
    pub async fn hear(&self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; count];
        self.0.lock().await.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    /// Reads a line, and answers it without its end.
    pub async fn line(&self) -> io::Result<String> {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            line.push(self.hear(1).await?[0]);
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_string())
    }

    /// Says nothing more until the client leaves.
    pub async fn silence(&self) -> io::Result<()> {
        swallow(&mut *self.0.lock().await).await;
        Ok(())
    }

    /// Exchanges identifications; answers the client's.
    pub async fn identify(&self) -> io::Result<String> {
        self.say(format!("{IDENTIFICATION}\r\n")).await?;
        self.line().await
    }

    /// Sends a packet in the clear.
    pub async fn packet(&self, payload: &[u8]) -> io::Result<()> {
        self.say(packet(payload)).await
    }

    /// Reads a packet in the clear.
    pub async fn hear_packet(&self) -> io::Result<Vec<u8>> {
        let head = self.hear(5).await?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let mut payload = self.hear(length.saturating_sub(1)).await?;
        payload.truncate(payload.len().saturating_sub(usize::from(head[4])));
        Ok(payload)
    }
}

/// A packet in the clear.
pub fn packet(payload: &[u8]) -> Vec<u8> {
    framed(payload, 4)
}

/// Length, padding length, payload, padding; `outside` bytes of that are not part of the blocks of 16, less 4.
fn framed(payload: &[u8], outside: usize) -> Vec<u8> {
    let padding = 4 + 15 - (outside + 1 + payload.len() + 4 + 15) % 16;
    let length = 1 + payload.len() + padding;
    let mut bytes = (length as u32).to_be_bytes().to_vec();
    bytes.push(padding as u8);
    bytes.extend(payload);
    bytes.resize(4 + length, 0);
    bytes
}

/// A message in the making.
#[derive(Clone)]
pub struct Say(pub Vec<u8>);

impl Say {
    /// One that begins with its number.
    pub fn new(number: u8) -> Self {
        Self(vec![number])
    }

    pub fn byte(mut self, byte: u8) -> Self {
        self.0.push(byte);
        self
    }

    pub fn number(mut self, number: u32) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub fn string(mut self, bytes: impl AsRef<[u8]>) -> Self {
        let bytes = bytes.as_ref();
        self = self.number(bytes.len() as u32);
        self.0.extend(bytes);
        self
    }

    /// A number of any size, from its big-endian bytes.
    fn mpint(self, bytes: &[u8]) -> Self {
        let start = bytes.iter().take_while(|byte| **byte == 0).count();
        let mut bytes = bytes[start..].to_vec();
        if bytes.first().is_some_and(|first| *first >= 0x80) {
            bytes.insert(0, 0);
        }
        self.string(bytes)
    }
}

/// The fields of a message, from one behind its number.
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn of(payload: &'a [u8]) -> Self {
        Self(&payload[1..])
    }

    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap();
        self.0 = rest;
        *first
    }

    pub fn number(&mut self) -> u32 {
        let (first, rest) = self.0.split_first_chunk::<4>().unwrap();
        self.0 = rest;
        u32::from_be_bytes(*first)
    }

    pub fn string(&mut self) -> &'a [u8] {
        let length = self.number() as usize;
        let (first, rest) = self.0.split_at(length);
        self.0 = rest;
        first
    }
}
