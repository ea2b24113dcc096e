//! An agentless orchestration runner: an inventory, TOML playbooks, and SSH.

pub mod cli;
pub mod demo;
pub mod diagnostic;
pub mod document;
pub mod engine;
pub mod event;
pub mod exit;
pub mod inventory;
pub mod modules;
pub mod plan;
pub mod playbook;
pub mod report;
pub mod transport;
pub mod ui;
pub mod vars;
