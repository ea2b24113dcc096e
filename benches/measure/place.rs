//! A folder with keys, an inventory and playbooks, to run the program in.

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use std::fmt::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use tempfile::TempDir;

pub struct Place(TempDir);

impl Place {
    /// A folder with a client's key pair, and an empty `ssh_config`.
    pub fn new() -> Self {
        let place = Self(
            tempfile::Builder::new()
                .prefix("measure-")
                .tempdir()
                .unwrap(),
        );
        let key =
            PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap();
        place.write("key", &key.to_openssh(LineEnding::LF).unwrap());
        place.write("key.pub", &key.public_key().to_openssh().unwrap());
        place.write("ssh_config", "");
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Names so many hosts that are reached at these addresses in turn, all with the same host key.
    pub fn hosts(&self, count: usize, user: &str, addresses: &[SocketAddr], host_key: &str) {
        let mut hosts = format!(
            "[connection]\nuser = \"{user}\"\nidentity_file = \"{}\"\nuser_known_hosts_file = \"{}\"\n\n[hosts]\n",
            self.path("key").display(),
            self.path("known_hosts").display()
        );
        for (number, at) in (0..count).zip(addresses.iter().cycle()) {
            writeln!(
                hosts,
                "host{number:04} = {{ address = \"{}\", port = {}, groups = [\"g{}\"], vars = {{ number = {number} }} }}",
                at.ip(),
                at.port(),
                number % 10
            )
            .unwrap();
        }
        self.write("hosts.toml", &hosts);
        let known = addresses
            .iter()
            .map(|at| format!("[{}]:{} {host_key}\n", at.ip(), at.port()));
        self.write("known_hosts", &known.collect::<String>());
    }
}
