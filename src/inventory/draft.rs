//! What inventory files say, before it is put together: hosts and groups as written, with their places.

use super::connection::ConnectionSettings;
use crate::diagnostic::{Place, Problem, Problems};
use crate::document::{Entry, Table};
use std::collections::HashMap;
use std::path::Path;

/// Settings and variables of one host, of one group, or of every host.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    /// The connection settings, read.
    pub connection: ConnectionSettings,
    /// The same settings as written, to show where each came from.
    pub settings: Vec<Entry>,
    /// The variables, as written.
    pub vars: Vec<Entry>,
}

impl Layer {
    /// Reads one connection setting.
    ///
    /// # Errors
    ///
    /// A setting that does not exist, that stands here already, or that has a wrong value.
    pub fn set(&mut self, entry: &Entry, folder: &Path) -> Result<(), Problem> {
        if self.settings.iter().any(|known| known.key == entry.key) {
            return Err(Problem::new(format!(
                "connection setting `{}` stands here twice",
                entry.key
            ))
            .at(entry.key_place.clone()));
        }
        self.connection.set(entry, folder)?;
        self.settings.push(entry.clone());
        Ok(())
    }

    /// Takes what a later file says about the same host or group; it wins.
    pub fn merge(&mut self, later: Layer) {
        self.connection.overlay(&later.connection);
        replace(&mut self.settings, later.settings);
        replace(&mut self.vars, later.vars);
    }
}

fn replace(entries: &mut Vec<Entry>, later: Vec<Entry>) {
    for entry in later {
        match entries.iter_mut().find(|known| known.key == entry.key) {
            Some(known) => *known = entry,
            None => entries.push(entry),
        }
    }
}

/// A name that refers to something else, and where it stands.
#[derive(Debug, Clone)]
pub struct Reference {
    /// The name.
    pub name: String,
    /// Where it stands.
    pub place: Place,
    /// Whether a host or group of this name must be given elsewhere. What a script names exists by that.
    pub strict: bool,
}

/// A host as written.
#[derive(Debug, Clone)]
pub struct HostDraft {
    /// Its name.
    pub name: String,
    /// Where its name (or the range) stands.
    pub place: Place,
    /// The groups that its line names.
    pub groups: Vec<Reference>,
    /// Its own settings and variables.
    pub layer: Layer,
    /// Whether a script said so. Such a host may also stand in a file.
    pub dynamic: bool,
}

/// A group as written.
#[derive(Debug, Clone)]
pub struct GroupDraft {
    /// Its name.
    pub name: String,
    /// Where its name stands.
    pub place: Place,
    /// The groups in it.
    pub children: Vec<Reference>,
    /// The hosts that it names itself.
    pub hosts: Vec<Reference>,
    /// Settings and variables of its hosts.
    pub layer: Layer,
}

/// Everything that the files and scripts of an inventory say.
#[derive(Debug, Default)]
pub struct Draft {
    /// The `[connection]` of all files.
    pub connection: Layer,
    /// The hosts, in order.
    pub hosts: Vec<HostDraft>,
    /// The groups, in order, as far as they are described and not only named.
    pub groups: Vec<GroupDraft>,
    /// Something could not be read, so that a name that is missing may stand there.
    pub incomplete: bool,
    host_index: HashMap<String, usize>,
    group_index: HashMap<String, usize>,
}

impl Draft {
    /// Adds a host.
    pub fn add_host(&mut self, host: HostDraft, problems: &mut Problems) {
        let Some(&index) = self.host_index.get(&host.name) else {
            self.host_index.insert(host.name.clone(), self.hosts.len());
            self.hosts.push(host);
            return;
        };
        let known = &mut self.hosts[index];
        if !known.dynamic && !host.dynamic {
            problems.push(
                Problem::new(format!("host `{}` is given twice", host.name))
                    .at(host.place)
                    .help(format!("it is given first at {}", known.place)),
            );
            return;
        }
        known.groups.extend(host.groups);
        known.layer.merge(host.layer);
    }

    /// Adds a group, or adds to it.
    pub fn add_group(&mut self, group: GroupDraft) {
        let Some(&index) = self.group_index.get(&group.name) else {
            self.group_index
                .insert(group.name.clone(), self.groups.len());
            self.groups.push(group);
            return;
        };
        let known = &mut self.groups[index];
        known.children.extend(group.children);
        known.hosts.extend(group.hosts);
        known.layer.merge(group.layer);
    }

    /// The position of a host.
    pub fn host(&self, name: &str) -> Option<usize> {
        self.host_index.get(name).copied()
    }
}

/// Refuses names that could not be used in a pattern, a file name or a message.
///
/// # Errors
///
/// The problem without a place.
pub fn check_name(name: &str, what: &str) -> Result<(), Problem> {
    let wrong =
        |why: String| Problem::new(format!("{name:?} cannot be the name of a {what}: {why}"));
    if name.is_empty() {
        return Err(wrong("it is empty".into()));
    }
    if name.starts_with(['-', '.', '~', '@']) {
        return Err(wrong(format!("it starts with `{}`", &name[..1])));
    }
    let bad =
        |c: &char| c.is_whitespace() || c.is_control() || r#":,&!*?[](){}/\'"`$|;<>"#.contains(*c);
    match name.chars().find(bad) {
        None => Ok(()),
        Some(':') if what == "host" => Err(wrong("it has `:` in it".into())
            .help("give the host a plain name, and its address and port beside: `name = { address = \"...\", port = 22 }`")),
        Some(c) => Err(wrong(format!("it has {c:?} in it"))),
    }
}

/// Turns entries into a table.
pub fn table(entries: &[Entry]) -> Table {
    entries.iter().cloned().collect()
}
