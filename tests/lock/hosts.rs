//! Machines with a lock each, and runs that hold them.

use crate::support::bench::{Bench, Ran, play};
use crate::support::promise::within;
use crate::support::site::{alive, until};
use crate::support::sshd::{Sshd, current_user};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Machines, each a server of its own, and a playbook for all of them.
pub struct Hosts {
    pub bench: Bench,
    pub machines: Vec<Sshd>,
}

/// The task holds its host until the file `go` is there.
pub const HOLD: &str = "name = \"hold\"\nshell = \"touch '{{ work }}/{{ inventory_hostname }}'; while [ ! -e '{{ work }}/go' ]; do sleep 0.05; done\"";

impl Hosts {
    /// So many machines, `a`, `b`, ... `None` where there is no `sshd`, with a word about it.
    pub fn new(machines: usize) -> Option<Self> {
        let names: Vec<String> = (b'a'..)
            .map(|c| char::from(c).to_string())
            .take(machines)
            .collect();
        let names: Vec<(&str, usize)> = names.iter().map(String::as_str).zip(0..).collect();
        Self::named(machines, &names)
    }

    /// So many machines, and hosts by name with the number of their machine.
    pub fn named(machines: usize, names: &[(&str, usize)]) -> Option<Self> {
        let machines: Option<Vec<Sshd>> = (0..machines).map(|_| Sshd::start(&[])).collect();
        Some(Self::on(machines?, names))
    }

    /// One machine `a` whose server has these settings.
    pub fn with(settings: &[&str]) -> Option<Self> {
        Some(Self::on(vec![Sshd::start(settings)?], &[("a", 0)]))
    }

    fn on(machines: Vec<Sshd>, names: &[(&str, usize)]) -> Self {
        let mut inventory = String::from("[hosts]\n");
        for (name, machine) in names {
            let sshd = &machines[*machine];
            inventory += &format!(
                "\"{name}\" = {{ address = \"127.0.0.1\", port = {}, user = \"{}\", connection = {{ user_known_hosts_file = \"{}\", \
                 identity_file = \"{}\" }} }}\n",
                sshd.port,
                current_user(),
                sshd.known_hosts().display(),
                sshd.files.client_key().display()
            );
        }
        let bench = Bench::with(play(&[HOLD]))
            .file("touch.toml", play(&["name = \"touch\"\nshell = \"touch '{{ work }}/touched-{{ inventory_hostname }}'\""]))
            .file("look.toml", play(&["name = \"here\"\ndirectory = \"{{ work }}/made-{{ inventory_hostname }}\""]))
            .file("inventory/hosts.toml", inventory)
            .file("ssh_config", "");
        fs::create_dir(bench.path("work")).unwrap();
        Self { bench, machines }
    }

    /// From now on the first machine is reached through this port.
    pub fn behind(&self, port: u16) {
        let machine = &self.machines[0];
        let files = [
            (self.bench.path("inventory/hosts.toml"), "port = "),
            (machine.files.path("known_hosts"), ":"),
        ];
        for (path, before) in files {
            let text = fs::read_to_string(&path).unwrap();
            let new = text.replace(
                &format!("{before}{}", machine.port),
                &format!("{before}{port}"),
            );
            assert_ne!(new, text);
            fs::write(path, new).unwrap();
        }
    }

    /// From now on a link that says nothing for three seconds is dead.
    pub fn impatient(&self) {
        let path = self.bench.path("inventory/hosts.toml");
        let text = fs::read_to_string(&path).unwrap();
        let alive = "connection = { server_alive_interval = \"1s\", server_alive_count_max = 2,";
        fs::write(path, text.replace("connection = {", alive)).unwrap();
    }

    /// The folder that all machines share.
    pub fn work(&self) -> PathBuf {
        self.bench.path("work")
    }

