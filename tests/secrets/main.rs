//! Secrets: where they come from, that they work, and that they appear nowhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on says so"
)]

mod canary;
mod edit;
mod keys;
mod mistakes;
mod nest;
mod own;
mod processes;
mod sources;
#[path = "../support/mod.rs"]
mod support;
