//! `shell`: a text run by a shell on the host.

use super::run::{self, Setting};
use super::shell::quote;
use super::{Arg, Args, Changes, Failure, Found, Kind, Module, Script, Spec};
use crate::diagnostic::Problem;

/// The task type.
pub static SPEC: Spec = Spec {
    name: "shell",
    summary: "Run a text in a shell",
    about: "Runs a text by `sh -c`, with pipes, redirections and variables of the host. Values that stand in the \
        text through `{{ }}` are seen by the shell too: quote them, or use `command`.\n\n\
        Counts as changed, is skipped under `--check` and takes `creates`, `removes` and `unless` like `command`. \
        The exit code is that of the text's last command; begin with `set -e` to stop at the first that fails.\n\n\
        Registered: `rc`, `stdout`, `stderr`.",
    args: &[
        Arg::new("cmd", Kind::String, "The text.").required(),
        Arg::new(
            "executable",
            Kind::String,
            "The shell that runs it, such as `bash`.",
        )
        .default("sh"),
        run::CREATES,
        run::REMOVES,
        run::UNLESS,
        run::CHDIR,
        run::STDIN,
    ],
    bare: "cmd",
    open: false,
    example: r#"[[play.task]]
name = "the fullest file system"
shell = "df -P | sort -k5 -n | tail -1"

[[play.task]]
name = "count the lines of each log"
shell = { cmd = "for log in *.log; do wc -l \"$log\"; done", chdir = "/var/log", executable = "bash" }
"#,
    build,
};

#[derive(Debug)]
struct Shell {
    text: String,
    executable: String,
    setting: Setting,
}

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    let text = args.string("cmd")?;
    if text.trim().is_empty() {
        return Err(args.problem("cmd", "the command is empty"));
    }
    Ok(Box::new(Shell {
        text,
        executable: args
            .string_opt("executable")?
            .unwrap_or_else(|| "sh".into()),
        setting: Setting::new(args)?,
    }))
}

impl Module for Shell {
    fn probe(&self) -> Option<Script> {
        self.setting.probe()
    }

    fn settled(&self) -> Option<String> {
        self.setting.settled()
    }

    fn command(&self) -> Option<String> {
        Some(self.text.clone())
    }

    fn changes(&self, found: &Found) -> Result<Changes, Failure> {
        let script = Script::new(format!(
            "{}{}exec {} -c {}",
            self.setting.enter("exit 1"),
            self.setting.feed(),
            quote(&self.executable),
            quote(&self.text),
        ));
        self.setting.changes(found, script)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{action, build, probe, run};

    fn output(task: &str) -> (i32, String) {
        let module = build(task).unwrap();
        let done = run(&action(module.as_ref(), &probe(module.as_ref())).unwrap());
        (done.code, done.stdout())
    }

    #[test]
    fn the_text_is_a_shells() {
        assert_eq!(
            output(r#"shell = "printf '%s\\n' b a | sort | tail -1; exit 4""#),
            (4, "b\n".into())
        );
        assert_eq!(
            output(r#"shell = { cmd = 'read a; echo "<$a>"', stdin = "it's\n" }"#),
            (0, "<it's>\n".into())
        );
    }

    #[test]
    fn another_shell_can_be_chosen() {
        let task = r#"shell = { cmd = 'a=(x y); echo "${a[1]}"', executable = "bash" }"#;
        assert_eq!(output(task), (0, "y\n".into()));
    }

    #[test]
    fn an_empty_text_is_refused() {
        let problem = build("shell = ' '").unwrap_err();
        assert!(
            problem.starts_with("error: the command is empty\n"),
            "{problem}"
        );
    }
}
