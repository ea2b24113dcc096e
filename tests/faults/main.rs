//! What the runner does when things break: each case injects a fault for real, and [`harness`] checks by itself what
//! must be true in every one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that can't go on says so"
)]

mod cable;
mod commands;
mod connecting;
mod cuts;
mod files;
mod handshake;
#[allow(dead_code, reason = "cases come and go")]
mod harness;
mod identity;
mod input;
mod interrupts;
mod limits;
mod odd;
mod output;
mod planted;
mod servers;
mod silence;
mod sudo;
#[path = "../support/mod.rs"]
mod support;
mod terminal;
mod tools;
mod travels;
mod watch;
#[allow(dead_code, reason = "cases come and go")]
mod world;
