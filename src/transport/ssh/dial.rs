//! Name lookup and TCP.

use super::explain;
use crate::transport::ConnectError;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// How long one address gets before the next is tried beside it.
const STAGGER: Duration = Duration::from_millis(250);

/// What an attempt to connect is busy with, for the message when its time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Phase {
    Queue,
    Lookup,
    Connecting(String),
    Jump(String),
    KeyExchange,
    Authentication,
    /// An agent has been asked for a signature.
    Agent(PathBuf),
}

impl Phase {
    pub(super) fn words(&self) -> String {
        match self {
            Phase::Queue => "waiting for other logins to the same address".into(),
            Phase::Lookup => "name lookup".into(),
            Phase::Connecting(address) => format!("connecting to {address}"),
            Phase::Jump(host) => format!("connecting through {host}"),
            Phase::KeyExchange => "key exchange".into(),
            Phase::Authentication => "authentication".into(),
            Phase::Agent(socket) => format!("authentication: agent {}", socket.display()),
        }
    }
}

/// How far it has come, shared between those that advance it and the one that watches the clock.
#[derive(Debug, Clone)]
pub(super) struct Progress(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Why it is being tried again.
    failed: Option<ConnectError>,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            phase: Phase::Queue,
            failed: None,
        })))
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.state().phase = phase;
    }

    pub(super) fn phase(&self) -> Phase {
        self.state().phase.clone()
    }

    /// An attempt has failed, and another one will follow.
    pub(super) fn fail(&self, error: ConnectError) {
        self.state().failed = Some(error);
    }

    /// How the last attempt has failed, if there was one before the present one.
    pub(super) fn failed(&self) -> Option<ConnectError> {
        self.state().failed.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Resolves a name and connects to the first of its addresses that answers.
///
/// `segment` is the maximum segment size to ask for.
pub(super) async fn dial(
    host: &str,
    port: u16,
    segment: Option<u16>,
    progress: &Progress,
) -> Result<Dialed, Undialed> {
    progress.enter(Phase::Lookup);
    let found = tokio::net::lookup_host((host, port)).await;
    let addresses = match found {
        Ok(found) => interleave(found.collect()),
        Err(error) => return Err(Undialed::from(explain::lookup(host, &error))),
    };
    if addresses.is_empty() {
        return Err(Undialed::from(format!("`{host}` has no address")));
    }
    let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    progress.enter(Phase::Connecting(shown.join(", ")));
    first_of(addresses, segment, progress).await
}

/// IPv6 and IPv4 by turns, so that a dead family costs one stagger and not one for each of its addresses.
fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut same, mut other): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    same.reverse();
    other.reverse();
    let mut mixed = Vec::with_capacity(same.len() + other.len());
    while let Some(address) = same.pop() {
        mixed.push(address);
        mixed.extend(other.pop());
    }
    other.reverse();
    mixed.extend(other);
    mixed
}

/// Why there is no TCP connection; the phase says where.
#[derive(Debug, Default)]
pub(super) struct Undialed {
    /// The cause in words.
    pub(super) why: String,
    /// It was accepted and reset at once, as a server does that has too much to do.
    pub(super) again: bool,
}

impl From<String> for Undialed {
    fn from(why: String) -> Self {
        Self { why, again: false }
    }
}

/// A TCP connection.
pub(super) struct Dialed {
    pub(super) stream: TcpStream,
    /// How long the answer took: a round trip.
    pub(super) trip: Duration,
}

async fn connect(address: SocketAddr, segment: Option<u16>) -> std::io::Result<Dialed> {
    let began = Instant::now();
    let stream = open(address, segment).await?;
    Ok(Dialed {
        stream,
        trip: began.elapsed(),
    })
}

async fn open(address: SocketAddr, segment: Option<u16>) -> std::io::Result<TcpStream> {
    let Some(segment) = segment else {
        return TcpStream::connect(address).await;
    };
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // A kernel that does not want to is no reason to give up.
    let _ = socket2::SockRef::from(&socket).set_tcp_mss(u32::from(segment));
    socket.connect(address).await
}

async fn first_of(
    addresses: Vec<SocketAddr>,
    segment: Option<u16>,
    progress: &Progress,
) -> Result<Dialed, Undialed> {
    let mut waiting = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut last = Undialed::default();
    loop {
        let more = waiting.next();
        if let Some(address) = more {
            attempts.spawn(async move { (address, connect(address, segment).await) });
        }
        let stagger = async {
            match waiting.len() {
                0 => std::future::pending().await,
                _ => tokio::time::sleep(STAGGER).await,
            }
        };
        tokio::select! {
            ended = attempts.join_next() => match ended {
                None => return Err(last),
                Some(Ok((address, Ok(dialed)))) => {
                    progress.enter(Phase::Connecting(address.to_string()));
                    // Without this a small request waits for the acknowledgment of the one before.
                    let _ = dialed.stream.set_nodelay(true);
                    return Ok(dialed);
                }
                Some(Ok((address, Err(error)))) => {
                    progress.enter(Phase::Connecting(address.to_string()));
                    last = Undialed {
                        why: explain::io(&error),
                        again: error.kind() == std::io::ErrorKind::ConnectionReset,
                    };
                }
                Some(Err(error)) => last = Undialed::from(error.to_string()),
            },
            () = stagger => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_take_turns() {
        let addresses: Vec<SocketAddr> = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"]
            .iter()
            .map(|address| address.parse().unwrap())
            .collect();
        let mixed: Vec<String> = interleave(addresses)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(mixed, ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]);
    }

    #[tokio::test]
    async fn a_closed_port_is_named_with_its_address() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let progress = Progress::new();
        let error = dial("127.0.0.1", port, None, &progress)
            .await
            .err()
            .unwrap();
        assert_eq!(error.why, "connection refused");
        assert_eq!(
            progress.phase().words(),
            format!("connecting to 127.0.0.1:{port}")
        );
    }
}
