//! `runner ping`: can the hosts be reached and used?

use super::perform::Keeping;
use super::{Answer, adhoc};
use crate::diagnostic::Source;
use crate::journal::Kind;
use crate::{document, playbook};

/// Check that hosts can be reached and used
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Hosts, as a pattern
    #[arg(value_name = "PATTERN", default_value = "all")]
    pattern: String,
    #[command(flatten)]
    pub common: adhoc::AdhocOptions,
}

pub(super) fn run(options: &Options, keeping: &Keeping) -> Answer {
    let node = document::parse(&Source::new("ping", "ping = {}"))?;
    let task = playbook::one_task(&node)?;
    adhoc::run(
        &options.pattern,
        "ping".to_string(),
        task,
        &options.common,
        adhoc::Nature {
            shows: false,
            public: true,
            kind: Kind::Ping,
            lock: None,
        },
        keeping,
    )
}
