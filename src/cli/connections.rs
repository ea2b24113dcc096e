//! `runner connections`: what is kept for the next run.

use super::{Answer, Refusal, print};
use crate::diagnostic::{Problem, Problems};
use crate::exit;
use crate::transport::kept::{self, Folder, Listed};
use crate::transport::ssh::pattern;
use crate::ui::escape::escape_str;
use crate::ui::words::{Count, duration};
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};
use std::fmt::Write;
use unicode_width::UnicodeWidthStr;

/// Show or close the connections that are kept for the next run
///
/// A run leaves its connections to a process in the background, which keeps them for the time of --persist.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    /// A table, or JSON
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Close connections; one that a run uses is closed when the run is through with it
    Close {
        /// Names or addresses of hosts, with `*` and `?`
        #[arg(value_name = "PATTERN", required_unless_present = "all")]
        patterns: Vec<String>,
        /// Close them all
        #[arg(long, conflicts_with = "patterns")]
        all: bool,
    },
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    /// A line per connection
    #[default]
    Plain,
    /// One array of objects
    Json,
}

pub(super) fn run(options: &Options) -> Answer {
    let failed = |why: String| Problem::new(format!("no connections can be kept: {why}"));
    let folder = Folder::open().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let all = runtime.block_on(kept::list(&folder));
    let Some(Command::Close { patterns, .. }) = &options.command else {
        return print(&match options.output {
            Format::Plain => table(&all),
            Format::Json => format!("{:#}\n", all.iter().map(object).collect::<Value>()),
        });
    };
    let chosen = choose(all, patterns)?;
    runtime.block_on(kept::close(&folder, &chosen));
    let used = chosen.iter().filter(|listed| listed.runs > 0).count();
    let mut text = format!("closed {}\n", Count(chosen.len() - used, "connection"));
    if used > 0 {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{} in use: closed when the run is through with it",
            Count(used, "connection")
        );
    }
    print(&text)
}

/// What the patterns name; all if there are none.
fn choose(all: Vec<Listed>, patterns: &[String]) -> Result<Vec<Listed>, Refusal> {
    let names = |listed: &Listed, pattern: &String| {
        [&listed.host, &listed.address, &at(listed)]
            .iter()
            .any(|name| pattern::matches(name.as_bytes(), pattern.as_bytes()))
    };
    let mut missing = Problems::new();
    for text in patterns {
        if !all.iter().any(|listed| names(listed, text)) {
            let hosts = all.iter().map(|listed| listed.host.as_str());
            missing.push(
                Problem::new(format!("no connection is kept to `{text}`"))
                    .did_you_mean(text, hosts)
                    .help("`runner connections` lists them"),
            );
        }
    }
    if !missing.is_empty() {
        return Err(Refusal {
            problems: missing,
            code: exit::NO_HOSTS,
        });
    }
    let chosen = |listed: &Listed| {
        patterns.is_empty() || patterns.iter().any(|pattern| names(listed, pattern))
    };
    Ok(all.into_iter().filter(chosen).collect())
}

/// Where a connection leads, as `ssh` would be told.
fn at(listed: &Listed) -> String {
    format!("{}@{}:{}", listed.user, listed.address, listed.port)
}

fn table(all: &[Listed]) -> String {
    if all.is_empty() {
        return "no connections are kept\n".to_string();
    }
    let mut rows = vec![
        [
            "host",
            "login",
            "open for",
            "idle for",
            "closed in",
            "process",
        ]
        .map(str::to_string),
    ];
    for listed in all {
        let free = |time| match listed.runs {
            0 => duration(time),
            _ => "in use".to_string(),
        };
        rows.push([
            escape_str(&listed.host).to_string(),
            escape_str(&at(listed)).to_string(),
            duration(listed.age),
            free(listed.idle),
            match listed.runs {
                0 => duration(listed.left),
                _ => "-".to_string(),
            },
            listed.pid.to_string(),
        ]);
    }
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].width())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let gap = width - cell.width();
            let _ = write!(line, "{cell}{:gap$}  ", "");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn object(listed: &Listed) -> Value {
    let used = listed.runs > 0;
    json!({
        "host": listed.host,
        "user": listed.user,
        "address": listed.address,
        "port": listed.port,
        "open_seconds": listed.age.as_secs_f64(),
        "runs": listed.runs,
        "idle_seconds": (!used).then_some(listed.idle.as_secs_f64()),
        "closed_in_seconds": (!used).then_some(listed.left.as_secs_f64()),
        "process": listed.pid,
    })
}
