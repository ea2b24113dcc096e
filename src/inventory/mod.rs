//! Hosts, groups and patterns: who a play is for.

pub mod connection;

use crate::document::Table;
pub use connection::ConnectionSettings;

/// One host.
#[derive(Debug, Clone)]
pub struct Host {
    /// The name in the inventory, which is also `inventory_hostname`.
    pub name: String,
    /// How to connect, merged from `[connection]`, its groups and its own line. What is not set
    /// here comes from `~/.ssh/config`.
    pub connection: ConnectionSettings,
    /// The groups it is in, parents included, in the order of the file, without `all`.
    pub groups: Vec<String>,
    /// Its own variables, as written.
    pub vars: Table,
}
