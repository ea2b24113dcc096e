//! Files of this machine on their way to many hosts: each piece is read once, and compressed once.
//!
//! Hosts go on at their own pace. Those that are close together find a piece where the first of them has put it; one that has
//! fallen far behind reads for itself. So nobody waits for anybody, and memory has a bound.

use crate::diagnostic::cause;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::{HashMap, VecDeque};
use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio::sync::OnceCell;

/// How much is read and sent at a time.
pub(super) const PIECE: u64 = 128 * 1024;

/// So many pieces of a file are kept for the hosts that come next: 8 MiB.
const KEPT: usize = 64;

/// How bytes travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// As they are.
    Plain,
    /// Each piece as a gzip member of its own.
    Gzip,
}

/// The files that are on their way in a run.
#[derive(Default)]
pub(in super::super) struct Sources(Mutex<HashMap<PathBuf, Weak<Source>>>);

impl Sources {
    /// Opens a file, or joins those that send it already.
    ///
    /// # Errors
    ///
    /// The cause in one line.
    pub(in super::super) async fn open(&self, path: &Path) -> Result<Arc<Source>, String> {
        let opened = {
            let path = path.to_path_buf();
            blocking(move || Source::open(path)).await
        };
        let source = opened.map_err(|error| cannot_read(path, &error))?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let present = known.get(path).and_then(Weak::upgrade);
        if let Some(present) = present.filter(|present| present.stamp == source.stamp) {
            return Ok(present);
        }
        let source = Arc::new(source);
        known.insert(path.to_path_buf(), Arc::downgrade(&source));
        Ok(source)
    }
}

/// An open file, which must not change.
pub(in super::super) struct Source {
    path: PathBuf,
    file: Arc<File>,
    stamp: Stamp,
    pieces: Mutex<VecDeque<Kept>>,
}

struct Kept {
    at: u64,
    wire: Wire,
    bytes: Arc<OnceCell<Bytes>>,
}

/// What is the same as long as a file does not change: device, inode, size, and time of modification.
type Stamp = (u64, u64, u64, (i64, i64));

fn stamp(of: &Metadata) -> Stamp {
    (of.dev(), of.ino(), of.size(), (of.mtime(), of.mtime_nsec()))
}

fn cannot_read(path: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {}", path.display(), cause(error))
}

impl Source {
    fn open(path: PathBuf) -> io::Result<Self> {
        let file = File::open(&path)?;
        let stamp = stamp(&file.metadata()?);
        Ok(Self {
            path,
            file: Arc::new(file),
            stamp,
            pieces: Mutex::default(),
        })
    }

    /// The size in bytes.
    pub(super) fn size(&self) -> u64 {
        self.stamp.2
    }

    /// The piece that begins at a multiple of [`PIECE`].
    ///
    /// # Errors
    ///
    /// The file cannot be read, or has changed since it was opened.
    pub(super) async fn piece(&self, at: u64, wire: Wire) -> Result<Bytes, String> {
        let bytes = self.kept(at, wire);
        let read = bytes.get_or_try_init(|| self.read(at, wire));
        read.await.cloned()
    }

    /// The place of a piece among those that are kept.
    fn kept(&self, at: u64, wire: Wire) -> Arc<OnceCell<Bytes>> {
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner);
        let known = pieces
            .iter()
            .find(|kept| (kept.at, kept.wire) == (at, wire));
        if let Some(known) = known {
            return known.bytes.clone();
        }
        if pieces.len() == KEPT {
            pieces.pop_front();
        }
        let bytes = Arc::new(OnceCell::new());
        pieces.push_back(Kept {
            at,
            wire,
            bytes: bytes.clone(),
        });
        bytes
    }

    async fn read(&self, at: u64, wire: Wire) -> Result<Bytes, String> {
        let (file, count) = (self.file.clone(), PIECE.min(self.size().saturating_sub(at)));
        let read = blocking(move || {
            let mut bytes = vec![0; usize::try_from(count).unwrap_or_default()];
            let whole = match file.read_exact_at(&mut bytes, at) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
                read => read.map(|()| true)?,
            };
            let bytes = match wire {
                Wire::Plain => bytes,
                Wire::Gzip => compress(&bytes)?,
            };
            Ok((whole, stamp(&file.metadata()?), Bytes::from(bytes)))
        });
        match read.await {
            Err(error) => Err(cannot_read(&self.path, &error)),
            Ok((true, stamp, bytes)) if stamp == self.stamp => Ok(bytes),
            Ok(_) => Err(format!("{} changed while it was sent", self.path.display())),
        }
    }
}

