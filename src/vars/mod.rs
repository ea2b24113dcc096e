//! Variables: their layers, and how a name is looked up for one task on one host.
//!
//! What the operator wrote is a template and is rendered when it is used; what came from a host is data and
//! never is. The layers, weakest first: inventory, play, task, registered results and `set_fact`,
//! `-e`. The names that the runner itself provides can't be overridden.

mod filters;
mod foresee;
mod names;
mod registered;
mod render;
mod template;

pub use foresee::Words;
pub use render::{Lookup, Trouble};
pub use template::{expression_syntax, is_template, syntax};

use crate::diagnostic::Problem;
use crate::document::{Secret, Table};
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// The names that the runner provides, for suggestions and documentation.
pub const BUILTIN: &[&str] = &[
    "inventory_hostname",
    "address",
    "group_names",
    "groups",
    "hostvars",
    "playbook_dir",
    "play_hosts",
    "check_mode",
    "item",
    "result",
];

/// What the variables of a host are made of, from the inventory.
#[derive(Debug, Clone, Default)]
pub struct HostVariables {
    /// The host's name.
    pub name: String,
    /// The groups it is in, without `all`.
    pub groups: Vec<String>,
    /// The name or address to dial; `address`, unless a variable has that name.
    pub address: String,
    /// Its variables, with those of its groups already below them.
    pub vars: Table,
}

/// Finds the values of secret variables, each once.
pub trait Secrets: Send + Sync {
    /// The value of a secret. May take its time.
    ///
    /// # Errors
    ///
    /// Why there is none.
    fn find(&self, secret: &Secret) -> Result<Value, Problem>;

    /// Whether the value of a secret that was found stands in a text.
    fn holds(&self, text: &str) -> bool;
}

/// What is the same for every host and task of a run.
pub struct World {
    pub(crate) environment: minijinja::Environment<'static>,
    pub(crate) hosts: HashMap<String, Arc<HostVariables>>,
    pub(crate) groups: minijinja::Value,
    pub(crate) extra: Table,
    /// Names that some task of the run registers or sets.
    pub(crate) produced: HashSet<String>,
    pub(crate) check: bool,
    /// Without them a secret's name stands for its value.
    pub(crate) secrets: Option<Arc<dyn Secrets>>,
    /// The words of the template files that were rendered so far.
    pub(crate) words: Mutex<Words>,
    folders: Vec<PathBuf>,
    facts: RwLock<HashMap<String, Arc<Map<String, Value>>>>,
    /// The files of this machine that tasks were filled in with.
    files: Mutex<BTreeSet<PathBuf>>,
    /// What the operator has to know of tasks that were filled in.
    warnings: Mutex<Vec<String>>,
}

impl World {
    /// Gathers what every lookup needs. `groups` maps each group to its hosts, in inventory order;
    /// `extra` holds the values of `-e`; `produced` names what tasks register or set.
    pub fn new(
        hosts: Vec<HostVariables>,
        groups: Vec<(String, Vec<String>)>,
        extra: Table,
        produced: HashSet<String>,
        check: bool,
        template_folders: Vec<PathBuf>,
    ) -> Self {
        Self {
            environment: template::environment(template_folders.clone()),
            folders: template_folders,
            hosts: hosts
                .into_iter()
                .map(|host| (host.name.clone(), Arc::new(host)))
                .collect(),
            groups: minijinja::Value::from_pairs(groups),
            extra,
            produced,
            check,
            secrets: None,
            words: Mutex::default(),
            facts: RwLock::default(),
            files: Mutex::default(),
            warnings: Mutex::default(),
        }
    }

    /// The same with the values of secrets.
    pub fn with_secrets(self, secrets: Arc<dyn Secrets>) -> Self {
        Self {
            secrets: Some(secrets),
            ..self
        }
    }

