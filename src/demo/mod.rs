//! Hosts to try things on: no root, no network, nothing to install.

mod command;
pub mod server;
