//! The program as its users meet it: its words, its exit codes, and what it does to real hosts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on says so"
)]

mod late;
mod listings;
mod mistakes;
mod quoting;
mod real;
mod resume;
mod rights;
#[path = "../support/mod.rs"]
mod support;
mod templates;
mod timing;
