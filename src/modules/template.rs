//! `template`: a file rendered from a template of this machine.

use super::files::target::destination;
use super::files::{Content, GROUP, MODE, OWNER, Target};
use super::{Arg, Args, Kind, Module, Spec};
use crate::diagnostic::Problem;

/// A file rendered from a template of this machine.
pub static SPEC: Spec = Spec {
    name: "template",
    summary: "A file rendered from a template on this machine",
    about: "Renders `src` with the host's variables and writes it to `dest` when the SHA-256 differs; the rest is as for `file`. \
            A name that is not defined in the template is an error before any connection.\n\n\
            Registers `path` and `checksum`.",
    args: &[
        Arg {
            name: "src",
            kind: Kind::String,
            required: true,
            default: "",
            doc: "The template, relative to the playbook or to `templates` beside it.",
        },
        Arg {
            name: "dest",
            kind: Kind::String,
            required: true,
            default: "",
            doc: "The file on the host, as an absolute path. Ending in `/`: into that directory, under the name of `src`.",
        },
        MODE,
        OWNER,
        GROUP,
    ],
    bare: "",
    open: false,
    unseen: &["src"],
    example: r#"[[play.task]]
name = "configuration"
template = { src = "templates/zookeeper.conf", dest = "/tmp/zookeeper.conf", mode = "0644" }
"#,
    build,
};

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    let source = args.string("src")?;
    let path = destination(args, &source)?;
    let text = args
        .local
        .template(&source)
        .map_err(|problem| problem.at(args.place("src")))?;
    let content = Content::Bytes(text.into_bytes());
    Ok(Box::new(Target::new(args, path, content)?))
}
