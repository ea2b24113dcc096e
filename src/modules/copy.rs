//! `copy`: a file of this machine, a directory with all that is in it, or a text.

use super::files::target::destination;
use super::files::tree::{Tree, entries};
use super::files::{Attributes, Content, GROUP, MODE, OWNER, Target, local, path};
use super::{Arg, Args, Kind, Module, Spec};
use crate::diagnostic::Problem;

/// A file of this machine, a directory with all that is in it, or a text.
pub static SPEC: Spec = Spec {
    name: "copy",
    summary: "A file or a directory of this machine, or a text, copied to the host",
    about: "Sends `src` to `dest` when the SHA-256 differs; the rest is as for `file`. With `content` in the place of `src` it is `file` \
            under the name that users of Ansible know. Of a directory only the files that \
            differ are sent; links stay links, empty directories are made, and what else is in `dest` stays there. \
            A new file gets 0755 if its source is executable, else 0644. A source that changes while it is read is an error.\n\n\
            Registers `path`, and `checksum` for a file.",
    args: &[
        Arg {
            name: "src",
            kind: Kind::String,
            required: false,
            default: "",
            doc: "The file or directory here, relative to the playbook or to `files` beside it.",
        },
        Arg {
            name: "content",
            kind: Kind::String,
            required: false,
            default: "",
            doc: "Or else the whole content of the file. A line break at the end is part of it.",
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
    unseen: &["src", "content"],
    example: r#"[[play.task]]
name = "the license"
copy = { src = "files/license.txt", dest = "/tmp/license.txt", mode = "0644" }

[[play.task]]
name = "who has set this up"
copy = { content = "set up by runner\n", dest = "/tmp/origin.txt" }
"#,
    build,
};

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    let source = match (args.string_opt("src")?, args.string_opt("content")?) {
        (Some(source), None) => source,
        (None, Some(content)) => return text(args, content),
        (Some(_), Some(_)) => {
            return Err(args.problem("content", "give either `src` or `content`, not both"));
        }
        (None, None) => {
            let problem = Problem::new("`copy` needs `src` or `content`");
            return Err(problem.at(args.node.place.clone()));
        }
    };
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
    no_directory(args)?;
    let content = local::content(&from).map_err(failed)?;
    let mut target = Target::new(args, dest, content)?;
    target.new_mode = local::mode(&from);
    Ok(Box::new(target))
}

/// A file with this content.
fn text(args: &Args, content: String) -> Result<Box<dyn Module>, Problem> {
    let dest = path::file(args, "dest")?;
    no_directory(args)?;
    let content = Content::Bytes(content.into_bytes());
    Ok(Box::new(Target::new(args, dest, content)?))
}

fn no_directory(args: &Args) -> Result<(), Problem> {
    match args.get("directory_mode") {
        Some(node) => {
            Err(Problem::new("`directory_mode` is for directories").at(node.place.clone()))
        }
        None => Ok(()),
    }
}
