//! Looks at processes while the runner runs and after it: memory, secrets, what is left.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often.
const EVERY: Duration = Duration::from_millis(30);

/// What was seen of a process and its descendants.
#[derive(Debug, Default, Clone)]
pub struct Looked {
    /// The most memory that they had together, in KiB.
    pub peak: u64,
    /// Where a secret was seen, if it was.
    pub secret: Option<String>,
}

/// Looks at a process until it is asked for what it has seen.
pub struct Watch {
    over: std::sync::mpsc::Sender<()>,
    looking: JoinHandle<Looked>,
}

impl Watch {
    pub fn start(process: u32, secrets: Vec<String>) -> Self {
        let (over, ticks) = channel();
        let looking = std::thread::spawn(move || {
            let mut looked = Looked::default();
            while ticks.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
                let tree = tree(process);
                let peak = tree.iter().map(|process| memory(*process)).sum();
                looked.peak = looked.peak.max(peak);
                if looked.secret.is_none() {
                    looked.secret = seen(&secrets);
                }
            }
            looked
        });
        Self { over, looking }
    }

    pub fn end(self) -> Looked {
        drop(self.over);
        self.looking.join().unwrap()
    }
}

/// A process and its descendants.
fn tree(process: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let children = children.unwrap_or_default();
    let mut all = vec![process];
    all.extend(
        children
            .split_whitespace()
            .flat_map(|child| tree(child.parse().unwrap())),
    );
    all
}

/// The processes of a server for those who are logged in.
pub fn sessions(server: u32) -> Vec<u32> {
    let is_server = |process: &u32| {
        let name = fs::read_to_string(format!("/proc/{process}/comm")).unwrap_or_default();
        name.starts_with("sshd")
    };
    descendants(server).into_iter().filter(is_server).collect()
}

/// Those that a process has started, and those that they have.
pub fn descendants(process: u32) -> Vec<u32> {
    tree(process).split_off(1)
}

/// The most memory that a process ever had, in KiB.
fn memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Where a secret can be seen in the list of processes or in an environment, and what stands there.
fn seen(secrets: &[String]) -> Option<String> {
    processes().find_map(|process| {
        let files = ["cmdline", "environ"].map(|file| format!("/proc/{process}/{file}"));
        files.into_iter().find_map(|file| {
            let text = fs::read(&file).unwrap_or_default();
            let found = secrets.iter().any(|secret| holds(&text, secret.as_bytes()));
            found.then(|| format!("{file}: {}", String::from_utf8_lossy(&text)))
        })
    })
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The processes that were started on the hosts below a folder, and still run.
pub fn left(folder: &Path) -> Vec<String> {
    let home = format!("HOME={}/hosts/", folder.display());
    let is_left = |process: &u32| {
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        environment
            .split(|byte| *byte == 0)
            .any(|word| word.starts_with(home.as_bytes()))
    };
    named(processes().filter(is_left))
}

/// The processes that were started on a host or for it, and have its home in their environment or their words.
pub fn at_work(home: &Path) -> Vec<String> {
    let home = home.display().to_string();
    let is_at_work = |process: &u32| {
        let files = ["cmdline", "environ"].map(|file| format!("/proc/{process}/{file}"));
        let mut texts = files.iter().map(|file| fs::read(file).unwrap_or_default());
        texts.any(|text| holds(&text, home.as_bytes()))
    };
    named(processes().filter(is_at_work))
}

/// Processes with their words.
fn named(processes: impl Iterator<Item = u32>) -> Vec<String> {
    let named = processes.map(|process| {
        let command = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        format!(
            "{process} {}",
            String::from_utf8_lossy(&command).replace('\0', " ")
        )
    });
    named.collect()
}

/// Whether some bytes are among others.
pub fn holds(text: &[u8], wanted: &[u8]) -> bool {
    memchr::memmem::find(text, wanted).is_some()
}

/// Waits until something holds; false when it does not in time.
pub fn in_time(time: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let end = std::time::Instant::now() + time;
    let (_never, ticks) = channel::<()>();
    while !holds() {
        if std::time::Instant::now() > end {
            return false;
        }
        let _ = ticks.recv_timeout(Duration::from_millis(10));
    }
    true
}

/// Every file below a folder, and every folder of the runner's own that is empty.
pub fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => match files(&entry.path()) {
                none if none.is_empty()
                    && entry.file_name().to_string_lossy().contains(".runner") =>
                {
                    vec![entry.path()]
                }
                files => files,
            },
            _ => vec![entry.path()],
        })
        .collect()
}
