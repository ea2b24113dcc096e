//! `stat`: what a path is, as a registered result.

use super::files::state::{self, FileKind};
use super::files::{answered, path};
use super::{Arg, Args, Changes, Done, Failure, Found, Kind, Look, Module, Script, Spec};
use crate::diagnostic::Problem;
use serde_json::{Map, Value};

/// What a path is.
pub static SPEC: Spec = Spec {
    name: "stat",
    summary: "What a path is: registers its kind, size, mode and owner",
    about: "Changes nothing, and a path that does not exist is no failure.\n\n\
            Registers `exists`; and if it does `is_file`, `is_dir`, `is_link`, `size` (bytes), `mode` (\"0644\"), `owner`, `group`, \
            `uid`, `gid`, `mtime` (seconds since 1970), `target` for a link, and `checksum` (SHA-256) if it was asked for and \
            the path is a file.",
    args: &[
        Arg {
            name: "path",
            kind: Kind::String,
            required: true,
            default: "",
            doc: "The absolute path.",
        },
        Arg {
            name: "follow",
            kind: Kind::Boolean,
            required: false,
            default: "false",
            doc: "Whether to look at what a symbolic link leads to, not at the link.",
        },
        Arg {
            name: "checksum",
            kind: Kind::Boolean,
            required: false,
            default: "false",
            doc: "Whether to take the SHA-256 of a file.",
        },
    ],
    bare: "path",
    open: false,
    unseen: &[],
    example: r#"[[play.task]]
name = "is there a configuration"
stat = "/etc/hosts"
register = "hosts_file"
"#,
    build,
};

#[derive(Debug)]
struct Stat {
    path: String,
    follow: bool,
    checksum: bool,
}

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    Ok(Box::new(Stat {
        path: path::one(args, "path")?,
        follow: args.boolean("follow", false)?,
        checksum: args.boolean("checksum", false)?,
    }))
}

impl Module for Stat {
    fn probe(&self) -> Option<Script> {
        let follow = if self.follow { " -L" } else { "" };
        let mut text = format!(
            "p={}\nrn_stat \"$p\"{follow} || exit 1\n",
            path::word(&self.path)
        );
        if !self.follow {
            text.push_str("if [ -L \"$p\" ]; then readlink -- \"$p\"; exit; fi\n");
        }
        if self.checksum {
            text.push_str("[ ! -f \"$p\" ] || rn_sum \"$p\"\n");
        }
        let look = Look {
            path: self.path.clone(),
            follow: self.follow,
            sum: false,
        };
        Some(Script::new(text).looking([look]))
    }

    fn settled(&self) -> Option<String> {
        Some("[!d]*|di*".into())
    }

    fn changes(&self, found: &Found) -> Result<Changes, Failure> {
        answered(found, &self.path)?;
        state::state(&mut found.stdout.as_slice())?.status(&self.path)?;
        Ok(Changes::none())
    }

    fn result(&self, found: &Found, _: &[Done]) -> Result<Map<String, Value>, Failure> {
        let mut rest = found.stdout.as_slice();
        let status = state::state(&mut rest)?.status(&self.path)?;
        let mut keys = Map::new();
        keys.insert("path".into(), self.path.clone().into());
        keys.insert("exists".into(), status.is_some().into());
        let Some(status) = status else {
            return Ok(keys);
        };
        keys.insert("is_file".into(), (status.kind == FileKind::File).into());
        keys.insert("is_dir".into(), (status.kind == FileKind::Directory).into());
        keys.insert("is_link".into(), (status.kind == FileKind::Link).into());
        keys.insert("size".into(), status.size.into());
        keys.insert("mode".into(), format!("{:04o}", status.mode).into());
        keys.insert("owner".into(), status.user.into());
        keys.insert("group".into(), status.group.into());
        keys.insert("uid".into(), status.uid.into());
        keys.insert("gid".into(), status.gid.into());
        keys.insert("mtime".into(), status.mtime.into());
        let answer = String::from_utf8_lossy(rest);
        let answer = answer.strip_suffix('\n').unwrap_or(&answer);
        match status.kind {
            FileKind::Link => {
                keys.insert("target".into(), answer.into());
            }
            FileKind::File if self.checksum => {
                keys.insert("checksum".into(), answer.into());
            }
            _ => {}
        }
        Ok(keys)
    }
}
