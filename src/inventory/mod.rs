//! Hosts, groups and patterns: who a play is for.
//!
//! An inventory comes from TOML files and from scripts that speak Ansible's protocol. Reading ([`mod@file`], [`script`])
//! collects what they say into a [`draft`]; putting it together checks the names and works out what each host
//! inherits. Settings and variables are layered: what holds for all, then the groups, parents before children and
//! else in the order of the file, then the host; the last one wins.

mod build;
pub mod connection;
pub mod draft;
pub mod file;
pub mod load;
pub mod pattern;
pub mod range;
pub mod script;

use crate::diagnostic::{Place, closest};
use crate::document::{Entry, Node, Table};
pub use connection::ConnectionSettings;
use draft::Layer;
pub use pattern::{Pattern, SelectError};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// One host.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// The name in the inventory, which is also `inventory_hostname`.
    pub name: String,
    /// How to connect, merged from `[connection]`, its groups and its own line. What is not set
    /// here comes from `~/.ssh/config`.
    pub connection: ConnectionSettings,
    /// The groups it is in, parents included, in the order of the file, without `all`. A host in no group
    /// is in `ungrouped`.
    pub groups: Vec<String>,
    /// Its own variables, as written.
    pub vars: Table,
}

/// One group.
#[derive(Debug, Clone)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The groups in it, in the order of the file.
    pub children: Vec<String>,
    /// Its hosts and those of its children, in the order of the inventory.
    pub hosts: Vec<Arc<Host>>,
    /// The hosts that are in it themselves and not only in a child.
    pub own_hosts: Vec<Arc<Host>>,
    /// How far it is from `all` (0): the longest way from a group that is in no other (1).
    pub depth: usize,
    layer: Layer,
}

/// All hosts and groups.
#[derive(Debug, Clone)]
pub struct Inventory {
    hosts: Vec<Arc<Host>>,
    groups: Vec<Group>,
    connection: Layer,
    /// For each host its own layer, and its groups, the weakest first.
    own: Vec<(Layer, Vec<usize>)>,
    host_index: HashMap<String, usize>,
    group_index: HashMap<String, usize>,
}

/// Which part of the inventory a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'a> {
    /// The `[connection]` table.
    Connection,
    /// A group.
    Group(&'a str),
    /// The host itself.
    Host(&'a str),
}

impl fmt::Display for Origin<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Connection => f.write_str("[connection]"),
            Origin::Group(name) => write!(f, "group {name}"),
            Origin::Host(name) => write!(f, "host {name}"),
        }
    }
}

/// A variable or connection setting that a host has, and what it hides.
#[derive(Debug, Clone)]
pub struct Variable<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its value, as written.
    pub value: &'a Node,
    /// Where its name stands.
    pub place: &'a Place,
    /// The layer that it comes from.
    pub origin: Origin<'a>,
    /// The same name in weaker layers, the strongest first.
    pub overrides: Vec<(Origin<'a>, &'a Entry)>,
}

impl Inventory {
    /// All hosts, in the order of the inventory.
    pub fn hosts(&self) -> &[Arc<Host>] {
        &self.hosts
    }

    /// A host by its name.
    pub fn host(&self, name: &str) -> Option<&Arc<Host>> {
        self.host_index.get(name).map(|&index| &self.hosts[index])
    }

    /// All groups: `all`, then the others in the order of the inventory, then `ungrouped`.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// A group by its name.
    pub fn group(&self, name: &str) -> Option<&Group> {
        self.group_index.get(name).map(|&index| &self.groups[index])
    }

    /// The groups that a host is in, parents included, without `all`; empty for an unknown host.
    pub fn group_names(&self, host: &str) -> &[String] {
        self.host(host).map_or(&[], |host| &host.groups)
    }

    /// Every group with the names of its hosts, as templates see it in `groups`.
    pub fn group_lists(&self) -> Vec<(String, Vec<String>)> {
        let names = |group: &Group| group.hosts.iter().map(|host| host.name.clone()).collect();
        let list = |group: &Group| (group.name.clone(), names(group));
        self.groups.iter().map(list).collect()
    }

    /// The variables of a host, its own over those of its groups, as written.
    pub fn variable_table(&self, host: &str) -> Table {
        self.variables(host)
            .into_iter()
            .map(|variable| Entry {
                key: variable.name.to_string(),
                key_place: variable.place.clone(),
                value: variable.value.clone(),
            })
            .collect()
    }

    /// The variables of a host with their origin, in the order in which the layers first name them. The values are
    /// as written: templates in them are not rendered.
    pub fn variables(&self, host: &str) -> Vec<Variable<'_>> {
        self.layered(host, |layer| &layer.vars)
    }

    /// The connection settings of a host as written, with their origin.
    pub fn settings(&self, host: &str) -> Vec<Variable<'_>> {
        self.layered(host, |layer| &layer.settings)
    }

    fn layered(&self, host: &str, part: fn(&Layer) -> &Vec<Entry>) -> Vec<Variable<'_>> {
        let mut found: Vec<Variable<'_>> = Vec::new();
        let mut index: HashMap<&str, usize> = HashMap::new();
        for (origin, layer) in self.layers(host) {
            for entry in part(layer) {
                match index.get(entry.key.as_str()) {
                    None => {
                        index.insert(&entry.key, found.len());
                        found.push(Variable {
                            name: &entry.key,
                            value: &entry.value,
                            place: &entry.key_place,
                            origin,
                            overrides: vec![(origin, entry)],
                        });
                    }
                    Some(&at) => {
                        let known = &mut found[at];
                        known.value = &entry.value;
                        known.place = &entry.key_place;
                        known.origin = origin;
                        known.overrides.insert(0, (origin, entry));
                    }
                }
            }
        }
        // The first one of each list is the one that holds.
        for variable in &mut found {
            variable.overrides.remove(0);
        }
        found
    }

    /// What a host inherits, the weakest first.
    fn layers(&self, host: &str) -> Vec<(Origin<'_>, &Layer)> {
        let Some(&index) = self.host_index.get(host) else {
            return Vec::new();
        };
        let (own, groups) = &self.own[index];
        let mut layers = vec![(Origin::Connection, &self.connection)];
        for &group in groups {
            let group = &self.groups[group];
            layers.push((Origin::Group(&group.name), &group.layer));
        }
        layers.push((Origin::Host(&self.hosts[index].name), own));
        layers
    }

    /// The host or group that a misspelt name most likely means.
    pub fn suggest(&self, name: &str) -> Option<&str> {
        let groups = self.groups.iter().map(|group| group.name.as_str());
        if let Some(near) = closest(name, groups) {
            return Some(near);
        }
        // The names of hosts are often alike, so that a far one would be a guess.
        closest(name, self.hosts.iter().map(|host| host.name.as_str()))
            .filter(|near| strsim::damerau_levenshtein(name, near) <= 2)
    }
}
