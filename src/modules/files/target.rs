//! One file with a wanted content: the common part of `file`, `template` and `copy`.

use super::answered;
use super::attributes::Attributes;
use super::install::{Content, Install};
use super::path::{self, word};
use super::state::{self, FileKind, Status};
use crate::diagnostic::Problem;
use crate::modules::args::Args;
use crate::modules::{Action, Changes, Diff, Done, Failure, Found, Look, Module, Script};
use serde_json::{Map, Value};

/// Contents larger than this are not brought back for `--diff`, in bytes.
const DIFF_LIMIT: u64 = 64 * 1024;

/// Contents larger than this are only read where their size is right, in bytes.
const SMALL: u64 = 1024 * 1024;

/// A file with a wanted content.
#[derive(Debug)]
pub struct Target {
    /// Where.
    pub path: String,
    /// What it shall hold.
    pub content: Content,
    /// As declared.
    pub attributes: Attributes,
    /// The mode of a new file when none is declared.
    pub new_mode: u32,
    /// Whether to bring back the present content.
    pub diff: bool,
}

impl Target {
    /// A target from the arguments `mode`, `owner` and `group`.
    ///
    /// # Errors
    ///
    /// See [`Attributes::new`].
    pub fn new(args: &Args, path: String, content: Content) -> Result<Self, Problem> {
        Ok(Self {
            path,
            content,
            attributes: Attributes::new(args)?,
            new_mode: 0o644,
            diff: args.local.diff(),
        })
    }
}

/// Where a file goes: `dest`, or into it under the name of its source when it ends in `/`.
///
/// # Errors
///
/// See [`path::check`].
pub fn destination(args: &Args, source: &str) -> Result<String, Problem> {
    let dest = path::one(args, "dest")?;
    if !dest.ends_with('/') {
        return Ok(dest);
    }
    match path::name(path::trim(source)) {
        "" | "." | ".." => Err(args.problem(
            "src",
            format!("`{source}` has no name to put into `{dest}`"),
        )),
        name => Ok(path::join(&dest, name)),
    }
}

impl Module for Target {
    fn probe(&self) -> Option<Script> {
        let mut text = format!("p={}\nrn_stat \"$p\" || exit 1\n", word(&self.path));
        text.push_str("[ ! -L \"$p\" ] || { [ ! -d \"$p\" ] || echo directory; exit 0; }\n");
        text.push_str("[ -f \"$p\" ] || exit 0\n");
        if let Content::Local { size, .. } = &self.content {
            // Reading a large file for nothing is slow.
            text.push_str(&format!(
                "[ $(wc -c <\"$p\") -eq {size} ] || {{ echo size; exit 0; }}\n"
            ));
        }
        let small = self.content.size() <= SMALL;
        text.push_str(match small {
            true => "rn_sum \"$p\" || exit $?\n",
            false => "rn_sum \"$p\" large || exit $?\n",
        });
        if self.diff && self.content.size() <= DIFF_LIMIT {
            text.push_str(&format!("head -c {} <\"$p\"\n", DIFF_LIMIT + 1));
        }
        let look = Look {
            path: self.path.clone(),
            follow: false,
            sum: small,
        };
        Some(Script::new(text).looking([look]))
    }

    fn settled(&self) -> Option<String> {
        if self.diff {
            return None;
        }
        let status = self.attributes.pattern("file")?;
        Some(format!("{status}'\n'{}", self.content.sum()))
    }

    fn changes(&self, found: &Found) -> Result<Changes, Failure> {
        answered(found, &self.path)?;
        let mut rest = found.stdout.as_slice();
        let status = state::state(&mut rest)?.status(&self.path)?;
        let sum = state::line(&mut rest).unwrap_or_default().into_owned();
        let kind = status.as_ref().map(|status| status.kind);
        if kind == Some(FileKind::Directory) || sum == "directory" {
            return Err(Failure::new(format!("{} is a directory", self.path))
                .help("write the name of the file behind it, or remove it first with `remove`"));
        }
        if kind == Some(FileKind::Other) {
            return Err(Failure::new(format!(
                "{} is {}",
                self.path,
                FileKind::Other.words()
            )));
        }
        let present = status.filter(|status| status.kind == FileKind::File);
        let mut because = match (&present, kind) {
            (Some(_), _) if sum == self.content.sum() => Vec::new(),
            (Some(_), _) => vec!["content differs".to_string()],
            (None, None) => vec!["new file".to_string()],
            (None, Some(kind)) => vec![format!("was {}", kind.words())],
        };
        let replace = !because.is_empty();
        if let Some(present) = &present {
            because.extend(self.attributes.differences(present));
        }
        let actions = if replace {
            self.install(present.as_ref())
        } else if because.is_empty() {
            return Ok(Changes::none());
        } else {
            vec![Action::Run(self.adjust(present.as_ref()))]
        };
        let diff = self
            .diff
            .then(|| self.difference(replace, present.as_ref(), rest));
        Ok(Changes {
            actions,
            because: because.join(", "),
            diff: diff.flatten(),
            ..Changes::default()
        })
    }

    fn result(&self, _: &Found, _: &[Done]) -> Result<Map<String, Value>, Failure> {
        Ok(Map::from_iter([
            ("path".to_string(), Value::from(self.path.clone())),
            ("checksum".to_string(), Value::from(self.content.sum())),
        ]))
    }
}

impl Target {
    fn install(&self, found: Option<&Status>) -> Vec<Action> {
        Install {
            path: &self.path,
            content: &self.content,
            attributes: &self.attributes,
            new_mode: self.new_mode,
            found,
            replaces: None,
        }
        .actions()
    }

    /// Only mode or owner.
    fn adjust(&self, found: Option<&Status>) -> Script {
        let mode = found.map(|found| found.mode);
        let commands = self.attributes.commands("\"$p\"", mode);
        Script::new(format!(
            "p={}\n{}\n",
            word(&self.path),
            commands.join(" && ")
        ))
    }

    fn difference(&self, replace: bool, found: Option<&Status>, before: &[u8]) -> Option<Diff> {
        if !replace {
            return None;
        }
        let size = found.map_or(0, |found| found.size);
        let before = match found {
            Some(_) if size > DIFF_LIMIT || self.content.size() > DIFF_LIMIT => large(size),
            _ => shown(before),
        };
        let after = match &self.content {
            Content::Bytes(bytes) if self.content.size() <= DIFF_LIMIT => shown(bytes),
            content => large(content.size()),
        };
        Some(Diff {
            name: self.path.clone(),
            before,
            after,
        })
    }
}

/// A content as text for a diff.
pub fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => text.to_string(),
        _ => format!("binary, {} bytes\n", bytes.len()),
    }
}

fn large(size: u64) -> String {
    format!("{size} bytes\n")
}
