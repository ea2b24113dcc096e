//! Known host keys, read and judged as OpenSSH's client does.
//!
//! Where it differs, it refuses more: a file that can't be read is an error and not an empty one, and a key
//! that is revoked for the name without the port is also refused for the name with it.

mod add;
mod line;

use crate::diagnostic::Problem;
use line::{Line, Marker};
use russh::keys::{Algorithm, HashAlg, PublicKey};
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

/// The port that host names stand for when they stand alone.
const DEFAULT_PORT: u16 = 22;

/// The host keys of all `known_hosts` files of a run.
#[derive(Debug, Clone, Default)]
pub struct KnownHosts {
    files: Vec<PathBuf>,
    /// All lines in the order in which OpenSSH asks them, each with its file and its number from 1.
    lines: Vec<(usize, usize, Line)>,
    /// Where the lines are that say whom they are about.
    plain: HashMap<Vec<u8>, Vec<usize>>,
    /// The others: each host has to be compared with each of them.
    others: Vec<usize>,
}

/// What the files say about a key that a host has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The key is known for this host.
    Known {
        /// The file that says so.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
    /// Other keys are known for this host, and not this one: refuse. As with OpenSSH it makes no difference
    /// whether they are of the type that the host has shown, so ask it for a type that is known:
    /// see [`KnownHosts::algorithms`].
    Changed {
        /// The file with the key that was expected.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// The type of the key that was expected.
        known_algorithm: Algorithm,
        /// The fingerprint of the key that was expected, `SHA256:...`.
        known_fingerprint: String,
    },
    /// The key is marked `@revoked` for this host: refuse, whatever the settings say.
    Revoked {
        /// The file that says so.
        file: PathBuf,
        /// Its line, from 1.
        line: usize,
    },
    /// No key is known for this host.
    Unknown,
}

