//! `docker_exec`: a command in a container of this host.

use super::super::shell::{Unseen, join, print_bytes, quote};
use super::super::{Arg, Args, Changes, Failure, Found, Kind, Module, Script, Spec};
use crate::diagnostic::Problem;

/// The task type.
pub static SPEC: Spec = Spec {
    name: "docker_exec",
    summary: "Run a command in a container",
    about: "Runs a command in a container of this host: the one of a swarm service, or one that is named. A service's \
        container runs on the host that the swarm chose, so the task belongs on that host and not on a manager.\n\n\
        A command counts as changed, and is not run under `--check`. `unless` is a shell text, run in the same \
        container, that only looks: where it exits with 0, the command is not run. It must exit with 0 after the command, \
        too: tools that print an error and end with exit code 0 are not believed.\n\n\
        Values of `env` do not appear in the host's process list, and neither does a text for `sh` that holds a secret. When the task is interrupted, its command in the \
        container is ended too, as far as the container has a shell.\n\n\
        Registered: `rc`, `stdout`, `stderr`.",
    args: &[
        Arg::new(
            "service",
            Kind::String,
            "The swarm service, as in `docker service ls`.",
        ),
        Arg::new(
            "container",
            Kind::String,
            "Or else the container, by name or id.",
        ),
        Arg::new(
            "command",
            Kind::Command,
            "The command, run without a shell.",
        ),
        Arg::new(
            "shell",
            Kind::String,
            "Or else a text for the container's `sh`.",
        ),
        Arg::new(
            "unless",
            Kind::String,
            "A text for the container's `sh` that tells whether it is done.",
        ),
        Arg::new("user", Kind::String, "The user in the container.").default("the image's"),
        Arg::new("chdir", Kind::String, "The folder in the container.").default("the image's"),
        Arg::new("env", Kind::Map, "Variables for the command."),
        Arg::new("stdin", Kind::String, "A text for its standard input.").default("nothing"),
    ],
    bare: "",
    open: false,
    unseen: &["command", "shell", "unless", "env", "stdin"],
    example: r#"[[play.task]]
name = "ZooKeeper says what it is"
docker_exec = { service = "milvus_zk1", shell = "echo srvr | nc localhost 2181" }

[[play.task]]
name = "a namespace, once"
docker_exec = { service = "milvus_broker1", unless = "bin/pulsar-admin namespaces list public | grep -qx public/jobs", command = ["bin/pulsar-admin", "namespaces", "create", "public/jobs"] }
"#,
    build,
};

