//! What `exec`, `task` and `ping` have in common: one task, on the hosts of a pattern, without a playbook.

use super::Answer;
use super::journal::{self, Entry};
use super::options::{BecomeOptions, ConnectOptions, InventoryOptions, OutputOptions, RunOptions};
use super::perform::{Keeping, Manner, perform};
use super::prepare::{Request, prepare};
use crate::diagnostic::{Problems, Source};
use crate::document::Table;
use crate::engine::{Lock, Selection};
use crate::journal::Kind;
use crate::playbook::{Play, Playbook, Privilege, Task};
use std::path::PathBuf;

/// The options of an ad-hoc command.
#[derive(Debug, clap::Args)]
pub(crate) struct AdhocOptions {
    #[command(flatten)]
    pub inventory: InventoryOptions,
    #[command(flatten)]
    pub run: RunOptions,
    #[command(flatten)]
    pub rights: BecomeOptions,
    #[command(flatten)]
    pub connect: ConnectOptions,
    #[command(flatten)]
    pub output: OutputOptions,
}

/// What kind of task it is.
pub(super) struct Nature {
    /// Its output is the result, and is shown.
    pub shows: bool,
    /// The operator has typed nothing that others on the host may not see.
    pub public: bool,
    /// Which command it is.
    pub kind: Kind,
    /// The lock to take, if it may change something.
    pub lock: Option<Lock>,
}

/// Runs one task. `shows`: what it prints is the result, and not that it changed something.
pub(super) fn run(
    pattern: &str,
    name: String,
    task: Task,
    options: &AdhocOptions,
    nature: Nature,
    keeping: &Keeping,
) -> Answer {
    let mut entry = Entry::new(nature.kind, &options.inventory);
    entry.listed |= journal::names_a_list(pattern);
    let source = Source::new("the pattern", pattern);
    let play = Play {
        name: name.clone(),
        hosts: pattern.to_string(),
        place: source.place(0..pattern.len()),
        dir: PathBuf::from("."),
        vars: Table::default(),
        once: false,
        serial: Vec::new(),
        any_errors_fatal: false,
        max_fail_percentage: None,
        tags: Vec::new(),
        privilege: Privilege::default(),
        env: Table::default(),
        tasks: vec![task],
        handlers: Vec::new(),
        unread: Vec::new(),
    };
    let mut run = prepare(Request {
        name,
        playbook: Playbook {
            path: PathBuf::new(),
            plays: vec![play],
        },
        problems: Problems::new(),
        inventory: &options.inventory,
        rights: &options.rights,
        run: &options.run,
        selection: Selection::default(),
        reveals: true,
    })?;
    run.options.public = nature.public;
    run.options.shows = nature.shows;
    run.options.lock = nature.lock.filter(|_| !options.run.check);
    let manner = Manner {
        connect: &options.connect,
        rights: &options.rights,
        output: &options.output,
        adhoc: nature.shows,
        keeping,
    };
    perform(run, &manner, entry)
}
