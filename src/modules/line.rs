//! `line`: a line in a file, there or not there.

use super::files::state::{self, FileKind, Status};
use super::files::target::shown;
use super::files::{Attributes, Content, GROUP, Install, MODE, OWNER, answered, path, path::hex};
use super::{Action, Arg, Args, Changes, Diff, Done, Failure, Found, Kind, Module, Script, Spec};
use crate::diagnostic::Problem;
use regex::bytes::Regex;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// A line in a file, there or not there.
pub static SPEC: Spec = Spec {
    name: "line",
    summary: "A line in a file, there or not there",
    about: "Present: if `regexp` matches lines, the last of them becomes `line`; else `line` is added after the last line that \
            matches `insert_after`, or at the end, unless it is there already. Absent: every line that matches `regexp`, or else \
            equals `line`, goes. The file is replaced in one step, and only if nobody changed it meanwhile. Files up to 1 MiB; \
            a symbolic link is refused: name the file behind it.\n\n\
            Patterns are regular expressions as in Rust's `regex`: `^`, `$`, `.`, `*`, `+`, `?`, `|`, `[...]`, `(...)` mean what \
            they mean in `grep -E`; backreferences and look-around are not there.\n\n\
            Registers `path`.",
    args: &[
        Arg {
            name: "path",
            kind: Kind::String,
            required: true,
            default: "",
            doc: "The file, as an absolute path.",
        },
        Arg {
            name: "line",
            kind: Kind::String,
            required: false,
            default: "",
            doc: "The line, without a line break.",
        },
        Arg {
            name: "regexp",
            kind: Kind::String,
            required: false,
            default: "",
            doc: "Which line is meant: to be replaced, or to go.",
        },
        Arg {
            name: "state",
            kind: Kind::Choice(&["present", "absent"]),
            required: false,
            default: "present",
            doc: "Whether the line shall be there.",
        },
        Arg {
            name: "insert_after",
            kind: Kind::String,
            required: false,
            default: "the end of the file",
            doc: "After the last line that matches this, if the line has to be added.",
        },
        Arg {
            name: "create",
            kind: Kind::Boolean,
            required: false,
            default: "false",
            doc: "Whether a missing file is made.",
        },
        MODE,
        OWNER,
        GROUP,
    ],
    bare: "",
    open: false,
    unseen: &["line", "regexp", "insert_after"],
    example: r#"[[play.task]]
name = "more open files"
line = { path = "/tmp/limits.conf", regexp = "^dcos +soft +nofile", line = "dcos soft nofile 100000", create = true }
"#,
    build,
};

/// Larger files are not edited, in bytes.
const LIMIT: u64 = 1024 * 1024;

#[derive(Debug)]
struct Line {
    path: String,
    edit: Edit,
    create: bool,
    attributes: Attributes,
    diff: bool,
}

/// What is to happen to the lines.
#[derive(Debug)]
enum Edit {
    /// Have this line.
    Present {
        line: Vec<u8>,
        regexp: Option<Regex>,
        after: Option<Regex>,
    },
    /// Have no line that equals this.
    AbsentLine(Vec<u8>),
    /// Have no line that matches this.
    AbsentMatch(Regex),
}

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    let pattern = |key: &str| -> Result<Option<Regex>, Problem> {
        args.string_opt(key)?
            .map(|text| {
                Regex::new(&text).map_err(|error| {
                    let error = error.to_string();
                    let cause = error.lines().last().unwrap_or_default();
                    let cause = cause.trim_start_matches("error: ");
                    args.problem(
                        key,
                        format!("`{text}` is not a regular expression: {cause}"),
                    )
                })
            })
            .transpose()
    };
    let (line, regexp, after) = (
        args.string_opt("line")?,
        pattern("regexp")?,
        pattern("insert_after")?,
    );
    if line.as_ref().is_some_and(|line| line.contains('\n')) {
        return Err(args
            .problem("line", "`line` has a line break in it")
            .help("use one task for each line, or `file` for the whole file"));
    }
    let absent = args.string_opt("state")?.as_deref() == Some("absent");
    let edit = match (absent, line, regexp) {
        (true, _, Some(regexp)) => Edit::AbsentMatch(regexp),
        (true, Some(line), None) => Edit::AbsentLine(line.into_bytes()),
        (false, Some(line), regexp) => Edit::Present {
            line: line.into_bytes(),
            regexp,
            after,
        },
        (true, None, None) => {
            return Err(args.problem("state", "`line` needs `line` or `regexp` to know what goes"));
        }
        (false, None, _) => {
            return Err(args.problem("state", "`line` needs `line`: the line that shall be there"));
        }
    };
    Ok(Box::new(Line {
        path: path::file(args, "path")?,
        edit,
        create: args.boolean("create", false)?,
        attributes: Attributes::new(args)?,
        diff: args.local.diff(),
    }))
}

