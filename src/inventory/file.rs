//! An inventory file: `[connection]`, `[hosts]`, `[groups]`.

use super::connection::{COMMON, SETTINGS};
use super::draft::{Draft, GroupDraft, HostDraft, Layer, Reference, check_name};
use super::range::{expand, is_range};
use crate::diagnostic::{Problem, Problems, Source};
use crate::document::{self, Data, Entry, Node, Table};
use crate::secret;
use crate::vars::BUILTIN;
use std::path::Path;

/// Variables of Ansible that are connection settings here.
pub const ANSIBLE: &[(&str, &str)] = &[
    ("ansible_host", "address"),
    ("ansible_ssh_host", "address"),
    ("ansible_port", "port"),
    ("ansible_ssh_port", "port"),
    ("ansible_user", "user"),
    ("ansible_ssh_user", "user"),
    ("ansible_ssh_private_key_file", "identity_file"),
    ("ansible_private_key_file", "identity_file"),
    ("ansible_connection", "transport"),
];

/// Reads a file into the draft, and notes every problem. Relative paths start in `folder`.
pub fn read(source: &Source, folder: &Path, draft: &mut Draft, problems: &mut Problems) {
    let root = match document::parse(source) {
        Ok(root) => root,
        Err(found) => {
            draft.incomplete = true;
            return problems.extend(found);
        }
    };
    let mut reader = Reader { folder, problems };
    let Some(root) = reader.table(&root) else {
        return;
    };
    let known = ["connection", "secrets", "hosts", "groups"];
    root.refuse_unknown(&known, "an inventory", reader.problems);
    if let Some(table) = root.get("connection").and_then(|node| reader.table(node)) {
        let mut layer = Layer::default();
        reader.settings(table, &mut layer);
        draft.connection.merge(layer);
    }
    if let Some(entry) = root.entry("secrets") {
        draft.add_group(GroupDraft {
            name: "all".to_string(),
            place: entry.key_place.clone(),
            children: Vec::new(),
            hosts: Vec::new(),
            layer: Layer {
                vars: secret::table(root, folder, reader.problems),
                ..Layer::default()
            },
        });
    }
    if let Some(table) = root.get("hosts").and_then(|node| reader.table(node)) {
        for entry in table.iter() {
            reader.host(entry, draft);
        }
    }
    if let Some(table) = root.get("groups").and_then(|node| reader.table(node)) {
        for entry in table.iter() {
            reader.group(entry, draft);
        }
    }
}

struct Reader<'a> {
    folder: &'a Path,
    problems: &'a mut Problems,
}

