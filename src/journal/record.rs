//! What a journal holds.

use super::plan::Plan;
use crate::event::{Event, Status, TurnResult};
use crate::run_id::RunId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// The first: which run it is.
    Run(Box<Header>),
    /// What a run before had done on a host already.
    Before {
        /// The host.
        host: String,
        /// The play, from 0.
        play: usize,
        /// The task in the play, from 0.
        task: usize,
        /// How far it was.
        progress: Box<Progress>,
    },
    /// The host on which a run before has begun a play with `once`.
    Once {
        /// The play, from 0.
        play: usize,
        /// The host.
        host: String,
    },
    /// Something happened.
    Event(Event),
    /// The last: what the run came to.
    End(End),
}

/// Which run a journal is of.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Header {
    /// Grows when a field changes its meaning.
    pub version: u32,
    /// The run.
    pub id: RunId,
    /// When it began: milliseconds since 1970, UTC.
    pub started: u64,
    /// The command.
    pub kind: Kind,
    /// The playbook file, with its whole path; empty for an ad-hoc command.
    pub playbook: String,
    /// The inventory's files and folders, with their whole paths.
    pub inventory: Vec<String>,
    /// Who ran it, as `user@machine`.
    pub who: String,
    /// Its process on that machine.
    pub process: u32,
    /// The output is the result, as of `runner exec`.
    pub adhoc: bool,
    /// Nothing was changed, only said.
    pub check: bool,
    /// Its hosts were named as those of a run before, such as `@failed`.
    pub listed: bool,
    /// The run that this one went on from.
    pub resumes: Option<RunId>,
    /// What the operator chose of the playbook.
    pub choices: Choices,
    /// What was planned; not for ad-hoc commands.
    pub plan: Option<Plan>,
}

/// The version of the header and of all that follows it.
pub const VERSION: u32 = 1;

/// Which command a run was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `runner play`.
    Play,
    /// `runner exec`.
    Exec,
    /// `runner task`.
    Task,
    /// `runner ping`.
    Ping,
}

impl Kind {
    /// As on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Play => "play",
            Kind::Exec => "exec",
            Kind::Task => "task",
            Kind::Ping => "ping",
        }
    }
}

/// The options that say which part of a playbook is played: as they are written on the command line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choices(pub Vec<String>);

/// How far a task is on a host.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Its name.
    pub name: String,
    /// Where it stands: `file:line:column`.
    pub place: Option<String>,
    /// How it ended.
    pub status: Option<Status>,
    /// Turns that were about to be sent, and of which nothing was heard since.
    pub begun: BTreeSet<usize>,
    /// Turns of its loop that ended.
    pub turns: BTreeMap<usize, TurnResult>,
    /// What it has registered or set; no value where that is withheld.
    pub produced: Vec<(String, Option<Value>)>,
    /// It changed something in a run before, and its handlers may still wait.
    #[serde(default)]
    pub notifies: bool,
    /// It comes from a run before.
    #[serde(skip)]
    pub carried: bool,
}

impl Progress {
    /// It need not be done again.
    pub fn is_done(&self) -> bool {
        matches!(
            self.status,
            Some(Status::Ok | Status::Changed | Status::Skipped | Status::Ignored)
        )
    }

    /// It may have been done, or not.
    pub fn is_unknown(&self) -> bool {
        match self.status {
            Some(Status::Unknown) => true,
            Some(_) => false,
            None => !self.begun.is_empty(),
        }
    }
}

/// What a run came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct End {
    /// What was run, as in [`Event::RunStarted`].
    pub name: String,
    /// How long it took.
    pub took: Duration,
    /// The exit code.
    pub exit_code: u8,
    /// The signal that stopped it.
    pub signal: Option<String>,
    /// How many hosts it was for.
    pub hosts: usize,
    /// Of all hosts together, how many tasks ended in which way.
    pub totals: Vec<(Status, u32)>,
    /// How many hosts are not as wanted.
    pub unfinished: usize,
}
