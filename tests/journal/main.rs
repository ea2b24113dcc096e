//! The journal as the operator meets it: going on where a run stopped, the hosts that it did not finish, the runs of the
//! past; and its files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on says so"
)]

mod changed;
mod files;
mod history;
mod killed;
mod lists;
mod local;
mod resume;
#[path = "../support/mod.rs"]
mod support;
mod unwritten;
