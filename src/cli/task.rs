//! `runner task`: one module on many hosts.

use super::options::LockOptions;
use super::perform::Keeping;
use super::{Answer, adhoc};
use crate::diagnostic::Source;
use crate::journal::Kind;
use crate::{document, playbook};

/// Run one module on many hosts
///
/// `runner task zookeeper 'directory.path = "/mnt/data/zookeeper"'`
/// `runner task all 'file = { path = "/tmp/x", content = "hello\n" }' --check`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Hosts, as a pattern
    #[arg(value_name = "PATTERN")]
    pattern: String,
    /// The task in TOML, as in a playbook; several texts are lines of one task
    #[arg(value_name = "TOML", required = true)]
    task: Vec<String>,
    #[command(flatten)]
    lock: LockOptions,
    #[command(flatten)]
    pub common: adhoc::AdhocOptions,
}

pub(super) fn run(options: &Options, keeping: &Keeping) -> Answer {
    let text = options.task.join("\n");
    let node = document::parse(&Source::new("the task", text))?;
    let task = playbook::one_task(&node)?;
    let name = task.title();
    let shows = ["command", "shell", "script"].contains(&task.spec.name);
    let nature = adhoc::Nature {
        shows,
        public: false,
        kind: Kind::Task,
        lock: options.lock.lock(),
    };
    adhoc::run(
        &options.pattern,
        name,
        task,
        &options.common,
        nature,
        keeping,
    )
}
