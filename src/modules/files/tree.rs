//! A directory of this machine with all that is in it: the part of `copy` that handles trees.

use super::attributes::Attributes;
use super::install::{self, Content, FUNCTIONS, Install};
use super::path::{self, word};
use super::state::{self, FileKind, Status};
use super::{answered, local};
use crate::modules::{Action, Changes, Diff, Done, Failure, Found, Module, Script};
use serde_json::{Map, Value};
use std::path::Path;

/// Scripts are cut about here, in bytes.
const SCRIPT_LIMIT: usize = 1024 * 1024;

/// A tree with its place on the host.
#[derive(Debug)]
pub struct Tree {
    /// The directory that becomes the copy.
    pub dest: String,
    /// The directory itself first, each directory before what is in it.
    pub entries: Vec<Entry>,
    /// As declared for files.
    pub files: Attributes,
    /// As declared for directories.
    pub directories: Attributes,
    /// Whether to show what changes.
    pub diff: bool,
}

/// One thing in a tree.
#[derive(Debug)]
pub struct Entry {
    /// Its path below the root; empty for the root.
    pub name: String,
    /// What it is.
    pub node: Node,
}

/// What an entry is.
#[derive(Debug)]
pub enum Node {
    /// A directory.
    Directory,
    /// A symbolic link with its target.
    Link(String),
    /// A file with its content and the mode of a new copy.
    File(Content, u32),
}

/// Reads a tree of this machine.
///
/// # Errors
///
/// Something cannot be read, changes meanwhile, has a name that is not UTF-8, or is neither file, directory nor link.
pub fn entries(root: &Path) -> Result<Vec<Entry>, String> {
    let mut entries = vec![Entry {
        name: String::new(),
        node: Node::Directory,
    }];
    walk(root, "", &mut entries)?;
    Ok(entries)
}

fn walk(directory: &Path, prefix: &str, entries: &mut Vec<Entry>) -> Result<(), String> {
    let failed =
        |path: &Path, error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let utf8 = |path: &Path| format!("{} is not valid UTF-8", path.display());
    let mut children = std::fs::read_dir(directory)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(directory, error))?;
    children.sort_by_key(std::fs::DirEntry::file_name);
    for child in children {
        let path = child.path();
        let name = child.file_name().into_string().map_err(|_| utf8(&path))?;
        let name = format!("{prefix}{name}");
        let kind = child.file_type().map_err(|error| failed(&path, error))?;
        if kind.is_dir() {
            let below = format!("{name}/");
            entries.push(Entry {
                name,
                node: Node::Directory,
            });
            walk(&path, &below, entries)?;
            continue;
        }
        let node = if kind.is_symlink() {
            let target = std::fs::read_link(&path).map_err(|error| failed(&path, error))?;
            Node::Link(target.to_str().ok_or_else(|| utf8(&path))?.to_string())
        } else if kind.is_file() {
            Node::File(local::content(&path)?, local::mode(&path))
        } else {
            return Err(format!(
                "{} is neither a file, a directory nor a link",
                path.display()
            ));
        };
        entries.push(Entry { name, node });
    }
    Ok(())
}

/// Prints the state of `$1`; then for a file its checksum, and for a link whether it leads to `$2`.
const LOOK: &str = r#"rn_look() {
  s=$(rn_stat "$1") || exit 1
  printf '%s\n' "$s"
  case $s in
    file*) rn_sum "$1" || exit $? ;;
    link*) [ "$(readlink -- "$1"; printf x)" = "$2
x" ] && echo same || echo other ;;
  esac
}
"#;

impl Module for Tree {
    fn probe(&self) -> Option<Script> {
        let mut text = format!("{LOOK}rn_stat {} -L || exit 1\n", word(&self.dest));
        for entry in self.entries.iter().skip(1) {
            let at = word(&self.path(entry));
            match &entry.node {
                Node::Link(target) => {
                    text.push_str(&format!("rn_look {at} {}\n", word(target)));
                }
                _ => text.push_str(&format!("rn_look {at}\n")),
            }
        }
        Some(Script::new(text))
    }