    /// `runner play PLAYBOOK` with these options, for the user `ann`.
    pub fn command(&self, playbook: &str, options: &[&str]) -> Command {
        let work = format!("work={}", self.work().display());
        let args = ["play", playbook, "-F", "ssh_config", "-e", &work];
        let mut command = self.bench.command(&[&args, options].concat());
        command.env("USER", "ann");
        command
    }

    /// Plays to the end.
    pub fn play(&self, playbook: &str, options: &[&str]) -> Ran {
        self.command(playbook, options).output().unwrap().into()
    }

    /// Plays in the background.
    pub fn start(&self, playbook: &str, options: &[&str]) -> Run {
        Run::new(&mut self.command(playbook, options))
    }

    /// A run that holds these hosts, and is at work on all of them.
    pub fn held(&self, hosts: &[&str]) -> Run {
        let run = self.start("play.toml", &["--limit", &hosts.join(":")]);
        until("the hosts are held", || {
            hosts.iter().all(|host| self.is_there(host))
        });
        run
    }

    /// Whether a task has made this file.
    pub fn is_there(&self, name: &str) -> bool {
        self.work().join(name).exists()
    }

    /// Lets those that hold hosts come to their end.
    pub fn go(&self) {
        fs::write(self.work().join("go"), "").unwrap();
    }

    /// The locks on a machine.
    pub fn locks(&self, machine: usize) -> Vec<String> {
        let entries = fs::read_dir(self.machines[machine].files.locks.path()).unwrap();
        let names = entries
            .flatten()
            .map(|entry| entry.file_name().into_string().unwrap());
        names.collect()
    }

    /// The only lock on a machine: the run, the process, when that was started, and for whom.
    #[track_caller]
    pub fn lock(&self, machine: usize) -> [String; 4] {
        let locks = self.locks(machine);
        let [lock] = &locks[..] else {
            panic!("{locks:?}")
        };
        let rest = lock.strip_prefix(".runner-lock.").unwrap();
        let parts: Vec<String> = rest.splitn(4, '.').map(str::to_owned).collect();
        parts.try_into().unwrap()
    }

    /// The path of the only lock on a machine.
    pub fn lock_path(&self, machine: usize) -> PathBuf {
        let folder = self.machines[machine].files.locks.path();
        folder.join(&self.locks(machine)[0])
    }

    /// Waits until no machine has a lock, which takes no more than what is promised.
    #[track_caller]
    pub fn assert_released(&self) {
        let took = until("all locks are released", || {
            (0..self.machines.len()).all(|machine| self.locks(machine).is_empty())
        });
        within("the release", took, std::time::Duration::from_secs(5));
    }
}

/// This machine's name.
pub fn machine() -> String {
    rustix::system::uname()
        .nodename()
        .to_str()
        .unwrap()
        .to_owned()
}

/// When a run has begun, as it is told.
pub fn since(run: &str) -> String {
    run.parse::<runner::run_id::RunId>().unwrap().since()
}

/// A run that is ended with the test.
pub struct Run(Option<Child>);

impl Run {
    pub fn new(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(command.spawn().unwrap()))
    }

    pub fn pid(&self) -> String {
        self.0.as_ref().unwrap().id().to_string()
    }

    /// Sends a signal, such as `INT`.
    pub fn signal(&self, name: &str) {
        signal(name, &self.pid());
    }

    /// Waits for the end.
    #[track_caller]
    pub fn end(&mut self) -> Ran {
        let pid = self.pid();
        until("the runner ends", || !alive(&pid));
        self.0.take().unwrap().wait_with_output().unwrap().into()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Sends a signal to a process.
pub fn signal(name: &str, pid: &str) {
    let status = Command::new("kill").args(["-s", name, "--", pid]).status();
    assert!(status.unwrap().success());
}

/// The folder that a machine keeps its locks in.
pub fn folder(hosts: &Hosts, machine: usize) -> &Path {
    hosts.machines[machine].files.locks.path()
}