impl Edit {
    /// The new content and what happened in words; `None` if the content is as wanted.
    fn apply(&self, content: &[u8]) -> Option<(Vec<u8>, &'static str)> {
        let mut lines: Vec<&[u8]> = content.split(|&byte| byte == b'\n').collect();
        // What follows the last line break is a line only if there is something.
        let ended = lines.last().is_some_and(|last| last.is_empty());
        if ended {
            lines.pop();
        }
        let why = match self {
            Edit::Present {
                line,
                regexp,
                after,
            } => {
                let last = |regexp: &Option<Regex>| {
                    let regexp = regexp.as_ref()?;
                    lines.iter().rposition(|line| regexp.is_match(line))
                };
                match last(regexp) {
                    Some(at) if lines[at] == line.as_slice() => return None,
                    Some(at) => {
                        lines[at] = line;
                        "line replaced"
                    }
                    None if lines.contains(&line.as_slice()) => return None,
                    None => {
                        let at = last(after).map_or(lines.len(), |at| at + 1);
                        // A last line without its break gets one when another follows.
                        let end = at == lines.len();
                        lines.insert(at, line);
                        return Some((joined(&lines, ended || end), "line added"));
                    }
                }
            }
            Edit::AbsentLine(line) => {
                let before = lines.len();
                lines.retain(|known| *known != line.as_slice());
                if lines.len() == before {
                    return None;
                }
                "line removed"
            }
            Edit::AbsentMatch(regexp) => {
                let before = lines.len();
                lines.retain(|line| !regexp.is_match(line));
                if lines.len() == before {
                    return None;
                }
                "line removed"
            }
        };
        Some((joined(&lines, ended), why))
    }
}

fn joined(lines: &[&[u8]], ended: bool) -> Vec<u8> {
    let mut content = lines.join(&b'\n');
    if ended && !lines.is_empty() {
        content.push(b'\n');
    }
    content
}

impl Module for Line {
    fn probe(&self) -> Option<Script> {
        Some(Script::new(format!(
            "p={}\nrn_stat \"$p\" || exit 1\nif [ -f \"$p\" ] && [ ! -L \"$p\" ]; then\n  \
             if [ $(wc -c <\"$p\") -gt {LIMIT} ]; then echo large; else echo content && cat <\"$p\"; fi\nfi\n",
            path::word(&self.path)
        )))
    }

    fn changes(&self, found: &Found) -> Result<Changes, Failure> {
        answered(found, &self.path)?;
        let mut rest = found.stdout.as_slice();
        let status = state::state(&mut rest)?.status(&self.path)?;
        match status.as_ref().map(|status| status.kind) {
            None => return self.missing(),
            Some(FileKind::File) => {}
            Some(kind) => {
                let failure =
                    Failure::new(format!("{} is {}, not a file", self.path, kind.words()));
                return Err(match kind {
                    FileKind::Link => failure.help("name the file that it leads to"),
                    _ => failure,
                });
            }
        }
        if state::line(&mut rest).as_deref() == Some("large") {
            return Err(Failure::new(format!(
                "{} is larger than 1 MiB, too large to edit a line",
                self.path
            )));
        }
        let edited = self.edit.apply(rest);
        let mut because: Vec<String> = edited.iter().map(|(_, why)| why.to_string()).collect();
        let differences = status
            .as_ref()
            .map(|status| self.attributes.differences(status));
        because.extend(differences.unwrap_or_default());
        let changes = match edited {
            Some((content, _)) => self.write(content, Some(rest), status.as_ref()),
            None if because.is_empty() => return Ok(Changes::none()),
            None => {
                let mode = status.map(|status| status.mode);
                let commands = self.attributes.commands("\"$p\"", mode).join(" && ");
                let script = format!("p={}\n{commands}\n", path::word(&self.path));
                Changes::script(Script::new(script), "")
            }
        };
        Ok(Changes {
            because: because.join(", "),
            ..changes
        })
    }

