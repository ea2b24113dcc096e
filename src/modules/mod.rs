//! The task types. Each is a pure function: found in, actions out.
//!
//! A module is one file with a [`Spec`] (its arguments and its documentation) and an implementation of
//! [`Module`]; the table in [`all`] lists them. The engine asks with [`Module::probe`], shows or does what
//! [`Module::changes`] answers, and never looks inside. No module does any I/O on a host by itself, so check
//! mode, `--diff` and most tests come for free.

pub mod args;
pub mod assert;
pub mod command;
pub mod copy;
pub mod debug;
pub mod directory;
pub mod docker;
pub mod fetch;
pub mod file;
pub mod files;
pub mod line;
pub mod link;
pub mod pause;
pub mod ping;
pub mod remove;
mod run;
pub mod script;
pub mod set_fact;
pub mod shell_command;
pub mod stat;
pub mod template;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod wait_for;

use crate::diagnostic::Problem;
pub(crate) use crate::shell;
use crate::spool::Rests;
pub use args::{Arg, Args, Kind, Local};
use serde_json::{Map, Value};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// What a task type is: its name, arguments, documentation, and how to make one.
#[derive(Debug)]
pub struct Spec {
    /// The key in a task.
    pub name: &'static str,
    /// One line, for lists.
    pub summary: &'static str,
    /// Some paragraphs: behavior, idempotence, check mode, what is registered.
    pub about: &'static str,
    /// The arguments, in the order of the documentation.
    pub args: &'static [Arg],
    /// The argument that a bare value sets: `command = "uptime"`. Empty: only a table is taken.
    pub bare: &'static str,
    /// Whether keys beyond `args` are taken (`set_fact`).
    pub open: bool,
    /// The arguments that nobody on a host can read in its list of processes, or of which [`Module::visible`] tells. A secret in any
    /// other is warned of.
    pub unseen: &'static [&'static str],
    /// One or more tasks in TOML that work as they are.
    pub example: &'static str,
    /// Makes the module from its rendered arguments. May read files of this machine through
    /// [`Args::local`], never a host.
    pub build: fn(&Args) -> Result<Box<dyn Module>, Problem>,
}

/// One task on one host, with its arguments filled in.
pub trait Module: Send + Sync + fmt::Debug {
    /// A read-only question to the host, if the module needs one. It may be asked early and more than once.
    fn probe(&self) -> Option<Script> {
        None
    }

    /// A pattern for `case` in a shell that matches only answers to the probe for which [`Module::changes`] finds nothing to
    /// do. The host can then go on by itself with what only looks; without a pattern it has to be asked again.
    fn settled(&self) -> Option<String> {
        None
    }

    /// What it prints and registers holds secrets, which nobody is shown.
    fn secret(&self) -> bool {
        false
    }

    /// The command that it runs for the operator, as one would type it; shown when it fails.
    fn command(&self) -> Option<String> {
        None
    }

    /// What of that everyone on the host can read in the list of processes while it runs.
    fn visible(&self) -> Option<String> {
        self.command()
    }

    /// What must be done, given the answer. No actions: already as wanted.
    fn changes(&self, found: &Found) -> Result<Changes, Failure>;

    /// What an action that has failed means, where its exit code alone does not say: a guard that has refused on the host.
    fn refusal(&self, done: &Done) -> Option<Failure> {
        let _ = done;
        None
    }

    /// The module's own keys of the registered result, beside `changed`, `rc`, `stdout` and `stderr`, from
    /// what was found and what the actions said. Also the place to refuse a result that only looks like success.
    fn result(&self, found: &Found, done: &[Done]) -> Result<Map<String, Value>, Failure> {
        let _ = (found, done);
        Ok(Map::new())
    }
}

/// A text for a POSIX `sh`, which must work in dash, bash and busybox sh.
///
/// Standard input is empty. The exit code, standard output and standard error come back. The functions of
/// [`crate::shell::PRELUDE`] are defined.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Script {
    /// The text.
    pub text: String,
    /// What it calls `rn_stat` and `rn_sum` for, so that one process can look at all of it.
    pub looks: Vec<Look>,
}

/// A path that a script looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Look {
    /// The path, as the script hands it to `rn_stat`.
    pub path: String,
    /// A link is followed.
    pub follow: bool,
    /// The checksum is wanted, and the file is small.
    pub sum: bool,
}

impl Script {
    /// A script of this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            looks: Vec::new(),
        }
    }

    /// Says what it will look at.
    pub fn looking(mut self, looks: impl IntoIterator<Item = Look>) -> Self {
        self.looks.extend(looks);
        self
    }
}

