//! The journal of a run: what is written at its head, and which run is meant by "the last one".

use super::Refusal;
use super::options::InventoryOptions;
use crate::diagnostic::{Problem, Source};
use crate::engine::Run;
use crate::event::{Event, Status};
use crate::inventory::{Host, Inventory, Pattern, SelectError};
use crate::journal::{Choices, Folder, Ground, Header, Kind, Plan, Record, Told, VERSION, Writer};
use crate::run_id::RunId;
use crate::ui::Events;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The lists of hosts that a run before leaves, as in `--limit @failed`.
const LISTS: [&str; 3] = ["failed", "unreachable", "unknown"];

/// What the journal says of a run, beside what the run itself says.
pub(super) struct Entry {
    pub kind: Kind,
    /// The playbook with its whole path; empty for an ad-hoc command.
    pub playbook: String,
    pub inventory: Vec<String>,
    pub choices: Choices,
    /// Its hosts were named as those of a run before.
    pub listed: bool,
    /// What the run before has done, for a run that goes on from there.
    pub before: Vec<Record>,
    /// Nothing is written: its hosts are gone with it.
    pub off: bool,
}

impl Entry {
    /// For a command on the hosts of a pattern.
    pub fn new(kind: Kind, inventory: &InventoryOptions) -> Self {
        Self {
            kind,
            playbook: String::new(),
            inventory: inventory.inventory.iter().map(|path| whole(path)).collect(),
            choices: Choices::default(),
            listed: inventory.limit.as_deref().is_some_and(names_a_list),
            before: Vec::new(),
            off: false,
        }
    }
}

/// Whether a pattern names the hosts of a run before.
pub(super) fn names_a_list(pattern: &str) -> bool {
    let mut words = pattern.split([':', ',']);
    words.any(|word| {
        let word = word.trim_start_matches(['&', '!', ' ']).trim_end();
        word.strip_prefix('@')
            .is_some_and(|name| LISTS.contains(&name))
    })
}

/// A path that means the same from everywhere.
pub(super) fn whole(path: &Path) -> String {
    let whole = path
        .canonicalize()
        .or_else(|_| std::path::absolute(path))
        .unwrap_or_else(|_| path.to_path_buf());
    whole.display().to_string()
}

/// Begins the journal of a run and puts it before the screen. A run that can't have one goes on all the same, with a
/// word about it.
pub(super) fn begin(run: &mut Run, entry: Entry, adhoc: bool, screen: Events) -> Events {
    if entry.off {
        return screen;
    }
    let wants = entry.kind == Kind::Play && !run.options.check;
    let begun = Folder::find().and_then(|folder| {
        let before = entry.before.clone();
        let writer = Writer::begin(folder, header(run, entry, adhoc), before)?;
        let events = writer.before(screen.clone());
        events.map_err(|error| error.to_string())
    });
    match begun {
        Ok(events) => {
            run.options.announces = wants;
            events
        }
        Err(why) => {
            let message = format!("no journal is kept of this run, so it can't be resumed: {why}");
            screen.send(Event::Warning { message }.into()).ok();
            screen
        }
    }
}

fn header(run: &Run, entry: Entry, adhoc: bool) -> Header {
    let started = SystemTime::now().duration_since(UNIX_EPOCH);
    let started = started.map_or(0, |since| since.as_millis());
    let id = run.options.id.clone();
    let plan = (entry.kind == Kind::Play).then(|| plan(run, &id));
    Header {
        version: VERSION,
        id,
        started: u64::try_from(started).unwrap_or(u64::MAX),
        kind: entry.kind,
        playbook: entry.playbook,
        inventory: entry.inventory,
        who: super::who::who(),
        process: std::process::id(),
        adhoc,
        check: run.options.check,
        listed: entry.listed,
        resumes: run.past.run.clone(),
        choices: entry.choices,
        plan,
    }
}

/// What a run is about to do, to be compared with what the run of this name was about to do.
pub(super) fn plan(run: &Run, salt: &RunId) -> Plan {
    let hosts = run.hosts.iter().filter_map(|host| {
        let variables = run.world.hosts.get(&host.name)?;
        Some((host.name.as_str(), &variables.vars))
    });
    let ground = Ground {
        salt: salt.as_str(),
        hosts: hosts.collect(),
        extra: &run.world.extra,
        files: run.world.files(),
    };
    Plan::new(&run.plays, &ground)
}

/// The folder of journals, for a command that can't do without.
pub(super) fn folder() -> Result<Folder, Problem> {
    Folder::find().map_err(|why| Problem::new(format!("there are no journals: {why}")))
}

/// Selects hosts; `@failed`, `@unreachable` and `@unknown` mean those of the last run on this inventory.
pub(super) fn select(
    inventory: &Inventory,
    options: &InventoryOptions,
    pattern: &Pattern,
) -> Result<Vec<Arc<Host>>, SelectError> {
    let lookup = |name: &str| -> Result<Option<Source>, Problem> {
        if !LISTS.contains(&name) {
            return Ok(None);
        }
        let paths: Vec<String> = options.inventory.iter().map(|path| whole(path)).collect();
        let told = last(&folder()?, &paths)?.ok_or_else(|| {
            Problem::new(format!(
                "there is no run before this one that `@{name}` could mean"
            ))
            .help("it means the last run on the same inventory; `runner history` lists the runs")
        })?;
        let hosts = match name {
            "unreachable" => told.hosts_with(Status::Unreachable),
            "unknown" => told.hosts_with(Status::Unknown),
            _ => told.unfinished(),
        };
        let title = format!("@{name}, of run {}", told.header.id);
        Ok(Some(Source::new(title, hosts.join("\n"))))
    };
    inventory.select_with(pattern, &lookup)
}

/// The last run on an inventory that is over. An ad-hoc command on such a list does not count, so that one can look at
/// what has failed before it is played again.
fn last(folder: &Folder, inventory: &[String]) -> Result<Option<Told>, Problem> {
    for run in folder.runs()? {
        let Some(header) = folder.header(&run) else {
            continue;
        };
        let looks = header.listed && header.kind != Kind::Play;
        if header.inventory != inventory || looks || folder.is_running(&run) {
            continue;
        }
        if let Some(told) = folder.read(&run)? {
            return Ok(Some(told));
        }
    }
    Ok(None)
}

/// The run that is named: by its name, or `last`.
pub(super) fn named(folder: &Folder, name: &str) -> Result<Told, Refusal> {
    let run = match name {
        "last" => folder.runs()?.into_iter().next().ok_or_else(|| {
            Problem::new("there is no run yet")
                .help(format!("runs are kept in {}", folder.path().display()))
        })?,
        name => name.parse().map_err(|_| {
            let known = folder.runs().unwrap_or_default();
            Problem::new(format!("`{name}` is no name of a run"))
                .did_you_mean(name, known.iter().map(RunId::as_str))
                .help("`runner history` lists them; `last` is the last one")
        })?,
    };
    let told = folder.read(&run)?;
    Ok(told
        .ok_or_else(|| Problem::new(format!("run {run} ended before it had written anything")))?)
}
