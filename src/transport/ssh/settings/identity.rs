//! Key files and the agent, looked at before the first connection.

use crate::diagnostic::Problem;
use crate::diagnostic::cause;
use rustix::process::getuid;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What a key file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFile {
    /// It can be offered: a private key, or a public one whose other half the agent or a card has.
    Usable,
    /// There is none, and no public half of one either.
    Missing,
}

/// Looks at a key file as OpenSSH does: a private key is for its owner alone.
///
/// # Errors
///
/// A file that can't be read, or a private key of ours that others can read.
pub fn check(path: &Path) -> Result<KeyFile, Problem> {
    let name = path.display();
    let cannot = |error: &io::Error| {
        Problem::new(format!("can't read the key {name}: {}", cause(error)))
            .help("name a key file that this user can read")
    };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut public = path.as_os_str().to_os_string();
            public.push(".pub");
            return Ok(if Path::new(&public).is_file() {
                KeyFile::Usable
            } else {
                KeyFile::Missing
            });
        }
        Err(error) => return Err(cannot(&error)),
    };
    let metadata = file.metadata().map_err(|error| cannot(&error))?;
    let mut start = Vec::new();
    let read = Read::by_ref(&mut file).take(16).read_to_end(&mut start);
    read.map_err(|error| cannot(&error))?;
    let public = [b"ssh-".as_slice(), b"ecdsa-", b"sk-"];
    if public.iter().any(|prefix| start.starts_with(prefix)) {
        return Ok(KeyFile::Usable);
    }
    // OpenSSH asks this of its own files only.
    if metadata.uid() == getuid().as_raw() && metadata.mode() & 0o077 != 0 {
        return Err(Problem::new(format!(
            "the private key {name} can be read by others (mode {:04o})",
            metadata.mode() & 0o7777
        ))
        .help(format!("OpenSSH does not use it either: chmod 600 {name}")));
    }
    Ok(KeyFile::Usable)
}
