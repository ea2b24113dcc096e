//! Paths on a host, as the operator wrote them.

use crate::diagnostic::Problem;
use crate::modules::args::{self, Args};
use crate::shell;
use sha2::{Digest, Sha256};

/// A path that must be there.
///
/// # Errors
///
/// See [`check`].
pub fn one(args: &Args, key: &str) -> Result<String, Problem> {
    let path = args.string(key)?;
    check(&path).map_err(|problem| problem.at(args.place(key)))?;
    Ok(path)
}

/// One path or several, each with a problem at its own place.
///
/// # Errors
///
/// See [`check`]; an empty list is a problem too.
pub fn many(args: &Args, key: &str) -> Result<Vec<String>, Problem> {
    use crate::document::Data;
    let paths = match args.get(key).map(|node| &node.data) {
        Some(Data::Array(items)) => items
            .iter()
            .map(|item| {
                let path = args::text(item)?;
                check(&path).map_err(|problem| problem.at(item.place.clone()))?;
                Ok(path)
            })
            .collect::<Result<Vec<_>, Problem>>()?,
        _ => vec![one(args, key)?],
    };
    if paths.is_empty() {
        return Err(args.problem(key, format!("`{key}` names no path")));
    }
    Ok(paths)
}

/// Whether a text can name a file on a host.
///
/// # Errors
///
/// It is empty, relative, or has a NUL.
pub fn check(path: &str) -> Result<(), Problem> {
    if path.is_empty() {
        return Err(Problem::new("the path is empty").help("is a variable in it empty?"));
    }
    if path.contains('\0') {
        return Err(Problem::new("a path cannot contain a NUL character"));
    }
    if !path.starts_with('/') {
        let problem = Problem::new(format!("`{path}` is not an absolute path"));
        return Err(if path.starts_with('~') {
            problem.help("`~` is not expanded; write the home directory in full")
        } else {
            problem.help("paths on a host start with `/`")
        });
    }
    Ok(())
}

/// Like [`one`], for a path that must name a file: it does not end in `/`.
///
/// # Errors
///
/// See [`check`].
pub fn file(args: &Args, key: &str) -> Result<String, Problem> {
    let path = one(args, key)?;
    if path.ends_with('/') {
        return Err(args
            .problem(key, format!("`{path}` names a directory, not a file"))
            .help("is a variable at its end empty?"));
    }
    Ok(path)
}

/// Without slashes at the end, except for the root itself.
pub fn trim(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => "/",
        trimmed => trimmed,
    }
}

/// The directory part: `/a` for `/a/b`, `/` for `/a`.
pub fn parent(path: &str) -> &str {
    match path.rfind('/') {
        Some(0) | None => "/",
        Some(at) => &path[..at],
    }
}

/// The last part: `b` for `/a/b`.
pub fn name(path: &str) -> &str {
    path.rfind('/').map_or(path, |at| &path[at + 1..])
}

/// A path below a directory.
pub fn join(directory: &str, name: &str) -> String {
    format!("{}/{name}", directory.trim_end_matches('/'))
}

/// The temporary name of a file: `.NAME.runner-1f2e.../1f2e...`, in a folder of its own next to it, where nobody else can put anything. The
/// same file with the same content has the same one, so that what a killed run left behind is replaced by the next and never piles up.
pub fn temporary(path: &str, sum: &str) -> String {
    let name = name(path);
    let mut end = name.len().min(200); // A name has at most 255 bytes.
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let tag = &hex(&Sha256::digest(format!("{path}\0{sum}")))[..16];
    join(
        parent(path),
        &format!(".{}.runner-{tag}/{tag}", &name[..end]),
    )
}

/// Bytes in hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The path as a word of a script.
pub fn word(path: &str) -> String {
    shell::quote(path)
}
