//! The journal as the operator meets it: going on where a run stopped, the hosts that it did not finish, the runs of the
//! past; and its files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on says so"
)]

#[allow(dead_code, reason = "the other half of it is for other tests")]
#[path = "../cli/bench.rs"]
mod bench;
mod changed;
mod files;
mod history;
mod killed;
mod lists;
mod local;
mod resume;
#[allow(dead_code, reason = "the other half of it is for other tests")]
#[path = "../cli/site.rs"]
mod site;
#[path = "../support/mod.rs"]
mod support;
mod unwritten;
