//! A server's side of SSH, by hand: just enough to be believed, with curve25519, ed25519, AES-128-GCM and strict key exchange.

use super::{Fields, IDENTIFICATION, Say, Wire, framed};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use std::io;
use std::process::Stdio;

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
