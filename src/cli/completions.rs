//! `runner completions`: a completion script.

use super::{Answer, Cli, print};
use clap::CommandFactory;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

pub(super) fn run(options: &Options) -> Answer {
    let mut text = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "runner", &mut text);
    print(&String::from_utf8_lossy(&text))
}
