//! The servers, the links to them, and a play.

use crate::claims::Ran;
use crate::schedule::{Blow, Schedule};
use crate::support::promise::{pace, slack};
use crate::support::proxy::Proxy;
use crate::support::sshd::{HOST_KEY_TYPES, Sshd};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A run that takes longer hangs.
const DEADLINE: Duration = Duration::from_secs(60);

/// What a run has left on a host must be gone so long after its connection.
const GONE: Duration = Duration::from_secs(5);

/// A link that carries a few bytes at a time has passed on the end of a connection by then, and connections that were kept
/// have ended.
const CARRIED: Duration = Duration::from_secs(45);

/// What the tasks append to the marker, in their order.
pub const TASKS: [&str; 3] = ["one", "two", "three"];

/// What the file has that a task between them writes: more than one read, less than a part of its own.
fn content() -> String {
    "all or nothing\n".repeat(2000)
}

/// Servers with a proxy before each.
pub struct Field {
    folder: TempDir,
    servers: Vec<Sshd>,
    links: Vec<Proxy>,
}

impl Field {
    /// Starts them. `None` where there is no `sshd`, with a word about it.
    pub fn new(count: usize) -> Option<Self> {
        let starting: Vec<_> = (0..count)
            .map(|_| std::thread::spawn(|| Sshd::start(&[])))
            .collect();
        let servers: Option<Vec<Sshd>> = starting
            .into_iter()
            .map(|one| one.join().unwrap())
            .collect();
        let servers = servers?;
        let links: Vec<Proxy> = servers
            .iter()
            .map(|sshd| Proxy::honest(sshd.address()))
            .collect();
        let field = Self {
            folder: tempfile::tempdir().unwrap(),
            servers,
            links,
        };
        field.write("ssh_config", "");
        field.write("known_hosts", &field.known_hosts());
        field.write("inventory/hosts.toml", &field.inventory());
        field.write("files/two", &content());
        field.write("play.toml", &playbook());
        Some(field)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn known_hosts(&self) -> String {
        let lines = self
            .servers
            .iter()
            .zip(&self.links)
            .flat_map(|(sshd, link)| {
                HOST_KEY_TYPES.map(|key| {
                    format!(
                        "[127.0.0.1]:{} {}\n",
                        link.port,
                        sshd.files.host_key_line(key)
                    )
                })
            });
        lines.collect()
    }

    fn inventory(&self) -> String {
        let hosts = self.servers.iter().zip(&self.links).enumerate();
        let hosts = hosts.map(|(index, (sshd, link))| {
            format!(
                "{} = {{ address = \"127.0.0.1\", port = {}, identity_file = \"{}\" }}\n",
                name(index),
                link.port,
                sshd.files.client_key().display()
            )
        });
        format!(
            "[connection]\nconnect_timeout = 4\nserver_alive_interval = 2\nserver_alive_count_max = 2\n\
             user_known_hosts_file = \"{}\"\n\n[hosts]\n{}",
            self.path("known_hosts").display(),
            hosts.collect::<String>()
        )
    }

    /// Plays once, with everything that goes wrong.
    pub fn play(&self, run: u64, schedule: &Schedule) -> Ran {
        let marks = self.path(&format!("marks/{run}"));
        fs::create_dir_all(&marks).unwrap();
        for (link, rules) in self.links.iter().zip(&schedule.rules) {
            let rules = rules.clone();
            link.plan(move |_| rules.clone());
        }
        let begun = Instant::now();
        let mut child = self.start(&marks, schedule);
        let output = fs::File::open(self.path("out")).unwrap();
        let (ended, end) = mpsc::channel();
        if let Some((after, blow)) = schedule.blow {
            let never = end.recv_timeout(after);
            debug_assert!(never.is_err());
            strike(&mut child, blow);
        }
        let pid = child.id();
        let waiting = std::thread::spawn(move || {
            let status = child.wait().unwrap();
            let _ = ended.send(());
            status
        });
        let hung = end.recv_timeout(DEADLINE).is_err();
        if hung {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
        let status = waiting.join().unwrap();
        let took = begun.elapsed();
        let left = self.left(schedule.kept);
        let mut ran = Ran {
            output: std::io::read_to_string(output).unwrap(),
            complaints: fs::read_to_string(self.path("err")).unwrap(),
            code: status.code(),
            killed: matches!(schedule.blow, Some((_, Blow::Kill))),
            adhoc: schedule.adhoc,
            marks: self.marks(&marks),
            hung,
            left,
            took,
        };
        if let Err(error) = fs::remove_dir_all(marks) {
            ran.left
                .push(format!("something that still writes: {error}"));
        }
        ran
    }

    fn marks(&self, folder: &Path) -> BTreeMap<String, Mark> {
        let servers = self.servers.iter().enumerate();
        servers
            .map(|(index, sshd)| (name(index), mark(folder, sshd.port, &name(index))))
            .collect()
    }

    fn start(&self, marks: &Path, schedule: &Schedule) -> Child {
        let mut command = self.runner();
        let marks = marks.display();
        match schedule.adhoc {
            true => command.args(["exec", "all", "--shell", &append("one", &marks.to_string())]),
            false => command.args(["play", "play.toml", "-e", &format!("marks=\"{marks}\"")]),
        };
        command
            .args(["-F", "ssh_config", "--output", "json"])
            .env("RUNNER_PERSIST", if schedule.kept { "3s" } else { "0" })
            .stdout(fs::File::create(self.path("out")).unwrap())
            .stderr(fs::File::create(self.path("err")).unwrap())
            .spawn()
            .unwrap()
    }

    /// What still runs on the servers once it had the time to end: commands, and sessions unless they are kept.
    fn left(&self, kept: bool) -> Vec<String> {
        let begun = Instant::now();
        let mut closed = begun;
        let (_never, ticks) = mpsc::channel::<()>();
        // A session is about to start a command where the command is not to be seen yet.
        let mut quiet = 0;
        // What a busy machine gets beyond that; an idle one nothing.
        let mut more = None;
        loop {
            let servers = self.servers.iter();
            let mut left: Vec<String> = servers.flat_map(|sshd| below(sshd.pid())).collect();
            left.retain(|line| !kept || !line.contains("sshd"));
            if left.is_empty() {
                left = orphans(&self.servers);
            }
            quiet = if left.is_empty() { quiet + 1 } else { 0 };
            let carries = |link: &Proxy| link.busy() || (!kept && link.open() > 0);
            if begun.elapsed() < CARRIED && self.links.iter().any(carries) {
                closed = Instant::now();
                quiet = 0;
            }
            let late = closed.elapsed() > GONE + more.unwrap_or_default();
            if late && more.is_none() {
                more = Some(slack(pace()));
            } else if late || quiet == if kept { 10 } else { 1 } {
                return left;
            }
            let _ = ticks.recv_timeout(Duration::from_millis(20));
        }
    }

    /// Closes the connections that are kept, if some still are.
    pub fn close(&self) {
        let mut close = self.runner();
        close
            .args(["connections", "close", "--all"])
            .output()
            .unwrap();
    }

    fn runner(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command
            .current_dir(self.folder.path())
            .env_clear()
            .env("HOME", self.folder.path())
            .env("PATH", std::env::var_os("PATH").unwrap())
            .stdin(Stdio::null());
        command
    }
}

/// The name of a host in the inventory.
fn name(index: usize) -> String {
    format!("host{:02}", index + 1)
}

/// A text for the shell that adds a line to the marker of whatever host it runs on: a file named by the server's port.
fn append(line: &str, marks: &str) -> String {
    format!("echo {line} >>{marks}/${{SSH_CONNECTION##* }}")
}

fn playbook() -> String {
    let task = |name: &str| {
        let text = append(name, "{{ marks }}");
        format!("[[play.task]]\nname = \"{name}\"\nshell = \"{text}\"\n\n")
    };
    let [one, two, three] = TASKS.map(task);
    format!(
        "[[play]]\nhosts = \"all\"\n\n{one}[[play.task]]\nname = \"file\"\n\
         copy = {{ src = \"two\", dest = \"{{{{ marks }}}}/{{{{ inventory_hostname }}}}.file\" }}\n\n{two}{three}"
    )
}

fn strike(child: &mut Child, blow: Blow) {
    match blow {
        Blow::Kill => drop(child.kill()),
        Blow::Signal(name) => {
            // It may be over by now.
            let _ = Command::new("kill")
                .args(["-s", name, &child.id().to_string()])
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// What is on a host: how often each task wrote, and whether the file is there, whole.
#[derive(Debug, Default)]
pub struct Mark {
    pub lines: Vec<String>,
    /// `None`: no file. Else whether it is whole.
    pub file: Option<bool>,
}

fn mark(marks: &Path, port: u16, host: &str) -> Mark {
    let lines = fs::read_to_string(marks.join(port.to_string())).unwrap_or_default();
    let file = fs::read_to_string(marks.join(format!("{host}.file"))).ok();
    Mark {
        lines: lines.lines().map(str::to_string).collect(),
        file: file.map(|text| text == content()),
    }
}

/// What was started by a login to one of the servers, also where its session is gone.
fn orphans(servers: &[Sshd]) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let ours = |environment: Vec<u8>| {
        let environment = String::from_utf8_lossy(&environment).into_owned();
        let mut variables = environment.split('\0');
        let login = variables.find_map(|variable| variable.strip_prefix("SSH_CONNECTION="));
        let port = login.and_then(|login| login.rsplit(' ').next()?.parse().ok());
        port.is_some_and(|port: u16| servers.iter().any(|sshd| sshd.port == port))
    };
    let ours = processes.filter(|entry| fs::read(entry.path().join("environ")).is_ok_and(ours));
    ours.map(|entry| {
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        format!("{}: {line}", entry.file_name().display())
    })
    .collect()
}

/// Every process below another one.
fn below(pid: u32) -> Vec<String> {
    let children = |pid: u32| -> Vec<u32> {
        let path = format!("/proc/{pid}/task/{pid}/children");
        let text = fs::read_to_string(path).unwrap_or_default();
        let pids = text.split_whitespace();
        pids.map(|pid| pid.parse().unwrap()).collect()
    };
    let mut open = children(pid);
    let mut found = Vec::new();
    while let Some(pid) = open.pop() {
        open.extend(children(pid));
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if !line.is_empty() {
            found.push(format!("{pid}: {line}"));
        }
    }
    found
}
