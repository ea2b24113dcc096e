//! `runner unlock`: removes the lock that a run has left behind.

use super::options::{BecomeOptions, ConnectOptions, InventoryOptions, OutputOptions, RunOptions};
use super::perform::Keeping;
use super::{Answer, adhoc};
use crate::diagnostic::{Problem, Source};
use crate::document;
use crate::engine;
use crate::journal::Kind;
use crate::playbook;
use crate::run_id::RunId;
use serde_json::json;

/// Remove the lock that a run has left behind
///
/// A run gives its lock back when it ends, also when it is killed. Where a host itself went down, the lock stays, and
/// other runs are refused until somebody has seen what was left undone there. This removes the lock of that one run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The run, as whoever was refused is told
    #[arg(value_name = "RUN")]
    run: String,
    /// Remove the lock also where the run is still at work
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    inventory: InventoryOptions,
    #[command(flatten)]
    rights: BecomeOptions,
    #[command(flatten)]
    pub connect: ConnectOptions,
    #[command(flatten)]
    output: OutputOptions,
}

pub(super) fn run(options: Options, keeping: &Keeping) -> Answer {
    let run: RunId = options.run.parse().map_err(|_| {
        Problem::new(format!("`{}` is no run", options.run))
            .help("a run is named by its start and four digits, such as 20260203-040506-9f3a")
    })?;
    let script = engine::removal(&run, options.force);
    let text = format!("shell = {}", json!(script));
    let task = playbook::one_task(&document::parse(&Source::new("the task", text))?)?;
    let nature = adhoc::Nature {
        shows: true,
        public: false,
        kind: Kind::Task,
        lock: None,
    };
    let common = adhoc::AdhocOptions {
        inventory: options.inventory,
        run: RunOptions::plain(),
        rights: options.rights,
        connect: options.connect,
        output: options.output,
    };
    adhoc::run(
        "all",
        format!("unlock {run}"),
        task,
        &common,
        nature,
        keeping,
    )
}
