//! Puts a file in its place in one step: a reader sees the whole old file or the whole new one.
//!
//! The content goes to a new file in a new folder, both for nobody else, in the same directory. To make a folder is exclusive in every shell; to
//! open a file for writing is not, where others can put a pipe or a device in its place. When the checksum is right the file gets owner and
//! mode, is written through to the disk, and is renamed. Whatever fails, the old file stays as it was and the temporary one is
//! removed.

use super::attributes::Attributes;
use super::path::{hex, parent, temporary, word};
use super::state::Status;
use crate::modules::{Action, Script};
use crate::shell::{INLINE_LIMIT, print_bytes};
use sha2::{Digest, Sha256};
use std::path::PathBuf;

/// What a file shall hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// These bytes, sent inside the script.
    Bytes(Vec<u8>),
    /// A file of this machine, sent by itself.
    Local {
        /// Where it is.
        path: PathBuf,
        /// Its SHA-256 in hex.
        sum: String,
        /// Its size in bytes.
        size: u64,
    },
}

impl Content {
    /// SHA-256 in hex.
    pub fn sum(&self) -> String {
        match self {
            Content::Bytes(bytes) => hex(&Sha256::digest(bytes)),
            Content::Local { sum, .. } => sum.clone(),
        }
    }

    /// Size in bytes.
    pub fn size(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Local { size, .. } => *size,
        }
    }
}

/// A file to put in place.
#[derive(Debug)]
pub struct Install<'a> {
    /// Where.
    pub path: &'a str,
    /// What it shall hold.
    pub content: &'a Content,
    /// As declared.
    pub attributes: &'a Attributes,
    /// The mode of a new file when none is declared.
    pub new_mode: u32,
    /// The regular file that is there now: what is not declared is kept.
    pub found: Option<&'a Status>,
    /// The checksum that the present file must still have.
    pub replaces: Option<&'a str>,
}

/// Functions of the scripts below. `p` is the destination, `d` its directory, `t` the temporary file, `k` the folder that has nothing else.
pub const FUNCTIONS: &str = r#"rn_not_directory() {
  [ ! -d "$p" ] || { echo "$p is a directory" >&2; return 1; }
}
rn_parent() {
  [ ! -d "$d" ] || return 0
  case $(rn_stat "$d" -L) in
    directory*) ;;
    missing) echo "the directory $d does not exist; add a \`directory\` task before this one" >&2; return 1 ;;
    denied) echo "cannot look at $d: Permission denied" >&2; return 1 ;;
    *) echo "$d is not a directory" >&2; return 1 ;;
  esac
}
rn_ready() {
  rn_parent && rn_not_directory && { rn_wait; rn_clear; }
}
rn_clear() {
  if [ -d "$k" ] && [ ! -L "$k" ]; then rm -f -- "$t" && rmdir -- "$k"
  elif [ -e "$k" ] || [ -L "$k" ]; then rm -f -- "$k"; fi
}
# A host with two names, or a folder that hosts share, may have the same file written twice at the same time: what is still there after two
# seconds was left behind.
rn_wait() {
  rn_n=0; while [ -d "$k" ] && [ ! -L "$k" ] && [ $rn_n -lt 20 ]; do
    if sleep 0.1 2>/dev/null; then rn_n=$((rn_n + 1)); else sleep 1; rn_n=$((rn_n + 10)); fi
  done
}
rn_make() {
  rn_trap
  ( umask 077; mkdir -- "$k" ) 2>/dev/null || { rn_mine=; rn_wait; rn_mine=1; rn_clear && ( umask 077; mkdir -- "$k" ); }
}
rn_trap() {
  rn_mine=1
  trap '[ -z "$rn_mine" ] || rn_clear 2>/dev/null' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  # Behind a link that broke, a shell that only tells of a child's end is hit by this one.
  trap 'exit 141' PIPE
}
# Only a `sync` that knows -d writes just the named file; an older one would write everything the host has in memory.
rn_sync() {
  sync -d -- "$1" 2>/dev/null ||
    dd if=/dev/null of="$2" conv=notrunc,fsync 2>/dev/null || sync
}
rn_place() {
  rn_sync "$t" "$t" && rn_not_directory && mv -f -- "$t" "$p" && rmdir -- "$k" && trap - EXIT && rn_sync "$d" "$p"
}
# Without mv -T a link to a directory would be entered, not replaced.
rn_link() {
  [ -L "$p" ] || rn_not_directory || return 1
  rn_parent && rn_make && ln -s -- "$1" "$t" &&
    { mv -Tf -- "$t" "$p" 2>/dev/null || { rm -f -- "$p" && mv -f -- "$t" "$p"; }; } && rmdir -- "$k" && trap - EXIT
}
"#;

