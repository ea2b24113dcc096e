//! Known host keys, read and judged exactly as OpenSSH's client does.

use crate::diagnostic::Problem;
use russh::keys::{Algorithm, PublicKey};
use std::path::{Path, PathBuf};

/// The host keys of all `known_hosts` files of a run.
#[derive(Debug, Clone, Default)]
pub struct KnownHosts {}

/// What the files say about a key that a host has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The key is known for this host.
    Known {
        /// The file that says so.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
    /// Other keys are known for this host, and not this one: refuse. As with OpenSSH it makes no difference
    /// whether they are of the type that the host has shown, so ask it for a type that is known:
    /// see [`KnownHosts::algorithms`].
    Changed {
        /// The file with the key that was expected.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// The type of the key that was expected.
        known_algorithm: Algorithm,
        /// The fingerprint of the key that was expected, `SHA256:...`.
        known_fingerprint: String,
    },
    /// The key is marked `@revoked` for this host: refuse, whatever the settings say.
    Revoked {
        /// The file that says so.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
    /// No key is known for this host.
    Unknown,
}

impl KnownHosts {
    /// Reads the files; one that does not exist is empty.
    ///
    /// # Errors
    ///
    /// A file that exists and can't be read: it must not count as one that knows nobody.
    pub fn load(_user_files: &[PathBuf], _global_files: &[PathBuf]) -> Result<Self, Problem> {
        Ok(Self {})
    }

    /// Judges the key that a host has shown. Give the `host_key_name` and `host_key_port` of the
    /// [`Target`](super::settings::Target).
    pub fn verdict(&self, _host: &str, _port: u16, _key: &PublicKey) -> Verdict {
        Verdict::Unknown
    }

    /// The key types that are known for a host, for the client to ask for first.
    pub fn algorithms(&self, _host: &str, _port: u16) -> Vec<Algorithm> {
        Vec::new()
    }

    /// Appends one line for a host, and says whether there was something to add. Safe with several runners at once.
    ///
    /// # Errors
    ///
    /// A file that can't be read or written.
    pub fn add(file: &Path, _host: &str, _port: u16, _key: &PublicKey) -> Result<bool, Problem> {
        Err(Problem::new(format!("can't write {}", file.display())))
    }
}

/// The fingerprint of a key as OpenSSH prints it: `SHA256:...`.
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(russh::keys::HashAlg::Sha256).to_string()
}
