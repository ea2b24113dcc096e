//! The engine over hosts that exist only in a closure: who does what, when, how often, and what is said of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on says so"
)]

mod ahead;
mod checking;
mod faults;
mod flow;
mod hosts;
mod rendering;
mod scene;
mod secrets;
mod shells;
mod trips;
mod values;
