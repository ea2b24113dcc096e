//! `runner validate`: everything that is checked before a run, and nothing else.

use super::options::{BecomeOptions, InventoryOptions, RunOptions};
use super::prepare::{Request, prepare};
use super::{Answer, Refusal, print};
use crate::diagnostic::{Problem, Problems};
use crate::engine::Selection;
use crate::exit;
use crate::playbook;
use std::path::PathBuf;

/// Check playbooks and inventory without connecting to anything
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Playbooks; by default every one in playbooks/
    #[arg(value_name = "PLAYBOOK")]
    playbooks: Vec<String>,
    #[command(flatten)]
    inventory: InventoryOptions,
    #[command(flatten)]
    run: RunOptions,
    #[command(flatten)]
    rights: BecomeOptions,
}

pub(super) fn run(options: &Options) -> Answer {
    let mut problems = Problems::new();
    let mut code = exit::OK;
    let paths = paths(&options.playbooks, &mut problems);
    for path in &paths {
        if let Err(refusal) = one(path, options) {
            code = match code {
                exit::OK => refusal.code,
                code if code == refusal.code => code,
                _ => exit::BAD_INPUT,
            };
            problems.extend(refusal.problems);
        }
    }
    if !problems.is_empty() {
        let code = if code == exit::OK {
            exit::BAD_INPUT
        } else {
            code
        };
        return Err(Refusal { problems, code });
    }
    let inventory = options.inventory.load()?;
    print(&format!(
        "{} and {} are as they should be\n",
        crate::ui::words::Count(paths.len(), "playbook"),
        crate::ui::words::Count(inventory.hosts().len(), "host"),
    ))
}

fn one(path: &std::path::Path, options: &Options) -> Result<(), Refusal> {
    let (playbook, problems) = playbook::load(path);
    prepare(Request {
        name: path.display().to_string(),
        playbook,
        problems,
        inventory: &options.inventory,
        rights: &options.rights,
        run: &options.run,
        selection: Selection::default(),
        reveals: false,
    })
    .map(drop)
}

fn paths(named: &[String], problems: &mut Problems) -> Vec<PathBuf> {
    if !named.is_empty() {
        return named
            .iter()
            .filter_map(|name| problems.note(playbook::find(name)))
            .collect();
    }
    let mut paths: Vec<PathBuf> = std::fs::read_dir("playbooks")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    paths.sort();
    if paths.is_empty() {
        problems.push(
            Problem::new("there is no playbook in playbooks/")
                .help("name the playbooks to check: runner validate FILE"),
        );
    }
    paths
}
