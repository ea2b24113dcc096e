//! `link`: a symbolic link.

use super::files::install::{self, FUNCTIONS};
use super::files::state::{self, FileKind};
use super::files::{Attributes, answered, path};
use super::{Arg, Args, Changes, Done, Failure, Found, Kind, Look, Module, Script, Spec};
use crate::diagnostic::Problem;
use serde_json::{Map, Value};

/// A symbolic link.
pub static SPEC: Spec = Spec {
    name: "link",
    summary: "A symbolic link",
    about: "Makes `dest` a symbolic link to `src`. A link that leads elsewhere is replaced in one step; a file in the way \
            only with `force`, a directory never. What `src` names need not exist.\n\n\
            Registers `path` and `target`.",
    args: &[
        Arg {
            name: "src",
            kind: Kind::String,
            required: true,
            default: "",
            doc: "Where the link leads, as it is to stand in the link. A relative one counts from the link's directory.",
        },
        Arg {
            name: "dest",
            kind: Kind::String,
            required: true,
            default: "",
            doc: "The link, as an absolute path.",
        },
        Arg {
            name: "force",
            kind: Kind::Boolean,
            required: false,
            default: "false",
            doc: "Whether a file in the way is replaced.",
        },
    ],
    bare: "",
    open: false,
    unseen: &[],
    example: r#"[[play.task]]
name = "current release"
link = { src = "/opt/pulsar-3.1.0", dest = "/tmp/pulsar" }
"#,
    build,
};

#[derive(Debug)]
struct Link {
    target: String,
    path: String,
    force: bool,
}

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    let target = args.string("src")?;
    if target.is_empty() || target.contains('\0') {
        return Err(args.problem(
            "src",
            "a link cannot lead to an empty path or one with a NUL",
        ));
    }
    Ok(Box::new(Link {
        target,
        path: path::file(args, "dest")?,
        force: args.boolean("force", false)?,
    }))
}

impl Module for Link {
    fn probe(&self) -> Option<Script> {
        let look = Look {
            path: self.path.clone(),
            ..Look::default()
        };
        let script = Script::new(format!(
            "p={}\nrn_stat \"$p\" || exit 1\nif [ -L \"$p\" ]; then readlink -- \"$p\"; fi\n",
            path::word(&self.path)
        ));
        Some(script.looking([look]))
    }

    fn settled(&self) -> Option<String> {
        let status = Attributes::default().pattern("link")?;
        Some(format!("{status}'\n'{}", crate::shell::quote(&self.target)))
    }

    fn changes(&self, found: &Found) -> Result<Changes, Failure> {
        answered(found, &self.path)?;
        let mut rest = found.stdout.as_slice();
        let status = state::state(&mut rest)?.status(&self.path)?;
        let because = match status.map(|status| status.kind) {
            None => "new link".to_string(),
            Some(FileKind::Link) => {
                let target = rest.strip_suffix(b"\n").unwrap_or(rest);
                if target == self.target.as_bytes() {
                    return Ok(Changes::none());
                }
                let target = String::from_utf8_lossy(target);
                format!("target {target} -> {}", self.target)
            }
            Some(FileKind::Directory) => {
                return Err(Failure::new(format!("{} is a directory", self.path))
                    .help("remove it first if it may go: see `remove`"));
            }
            Some(kind) if self.force => format!("was {}", kind.words()),
            Some(kind) => {
                return Err(Failure::new(format!("{} is {}", self.path, kind.words()))
                    .help("`force = true` replaces it by the link"));
            }
        };
        let script = format!("{FUNCTIONS}{}", install::link(&self.path, &self.target));
        Ok(Changes::script(Script::new(script), because))
    }

    fn result(&self, _: &Found, _: &[Done]) -> Result<Map<String, Value>, Failure> {
        Ok(Map::from_iter([
            ("path".to_string(), Value::from(self.path.clone())),
            ("target".to_string(), Value::from(self.target.clone())),
        ]))
    }
}
