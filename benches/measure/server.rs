//! Many SSH hosts in one process, which don't run what they are asked to but answer at once.
//!
//! A real shell for each command would cost more than all that is to be measured.

use crate::place::Place;
use russh::keys::{Algorithm, PrivateKey};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, Session, VerifiedPublicKey, run_stream,
};
use russh::{Channel, ChannelId, ChannelMsg, Preferred, cipher};
use std::borrow::Cow;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

const HOSTS: &str = "MEASURE_HOSTS";

/// The process with the hosts. It ends when this is dropped.
pub struct Servers {
    child: Child,
    pub addresses: Vec<SocketAddr>,
    pub host_key: String,
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Servers {
    /// So many hosts, each at a loopback address of its own.
    pub fn start(place: &Place, count: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .env("MEASURE_ROLE", "server")
            .env(HOSTS, count.to_string())
            .current_dir(place.path(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut line = || lines.next().unwrap().unwrap();
        let host_key = line();
        let addresses = (0..count).map(|_| line().parse().unwrap()).collect();
        Self {
            child,
            addresses,
            host_key,
        }
    }

    /// What the process has used on all cores together.
    pub fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        let ticks: u64 = fields[11..13]
            .iter()
            .map(|field| field.parse::<u64>().unwrap())
            .sum();
        Duration::from_millis(ticks * 10)
    }
}

/// The process, in a role of this program. Its standard input ends with whoever has started it.
pub fn main() -> ExitCode {
    raise_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(serve());
    ExitCode::SUCCESS
}

fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    setrlimit(Resource::Nofile, raised).unwrap();
}

async fn serve() {
    let count: usize = std::env::var(HOSTS).unwrap().parse().unwrap();
    let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap();
    println!("{}", key.public_key().to_openssh().unwrap());
    let config = Arc::new(Config {
        keys: vec![key],
        nodelay: true,
        inactivity_timeout: None,
        auth_rejection_time: Duration::ZERO,
        preferred: Preferred {
            cipher: Cow::Borrowed(&[cipher::AES_128_GCM, cipher::AES_256_GCM]),
            ..Preferred::DEFAULT
        },
        ..Config::default()
    });
    for number in 0..count {
        let [high, low] = u16::try_from(number).unwrap().to_be_bytes();
        let address = Ipv4Addr::new(127, 77, high, low);
        let listener = TcpListener::bind((address, 0)).await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        let config = config.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let config = config.clone();
                tokio::spawn(async move {
                    stream.set_nodelay(true).ok();
                    if let Ok(session) = run_stream(config, stream, Login).await {
                        session.await.ok();
                    }
                });
            }
        });
    }
    let mut nothing = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut tokio::io::stdin(), &mut nothing)
        .await
        .ok();
}

struct Login;

impl Handler for Login {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        _: &str,
        _: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(Auth::Accept)
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        tokio::spawn(answer(channel));
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        _: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        session.channel_success(id)
    }
}

/// Reads a message to its end and answers each of its steps with success.
async fn answer(mut channel: Channel<Msg>) {
    let mut message = Vec::new();
    while let Some(event) = channel.wait().await {
        match event {
            ChannelMsg::Exec { command, .. } => message.extend(command),
            ChannelMsg::Data { data } => message.extend_from_slice(&data),
            ChannelMsg::Close => return,
            _ => continue,
        }
        if let Some((out, err)) = reply(&String::from_utf8_lossy(&message)) {
            channel.data_bytes(out).await.ok();
            channel.extended_data_bytes(1, err).await.ok();
            channel.exit_status(0).await.ok();
            channel.eof().await.ok();
            channel.close().await.ok();
            return;
        }
    }
}

/// What a host says on both streams to a message whose steps all succeed, once the message has arrived.
pub fn reply(message: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let (nonce, count) = steps(message)?;
    let mut err = format!("\n{nonce} pid 7\n");
    for step in 0..count {
        err.push_str(&format!("\n{nonce} {step} 0\n"));
    }
    let out = err.replacen("pid 7\n", "pid 7\nLinux\n", 1);
    Some((out.into_bytes(), err.into_bytes()))
}

/// The word that marks the ends of steps, and how many there are.
fn steps(message: &str) -> Option<(&str, usize)> {
    let (_, rest) = message.split_once("rn_n=")?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-')?;
    let (_, last) = message.rsplit_once('}')?;
    last.contains("rn_main").then_some(())?;
    let numbers = message.split("rn_end ").filter_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<usize>().ok()
    });
    Some((&rest[..end], numbers.max()? + 1))
}
