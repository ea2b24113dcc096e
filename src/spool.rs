//! Outputs that are larger than what memory is for: the rest of one is kept in a file without a name.

use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

/// How much is read in one go, in bytes.
const PIECE: usize = 64 * 1024;

/// Where outputs are kept that are too large for memory: `$TMPDIR`, else `/var/tmp`, since `/tmp` is often memory itself.
pub fn folder() -> PathBuf {
    let named = std::env::var_os("TMPDIR").filter(|name| !name.is_empty());
    named.map_or_else(|| "/var/tmp".into(), PathBuf::from)
}

/// A file that is written. It has no name and is gone with the process.
#[derive(Debug)]
pub struct Spool {
    file: File,
    bytes: u64,
}

impl Spool {
    /// A file in [`folder`].
    ///
    /// # Errors
    ///
    /// The file can't be made.
    pub fn new() -> io::Result<Self> {
        let file = tempfile::tempfile_in(folder())?;
        Ok(Self { file, bytes: 0 })
    }

    /// Adds to its end.
    ///
    /// # Errors
    ///
    /// There is no room for all of it. None of it counts then.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

/// What follows the beginning of an output. The beginning is in memory, this is not.
#[derive(Debug, Clone, Default)]
pub struct Rest {
    file: Option<Arc<File>>,
    bytes: u64,
    broken: Option<Arc<str>>,
}

impl Rest {
    /// Everything that was written. `broken`: why there is no more of it.
    pub fn new(spool: Option<Spool>, broken: Option<String>) -> Self {
        let broken = broken.map(Arc::from);
        match spool {
            Some(Spool { file, bytes }) => Self {
                file: Some(Arc::new(file)),
                bytes,
                broken,
            },
            None => Self {
                broken,
                ..Self::default()
            },
        }
    }

    /// Whether the beginning is all.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// How many bytes there were and are no more: those of another process are gone.
    pub fn gone(&self) -> u64 {
        match self.file {
            Some(_) => 0,
            None => self.bytes,
        }
    }

    /// Why it does not go on to the end of the output.
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Reads it from its start.
    pub fn reader(&self) -> impl Read + '_ {
        Reader { rest: self, at: 0 }
    }
}

struct Reader<'r> {
    rest: &'r Rest,
    at: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(file) = &self.rest.file else {
            return Ok(0);
        };
        // Behind a write that failed stand bytes that don't count.
        let left = usize::try_from(self.rest.bytes - self.at).unwrap_or(usize::MAX);
        let most = into.len().min(left);
        let count = file.read_at(&mut into[..most], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// The same bytes. What can't be read is like nothing else.
impl PartialEq for Rest {
    fn eq(&self, other: &Self) -> bool {
        if self.bytes != other.bytes || self.gone() != other.gone() {
            return false;
        }
        let (mut mine, mut theirs) = (vec![0; PIECE], vec![0; PIECE]);
        let (Some(one), Some(two)) = (&self.file, &other.file) else {
            return true;
        };
        let mut at = 0;
        while at < self.bytes {
            let left = usize::try_from(self.bytes - at).unwrap_or(usize::MAX);
            let count = left.min(PIECE);
            let (mine, theirs) = (&mut mine[..count], &mut theirs[..count]);
            let read = one
                .read_exact_at(mine, at)
                .and(two.read_exact_at(theirs, at));
            if read.is_err() || mine != theirs {
                return false;
            }
            at += count as u64;
        }
        true
    }
}

impl Eq for Rest {}

/// What is stored of it is how much it was.
impl Serialize for Rest {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(self.bytes)
    }
}

impl<'de> Deserialize<'de> for Rest {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let bytes = u64::deserialize(from)?;
        Ok(Self {
            bytes,
            ..Self::default()
        })
    }
}

/// The rests of both outputs of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rests {
    /// Of its standard output.
    pub stdout: Rest,
    /// Of its standard error.
    pub stderr: Rest,
}

impl Rests {
    /// Whether both outputs are in memory as a whole.
    pub fn is_empty(&self) -> bool {
        self.stdout.is_empty() && self.stderr.is_empty()
    }

    /// How many bytes of both are gone.
    pub fn gone(&self) -> u64 {
        self.stdout.gone() + self.stderr.gone()
    }

    /// Why one of them does not go on to its end.
    pub fn broken(&self) -> Option<&str> {
        self.stdout.broken().or(self.stderr.broken())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rest(pieces: &[&[u8]]) -> Rest {
        let mut spool = Spool::new().unwrap();
        for piece in pieces {
            spool.append(piece).unwrap();
        }
        Rest::new(Some(spool), None)
    }

    #[test]
    fn what_was_written_is_read_as_often_as_one_likes() {
        let rest = rest(&[b"one ", b"", b"two"]);
        for _ in 0..2 {
            let mut text = String::new();
            rest.reader().read_to_string(&mut text).unwrap();
            assert_eq!(text, "one two");
        }
        assert_eq!((rest.is_empty(), rest.gone()), (false, 0));
    }

    #[test]
    fn the_same_bytes_are_equal() {
        let long = vec![b'x'; 3 * PIECE / 2];
        let mut other = long.clone();
        other[PIECE + 1] = b'y';
        assert_eq!(rest(&[&long]), rest(&[&long[..10], &long[10..]]));
        assert_ne!(rest(&[&long]), rest(&[&other]));
        assert_ne!(rest(&[&long]), rest(&[&long[1..]]));
        assert_ne!(rest(&[&long]), Rest::default());
        assert_eq!(Rest::default(), Rest::default());
    }

    #[test]
    fn stored_it_is_a_count() {
        let stored = serde_json::to_string(&rest(&[b"four"])).unwrap();
        assert_eq!(stored, "4");
        let rest: Rest = serde_json::from_str(&stored).unwrap();
        assert_eq!((rest.is_empty(), rest.gone()), (false, 4));
        assert_eq!(rest.reader().read(&mut [0; 8]).unwrap(), 0);
    }
}
