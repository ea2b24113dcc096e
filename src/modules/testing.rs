//! What the tests of modules share: building one from TOML, and running its scripts in real shells.

use super::{Args, Done, Local, Module, Script, find, shell};
use crate::diagnostic::{Problem, Source};
use crate::document::parse;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// The shells that every script must work in.
pub const SHELLS: &[&[&str]] = &[&["dash"], &["bash"], &["busybox", "sh"]];

/// A text with this in it is to be hidden.
pub const SECRET: &str = "s3cr3t";

/// This machine, with a folder in which files are found and templates are taken as they are.
pub struct Here {
    folder: PathBuf,
    diff: bool,
    hides: bool,
}

impl Local for Here {
    fn find(&self, path: &str, sub: &str) -> Result<PathBuf, String> {
        [self.folder.join(path), self.folder.join(sub).join(path)]
            .into_iter()
            .find(|path| path.exists())
            .ok_or_else(|| format!("no such file: {path}"))
    }

    fn template(&self, path: &str) -> Result<String, Problem> {
        let path = self.find(path, "templates").map_err(Problem::new)?;
        std::fs::read_to_string(path).map_err(|error| Problem::new(error.to_string()))
    }

    fn diff(&self) -> bool {
        self.diff
    }

    fn hides(&self, text: &str) -> bool {
        self.hides || text.contains(SECRET)
    }
}

/// Builds a module from a task's line, `ping = {}`; the problems as text otherwise.
pub fn build(text: &str) -> Result<Box<dyn Module>, String> {
    build_in(Path::new("."), text)
}

/// The same as in a run without `--diff`.
pub fn build_plain(text: &str) -> Result<Box<dyn Module>, String> {
    build_with(text, PathBuf::from("."), false)
}

/// Builds a module whose files are in a folder.
pub fn build_in(folder: &Path, text: &str) -> Result<Box<dyn Module>, String> {
    build_with(text, folder.to_path_buf(), true)
}

/// The same where every text is to be hidden.
pub fn build_hiding(text: &str) -> Result<Box<dyn Module>, String> {
    build_here(
        text,
        Here {
            folder: PathBuf::from("."),
            diff: false,
            hides: true,
        },
    )
}

fn build_with(text: &str, folder: PathBuf, diff: bool) -> Result<Box<dyn Module>, String> {
    let hides = false;
    build_here(
        text,
        Here {
            folder,
            diff,
            hides,
        },
    )
}

fn build_here(text: &str, here: Here) -> Result<Box<dyn Module>, String> {
    let root = parse(&Source::new("task.toml", text)).map_err(|problems| problems.to_string())?;
    let table = root.table().map_err(|problem| problem.to_string())?;
    let entry = table.iter().next().ok_or("no task")?;
    let spec = find(&entry.key).ok_or(format!("no module {}", entry.key))?;
    let args = Args::new(spec, &entry.value, &here).map_err(|problems| problems.to_string())?;
    (spec.build)(&args).map_err(|problem| problem.to_string())
}

/// Runs a script in one shell, the way the engine does: in a subshell, without input.
pub fn run_in(words: &[&str], script: &Script, env: &[(&str, &str)]) -> Done {
    let mut child = Command::new(words[0])
        .args(&words[1..])
        .envs(env.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = format!("{}(\n{}\n) </dev/null\n", shell::PRELUDE, script.text);
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    Done {
        code: output.status.code().unwrap_or(-1),
        stdout: output.stdout,
        stderr: output.stderr,
        rest: Default::default(),
        dropped: 0,
    }
}

/// Runs a script in every shell; all must end and print alike. Messages of the shells themselves differ, so
/// standard error is the last shell's.
pub fn run(script: &Script) -> Done {
    run_with(script, &[])
}

/// The same with variables in the environment.
pub fn run_with(script: &Script, env: &[(&str, &str)]) -> Done {
    let mut all: Vec<Done> = SHELLS
        .iter()
        .map(|words| run_in(words, script, env))
        .collect();
    for (words, done) in SHELLS.iter().zip(&all) {
        assert_eq!(
            (done.code, done.stdout()),
            (all[0].code, all[0].stdout()),
            "{words:?} differs from {:?}, and says {}",
            SHELLS[0],
            String::from_utf8_lossy(&done.stderr),
        );
    }
    all.pop().unwrap()
}

/// The first script among the actions of a module whose probe found this.
pub fn action(module: &dyn Module, found: &super::Found) -> Option<Script> {
    let changes = module.changes(found).unwrap();
    changes.actions.into_iter().find_map(|action| match action {
        super::Action::Run(script) => Some(script),
        _ => None,
    })
}

/// What the probe of a module finds on this machine.
pub fn probe(module: &dyn Module) -> super::Found {
    let Some(script) = module.probe() else {
        return super::Found::default();
    };
    let done = run(&script);
    super::Found {
        code: done.code,
        stdout: done.stdout,
        stderr: done.stderr,
    }
}

/// A folder of programs that are found before those of this machine.
pub struct Tools(TempDir);

impl Tools {
    /// A `docker` that notes what it is asked, and then does what this text for a shell says.
    pub fn docker(text: &str) -> Self {
        let tools = Self(tempfile::tempdir().unwrap());
        tools.add(
            "docker",
            &format!("printf '%s\\n' \"$*\" >>\"${{0%/*}}/asked\"\n{text}"),
        );
        tools
    }

    /// One more program, a text for a shell.
    pub fn add(&self, name: &str, text: &str) {
        let path = self.folder().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub fn folder(&self) -> &Path {
        self.0.path()
    }

    /// `PATH` with them.
    pub fn path(&self) -> String {
        let others = std::env::var("PATH").unwrap();
        format!("{}:{others}", self.folder().display())
    }

    /// What docker was asked, a line each.
    pub fn asked(&self) -> String {
        std::fs::read_to_string(self.folder().join("asked")).unwrap()
    }
}
