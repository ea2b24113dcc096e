//! Connection settings, named as in ssh_config, in snake case.

use std::path::PathBuf;
use std::time::Duration;

/// How to connect to a host. Each setting that is not set falls to the next layer below:
/// command line, host, group, `[connection]`, `~/.ssh/config`, built-in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// The name or address to dial; by default the host's name (and its `HostName` in `~/.ssh/config`).
    pub address: Option<String>,
    /// The TCP port.
    pub port: Option<u16>,
    /// The user to log in as.
    pub user: Option<String>,
    /// Private keys to offer, in this order.
    pub identity_file: Option<Vec<PathBuf>>,
    /// Whether only the keys named here are offered.
    pub identities_only: Option<bool>,
    /// The agent's socket, or `none`.
    pub identity_agent: Option<String>,
    /// Hosts to jump through, first one first, as `[user@]host[:port]`, or `none`.
    pub proxy_jump: Option<String>,
    /// One deadline for name lookup, TCP, key exchange and authentication together.
    pub connect_timeout: Option<Duration>,
    /// Files of known host keys.
    pub user_known_hosts_file: Option<Vec<PathBuf>>,
    /// Files of host keys known to everyone on this machine.
    pub global_known_hosts_file: Option<Vec<PathBuf>>,
    /// The name to look the host key up under.
    pub host_key_alias: Option<String>,
    /// `yes` (unknown keys are refused), `accept-new`, `no` or `ask`.
    pub strict_host_key_checking: Option<String>,
    /// How long the connection may be silent before the host is asked for a sign of life.
    pub server_alive_interval: Option<Duration>,
    /// How many such questions may stay unanswered.
    pub server_alive_count_max: Option<u32>,
    /// `ssh` (the default) or `local` (run on this machine, without SSH).
    pub transport: Option<String>,
}
