//! Causes in plain words.

use super::stream::Head;
use russh::Error;
use std::io;

/// Why a login ends when the server has no more ways to log in.
pub(super) const NOTHING_ELSE: &str = "the server accepts nothing else";

/// An error of the operating system without its number.
pub(super) fn io(error: &io::Error) -> String {
    use io::ErrorKind::{
        AddrNotAvailable, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable,
        NetworkUnreachable, PermissionDenied, TimedOut,
    };
    match error.kind() {
        ConnectionRefused => "connection refused".into(),
        ConnectionReset | ConnectionAborted => "the server reset the connection".into(),
        HostUnreachable => "no route to host".into(),
        NetworkUnreachable => "the network is unreachable".into(),
        TimedOut => "no answer".into(),
        AddrNotAvailable => "the address can't be used on this machine".into(),
        PermissionDenied => "this machine's firewall does not permit it".into(),
        _ => plain(&error.to_string()),
    }
}

fn plain(message: &str) -> String {
    let message = message.split(" (os error").next().unwrap_or(message);
    let mut chars = message.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(chars).collect()
    })
}

/// Why a name has no address.
pub(super) fn lookup(host: &str, error: &io::Error) -> String {
    let said = error.to_string();
    if said.contains("Name or service not known") || said.contains("No address associated") {
        return format!("the name `{host}` is not known");
    }
    if said.contains("Temporary failure") {
        return format!("no name server answers for `{host}`");
    }
    let said = said.rsplit(": ").next().unwrap_or(&said);
    format!("`{host}`: {}", plain(said))
}

/// Why a key exchange ended, and whether the server may only have been too busy.
pub(super) fn key_exchange(error: &Error, head: &Head) -> (String, bool) {
    let closed = is_end(error);
    if head.identification().is_none() {
        return match head.other_words() {
            // OpenSSH says so in plain text where it throttles, then closes.
            Some(words)
                if words.contains("MaxStartups") || words.contains("Not allowed at this time") =>
            {
                (format!("the server refuses more logins: \"{words}\""), true)
            }
            Some(words) if closed && "SSH-".starts_with(&*words) => (
                "the server closed the connection in its first word".into(),
                true,
            ),
            Some(words) => (format!("not an SSH server: it said \"{words}\""), false),
            None if closed => (
                "the server closed the connection before it said anything".into(),
                true,
            ),
            None => ("not an SSH server".into(), false),
        };
    }
    if closed {
        return (
            "the server closed the connection during the key exchange".into(),
            true,
        );
    }
    (session(error), false)
}

/// Whether the other side has closed the connection.
pub(super) fn is_end(error: &Error) -> bool {
    match error {
        Error::Disconnect | Error::HUP | Error::RecvError | Error::SendError => true,
        Error::IO(error) => matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::BrokenPipe
                | io::ErrorKind::ConnectionAborted
        ),
        _ => false,
    }
}

/// Why a connection ended.
pub(super) fn session(error: &Error) -> String {
    match error {
        Error::NoCommonAlgo { kind, theirs, .. } => {
            let kind = match kind {
                russh::AlgorithmKind::Kex => "key exchange",
                russh::AlgorithmKind::Key => "host key",
                russh::AlgorithmKind::Cipher => "cipher",
                russh::AlgorithmKind::Compression => "compression",
                russh::AlgorithmKind::Mac => "message authentication",
            };
            let theirs: String = theirs.join(",").chars().take(200).collect();
            format!(
                "no {kind} algorithm in common, the server offers {}",
                theirs.escape_debug()
            )
        }
        Error::WrongServerSig | Error::Signature(_) => {
            "the server's signature is wrong: it does not hold the host key that it shows".into()
        }
        Error::PacketAuth | Error::DecryptionError => "a packet was damaged on the way".into(),
        Error::PacketSize(_) => "the server sent a packet of an impossible length".into(),
        Error::StrictKeyExchangeViolation { .. } => {
            "a packet was injected into the key exchange".into()
        }
        Error::NoAuthMethod => NOTHING_ELSE.into(),
        Error::KeepaliveTimeout | Error::InactivityTimeout => "the host no longer answers".into(),
        Error::IO(error) => match error.kind() {
            io::ErrorKind::UnexpectedEof => "the server closed the connection".into(),
            io::ErrorKind::TimedOut => "the host no longer answers".into(),
            _ => self::io(error),
        },
        error if is_end(error) => "the server closed the connection".into(),
        Error::Inconsistent
        | Error::Kex
        | Error::KexInit
        | Error::SshEncoding(_)
        | Error::SshKey(_)
        | Error::Keys(_)
        | Error::Utf8(_)
        | Error::IndexOutOfBounds
        | Error::UnknownKey
        | Error::WrongChannel => "the server broke the SSH protocol".into(),
        error => plain(&error.to_string()),
    }
}
