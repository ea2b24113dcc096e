//! A place for modules to work in: a folder for the host, a folder for this machine.

use super::shell::{Applied, Here, Shell, module};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// In memory where there is a place for that: the modules write through to the disk.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// A folder that stands for a host, and one that stands for this machine.
pub struct Place {
    pub host: tempfile::TempDir,
    pub here: tempfile::TempDir,
    pub diff: bool,
}

impl Place {
    pub fn new() -> Self {
        Self {
            host: folder(),
            here: folder(),
            diff: false,
        }
    }

    /// The real path of a name on the host.
    pub fn at(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.host.path()).unwrap().join(name)
    }

    /// The same as text.
    pub fn text(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().to_string()
    }

    /// This machine.
    pub fn here(&self) -> Here {
        Here {
            root: self.here.path().to_path_buf(),
            diff: self.diff,
        }
    }

    /// Makes a module; `HOST` in the arguments stands for the host's folder, with a slash.
    pub fn build(
        &self,
        name: &str,
        args: &str,
    ) -> Result<Box<dyn runner::modules::Module>, String> {
        module(name, &args.replace("HOST", &self.text("")), &self.here())
    }

    /// Brings the host to the wanted state, once.
    pub fn apply(&self, shell: &Shell, name: &str, args: &str) -> Result<Applied, String> {
        shell.apply(self.build(name, args)?.as_ref())
    }

    /// Applies twice; the second time nothing may change.
    pub fn settle(&self, shell: &Shell, name: &str, args: &str) -> Applied {
        let first = self.apply(shell, name, args);
        let first = first.unwrap_or_else(|error| panic!("{}: {error}", shell.name));
        let second = self.apply(shell, name, args).unwrap();
        assert!(!second.changed, "{}: {}", shell.name, second.because);
        self.assert_clean();
        first
    }

    /// No temporary file is left.
    pub fn assert_clean(&self) {
        let mut todo = vec![self.at("")];
        while let Some(directory) = todo.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                assert!(!path.to_string_lossy().contains(".runner-"), "{path:?}");
                if path.is_dir() && !path.is_symlink() {
                    todo.push(path);
                }
            }
        }
    }
}

pub fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

pub fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Unmounts at its end, also when a test fails.
pub struct Mounted(pub PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        run("umount", &[], &self.0);
    }
}

/// Runs a command on a path; whether it succeeded.
pub fn run(command: &str, arguments: &[&str], path: &Path) -> bool {
    let mut command = std::process::Command::new(command);
    let status = command.args(arguments).arg(path).status();
    status.is_ok_and(|status| status.success())
}
