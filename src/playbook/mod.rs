//! Playbooks: plays and tasks as typed data, each with its place.
//!
//! Reading a playbook reports every mistake it can see without a host. Values that may hold templates stay
//! [`Node`]s; they are rendered for each host by [`crate::plan`].

mod load;
mod play;
mod task;

pub(crate) use load::over;
pub use load::{find, load};
pub use play::parse_play;
pub(crate) use task::no_list;
pub use task::{MODIFIERS, one_task, parse_task};

use crate::diagnostic::Place;
use crate::document::{Node, Table};
use crate::modules::Spec;
use std::path::PathBuf;
use std::time::Duration;

/// A playbook with everything that it imports.
#[derive(Debug, Clone)]
pub struct Playbook {
    /// The file as the operator named it.
    pub path: PathBuf,
    /// The plays, in order.
    pub plays: Vec<Play>,
}

/// Tasks for some hosts.
#[derive(Debug, Clone)]
pub struct Play {
    /// What it is called; by default its pattern.
    pub name: String,
    /// Which hosts it is for, as a pattern.
    pub hosts: String,
    /// Where the pattern stands.
    pub place: Place,
    /// The folder of the file it stands in; `src` paths start there.
    pub dir: PathBuf,
    /// Its variables: `vars_files` below `vars`.
    pub vars: Table,
    /// Only on the first of the hosts that answers.
    pub once: bool,
    /// How many hosts at a time, one entry a batch; the last entry repeats. Empty: all at once.
    pub serial: Vec<Portion>,
    /// A failure on one host ends the run for all.
    pub any_errors_fatal: bool,
    /// More failed hosts than this, in percent, end the run.
    pub max_fail_percentage: Option<u8>,
    /// The tags of all its tasks.
    pub tags: Vec<String>,
    /// Whose rights its tasks use.
    pub privilege: Privilege,
    /// Environment variables of its tasks.
    pub env: Table,
    /// The tasks.
    pub tasks: Vec<Task>,
    /// The tasks that others notify.
    pub handlers: Vec<Task>,
    /// The names that tasks register which could not be read: what uses them is not wrong for that.
    pub unread: Vec<String>,
}

/// A number of hosts, or a part of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Portion {
    /// So many hosts.
    Hosts(usize),
    /// So many percent of the hosts, but at least one.
    Percent(u8),
}

/// Whose rights a task uses. What is not set comes from the play, then from the command line.
#[derive(Debug, Clone, Default)]
pub struct Privilege {
    /// Whether to change the user at all.
    pub become_: Option<bool>,
    /// The user to become; by default root.
    pub user: Option<String>,
}

impl Privilege {
    /// This one, with what it leaves open taken from another.
    pub fn or(&self, outer: &Privilege) -> Privilege {
        Privilege {
            become_: self.become_.or(outer.become_),
            user: self.user.clone().or_else(|| outer.user.clone()),
        }
    }

    /// The user to become, if any.
    pub fn target(&self) -> Option<String> {
        self.become_
            .unwrap_or(false)
            .then(|| self.user.clone().unwrap_or_else(|| "root".to_string()))
    }
}

/// One task: a module with its arguments, and how to run it.
#[derive(Debug, Clone)]
pub struct Task {
    /// What it is called; may be a template.
    pub name: Option<Node>,
    /// The task type.
    pub spec: &'static Spec,
    /// Its arguments, not rendered.
    pub body: Node,
    /// Where the module's key stands.
    pub place: Place,
    /// Runs only where this holds.
    pub when: Option<Node>,
    /// Runs once for each item.
    pub items: Option<Node>,
    /// The name that the result gets.
    pub register: Option<String>,
    /// Is tried again until this holds.
    pub until: Option<Node>,
    /// How many times it is tried again.
    pub retries: u32,
    /// How long to wait before trying again.
    pub delay: Duration,
    /// The deadline of one try.
    pub timeout: Option<Duration>,
    /// Environment variables.
    pub env: Table,
    /// Whose rights it uses.
    pub privilege: Privilege,
    /// Decides whether it counts as changed.
    pub changed_when: Option<Node>,
    /// Decides whether it failed.
    pub failed_when: Option<Node>,
    /// A failure does not end the play for the host.
    pub ignore_errors: bool,
    /// Its tags, with those of the play.
    pub tags: Vec<String>,
    /// Nothing of its arguments and results is shown or kept.
    pub no_log: bool,
    /// The handlers to run at the end of the play if it changed something.
    pub notify: Vec<String>,
    /// `Some(false)`: it runs for real under `--check` too.
    pub check_mode: Option<bool>,
    /// Its variables.
    pub vars: Table,
    /// Its arguments are taken as they are: braces in an ad-hoc command are the host's business.
    pub verbatim: bool,
}

impl Task {
    /// The name as written, or else the name of the module.
    pub fn title(&self) -> String {
        match &self.name {
            Some(node) => node.string().unwrap_or(self.spec.name).to_string(),
            None => self.spec.name.to_string(),
        }
    }

    /// Whether the playbook says, without condition, that it never changes anything.
    pub fn never_changes(&self) -> bool {
        self.changed_when
            .as_ref()
            .is_some_and(|node| matches!(node.boolean(), Ok(false)))
    }

    /// The names that it registers or sets.
    pub fn produces(&self) -> Vec<String> {
        let mut names: Vec<String> = self.register.iter().cloned().collect();
        if self.spec.name == "set_fact"
            && let Ok(table) = self.body.table()
        {
            names.extend(table.iter().map(|entry| entry.key.clone()));
        }
        names
    }
}
