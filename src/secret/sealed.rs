//! TOML files that are encrypted with age.
//!
//! Such a file does not say for whom it is encrypted, so the TOML inside does, for as long as it is edited with
//! `runner secret edit`: each comment `# recipient: age1...` names a key that can read it. A file without such a comment
//! is encrypted with a passphrase.

use super::{Ask, Identities, Identity, unasked};
use crate::diagnostic::{Problem, Problems, Source, cause};
use crate::document::{self, Data, Node};
use crate::redact::Redactor;
use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::secrecy::SecretString;
use age::{DecryptError, Decryptor, Encryptor};
use std::io::{Read, Write};
use std::path::Path;

/// A key that a file is encrypted for.
pub type Recipient = age::x25519::Recipient;

/// What a comment begins with that names a recipient.
const RECIPIENT: &str = "# recipient:";

/// How often a wrong passphrase can be put right.
const TRIES: usize = 3;

/// For whom a file is encrypted.
#[derive(Clone)]
pub enum Lock {
    /// Whoever has one of these keys.
    Keys(Vec<Recipient>),
    /// Whoever knows this passphrase.
    Passphrase(String),
}

/// A file, decrypted.
pub struct Opened {
    /// The TOML.
    pub text: String,
    /// The passphrase that it was encrypted with, if it was.
    pub passphrase: Option<String>,
    /// It is written in letters and not in bytes.
    pub armored: bool,
}

/// Why something could not be decrypted.
pub(super) trait Problematic {
    fn problem(&self, path: &Path) -> Problem;
}

impl Problematic for DecryptError {
    fn problem(&self, path: &Path) -> Problem {
        let path = path.display();
        match self {
            DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => {
                Problem::new(format!("the passphrase for {path} is wrong"))
            }
            DecryptError::NoMatchingKeys => Problem::new(format!(
                "{path} is not encrypted for any of the age identities"
            )),
            DecryptError::ExcessiveWork { .. } => Problem::new(format!(
                "the passphrase of {path} takes too much work to check"
            )),
            DecryptError::UnknownFormat => Problem::new(format!(
                "{path} is encrypted with an unknown version of age"
            )),
            _ => Problem::new(format!("{path} is damaged: it is not what was encrypted"))
                .help("take it from a backup or from version control"),
        }
    }
}

/// Whether these bytes are encrypted with age.
pub fn is_sealed(bytes: &[u8]) -> bool {
    bytes.starts_with(b"age-encryption.org/") || is_armored(bytes)
}

fn is_armored(bytes: &[u8]) -> bool {
    bytes
        .trim_ascii_start()
        .starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----")
}

/// Reads and decrypts a file.
///
/// # Errors
///
/// It can't be read, is not encrypted with age, is damaged, or is for others.
pub fn open(
    path: &Path,
    identities: &Identities,
    redactor: &Redactor,
    ask: &dyn Ask,
) -> Result<Opened, Problem> {
    let shown = path.display();
    let bytes = std::fs::read(path)
        .map_err(|error| Problem::new(format!("cannot read {shown}: {}", cause(&error))))?;
    if !is_sealed(&bytes) {
        return Err(Problem::new(format!("{shown} is not encrypted with age"))
            .help("`runner secret edit FILE` makes an encrypted file"));
    }
    let reader = Decryptor::new_buffered(ArmoredReader::new(&bytes[..]))
        .map_err(|error| error.problem(path))?;
    let armored = is_armored(&bytes);
    let (plain, passphrase) = if reader.is_scrypt() {
        let (plain, passphrase) = with_passphrase(path, &bytes, redactor, ask)?;
        (plain, Some(passphrase))
    } else {
        let keys = identities.load(redactor, ask)?;
        if keys.is_empty() {
            return Err(identities.help(Problem::new(format!(
                "there is no age identity to read {shown} with"
            ))));
        }
        let keys = keys.iter().map(|key| key as &dyn age::Identity);
        let plain = read(reader.decrypt(keys)).map_err(|error| match error {
            DecryptError::NoMatchingKeys => identities.help(error.problem(path)),
            error => error.problem(path),
        })?;
        (plain, None)
    };
    let text = String::from_utf8(plain)
        .map_err(|_| Problem::new(format!("{shown} holds something that is not UTF-8")))?;
    Ok(Opened {
        text,
        passphrase,
        armored,
    })
}

