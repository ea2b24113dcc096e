//! What several integration tests need.
#![allow(dead_code, reason = "each test uses a part of it")]

pub mod sshd;
