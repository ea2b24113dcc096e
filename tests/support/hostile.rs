//! Servers that misbehave as a script says: raw TCP, and SSH by hand, with every packet at the script's will.
//!
//! A script is an async function of one connection. When it returns, the connection is closed; an error is the client's
//! end of it. The SSH of [`Ssh`] is just enough to be believed: curve25519, ed25519, AES-128-GCM, strict key exchange.

use super::background::background;
use super::proxy::Chance;
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use std::io;
use std::net::TcpListener;
use std::process::Stdio;
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

/// The numbers of messages.
pub mod message {
    pub const DISCONNECT: u8 = 1;
    pub const IGNORE: u8 = 2;
    pub const SERVICE_REQUEST: u8 = 5;
    pub const SERVICE_ACCEPT: u8 = 6;
    pub const KEXINIT: u8 = 20;
    pub const NEWKEYS: u8 = 21;
    pub const KEX_INIT: u8 = 30;
    pub const KEX_REPLY: u8 = 31;
    pub const AUTH_REQUEST: u8 = 50;
    pub const AUTH_FAILURE: u8 = 51;
    pub const AUTH_SUCCESS: u8 = 52;
    pub const AUTH_BANNER: u8 = 53;
    pub const AUTH_KEY_OK: u8 = 60;
    pub const GLOBAL_REQUEST: u8 = 80;
    pub const CHANNEL_OPEN: u8 = 90;
    pub const CHANNEL_OPENED: u8 = 91;
    pub const CHANNEL_DATA: u8 = 94;
    pub const CHANNEL_STDERR: u8 = 95;
    pub const CHANNEL_EOF: u8 = 96;
    pub const CHANNEL_CLOSE: u8 = 97;
    pub const CHANNEL_REQUEST: u8 = 98;
    pub const CHANNEL_SUCCESS: u8 = 99;
}

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

/// The key of these servers, as a line of known_hosts has it.
pub fn host_key_line() -> String {
    let encoded = base64::engine::general_purpose::STANDARD.encode(host_key().1);
    format!("ssh-ed25519 {encoded}")
}

fn host_key() -> (Ed25519KeyPair, Vec<u8>) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let Say(blob) = Say(Vec::new())
        .string("ssh-ed25519")
        .string(pair.public_key());
    (pair, blob)
}

/// What is offered for the key exchange, and what goes wrong in it.
#[derive(Clone)]
pub struct Offer {
    pub kex: &'static str,
    pub cipher: &'static str,
    /// The signature is not over what was exchanged.
    pub forged: bool,
    /// Sent before NEWKEYS.
    pub injected: Option<Vec<u8>>,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            kex: "curve25519-sha256,kex-strict-s-v00@openssh.com",
            cipher: "aes128-gcm@openssh.com",
            forged: false,
            injected: None,
        }
    }
}

impl Offer {
    /// As a message.
    pub fn message(&self) -> Vec<u8> {
        let mut offer = Say::new(message::KEXINIT);
        offer.0.extend([0; 16]);
        let mac = "hmac-sha2-256";
        for names in [self.kex, "ssh-ed25519", self.cipher, self.cipher] {
            offer = offer.string(names);
        }
        for names in [mac, mac, "none", "none", "", ""] {
            offer = offer.string(names);
        }
        offer.byte(0).number(0).0
    }
}

/// One direction's encryption.
struct Seal {
    key: LessSafeKey,
    nonce: [u8; 12],
}

impl Seal {
    fn next(&mut self) -> Nonce {
        let nonce = Nonce::assume_unique_for_key(self.nonce);
        let (_, counter) = self.nonce.split_at_mut(4);
        for byte in counter.iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
        nonce
    }
}

/// A connection after the key exchange.
pub struct Ssh {
    pub wire: Wire,
    there: Seal,
    here: Seal,
    /// The client's number of the channel.
    pub channel: u32,
    /// What was heard and not waited for.
    pub passed: Vec<Vec<u8>>,
}

