//! `runner exec`: one command on many hosts.

use super::perform::Keeping;
use super::{Answer, adhoc};
use crate::diagnostic::{Problem, Source};
use crate::document::{Data, Entry, Node};
use crate::journal::Kind;
use crate::playbook;
use std::time::Duration;

/// Run one command on many hosts
///
/// `runner exec bookies -- docker ps`
/// `runner exec zookeeper --shell 'df -h | tail -1'`
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Options {
    /// Hosts, as a pattern
    #[arg(value_name = "PATTERN")]
    pattern: String,
    /// A text for the shell on the host, instead of a command
    #[arg(short, long, value_name = "TEXT", conflicts_with = "command")]
    shell: Option<String>,
    /// The command and its arguments
    #[arg(value_name = "COMMAND", last = true, required_unless_present = "shell")]
    command: Vec<String>,
    /// End the command after so long
    #[arg(long, value_name = "DURATION")]
    timeout: Option<String>,
    #[command(flatten)]
    pub common: adhoc::AdhocOptions,
}

pub(super) fn run(options: &Options, keeping: &Keeping) -> Answer {
    let (module, text, value) = match &options.shell {
        Some(text) => ("shell", text.clone(), Data::String(text.clone())),
        None => (
            "command",
            crate::shell::join(&options.command),
            words(&options.command),
        ),
    };
    let source = Source::new("the command", text.clone());
    let place = source.place(0..text.len());
    // Braces in a command are the host's business, so nothing in it is rendered.
    let node = Node {
        place: place.clone(),
        data: Data::Table(
            std::iter::once(Entry {
                key: module.to_string(),
                key_place: place.clone(),
                value: Node { place, data: value },
            })
            .collect(),
        ),
    };
    let mut task = playbook::one_task(&node)?;
    task.verbatim = true;
    task.timeout = options.timeout.as_deref().map(timeout).transpose()?;
    let nature = adhoc::Nature {
        shows: true,
        public: true,
        kind: Kind::Exec,
        lock: None,
    };
    adhoc::run(
        &options.pattern,
        text,
        task,
        &options.common,
        nature,
        keeping,
    )
}

/// One word with blanks in it is split as a shell would split it; anything else is taken as it is.
fn words(command: &[String]) -> Data {
    let source = |word: &String| Source::new("the command", word.clone());
    match command {
        [line] if line.contains(char::is_whitespace) => Data::String(line.clone()),
        words => Data::Array(
            words
                .iter()
                .map(|word| Node {
                    place: source(word).place(0..word.len()),
                    data: Data::String(word.clone()),
                })
                .collect(),
        ),
    }
}

fn timeout(text: &str) -> Result<Duration, Problem> {
    crate::document::parse_duration(text)
        .ok_or_else(|| Problem::new("--timeout is a number with a unit, such as 30s or 5m"))
}
