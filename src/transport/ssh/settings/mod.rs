//! Everything that is needed to connect to a host, with every value filled in.

mod identity;
mod jump;
mod resolve;

pub use jump::Jump;
pub use resolve::resolve;
use std::path::PathBuf;
use std::time::Duration;

/// Where and how to connect, with nothing left open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name in the inventory, or of a jump host as it was written.
    pub name: String,
    /// The name or address to dial.
    pub address: String,
    /// The TCP port.
    pub port: u16,
    /// The user to log in as.
    pub user: String,
    /// Keys that exist, in the order to offer them. A file can also be the public half of a key that the agent has,
    /// or be missing with only its `.pub` beside it: then the agent has to sign.
    pub identity_files: Vec<PathBuf>,
    /// Whether only `identity_files` are offered, also when the agent holds more.
    pub identities_only: bool,
    /// The agent's socket.
    pub identity_agent: Option<PathBuf>,
    /// Files of known host keys. New keys go to the first one.
    pub user_known_hosts_files: Vec<PathBuf>,
    /// Files of host keys known to everyone on this machine.
    pub global_known_hosts_files: Vec<PathBuf>,
    /// The name to look the host key up under: `HostKeyAlias`, or the address.
    pub host_key_name: String,
    /// The port that belongs to that name: the host's, or 22 with a `HostKeyAlias`.
    pub host_key_port: u16,
    /// What to do with a host key that is not known.
    pub strict_host_key_checking: StrictHostKeyChecking,
    /// The hosts to jump through, first one first. Their own `jumps` are empty.
    pub jumps: Vec<Target>,
    /// One deadline for name lookup, TCP, key exchange and authentication together.
    pub connect_timeout: Duration,
    /// How long the connection may be silent before the host is asked for a sign of life. `None`: never.
    pub server_alive_interval: Option<Duration>,
    /// How many such questions may stay unanswered.
    pub server_alive_count_max: u32,
}

impl Target {
    /// How long the server may be silent until the connection counts as dead. `None`: for ever.
    pub fn patience(&self) -> Option<Duration> {
        let interval = self.server_alive_interval?;
        Some(interval.saturating_mul(self.server_alive_count_max.saturating_add(1)))
    }
}

/// What to do with a host key that is not known. A changed or revoked key is refused whatever this says; there the
/// runner is stricter than OpenSSH, which goes on after a warning where this is `no`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StrictHostKeyChecking {
    /// Refuse it.
    Yes,
    /// Note it and go on.
    AcceptNew,
    /// Note it and go on.
    No,
    /// Ask on the terminal; refuse it where there is none.
    Ask,
}
