//! `copy`: a file of this machine, or a directory with all that is in it.

use super::files::target::destination;
use super::files::tree::{Tree, entries};
use super::files::{Attributes, GROUP, MODE, OWNER, Target, local, path};
use super::{Arg, Args, Kind, Module, Spec};
use crate::diagnostic::Problem;

/// A file of this machine, or a directory with all that is in it.
pub static SPEC: Spec = Spec {
    name: "copy",
    summary: "A file or a directory of this machine, copied to the host",
    about: "Sends `src` to `dest` when the SHA-256 differs; the rest is as for `file`. Of a directory only the files that \
            differ are sent; links stay links, empty directories are made, and what else is in `dest` stays there. \
            A new file gets 0755 if its source is executable, else 0644. A source that changes while it is read is an error.\n\n\
            Registers `path`, and `checksum` for a file.",
    args: &[
        Arg {
            name: "src",
            kind: Kind::String,
            required: true,
            default: "",
            doc: "The file or directory here, relative to the playbook or to `files` beside it.",
        },
        Arg {
            name: "dest",
            kind: Kind::String,
            required: true,
            default: "",
            doc: "Where it goes, as an absolute path. Ending in `/`: into that directory, under the name of `src`.",
        },
        Arg {
            doc: "The permissions of files.",
            default: "kept; 0644 or 0755 for a new file",
            ..MODE
        },
        Arg {
            name: "directory_mode",
            kind: Kind::Mode,
            required: false,
            default: "kept; 0755 for a new directory",
            doc: "The permissions of the directories in a tree.",
        },
        OWNER,
        GROUP,
    ],
    bare: "",
    open: false,
    unseen: &["src"],
    example: r#"[[play.task]]
name = "the license"
copy = { src = "files/license.txt", dest = "/tmp/license.txt", mode = "0644" }
"#,
    build,
};

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    let source = args.string("src")?;
    let dest = destination(args, &source)?;
    let failed = |message: String| args.problem("src", message);
    let from = args.local.find(&source, "files").map_err(failed)?;
    if from.is_dir() {
        return Ok(Box::new(Tree {
            dest: path::trim(&dest).to_string(),
            entries: entries(&from).map_err(failed)?,
            files: Attributes::new(args)?,
            directories: Attributes {
                mode: args.mode_opt("directory_mode")?,
                ..Attributes::new(args)?
            },
            diff: args.local.diff(),
        }));
    }
    if let Some(node) = args.get("directory_mode") {
        return Err(Problem::new("`directory_mode` is for directories").at(node.place.clone()));
    }
    let content = local::content(&from).map_err(failed)?;
    let mut target = Target::new(args, dest, content)?;
    target.new_mode = local::mode(&from);
    Ok(Box::new(target))
}
