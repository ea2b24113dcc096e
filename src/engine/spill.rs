//! Outputs that are the result of a run come whole, however large: what memory is not for goes into a file.

use super::cutter::{Cutter, Said};
use crate::redact::{Redactor, Stream};
use crate::spool::{self, Rest, Spool};

/// So much of an output is in memory, in bytes; on each stream of each host.
pub(super) const HELD: usize = 128 * 1024;

/// The output of a step that is larger than that.
pub(super) struct Spill {
    /// What is written to a disk has no secrets in it.
    clean: Stream,
    /// The beginning, which stays in memory.
    start: Vec<u8>,
    spool: Option<Spool>,
    /// Why nothing more is written.
    broken: Option<String>,
    dropped: u64,
}

impl Spill {
    /// Takes from a stream what it holds too much, and gives it back as a file once its only step is over.
    pub(super) async fn follow(spill: &mut Option<Self>, cutter: &mut Cutter, redactor: &Redactor) {
        if let Some(said) = cutter.done.last_mut() {
            if let Some(spill) = spill.take() {
                spill.end(said).await;
            }
        } else if let Some(bytes) = cutter.overflow(HELD) {
            let spill = spill.get_or_insert_with(|| Self {
                clean: redactor.stream(),
                start: Vec::new(),
                spool: None,
                broken: None,
                dropped: 0,
            });
            let clean = spill.clean.push(&bytes);
            spill.take(clean).await;
        }
    }

    async fn end(mut self, said: &mut Said) {
        let mut clean = self.clean.push(&said.bytes);
        clean.extend(self.clean.finish());
        self.take(clean).await;
        said.bytes = self.start;
        said.dropped += self.dropped;
        said.rest = Rest::new(self.spool, self.broken);
    }

    /// Fills up the beginning first: that of equal outputs is equal.
    async fn take(&mut self, mut bytes: Vec<u8>) {
        let room = HELD.saturating_sub(self.start.len()).min(bytes.len());
        self.start.extend(bytes.drain(..room));
        if !bytes.is_empty() {
            self.write(bytes).await;
        }
    }

    async fn write(&mut self, bytes: Vec<u8>) {
        let count = bytes.len() as u64;
        if self.broken.is_some() {
            self.dropped += count;
            return;
        }
        let spool = self.spool.take();
        // A disk may take its time.
        let written = tokio::task::spawn_blocking(move || {
            let mut spool = match spool.map_or_else(Spool::new, Ok) {
                Ok(spool) => spool,
                Err(error) => return (None, Err(error)),
            };
            let written = spool.append(&bytes);
            (Some(spool), written)
        });
        let (spool, written) = written
            .await
            .unwrap_or_else(|error| (None, Err(std::io::Error::other(error))));
        self.spool = spool;
        if let Err(error) = written {
            let folder = spool::folder();
            let cause = crate::diagnostic::cause(&error);
            self.broken = Some(format!("cannot write to {}: {cause}", folder.display()));
            self.dropped += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[tokio::test]
    async fn a_large_output_is_whole_and_has_no_secrets() {
        let redactor = Redactor::default();
        redactor.add("token", "canary-1234").unwrap();
        let mut cutter = Cutter::new("rn-0");
        let mut spill = None;
        let mut expected = Vec::new();
        cutter.feed(b"\nrn-0 pid 7\n");
        // The secret stands where the part in memory ends, and where a piece of the file does.
        for _ in 0..3 {
            let filler = vec![b'x'; HELD];
            for piece in [&filler[..], b" canary", b"-1234 ", &filler] {
                cutter.feed(piece);
                Spill::follow(&mut spill, &mut cutter, &redactor).await;
            }
            expected.extend([&filler[..], b" [secret token] ", &filler].concat());
        }
        cutter.feed(b"end\nrn-0 0 3\n");
        Spill::follow(&mut spill, &mut cutter, &redactor).await;
        expected.extend(b"end");
        let said = cutter.done.pop().unwrap();
        assert!(spill.is_none());
        assert_eq!((said.code, said.dropped), (3, 0));
        assert_eq!(said.bytes.len(), HELD);
        let mut all = said.bytes.clone();
        said.rest.reader().read_to_end(&mut all).unwrap();
        assert!(all == expected, "{} of {}", all.len(), expected.len());
    }

    #[tokio::test]
    async fn a_small_output_stays_in_memory() {
        let mut cutter = Cutter::new("rn-0");
        let mut spill = None;
        cutter.feed(b"\nrn-0 pid 7\n");
        cutter.feed(&vec![b'x'; HELD]);
        Spill::follow(&mut spill, &mut cutter, &Redactor::default()).await;
        cutter.feed(b"\nrn-0 0 0\n");
        Spill::follow(&mut spill, &mut cutter, &Redactor::default()).await;
        assert!(spill.is_none());
        assert_eq!(cutter.done[0].bytes.len(), HELD);
        assert_eq!(cutter.done[0].rest, Rest::default());
    }
}
