//! What several integration tests need.
#![allow(dead_code, reason = "each test uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout
)]

pub mod background;
pub mod bench;
pub mod hostile;
pub mod place;
pub mod promise;
pub mod proxy;
pub mod shell;
pub mod site;
pub mod sshd;
pub mod terminal;
