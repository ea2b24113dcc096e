//! `directory`: a directory with its parents.

use super::files::state::{self, FileKind, Status};
use super::files::{Attributes, GROUP, MODE, OWNER, answered, path};
use super::{Arg, Args, Changes, Done, Failure, Found, Kind, Look, Module, Script, Spec};
use crate::diagnostic::Problem;
use serde_json::{Map, Value};

/// A directory with its parents.
pub static SPEC: Spec = Spec {
    name: "directory",
    summary: "A directory, with its parents",
    about: "Makes the directories that are missing, parents too, and sets mode, owner and group of those named when they differ. \
            Parents get 0755. A symbolic link to a directory counts as one. Anything else in the way is a failure.\n\n\
            Registers `paths`.",
    args: &[
        Arg {
            name: "path",
            kind: Kind::Strings,
            required: true,
            default: "",
            doc: "The directory or directories, as absolute paths.",
        },
        Arg {
            default: "kept; 0755 for a new directory",
            ..MODE
        },
        OWNER,
        GROUP,
    ],
    bare: "path",
    open: false,
    unseen: &[],
    example: r#"[[play.task]]
name = "data and log directories"
directory = { path = ["/tmp/zookeeper/data", "/tmp/zookeeper/logs"], mode = "0755" }
"#,
    build,
};

#[derive(Debug)]
struct Directory {
    paths: Vec<String>,
    attributes: Attributes,
}

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    let paths = path::many(args, "path")?;
    Ok(Box::new(Directory {
        paths: paths.iter().map(|path| path::trim(path).into()).collect(),
        attributes: Attributes::new(args)?,
    }))
}

impl Module for Directory {
    fn probe(&self) -> Option<Script> {
        // A link whose target is missing would look as if nothing were there.
        let mut text = String::from(
            "rn_look() { if [ -L \"$1\" ] && [ ! -e \"$1\" ]; then rn_stat \"$1\"; else rn_stat \"$1\" -L; fi; }\n",
        );
        for path in &self.paths {
            text.push_str(&format!("rn_look {} || exit 1\n", path::word(path)));
        }
        let look = |path: &String| Look {
            path: path.clone(),
            follow: true,
            sum: false,
        };
        Some(Script::new(text).looking(self.paths.iter().map(look)))
    }

    fn settled(&self) -> Option<String> {
        let status = self.attributes.pattern("directory")?;
        Some(vec![status; self.paths.len()].join("'\n'"))
    }

    fn changes(&self, found: &Found) -> Result<Changes, Failure> {
        answered(found, &self.paths[0])?;
        let mut rest = found.stdout.as_slice();
        let mut script = String::new();
        let mut because: Vec<String> = Vec::new();
        for path in &self.paths {
            match state::state(&mut rest)?.status(path)? {
                None => {
                    script.push_str(&self.create(path));
                    because.push(format!("new directory {path}"));
                }
                Some(status) if status.kind != FileKind::Directory => {
                    let what = match status.kind {
                        FileKind::Link => "a symbolic link to nothing",
                        kind => kind.words(),
                    };
                    return Err(Failure::new(format!("{path} is {what}, not a directory"))
                        .help("remove it first if it may go: see `remove`"));
                }
                Some(status) => {
                    let differences = self.attributes.differences(&status);
                    if !differences.is_empty() {
                        script.push_str(&self.adjust(path, &status));
                        because.push(self.reason(path, &differences));
                    }
                }
            }
        }
        if because.is_empty() {
            return Ok(Changes::none());
        }
        Ok(Changes::script(Script::new(script), because.join(", ")))
    }

    fn result(&self, _: &Found, _: &[Done]) -> Result<Map<String, Value>, Failure> {
        let paths = Value::from(self.paths.clone());
        Ok(Map::from_iter([("paths".to_string(), paths)]))
    }
}

impl Directory {
    /// Parents with 0755; the leaf private until it has its owner, then with its mode.
    fn create(&self, path: &str) -> String {
        let commands = self.attributes.commands("\"$p\"", Some(0o755));
        format!(
            "p={}\nd={}\n[ -d \"$d\" ] || ( umask 022; exec mkdir -p -- \"$d\" ) || exit 1\n\
             [ -d \"$p\" ] || ( umask 077; exec mkdir -- \"$p\" ) || exit 1\n{} || exit 1\n",
            path::word(path),
            path::word(path::parent(path)),
            commands.join(" && ")
        )
    }

    fn adjust(&self, path: &str, found: &Status) -> String {
        let commands = self.attributes.commands("\"$p\"", Some(found.mode));
        format!(
            "p={}\n{} || exit 1\n",
            path::word(path),
            commands.join(" && ")
        )
    }

    fn reason(&self, path: &str, differences: &[String]) -> String {
        let differences = differences.join(", ");
        match self.paths.len() {
            1 => differences,
            _ => format!("{path}: {differences}"),
        }
    }
}
