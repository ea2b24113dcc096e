//! From a target to an authenticated connection: name, TCP or jump host, key exchange, login.

use super::auth::Login;
use super::client::{Client, HandshakeError, Shared};
use super::deadline::Deadline;
use super::dial::{Phase, Progress, dial};
use super::hints::Hints;
use super::host_key::HostKeys;
use super::keys::Keys;
use super::pace::{Pace, pause_before};
use super::password::Password;
use super::session::Link;
use super::settings::Target;
use super::stream::{Head, Stream};
use super::{algorithms, explain};
use crate::transport::ConnectError;
use russh::client::{self, Handle};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::BufReader;
use tokio::time::Instant;

/// The bytes that a read may bring beyond the packet that is wanted.
const READ: usize = 4096;

/// What all connections of a run share.
pub(super) struct Connector {
    pub(super) host_keys: Arc<HostKeys>,
    pub(super) keys: Keys,
    pub(super) password: Option<Password>,
    pub(super) pace: Pace,
    pub(super) jumps: Jumps,
    pub(super) hints: Hints,
}

/// An authenticated connection, not yet dressed as one for commands or one to jump through.
pub(super) struct Established {
    pub(super) handle: Handle<Client>,
    pub(super) shared: Arc<Shared>,
    pub(super) jump: Option<Arc<Link>>,
}

/// The connections to jump hosts.
#[derive(Default)]
pub(super) struct Jumps(Mutex<HashMap<String, Arc<tokio::sync::Mutex<Jump>>>>);

#[derive(Default)]
struct Jump {
    link: Option<Arc<Link>>,
    failed: Option<(Instant, ConnectError)>,
}

