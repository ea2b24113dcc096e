//! A real `sshd`, and a folder of its own for what is kept.

use crate::support::bench::Ran;
use crate::support::site::{PATIENCE, Site, alive, until};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A host, and what runs keep of it. Nothing is left of either at the end.
pub struct Kept {
    pub site: Site,
    runtime: TempDir,
}

impl Kept {
    /// `None` where there is no `sshd`, with a word about it.
    pub fn new() -> Option<Self> {
        Self::playing("")
    }

    /// The same with a playbook, `play.toml`.
    pub fn playing(playbook: &str) -> Option<Self> {
        Some(Self {
            site: Site::here(playbook)?,
            runtime: tempfile::tempdir().unwrap(),
        })
    }

    /// The folder of sockets.
    pub fn folder(&self) -> PathBuf {
        self.runtime.path().join("runner")
    }

    /// The program with connections kept, in a process group of its own, as a shell would start it.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.site.bench.command(args);
        command
            .env_remove("RUNNER_PERSIST")
            .env("XDG_RUNTIME_DIR", self.runtime.path())
            .process_group(0);
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.command(args).output().unwrap().into()
    }

    /// `runner exec one -F ssh_config OPTION... --shell TEXT`.
    pub fn exec(&self, options: &[&str], text: &str) -> Ran {
        let args = ["exec", "one", "-F", "ssh_config"];
        self.run(&[&args, options, &["--shell", text]].concat())
    }

    /// The same, succeeding and without a word but `text`.
    #[track_caller]
    pub fn says(&self, options: &[&str], text: &str) {
        let ran = self.exec(options, &format!("echo {text}"));
        let wanted = Ran {
            code: 0,
            out: format!("one  {text}\n"),
            err: String::new(),
        };
        assert_eq!(ran, wanted, "{}", self.site.sshd.log());
    }

    /// The same, in the background.
    pub fn start(&self, text: &str) -> Running {
        let args = ["exec", "one", "-F", "ssh_config", "--shell", text];
        let mut command = self.command(&args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running(Some(command.spawn().unwrap()))
    }

    /// The process ids of keepers.
    pub fn keepers(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.folder()) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names
            .filter_map(|name| Some(name.strip_suffix(".sock")?.to_string()))
            .collect()
    }

    /// The only one.
    #[track_caller]
    pub fn keeper(&self) -> String {
        let keepers = self.keepers();
        assert_eq!(keepers.len(), 1, "{keepers:?}");
        keepers[0].clone()
    }

    /// How often somebody has logged in, once the server has said that so many commands were started.
    #[track_caller]
    pub fn logins(&self, commands: usize) -> usize {
        let count = |word: &str| self.site.sshd.log().matches(word).count();
        until("the server's log has the commands", || {
            count("Starting session: command") >= commands
        });
        assert_eq!(count("Starting session: command"), commands);
        count("Accepted publickey")
    }

    /// The server's processes for those who are logged in.
    pub fn sessions(&self) -> Vec<String> {
        let server = self.site.sshd.pid().to_string();
        children(&server)
            .into_iter()
            .flat_map(|child| [children(&child), vec![child]].concat())
            .collect()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        for keeper in self.keepers() {
            if alive(&keeper) {
                signal("KILL", &keeper);
            }
        }
    }
}

/// Living processes of which this one is the parent.
fn children(parent: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let names = processes.filter_map(|entry| entry.file_name().into_string().ok());
    let is_child = |process: &String| {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap();
        fields.split_whitespace().nth(1) == Some(parent)
    };
    names
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(is_child)
        .collect()
}

/// Sends a signal to a process, or with a minus to a group.
pub fn signal(name: &str, process: &str) {
    let status = Command::new("kill")
        .args(["-s", name, "--", process])
        .status();
    assert!(status.unwrap().success());
}

/// A run in the background that is ended with the test.
pub struct Running(Option<Child>);

impl Running {
    /// The process that the operator knows.
    pub fn pid(&self) -> String {
        self.0.as_ref().unwrap().id().to_string()
    }

    /// Its group, as the terminal would address it.
    pub fn group(&self) -> String {
        format!("-{}", self.pid())
    }

    /// The process that does the work.
    pub fn worker(&self) -> String {
        let own = children(&self.pid());
        assert_eq!(own.len(), 1, "{own:?}");
        own[0].clone()
    }

    /// Waits for the end, and the end of its output.
    pub fn end(&mut self) -> Ran {
        let group = self.group();
        let child = self.0.take().unwrap();
        let (ended, end) = std::sync::mpsc::channel();
        std::thread::spawn(move || ended.send(child.wait_with_output().unwrap()));
        match end.recv_timeout(PATIENCE) {
            Ok(output) => output.into(),
            Err(_) => {
                signal("KILL", &group);
                panic!("in vain: the runner ends");
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A text for a shell that ignores what asks it to end, as does its child; both tell their process ids.
pub fn stubborn(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "trap '' TERM INT HUP; sh -c 'echo $$ > {folder}/child; while :; do sleep 1000; done' & echo $$ > {folder}/pid; \
         while :; do sleep 1000; done"
    )
}

/// The process ids that it has told, once it has told both.
pub fn told(folder: &Path) -> Vec<String> {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let mut found = Vec::new();
    until("the command runs", || {
        let texts = [read("pid"), read("child")];
        found = texts
            .iter()
            .filter(|text| text.ends_with('\n'))
            .map(|text| text.trim().to_string())
            .collect();
        found.len() == 2
    });
    found
}

/// Waits until processes are gone.
#[track_caller]
pub fn gone(what: &str, processes: &[String]) {
    let took = until(what, || !processes.iter().any(|process| alive(process)));
    assert!(took < PATIENCE / 4, "it took {took:?}");
}
