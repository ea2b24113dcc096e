//! Hosts to try things on: no root, no network, nothing to install.

mod command;
pub mod server;

use russh::keys::PublicKey;
use std::path::PathBuf;

/// What the logins and commands of a host need to know.
struct Place {
    name: String,
    home: PathBuf,
    authorized: PublicKey,
}
