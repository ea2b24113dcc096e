//! The verdict on a host key, against what OpenSSH's own client says to the same files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that can't go on says so"
)]

mod cases;
mod files;
mod lab;
#[path = "../support/mod.rs"]
mod support;
mod verdict;
