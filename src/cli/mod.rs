//! The command line: one file per subcommand.

mod adhoc;
mod completions;
mod connections;
mod demo;
mod editor;
mod exec;
mod front;
mod hidden;
mod history;
pub mod inventory;
mod journal;
mod modules;
mod options;
mod perform;
mod ping;
mod play;
mod prepare;
mod prompt;
mod resume;
mod secret;
mod secrets;
mod signals;
mod task;
mod unlock;
mod validate;
mod who;
mod worker;

use crate::diagnostic::{Problem, Problems};
use crate::exit;
use crate::ui;
use clap::{Parser, Subcommand};
use perform::Keeping;
use std::ffi::OsString;
use std::io::Write;
use worker::Worker;

/// An agentless orchestration runner: an inventory, TOML playbooks, and SSH.
#[derive(Debug, Parser)]
#[command(
    name = "runner",
    version,
    max_term_width = 100,
    propagate_version = false
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play a playbook
    Play(play::Options),
    /// Run one command on many hosts
    Exec(exec::Options),
    /// Run one module on many hosts
    Task(task::Options),
    /// Check that hosts can be reached and used
    Ping(ping::Options),
    /// Remove the lock that a run has left behind
    Unlock(unlock::Options),
    /// Show or close the connections that are kept for the next run
    Connections(connections::Options),
    /// List the runs of the past
    History(history::HistoryOptions),
    /// Show a run of the past
    Show(history::ShowOptions),
    /// Show hosts, groups and variables
    Inventory(InventoryCommand),
    /// Check playbooks and inventory without connecting to anything
    Validate(validate::Options),
    /// Make and change files of secrets, which are TOML encrypted with age
    Secret(secret::Options),
    /// Play a small playbook on 26 throw-away hosts, twice
    Demo(demo::Options),
    /// Describe the modules
    Modules(modules::Options),
    /// Print a completion script for a shell
    Completions(completions::Options),
}

#[derive(Debug, clap::Args)]
struct InventoryCommand {
    #[command(flatten)]
    show: inventory::Options,
    #[command(flatten)]
    hosts: options::InventoryOptions,
}

/// Why a command was refused, and the exit code that says so.
#[derive(Debug)]
pub(crate) struct Refusal {
    problems: Problems,
    code: u8,
}

impl Refusal {
    /// A pattern that matches no host.
    fn no_hosts(problems: Problems) -> Self {
        Self {
            problems,
            code: exit::NO_HOSTS,
        }
    }
}

impl From<Problems> for Refusal {
    fn from(problems: Problems) -> Self {
        let guarded = !problems.is_empty() && problems.iter().all(|problem| problem.guard);
        Self {
            problems,
            code: if guarded {
                exit::GUARDED
            } else {
                exit::BAD_INPUT
            },
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Problems::from(problem).into()
    }
}

impl From<crate::inventory::SelectError> for Refusal {
    fn from(error: crate::inventory::SelectError) -> Self {
        match error {
            crate::inventory::SelectError::NoHost(problems) => Self::no_hosts(problems),
            crate::inventory::SelectError::Bad(problems) => problems.into(),
        }
    }
}

/// The exit code of a command, or why it was refused.
pub(crate) type Answer = Result<u8, Refusal>;

impl Command {
    /// How connections are made, by a command that makes some.
    fn connect(&self) -> Option<&options::ConnectOptions> {
        match self {
            Command::Play(options) => options.connect(),
            Command::Exec(options) => Some(&options.common.connect),
            Command::Task(options) => Some(&options.common.connect),
            Command::Ping(options) => Some(&options.common.connect),
            Command::Unlock(options) => Some(&options.connect),
            _ => None,
        }
    }
}

/// Runs the program on this process's arguments. Answers its exit code.
pub fn main() -> u8 {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    match worker::summoned(&arguments) {
        Some(Ok((arguments, worker))) => run(&arguments, Some(worker)),
        Some(Err(_)) => worker::ORPHAN,
        None => run(&arguments, None),
    }
}

fn run(arguments: &[OsString], worker: Option<Worker>) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            error.print().ok();
            return if error.use_stderr() {
                exit::BAD_INPUT
            } else {
                exit::OK
            };
        }
    };
    hidden::hide_in_panics();
    let persist = cli.command.connect().map(|connect| connect.persist);
    let keeping = match (worker, persist) {
        (Some(worker), _) => Keeping::On(worker),
        (None, Some(time)) if !time.is_zero() => match front::run(arguments) {
            Ok(code) => return code,
            Err(why) => Keeping::Failed(why),
        },
        _ => Keeping::Off,
    };
    match dispatch(cli.command, &keeping) {
        Ok(code) => code,
        Err(mut refusal) => {
            refusal.problems.sort();
            let terminal = ui::Terminal::detect();
            let style = terminal.style(ui::Color::Auto, terminal.err);
            let text = ui::diagnostic::problems(&refusal.problems, style);
            let text = hidden::redactor().text(&text);
            std::io::stderr().write_all(text.as_bytes()).ok();
            refusal.code
        }
    }
}

fn dispatch(command: Command, keeping: &Keeping) -> Answer {
    match command {
        Command::Play(options) => play::run(&options, keeping),
        Command::Exec(options) => exec::run(&options, keeping),
        Command::Task(options) => task::run(&options, keeping),
        Command::Ping(options) => ping::run(&options, keeping),
        Command::Unlock(options) => unlock::run(options, keeping),
        Command::Connections(options) => connections::run(&options),
        Command::History(options) => history::history(&options),
        Command::Show(options) => history::show(&options),
        Command::Inventory(options) => show_inventory(&options),
        Command::Validate(options) => validate::run(&options),
        Command::Secret(options) => secret::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Modules(options) => modules::run(&options),
        Command::Completions(options) => completions::run(&options),
    }
}

fn show_inventory(command: &InventoryCommand) -> Answer {
    let inventory = command.hosts.load()?;
    match inventory::run(&inventory, &command.show, &mut std::io::stdout()) {
        Err(inventory::Error::Select(error)) => Err(error.into()),
        // A reader that has gone away is no error.
        Ok(()) | Err(inventory::Error::Write(_)) => Ok(exit::OK),
    }
}

/// Writes a text to standard output. A reader that has gone away is no error.
fn print(text: &str) -> Answer {
    std::io::stdout().write_all(text.as_bytes()).ok();
    Ok(exit::OK)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn every_option_is_declared_soundly() {
        super::Cli::command().debug_assert();
    }
}