    fn changes(&self, found: &Found) -> Result<Changes, Failure> {
        answered(found, &self.dest)?;
        let mut rest = found.stdout.as_slice();
        let mut work = Work::default();
        for entry in &self.entries {
            let path = self.path(entry);
            let status = state::state(&mut rest)?.status(&path)?;
            let kind = status.as_ref().map(|status| status.kind);
            let extra = match kind {
                Some(FileKind::File | FileKind::Link) if !entry.name.is_empty() => {
                    state::line(&mut rest).unwrap_or_default().into_owned()
                }
                _ => String::new(),
            };
            let fits = match entry.node {
                Node::Directory => matches!(kind, None | Some(FileKind::Directory)),
                _ => !matches!(kind, Some(FileKind::Directory | FileKind::Other)),
            };
            if !fits {
                let words = kind.map_or("", FileKind::words);
                return Err(Failure::new(format!("{path} is in the way: it is {words}"))
                    .help("remove it first if it may go: see `remove`"));
            }
            self.entry(entry, &path, status.as_ref(), &extra, &mut work);
        }
        Ok(work.changes(self))
    }

    fn result(&self, _: &Found, _: &[Done]) -> Result<Map<String, Value>, Failure> {
        let path = Value::from(self.dest.clone());
        Ok(Map::from_iter([("path".to_string(), path)]))
    }
}

impl Tree {
    fn path(&self, entry: &Entry) -> String {
        match entry.name.as_str() {
            "" => self.dest.clone(),
            name => path::join(&self.dest, name),
        }
    }

    fn entry(
        &self,
        entry: &Entry,
        path: &str,
        found: Option<&Status>,
        extra: &str,
        work: &mut Work,
    ) {
        let attributes = match &entry.node {
            Node::Directory => &self.directories,
            Node::File(..) => &self.files,
            Node::Link(target) => {
                let link = found.is_some_and(|found| found.kind == FileKind::Link);
                if !(link && extra == "same") {
                    work.note(entry, if link { "link differs" } else { "new link" });
                    work.step(&install::link(path, target));
                }
                return;
            }
        };
        let present = found.filter(|found| found.kind != FileKind::Link);
        match (&entry.node, present) {
            (Node::Directory, None) => {
                work.note(entry, "new directory");
                let commands = attributes.commands("\"$p\"", Some(0o755));
                work.step(&format!(
                    "{}rn_parent && rn_not_directory || exit 1\n( umask 077; mkdir -- \"$p\" ) || exit 1\n{} || exit 1\n",
                    install::names(path, &path::temporary(path, "")),
                    commands.join(" && ")
                ));
                return;
            }
            (Node::File(content, new_mode), _) if present.is_none() || extra != content.sum() => {
                work.note(
                    entry,
                    match present {
                        Some(_) => "content differs",
                        None => "new file",
                    },
                );
                let install = Install {
                    path,
                    content,
                    attributes,
                    new_mode: *new_mode,
                    found: present,
                    replaces: None,
                };
                match content {
                    Content::Bytes(bytes) => work.step(&install.step(bytes)),
                    Content::Local { .. } => work.large.extend(install.actions()),
                }
                return;
            }
            _ => {}
        }
        let Some(found) = present else { return };
        let differences = attributes.differences(found);
        if !differences.is_empty() {
            work.note(entry, &differences.join(", "));
            let commands = attributes.commands("\"$p\"", Some(found.mode));
            work.step(&format!(
                "p={}\n{} || exit 1\n",
                word(path),
                commands.join(" && ")
            ));
        }
    }
}

/// What is to be done, as it is collected.
#[derive(Default)]
struct Work {
    scripts: Vec<String>,
    large: Vec<Action>,
    notes: Vec<String>,
}

impl Work {
    fn note(&mut self, entry: &Entry, why: &str) {
        let name = match entry.name.as_str() {
            "" => ".",
            name => name,
        };
        self.notes.push(format!("{name}: {why}"));
    }

    fn step(&mut self, text: &str) {
        match self.scripts.last_mut() {
            Some(script) if script.len() + text.len() <= SCRIPT_LIMIT => script.push_str(text),
            _ => self.scripts.push(format!("{FUNCTIONS}{text}")),
        }
    }

    fn changes(self, tree: &Tree) -> Changes {
        if self.notes.is_empty() {
            return Changes::none();
        }
        let mut because = self.notes.iter().take(3).cloned().collect::<Vec<_>>();
        if self.notes.len() > because.len() {
            because.push(format!("{} more", self.notes.len() - because.len()));
        }
        let mut actions: Vec<Action> = self
            .scripts
            .into_iter()
            .map(|script| Action::Run(Script::new(script)))
            .collect();
        actions.extend(self.large);
        Changes {
            actions,
            because: because.join(", "),
            diff: tree.diff.then(|| Diff {
                name: tree.dest.clone(),
                before: String::new(),
                after: self.notes.join("\n") + "\n",
            }),
            ..Changes::default()
        }
    }
}
