//! `shell`: a text run by a shell on the host.

use super::run::{self, Setting};
use super::shell::Unseen;
use super::{Arg, Args, Changes, Failure, Found, Kind, Module, Script, Spec};
use crate::diagnostic::Problem;

/// The task type.
pub static SPEC: Spec = Spec {
    name: "shell",
    summary: "Run a text in a shell",
    about: "Runs a text by `sh -c`, with pipes, redirections and variables of the host. Values that stand in the \
        text through `{{ }}` are seen by the shell too: quote them, or use `command`. Everyone on the host can read the \
        text in the list of processes while it runs, unless it holds a secret or the task has `no_log`: then the shell reads \
        it from its standard input, where `stdin` follows it.\n\n\
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
    unseen: &["cmd", "creates", "removes", "unless", "chdir", "stdin"],
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
    hidden: bool,
    setting: Setting,
}

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    let text = args.string("cmd")?;
    if text.trim().is_empty() {
        return Err(args.problem("cmd", "the command is empty"));
    }
    let executable = args
        .string_opt("executable")?
        .unwrap_or_else(|| "sh".into());
    Ok(Box::new(Shell {
        hidden: Unseen::takes(&executable) && args.local.hides(&text),
        text,
        executable,
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

    fn visible(&self) -> Option<String> {
        self.command().filter(|_| !self.hidden)
    }

    fn changes(&self, found: &Found) -> Result<Changes, Failure> {
        let script = Script::new(format!(
            "{}{}",
            self.setting.enter("exit 1"),
            self.setting
                .shell(&self.executable, &self.text, self.hidden),
        ));
        self.setting.changes(found, script)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Done;
    use super::super::testing::{SHELLS, action, build, build_hiding, probe, run, run_in};

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

    /// What comes of a text in every shell, run by every shell, as it is and hidden.
    fn both(text: &str, stdin: &str, check: impl Fn(&str, &Done, &Done)) {
        let folder = tempfile::tempdir().unwrap();
        let busybox = folder.path().join("sh");
        std::os::unix::fs::symlink("/bin/busybox", &busybox).unwrap();
        for executable in ["dash", "bash", busybox.to_str().unwrap()] {
            let text = serde_json::to_string(text)
                .unwrap()
                .replace('\u{7f}', "\\u007f");
            let task = format!("shell = {{ cmd = {text}, executable = '{executable}'{stdin} }}");
            let plain = build(&task).unwrap();
            let hidden = build_hiding(&task).unwrap();
            for shell in SHELLS {
                let run = |module: &dyn super::Module| {
                    run_in(shell, &action(module, &probe(module)).unwrap(), &[])
                };
                check(executable, &run(&*plain), &run(&*hidden));
            }
        }
    }

    #[test]
    fn a_hidden_text_does_the_same() {
        let all: String = ('\u{1}'..'\u{900}').chain("€🦀\u{fffd}".chars()).collect();
        let all = format!("printf %s {}", crate::shell::quote(&all));
        for text in [
            "echo one",
            "\n\n# only looks\n  echo \"$0 $# $-\" | cut -d' ' -f2\n\n",
            "echo ${rn_n-none} ${rn_t-none} ${rn_s-none} ${rn_l-none}; set | grep -c rn_ ; env | grep rn_",
            "printf '%s|' 'a\\' \"b\\\\c\" d\\e\nprintf 1\\",
            "cat <<X\n  two\n\n$((1 + 1)) `echo three`\nX\ncat",
            "cat; IFS=: read -r a b; echo \"$a/$b/$?\"",
            "read -r a; echo \"<$a>\"; cat",
            "set -e; echo before; false; echo never",
            "f() { return 3; }; f || echo $?; f",
            "trap 'echo bye' EXIT; exit 7",
            "exec sh -c 'exit 9'",
            "kill -9 $$; sleep 5",
            "kill -TERM $$; sleep 5",
            "true &&\nfalse",
            "[ $$ = \"$(sh -c 'echo $PPID')\" ] && echo mine",
            "echo first\nif then",
            &all,
        ] {
            for stdin in ["", ", stdin = \"it's: one\\nline\\n\"", ", stdin = 'x'"] {
                both(text, stdin, |shell, plain, hidden| {
                    let what = |done: &Done| (done.code, done.stdout());
                    assert_eq!(what(hidden), what(plain), "{shell} {text:?} {stdin}");
                });
            }
        }
    }

    #[test]
    fn a_mistake_in_a_hidden_text_is_told_with_its_line() {
        both("echo a\necho b; fi\n", "", |shell, _, done| {
            let said = String::from_utf8_lossy(&done.stderr);
            assert!(
                said.to_lowercase().contains("syntax error"),
                "{shell} {said}"
            );
            assert!(shell != "bash" || said.contains("line 2"), "{shell} {said}");
            assert_ne!(done.code, 0, "{shell}");
        });
    }

    /// A text that is cut off on its way could do something else.
    #[test]
    fn half_a_hidden_text_is_not_run() {
        let unseen = super::Unseen::new("echo one\necho two", None);
        for feed in ["", "echo echo one"] {
            let text = format!(
                "{{ :; {feed}\n}} | sh -c {}; echo $?",
                crate::shell::quote(&unseen.script)
            );
            assert_eq!(run(&super::Script::new(text)).stdout(), "1\n", "{feed}");
        }
    }

    #[test]
    fn a_secret_is_hidden_where_the_shell_can_do_it() {
        let seen = |task: &str| {
            let module = build(task).unwrap();
            assert_eq!(module.command().as_deref(), Some("echo s3cr3t"));
            module.visible()
        };
        assert_eq!(seen("shell = 'echo s3cr3t'"), None);
        for shell in ["/bin/bash", "zsh", "/usr/bin/mksh"] {
            assert_eq!(
                seen(&format!(
                    "shell = {{ cmd = 'echo s3cr3t', executable = '{shell}' }}"
                )),
                None
            );
        }
        for other in ["python3", "/usr/bin/fish", "csh"] {
            let task = format!("shell = {{ cmd = 'echo s3cr3t', executable = '{other}' }}");
            assert_eq!(seen(&task).as_deref(), Some("echo s3cr3t"));
        }
        let module = build("shell = 'echo one'").unwrap();
        assert_eq!(module.visible().as_deref(), Some("echo one"));
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
