//! Runs modules for real in the shells that hosts have, without an engine: probe, changes, actions.

use runner::diagnostic::{Problem, Source};
use runner::document;
use runner::modules::{self, Action, Args, Changes, Done, Failure, Found, Local, Module, Script};
use runner::shell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// A shell to run scripts with.
#[derive(Debug, Clone)]
pub struct Shell {
    /// For messages.
    pub name: &'static str,
    words: Vec<String>,
    path: Option<PathBuf>,
    user: Option<u32>,
}

/// The shells to test with. The busybox one has no tools but busybox's own.
pub fn shells() -> Vec<Shell> {
    let shell = |name, words: &[&str]| Shell {
        name,
        words: words.iter().map(|word| word.to_string()).collect(),
        path: None,
        user: None,
    };
    vec![
        shell("dash", &["dash", "-s"]),
        shell("bash", &["bash", "--posix", "-s"]),
        Shell {
            path: Some(busybox_tools().to_path_buf()),
            ..shell("busybox", &["/bin/busybox", "sh", "-s"])
        },
    ]
}

fn busybox_tools() -> &'static Path {
    static TOOLS: OnceLock<tempfile::TempDir> = OnceLock::new();
    TOOLS
        .get_or_init(|| {
            let tools = tempfile::tempdir().unwrap();
            let list = Command::new("busybox").arg("--list").output();
            let list = list.expect("these tests need busybox: apt-get install busybox");
            for name in String::from_utf8(list.stdout).unwrap().lines() {
                std::os::unix::fs::symlink("/bin/busybox", tools.path().join(name)).unwrap();
            }
            tools
        })
        .path()
}

impl Shell {
    /// The same shell with no other tools than those in this directory.
    pub fn with_tools(mut self, path: &Path) -> Self {
        self.path = Some(path.to_path_buf());
        self
    }

    /// The same shell as another user; takes root.
    pub fn with_user(mut self, uid: u32) -> Self {
        self.user = Some(uid);
        self
    }

    /// Runs a script as the engine does: after the prelude, in a subshell.
    pub fn run(&self, script: &Script) -> Output {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(which(&self.words[0]));
        command
            .args(&self.words[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let text = format!("{}(\n{}\n) </dev/null\n", shell::PRELUDE, script.text);
        let writer = std::thread::spawn(move || {
            // The shell may end before it has read everything.
            let _ = input.write_all(text.as_bytes());
        });
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        output
    }

    /// Asks the module's question.
    pub fn probe(&self, module: &dyn Module) -> Found {
        let Some(script) = module.probe() else {
            return Found::default();
        };
        let output = self.run(&script);
        Found {
            code: output.status.code().unwrap_or(-1),
            stdout: output.stdout,
            stderr: output.stderr,
        }
    }

    /// What the module wants done.
    pub fn changes(&self, module: &dyn Module) -> Result<Changes, Failure> {
        module.changes(&self.probe(module))
    }

    /// Does an action.
    pub fn act(&self, action: &Action) -> Done {
        match action {
            Action::Run(script) => {
                let output = self.run(script);
                Done {
                    code: output.status.code().unwrap_or(-1),
                    stdout: output.stdout,
                    stderr: output.stderr,
                    rest: Default::default(),
                    dropped: 0,
                }
            }
            Action::Upload { from, to, .. } => {
                use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
                let mut folder = std::fs::DirBuilder::new();
                let folder = folder.mode(0o700).create(Path::new(to).parent().unwrap());
                folder.unwrap();
                let mut file = std::fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(to)
                    .unwrap();
                std::io::copy(&mut std::fs::File::open(from).unwrap(), &mut file).unwrap();
                Done::default()
            }
            Action::Fetch { from, to, .. } => {
                std::fs::create_dir_all(to.parent().unwrap()).unwrap();
                std::fs::copy(from, to).unwrap();
                Done::default()
            }
            Action::Pause(_) => Done::default(),
        }
    }

    /// Brings the host to the wanted state; `Ok(changed)`, or what failed.
    pub fn apply(&self, module: &dyn Module) -> Result<Applied, String> {
        let found = self.probe(module);
        let changes = module.changes(&found).map_err(|failure| failure.message)?;
        let mut done = Vec::new();
        for action in &changes.actions {
            let said = self.act(action);
            if said.code != 0 {
                return Err(String::from_utf8_lossy(&said.stderr).trim().to_string());
            }
            done.push(said);
        }
        let result = module
            .result(&found, &done)
            .map_err(|failure| failure.message)?;
        Ok(Applied {
            changed: !changes.actions.is_empty(),
            because: changes.because,
            result,
        })
    }
}

/// How it went.
#[derive(Debug)]
pub struct Applied {
    /// Whether there was anything to do.
    pub changed: bool,
    /// Why.
    pub because: String,
    /// What is registered.
    pub result: serde_json::Map<String, serde_json::Value>,
}

fn which(name: &str) -> PathBuf {
    if name.contains('/') {
        return name.into();
    }
    std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|directory| directory.join(name))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("these tests need {name}: apt-get install {name}"))
}

/// Files of this machine for a module under test: all below one directory, templates taken as they are.
pub struct Here {
    /// The directory.
    pub root: PathBuf,
    /// Whether `--diff` was given.
    pub diff: bool,
}

impl Local for Here {
    fn find(&self, path: &str, _: &str) -> Result<PathBuf, String> {
        let path = self.root.join(path);
        if path.exists() {
            Ok(path)
        } else {
            Err(format!("{} does not exist", path.display()))
        }
    }

    fn template(&self, path: &str) -> Result<String, Problem> {
        std::fs::read_to_string(self.root.join(path)).map_err(|e| Problem::new(e.to_string()))
    }

    fn diff(&self) -> bool {
        self.diff
    }

    fn hides(&self, _: &str) -> bool {
        false
    }
}

/// Makes a module from its arguments in TOML: `module("file", "path = '/x'", &here)`.
pub fn module(name: &str, args: &str, here: &Here) -> Result<Box<dyn Module>, String> {
    let spec = modules::find(name).unwrap();
    let node = document::parse(&Source::new("task", args)).unwrap();
    let args = Args::new(spec, &node, here).map_err(|problems| problems.to_string())?;
    (spec.build)(&args).map_err(|problem| problem.to_string())
}

/// A text as a TOML string.
pub fn toml(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\U{:08x}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}
