//! What the modules that handle files share: paths, what a path is on the host, owner and mode, and the script that
//! puts a file in its place in one step.

pub mod attributes;
pub mod install;
pub mod local;
pub mod path;
pub mod state;
pub mod target;
pub mod tree;

pub use attributes::Attributes;
pub use install::{Content, Install};
pub use state::{State, Status};
pub use target::Target;

use super::{Arg, Failure, Found, Kind};

/// The arguments for mode and owner, the same in every module that writes files.
pub const MODE: Arg = Arg {
    name: "mode",
    kind: Kind::Mode,
    required: false,
    default: "kept; 0644 for a new file",
    doc: "The permissions.",
};

/// See [`MODE`].
pub const OWNER: Arg = Arg {
    name: "owner",
    kind: Kind::String,
    required: false,
    default: "kept",
    doc: "The user that owns it: a name or a number. Another user than the one logged in takes `become`.",
};

/// See [`MODE`].
pub const GROUP: Arg = Arg {
    name: "group",
    kind: Kind::String,
    required: false,
    default: "kept",
    doc: "The group that owns it: a name or a number.",
};

/// Passes on what a failed probe complained about.
///
/// # Errors
///
/// The first line of standard error, if the probe ended with another code than 0.
pub fn answered(found: &Found, path: &str) -> Result<(), Failure> {
    if found.code == 0 {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&found.stderr);
    let cause = said.lines().find(|line| !line.trim().is_empty());
    let failure = Failure::new(match cause {
        Some(line) => format!("cannot look at {path}: {}", line.trim()),
        None => format!(
            "cannot look at {path}: the probe ended with code {}",
            found.code
        ),
    });
    Err(if found.code == 127 {
        failure.help("install one of sha256sum (coreutils, busybox), openssl or shasum there")
    } else if said.contains("ermission denied") {
        failure.help("set `become = true` on the task if another user may read it")
    } else {
        failure
    })
}
