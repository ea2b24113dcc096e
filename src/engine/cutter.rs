//! Cuts what a host says into the outputs of the steps of a message, at its markers.

use crate::event::SHOWN_LINE;
use crate::spool::Rest;
use memchr::memmem;

/// At most this much of a step's output is kept, on each stream.
pub const KEPT: usize = 16 * 1024 * 1024;

/// What follows the random word in a marker is shorter than this.
const MARK: usize = 64;

/// What a step said on one stream, once it has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Its exit code; for the first marker, the process id.
    pub code: i64,
    /// What it printed, up to [`KEPT`] bytes.
    pub bytes: Vec<u8>,
    /// What follows them, where somebody has taken care of it.
    pub rest: Rest,
    /// How many bytes were dropped beyond that.
    pub dropped: u64,
}

/// Cuts one stream at the markers.
#[derive(Debug)]
pub struct Cutter {
    marker: Vec<u8>,
    pending: Vec<u8>,
    current: Said,
    /// What was said before the first marker: banners and the like, or why there is no shell.
    pub noise: Vec<u8>,
    /// The process id of the shell, once it has started.
    pub pid: Option<i64>,
    /// The shell takes another message after this one.
    pub again: bool,
    /// Nothing of the message was run.
    pub refused: bool,
    /// The steps that have ended, in order.
    pub done: Vec<Said>,
    /// The last whole line of the running step, as much of it as a screen shows, if it has not been looked at.
    line: Option<Vec<u8>>,
    /// The line that has not come to its end.
    begun: Vec<u8>,
}

impl Cutter {
    /// For a stream of the exchange with this nonce.
    pub fn new(nonce: &str) -> Self {
        Self {
            marker: format!("\n{nonce} ").into_bytes(),
            pending: Vec::new(),
            current: Said::default(),
            noise: Vec::new(),
            pid: None,
            again: false,
            refused: false,
            done: Vec::new(),
            line: None,
            begun: Vec::new(),
        }
    }

    /// Takes the next bytes of the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        loop {
            let Some(start) = memmem::find(&self.pending, &self.marker) else {
                let keep = overlap(&self.pending, &self.marker);
                let plain = self.pending.len() - keep;
                let rest = self.pending.split_off(plain);
                let plain = std::mem::replace(&mut self.pending, rest);
                self.say(&plain);
                return;
            };
            let after = start + self.marker.len();
            let line = &self.pending[after..];
            let length = match memchr::memchr(b'\n', &line[..line.len().min(MARK)]) {
                Some(length) => length,
                None if line.len() < MARK => return,
                // Whoever knows the word and does not keep to the form is not waited for.
                None => {
                    let before: Vec<u8> = self.pending.drain(..after).collect();
                    self.say(&before);
                    continue;
                }
            };
            let words = String::from_utf8_lossy(&self.pending[after..after + length]).into_owned();
            let before: Vec<u8> = self
                .pending
                .drain(..after + length + 1)
                .take(start)
                .collect();
            self.say(&before);
            self.mark(&words);
        }
    }

    /// The last whole line that the running step has said, if it is new.
    pub fn line(&mut self) -> Option<Vec<u8>> {
        self.line.take()
    }

    /// What the running step has said, if it is more than so many bytes. It is no longer kept here.
    pub fn overflow(&mut self, most: usize) -> Option<Vec<u8>> {
        (self.current.bytes.len() > most).then(|| std::mem::take(&mut self.current.bytes))
    }

    /// Keeps the last whole line, whether or not there is room for what the step says.
    fn follow(&mut self, bytes: &[u8]) {
        let begin = |begun: &mut Vec<u8>, mut bytes: &[u8]| {
            // A progress bar writes over what it has said.
            let over = bytes.len().saturating_sub(1);
            if let Some(at) = memchr::memrchr(b'\r', &bytes[..over]) {
                begun.clear();
                bytes = &bytes[at + 1..];
            }
            let room = SHOWN_LINE.saturating_sub(begun.len()).min(bytes.len());
            begun.extend_from_slice(&bytes[..room]);
        };
        if let Some(end) = memchr::memrchr(b'\n', bytes) {
            let mut line = std::mem::take(&mut self.begun);
            let start = memchr::memrchr(b'\n', &bytes[..end]).map(|at| at + 1);
            if start.is_some() {
                line.clear();
            }
            begin(&mut line, &bytes[start.unwrap_or(0)..end]);
            self.line = Some(line);
            begin(&mut self.begun, &bytes[end + 1..]);
        } else {
            begin(&mut self.begun, bytes);
        }
    }

    fn say(&mut self, bytes: &[u8]) {
        if self.pid.is_none() {
            let room = 4096usize.saturating_sub(self.noise.len());
            self.noise
                .extend_from_slice(&bytes[..bytes.len().min(room)]);
            return;
        }
        self.follow(bytes);
        let room = KEPT
            .saturating_sub(self.current.bytes.len())
            .min(bytes.len());
        self.current.bytes.extend_from_slice(&bytes[..room]);
        self.current.dropped += (bytes.len() - room) as u64;
    }

    fn mark(&mut self, words: &str) {
        let (what, code) = words.split_once(' ').unwrap_or((words, ""));
        let code = code.trim().parse().unwrap_or(-1);
        match what {
            "pid" | "pid-again" => {
                self.pid = Some(code);
                self.again = what == "pid-again";
                return;
            }
            "refused" => {
                self.refused = true;
                return;
            }
            _ => {}
        }
        let mut said = std::mem::take(&mut self.current);
        (self.line, self.begun) = (None, Vec::new());
        said.code = code;
        self.done.push(said);
    }
}

