//! Files that are too large for a script: each on a channel of its own.

use super::exchange::{GONE_WITHIN, Identity, Terms, Trouble};
use super::shell;
use crate::shell::quote;
use crate::transport::{Chunk, Connection, Ending, Exit, Output, Process};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

/// How much is read and sent at a time.
const PIECE: usize = 256 * 1024;

/// Why a file did not arrive.
pub(super) enum Error {
    /// It failed, with the cause.
    Failed(String),
    /// The exchange did not come to its end.
    Trouble(Trouble),
}

/// What a transfer goes by.
pub(super) struct Way<'a> {
    pub connection: &'a dyn Connection,
    pub terms: &'a Terms,
    pub identity: &'a Identity,
    /// When it has to be done.
    pub deadline: Option<Instant>,
}

impl Way<'_> {
    async fn open(&self, script: &str) -> Result<Process, Error> {
        shell::start(self.connection, self.terms, self.identity, script)
            .await
            .map_err(Error::Trouble)
    }

    /// Waits until the transfer must end: its deadline has passed, or the run was stopped.
    async fn over(&self) -> Trouble {
        let late = async {
            match self.deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let mut stop = self.terms.stop.clone();
        tokio::select! {
            () = late => Trouble::TimedOut { left: None },
            _ = stop.wait_for(|stop| *stop) => Trouble::Stopped { left: None },
        }
    }
}

/// Sends a local file to a new file on the host, mode 0600. A transfer that is cut leaves nothing behind.
pub(super) async fn upload(
    way: &Way<'_>,
    from: &Path,
    to: &str,
    progress: &mut (dyn FnMut(String) + Send),
) -> Result<(), Error> {
    let local = |error: std::io::Error| {
        Error::Failed(format!(
            "cannot read {}: {}",
            from.display(),
            crate::diagnostic::cause(&error)
        ))
    };
    let mut file = tokio::fs::File::open(from).await.map_err(local)?;
    let size = file.metadata().await.map_err(local)?.len();
    let target = quote(to);
    let script = format!(
        "umask 077; rm -f -- {target}; set -C; cat >{target} || exit 1; \
         n=$(wc -c <{target}); [ \"$n\" -eq {size} ] || {{ rm -f -- {target}; echo \"only $n of {size} bytes arrived\" >&2; exit 1; }}"
    );
    let mut process = way.open(&script).await?;
    let mut ended = tokio::spawn(collect(process.output));
    let started = Instant::now();
    let mut shown = started;
    let mut sent = 0u64;
    let mut piece = vec![0; PIECE];
    let mut why = None;
    loop {
        let count = file.read(&mut piece).await.map_err(local)?;
        if count == 0 {
            break;
        }
        let written = tokio::select! {
            biased;
            over = way.over() => {
                why = Some(over);
                break;
            }
            written = process.input.write(&piece[..count]) => written,
        };
        if written.is_err() {
            break;
        }
        sent += count as u64;
        if shown.elapsed() > Duration::from_millis(200) {
            shown = Instant::now();
            progress(rate(sent, size, started));
        }
    }
    // A part of a file is removed by the host itself, once its input has ended.
    process.input.end().await.ok();
    let lost = || Error::Trouble(Trouble::Lost("the connection was lost".into()));
    if why.is_none() {
        tokio::select! {
            biased;
            over = way.over() => why = Some(over),
            result = &mut ended => return arrived(result.map_err(|_| lost())?, to),
        }
    }
    match timeout(GONE_WITHIN, ended).await {
        Ok(_) => Err(Error::Trouble(
            why.unwrap_or(Trouble::Stopped { left: None }),
        )),
        Err(_) => Err(Error::Trouble(Trouble::Lost(format!(
            "the host did not confirm that {to} is gone"
        )))),
    }
}

/// What became of a file that was sent whole.
fn arrived(ended: Ended, to: &str) -> Result<(), Error> {
    match ended.exit {
        None => Err(Error::Trouble(shell::lost(ended.ending))),
        Some(Exit::Code(0)) => Ok(()),
        Some(_) => Err(Error::Failed(format!(
            "cannot write {to}: {}",
            last_line(&ended.complaint)
        ))),
    }
}

/// Fetches a file of the host: written beside its place first, then moved there.
pub(super) async fn fetch(
    way: &Way<'_>,
    from: &str,
    to: &Path,
    progress: &mut (dyn FnMut(String) + Send),
) -> Result<(), Error> {
    let local = |error: std::io::Error| {
        Error::Failed(format!(
            "cannot write {}: {}",
            to.display(),
            crate::diagnostic::cause(&error)
        ))
    };
    let folder = to.parent().unwrap_or(Path::new("."));
    tokio::fs::create_dir_all(folder).await.map_err(local)?;
    let beside = tempfile::NamedTempFile::new_in(folder).map_err(local)?;
    let mut file = tokio::fs::File::from_std(beside.reopen().map_err(local)?);
    let script = format!("exec cat -- {}", quote(from));
    let mut process = way.open(&script).await?;
    process.input.end().await.ok();
    let started = Instant::now();
    let (mut got, mut shown) = (0u64, started);
    let (mut exit, mut complaint) = (None, Vec::new());
    loop {
        let chunk = tokio::select! {
            biased;
            // Without a reader the host's `cat` ends by itself, and nothing is left here.
            over = way.over() => return Err(Error::Trouble(over)),
            chunk = process.output.next() => chunk,
        };
        let Some(chunk) = chunk else { break };
        match chunk {
            Chunk::Stdout(bytes) => {
                file.write_all(&bytes).await.map_err(local)?;
                got += bytes.len() as u64;
                if shown.elapsed() > Duration::from_millis(200) {
                    shown = Instant::now();
                    progress(rate(got, 0, started));
                }
            }
            Chunk::Stderr(bytes) => complaint.extend(bytes),
            Chunk::Exit(status) => exit = Some(status),
        }
    }
    match exit {
        None => {
            return Err(Error::Trouble(Trouble::Lost(
                "the connection was lost".into(),
            )));
        }
        Some(Exit::Code(0)) => {}
        Some(_) => {
            return Err(Error::Failed(format!(
                "cannot read {from}: {}",
                last_line(&complaint)
            )));
        }
    }
    file.sync_all().await.map_err(local)?;
    beside.persist(to).map_err(|error| local(error.error))?;
    Ok(())
}

/// How a channel that only takes bytes came to its end.
struct Ended {
    exit: Option<Exit>,
    complaint: Vec<u8>,
    ending: Ending,
}

async fn collect(mut output: Box<dyn Output>) -> Ended {
    let (mut exit, mut complaint) = (None, Vec::new());
    while let Some(chunk) = output.next().await {
        match chunk {
            Chunk::Stdout(_) => {}
            Chunk::Stderr(bytes) => complaint.extend(bytes),
            Chunk::Exit(status) => exit = Some(status),
        }
    }
    Ended {
        exit,
        complaint,
        ending: output.ending(),
    }
}

fn last_line(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    text.trim()
        .lines()
        .last()
        .unwrap_or("no reason given")
        .trim()
        .to_string()
}

fn rate(done: u64, size: u64, since: Instant) -> String {
    let mib = |bytes: f64| bytes / (1024.0 * 1024.0);
    let speed = mib(done as f64) / since.elapsed().as_secs_f64().max(0.001);
    if size == 0 {
        return format!("{:.0} MiB, {speed:.0} MiB/s", mib(done as f64));
    }
    format!(
        "{:.0} of {:.0} MiB, {speed:.0} MiB/s",
        mib(done as f64),
        mib(size as f64)
    )
}
