//! The keys that age files are read with.

use super::sealed::{self, Problematic};
use super::{Ask, unasked};
use crate::diagnostic::{Problem, cause};
use crate::redact::Redactor;
use age::secrecy::ExposeSecret;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A key that age files are read with.
pub type Identity = age::x25519::Identity;

/// Where keys for age files are looked for.
#[derive(Debug, Clone, Default)]
pub struct Identities {
    /// Files that were named. All of them must be there.
    pub named: Vec<PathBuf>,
    /// The one that is taken where none is named, if it is there.
    pub usual: Option<PathBuf>,
}

impl Identities {
    /// Reads them all. A file that is itself encrypted with a passphrase is decrypted.
    ///
    /// # Errors
    ///
    /// A file that can't be read, that others can read, or that holds something else.
    pub fn load(&self, redactor: &Redactor, ask: &dyn Ask) -> Result<Vec<Identity>, Problem> {
        let mut identities = Vec::new();
        for path in &self.named {
            identities.extend(load(path, redactor, ask)?);
        }
        if let Some(path) = self
            .usual
            .as_ref()
            .filter(|path| self.named.is_empty() && path.exists())
        {
            identities.extend(load(path, redactor, ask)?);
        }
        Ok(identities)
    }

    /// Makes one where it would be looked for: in the first file that is named, or in the usual one. Nothing that is
    /// there already is touched. Answers where it is now.
    ///
    /// # Errors
    ///
    /// A file that is there, or that can't be written.
    pub fn make(&self) -> Result<(PathBuf, Identity), Problem> {
        let Some(path) = self.named.first().or(self.usual.as_ref()) else {
            return Err(Problem::new("there is no HOME to keep a key in")
                .help("name a file for it with --age-identity or RUNNER_AGE_IDENTITY"));
        };
        let identity = Identity::generate();
        let text = format!(
            "# public key: {}\n{}\n",
            identity.to_public(),
            identity.to_string().expose_secret()
        );
        write_new(path, text.as_bytes()).map_err(|error| {
            Problem::new(format!(
                "cannot write {}: {}",
                path.display(),
                cause(&error)
            ))
        })?;
        Ok((path.clone(), identity))
    }

    /// Whether a file is named, more than one or one that is there, or the usual one is there.
    pub fn is_there(&self) -> bool {
        match (&self.named[..], &self.usual) {
            ([path], _) | ([], Some(path)) => path.exists(),
            (named, _) => !named.is_empty(),
        }
    }

    /// Says how to give one that fits.
    pub fn help(&self, problem: Problem) -> Problem {
        let looked: Vec<String> = self
            .named
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        let problem = match (&looked[..], &self.usual) {
            ([], Some(usual)) if usual.exists() => {
                problem.help(format!("tried the keys in {}", usual.display()))
            }
            ([], Some(usual)) => problem.help(format!("there is no {}", usual.display())),
            ([], None) => problem,
            (looked, _) => problem.help(format!("tried the keys in {}", looked.join(", "))),
        };
        problem.help("name a file of keys with --age-identity or RUNNER_AGE_IDENTITY")
    }
}

/// Writes a file that is not there yet and that nobody else may read, whole or not at all.
fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    (std::fs::DirBuilder::new().recursive(true).mode(0o700)).create(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(".runner-")
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist_noclobber(path).map_err(|error| error.error)?;
    std::fs::File::open(folder)?.sync_all()
}

fn load(path: &Path, redactor: &Redactor, ask: &dyn Ask) -> Result<Vec<Identity>, Problem> {
    let unread = |error: std::io::Error| {
        Problem::new(format!(
            "cannot read the age identity {}: {}",
            path.display(),
            cause(&error)
        ))
    };
    let mut file = std::fs::File::open(path).map_err(unread)?;
    let mode = file.metadata().map_err(unread)?.permissions().mode();
    if mode & 0o077 != 0 {
        let wide = format!(
            "others can read the age identity {} (mode {:04o})",
            path.display(),
            mode & 0o7777
        );
        return Err(Problem::new(wide).help(format!("chmod 600 {}", path.display())));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(unread)?;
    if sealed::is_sealed(&bytes) {
        let passphrase = ask
            .ask(&format!("Passphrase for {}: ", path.display()))
            .map_err(|why| unasked(format!("the passphrase of {}", path.display()), &why))?;
        redactor
            .add(&format!("passphrase of {}", path.display()), &passphrase)
            .ok();
        bytes = sealed::unlock(&bytes, &passphrase).map_err(|error| error.problem(path))?;
    }
    let text = std::str::from_utf8(&bytes).unwrap_or("");
    let mut identities = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.parse::<Identity>() {
            Ok(identity) => {
                // It is longer than what can't be hidden.
                redactor
                    .add("age identity", identity.to_string().expose_secret())
                    .ok();
                identities.push(identity);
            }
            Err(_) => {
                return Err(Problem::new(format!(
                    "line {} of {} is no age identity",
                    index + 1,
                    path.display()
                ))
                .help("an identity begins with AGE-SECRET-KEY-1; `runner secret key` makes one in a file that is not there yet"));
            }
        }
    }
    match identities.is_empty() {
        true => Err(
            Problem::new(format!("{} holds no age identity", path.display()))
                .help("an identity begins with AGE-SECRET-KEY-1; `runner secret key` makes one in a file that is not there yet"),
        ),
        false => Ok(identities),
    }
}