fn with_passphrase(
    path: &Path,
    bytes: &[u8],
    redactor: &Redactor,
    ask: &dyn Ask,
) -> Result<(Vec<u8>, String), Problem> {
    let what = format!("passphrase of {}", path.display());
    let mut question = format!("Passphrase for {}: ", path.display());
    let mut tries = 1;
    loop {
        let passphrase =
            (ask.ask(&question)).map_err(|why| unasked(format!("the {what}"), &why))?;
        // One that is too short to be hidden says nothing, either.
        redactor.add(&what, &passphrase).ok();
        match unlock(bytes, &passphrase) {
            Ok(plain) => return Ok((plain, passphrase)),
            Err(DecryptError::DecryptionFailed) if tries < TRIES => {
                question = format!(
                    "That passphrase is wrong. Passphrase for {}: ",
                    path.display()
                );
                tries += 1;
            }
            Err(error) => return Err(error.problem(path)),
        }
    }
}

/// Decrypts with a passphrase.
pub(super) fn unlock(bytes: &[u8], passphrase: &str) -> Result<Vec<u8>, DecryptError> {
    let identity = age::scrypt::Identity::new(SecretString::from(passphrase.to_string()));
    let reader = Decryptor::new_buffered(ArmoredReader::new(bytes))?;
    read(reader.decrypt(std::iter::once(&identity as &dyn age::Identity)))
}

fn read(reader: Result<impl Read, DecryptError>) -> Result<Vec<u8>, DecryptError> {
    let mut plain = Vec::new();
    reader?.read_to_end(&mut plain)?;
    Ok(plain)
}

/// Encrypts a text.
///
/// # Errors
///
/// There is nobody to encrypt it for.
pub fn seal(text: &str, lock: &Lock, armored: bool) -> Result<Vec<u8>, Problem> {
    let failed = |why: String| Problem::new(format!("cannot encrypt: {why}"));
    let encryptor = match lock {
        Lock::Passphrase(passphrase) => {
            Encryptor::with_user_passphrase(SecretString::from(passphrase.clone()))
        }
        Lock::Keys(keys) => {
            Encryptor::with_recipients(keys.iter().map(|key| key as &dyn age::Recipient))
                .map_err(|error| failed(error.to_string()))?
        }
    };
    let format = match armored {
        true => Format::AsciiArmor,
        false => Format::Binary,
    };
    let write = || -> std::io::Result<Vec<u8>> {
        let mut writer = encryptor.wrap_output(ArmoredWriter::wrap_output(Vec::new(), format)?)?;
        writer.write_all(text.as_bytes())?;
        writer.finish()?.finish()
    };
    write().map_err(|error| failed(cause(&error)))
}

/// The recipients that the comments of a TOML text name.
///
/// # Errors
///
/// One that is none.
pub fn recipients(text: &str) -> Result<Vec<Recipient>, Problem> {
    let named = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix(RECIPIENT));
    named.map(|name| recipient(name.trim())).collect()
}

/// Reads a recipient.
///
/// # Errors
///
/// It is none.
pub fn recipient(text: &str) -> Result<Recipient, Problem> {
    text.parse().map_err(|_| {
        Problem::new(format!("`{text}` is no age recipient"))
            .help("a recipient begins with age1; `runner secret key` shows yours")
    })
}

/// The comments that name recipients.
pub fn comments(recipients: &[Recipient]) -> String {
    recipients
        .iter()
        .map(|one| format!("{RECIPIENT} {one}\n"))
        .collect()
}

/// Whether one of these identities can read what is encrypted for these recipients.
pub fn reads(identities: &[Identity], recipients: &[Recipient]) -> bool {
    let same = |one: &Recipient, other: &Recipient| one.to_string() == other.to_string();
    identities.iter().any(|identity| {
        recipients
            .iter()
            .any(|one| same(one, &identity.to_public()))
    })
}

/// Reads the TOML of a decrypted file. Everything in it must be a text, or tables and lists of them.
///
/// # Errors
///
/// All that is wrong, with line and column and without a word of the file.
pub fn parse(path: &Path, text: &str) -> Result<Node, Problems> {
    let source = Source::new(path.display().to_string(), text);
    // What the parser says may have a part of the text in it.
    let root = document::parse(&source).map_err(|problems| {
        let mut shown = Problems::new();
        for problem in problems.iter() {
            let place = problem
                .place
                .as_ref()
                .map_or(String::new(), |place| format!("{place}: "));
            shown.push(
                Problem::new(format!("{place}this is not TOML"))
                    .help("`runner secret edit FILE` shows and mends it"),
            );
        }
        shown
    })?;
    let mut problems = Problems::new();
    texts(&root, &mut problems);
    problems.or(root)
}

fn texts(node: &Node, problems: &mut Problems) {
    match &node.data {
        Data::String(_) => {}
        Data::Array(items) => items.iter().for_each(|item| texts(item, problems)),
        Data::Table(table) => table.iter().for_each(|entry| texts(&entry.value, problems)),
        _ => problems.push(
            Problem::new(format!(
                "{}: a secret is a text, and this is {}",
                node.place,
                node.kind()
            ))
            .help("put it in quotes, or with the ordinary variables"),
        ),
    }
}
