//! `~/.ssh/config` and `/etc/ssh/ssh_config`, read as OpenSSH reads them.
//!
//! What has no bearing on a run is passed over (forwarding, terminals, connection sharing). What has and is not
//! supported is an error where it applies to a host of the run, never silence. One thing goes further than in
//! OpenSSH: a `Host` line means the name in the inventory, and the `address` that the inventory has for it.

mod environment;
mod file;
mod glob;
pub mod keywords;
mod lookup;
mod matching;
pub mod tokens;
pub(super) mod values;
mod words;

use crate::diagnostic::{Place, Problem};
use crate::inventory::ConnectionSettings;
use crate::transport::ssh::settings::StrictHostKeyChecking;
pub use environment::Environment;
use file::{ConfigFile, Reader};
use std::path::Path;
use std::time::Duration;

/// The configuration files of a run.
#[derive(Debug, Clone, Default)]
pub struct SshConfig {
    environment: Environment,
    files: Vec<ConfigFile>,
}

/// A value and where it was written.
#[derive(Debug, Clone)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// What the files say about a host. Tokens as `%h` and the `~` in paths are still in the values.
#[derive(Debug, Clone, Default)]
pub struct HostConfig {
    /// `HostName`.
    pub host_name: Option<Setting<String>>,
    /// `User`.
    pub user: Option<Setting<String>>,
    /// `Port`.
    pub port: Option<Setting<u16>>,
    /// `IdentityFile`, which adds up.
    pub identity_files: Vec<Setting<String>>,
    /// `IdentitiesOnly`.
    pub identities_only: Option<Setting<bool>>,
    /// `IdentityAgent`.
    pub identity_agent: Option<Setting<String>>,
    /// `UserKnownHostsFile`; `none` alone for no file.
    pub user_known_hosts_files: Option<Setting<Vec<String>>>,
    /// `GlobalKnownHostsFile`; `none` alone for no file.
    pub global_known_hosts_files: Option<Setting<Vec<String>>>,
    /// `StrictHostKeyChecking`.
    pub strict_host_key_checking: Option<Setting<StrictHostKeyChecking>>,
    /// `HostKeyAlias`.
    pub host_key_alias: Option<Setting<String>>,
    /// `ProxyJump`; `none` for no jump.
    pub proxy_jump: Option<Setting<String>>,
    /// `ConnectTimeout`.
    pub connect_timeout: Option<Setting<Duration>>,
    /// `ServerAliveInterval`.
    pub server_alive_interval: Option<Setting<Duration>>,
    /// `ServerAliveCountMax`.
    pub server_alive_count_max: Option<Setting<u32>>,
}

impl SshConfig {
    /// Reads one file, or by default `~/.ssh/config` and `/etc/ssh/ssh_config`. As with `ssh -F`, the file `none` is no
    /// file at all, and a file that is named must exist.
    ///
    /// # Errors
    ///
    /// A file that can't be read or that others can change, a line that can't be taken apart.
    pub fn load(path: Option<&Path>) -> Result<Self, Problem> {
        Self::load_in(Environment::current(), path)
    }

    /// As [`load`](Self::load), for another environment.
    ///
    /// # Errors
    ///
    /// See [`load`](Self::load).
    pub fn load_in(environment: Environment, path: Option<&Path>) -> Result<Self, Problem> {
        let mut files = Vec::new();
        match path {
            Some(path) if path == Path::new("none") => {}
            Some(path) => {
                let file = Reader::of_named_file(&environment).read(path)?;
                files.push(file.ok_or_else(|| {
                    Problem::new(format!("there is no SSH configuration {}", path.display()))
                })?);
            }
            None => {
                let user = environment.user_folder().join("config");
                files.extend(Reader::of_user_file(&environment).read(&user)?);
                let system = environment.system_folder.join("ssh_config");
                files.extend(Reader::of_system_file(&environment).read(&system)?);
            }
        }
        Ok(Self { environment, files })
    }

    /// The local user and machine that it was read for.
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    /// What the files say about a host; `above` is what command line and inventory say, as it decides what a `Match`
    /// sees and what no longer matters.
    ///
    /// # Errors
    ///
    /// A line that can't be understood, a setting that applies and is not supported.
    pub fn lookup(&self, name: &str, above: &ConnectionSettings) -> Result<HostConfig, Problem> {
        lookup::lookup(self, name, above)
    }
}
