//! `command`: one program with its arguments, without a shell.

use super::run::{self, Setting};
use super::shell::join;
use super::{Arg, Args, Changes, Failure, Found, Kind, Module, Script, Spec};
use crate::diagnostic::Problem;

/// The task type.
pub static SPEC: Spec = Spec {
    name: "command",
    summary: "Run a program",
    about: "Runs one program with its arguments. No shell looks at them: `$HOME`, `*`, `|` and `>` are ordinary \
        characters; use `shell` where they should mean something.\n\n\
        A string is split into words as a shell would split it, with quotes. A list is taken word by word.\n\n\
        A command always counts as changed, since nobody can know what it does; `creates`, `removes` and \
        `unless` say when it is done already, `changed_when` decides from its output. Under `--check` it is \
        not run. An exit code other than 0 is a failure unless `failed_when` says otherwise.\n\n\
        Registered: `rc`, `stdout`, `stderr`.",
    args: &[
        Arg::new("argv", Kind::Command, "The program and its arguments."),
        Arg::new(
            "cmd",
            Kind::Command,
            "The same; one of the two must be given.",
        ),
        run::CREATES,
        run::REMOVES,
        run::UNLESS,
        run::CHDIR,
        run::STDIN,
    ],
    bare: "cmd",
    open: false,
    unseen: &[
        "argv", "cmd", "creates", "removes", "unless", "chdir", "stdin",
    ],
    example: r#"[[play.task]]
name = "how long it has been up"
command = "uptime"

[[play.task]]
name = "a key of its own"
command = { argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "id_deploy"], creates = "id_deploy" }
"#,
    build,
};

#[derive(Debug)]
struct Command {
    words: Vec<String>,
    setting: Setting,
}

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    let (argv, cmd) = (args.command("argv")?, args.command("cmd")?);
    let words = match (argv.is_empty(), cmd.is_empty()) {
        (true, true) => {
            return Err(Problem::new("`command` needs `argv` or `cmd`").at(args.node.place.clone()));
        }
        (false, false) => {
            return Err(args.problem("cmd", "give either `argv` or `cmd`, not both"));
        }
        (false, true) => argv,
        (true, false) => cmd,
    };
    Ok(Box::new(Command {
        words,
        setting: Setting::new(args)?,
    }))
}

impl Module for Command {
    fn probe(&self) -> Option<Script> {
        self.setting.probe()
    }

    fn settled(&self) -> Option<String> {
        self.setting.settled()
    }

    fn command(&self) -> Option<String> {
        Some(join(&self.words))
    }

    fn changes(&self, found: &Found) -> Result<Changes, Failure> {
        // With exec no keyword, function or alias of the shell can take the program's place.
        let script = Script::new(format!(
            "{}{}exec {}",
            self.setting.enter("exit 1"),
            self.setting.feed(),
            join(&self.words)
        ));
        self.setting.changes(found, script)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{action, build, probe, run};
    use crate::modules::Found;

    fn output(task: &str) -> (i32, String) {
        let module = build(task).unwrap();
        let done = run(&action(module.as_ref(), &probe(module.as_ref())).unwrap());
        (done.code, done.stdout())
    }

    #[test]
    fn words_reach_the_program_as_they_are() {
        let (code, said) = output(
            r#"command = ["printf", "%s\n", "a b", "$HOME", "*", "it's", "", "|", "\\n", "ü\n2"]"#,
        );
        assert_eq!(code, 0);
        assert_eq!(said, "a b\n$HOME\n*\nit's\n\n|\n\\n\nü\n2\n");
        assert_eq!(output(r#"command = "printf '<%s>' 'a b' c""#).1, "<a b><c>");
    }

    #[test]
    fn the_exit_code_is_the_programs() {
        assert_eq!(output(r#"command = ["sh", "-c", "exit 7"]"#).0, 7);
        let fed = r#"command = { argv = ["sh", "-c", "cat; exit 9"], stdin = "one\ntwo %s\\n" }"#;
        assert_eq!(output(fed), (9, "one\ntwo %s\\n".into()));
        let unread = r#"command = { argv = ["true"], stdin = "unread" }"#;
        assert_eq!(output(unread), (0, String::new()));
        assert_eq!(output(r#"command = "no-such-program""#).0, 127);
        // A keyword of the shell is no program.
        assert_eq!(output(r#"command = "if""#).0, 127);
        assert_eq!(output(r#"command = { argv = ["if"], stdin = "x" }"#).0, 127);
    }

    #[test]
    fn without_stdin_there_is_nothing_to_read() {
        assert_eq!(output(r#"command = "cat""#), (0, String::new()));
    }

    #[test]
    fn the_folder_is_entered_first() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        let task = format!(
            "command = {{ argv = ['pwd'], chdir = '{}' }}",
            path.display()
        );
        assert_eq!(output(&task), (0, format!("{}\n", path.display())));
        let (code, _) = output("command = { argv = ['true'], chdir = '/no such folder' }");
        assert_eq!(code, 1);
    }

    #[test]
    fn conditions_are_asked_at_once_and_the_first_names_itself() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("it's"), "").unwrap();
        let dir = folder.path().display();
        let because = |conditions: &str| {
            let module = build(&format!("command = {{ cmd = 'true', {conditions} }}")).unwrap();
            let changes = module.changes(&probe(module.as_ref())).unwrap();
            (changes.actions.len(), changes.because)
        };
        assert_eq!(
            because(&format!("creates = \"{dir}/it's\"")),
            (0, format!("{dir}/it's exists already"))
        );
        assert_eq!(
            because(&format!("chdir = '{dir}', creates = \"it's\"")),
            (0, "it's exists already".into())
        );
        assert_eq!(because(&format!("creates = '{dir}/other'")).0, 1);
        assert_eq!(
            because(&format!("removes = '{dir}/other'")),
            (0, format!("{dir}/other is gone already"))
        );
        assert_eq!(because(&format!("removes = \"{dir}/it's\"")).0, 1);
        assert_eq!(
            because("unless = 'test 1 = 1'"),
            (0, "`unless` holds already".into())
        );
        assert_eq!(because("unless = 'exit 3'").0, 1);
        // A folder that is not there yet decides nothing.
        assert_eq!(because("chdir = '/no such folder', unless = 'true'").0, 1);
    }

    #[test]
    fn without_conditions_nothing_is_asked() {
        let module = build("command = 'true'").unwrap();
        assert_eq!(module.probe(), None);
        assert!(!module.changes(&Found::default()).unwrap().read_only);
    }

    #[test]
    fn one_of_the_two_forms_must_be_given() {
        assert_eq!(
            build("command = { chdir = '/' }").unwrap_err(),
            concat!(
                "error: `command` needs `argv` or `cmd`\n",
                "  --> task.toml:1:11\n",
                "   |\n",
                " 1 | command = { chdir = '/' }\n",
                "   |           ^^^^^^^^^^^^^^^\n",
            )
        );
    }
}
