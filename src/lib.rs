//! An agentless orchestration runner: an inventory, TOML playbooks, and SSH.
//!
//! # The way of a run
//!
//! ```text
//! cli ── reads ──> inventory, playbook, vars            all problems at once, nothing is connected to
//!  │                     │
//!  │                    plan                            tasks x hosts, with everything filled in
//!  │                     │
//!  ├── starts ──>      engine ── asks and acts ──> transport (ssh, local, fake)
//!  │                     │
//!  └── starts ──>       ui <── events ──┘               bars, lines or JSON; a report with the exit code
//! ```
//!
//! - [`inventory`]: hosts, groups, patterns, connection settings. [`playbook`]: plays and tasks as typed data.
//!   Both keep the place of everything ([`document`]), so that a [`diagnostic`] can point at it.
//! - [`vars`]: layers of variables, and Jinja templates over them.
//! - [`modules`]: the task types. A module is pure: what it found goes in, what must be done comes out. To add
//!   one, write one file and add one line to the table in [`modules::all`].
//! - [`plan`]: fills in a task for a host. The check before a run and the run itself use the same function.
//! - [`engine`]: takes each host through its tasks over a [`transport`], and sends [`event`]s. It prints nothing.
//! - [`ui`] and [`report`]: fold events into what a person, a script or the shell's `$?` sees. [`exit`] has the codes.
//!   [`timing`] says where the time went.
//! - [`journal`]: the same events on disk, for `--resume`, `runner history` and `@failed`.
//! - [`secret`] finds out the variables that nobody may see.
//! - [`redact`] takes secrets out of whatever leaves the process.
//! - [`spool`]: outputs that are larger than what memory is for.
//! - [`demo`]: SSH hosts inside this process, to try things on.
//!
//! Imports run one way, from the top of this picture to the bottom; a test guards it.

pub mod cli;
pub mod demo;
pub mod diagnostic;
pub mod document;
pub mod engine;
pub mod event;
pub mod exit;
pub mod inventory;
pub mod journal;
pub mod modules;
pub mod plan;
pub mod playbook;
pub mod redact;
pub mod report;
pub mod run_id;
pub mod secret;
pub mod shell;
pub mod spool;
pub mod timing;
pub mod transport;
pub mod ui;
pub mod vars;