/// How many bytes at the end of a text could be the beginning of the marker.
fn overlap(text: &[u8], marker: &[u8]) -> usize {
    let longest = text.len().min(marker.len() - 1);
    (1..=longest)
        .rev()
        .find(|length| text.ends_with(&marker[..*length]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_server_that_knows_the_word_gains_nothing() {
        let mut cutter = Cutter::new("rn-0");
        cutter.feed(b"\nrn-0 pid 7\n");
        for _ in 0..100 {
            cutter.feed(b"\nrn-0 ");
            cutter.feed(&[b'x'; 1000]);
        }
        assert!(cutter.pending.len() < 2 * MARK, "{}", cutter.pending.len());
        cutter.feed(b"\nrn-0 0 0\n");
        assert_eq!(cutter.done[0].bytes.len(), 100 * 1006);
    }

    #[test]
    fn the_last_whole_line_is_known_at_any_length() {
        let mut cutter = Cutter::new("rn-0");
        cutter.feed(b"\nrn-0 pid 7\n");
        for _ in 0..KEPT / 1024 + 1 {
            cutter.feed(&[b'x'; 1024]);
        }
        assert_eq!(cutter.line(), None);
        cutter.feed(b"\nfi");
        assert_eq!(cutter.line(), Some(vec![b'x'; SHOWN_LINE]));
        cutter.feed(b"rst\nsecond\nthi");
        assert_eq!(cutter.line(), Some(b"second".to_vec()));
        assert_eq!(cutter.line(), None);
        // A line end at the very end could be a marker's.
        cutter.feed(b"rd\n.");
        assert_eq!(cutter.line(), Some(b"third".to_vec()));
        assert_eq!(cutter.current.bytes.len(), KEPT);
    }

    proptest! {
        #[test]
        fn cutting_does_not_depend_on_how_the_bytes_arrive(
            text in proptest::collection::vec(any::<u8>(), 0..200),
            sizes in proptest::collection::vec(1usize..9, 1..80),
        ) {
            let nonce = "rn-0";
            let mut stream = b"noise\nrn-0 pid 7\n".to_vec();
            stream.extend_from_slice(&text);
            stream.extend_from_slice(b"\nrn-0 0 5\ntail");
            let mut cutter = Cutter::new(nonce);
            let mut rest = &stream[..];
            for size in sizes.iter().cycle() {
                if rest.is_empty() { break; }
                let (now, later) = rest.split_at((*size).min(rest.len()));
                cutter.feed(now);
                rest = later;
            }
            prop_assert_eq!(cutter.pid, Some(7));
            prop_assert_eq!(&cutter.done[0].bytes, &text);
            prop_assert_eq!(cutter.done[0].code, 5);
            prop_assert_eq!(&cutter.noise[..], b"noise");
        }
    }
}