impl KnownHosts {
    /// Reads the files; one that does not exist is empty. Lines that are corrupt are passed over, as OpenSSH does.
    ///
    /// # Errors
    ///
    /// A file that exists and can't be read: it must not count as one that knows nobody.
    pub fn load(user_files: &[PathBuf], global_files: &[PathBuf]) -> Result<Self, Problem> {
        let mut known = Self::default();
        for path in user_files.iter().chain(global_files) {
            let text = match std::fs::read(path) {
                Ok(text) => text,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    return Err(Problem::new(format!(
                        "can't read the known hosts in {}: {}",
                        path.display(),
                        crate::diagnostic::cause(&error)
                    ))
                    .help("make the file readable, or set `user_known_hosts_file` or `global_known_hosts_file` to another one"));
                }
            };
            known.read(path, &text);
        }
        Ok(known)
    }

    fn read(&mut self, path: &Path, text: &[u8]) {
        let file = self.files.len();
        self.files.push(path.to_path_buf());
        for (number, line) in read_lines(text) {
            let index = self.lines.len();
            match line.plain_names() {
                None => self.others.push(index),
                Some(names) => {
                    for name in names {
                        self.plain.entry(name).or_default().push(index);
                    }
                }
            }
            self.lines.push((file, number, line));
        }
    }

    /// Judges the key that a host has shown. Give the `host_key_name` and `host_key_port` of the
    /// [`Target`](super::settings::Target).
    ///
    /// A host with its own port is looked up as `[name]:port`, and if nothing is known of that as `name`, where only
    /// a match counts.
    pub fn verdict(&self, host: &str, port: u16, key: &PublicKey) -> Verdict {
        let verdict = self.verdict_on_name(&lookup_name(host, port), key);
        if verdict != Verdict::Unknown || port == DEFAULT_PORT {
            return verdict;
        }
        match self.verdict_on_name(&lookup_name(host, DEFAULT_PORT), key) {
            Verdict::Changed { .. } => Verdict::Unknown,
            other => other,
        }
    }

    /// The key types that are known for a host and not revoked, for the client to ask for first. OpenSSH does so too:
    /// otherwise a host with several keys may show one that is not known.
    pub fn algorithms(&self, host: &str, port: u16) -> Vec<Algorithm> {
        let mut algorithms = self.algorithms_of_name(&lookup_name(host, port));
        if algorithms.is_empty() && port != DEFAULT_PORT {
            algorithms = self.algorithms_of_name(&lookup_name(host, DEFAULT_PORT));
        }
        algorithms
    }

    /// Appends one line for a host, and says whether there was something to add. Safe with several runners at once:
    /// it waits for the lock of another one, so call it where blocking is allowed. Creates the file and its folder
    /// for the user alone.
    ///
    /// # Errors
    ///
    /// A file that can't be read or written, or a name that would mean more than itself in the file.
    pub fn add(file: &Path, host: &str, port: u16, key: &PublicKey) -> Result<bool, Problem> {
        add::add(file, host, port, key)
    }

    fn verdict_on_name(&self, name: &str, key: &PublicKey) -> Verdict {
        let mut known = None;
        let mut changed = None;
        for (file, line, entry) in self.about(name) {
            let same = entry.key.key_data() == key.key_data();
            let (file, line) = (file.clone(), line);
            match entry.marker {
                Marker::Revoked if same => return Verdict::Revoked { file, line },
                Marker::None if same => {
                    known.get_or_insert(Verdict::Known { file, line });
                }
                Marker::None => {
                    let same_type = entry.key.algorithm() == key.algorithm();
                    // Name the key that this one stands in for, if there is one.
                    if changed.is_none() || same_type && !matches!(changed, Some((true, _))) {
                        let verdict = Verdict::Changed {
                            file,
                            line,
                            known_algorithm: entry.key.algorithm(),
                            known_fingerprint: fingerprint(&entry.key),
                        };
                        changed = Some((same_type, verdict));
                    }
                }
                Marker::Revoked | Marker::CertAuthority => {}
            }
        }
        known
            .or(changed.map(|(_, verdict)| verdict))
            .unwrap_or(Verdict::Unknown)
    }

    fn algorithms_of_name(&self, name: &str) -> Vec<Algorithm> {
        let with = |marker| {
            self.about(name)
                .filter(move |(_, _, entry)| entry.marker == marker)
                .map(|(_, _, entry)| &entry.key)
        };
        let mut algorithms = Vec::new();
        for key in with(Marker::None) {
            let revoked = with(Marker::Revoked).any(|other| other.key_data() == key.key_data());
            let algorithm = key.algorithm();
            if !revoked && !algorithms.contains(&algorithm) {
                algorithms.push(algorithm);
            }
        }
        algorithms
    }

    /// The lines about a name, with file and number.
    fn about(&self, name: &str) -> impl Iterator<Item = (&PathBuf, usize, &Line)> {
        let plain = self
            .plain
            .get(name.as_bytes())
            .into_iter()
            .flatten()
            .copied();
        let about = |index: &usize| self.lines[*index].2.is_about(name.as_bytes());
        let mut found: Vec<usize> = self.others.iter().copied().filter(about).collect();
        found.extend(plain);
        found.sort_unstable();
        found.dedup();
        found.into_iter().map(|index| {
            let (file, number, line) = &self.lines[index];
            (&self.files[*file], *number, line)
        })
    }
}

/// The fingerprint of a key as OpenSSH prints it: `SHA256:...`.
pub fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// How a host is named in a file: `name`, or `[name]:port` with a port of its own.
pub fn lookup_name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == DEFAULT_PORT {
        host
    } else {
        format!("[{host}]:{port}")
    }
}

/// The lines that could be read, with their numbers from 1.
fn read_lines(text: &[u8]) -> impl Iterator<Item = (usize, Line)> {
    text.split(|byte| *byte == b'\n')
        .enumerate()
        .filter_map(|(index, line)| Some((index + 1, Line::parse(line)?)))
}
