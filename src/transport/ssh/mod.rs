//! SSH, over `russh`.

pub mod config;
pub mod known_hosts;
pub mod pattern;
pub mod settings;
