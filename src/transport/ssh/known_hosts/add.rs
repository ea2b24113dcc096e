//! Noting a new host key, with several runners at once.

use super::line::{Line, Marker};
use super::{lookup_name, read_lines};
use crate::diagnostic::Problem;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use russh::keys::PublicKey;
use rustix::fs::{FlockOperation, flock};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// How often a file that is replaced while we wait for it is opened again.
const ATTEMPTS: usize = 8;

/// See [`KnownHosts::add`](super::KnownHosts::add).
pub fn add(file: &Path, host: &str, port: u16, key: &PublicKey) -> Result<bool, Problem> {
    let name = lookup_name(host, port);
    if !is_one_plain_name(host) {
        return Err(Problem::new(format!(
            "can't note a host key for `{}`: it is not a plain host name",
            host.escape_debug()
        ))
        .help("set `host_key_alias` to a name without blanks, commas and `*?!`"));
    }
    let cannot = |error: io::Error| {
        Problem::new(format!(
            "can't add a host key to {}: {}",
            file.display(),
            crate::diagnostic::cause(&error)
        ))
        .help("make the file writable, or set `user_known_hosts_file` to one that is")
    };
    let blob = key
        .to_bytes()
        .map_err(|error| Problem::new(format!("can't note the host key of {host}: {error}")))?;
    let line = format!(
        "{name} {} {}\n",
        key.algorithm().as_str(),
        STANDARD.encode(blob)
    );
    append(file, &name, key, &line).map_err(cannot)
}

fn append(path: &Path, name: &str, key: &PublicKey, line: &str) -> io::Result<bool> {
    let mut file = open_locked(path)?;
    let mut text = Vec::new();
    // A device, as `/dev/null`, has nothing to say and no end.
    if file.metadata()?.is_file() {
        file.read_to_end(&mut text)?;
    }
    let known = |line: &Line| {
        line.marker == Marker::None
            && line.key.key_data() == key.key_data()
            && line.is_about(name.as_bytes())
    };
    if read_lines(&text).any(|(_, line)| known(&line)) {
        return Ok(false);
    }
    let mut bytes = Vec::new();
    if text.last().is_some_and(|last| *last != b'\n') {
        bytes.push(b'\n');
    }
    bytes.extend_from_slice(line.as_bytes());
    // One write to a file opened for appending: also whoever does not know of the lock sees a whole line.
    file.write_all(&bytes)?;
    Ok(true)
}

/// Opens for appending and locks. The lock goes with the file.
fn open_locked(path: &Path) -> io::Result<File> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    for _ in 0..ATTEMPTS {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        let opened = file.metadata()?;
        if !opened.is_file() {
            return Ok(file);
        }
        flock(&file, FlockOperation::LockExclusive)?;
        // `ssh-keygen -R` puts a new file in the place of the one that we waited for.
        match std::fs::metadata(path) {
            Ok(now) if (now.dev(), now.ino()) == (opened.dev(), opened.ino()) => return Ok(file),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("the file is replaced again and again"))
}

/// Whether a name means itself in a file of known hosts, and nothing more.
fn is_one_plain_name(host: &str) -> bool {
    !host.is_empty()
        && !host.starts_with(['#', '@', '|'])
        && !host
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || matches!(c, ',' | '*' | '?' | '!'))
}