/// Why an attempt failed, and whether another one makes sense.
struct Failure {
    error: ConnectError,
    again: bool,
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self {
            error,
            again: false,
        }
    }
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Connector {
    /// Connects and logs in within the target's `connect_timeout`.
    pub(super) fn establish<'a>(
        &'a self,
        target: &'a Arc<Target>,
        jumps: &'a [Target],
    ) -> Boxed<'a, Result<Established, ConnectError>> {
        Box::pin(async move {
            let deadline = Arc::new(Deadline::after(target.connect_timeout));
            let progress = Progress::new();
            let attempts = self.attempts(target, jumps, &deadline, &progress);
            match deadline.run(attempts).await {
                Some(outcome) => outcome,
                None => Err(late(target, &progress)),
            }
        })
    }

    /// Tries until it is settled; a server that is too busy to begin with is asked again.
    async fn attempts(
        &self,
        target: &Arc<Target>,
        jumps: &[Target],
        deadline: &Arc<Deadline>,
        progress: &Progress,
    ) -> Result<Established, ConnectError> {
        let place = match jumps.last() {
            None => format!("{}:{}", target.address, target.port),
            Some(jump) => format!("{}:{} via {}", target.address, target.port, jump.name),
        };
        let mut attempt = 0;
        loop {
            progress.enter(Phase::Queue);
            let turn = self.pace.turn(&place).await;
            let failure = match self.attempt(target, jumps, deadline, progress).await {
                Ok(established) => return Ok(established),
                Err(failure) => failure,
            };
            match pause_before(attempt).filter(|_| failure.again) {
                None => return Err(failure.error),
                Some(pause) => {
                    turn.throttled();
                    tracing::debug!(host = %target.name, error = %failure.error, ?pause, "trying again");
                    progress.fail(failure.error);
                    tokio::time::sleep(pause).await;
                    attempt += 1;
                }
            }
        }
    }

    async fn attempt(
        &self,
        target: &Arc<Target>,
        jumps: &[Target],
        deadline: &Arc<Deadline>,
        progress: &Progress,
    ) -> Result<Established, Failure> {
        let ticket = self.host_keys.ticket();
        let known = self.host_keys.algorithms(target)?;
        let head = Head::default();
        let phased =
            |why: String| ConnectError::unreachable(format!("{}: {why}", progress.phase().words()));
        let shared = Shared::new();
        let server = format!("{}:{}", target.address, target.port);
        let mut trip = None;
        let (stream, jump) = match jumps.split_last() {
            None => {
                let segment = self.hints.segment(&server);
                let dialed = dial(&target.address, target.port, segment, progress)
                    .await
                    .map_err(|error| Failure {
                        error: phased(error.why),
                        again: error.again,
                    })?;
                set_user_timeout(&dialed.stream, target);
                let near = dialed
                    .stream
                    .peer_addr()
                    .is_ok_and(|peer| peer.ip().is_loopback());
                trip = Some(dialed.trip).filter(|_| !near);
                let stream = Stream::tcp(dialed.stream, head.clone(), shared.flow().clone());
                (stream, None)
            }
            Some((last, before)) => {
                let link = {
                    // It has its own deadline.
                    let _pause = deadline.pause();
                    self.jump(last, before).await?
                };
                progress.enter(Phase::Jump(last.name.clone()));
                let channel = link
                    .dial(&target.address, target.port)
                    .await
                    .map_err(&phased)?;
                (
                    Stream::channel(channel, head.clone(), shared.flow().clone()),
                    Some(link),
                )
            }
        };
        progress.enter(Phase::KeyExchange);
        let client = Client {
            target: target.clone(),
            host_keys: self.host_keys.clone(),
            deadline: deadline.clone(),
            shared: shared.clone(),
            ticket: Some(ticket),
            banners: 0,
        };
        let config = Arc::new(config(target, &known));
        // russh reads a packet in two steps, and the small ones come in swarms while a file is sent.
        let stream = BufReader::with_capacity(READ, stream);
        let mut handle = client::connect_stream(config, stream, client)
            .await
            .map_err(|error| match error {
                HandshakeError::Refused(error) => Failure::from(error),
                HandshakeError::Protocol(error) => {
                    let (why, again) = match shared.parting_words() {
                        Some(words) => (words, false),
                        None => explain::key_exchange(&error, &head),
                    };
                    Failure {
                        error: phased(why),
                        again,
                    }
                }
            })?;
        if let (Some(trip), Some(offer)) = (trip, head.offer()) {
            self.hints.learn(&server, offer, trip);
        }
        progress.enter(Phase::Authentication);
        let login = Login {
            target,
            keys: &self.keys,
            password: self.password.as_ref(),
            deadline,
            shared: &shared,
            head: &head,
            progress,
            tried: Vec::new(),
            notes: Vec::new(),
            accepts: None,
        };
        login.run(&mut handle).await?;
        Ok(Established {
            handle,
            shared,
            jump,
        })
    }

    /// The connection to a jump host: one for all that is behind it.
    async fn jump(&self, jump: &Target, before: &[Target]) -> Result<Arc<Link>, ConnectError> {
        let asked = Instant::now();
        let key = format!("{before:?} {jump:?}");
        let slot = {
            let mut all = self.jumps.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.entry(key).or_default().clone()
        };
        let mut slot = slot.lock().await;
        if let Some(link) = slot.link.as_ref().filter(|link| link.is_alive()) {
            return Ok(link.clone());
        }
        // Those that waited while it failed share the failure.
        if let Some((when, error)) = slot.failed.as_ref().filter(|(when, _)| *when >= asked) {
            tracing::debug!(host = %jump.name, ?when, "sharing a failure");
            return Err(error.clone());
        }
        let target = Arc::new(jump.clone());
        match self.establish(&target, before).await {
            Ok(made) => {
                let link = Arc::new(Link::new(made.handle, made.shared, made.jump));
                slot.link = Some(link.clone());
                Ok(link)
            }
            Err(mut error) => {
                error.message = format!("jump host {}: {}", jump.name, error.message);
                slot.failed = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}

fn config(target: &Target, known: &[russh::keys::Algorithm]) -> client::Config {
    client::Config {
        client_id: russh::SshId::Standard(
            concat!("SSH-2.0-runner_", env!("CARGO_PKG_VERSION")).into(),
        ),
        preferred: algorithms::preferred(known),
        gex: algorithms::group_sizes(),
        channel_buffer_size: 16,
        keepalive_interval: target.server_alive_interval,
        keepalive_max: usize::try_from(target.server_alive_count_max).unwrap_or(usize::MAX),
        nodelay: true,
        ..client::Config::default()
    }
}

/// Data that nobody acknowledges ends the connection too: while a write is stuck no sign of life can be asked for.
fn set_user_timeout(stream: &tokio::net::TcpStream, target: &Target) {
    #[cfg(target_os = "linux")]
    if let Some(time) = target.patience() {
        let time = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        let _ = rustix::net::sockopt::set_tcp_user_timeout(stream, time);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (stream, target);
}

fn late(target: &Target, progress: &Progress) -> ConnectError {
    let time = seconds(target.connect_timeout);
    if let Some(error) = progress.failed() {
        return error.help(format!("it was tried again for {time}"));
    }
    let phase = progress.phase();
    let error = ConnectError::unreachable(format!("{}: no answer within {time}", phase.words()));
    match phase {
        Phase::Connecting(_) | Phase::Lookup => {
            error.help("check the address and the network between")
        }
        Phase::Agent(_) => error
            .help("it may wait for a confirmation, a PIN or a touch; connect_timeout says how long that may take"),
        _ => error.help(format!(
            "a slow host needs a longer connect_timeout than {time}"
        )),
    }
}

fn seconds(time: Duration) -> String {
    match time.subsec_millis() {
        0 => format!("{} s", time.as_secs()),
        _ => format!("{} ms", time.as_millis()),
    }
}