    fn result(&self, _: &Found, _: &[Done]) -> Result<Map<String, Value>, Failure> {
        let path = Value::from(self.path.clone());
        Ok(Map::from_iter([("path".to_string(), path)]))
    }
}

impl Line {
    fn missing(&self) -> Result<Changes, Failure> {
        if !matches!(self.edit, Edit::Present { .. }) {
            return Ok(Changes::none());
        }
        if !self.create {
            return Err(Failure::new(format!("{} does not exist", self.path))
                .help("`create = true` makes it"));
        }
        let (content, _) = self.edit.apply(b"").unwrap_or_default();
        Ok(Changes {
            because: "new file".into(),
            ..self.write(content, None, None)
        })
    }

    fn write(&self, content: Vec<u8>, before: Option<&[u8]>, found: Option<&Status>) -> Changes {
        let diff = self.diff.then(|| Diff {
            name: self.path.clone(),
            before: shown(before.unwrap_or_default()),
            after: shown(&content),
        });
        let content = Content::Bytes(content);
        let replaces = before.map(|before| hex(&Sha256::digest(before)));
        let actions: Vec<Action> = Install {
            path: &self.path,
            content: &content,
            attributes: &self.attributes,
            new_mode: 0o644,
            found,
            replaces: replaces.as_deref(),
        }
        .actions();
        Changes {
            actions,
            diff,
            ..Changes::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn present(regexp: Option<&str>, after: Option<&str>) -> Edit {
        let regex = |text: &str| Regex::new(text).unwrap();
        Edit::Present {
            line: b"k=2".to_vec(),
            regexp: regexp.map(regex),
            after: after.map(regex),
        }
    }

    #[test]
    fn a_line_is_added_replaced_or_left() {
        type Case<'a> = (Option<&'a str>, Option<&'a str>, &'a str, Option<&'a str>);
        let cases: &[Case<'_>] = &[
            (None, None, "", Some("k=2\n")),
            (None, None, "a", Some("a\nk=2\n")),
            (None, None, "a\n", Some("a\nk=2\n")),
            (None, None, "k=2", None),
            (None, None, "\n", Some("\nk=2\n")),
            (Some("^k="), None, "k=1\nb\nk=0\nc", Some("k=1\nb\nk=2\nc")),
            (Some("^k="), None, "k=1\nk=2\n", None),
            (Some("^x="), None, "k=2\n", None),
            (None, Some("^a"), "a\nb", Some("a\nk=2\nb")),
            (None, Some("^b"), "a\nb", Some("a\nb\nk=2\n")),
            (None, Some("^z"), "a\nb\n", Some("a\nb\nk=2\n")),
        ];
        for (regexp, after, before, wanted) in cases {
            let edited = present(*regexp, *after).apply(before.as_bytes());
            let edited = edited.map(|(content, _)| String::from_utf8(content).unwrap());
            assert_eq!(
                edited.as_deref(),
                *wanted,
                "{regexp:?} {after:?} {before:?}"
            );
            if let Some(content) = edited {
                assert_eq!(present(*regexp, *after).apply(content.as_bytes()), None);
            }
        }
    }

    #[test]
    fn lines_go() {
        let edit = Edit::AbsentMatch(Regex::new("^k").unwrap());
        assert_eq!(edit.apply(b"k1\na\nk2").unwrap().0, b"a");
        assert_eq!(edit.apply(b"k1\n").unwrap().0, b"");
        assert_eq!(edit.apply(b"a\n"), None);
        let edit = Edit::AbsentLine(b"\xff".to_vec());
        assert_eq!(edit.apply(b"\xff\n\xff\xff\n").unwrap().0, b"\xff\xff\n");
    }
}
