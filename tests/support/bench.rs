//! A folder to run the program in, with an inventory whose one host counts who connects to it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// A playbook with one play for all hosts that has these tasks, each a `[[play.task]]` body.
pub fn play(tasks: &[&str]) -> String {
    let tasks = tasks
        .iter()
        .map(|task| format!("\n[[play.task]]\n{task}\n"));
    format!("[[play]]\nhosts = \"all\"\n{}", tasks.collect::<String>())
}

/// The folder.
pub struct Bench {
    folder: TempDir,
    listener: TcpListener,
}

/// What the program did.
#[derive(Debug, PartialEq)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            // A signal has no code; a crash must not look like one.
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Bench {
    /// An inventory with the host `one`, and nothing else.
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
            listener,
        };
        let host = format!("[hosts]\none = {{ address = \"127.0.0.1\", port = {port} }}\n");
        bench.file("inventory/hosts.toml", host)
    }

    /// The same with one playbook, `play.toml`.
    pub fn with(playbook: impl AsRef<[u8]>) -> Self {
        Self::new().file("play.toml", playbook)
    }

    /// Writes a file.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        self
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The program, about to run in the folder with a home of its own.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command
            .args(args)
            .current_dir(self.root())
            .env_clear()
            .env("HOME", self.root())
            .env("PATH", std::env::var_os("PATH").unwrap())
            // No process stays behind unless a test wants it.
            .env("RUNNER_PERSIST", "0")
            // For hosts that are this machine.
            .env("RUNNER_LOCK_DIR", self.root())
            .stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.command(args).output().unwrap().into()
    }

    /// How often somebody has connected to the host.
    pub fn connections(&self) -> usize {
        std::iter::from_fn(|| self.listener.accept().ok()).count()
    }

    /// The program refuses with this code and these words, and connects to nothing.
    #[track_caller]
    pub fn refuses(&self, args: &[&str], code: i32, words: &str) {
        let ran = self.run(args);
        assert_eq!(ran.err, words.strip_prefix('\n').unwrap_or(words));
        assert_eq!((ran.code, ran.out.as_str()), (code, ""));
        assert_eq!(self.connections(), 0, "somebody was connected to");
    }
}

/// The playbook is refused as bad input, in these words.
#[track_caller]
pub fn refused(playbook: impl AsRef<[u8]>, words: &str) {
    Bench::with(playbook).refuses(&["play", "play.toml"], 5, words);
}
