//! Connections that are kept from one run to the next, as the operator meets them: who logs in again and who does not,
//! how runs end, and what is left behind.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on says so"
)]

#[allow(dead_code, reason = "the other half of it is for other tests")]
#[path = "../cli/bench.rs"]
mod bench;
mod ends;
mod faults;
mod keeper;
mod kept;
#[allow(dead_code, reason = "the other half of it is for other tests")]
#[path = "../cli/site.rs"]
mod site;
#[path = "../support/mod.rs"]
mod support;