    /// The path of a template that another one includes.
    pub(crate) fn included(&self, name: &str) -> String {
        let paths = self.folders.iter().map(|folder| folder.join(name));
        paths
            .filter(|path| path.is_file())
            .map(|path| path.display().to_string())
            .next()
            .unwrap_or_else(|| name.to_string())
    }

    /// What is registered or set on a host so far.
    pub fn facts(&self, host: &str) -> Arc<Map<String, Value>> {
        let facts = self
            .facts
            .read()
            .unwrap_or_else(|broken| broken.into_inner());
        facts.get(host).cloned().unwrap_or_default()
    }

    /// Notes a file of this machine that a task reads or sends.
    pub fn note_file(&self, path: PathBuf) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.insert(path);
    }

    /// The files that were noted so far.
    pub fn files(&self) -> Vec<PathBuf> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.iter().cloned().collect()
    }

    /// Notes what the operator has to know.
    pub fn note_warning(&self, message: String) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.push(message);
    }

    /// What was noted since the last call, perhaps more than once.
    pub fn take_warnings(&self) -> Vec<String> {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut warnings)
    }

    /// The names of all variables that read another host's, themselves or through others.
    pub fn reading_other_hosts(&self, play: &Table) -> Vec<String> {
        self.reading(vec!["hostvars".to_string()], play)
    }

    /// These names, and those of all variables that read one of them, themselves or through others.
    pub fn reading(&self, mut names: Vec<String>, play: &Table) -> Vec<String> {
        let inventory = self.hosts.values().map(|host| &host.vars);
        let tables: Vec<&Table> = inventory.chain([play, &self.extra]).collect();
        loop {
            let more = tables
                .iter()
                .flat_map(|table| table.iter())
                .find(|entry| !names.contains(&entry.key) && entry.value.mentions(&names));
            match more {
                Some(entry) => names.push(entry.key.clone()),
                None => return names,
            }
        }
    }

    /// Registers or sets a value on a host.
    pub fn set(&self, host: &str, name: &str, value: Value) {
        let mut facts = self
            .facts
            .write()
            .unwrap_or_else(|broken| broken.into_inner());
        let host = facts.entry(host.to_string()).or_default();
        Arc::make_mut(host).insert(name.to_string(), value);
    }
}

/// What is the same for every host of a play.
#[derive(Debug, Default)]
pub struct PlayScope {
    /// The play's variables, `vars_files` below `vars`.
    pub vars: Table,
    /// The folder of the playbook file.
    pub dir: PathBuf,
    /// The hosts of the play that are still in the run.
    pub hosts: Vec<String>,
}

/// Where a lookup starts: one task on one host.
#[derive(Clone)]
pub struct Scope {
    /// The run.
    pub world: Arc<World>,
    /// The host.
    pub host: Arc<HostVariables>,
    /// The play.
    pub play: Arc<PlayScope>,
    /// The variables of the task.
    pub task: Arc<Table>,
    /// Names whose values are not known yet. Looking one up makes the whole rendering [`Trouble::Later`].
    pub pending: Arc<HashSet<String>>,
    /// Nothing has run yet: any name that a task produces counts as not known.
    pub ahead: bool,
    /// `item`, `result` and the name that a task registers, while its conditions are looked at.
    pub locals: Map<String, Value>,
}

impl Scope {
    /// A scope for a host in a play.
    ///
    /// A host that the inventory does not know has no variables.
    pub fn new(world: &Arc<World>, host: &str, play: &Arc<PlayScope>) -> Self {
        let host = world.hosts.get(host).cloned().unwrap_or_else(|| {
            Arc::new(HostVariables {
                name: host.to_string(),
                ..HostVariables::default()
            })
        });
        Self {
            world: world.clone(),
            host,
            play: play.clone(),
            task: Arc::default(),
            pending: Arc::default(),
            ahead: false,
            locals: Map::new(),
        }
    }

    /// The same scope with one more local name.
    pub fn with(&self, name: &str, value: Value) -> Self {
        let mut scope = self.clone();
        scope.locals.insert(name.to_string(), value);
        scope
    }
}