/// `rn_find` sets `rn_c` to the container, or says why there is none and where to look.
const FIND_SERVICE: &str = "rn_find() {
  rn_c=$(docker ps -q --no-trunc --filter \"label=com.docker.swarm.service.name=$rn_name\" --filter status=running) || return
  rn_c=$(printf '%s\\n' \"$rn_c\" | head -n 1)
  if [ -n \"$rn_c\" ]; then return 0; fi
  printf 'no container of service %s runs on this host\\n' \"$rn_name\" >&2
  rn_was=$(docker ps -a --filter \"label=com.docker.swarm.service.name=$rn_name\" --format '{{.Status}}' | head -n 1)
  if [ -n \"$rn_was\" ]; then printf 'its last one here: %s\\n' \"$rn_was\" >&2; fi
  if rn_at=$(docker service ps --filter desired-state=running --format '{{.Node}} ({{.CurrentState}})' \"$rn_name\" 2>/dev/null); then
    printf 'the swarm has it on: %s\\n' \"${rn_at:-no node}\" >&2
  else
    rn_at=$(docker ps --filter label=com.docker.swarm.service.name --format '{{.Label \"com.docker.swarm.service.name\"}}' | sort -u | tr '\\n' ' ')
    printf 'services that run here: %s\\n' \"${rn_at:-none}\" >&2
  fi
  return 4
}
";

const FIND_CONTAINER: &str = "rn_find() {
  rn_c=$(docker inspect --type container --format '{{.Id}} {{.State.Running}} {{.State.Status}}' \"$rn_name\") || return
  case $rn_c in
    *' true '*) rn_c=${rn_c%% *} ;;
    *) printf 'container %s does not run: it is %s\\n' \"$rn_name\" \"${rn_c##* }\" >&2; return 4 ;;
  esac
}
";

/// Ends what a command started: docker leaves it running in the container when its own client is ended. Whatever
/// came of the command carries the mark in its environment.
const INTERRUPT: &str = r#"rn_mark="$$.$(date +%s)"
rn_end() {
  trap - HUP INT TERM
  docker exec @USER@ "$rn_c" sh -c 'for p in /proc/[0-9]*; do
    if tr "\0" "\n" <"$p/environ" 2>/dev/null | grep -qx "$1"; then kill "${p#/proc/}"; fi
  done' sh "RUNNER_EXEC=$rn_mark" >/dev/null 2>&1 </dev/null
  exit "$1"
}
trap 'rn_end 129' HUP; trap 'rn_end 130' INT; trap 'rn_end 143' TERM
"#;

#[derive(Debug)]
struct Exec {
    /// The name, and how it is found.
    name: String,
    service: bool,
    words: Vec<String>,
    /// Nobody may see the words, which are a shell and its text.
    hidden: bool,
    unless: Option<String>,
    /// Nobody may see that text.
    hidden_test: bool,
    user: Option<String>,
    chdir: Option<String>,
    env: Vec<(String, String)>,
    stdin: Option<String>,
}

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    let (name, service) = match (args.string_opt("service")?, args.string_opt("container")?) {
        (Some(name), None) => (name, true),
        (None, Some(name)) => (name, false),
        (Some(_), Some(_)) => {
            return Err(args.problem(
                "container",
                "give either `service` or `container`, not both",
            ));
        }
        (None, None) => {
            return Err(Problem::new("`docker_exec` needs `service` or `container`")
                .at(args.node.place.clone()));
        }
    };
    let words = match (args.command("command")?, args.string_opt("shell")?) {
        (words, None) if !words.is_empty() => words,
        (words, Some(text)) if words.is_empty() => vec!["sh".into(), "-c".into(), text],
        (words, _) if !words.is_empty() => {
            return Err(args.problem("shell", "give either `command` or `shell`, not both"));
        }
        _ => {
            return Err(Problem::new("`docker_exec` needs `command` or `shell`")
                .at(args.node.place.clone()));
        }
    };
    let env = args.map("env")?;
    if let Some((key, _)) = env
        .iter()
        .find(|(key, _)| key.is_empty() || key.contains('='))
    {
        return Err(args.problem("env", format!("`{key}` cannot be the name of a variable")));
    }
    let unless = args.string_opt("unless")?;
    let hides = |text: Option<String>| text.is_some_and(|text| args.local.hides(&text));
    Ok(Box::new(Exec {
        name,
        service,
        words,
        hidden: hides(args.string_opt("shell")?),
        hidden_test: hides(unless.clone()),
        unless,
        user: args.string_opt("user")?,
        chdir: args.string_opt("chdir")?,
        env,
        stdin: args.string_opt("stdin")?,
    }))
}

impl Exec {
    /// Finds the container, or ends.
    fn find(&self) -> String {
        let find = if self.service {
            FIND_SERVICE
        } else {
            FIND_CONTAINER
        };
        format!("{find}rn_name={}\nrn_find || exit\n", quote(&self.name))
    }

    /// The text of `unless`, asked in the container.
    fn test(&self, text: &str) -> String {
        if self.hidden_test {
            let unseen = Unseen::new(text, None);
            return format!(
                "{}( {} sh -c {} ) >/dev/null 2>&1",
                unseen.feed,
                self.docker(" -i"),
                quote(&unseen.script)
            );
        }
        format!(
            "( {} sh -c {} ) >/dev/null 2>&1",
            self.docker(""),
            quote(text)
        )
    }

    /// What prints the command's input, the option for it, and the command.
    fn fed(&self) -> (String, &'static str, String) {
        let input = self.stdin.as_deref().map(str::as_bytes);
        if let (true, Some(text)) = (self.hidden, self.words.last()) {
            let unseen = Unseen::new(text, input);
            return (unseen.feed, " -i", join(["sh", "-c", &unseen.script]));
        }
        let words = join(&self.words);
        match input {
            Some(input) => (
                format!("{} 2>/dev/null | ", print_bytes(input)),
                " -i",
                words,
            ),
            None => (String::new(), "", words),
        }
    }

    /// Asks again behind a command that says it went well.
    fn confirm(&self) -> String {
        let Some(text) = &self.unless else {
            return String::new();
        };
        format!(
            "if [ $rn_code = 0 ] && ! {}; then\n\
             printf 'the command ended with exit code 0, and `unless` does not hold after it\\n' >&2; exit 1\nfi\n",
            self.test(text)
        )
    }

    /// `docker exec` with its options, up to the container.
    fn docker(&self, more: &str) -> String {
        let (mut export, mut options) = (String::new(), String::new());
        for (key, value) in &self.env {
            if is_private(key) {
                // Without a value docker takes it from its own environment, where nobody else sees it.
                export.push_str(&format!("{key}={}; export {key}; ", quote(value)));
                options.push_str(&format!(" -e {key}"));
            } else {
                options.push_str(&format!(" -e {}", quote(&format!("{key}={value}"))));
            }
        }
        if let Some(folder) = &self.chdir {
            options.push_str(&format!(" -w {}", quote(folder)));
        }
        format!(
            "{export}exec docker exec {}{options}{more} \"$rn_c\"",
            self.user()
        )
    }

    fn user(&self) -> String {
        match &self.user {
            Some(user) => quote(&format!("--user={user}")),
            None => String::new(),
        }
    }
}

/// Whether a variable can be set for docker itself without changing what docker does.
fn is_private(key: &str) -> bool {
    let name = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !key.starts_with(|c: char| c.is_ascii_digit());
    let meant_for_docker = ["PATH", "HOME", "IFS", "PWD"].contains(&key)
        || ["DOCKER_", "LD_", "GO", "HTTP", "NO_PROXY"]
            .iter()
            .any(|start| key.starts_with(start));
    name && !meant_for_docker
}

impl Module for Exec {
    fn probe(&self) -> Option<Script> {
        let test = self.unless.as_ref()?;
        Some(Script::new(format!(
            "{}if {}; then echo done; fi",
            self.find(),
            self.test(test),
        )))
    }

    fn command(&self) -> Option<String> {
        Some(join(&self.words))
    }

    fn visible(&self) -> Option<String> {
        let variables = self.env.iter().filter(|(key, _)| !is_private(key));
        let variables = variables.map(|(key, value)| format!("{key}={value}"));
        let words = self.words.iter().filter(|_| !self.hidden).cloned();
        Some(join(variables.chain(words)))
    }

    fn changes(&self, found: &Found) -> Result<Changes, Failure> {
        if found.stdout == b"done\n" {
            return Ok(Changes {
                because: "`unless` holds already".into(),
                ..Changes::none()
            });
        }
        let (feed, input, words) = self.fed();
        Ok(Changes::script(
            Script::new(format!(
                "{}{}{feed}( {} {} )\nrn_code=$?\n\
                 if [ $rn_code != 0 ] && [ \"$(docker inspect --format '{{{{.State.Running}}}}' \"$rn_c\" 2>/dev/null)\" != true ]; then\n\
                 printf 'the container of %s ended while the command ran in it\\n' {} >&2\nfi\n\
                 {}exit $rn_code",
                self.find(),
                INTERRUPT.replace("@USER@", &self.user()),
                self.docker(&format!(" -e RUNNER_EXEC=\"$rn_mark\"{input}")),
                words,
                quote(&self.name),
                self.confirm(),
            )),
            "",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{Tools, action, build, run_with};
    use crate::modules::{Action, Found};

    #[test]
    fn values_of_variables_are_no_arguments() {
        let task = "docker_exec = { service = 's', command = 'true', env = { A_1 = \"it's\", 'b.c' = 'x y', DOCKER_HOST = 'h' } }";
        let changes = build(task).unwrap().changes(&Found::default()).unwrap();
        let [Action::Run(script)] = &changes.actions[..] else {
            panic!()
        };
        assert!(
            script.text.contains(
                r#"( A_1='it'\''s'; export A_1; exec docker exec  -e A_1 -e 'b.c=x y' -e 'DOCKER_HOST=h' -e RUNNER_EXEC="$rn_mark" "$rn_c" true )"#
            ),
            "{}",
            script.text
        );
    }

    /// Runs the command of `exec` here.
    const DOCKER: &str = r#"case $1 in
  ps) echo container ;;
  inspect) echo true ;;
  exec) while [ "$1" != container ]; do shift; done; shift; exec "$@" ;;
esac"#;

    #[test]
    fn a_text_with_a_secret_is_no_argument() {
        let tools = Tools::docker(DOCKER);
        let path = tools.path();
        let env = [("PATH", path.as_str())];
        for (stdin, wanted) in [
            ("", "s3cr3t 0 <>"),
            (", stdin = \"in\\n\"", "s3cr3t 0 <in>"),
        ] {
            let task = format!(
                "docker_exec = {{ service = 's', shell = \"echo s3cr3t $# \\\"<$(cat)>\\\"\\nexit 5\", unless = 'test x = s3cr3t'{stdin} }}"
            );
            let module = build(&task).unwrap();
            assert_eq!(module.visible().as_deref(), Some(""));
            let asked = run_with(&module.probe().unwrap(), &env);
            assert_eq!((asked.code, asked.stdout().as_str()), (0, ""));
            let change = action(module.as_ref(), &Found::default()).unwrap();
            let done = run_with(&change, &env);
            assert_eq!((done.code, done.stdout()), (5, format!("{wanted}\n")));
            // With the very same answer as after it.
            let module = build(&task.replace("test x", "test s3cr3t")).unwrap();
            assert_eq!(run_with(&module.probe().unwrap(), &env).stdout(), "done\n");
            let module = build(&task.replace("exit 5", "exit 0")).unwrap();
            let done = run_with(&action(module.as_ref(), &Found::default()).unwrap(), &env);
            assert_eq!(done.code, 1);
            assert_eq!(
                String::from_utf8_lossy(&done.stderr),
                "the command ended with exit code 0, and `unless` does not hold after it\n"
            );
        }
        let asked = tools.asked();
        assert!(asked.contains("exec -i"), "{asked}");
        assert!(!asked.contains("s3cr3t"), "{asked}");
    }

    #[test]
    fn what_docker_takes_as_an_argument_is_visible() {
        let task = "docker_exec = { service = 's', command = ['a', 'b c'], env = { A = 'x', DOCKER_B = 'y' } }";
        assert_eq!(
            build(task).unwrap().visible().as_deref(),
            Some("'DOCKER_B=y' a 'b c'")
        );
    }

    #[test]
    fn what_is_done_is_not_done_again() {
        let module =
            build("docker_exec = { service = 's', shell = 'x', unless = 'test -e /a' }").unwrap();
        assert!(module.probe().unwrap().text.ends_with(
            "if ( exec docker exec  \"$rn_c\" sh -c 'test -e /a' ) >/dev/null 2>&1; then echo done; fi"
        ));
        let found = Found {
            stdout: b"done\n".to_vec(),
            ..Found::default()
        };
        let changes = module.changes(&found).unwrap();
        assert!(changes.actions.is_empty());
        assert_eq!(changes.because, "`unless` holds already");
        // No container yet: it would be run.
        let found = Found {
            code: 4,
            ..Found::default()
        };
        assert_eq!(module.changes(&found).unwrap().actions.len(), 1);
    }

    #[test]
    fn one_container_and_one_command_are_needed() {
        for (task, message) in [
            (
                "{ command = 'a' }",
                "`docker_exec` needs `service` or `container`",
            ),
            (
                "{ service = 'a', container = 'b', command = 'c' }",
                "give either `service` or `container`, not both",
            ),
            (
                "{ service = 'a' }",
                "`docker_exec` needs `command` or `shell`",
            ),
            (
                "{ service = 'a', command = 'b', shell = 'c' }",
                "give either `command` or `shell`, not both",
            ),
        ] {
            let problem = build(&format!("docker_exec = {task}")).unwrap_err();
            assert!(
                problem.starts_with(&format!("error: {message}\n")),
                "{problem}"
            );
        }
    }
}
