//! Runs plays over a transport.

pub mod exchange;
pub mod message;
