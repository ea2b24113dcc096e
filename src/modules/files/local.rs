//! Files of this machine that are sent to hosts.

use super::Content;
use super::path::hex;
use crate::shell::INLINE_LIMIT;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

/// What makes a file the same one: size and time of modification.
type Stamp = (u64, Option<SystemTime>);

/// Reads a small file, or takes the checksum of a large one. The checksum is taken once per run, however many hosts get the
/// file.
///
/// # Errors
///
/// The file cannot be read, or it changed meanwhile.
pub fn content(path: &Path) -> Result<Content, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let before = std::fs::metadata(path).map_err(failed)?;
    if !before.is_file() {
        return Err(format!("{} is not a file", path.display()));
    }
    let content = if before.len() <= INLINE_LIMIT as u64 {
        Content::Bytes(std::fs::read(path).map_err(failed)?)
    } else {
        Content::Local {
            path: path.to_path_buf(),
            sum: cached_sum(path, stamp(&before)).map_err(failed)?,
            size: before.len(),
        }
    };
    let after = std::fs::metadata(path).map_err(failed)?;
    if stamp(&before) != stamp(&after) || content.size() != after.len() {
        return Err(format!("{} changed while it was read", path.display()));
    }
    Ok(content)
}

fn stamp(metadata: &Metadata) -> Stamp {
    (metadata.len(), metadata.modified().ok())
}

fn cached_sum(path: &Path, stamp: Stamp) -> std::io::Result<String> {
    static SUMS: OnceLock<Mutex<HashMap<(PathBuf, Stamp), String>>> = OnceLock::new();
    // The lock is held while the file is read, so that hosts in parallel wait for one reading instead of making their own.
    let mut sums = SUMS
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let key = (path.to_path_buf(), stamp);
    if let Some(sum) = sums.get(&key) {
        return Ok(sum.clone());
    }
    let sum = sum(path)?;
    sums.insert(key, sum.clone());
    Ok(sum)
}

/// The SHA-256 of a file of this machine, in hex.
///
/// # Errors
///
/// The file cannot be read.
pub fn sum(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

/// The mode of a new copy: 0755 if the owner may execute the source, else 0644.
pub fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.permissions().mode() & 0o100 != 0 => 0o755,
        _ => 0o644,
    }
}
