//! `file`: a file with this content.

use super::files::{Content, GROUP, MODE, OWNER, Target, path};
use super::{Arg, Args, Kind, Module, Spec};
use crate::diagnostic::Problem;

/// A file with this content.
pub static SPEC: Spec = Spec {
    name: "file",
    summary: "A file with this content",
    about: "Writes `content` to `path` when the SHA-256 differs, and sets mode, owner and group when they differ. \
            The new file takes the old one's place in one step, so a reader never sees half of it. \
            A symbolic link at `path` is replaced by the file, not followed. The directory must exist: see `directory`.\n\n\
            Registers `path` and `checksum`.",
    args: &[
        Arg {
            name: "path",
            kind: Kind::String,
            required: true,
            default: "",
            doc: "The file, as an absolute path.",
        },
        Arg {
            name: "content",
            kind: Kind::String,
            required: true,
            default: "",
            doc: "The whole content. A line break at the end is part of it.",
        },
        MODE,
        OWNER,
        GROUP,
    ],
    bare: "",
    open: false,
    unseen: &["content"],
    example: r#"[[play.task]]
name = "identity"
file = { path = "/tmp/zookeeper/data/myid", content = "1\n", mode = "0644" }
"#,
    build,
};

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    let path = path::file(args, "path")?;
    let content = Content::Bytes(args.string("content")?.into_bytes());
    Ok(Box::new(Target::new(args, path, content)?))
}
