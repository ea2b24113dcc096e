//! The options that several commands share.

use crate::diagnostic::{Problem, Problems, Source};
use crate::document::{self, Data, Entry, Node, Table};
use crate::engine::Lock;
use crate::inventory::{ConnectionSettings, Inventory, Pattern};
use crate::secret::{self, Store};
use crate::ui;
use clap::Args;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which hosts there are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Hosts")]
pub(crate) struct InventoryOptions {
    /// Inventory file, folder or script; can be repeated
    #[arg(
        short,
        long,
        value_name = "PATH",
        default_value = "inventory",
        env = "RUNNER_INVENTORY"
    )]
    pub inventory: Vec<PathBuf>,
    /// Only these hosts, as a pattern: `bookies`, `all:!managers`, `web[01:05]`
    #[arg(short, long, value_name = "PATTERN")]
    pub limit: Option<String>,
}

impl InventoryOptions {
    pub fn load(&self) -> Result<Inventory, Problems> {
        Inventory::load(&self.inventory)
    }

    pub fn limit(&self) -> Result<Option<Pattern>, Problem> {
        self.limit
            .as_ref()
            .map(|text| Pattern::option("--limit", text))
            .transpose()
    }
}

/// How hosts are connected to.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectOptions {
    /// User to log in as
    #[arg(short, long, value_name = "NAME")]
    pub user: Option<String>,
    /// Private key to log in with; can be repeated
    #[arg(long, value_name = "FILE", visible_alias = "private-key")]
    pub key: Vec<PathBuf>,
    /// Ask for a password to log in with
    #[arg(short = 'k', long)]
    pub ask_pass: bool,
    /// Deadline for a connection: name lookup, TCP, key exchange and login together
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub connect_timeout: Option<Duration>,
    /// Accept the keys of hosts that are not known yet, and note them; a changed key is still refused
    #[arg(long)]
    pub accept_new_host_keys: bool,
    /// Keep the connections for so long after the run, for the next one; 0 keeps none and uses none. RUNNER_PERSIST
    /// sets another default
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = persist())]
    pub persist: Duration,
    /// ssh_config file to use instead of ~/.ssh/config and /etc/ssh/ssh_config
    #[arg(short = 'F', long, value_name = "FILE")]
    pub ssh_config: Option<PathBuf>,
}

impl ConnectOptions {
    /// As the strongest layer of connection settings.
    pub fn settings(&self) -> ConnectionSettings {
        ConnectionSettings {
            user: self.user.clone(),
            identity_file: (!self.key.is_empty()).then(|| self.key.clone()),
            connect_timeout: self.connect_timeout,
            strict_host_key_checking: self.accept_new_host_keys.then(|| "accept-new".to_string()),
            ..ConnectionSettings::default()
        }
    }
}

/// Whose rights are used.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rights")]
pub(crate) struct BecomeOptions {
    /// Become another user with sudo
    #[arg(short, long = "become")]
    pub become_: bool,
    /// User to become
    #[arg(long, value_name = "NAME")]
    pub become_user: Option<String>,
    /// Ask for the password for sudo
    #[arg(short = 'K', long)]
    pub ask_become_pass: bool,
}

/// How much is done at a time, and whether it is done at all.
#[derive(Debug, Args)]
#[command(next_help_heading = "Run")]
pub(crate) struct RunOptions {
    /// Change nothing; say what would change
    #[arg(short = 'C', long)]
    pub check: bool,
    /// Show what changes in files
    #[arg(short = 'D', long)]
    pub diff: bool,
    /// How many hosts work at the same time
    #[arg(short, long, value_name = "COUNT", default_value_t = FORKS, value_parser = clap::value_parser!(u32).range(1..))]
    pub forks: u32,
    /// Set a variable, `key=value`, or take a TOML file of them, `@file`, also one that is encrypted with age; can be
    /// repeated
    #[arg(short = 'e', long = "extra-vars", value_name = "KEY=VALUE|@FILE")]
    pub extra_vars: Vec<String>,
    /// Ask for the value of a variable, and show it nowhere; can be repeated
    #[arg(long, value_name = "NAME")]
    pub ask_secret: Vec<String>,
    /// Key to decrypt files with that are encrypted with age; can be repeated
    #[arg(long, value_name = "FILE", env = "RUNNER_AGE_IDENTITY")]
    pub age_identity: Vec<PathBuf>,
}

/// How many hosts work at the same time unless an option says otherwise.
const FORKS: u32 = 512;

impl RunOptions {
    /// What holds when nothing is said.
    pub fn plain() -> Self {
        Self {
            check: false,
            diff: false,
            forks: FORKS,
            extra_vars: Vec::new(),
            ask_secret: Vec::new(),
            age_identity: Vec::new(),
        }
    }

