//! Secrets: where they come from, that they work, and that they appear nowhere.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on says so"
)]

#[path = "../cli/bench.rs"]
#[allow(dead_code, reason = "not all of it is of use here")]
mod bench;
mod canary;
mod edit;
mod mistakes;
#[path = "../cli/site.rs"]
#[allow(dead_code, reason = "not all of it is of use here")]
mod site;
mod sources;
#[path = "../support/mod.rs"]
mod support;
mod terminal;
