//! SSH, over `russh`.

mod agent;
mod algorithms;
mod auth;
mod channel;
mod client;
pub mod config;
mod connect;
mod deadline;
mod dial;
mod explain;
mod flow;
mod hints;
mod host_key;
mod keys;
pub mod known_hosts;
mod pace;
mod password;
pub mod pattern;
mod pool;
mod session;
pub mod settings;
mod signer;
mod stream;

use self::config::SshConfig;
use self::connect::{Connector, Jumps};
use self::settings::Target;
use crate::inventory::{ConnectionSettings, Host};
use crate::transport::{ConnectError, Connection, Transport};
use async_trait::async_trait;
use russh::keys::PublicKey;
use std::fmt;
use std::sync::Arc;

pub use host_key::{HostKeyPrompt, NewKey};
pub use keys::Prompt;
pub(crate) use session::SshConnection;

/// What the command line says about connections, and how to ask the operator.
#[derive(Default, Clone)]
pub struct SshOptions {
    /// Settings of the command line; they win over all others.
    pub settings: ConnectionSettings,
    /// The configuration files, read.
    pub config: SshConfig,
    /// The password of `--ask-pass`, for hosts that take no key.
    pub password: Option<String>,
    /// Asks about new host keys; without it they are refused unless the settings accept them.
    pub host_keys: Option<Arc<dyn HostKeyPrompt>>,
    /// Asks for passphrases; without it encrypted keys can't be used.
    pub prompt: Option<Arc<dyn Prompt>>,
}

impl fmt::Debug for SshOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SshOptions")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Connects to hosts over SSH.
pub struct SshTransport {
    settings: ConnectionSettings,
    config: SshConfig,
    connector: Connector,
}

impl SshTransport {
    /// A transport for one run: keys are decrypted once, new hosts are asked about together, jump hosts are shared.
    pub fn new(options: SshOptions) -> Self {
        let terminal = Arc::new(tokio::sync::Mutex::new(()));
        Self {
            settings: options.settings,
            config: options.config,
            connector: Connector {
                host_keys: host_key::HostKeys::new(options.host_keys, terminal.clone()),
                keys: keys::Keys::new(options.prompt, terminal),
                password: options.password.map(password::Password::new),
                pace: pace::Pace::default(),
                jumps: Jumps::default(),
                hints: hints::Hints::load(hints::file()),
            },
        }
    }

    /// Connects to a target whose settings are all known.
    ///
    /// # Errors
    ///
    /// The phase, the cause and the way out.
    pub async fn connect_to(&self, target: Target) -> Result<Arc<dyn Connection>, ConnectError> {
        Ok(self.log_in(target).await?)
    }

    /// The same, as a connection that can be kept.
    pub(crate) async fn log_in(&self, target: Target) -> Result<Arc<SshConnection>, ConnectError> {
        let target = Arc::new(target);
        let made = self.connector.establish(&target, &target.jumps).await?;
        Ok(Arc::new(SshConnection::new(
            made.handle,
            made.shared,
            made.jump,
            &target,
        )))
    }

    /// Where a host is and how to log in there.
    pub(crate) fn target(&self, host: &Host) -> Result<Target, ConnectError> {
        settings::resolve(host, &self.settings, &self.config).map_err(|problem| {
            let mut error = ConnectError::unreachable(problem.message);
            error.help = problem.help;
            error
        })
    }

    /// Whether a key that a host has proven to another run is one that this run would trust unasked.
    pub(crate) fn trusts(&self, target: &Target, key: &PublicKey) -> bool {
        self.connector.host_keys.trusts(target, key)
    }
}

#[async_trait]
impl Transport for SshTransport {
    async fn connect(&self, host: &Host) -> Result<Arc<dyn Connection>, ConnectError> {
        self.connect_to(self.target(host)?).await
    }
}
