//! Reading playbook files and what they import.

use super::{Play, Playbook, parse_play};
use crate::diagnostic::{Place, Problem, Problems, Source, cause};
use crate::document::{self, Node, Table};
use std::path::{Path, PathBuf};

/// Finds a playbook: as named, or in `playbooks/`, with or without `.toml`.
///
/// # Errors
///
/// A problem that names where it was looked for.
pub fn find(name: &str) -> Result<PathBuf, Problem> {
    let tries = [
        PathBuf::from(name),
        PathBuf::from(format!("{name}.toml")),
        Path::new("playbooks").join(name),
        Path::new("playbooks").join(format!("{name}.toml")),
    ];
    if let Some(found) = tries.iter().find(|path| path.is_file()) {
        return Ok(found.clone());
    }
    let problem = Problem::new(format!("there is no playbook `{name}`")).help(format!(
        "looked for {} and {}",
        tries[0].display(),
        tries[2].display()
    ));
    let known: Vec<String> = std::fs::read_dir("playbooks")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    Err(problem.did_you_mean(name, known.iter().map(String::as_str)))
}

/// Reads a playbook and everything that it imports: as much of it as can be understood, and every problem of every
/// file.
pub fn load(path: &Path) -> (Playbook, Problems) {
    let mut loader = Loader {
        plays: Vec::new(),
        problems: Problems::new(),
        open: Vec::new(),
    };
    loader.file(path, &Inherited::default(), None);
    if loader.plays.is_empty() && loader.problems.is_empty() {
        loader.problems.push(
            Problem::new(format!("{} has no play", path.display()))
                .help("a play is a `[[play]]` table with `hosts` and `[[play.task]]` tables"),
        );
    }
    let playbook = Playbook {
        path: path.to_path_buf(),
        plays: loader.plays,
    };
    (playbook, loader.problems)
}

/// What an import hands down to the plays of the imported file.
#[derive(Default, Clone)]
struct Inherited {
    tags: Vec<String>,
    vars: Table,
}

struct Loader {
    plays: Vec<Play>,
    problems: Problems,
    /// The files that are being read, outermost first.
    open: Vec<PathBuf>,
}

impl Loader {
    fn file(&mut self, path: &Path, inherited: &Inherited, from: Option<&Place>) {
        let same = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        if self.open.contains(&same) {
            let mut problem = Problem::new(format!("{} imports itself", path.display()));
            if let Some(place) = from {
                problem = problem.at(place.clone());
            }
            self.problems.push(problem);
            return;
        }
        let Some(root) = self.read(path, from) else {
            return;
        };
        self.open.push(same);
        let Ok(table) = root.table() else { return };
        table.refuse_unknown(&["play"], "a playbook", &mut self.problems);
        let dir = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        if let Some(node) = table.get("play") {
            match node.array() {
                Ok(plays) => plays
                    .iter()
                    .for_each(|play| self.play(play, &dir, inherited)),
                Err(problem) => self
                    .problems
                    .push(problem.help("plays are written as `[[play]]`")),
            }
        }
        self.open.pop();
    }

    fn play(&mut self, node: &Node, dir: &Path, inherited: &Inherited) {
        let Some(table) = self.problems.note(node.table()) else {
            return;
        };
        if let Some(import) = table.get("import") {
            table.refuse_unknown(
                &["import", "name", "tags", "vars"],
                "an import",
                &mut self.problems,
            );
            let Some(name) = self.problems.note(import.string()) else {
                return;
            };
            let mut inner = inherited.clone();
            if let Some(tags) = table.get("tags") {
                inner
                    .tags
                    .extend(self.problems.note(tags.strings()).unwrap_or_default());
            }
            if let Some(vars) = table
                .get("vars")
                .and_then(|vars| self.problems.note(vars.table()))
            {
                inner.vars = over(vars, &inner.vars);
            }
            let path = dir.join(name);
            self.file(&path, &inner, Some(&import.place));
            return;
        }
        let files = self.vars_files(table, dir);
        if let Some(mut play) = parse_play(node, dir, &mut self.problems) {
            play.vars = over(&inherited.vars, &over(&play.vars, &files));
            play.tags.extend(inherited.tags.clone());
            for task in play.tasks.iter_mut().chain(&mut play.handlers) {
                task.tags.extend(inherited.tags.clone());
            }
            self.plays.push(play);
        }
    }

    fn vars_files(&mut self, play: &Table, dir: &Path) -> Table {
        let mut vars = Table::default();
        let Some(node) = play.get("vars_files") else {
            return vars;
        };
        for file in node.each() {
            let Some(name) = self.problems.note(file.string()) else {
                continue;
            };
            if let Some(root) = self.read(&dir.join(name), Some(&file.place))
                && let Ok(table) = root.table()
            {
                vars = over(table, &vars);
            }
        }
        vars
    }

    fn read(&mut self, path: &Path, from: Option<&Place>) -> Option<Node> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let mut problem =
                    Problem::new(format!("cannot read {}: {}", path.display(), cause(&error)));
                if let Some(place) = from {
                    problem = problem.at(place.clone());
                }
                self.problems.push(problem);
                return None;
            }
        };
        match document::parse(&Source::new(path.display().to_string(), text)) {
            Ok(root) => Some(root),
            Err(problems) => {
                self.problems.extend(problems);
                None
            }
        }
    }
}

/// One table laid over another.
pub(crate) fn over(upper: &Table, lower: &Table) -> Table {
    let below = lower
        .iter()
        .filter(|entry| upper.entry(&entry.key).is_none());
    below.chain(upper.iter()).cloned().collect()
}
