//! From paths to an inventory.

use super::Inventory;
use super::draft::{Draft, HostDraft, Layer, check_name};
use super::range::expand;
use super::{file, script};
use crate::diagnostic::{Problem, Problems, Source};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

impl Inventory {
    /// Loads all of these files and folders into one inventory. Of a folder all `*.toml` files and all
    /// executable files are taken, in the order of their names. A path with a comma in it that is no file is
    /// a list of hosts, as in `-i web1,web2`.
    ///
    /// # Errors
    ///
    /// All problems of all files.
    pub fn load(paths: &[PathBuf]) -> Result<Inventory, Problems> {
        let mut draft = Draft::default();
        let mut problems = Problems::new();
        for path in paths {
            load_path(path, &mut draft, &mut problems);
        }
        Self::build(draft, problems)
    }

    /// Makes an inventory of texts in TOML. Relative paths in them start in the working folder.
    ///
    /// # Errors
    ///
    /// All problems of all texts.
    pub fn from_sources(sources: &[Source]) -> Result<Inventory, Problems> {
        let mut draft = Draft::default();
        let mut problems = Problems::new();
        for source in sources {
            file::read(source, Path::new(""), &mut draft, &mut problems);
        }
        Self::build(draft, problems)
    }

    /// Makes an inventory of what a script at this path would print.
    ///
    /// # Errors
    ///
    /// All problems of it, and those of the calls.
    pub fn from_script(path: &Path, call: &script::Call<'_>) -> Result<Inventory, Problems> {
        let mut draft = Draft::default();
        let mut problems = Problems::new();
        script::understand(path, call, &mut draft, &mut problems);
        Self::build(draft, problems)
    }
}

fn load_path(path: &Path, draft: &mut Draft, problems: &mut Problems) {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => {
            let text = path.to_string_lossy();
            if error.kind() == std::io::ErrorKind::NotFound && text.contains(',') {
                return inline(&text, draft, problems);
            }
            draft.incomplete = true;
            return problems.push(unreadable(path, &error));
        }
    };
    if metadata.is_dir() {
        load_folder(path, draft, problems);
    } else if is_script(path, &metadata) {
        script::read(path, draft, problems);
    } else {
        load_file(path, draft, problems);
    }
}

fn load_folder(folder: &Path, draft: &mut Draft, problems: &mut Problems) {
    let read = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut paths: Vec<PathBuf> = match read {
        Ok(entries) => entries.into_iter().map(|entry| entry.path()).collect(),
        Err(error) => return problems.push(unreadable(folder, &error)),
    };
    paths.sort();
    let mut taken = 0;
    for path in paths {
        let name = path.file_name().map(|name| name.to_string_lossy());
        // Hidden files and an editor's backups are nobody's inventory.
        if name.is_none_or(|name| name.starts_with('.') || name.ends_with('~')) {
            continue;
        }
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => continue,
            Ok(metadata) if is_script(&path, &metadata) => script::read(&path, draft, problems),
            Ok(_) if is_toml(&path) => load_file(&path, draft, problems),
            Ok(_) => continue,
            Err(error) => problems.push(unreadable(&path, &error)),
        }
        taken += 1;
    }
    if taken == 0 {
        problems.push(
            Problem::new(format!("there is no inventory in {}", folder.display()))
                .help("an inventory is a `.toml` file or an executable file"),
        );
    }
}

fn load_file(path: &Path, draft: &mut Draft, problems: &mut Problems) {
    let extension = path.extension().and_then(|extension| extension.to_str());
    if let Some(extension @ ("ini" | "yml" | "yaml" | "json")) = extension {
        return problems.push(
            Problem::new(format!(
                "{} is no inventory: `.{extension}` files are not read",
                path.display()
            ))
            .help("an inventory is a `.toml` file, or an executable file that prints JSON when run with `--list`"),
        );
    }
    match fs::read_to_string(path) {
        Ok(text) if text.starts_with("#!") => problems.push(
            Problem::new(format!("{} is a script but not executable", path.display()))
                .help(format!("chmod +x {}", path.display())),
        ),
        Ok(text) => {
            let folder = path.parent().unwrap_or(Path::new(""));
            let source = Source::new(path.display().to_string(), text);
            file::read(&source, folder, draft, problems);
        }
        Err(error) => {
            draft.incomplete = true;
            problems.push(unreadable(path, &error));
        }
    }
}

fn inline(text: &str, draft: &mut Draft, problems: &mut Problems) {
    let source = Source::new("--inventory", text);
    let mut at = 0;
    for name in text.split(',') {
        let place = source.place(at..at + name.len());
        at += name.len() + 1;
        if name.is_empty() {
            continue;
        }
        let names = expand(name).map_err(|error| Problem::new(error.message));
        let names = names.and_then(|names| {
            let checked = names.iter().try_for_each(|name| check_name(name, "host"));
            checked.map(|()| names)
        });
        let names = problems.note(names.map_err(|problem| problem.at(place.clone())));
        for name in names.unwrap_or_default() {
            let host = HostDraft {
                name,
                place: place.clone(),
                groups: Vec::new(),
                layer: Layer::default(),
                dynamic: false,
            };
            draft.add_host(host, problems);
        }
    }
}

fn is_toml(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "toml")
}

fn is_script(path: &Path, metadata: &fs::Metadata) -> bool {
    metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 && !is_toml(path)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    let problem = Problem::new(format!(
        "cannot read the inventory {}: {}",
        path.display(),
        crate::diagnostic::cause(error)
    ));
    if error.kind() == std::io::ErrorKind::NotFound {
        return problem.help("name one with `-i FILE` or `-i FOLDER`");
    }
    problem
}
