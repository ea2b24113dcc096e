//! Which transport a host takes: SSH, or none at all for this machine.

use super::local::LocalTransport;
use super::{ConnectError, Connection, Transport};
use crate::inventory::Host;
use async_trait::async_trait;
use std::sync::Arc;

/// Every transport of a run.
pub struct Routes {
    /// For hosts elsewhere.
    pub ssh: Box<dyn Transport>,
    /// For `transport = "local"`.
    pub local: LocalTransport,
}

impl Routes {
    /// Whether a host is this machine itself.
    pub fn is_local(host: &Host) -> bool {
        host.connection.transport.as_deref() == Some("local")
    }
}

#[async_trait]
impl Transport for Routes {
    async fn connect(&self, host: &Host) -> Result<Arc<dyn Connection>, ConnectError> {
        if Self::is_local(host) {
            self.local.connect(host).await
        } else {
            self.ssh.connect(host).await
        }
    }
}
