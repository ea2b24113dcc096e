//! One line of a `known_hosts` file.

use crate::transport::ssh::pattern;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use russh::keys::PublicKey;
use sha1::Sha1;

/// What OpenSSH asks of an RSA key before it looks at it.
const SMALLEST_RSA_BITS: usize = 1024;

/// A hashed name starts with this.
const HASH_MAGIC: &[u8] = b"|1|";

/// The length of a salt, which is that of a SHA-1 hash.
const SALT_LENGTH: usize = 20;

/// What a line says about its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// It is the key of these hosts.
    None,
    /// It signs the keys of these hosts. Certificates are not supported, so it vouches for nobody.
    CertAuthority,
    /// It must not be accepted from these hosts.
    Revoked,
}

/// A line that could be read.
#[derive(Debug, Clone)]
pub struct Line {
    /// What it says about the key.
    pub marker: Marker,
    names: Names,
    /// The key.
    pub key: PublicKey,
}

/// Whom a line is about.
#[derive(Debug, Clone)]
enum Names {
    /// A list of names and patterns.
    List(Vec<u8>),
    /// One name, hashed: only who knows it can tell.
    Hashed { salt: Vec<u8>, hash: Vec<u8> },
    /// Nobody.
    Nobody,
}

impl Line {
    /// Reads a line. `None` for blank lines, comments, and everything that OpenSSH passes over as corrupt.
    pub fn parse(line: &[u8]) -> Option<Line> {
        // To OpenSSH a line is a C string.
        let end = line.iter().position(|byte| *byte == 0);
        let line = skip_blanks(&line[..end.unwrap_or(line.len())]);
        if line.is_empty() || line[0] == b'#' {
            return None;
        }
        let (marker, line) = marker(line)?;
        let (hosts, rest) = word(line);
        let key = key(skip_blanks(rest))?;
        Some(Line {
            marker,
            names: names(hosts),
            key,
        })
    }

    /// Whether the line is about a host, given in lower case, as `name` or `[name]:port`.
    pub fn is_about(&self, host: &[u8]) -> bool {
        match &self.names {
            Names::List(list) => pattern::matches_list(host, list, true),
            Names::Hashed { salt, hash } => hash_matches(host, salt, hash),
            Names::Nobody => false,
        }
    }

    /// The names that the line is about, in lower case, if it says them one by one.
    pub fn plain_names(&self) -> Option<Vec<Vec<u8>>> {
        let Names::List(list) = &self.names else {
            return None;
        };
        let special = |byte: &u8| b"*?!".contains(byte);
        if list.iter().any(special) || list.len() > pattern::LONGEST_PART {
            return None;
        }
        let names = list.split(|byte| *byte == b',');
        Some(names.map(<[u8]>::to_ascii_lowercase).collect())
    }
}

/// Takes the marker off the line. `None` if there is one that OpenSSH does not understand.
fn marker(line: &[u8]) -> Option<(Marker, &[u8])> {
    if line.first() != Some(&b'@') {
        return Some((Marker::None, line));
    }
    // OpenSSH looks for a blank anywhere in the line before it looks for a tab, so a tab behind the
    // marker only counts where no blank follows.
    let end = find(line, b' ').or_else(|| find(line, b'\t'))?;
    let marker = match &line[..end] {
        b"@cert-authority" => Marker::CertAuthority,
        b"@revoked" => Marker::Revoked,
        _ => return None,
    };
    let rest = skip_blanks(&line[end..]);
    // Only one marker is allowed.
    (rest.first() != Some(&b'@')).then_some((marker, rest))
}

/// Reads type and key. `None` if they can't be read or do not belong together.
fn key(text: &[u8]) -> Option<PublicKey> {
    let (name, rest) = word(text);
    let (encoded, _comment) = word(skip_blanks(rest));
    // Files with CR LF have a CR here.
    let encoded: Vec<u8> = encoded
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace() && *byte != 0x0b)
        .collect();
    let key = PublicKey::from_bytes(&STANDARD.decode(encoded).ok()?).ok()?;
    let algorithm = key.algorithm();
    let of_type = match name {
        // Names of signature algorithms stand for the key type.
        b"rsa-sha2-256" | b"rsa-sha2-512" => b"ssh-rsa".as_slice(),
        name => name,
    };
    if of_type != algorithm.as_str().as_bytes() {
        return None;
    }
    match key.key_data() {
        data if data.is_other() => None,
        data => match data.rsa() {
            Some(rsa) if rsa_bits(rsa.n().as_bytes()) < SMALLEST_RSA_BITS => None,
            _ => Some(key),
        },
    }
}

fn rsa_bits(modulus: &[u8]) -> usize {
    let first = modulus.iter().position(|byte| *byte != 0);
    first.map_or(0, |first| {
        (modulus.len() - first) * 8 - modulus[first].leading_zeros() as usize
    })
}

/// Reads a list of names, or `|1|salt|hash`.
fn names(hosts: &[u8]) -> Names {
    if hosts.first() != Some(&b'|') {
        return Names::List(hosts.to_vec());
    }
    let hashed = || {
        let rest = hosts.strip_prefix(HASH_MAGIC)?;
        let end = find(rest, b'|')?;
        let salt = STANDARD.decode(&rest[..end]).ok()?;
        let hash = rest[end + 1..].to_vec();
        (salt.len() == SALT_LENGTH).then_some(Names::Hashed { salt, hash })
    };
    hashed().unwrap_or(Names::Nobody)
}

/// Whether a hash is that of this host.
fn hash_matches(host: &[u8], salt: &[u8], hash: &[u8]) -> bool {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(salt) else {
        return false;
    };
    mac.update(host);
    *hash == *STANDARD.encode(mac.finalize().into_bytes()).as_bytes()
}

fn find(text: &[u8], byte: u8) -> Option<usize> {
    text.iter().position(|other| *other == byte)
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn skip_blanks(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !is_blank(byte));
    &text[start.unwrap_or(text.len())..]
}

/// Everything up to a blank, and what follows.
fn word(text: &[u8]) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(is_blank).unwrap_or(text.len()))
}
