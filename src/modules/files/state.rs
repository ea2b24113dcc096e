//! What a path is on a host: the line that `rn_stat` prints.

use crate::modules::Failure;

/// What a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing is there.
    Missing,
    /// A directory above cannot be searched, so nobody knows.
    Denied,
    /// Something is there.
    Present(Status),
}

/// The attributes of what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// What kind of thing.
    pub kind: FileKind,
    /// Permission bits, with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner by number.
    pub uid: u64,
    /// Group by number.
    pub gid: u64,
    /// Bytes.
    pub size: u64,
    /// Seconds since 1970; `None` where the host has no tool that tells.
    pub mtime: Option<i64>,
    /// Owner by name; a number when it has none.
    pub user: String,
    /// Group by name; a number when it has none.
    pub group: String,
}

/// What kind of thing a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device, a socket, a pipe.
    Other,
}

impl FileKind {
    /// In words: `a directory`.
    pub fn words(self) -> &'static str {
        match self {
            FileKind::File => "a file",
            FileKind::Directory => "a directory",
            FileKind::Link => "a symbolic link",
            FileKind::Other => "neither a file nor a directory",
        }
    }
}

impl State {
    /// Reads the line of `rn_stat`.
    ///
    /// # Errors
    ///
    /// The line is not one: the host's tools answered something unexpected.
    pub fn parse(line: &str) -> Result<State, Failure> {
        match line {
            "missing" => return Ok(State::Missing),
            "denied" => return Ok(State::Denied),
            _ => {}
        }
        parse_status(line).map(State::Present).ok_or_else(|| {
            Failure::new(format!(
                "the host answered `{}` where the attributes of a file were expected",
                line.escape_debug()
            ))
        })
    }

    /// What is there, if anything.
    ///
    /// # Errors
    ///
    /// The path cannot be looked at.
    pub fn status(self, path: &str) -> Result<Option<Status>, Failure> {
        match self {
            State::Missing => Ok(None),
            State::Present(status) => Ok(Some(status)),
            State::Denied => Err(Failure::new(format!(
                "cannot look at {path}: permission denied on a directory above it"
            ))
            .help("set `become = true` on the task if another user may look there")),
        }
    }
}

fn parse_status(line: &str) -> Option<Status> {
    let mut fields = line.split('\t');
    let kind = match fields.next()? {
        "file" => FileKind::File,
        "directory" => FileKind::Directory,
        "link" => FileKind::Link,
        "other" => FileKind::Other,
        _ => return None,
    };
    Some(Status {
        kind,
        mode: u32::from_str_radix(fields.next()?, 8).ok()?,
        uid: fields.next()?.parse().ok()?,
        gid: fields.next()?.parse().ok()?,
        // A device has no size where `ls` has to tell: its numbers stand there.
        size: match fields.next()?.parse() {
            Ok(size) => size,
            Err(_) if kind == FileKind::Other => 0,
            Err(_) => return None,
        },
        mtime: fields.next()?.parse().ok(),
        user: fields.next()?.to_string(),
        group: fields.next()?.to_string(),
    })
}

/// Takes the first line off a probe's answer.
pub fn line<'a>(rest: &mut &'a [u8]) -> Option<std::borrow::Cow<'a, str>> {
    let end = rest.iter().position(|&byte| byte == b'\n')?;
    let line = String::from_utf8_lossy(&rest[..end]);
    *rest = &rest[end + 1..];
    Some(line)
}

/// Takes the first line off a probe's answer, which must be one of `rn_stat`.
///
/// # Errors
///
/// There is none, or it is not one.
pub fn state(rest: &mut &[u8]) -> Result<State, Failure> {
    State::parse(&line(rest).unwrap_or_default())
}
