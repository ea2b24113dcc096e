//! `runner modules`: the documentation of each module, from its own table.

use super::{Answer, print};
use crate::diagnostic::Problem;
use crate::modules::{self, Spec};
use std::fmt::Write;

/// Describe the modules
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Module; by default all of them, a line each
    #[arg(value_name = "MODULE")]
    module: Option<String>,
}

pub(super) fn run(options: &Options) -> Answer {
    match &options.module {
        None => print(&list()),
        Some(name) => match modules::find(name) {
            Some(spec) => print(&page(spec)),
            None => {
                let known = modules::all().iter().map(|spec| spec.name);
                Err(Problem::new(format!("there is no module `{name}`"))
                    .did_you_mean(name, known)
                    .help("`runner modules` lists them")
                    .into())
            }
        },
    }
}

fn list() -> String {
    let mut specs: Vec<&Spec> = modules::all().to_vec();
    specs.sort_by_key(|spec| spec.name);
    let width = specs.iter().map(|spec| spec.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for spec in specs {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{:width$}  {}", spec.name, spec.summary);
    }
    text.push_str("\n`runner modules NAME` describes one.\n");
    text
}

fn page(spec: &Spec) -> String {
    let mut text = format!("{}: {}\n", spec.name, spec.summary);
    if !spec.about.trim().is_empty() {
        let _ = write!(text, "\n{}\n", spec.about.trim());
    }
    if !spec.args.is_empty() {
        text.push_str("\nArguments\n");
    }
    for arg in spec.args {
        let mut notes = vec![arg.kind.words()];
        if arg.required {
            notes.push("required".to_string());
        }
        if !arg.default.is_empty() {
            notes.push(format!("default {}", arg.default));
        }
        if arg.name == spec.bare {
            notes.push("can be given bare".to_string());
        }
        let _ = write!(
            text,
            "  {}  ({})\n      {}\n",
            arg.name,
            notes.join(", "),
            arg.doc
        );
    }
    let _ = write!(text, "\nExample\n\n{}\n", spec.example.trim_matches('\n'));
    text
}
