//! `fetch`: a file of the host, copied to this machine.

use super::files::state::{self, FileKind};
use super::files::{answered, local, path};
use super::{Action, Arg, Args, Changes, Done, Failure, Found, Kind, Module, Script, Spec};
use crate::diagnostic::Problem;
use serde_json::{Map, Value};
use std::path::{Component, Path, PathBuf};

/// A file of the host, copied to this machine.
pub static SPEC: Spec = Spec {
    name: "fetch",
    summary: "A file of the host, copied to this machine",
    about: "Copies `src` of the host to `dest` here when the SHA-256 differs. Missing directories are made here. Several hosts \
            need several names: put `{{ inventory_hostname }}` into `dest`. A file that changes while it is fetched is an error, \
            and a `dest` with `..` behind a folder is refused (exit code 9).\n\n\
            Registers `dest` and `checksum`.",
    args: &[
        Arg {
            name: "src",
            kind: Kind::String,
            required: true,
            default: "",
            doc: "The file on the host, as an absolute path. A symbolic link is followed.",
        },
        Arg {
            name: "dest",
            kind: Kind::String,
            required: true,
            default: "",
            doc: "The file here; a relative one counts from the current directory. Ending in `/`: into that directory, under the \
                  name of `src`.",
        },
        Arg {
            name: "fail_on_missing",
            kind: Kind::Boolean,
            required: false,
            default: "true",
            doc: "Whether a file that the host does not have is a failure.",
        },
    ],
    bare: "",
    open: false,
    unseen: &["dest"],
    example: r#"[[play.task]]
name = "collect the configuration"
fetch = { src = "/etc/hosts", dest = "/tmp/collected/{{ inventory_hostname }}/" }
"#,
    build,
};

#[derive(Debug)]
struct Fetch {
    path: String,
    dest: PathBuf,
    /// The checksum of the file that is here.
    present: Option<String>,
    fail_on_missing: bool,
}

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    let path = path::file(args, "src")?;
    let name = path::name(&path);
    if matches!(name, "." | "..") {
        return Err(args.problem("src", format!("`{path}` names a directory, not a file")));
    }
    let dest = args.string("dest")?;
    if dest.is_empty() || dest.contains('\0') {
        return Err(args.problem("dest", "`dest` is empty or has a NUL"));
    }
    let dest = match dest.ends_with('/') {
        true => PathBuf::from(format!("{dest}{name}")),
        false => PathBuf::from(dest),
    };
    if leads_out(&dest) {
        let shown = dest.display();
        return Err(args
            .problem(
                "dest",
                format!(
                    "refusing to write `{shown}`: it leads out of the folder that it begins with"
                ),
            )
            .help("write the path that is meant; a name that came from a host can have `..` in it")
            .guard());
    }
    if dest.is_dir() {
        return Err(args
            .problem("dest", format!("{} is a directory", dest.display()))
            .help("end it with `/` to put the file into it"));
    }
    let present = match local::sum(&dest) {
        Ok(sum) => Some(sum),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => {
            let message = format!("cannot read {}: {error}", dest.display());
            return Err(args.problem("dest", message));
        }
    };
    Ok(Box::new(Fetch {
        path,
        dest,
        present,
        fail_on_missing: args.boolean("fail_on_missing", true)?,
    }))
}

/// Whether a path goes up again where it has gone down.
fn leads_out(path: &Path) -> bool {
    let up = |part: &Component| *part == Component::ParentDir;
    let mut rest = path.components().skip_while(up);
    rest.any(|part| up(&part))
}

impl Module for Fetch {
    fn probe(&self) -> Option<Script> {
        Some(Script::new(format!(
            "p={}\nrn_stat \"$p\" -L || exit 1\n[ ! -f \"$p\" ] || rn_sum \"$p\"\n",
            path::word(&self.path)
        )))
    }

    fn changes(&self, found: &Found) -> Result<Changes, Failure> {
        answered(found, &self.path)?;
        let mut rest = found.stdout.as_slice();
        let status = state::state(&mut rest)?.status(&self.path)?;
        let sum = checksum(rest);
        let because = match status.map(|status| status.kind) {
            None if self.fail_on_missing => {
                return Err(Failure::new(format!("{} does not exist", self.path))
                    .help("`fail_on_missing = false` lets the host have none"));
            }
            None => return Ok(Changes::none()),
            Some(FileKind::File) if self.present == sum => return Ok(Changes::none()),
            Some(FileKind::File) if self.present.is_some() => "content differs",
            Some(FileKind::File) => "new file",
            Some(kind) => {
                return Err(Failure::new(format!(
                    "{} is {}, not a file",
                    self.path,
                    kind.words()
                )));
            }
        };
        Ok(Changes {
            actions: vec![Action::Fetch {
                from: self.path.clone(),
                to: self.dest.clone(),
                sum: sum.unwrap_or_default(),
            }],
            because: because.into(),
            ..Changes::default()
        })
    }

    fn result(&self, found: &Found, _: &[Done]) -> Result<Map<String, Value>, Failure> {
        let mut rest = found.stdout.as_slice();
        state::line(&mut rest);
        let dest = self.dest.to_string_lossy().into_owned();
        Ok(Map::from_iter([
            ("dest".to_string(), Value::from(dest)),
            ("checksum".to_string(), Value::from(checksum(rest))),
        ]))
    }
}

fn checksum(mut rest: &[u8]) -> Option<String> {
    state::line(&mut rest).map(std::borrow::Cow::into_owned)
}
