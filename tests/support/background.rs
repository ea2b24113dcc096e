//! A runtime for the servers and proxies of tests, whatever the test itself runs on.

use std::sync::OnceLock;
use tokio::runtime::{Builder, Handle, Runtime};

/// The runtime; it lives as long as the process.
pub fn background() -> &'static Handle {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("background")
            .enable_all()
            .build()
            .unwrap()
    });
    runtime.handle()
}
