//! `script`: a file of this machine, run on the host.

use super::run::{self, Setting};
use super::shell::{INLINE_LIMIT, join, print_bytes, quote};
use super::{Arg, Args, Changes, Failure, Found, Kind, Module, Script as Text, Spec};
use crate::diagnostic::Problem;

/// The task type.
pub static SPEC: Spec = Spec {
    name: "script",
    summary: "Run a script of this machine on the host",
    about: "Sends a script from this machine (as given, or in the playbook's `files/`) and runs it with the \
        interpreter that its `#!` line names, or with `sh`. It lies in a private temporary file while it runs, \
        which is removed when it ends, also when it is interrupted. The interpreter is called by name, so a \
        temporary folder mounted `noexec` does no harm.\n\n\
        Counts as changed, is skipped under `--check` and takes `creates`, `removes` and `unless` like `command`. \
        Scripts up to 64 KiB; send larger ones with `copy` and run them with `command`.\n\n\
        Registered: `rc`, `stdout`, `stderr`.",
    args: &[
        Arg::new("src", Kind::String, "The script on this machine.").required(),
        Arg::new("args", Kind::Strings, "Its arguments."),
        run::CREATES,
        run::REMOVES,
        run::UNLESS,
        run::CHDIR,
        run::STDIN,
    ],
    bare: "src",
    open: false,
    unseen: &[
        "src", "args", "creates", "removes", "unless", "chdir", "stdin",
    ],
    example: r#"[[play.task]]
name = "check the disk"
script = { src = "check-disk.sh", args = ["/mnt/data", "10"] }
"#,
    build,
};

#[derive(Debug)]
struct Script {
    name: String,
    content: Vec<u8>,
    interpreter: Vec<String>,
    args: Vec<String>,
    setting: Setting,
}

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    let src = args.string("src")?;
    let path = args
        .local
        .find(&src, "files")
        .map_err(|message| args.problem("src", message))?;
    let content = std::fs::read(&path)
        .map_err(|error| args.problem("src", format!("cannot read {}: {error}", path.display())))?;
    if content.len() > INLINE_LIMIT {
        return Err(args
            .problem("src", format!("{src} is larger than 64 KiB"))
            .help("send it with `copy` and run it with `command`"));
    }
    let interpreter = interpreter(&content).map_err(|message| args.problem("src", message))?;
    Ok(Box::new(Script {
        name: path.file_name().map_or_else(
            || "script".into(),
            |name| name.to_string_lossy().into_owned(),
        ),
        content,
        interpreter,
        args: args.strings("args")?,
        setting: Setting::new(args)?,
    }))
}

/// The words before the file: what the kernel would make of the first line. Empty for a program.
fn interpreter(content: &[u8]) -> Result<Vec<String>, String> {
    if content.starts_with(b"\x7fELF") {
        return Ok(Vec::new());
    }
    let Some(rest) = content.strip_prefix(b"#!") else {
        return Ok(vec!["sh".into()]);
    };
    let line = rest.split(|&byte| byte == b'\n').next().unwrap_or(rest);
    let line = std::str::from_utf8(line).map_err(|_| "the script's first line is not UTF-8")?;
    if line.ends_with('\r') {
        return Err(
            "the script has Windows line ends, which no interpreter's name survives".into(),
        );
    }
    // All that follows the interpreter is one argument, blanks included.
    let line = line.trim_matches([' ', '\t']);
    let (program, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    if program.is_empty() {
        return Err("the script's first line names no interpreter".into());
    }
    Ok([program, argument.trim_matches([' ', '\t'])]
        .into_iter()
        .filter(|word| !word.is_empty())
        .map(str::to_string)
        .collect())
}

impl Module for Script {
    fn probe(&self) -> Option<Text> {
        self.setting.probe()
    }

    fn settled(&self) -> Option<String> {
        self.setting.settled()
    }

    fn command(&self) -> Option<String> {
        Some(join(std::iter::once(&self.name).chain(&self.args)))
    }

    fn changes(&self, found: &Found) -> Result<Changes, Failure> {
        let file = format!("\"$rn_dir\"/{}", quote(&self.name));
        let text = format!(
            "rn_dir=$(mktemp -d \"${{TMPDIR:-/tmp}}/runner.XXXXXX\") || exit\n\
             trap 'rm -rf \"$rn_dir\"' EXIT\n\
             trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM; trap 'exit 141' PIPE\n\
             {} >{file} && chmod 0700 {file} || exit\n\
             {}{}{} {file} {}\n\
             exit $?",
            print_bytes(&self.content),
            self.setting.enter("exit 1"),
            self.setting.feed(),
            join(&self.interpreter),
            join(&self.args),
        );
        self.setting.changes(found, Text::new(text))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{action, build_in, probe, run_with};
    use super::interpreter;

    #[test]
    fn the_script_runs_with_its_interpreter_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let tmp = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("files")).unwrap();
        std::fs::write(
            folder.path().join("files/it's.sh"),
            "#!/usr/bin/env bash\na=(\"$@\")\nread line\necho \"$line ${#a[@]} ${a[0]} ${0##*/}\"\nls -ld \"${0%/*}\" | cut -c1-10\nexit 6",
        )
        .unwrap();
        let module = build_in(
            folder.path(),
            r#"script = { src = "it's.sh", args = ["a b", ""], stdin = "in\n" }"#,
        )
        .unwrap();
        let script = action(module.as_ref(), &probe(module.as_ref())).unwrap();
        let done = run_with(&script, &[("TMPDIR", tmp.path().to_str().unwrap())]);
        assert_eq!(done.stdout(), "in 2 a b it's.sh\ndrwx------\n");
        assert_eq!(done.code, 6);
        assert_eq!(std::fs::read_dir(tmp.path()).unwrap().count(), 0);
    }

    #[test]
    fn any_bytes_arrive() {
        let folder = tempfile::tempdir().unwrap();
        let mut content = b"#!/bin/cat\n".to_vec();
        content.extend(0..=255u8);
        std::fs::write(folder.path().join("bytes"), &content).unwrap();
        let module = build_in(folder.path(), "script = 'bytes'").unwrap();
        let script = action(module.as_ref(), &probe(module.as_ref())).unwrap();
        for shell in super::super::testing::SHELLS {
            let done = super::super::testing::run_in(shell, &script, &[]);
            assert_eq!(done.stdout, content, "{shell:?}");
        }
    }

    #[test]
    fn the_first_line_is_read_as_the_kernel_does() {
        assert_eq!(interpreter(b"echo").unwrap(), ["sh"]);
        assert_eq!(
            interpreter(b"#! /bin/sh -e -u \nx").unwrap(),
            ["/bin/sh", "-e -u"]
        );
        assert_eq!(interpreter(b"\x7fELF\x02").unwrap(), [""; 0]);
        assert_eq!(
            interpreter(b"#!/bin/sh\r\n").unwrap_err(),
            "the script has Windows line ends, which no interpreter's name survives"
        );
        assert_eq!(
            interpreter(b"#!\n").unwrap_err(),
            "the script's first line names no interpreter"
        );
    }

    #[test]
    fn a_missing_script_is_a_problem_before_any_connection() {
        let folder = tempfile::tempdir().unwrap();
        let problem = build_in(folder.path(), "script = 'gone.sh'").unwrap_err();
        assert!(
            problem.starts_with("error: no such file: gone.sh\n"),
            "{problem}"
        );
    }
}