/// A gzip member; one that stores the bytes where compressing them is no gain.
fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let member = |level| {
        let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len()), level);
        encoder.write_all(bytes)?;
        encoder.finish()
    };
    let small = member(Compression::fast())?;
    if small.len() < bytes.len() / 20 * 19 {
        return Ok(small);
    }
    member(Compression::none())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::MultiGzDecoder;
    use std::io::Read;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[tokio::test]
    async fn hosts_that_are_close_share_a_piece() {
        let content: Vec<u8> = (0..PIECE + 7).map(|at| (at % 251) as u8).collect();
        let file = file(&content);
        let sources = Sources::default();
        let one = sources.open(file.path()).await.unwrap();
        let other = sources.open(file.path()).await.unwrap();
        assert!(Arc::ptr_eq(&one, &other));
        let first = one.piece(0, Wire::Plain).await.unwrap();
        let again = other.piece(0, Wire::Plain).await.unwrap();
        assert_eq!(first.as_ptr(), again.as_ptr());
        assert_eq!(first, content[..PIECE as usize]);
        let last = one.piece(PIECE, Wire::Plain).await.unwrap();
        assert_eq!(last, content[PIECE as usize..]);
    }

    #[tokio::test]
    async fn no_more_than_some_pieces_are_kept() {
        let file = file(&vec![1; (KEPT + 2) * PIECE as usize]);
        let source = Sources::default().open(file.path()).await.unwrap();
        for index in 0..KEPT as u64 + 2 {
            source.piece(index * PIECE, Wire::Plain).await.unwrap();
        }
        assert_eq!(source.pieces.lock().unwrap().len(), KEPT);
        // One that has fallen behind reads for itself.
        assert_eq!(
            source.piece(0, Wire::Plain).await.unwrap().len(),
            PIECE as usize
        );
    }

    #[tokio::test]
    async fn a_source_that_changes_is_an_error() {
        let file = file(&[1; 1000]);
        let sources = Sources::default();
        let source = sources.open(file.path()).await.unwrap();
        std::fs::write(file.path(), [2; 999]).unwrap();
        let error = source.piece(0, Wire::Plain).await.unwrap_err();
        assert_eq!(
            error,
            format!("{} changed while it was sent", file.path().display())
        );
        let fresh = sources.open(file.path()).await.unwrap();
        assert_eq!(fresh.piece(0, Wire::Plain).await.unwrap(), [2; 999][..]);
    }

    #[test]
    fn what_does_not_compress_is_stored() {
        let mut noise = 1u64;
        let mut random = || {
            noise = noise
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (noise >> 33) as u8
        };
        let hard: Vec<u8> = (0..50_000).map(|_| random()).collect();
        let easy = vec![7; 50_000];
        let mut stream = compress(&hard).unwrap();
        assert!(stream.len() < hard.len() + 100);
        let small = compress(&easy).unwrap();
        assert!(small.len() < 1000);
        // Members follow each other, and one decoder reads them all.
        stream.extend(small);
        let mut back = Vec::new();
        MultiGzDecoder::new(&stream[..])
            .read_to_end(&mut back)
            .unwrap();
        assert_eq!(back, [hard, easy].concat());
    }
}
