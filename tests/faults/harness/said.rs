//! What a process says, and when.

use serde_json::Value;
use std::io::Read;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

/// How much of each output is kept, in bytes.
const KEPT: usize = 16 << 20;

/// What a stream said.
#[derive(Default)]
pub struct Said {
    /// Its beginning; at most 16 MiB.
    pub bytes: Vec<u8>,
    /// How many bytes there were.
    pub count: u64,
    /// Where in the bytes a read ended, and when.
    pub(super) times: Vec<(usize, Instant)>,
}

impl Said {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The lines, each with when it was said.
    pub fn lines(&self) -> impl Iterator<Item = (String, Instant)> {
        let mut end = 0;
        let lines = self.bytes.split_inclusive(|byte| *byte == b'\n');
        lines.filter_map(move |line| {
            end += line.len();
            let (_, when) = self.times.iter().find(|(read, _)| *read >= end)?;
            Some((String::from_utf8_lossy(line).trim().to_string(), *when))
        })
    }

    /// The events, where that is the output, each with when it was said.
    pub fn events(&self) -> impl Iterator<Item = (Value, Instant)> {
        let lines = self.lines();
        lines.map(|(line, when)| (serde_json::from_str(&line).unwrap(), when))
    }
}

/// Reads a stream to its end, noting when what was said.
pub(super) fn listen(
    mut stream: impl Read + Send + 'static,
    hear: Option<Sender<Vec<u8>>>,
) -> Receiver<Said> {
    let (send, said) = channel();
    std::thread::spawn(move || {
        let mut said = Said::default();
        let mut piece = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = stream.read(&mut piece) {
            said.count += count as u64;
            if let Some(hear) = &hear {
                let _ = hear.send(piece[..count].to_vec());
            }
            let room = KEPT - said.bytes.len();
            said.bytes.extend(&piece[..count.min(room)]);
            if room > 0 {
                said.times.push((said.bytes.len(), Instant::now()));
            }
        }
        let _ = send.send(said);
    });
    said
}