    /// The variables of `-e`, the last of the same name first in rank.
    pub fn extra(&self, store: &Store) -> Result<Table, Problems> {
        let mut problems = Problems::new();
        let mut table = Table::default();
        for text in &self.extra_vars {
            match extra(text, store) {
                Ok(more) => table = crate::playbook::over(&more, &table),
                Err(found) => problems.extend(found),
            }
        }
        for name in &self.ask_secret {
            let place = Source::new("--ask-secret", name).place(0..name.len());
            if let Some(entry) = problems.note(secret::prompt(name, &place)) {
                table = crate::playbook::over(&std::iter::once(entry).collect(), &table);
            }
        }
        problems.or(table)
    }
}

/// How a run keeps others off its hosts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Run")]
pub(crate) struct LockOptions {
    /// Where another run is at work, wait so long for its end; without this the run is refused
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "no_lock")]
    pub lock_wait: Option<Duration>,
    /// Take no lock, and heed none: other runs may change the same hosts at the same time
    #[arg(long)]
    pub no_lock: bool,
}

impl LockOptions {
    /// The lock of a run that may change something.
    pub fn lock(&self) -> Option<Lock> {
        (!self.no_lock).then(|| Lock {
            by: super::who::who(),
            wait: self.lock_wait,
        })
    }
}

/// What is shown.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputOptions {
    /// Live bars on a terminal, plain lines, or one JSON event per line
    #[arg(short, long, value_enum, default_value_t)]
    pub output: ui::Output,
    /// When to use color
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    pub color: ui::Color,
    /// Say more; twice for the output of commands
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say at the end where the time went: by task, by host, and what the run waited for
    #[arg(long)]
    pub timing: bool,
    /// Write a trace of what the runner does to a file; RUNNER_LOG sets the level
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

/// How long connections are kept unless an option says otherwise. Not an `env` of the option: with one, every usage
/// line names the option as if it were required.
fn persist() -> String {
    let set = std::env::var("RUNNER_PERSIST").ok();
    set.filter(|text| !text.is_empty())
        .unwrap_or_else(|| "60s".to_string())
}

/// Reads a duration option: `500ms`, `30s`, `5m`.
fn duration(text: &str) -> Result<Duration, String> {
    crate::document::parse_duration(text)
        .ok_or_else(|| "a duration is a number with a unit, such as 30s or 5m".to_string())
}

fn extra(text: &str, store: &Store) -> Result<Table, Problems> {
    if let Some(path) = text.strip_prefix('@') {
        let unread = |error: std::io::Error| {
            Problem::new(format!(
                "cannot read the variables in {path}: {}",
                crate::diagnostic::cause(&error)
            ))
        };
        let content = std::fs::read(path).map_err(unread)?;
        if secret::sealed::is_sealed(&content) {
            return store.file(Path::new(path));
        }
        let content = String::from_utf8(content)
            .map_err(|_| unread(std::io::ErrorKind::InvalidData.into()))?;
        let node = document::parse(&Source::new(path, content))?;
        return Ok(node.table()?.clone());
    }
    let source = Source::new("-e", text);
    let all = source.place(0..text.len());
    let Some((key, value)) = text.split_once('=') else {
        return Err(
            Problem::new("a variable is given as key=value, or as @file")
                .at(all)
                .into(),
        );
    };
    let identifier = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if key.is_empty()
        || !key.chars().all(identifier)
        || key.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err(Problem::new(format!("`{key}` is no name for a variable"))
            .at(source.place(0..key.len()))
            .help("use letters, digits and `_`")
            .into());
    }
    let place = source.place(key.len() + 1..text.len());
    let entry = Entry {
        key: key.to_string(),
        key_place: source.place(0..key.len()),
        value: typed(value, &place)?,
    };
    Ok(std::iter::once(entry).collect())
}

/// Booleans, whole numbers, lists and tables are what they look like; everything else is text. `1.10` stays the text
/// that it is, since versions look like numbers.
fn typed(value: &str, place: &crate::diagnostic::Place) -> Result<Node, Problems> {
    let plain = |data| Node {
        place: place.clone(),
        data,
    };
    match value {
        "true" => return Ok(plain(Data::Boolean(true))),
        "false" => return Ok(plain(Data::Boolean(false))),
        _ => {}
    }
    let digits = value.strip_prefix('-').unwrap_or(value);
    let number =
        digits == "0" || !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    if !digits.is_empty()
        && number
        && let Ok(number) = value.parse()
    {
        return Ok(plain(Data::Integer(number)));
    }
    if value.starts_with(['[', '{', '"']) && !value.starts_with("{{") && !value.starts_with("{%") {
        return document::parse_value(&Source::new("-e", value));
    }
    Ok(plain(Data::String(value.to_string())))
}
