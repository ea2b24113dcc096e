//! The process that does a run for its front, and that can stay behind when the run is over.

use super::front::{GREETING, WORKER, unpacked};
use super::signals;
use crate::exit;
use crate::transport::kept;
use rustix::process::{Signal, setsid};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

/// How often the front was sent each signal.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
pub(super) struct Told {
    pub int: u32,
    pub term: u32,
    pub hup: u32,
}

/// The worker's side of its front.
pub(super) struct Worker {
    front: UnixStream,
    state: Arc<State>,
    /// Descriptors that whoever started us has left open, such as a lock's or a pipe's.
    inherited: Vec<i32>,
}

struct State {
    told: watch::Sender<Told>,
    /// Somebody counts the signals; until then each ends this process, as it would without a front.
    counted: AtomicBool,
    /// The front's end is no longer ours.
    left: AtomicBool,
}

/// Whether this process was started as a worker: then its own arguments, and the worker.
///
/// # Errors
///
/// There is no front: nothing is done.
pub(super) fn summoned(arguments: &[OsString]) -> Option<io::Result<(Vec<OsString>, Worker)>> {
    match arguments {
        [_, word, path] if *word == *WORKER => Some(report(Path::new(path))),
        _ => None,
    }
}

fn report(path: &Path) -> io::Result<(Vec<OsString>, Worker)> {
    let inherited = inherited();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    let mut front = runtime.block_on(async { kept::connect(path).await?.into_std() })?;
    front.set_nonblocking(false)?;
    front.write_all(GREETING)?;
    let mut length = [0; 4];
    front.read_exact(&mut length)?;
    let mut text = Vec::new();
    let length = u64::from(u32::from_be_bytes(length));
    if (&front).take(length).read_to_end(&mut text)? as u64 != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let state = Arc::new(State {
        told: watch::Sender::new(Told::default()),
        counted: AtomicBool::new(false),
        left: AtomicBool::new(false),
    });
    let (listening, shared) = (front.try_clone()?, state.clone());
    std::thread::Builder::new()
        .name("front".to_owned())
        .spawn(move || listen(listening, &shared))?;
    let worker = Worker {
        front,
        state,
        inherited,
    };
    Ok((unpacked(&text), worker))
}

/// The open descriptors beside the standard ones, in a process that has opened none itself.
fn inherited() -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/dev/fd") else {
        return Vec::new();
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    let numbers = names.filter_map(|name| name.to_str()?.parse().ok());
    let mut open: Vec<i32> = numbers.filter(|number| *number > 2).collect();
    // One was that of the listing itself.
    open.retain(|number| std::fs::symlink_metadata(format!("/dev/fd/{number}")).is_ok());
    open
}

/// Hears of the front's signals, and of its end.
fn listen(mut front: UnixStream, state: &State) {
    let mut number = [0];
    loop {
        let heard = front.read_exact(&mut number);
        if state.left.load(Ordering::SeqCst) {
            return;
        }
        if heard.is_err() {
            // It was killed, so this is what would have happened to a run without a front.
            end(Signal::KILL.as_raw());
        }
        let number = i32::from(number[0]);
        if number == Signal::QUIT.as_raw() || !state.counted.load(Ordering::SeqCst) {
            end(number);
        }
        state.told.send_modify(|told| {
            if number == Signal::INT.as_raw() {
                told.int += 1;
            } else if number == Signal::HUP.as_raw() {
                told.hup += 1;
            } else {
                told.term += 1;
            }
        });
    }
}

/// Ends this process as a signal would.
fn end(signal: i32) -> ! {
    signals::leave(u8::try_from(128 + signal).unwrap_or(exit::DEFECT))
}

impl Worker {
    /// The signals that the front was sent. From now on they are the caller's business.
    pub fn signals(&self) -> watch::Receiver<Told> {
        self.state.counted.store(true, Ordering::SeqCst);
        self.state.told.subscribe()
    }

    /// Leaves the operator's terminal, folder and session, and lets the front end with this code. The rest of this
    /// process's life is its own.
    ///
    /// # Errors
    ///
    /// The front is gone, or the system does not let go of this process, which should end then.
    pub fn leave(&self, code: u8) -> io::Result<()> {
        io::stdout().flush().ok();
        let null = std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/null")?;
        // Whoever reads what the run has said waits until nobody can write to it any more.
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)?;
        for number in &self.inherited {
            nix::unistd::close(*number).ok();
        }
        setsid()?;
        std::env::set_current_dir("/")?;
        self.state.left.store(true, Ordering::SeqCst);
        let told = (&self.front).write_all(&[code]);
        self.front.shutdown(std::net::Shutdown::Both).ok();
        told
    }
}

/// Overwrites the environment that this process was started with, which its user can read in `/proc` as long as it lives. Nobody
/// finds a variable after that, in here neither.
///
/// # Errors
///
/// The system does not let a process write to its own memory there.
pub(super) fn forget_environment() -> io::Result<()> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The first two fields end with a name that may hold anything.
    let fields = stat.rsplit(") ").next().unwrap_or("").split(' ');
    let mut bounds = (fields.skip(ENVIRONMENT - 3)).map_while(|field| field.parse::<u64>().ok());
    let (Some(start), Some(end)) = (bounds.next(), bounds.next()) else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let length = usize::try_from(end.saturating_sub(start)).map_err(io::Error::other)?;
    let memory = std::fs::File::options()
        .write(true)
        .open("/proc/self/mem")?;
    memory.write_all_at(&vec![0; length], start)
}

/// The field of `/proc/PID/stat`, counted from one, that says where the environment begins; the next one says where it ends.
const ENVIRONMENT: usize = 50;

/// The exit code of a worker without a front.
pub(super) const ORPHAN: u8 = exit::DEFECT;