/// What a probe found. All empty, with code 0, for a module that has no probe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The exit code of the probe.
    pub code: i32,
    /// What it printed.
    pub stdout: Vec<u8>,
    /// What it complained about.
    pub stderr: Vec<u8>,
}

/// What a module wants done.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// What to do, in order; the first that fails ends the task.
    pub actions: Vec<Action>,
    /// Why, in a few words, for the screen: `mode 0644 -> 0755`.
    pub because: String,
    /// The change as text, when it can be shown.
    pub diff: Option<Diff>,
    /// The actions only look or wait: they count as ok, not as changed.
    pub read_only: bool,
    /// Variables to set on this host (`set_fact`).
    pub facts: Map<String, Value>,
    /// A text for the operator (`debug`).
    pub message: Option<String>,
}

impl Changes {
    /// Nothing to do: the host is as wanted.
    pub fn none() -> Self {
        Self::default()
    }

    /// One script that makes the change.
    pub fn script(script: Script, because: impl Into<String>) -> Self {
        Self {
            actions: vec![Action::Run(script)],
            because: because.into(),
            ..Self::default()
        }
    }
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Run a script on the host. An exit code other than 0 fails the task.
    Run(Script),
    /// Send a file of this machine to a new file on the host, with mode 0600 and in a new folder, then go on with the next action.
    /// For contents too large for a script; see [`crate::shell::INLINE_LIMIT`].
    Upload {
        /// The file to send.
        from: PathBuf,
        /// Where to put it: in a folder of its own, with mode 0700. The module's next script moves it into place and removes the folder.
        to: String,
        /// Go on with what is there from before, and leave there what has arrived when the link breaks. The name must
        /// tell the content then, and the next script must check it. Otherwise the folder must not exist, and nothing stays
        /// behind.
        resume: bool,
    },
    /// Fetch a file of the host into a file of this machine, written completely or not at all.
    Fetch {
        /// The file on the host.
        from: String,
        /// The file here; missing folders are made.
        to: PathBuf,
        /// The SHA-256 of the file on the host, in hex: another content is an error.
        sum: String,
    },
    /// Wait, on this machine.
    Pause(Duration),
}

/// A change to a text, for `--diff`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Diff {
    /// What it is a diff of, usually a path.
    pub name: String,
    /// The text before; empty for a new file.
    pub before: String,
    /// The text after; empty for a removed file.
    pub after: String,
}

/// What an action said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// Its exit code; 128 + n when signal n ended it.
    pub code: i32,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
    /// What follows both, where a command's output is the result and larger than what memory is for.
    pub rest: Rests,
    /// How many bytes more it said than anybody keeps.
    pub dropped: u64,
}

impl Done {
    /// Standard output as text, with replacement characters for what is not UTF-8.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

impl Found {
    /// Standard output as text, with replacement characters for what is not UTF-8.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// Why a task failed on a host, found by the module itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The cause in one line.
    pub message: String,
    /// The way out, a line each.
    pub help: Vec<String>,
    /// A safety guard refused: the run ends with exit code 9.
    pub guard: bool,
}

impl Failure {
    /// A failure with a cause.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: Vec::new(),
            guard: false,
        }
    }

    /// A refusal to do something that destroys what nobody named.
    pub fn guard(message: impl Into<String>) -> Self {
        Self {
            guard: true,
            ..Self::new(message)
        }
    }

    /// Adds a line that names the way out.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }
}

/// Every task type, by name.
pub fn all() -> &'static [&'static Spec] {
    static ALL: &[&Spec] = &[
        &command::SPEC,
        &shell_command::SPEC,
        &script::SPEC,
        &wait_for::SPEC,
        &debug::SPEC,
        &assert::SPEC,
        &set_fact::SPEC,
        &pause::SPEC,
        &ping::SPEC,
        &docker::swarm::SPEC,
        &docker::node::SPEC,
        &docker::image::SPEC,
        &docker::stack::SPEC,
        &docker::exec::SPEC,
        &directory::SPEC,
        &file::SPEC,
        &template::SPEC,
        &copy::SPEC,
        &fetch::SPEC,
        &remove::SPEC,
        &link::SPEC,
        &line::SPEC,
        &stat::SPEC,
    ];
    ALL
}

/// The task type of a name.
pub fn find(name: &str) -> Option<&'static Spec> {
    all().iter().copied().find(|spec| spec.name == name)
}
