//! Connections that are kept from one run to the next, as the operator meets them: who logs in again and who does not,
//! how runs end, and what is left behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on says so"
)]

mod ends;
mod faults;
mod keeper;
mod kept;
#[path = "../support/mod.rs"]
mod support;