/// Sets `p`, `d`, `k` and `t` for [`FUNCTIONS`].
pub fn names(path: &str, temporary: &str) -> String {
    format!(
        "p={}\nd={}\nk={}\nt={}\n",
        word(path),
        word(parent(path)),
        word(parent(temporary)),
        word(temporary)
    )
}

/// Commands that put a symbolic link in place of what is there, except a directory; to follow [`FUNCTIONS`].
pub fn link(path: &str, target: &str) -> String {
    format!(
        "{}rn_link {} || exit 1\n",
        names(path, &temporary(path, target)),
        word(target)
    )
}

impl Install<'_> {
    /// The actions, in order.
    pub fn actions(&self) -> Vec<Action> {
        match self.content {
            Content::Bytes(bytes) => {
                let script = format!("{}{FUNCTIONS}{}", self.names(), self.inline(bytes));
                vec![Action::Run(Script::new(script))]
            }
            Content::Local { path, .. } => {
                let names = self.names();
                vec![
                    Action::Run(Script::new(format!("{names}{FUNCTIONS}rn_ready\n"))),
                    Action::Upload {
                        from: path.clone(),
                        to: self.temporary(),
                        resume: false,
                    },
                    Action::Run(Script::new(format!(
                        "{names}{FUNCTIONS}rn_trap\n{}",
                        self.place()
                    ))),
                ]
            }
        }
    }

    /// Commands that put a small content in place, to follow [`FUNCTIONS`] in a script. They end the script on a failure.
    pub fn step(&self, bytes: &[u8]) -> String {
        format!("{}{}", self.names(), self.inline(bytes))
    }

    fn temporary(&self) -> String {
        temporary(self.path, &self.content.sum())
    }

    fn names(&self) -> String {
        names(self.path, &self.temporary())
    }

    fn inline(&self, bytes: &[u8]) -> String {
        let mut print: Vec<String> = bytes.chunks(INLINE_LIMIT).map(print_bytes).collect();
        if print.is_empty() {
            print.push(":".into());
        }
        // Through `cat`, because the cause of a failed write gets lost in some shells' `printf`.
        format!(
            "rn_parent && rn_not_directory && rn_make || exit 1\n{{ {}; }} | ( umask 077; cat >\"$t\" ) || exit 1\n{}",
            print.join("; "),
            self.place()
        )
    }

    /// From a complete temporary file to the end.
    fn place(&self) -> String {
        let mut commands = Vec::new();
        if let Some(found) = self.found
            && (self.attributes.owner.is_none() || self.attributes.group.is_none())
        {
            // Only root can give a file away; for others this may fail, which is no failure of the task.
            commands.push(format!(
                "{{ chown -- {uid}:{gid} \"$t\" || chgrp -- {gid} \"$t\" || :; }} 2>/dev/null",
                uid = found.uid,
                gid = found.gid
            ));
        }
        let mode = self.found.map_or(self.new_mode, |found| found.mode);
        commands.extend(self.attributes.commands("\"$t\"", Some(mode)));
        if let Some(sum) = self.replaces {
            commands.push(format!(
                "{{ [ \"$(rn_sum \"$p\")\" = {sum} ] || \
                 {{ echo \"$p was changed by somebody else meanwhile\" >&2; false; }}; }}"
            ));
        }
        commands.push("rn_place".into());
        let large = match self.content {
            Content::Bytes(_) => "",
            Content::Local { .. } => " large",
        };
        format!(
            "[ \"$(rn_sum \"$t\"{large})\" = {} ] || {{ echo \"what arrived for $p is not what was to be sent; did its source change?\" >&2; exit 1; }}\n{} || exit 1\n",
            self.content.sum(),
            commands.join(" && ")
        )
    }
}
