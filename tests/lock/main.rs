//! Two runs never work on one host: who is refused, in which words, who waits, and what is left of a lock. And what a run says
//! that is interrupted.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on says so"
)]

mod anew;
mod cut;
mod held;
mod hosts;
mod interrupts;
mod released;
mod room;
#[path = "../support/mod.rs"]
mod support;
mod unlock;
mod wait;