impl Reader<'_> {
    fn table<'n>(&mut self, node: &'n Node) -> Option<&'n Table> {
        self.problems.note(node.table())
    }

    fn settings(&mut self, table: &Table, layer: &mut Layer) {
        for entry in table.iter() {
            self.setting(entry, layer);
        }
    }

    fn setting(&mut self, entry: &Entry, layer: &mut Layer) {
        let result = layer.set(entry, self.folder);
        self.problems.note(result);
    }

    fn host(&mut self, entry: &Entry, draft: &mut Draft) {
        let names = match expand(&entry.key) {
            Ok(names) => names,
            Err(error) => {
                draft.incomplete = true;
                let place = entry.key_place.within(shift(entry, error.span));
                return self.problems.push(Problem::new(error.message).at(place));
            }
        };
        if let Some(Err(problem)) = names.first().map(|name| check_name(name, "host")) {
            draft.incomplete = true;
            self.problems.push(problem.at(entry.key_place.clone()));
            return;
        }
        let Data::Table(table) = &entry.value.data else {
            let problem = entry.value.expected("a table");
            let problem = match &entry.value.data {
                Data::String(text) => problem.help(format!(
                    "an address stands in a table: `{{ address = \"{text}\" }}`"
                )),
                _ => problem,
            };
            draft.incomplete = true;
            return self.problems.push(problem);
        };
        let mut layer = Layer::default();
        let mut groups = Vec::new();
        let mut addresses = None;
        for part in table.iter() {
            match part.key.as_str() {
                "groups" => groups = self.references(&part.value, "group", false),
                "vars" => layer.vars.extend(self.vars(&part.value)),
                "secrets" => layer.vars.extend(self.secrets(table)),
                "connection" => {
                    if let Some(table) = self.table(&part.value) {
                        self.settings(table, &mut layer);
                    }
                }
                "address" if is_address_range(&part.value) => {
                    addresses = self.addresses(&part.value, &names, &entry.key);
                }
                key if COMMON.contains(&key) => self.setting(part, &mut layer),
                _ => self.unknown_in_host(entry, part),
            }
        }
        for (index, name) in names.into_iter().enumerate() {
            let mut layer = layer.clone();
            if let Some((node, list)) = &addresses {
                let mut entry = node.clone();
                entry.value.data = Data::String(list[index].clone());
                self.setting(&entry, &mut layer);
            }
            let host = HostDraft {
                name,
                place: entry.key_place.clone(),
                groups: groups.clone(),
                layer,
                dynamic: false,
            };
            draft.add_host(host, self.problems);
        }
    }

    /// The addresses of hosts that share a line: as many as there are names.
    fn addresses(
        &mut self,
        node: &Node,
        names: &[String],
        key: &str,
    ) -> Option<(Entry, Vec<String>)> {
        let text = self.problems.note(node.string())?;
        let result = expand(text).map_err(|error| Problem::new(error.message));
        let list = self
            .problems
            .note(result.map_err(|problem| problem.at(node.place.clone())))?;
        if list.len() != names.len() {
            self.problems.push(
                Problem::new(format!(
                    "`{text}` stands for {} addresses and `{key}` for {} hosts",
                    list.len(),
                    names.len()
                ))
                .at(node.place.clone()),
            );
            return None;
        }
        let entry = Entry {
            key: "address".into(),
            key_place: node.place.clone(),
            value: node.clone(),
        };
        Some((entry, list))
    }

    fn unknown_in_host(&mut self, host: &Entry, part: &Entry) {
        let mut problem =
            Problem::new(format!("unknown key `{}` in host `{}`", part.key, host.key))
                .at(part.key_place.clone());
        let known = [
            "address",
            "port",
            "user",
            "identity_file",
            "connection",
            "groups",
            "vars",
            "secrets",
        ];
        if SETTINGS.contains(&part.key.as_str()) {
            problem = problem.help(format!(
                "it stands in `connection`: `connection = {{ {} = ... }}`",
                part.key
            ));
        } else if matches!(part.value.data, Data::Table(_))
            && host.key_place.source.name() == part.key_place.source.name()
            && !part.key_place.text().is_empty()
            && is_dotted(host, part)
        {
            problem = problem
                .help("a name with dots in it stands in quotes: `\"web1.example.com\" = { ... }`");
        } else {
            let before = problem.help.len();
            problem = problem.did_you_mean(&part.key, known);
            if problem.help.len() == before {
                problem = problem.help(format!(
                    "a variable stands in `vars`: `vars = {{ {} = ... }}`",
                    part.key
                ));
            }
        }
        self.problems.push(problem);
    }

    fn group(&mut self, entry: &Entry, draft: &mut Draft) {
        if let Err(problem) = check_name(&entry.key, "group") {
            return self.problems.push(problem.at(entry.key_place.clone()));
        }
        let listed = |problem: Problem| match entry.value.data {
            Data::Array(_) => problem.help(format!("write `{} = {{ hosts = [...] }}`", entry.key)),
            _ => problem,
        };
        let Some(table) = self.problems.note(entry.value.table().map_err(listed)) else {
            return;
        };
        let mut group = GroupDraft {
            name: entry.key.clone(),
            place: entry.key_place.clone(),
            children: Vec::new(),
            hosts: Vec::new(),
            layer: Layer::default(),
        };
        for part in table.iter() {
            match part.key.as_str() {
                "children" => group.children = self.references(&part.value, "group", true),
                "hosts" => group.hosts = self.references(&part.value, "host", true),
                "vars" => group.layer.vars.extend(self.vars(&part.value)),
                "secrets" => group.layer.vars.extend(self.secrets(table)),
                "connection" => {
                    if let Some(table) = self.table(&part.value) {
                        self.settings(table, &mut group.layer);
                    }
                }
                key => {
                    let problem =
                        Problem::new(format!("unknown key `{key}` in group `{}`", entry.key))
                            .at(part.key_place.clone());
                    self.problems.push(if SETTINGS.contains(&key) {
                        problem.help(format!(
                            "it stands in `connection`: `connection = {{ {key} = ... }}`"
                        ))
                    } else {
                        problem.did_you_mean(
                            key,
                            ["children", "hosts", "vars", "secrets", "connection"],
                        )
                    });
                }
            }
        }
        draft.add_group(group);
    }

    /// A list of names of hosts (in which ranges are taken) or groups, or one name.
    fn references(&mut self, node: &Node, what: &str, strict: bool) -> Vec<Reference> {
        let one;
        let items = match &node.data {
            Data::Array(items) => items.as_slice(),
            Data::String(_) => {
                one = [node.clone()];
                one.as_slice()
            }
            _ => {
                self.problems
                    .push(node.expected(&format!("a list of {what}s")));
                return Vec::new();
            }
        };
        let mut references = Vec::new();
        for item in items {
            let Some(text) = self.problems.note(item.string()) else {
                continue;
            };
            let names = if what == "host" && is_range(text) {
                let result = expand(text).map_err(|error| Problem::new(error.message));
                self.problems
                    .note(result.map_err(|problem| problem.at(item.place.clone())))
                    .unwrap_or_default()
            } else if let Err(problem) = check_name(text, what) {
                self.problems.push(problem.at(item.place.clone()));
                continue;
            } else {
                vec![text.to_string()]
            };
            references.extend(names.into_iter().map(|name| Reference {
                name,
                place: item.place.clone(),
                strict,
            }));
        }
        references
    }

    fn secrets(&mut self, owner: &Table) -> Vec<Entry> {
        secret::table(owner, self.folder, self.problems)
    }

    fn vars(&mut self, node: &Node) -> Vec<Entry> {
        let Some(table) = self.table(node) else {
            return Vec::new();
        };
        for entry in table.iter() {
            if let Err(problem) = check_variable(&entry.key) {
                self.problems.push(problem.at(entry.key_place.clone()));
            }
        }
        table.iter().cloned().collect()
    }
}

