//! A real `sshd` on loopback as the host `one`, and users to log in as.

use super::bench::{Bench, Ran};
use super::sshd::{self, Sshd, current_user};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Long enough for a busy machine, short enough for a test that hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with playbook and inventory, and the server that the inventory names.
pub struct Site {
    pub bench: Bench,
    pub sshd: Sshd,
}

impl Site {
    /// A server that this user logs in to. `None` where there is no `sshd`, with a word about it.
    pub fn new(user: &str, playbook: &str) -> Option<Self> {
        let sshd = Sshd::start(&[])?;
        // The server reads the keys with the user's rights.
        let open = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        open(sshd.files.folder.path(), 0o755);
        open(&sshd.files.path("authorized_keys"), 0o644);
        let inventory = format!(
            "[hosts]\none = {{ address = \"127.0.0.1\", port = {}, user = \"{user}\", \
             connection = {{ user_known_hosts_file = \"{}\", identity_file = \"{}\" }} }}\n",
            sshd.port,
            sshd.known_hosts().display(),
            sshd.files.client_key().display()
        );
        let bench = Bench::with(playbook)
            .file("inventory/hosts.toml", inventory)
            .file("ssh_config", "");
        Some(Self { bench, sshd })
    }

    /// The same for whoever runs the tests.
    pub fn here(playbook: &str) -> Option<Self> {
        Self::new(&current_user(), playbook)
    }

    /// `runner play play.toml` with these options.
    pub fn command(&self, options: &[&str]) -> Command {
        let args = ["play", "play.toml", "-F", "ssh_config"];
        self.bench.command(&[&args, options].concat())
    }

    /// Plays to the end.
    pub fn play(&self, options: &[&str]) -> Ran {
        self.command(options).output().unwrap().into()
    }

    /// Plays to the end; how many tasks changed something.
    #[track_caller]
    pub fn changed(&self, options: &[&str]) -> u64 {
        let ran = self.play(&[&["--output", "json"], options].concat());
        assert_eq!(ran.code, 0, "{}{}\n{}", ran.out, ran.err, self.sshd.log());
        let last = ran.out.lines().last().unwrap();
        let last: serde_json::Value = serde_json::from_str(last).unwrap();
        last["totals"]["changed"].as_u64().unwrap_or(0)
    }

    /// Plays, with nothing waiting for it.
    pub fn start(&self) -> Playing {
        let mut command = self.command(&[]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Playing(Some(command.spawn().unwrap()))
    }
}

/// A play that is ended with the test.
pub struct Playing(Option<Child>);

impl Playing {
    /// Sends a signal, such as `INT`.
    pub fn signal(&self, name: &str) {
        let pid = self.0.as_ref().unwrap().id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.unwrap().success());
    }

    /// Waits for the end.
    pub fn end(&mut self) -> Ran {
        let child = self.0.as_mut().unwrap();
        until("the runner ends", || child.try_wait().unwrap().is_some());
        self.0.take().unwrap().wait_with_output().unwrap().into()
    }
}

impl Drop for Playing {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Waits until something holds, and answers how long that took.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    let (_never, ticks) = std::sync::mpsc::channel::<()>();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "in vain: {what}");
        let _ = ticks.recv_timeout(Duration::from_millis(20));
    }
    started.elapsed()
}

/// Whether a process runs; a dead one that nobody has waited for does not.
pub fn alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|text| {
        let state = text.rsplit(')').next().unwrap().trim().chars().next();
        state != Some('Z') && state != Some('X')
    })
}

/// A user of this machine that is gone at the end of the test.
pub struct User {
    pub name: String,
}

impl User {
    /// Makes a user with this login shell. `None` without the right to do so, with a word about it.
    pub fn new(tag: &str, shell: &Path) -> Option<Self> {
        if current_user() != "root" {
            sshd::skip("only root can make users");
            return None;
        }
        let Some(useradd) = sshd::program("useradd") else {
            sshd::skip("there is no useradd");
            return None;
        };
        let name = format!("rt{}{tag}", std::process::id());
        let status = Command::new(useradd)
            .args(["--create-home", "--password", "*", "--shell"])
            .arg(shell)
            .arg(&name)
            .stderr(Stdio::null())
            .status();
        assert!(status.unwrap().success());
        Some(Self { name })
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let userdel = sshd::program("userdel").unwrap();
        let mut command = Command::new(userdel);
        let _ = command.args(["--force", "--remove", &self.name]).output();
    }
}