impl Ssh {
    /// Goes through the key exchange.
    pub async fn meet(wire: Wire) -> io::Result<Self> {
        Self::exchange(wire, &Offer::default()).await
    }

    /// Goes through a key exchange of this kind.
    pub async fn exchange(wire: Wire, offer: &Offer) -> io::Result<Self> {
        let client = wire.identify().await?;
        let ours = offer.message();
        wire.packet(&ours).await?;
        let theirs = wire.hear_packet().await?;
        let asked = wire.hear_packet().await?;
        let client_point = Fields::of(&asked).string();
        let secret = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).unwrap();
        let point = secret.compute_public_key().unwrap();
        let shared = agree_ephemeral(
            secret,
            UnparsedPublicKey::new(&X25519, client_point),
            io::Error::from(io::ErrorKind::InvalidData),
            |shared| Ok(shared.to_vec()),
        )?;
        let (pair, blob) = host_key();
        let transcript = Say(Vec::new())
            .string(client)
            .string(IDENTIFICATION)
            .string(theirs)
            .string(&ours)
            .string(&blob)
            .string(client_point)
            .string(&point)
            .mpint(&shared);
        let hash = digest(&SHA256, &transcript.0);
        let signature = match offer.forged {
            true => pair.sign(b"something else"),
            false => pair.sign(hash.as_ref()),
        };
        let signature = Say(Vec::new()).string("ssh-ed25519").string(signature);
        let reply = Say::new(message::KEX_REPLY)
            .string(blob)
            .string(point)
            .string(signature.0);
        wire.packet(&reply.0).await?;
        if let Some(injected) = &offer.injected {
            wire.packet(injected).await?;
        }
        wire.packet(&[message::NEWKEYS]).await?;
        wire.hear_packet().await?;
        let derive = |letter: u8| {
            let mut text = Say(Vec::new()).mpint(&shared).0;
            text.extend(hash.as_ref());
            text.push(letter);
            text.extend(hash.as_ref());
            digest(&SHA256, &text).as_ref().to_vec()
        };
        let seal = |iv, key| Seal {
            key: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &derive(key)[..16]).unwrap()),
            nonce: derive(iv)[..12].try_into().unwrap(),
        };
        Ok(Self {
            wire,
            there: seal(b'B', b'D'),
            here: seal(b'A', b'C'),
            channel: 0,
            passed: Vec::new(),
        })
    }

    /// Sends a message.
    pub async fn say(&mut self, message: &Say) -> io::Result<()> {
        let mut bytes = framed(&message.0, 0);
        let mut sealed = bytes.split_off(4);
        let length = Aad::from(&bytes[..]);
        let nonce = self.there.next();
        let key = &self.there.key;
        key.seal_in_place_append_tag(nonce, length, &mut sealed)
            .unwrap();
        bytes.extend(sealed);
        self.wire.say(bytes).await
    }

    /// Reads a message.
    pub async fn hear(&mut self) -> io::Result<Vec<u8>> {
        let head = self.wire.hear(4).await?;
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let mut sealed = self.wire.hear(length + AES_128_GCM.tag_len()).await?;
        let nonce = self.here.next();
        let open = self
            .here
            .key
            .open_in_place(nonce, Aad::from(&head[..]), &mut sealed);
        let open = open.map_err(|_| io::ErrorKind::InvalidData)?;
        let padding = usize::from(open[0]);
        Ok(open[1..open.len() - padding].to_vec())
    }

    /// Reads to the next message with this number.
    pub async fn hear_of(&mut self, number: u8) -> io::Result<Vec<u8>> {
        loop {
            let heard = self.hear().await?;
            if heard[0] == number {
                return Ok(heard);
            }
            self.passed.push(heard);
        }
    }

    /// Accepts the wish to log in.
    pub async fn service(&mut self) -> io::Result<()> {
        self.hear_of(message::SERVICE_REQUEST).await?;
        let accept = Say::new(message::SERVICE_ACCEPT).string("ssh-userauth");
        self.say(&accept).await
    }

    /// Reads the next attempt to log in: the method, and whether a key is signed with.
    pub async fn attempt(&mut self) -> io::Result<(String, bool)> {
        let asked = self.hear_of(message::AUTH_REQUEST).await?;
        let mut fields = Fields::of(&asked);
        let (_user, _service) = (fields.string(), fields.string());
        let method = String::from_utf8_lossy(fields.string()).into_owned();
        let signed = method == "publickey" && fields.byte() == 1;
        if method == "publickey" && !signed {
            let known = Say::new(message::AUTH_KEY_OK).string(fields.string());
            let known = known.string(fields.string());
            self.passed.push(known.0);
        }
        Ok((method, signed))
    }

    /// Lets whoever has a key log in.
    pub async fn login(&mut self) -> io::Result<()> {
        self.service().await?;
        while let (_, false) = self.attempt().await? {
            let known = self.passed.pop().unwrap();
            self.say(&Say(known)).await?;
        }
        self.say(&Say::new(message::AUTH_SUCCESS)).await
    }

    /// Opens the session that is asked for.
    pub async fn open(&mut self) -> io::Result<()> {
        let asked = self.hear_of(message::CHANNEL_OPEN).await?;
        let mut fields = Fields::of(&asked);
        fields.string();
        self.channel = fields.number();
        let opened = self.about(message::CHANNEL_OPENED);
        self.say(&opened.number(0).number(1 << 30).number(32_768))
            .await
    }

    /// Takes the command that is to be run, and says that it runs.
    pub async fn command(&mut self) -> io::Result<Vec<u8>> {
        let asked = self.hear_of(message::CHANNEL_REQUEST).await?;
        let mut fields = Fields::of(&asked);
        fields.number();
        fields.string();
        let answer = fields.byte() == 1;
        let command = fields.string().to_vec();
        if answer {
            self.say(&self.about(message::CHANNEL_SUCCESS)).await?;
        }
        Ok(command)
    }

    /// Everything from the key exchange to a command that is to run.
    pub async fn run(wire: Wire) -> io::Result<(Self, Vec<u8>)> {
        let mut ssh = Self::meet(wire).await?;
        ssh.login().await?;
        ssh.open().await?;
        let command = ssh.command().await?;
        Ok((ssh, command))
    }

    /// Runs a command for real, with an input that never ends: what the server then says of it is the script's
    /// business.
    pub async fn perform(command: &[u8]) -> std::process::Output {
        let text = String::from_utf8_lossy(command).into_owned();
        let mut shell = tokio::process::Command::new("/bin/sh");
        shell
            .args(["-c", &text])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // What ends its own process group must not end the tests.
            .process_group(0);
        let mut child = shell.spawn().unwrap();
        let _input = child.stdin.take();
        child.wait_with_output().await.unwrap()
    }

    /// A message about the channel.
    pub fn about(&self, number: u8) -> Say {
        Say::new(number).number(self.channel)
    }

    pub async fn stdout(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.say(&self.about(message::CHANNEL_DATA).string(bytes))
            .await
    }

    pub async fn stderr(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let about = self.about(message::CHANNEL_STDERR);
        self.say(&about.number(1).string(bytes)).await
    }

    pub async fn status(&mut self, code: u32) -> io::Result<()> {
        let about = self.about(message::CHANNEL_REQUEST);
        self.say(&about.string("exit-status").byte(0).number(code))
            .await
    }

    pub async fn eof(&mut self) -> io::Result<()> {
        self.say(&self.about(message::CHANNEL_EOF)).await
    }

    pub async fn close(&mut self) -> io::Result<()> {
        self.say(&self.about(message::CHANNEL_CLOSE)).await
    }
}
