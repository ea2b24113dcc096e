//! What a shell says about its lock before it says anything else.

use super::{Holder, Locks};
use crate::run_id::RunId;
use memchr::memmem;
use std::sync::Arc;

/// So much of what a login shell says before may be held here.
const NOISE: usize = 64 * 1024;

/// What became of a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Verdict {
    /// The shell has it.
    Held,
    /// Another run has it.
    Taken(Box<Holder>),
    /// It can't be made, for this reason.
    Failed(String),
}

/// Stands before the standard output of a shell that takes a lock first.
pub(in super::super) struct Gate {
    marker: Vec<u8>,
    pending: Vec<u8>,
    verdict: Option<Verdict>,
    /// Told while the shell looks again at a lock that is held.
    locks: Option<Arc<Locks>>,
    contested: bool,
}

impl Gate {
    /// For a shell that takes no lock, or has it.
    pub(in super::super) fn open() -> Self {
        Self {
            marker: Vec::new(),
            pending: Vec::new(),
            verdict: Some(Verdict::Held),
            locks: None,
            contested: false,
        }
    }

    /// For a shell that says what became of its lock with this nonce.
    pub(super) fn new(nonce: &str, locks: Option<Arc<Locks>>) -> Self {
        Self {
            marker: format!("\n{nonce} ").into_bytes(),
            pending: Vec::new(),
            verdict: None,
            locks,
            contested: false,
        }
    }

    /// Takes the next bytes, and answers those that are not about the lock.
    pub(in super::super) fn pass(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        if self.verdict.is_some() {
            return bytes;
        }
        self.pending.extend(bytes);
        let mut passed = Vec::new();
        while self.verdict.is_none() && self.line(&mut passed) {}
        if self.verdict.is_some() {
            self.contest(false);
            passed.append(&mut self.pending);
        }
        passed
    }

    /// Takes the next line that is about the lock, and what stands before it.
    fn line(&mut self, passed: &mut Vec<u8>) -> bool {
        let Some(start) = memmem::find(&self.pending, &self.marker) else {
            let much = self.pending.len().saturating_sub(NOISE);
            passed.extend(self.pending.drain(..much));
            return false;
        };
        let after = start + self.marker.len();
        let Some(length) = memchr::memchr(b'\n', &self.pending[after..]) else {
            return false;
        };
        let line = String::from_utf8_lossy(&self.pending[after..after + length]).into_owned();
        passed.extend(self.pending.drain(..=after + length).take(start));
        match &line[..] {
            "contested" => self.contest(true),
            _ => self.verdict = Some(read(&line)),
        }
        true
    }

    fn contest(&mut self, begins: bool) {
        if let Some(locks) = self.locks.as_ref().filter(|_| self.contested != begins) {
            locks.contest(begins);
        }
        self.contested = begins;
    }

    /// What became of the lock, once that was said.
    pub(in super::super) fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_ref()
    }

    /// What was said instead.
    pub(in super::super) fn noise(&self) -> &[u8] {
        &self.pending
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.contest(false);
    }
}

fn read(line: &str) -> Verdict {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    match word {
        "held" => Verdict::Held,
        "locked" => Verdict::Taken(Box::new(holder(rest))),
        _ => Verdict::Failed(rest.trim().to_owned()),
    }
}

/// `VERDICT OWNER RUN.PROCESS.START.WHO WHAT`, of which a host can make what it likes.
fn holder(text: &str) -> Holder {
    let mut words = text.splitn(4, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (verdict, owner, name, what) = (word(), word(), word(), word());
    let mut parts = name.splitn(4, '.');
    let mut part = || parts.next().unwrap_or_default();
    let (run, process, _, by) = (part(), part(), part(), part());
    // What holds it for a shell that has made room is the same run's.
    let by = by.split_once(".held-").map_or(by, |(by, _)| by);
    let since = run.parse::<RunId>().map(|run| run.since());
    Holder {
        run: run.to_owned(),
        by: by.to_owned(),
        what: what.trim().to_owned(),
        since: since.unwrap_or_default(),
        process: process.parse().unwrap_or_default(),
        owner: owner.to_owned(),
        gone: verdict == "gone",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_found_however_it_arrives() {
        let said = b"Welcome\n\nN contested\n\nN locked gone root 20260203-040506-9f3a.12.34.ann@desk deploy site.toml\nrest";
        for size in 1..said.len() {
            let mut gate = Gate::new("N", None);
            let passed: Vec<u8> = said
                .chunks(size)
                .flat_map(|piece| gate.pass(piece.to_vec()))
                .collect();
            assert_eq!(passed, b"Welcome\nrest", "{size}");
            let holder = Holder {
                run: "20260203-040506-9f3a".into(),
                by: "ann@desk".into(),
                what: "deploy site.toml".into(),
                since: "2026-02-03 04:05:06 UTC".into(),
                process: 12,
                owner: "root".into(),
                gone: true,
            };
            assert_eq!(gate.verdict(), Some(&Verdict::Taken(Box::new(holder))));
        }
    }

    #[test]
    fn noise_without_end_is_not_held() {
        let mut gate = Gate::new("N", None);
        let passed: usize = (0..100).map(|_| gate.pass(vec![b'x'; 10_000]).len()).sum();
        assert_eq!(passed + gate.noise().len(), 1_000_000);
        assert!(gate.noise().len() <= NOISE);
        gate.pass(b"\nN held\n".to_vec());
        assert_eq!(gate.verdict(), Some(&Verdict::Held));
    }
}
