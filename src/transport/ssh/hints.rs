//! What was learned about servers in earlier runs, to save a round trip.
//!
//! A server's key exchange offer comes in two pieces where it has not switched off Nagle's algorithm, as OpenSSH has not: the
//! last piece, smaller than a segment, waits until its identification is acknowledged. Where the offer is a multiple of
//! the segment size there is no such piece. The size of a server's offer hardly ever changes, so it is kept.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Below this round trip time small segments cost more than they save.
const FAR: Duration = Duration::from_millis(5);

/// What the timestamps take of every segment.
const TIMESTAMPS: u16 = 12;

/// Offers outside of this are not worth a segment size of their own, in bytes.
const SENSIBLE: std::ops::RangeInclusive<u16> = 512..=1400;

/// At most so many servers are remembered.
const SERVERS: usize = 20_000;

/// The sizes of servers' offers, kept in a file of the user's cache.
pub(super) struct Hints {
    file: Option<PathBuf>,
    known: Mutex<Known>,
}

struct Known {
    sizes: BTreeMap<String, u16>,
    changed: bool,
}

impl Hints {
    /// What is in the cache. A cache that cannot be read is an empty one.
    pub(super) fn load(file: Option<PathBuf>) -> Self {
        let text = file
            .as_ref()
            .and_then(|file| std::fs::read_to_string(file).ok());
        let sizes = text.unwrap_or_default().lines().filter_map(line).collect();
        Self {
            file,
            known: Mutex::new(Known {
                sizes,
                changed: false,
            }),
        }
    }

    /// The maximum segment size to ask a server for.
    pub(super) fn segment(&self, server: &str) -> Option<u16> {
        let size = *self.known().sizes.get(server)?;
        Some(size + TIMESTAMPS)
    }

    /// Notes the size of a server's offer, if the server is far enough away for it to matter.
    pub(super) fn learn(&self, server: &str, size: usize, trip: Duration) {
        let size = u16::try_from(size).unwrap_or(u16::MAX);
        let mut known = self.known();
        let wanted = (trip >= FAR && SENSIBLE.contains(&size)).then_some(size);
        let had = known.sizes.get(server).copied();
        match wanted {
            _ if had == wanted => return,
            Some(size) => known.sizes.insert(server.to_string(), size),
            None => known.sizes.remove(server),
        };
        known.changed = true;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn save(&self) -> std::io::Result<()> {
        let known = self.known();
        let Some(file) = self.file.as_ref().filter(|_| known.changed) else {
            return Ok(());
        };
        let Some(folder) = file.parent() else {
            return Ok(());
        };
        let mut text = String::new();
        for (server, size) in known.sizes.iter().take(SERVERS) {
            let _ = writeln!(text, "{server} {size}");
        }
        std::fs::create_dir_all(folder)?;
        let mut beside = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut beside, text.as_bytes())?;
        beside.persist(file)?;
        Ok(())
    }
}

impl Drop for Hints {
    fn drop(&mut self) {
        if let Err(error) = self.save() {
            tracing::debug!(%error, "the cache of servers was not written");
        }
    }
}

/// Where the cache is: `$XDG_CACHE_HOME/runner/servers`, or in `~/.cache`.
pub(super) fn file() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.filter(|cache| cache.is_absolute());
    let home = || std::env::home_dir().map(|home| home.join(".cache"));
    Some(cache.or_else(home)?.join("runner/servers"))
}

fn line(line: &str) -> Option<(String, u16)> {
    let (server, size) = line.split_once(' ')?;
    let size = size.parse().ok().filter(|size| SENSIBLE.contains(size))?;
    Some((server.to_string(), size))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIP: Duration = Duration::from_millis(50);

    #[test]
    fn what_was_learned_is_there_in_the_next_run() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("runner/servers");
        let hints = Hints::load(Some(file.clone()));
        assert_eq!(hints.segment("a:22"), None);
        hints.learn("a:22", 1088, TRIP);
        hints.learn("near:22", 1088, Duration::from_millis(1));
        hints.learn("odd:22", 100_000, TRIP);
        drop(hints);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "a:22 1088\n");
        let hints = Hints::load(Some(file.clone()));
        assert_eq!(hints.segment("a:22"), Some(1100));
        assert_eq!(hints.segment("near:22"), None);
        // A server that has come nearer gets segments of the usual size again.
        hints.learn("a:22", 1088, Duration::from_millis(1));
        drop(hints);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "");
    }

    #[test]
    fn a_cache_of_nonsense_is_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("servers");
        std::fs::write(&file, b"a:22\nb:22 7\nc:22 1088 x\n\xff\xfe").unwrap();
        assert_eq!(Hints::load(Some(file)).segment("b:22"), None);
        assert_eq!(Hints::load(None).segment("b:22"), None);
    }
}