fn check_variable(name: &str) -> Result<(), Problem> {
    if let Some((_, setting)) = ANSIBLE.iter().find(|(ansible, _)| *ansible == name) {
        return Err(
            Problem::new(format!("`{name}` is a connection setting, not a variable")).help(
                format!("write `{setting}` beside `vars`, or in `connection`"),
            ),
        );
    }
    if BUILTIN.contains(&name) {
        return Err(Problem::new(format!(
            "`{name}` is built in and cannot be set"
        )));
    }
    let word = |c: char| c.is_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(word) || name.starts_with(|c: char| c.is_ascii_digit())
    {
        return Err(
            Problem::new(format!("{name:?} cannot be the name of a variable"))
                .help("a name is made of letters, digits and `_`, and starts with no digit"),
        );
    }
    Ok(())
}

fn is_address_range(node: &Node) -> bool {
    matches!(&node.data, Data::String(text) if is_range(text) && !text.starts_with('['))
}

/// Whether a host's key was written as `web1.example.com`, which TOML takes for three nested tables.
fn is_dotted(host: &Entry, part: &Entry) -> bool {
    let source = host.key_place.source.text();
    let between = source.get(host.key_place.span.end..part.key_place.span.start);
    between.is_some_and(|between| between.trim().trim_matches(['"', '\'']) == ".")
}

/// Bytes of a key as bytes of its place, which may begin with a quote.
fn shift(entry: &Entry, span: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let quote = usize::from(entry.key_place.text().starts_with(['"', '\'']));
    span.start + quote..span.end + quote
}
