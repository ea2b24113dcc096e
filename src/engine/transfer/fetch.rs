//! Files from hosts.

use super::super::exchange::Trouble;
use super::super::heartbeat;
use super::super::lock::Key;
use super::{Error, Progress, WAIT, Way, complain, last_line};
use crate::event::Transfer;
use crate::modules::files::path::hex;
use crate::shell::quote;
use crate::transport::{Chunk, Exit, Heartbeat};
use sha2::{Digest, Sha256};
use std::path::Path;
use tokio::io::AsyncWriteExt;

/// Fetches a file of the host, whose SHA-256 is known: written beside its place first, then moved there.
pub(in super::super) async fn fetch(
    way: &Way<'_>,
    from: &str,
    to: &Path,
    sum: &str,
    tell: &mut (dyn FnMut(Transfer) + Send),
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
    let heartbeat = way.connection.heartbeat();
    let mut process = way
        .open(&script(from, heartbeat, way.terms.lock.as_ref()))
        .await?;
    match heartbeat {
        Some(_) => process.input = heartbeat::beating(process.input, heartbeat),
        None => drop(process.input.end().await),
    }
    let mut progress = Progress::new(tell, 0, None);
    let (mut got, mut hash) = (0, Sha256::new());
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
                hash.update(&bytes);
                got += bytes.len() as u64;
                progress.at(got, false);
            }
            Chunk::Stderr(bytes) => complain(&mut complaint, &bytes),
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
        Some(Exit::Code(heartbeat::MISSED)) => return Err(Error::Trouble(Trouble::Unheard)),
        Some(_) => {
            return Err(Error::Failed(format!(
                "cannot read {from}: {}",
                last_line(&complaint)
            )));
        }
    }
    if hex(&hash.finalize()) != sum {
        return Err(Error::Failed(format!(
            "{from} changed while it was fetched"
        )));
    }
    file.sync_all().await.map_err(local)?;
    beside.persist(to).map_err(|error| local(error.error))?;
    Ok(())
}

/// What prints the file. It ends when nothing more is heard of the runner, by its input's end or for lack of signs of life.
fn script(from: &str, heartbeat: Option<Heartbeat>, lock: Option<&Key>) -> String {
    let from = quote(from);
    let Some(heartbeat) = heartbeat else {
        return format!("exec cat -- {from}");
    };
    let watchdog = heartbeat::of_process(heartbeat, lock);
    format!(
        "exec 3<&0; cat -- {from} </dev/null 3<&- & rn_p=$! ; exec >/dev/null 2>&1; {watchdog}\n\
         ( while read -r rn_x <&3; do kill -USR1 $rn_t; done; kill -TERM $rn_p ) & rn_r=$!\n\
         {WAIT}\nkill $rn_t $rn_r; exit ${{rn_m:-$rn_c}}"
    )
}
