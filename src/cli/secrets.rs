//! Where this process has its secrets from.

use super::hidden::redactor;
use super::options::RunOptions;
use super::prompt;
use crate::document::{Data, Table};
use crate::inventory::Inventory;
use crate::playbook::Play;
use crate::secret::{Ask, Identities, Store};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

static STORE: OnceLock<Arc<Store>> = OnceLock::new();

/// What finds the secrets of this process. A process has one set of options.
pub(super) fn store(options: &RunOptions) -> Arc<Store> {
    let new = || {
        Arc::new(Store::new(
            redactor().clone(),
            identities(&options.age_identity),
            Arc::new(Operator),
        ))
    };
    STORE.get_or_init(new).clone()
}

/// The environment variables that secrets came from.
pub(super) fn environment() -> Vec<String> {
    STORE
        .get()
        .map(|store| store.environment())
        .unwrap_or_default()
}

/// The files of keys to decrypt with.
pub(super) fn identities(named: &[PathBuf]) -> Identities {
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let config = config.filter(|path| path.is_absolute());
    let config = config.or_else(|| Some(std::env::home_dir()?.join(".config")));
    Identities {
        named: named.to_vec(),
        usual: config.map(|config| config.join("runner").join("age.txt")),
    }
}

/// Who gives a secret's variable another value by `-e` has not made it less of a secret.
pub(super) fn hide_extra(extra: &Table, inventory: &Inventory, plays: &[(Play, Vec<String>)]) {
    let secret = |table: &Table, name: &str| {
        let value = table.get(name).map(|node| &node.data);
        matches!(value, Some(Data::Secret(_)))
    };
    for entry in extra
        .iter()
        .filter(|entry| !matches!(entry.value.data, Data::Secret(_)))
    {
        let name = &entry.key;
        let mut hosts = inventory.hosts().iter();
        if plays.iter().any(|(play, _)| secret(&play.vars, name))
            || hosts.any(|host| secret(&inventory.variable_table(&host.name), name))
        {
            // One that is too short was the operator's choice.
            redactor().add_value(name, &entry.value.to_value()).ok();
        }
    }
}

/// Asks on the terminal, where there is one.
pub(super) struct Operator;

impl Ask for Operator {
    fn ask(&self, question: &str) -> Result<String, String> {
        prompt::secret(question).map_err(|error| match error.raw_os_error() {
            Some(_) => "there is no terminal".to_string(),
            None => crate::diagnostic::cause(&error),
        })
    }
}
