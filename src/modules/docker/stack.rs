//! `docker_stack`: the services of a compose file, deployed and running.

use super::super::shell::{print_bytes, quote};
use super::super::{
    Action, Arg, Args, Changes, Diff, Done, Failure, Found, Kind, Module, Script, Spec,
};
use super::compose::{self, Compose, Service, with_tag};
use super::{answered, last, not_yet};
use crate::diagnostic::Problem;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// The task type.
pub static SPEC: Spec = Spec {
    name: "docker_stack",
    summary: "Deploy a stack and wait until it runs, or remove it",
    about: "Runs on a swarm manager. The compose file is a template of this machine. It is deployed when a service \
        is missing or has another image or number of replicas, when an update of one is paused, or when the file \
        has changed since: each service bears the label `runner.compose-sha256`, so any manager can tell. Files \
        that the compose file refers to are not looked at.\n\n\
        `docker stack deploy` returns before anything runs. So the task waits until every service of the file has \
        all of its tasks running, up to date, and the same ones for the `monitor` period; a container with a health \
        check counts once it is healthy. A rollback or a paused update is a failure, and so is a `wait` that is \
        over; the failure names the services, the last error of a task, and the last lines of their logs. A stack \
        that is deployed already and does not run whole is waited for too, and then counts as ok.\n\n\
        The rendered file is written to `dest` when it is deployed, atomically. Several files can be deployed into \
        one stack, each by its own task; `prune` removes the services of the others.\n\n\
        `state = \"absent\"` removes the stack with its networks, secrets and configs, and waits until its last task \
        is gone. Volumes and bind-mounted data stay.\n\n\
        Registered: `services`, their full names.",
    args: &[
        Arg::new("name", Kind::String, "The stack.").required(),
        Arg::new(
            "compose",
            Kind::String,
            "The compose file on this machine, a template. Formats up to 3.7 are understood everywhere.",
        ),
        Arg::new(
            "dest",
            Kind::String,
            "Where the rendered file is put on the manager.",
        )
        .default("its own name in the login folder"),
        Arg::new(
            "state",
            Kind::Choice(&["present", "absent"]),
            "What is wanted.",
        )
        .default("present"),
        Arg::new(
            "wait",
            Kind::Duration,
            "How long to wait; `\"0\"` not to wait.",
        )
        .default("5m"),
        Arg::new(
            "monitor",
            Kind::Duration,
            "How long all must run before that counts.",
        )
        .default("5s"),
        Arg::new(
            "prune",
            Kind::Boolean,
            "Remove services of the stack that the file does not have.",
        )
        .default("false"),
        Arg::new(
            "with_registry_auth",
            Kind::Boolean,
            "Send the manager's registry login to the nodes.",
        )
        .default("false"),
        Arg::new(
            "resolve_image",
            Kind::Choice(&["never", "changed", "always"]),
            "Whether a registry is asked for the image's digest.",
        )
        .default("never"),
    ],
    bare: "",
    open: false,
    example: r#"[[play.task]]
name = "ZooKeeper"
docker_stack = { name = "milvus", compose = "stacks/zookeeper.yaml", wait = "10m" }
"#,
    build,
};

/// The functions of the scripts.
const STACK: &str = include_str!("stack.sh");

#[derive(Debug)]
enum Stack {
    Present(Box<Present>),
    Absent { name: String, wait: Duration },
}

#[derive(Debug)]
struct Present {
    name: String,
    text: String,
    sum: String,
    compose: Compose,
    dest: String,
    wait: Duration,
    monitor: Duration,
    options: String,
    prune: bool,
    diff: bool,
}

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    let name = args.string("name")?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    if !name.chars().all(plain) || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(args
            .problem("name", format!("{name:?} cannot be the name of a stack"))
            .help("use letters, digits, `-` and `_`, and begin with a letter or a digit"));
    }
    let wait = args.duration("wait", Duration::from_secs(300))?;
    if args.string_opt("state")?.as_deref() == Some("absent") {
        return Ok(Box::new(Stack::Absent { name, wait }));
    }
    let Some(path) = args.string_opt("compose")? else {
        return Err(Problem::new("`docker_stack` needs `compose`")
            .at(args.node.place.clone())
            .help("or set `state = \"absent\"` to remove the stack"));
    };
    let text = args.local.template(&path)?;
    let compose = compose::read(&text)
        .map_err(|cause| args.problem("compose", format!("{path}, rendered, {cause}")))?;
    let dest = match args.string_opt("dest")? {
        Some(dest) => dest,
        None => {
            let file = path.rsplit('/').next().unwrap_or(&path);
            file.strip_suffix(".j2").unwrap_or(file).to_string()
        }
    };
    let prune = args.boolean("prune", false)?;
    let mut options = String::new();
    if prune {
        options.push_str(" --prune");
    }
    if args.boolean("with_registry_auth", false)? {
        options.push_str(" --with-registry-auth");
    }
    let resolve = args
        .string_opt("resolve_image")?
        .unwrap_or_else(|| "never".into());
    options.push_str(&format!(" --resolve-image {resolve}"));
    Ok(Box::new(Stack::Present(Box::new(Present {
        name,
        sum: Sha256::digest(&text)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect(),
        text,
        compose,
        dest: if dest.starts_with('/') {
            dest
        } else {
            format!("./{dest}")
        },
        wait,
        monitor: args.duration("monitor", Duration::from_secs(5))?,
        options,
        prune,
        diff: args.local.diff(),
    }))))
}

/// A service as the swarm has it.
struct Running<'a> {
    name: &'a str,
    label: &'a str,
    update: &'a str,
    replicas: &'a str,
    image: &'a str,
}

/// The fields of the lines that begin with a word.
fn fields<'a>(said: &'a str, word: &str) -> Vec<Vec<&'a str>> {
    said.lines()
        .map(|line| line.split('|').collect::<Vec<_>>())
        .filter(|fields| fields[0] == word)
        .map(|fields| fields[1..].to_vec())
        .collect()
}

impl Present {
    fn full(&self, service: &Service) -> String {
        format!("{}_{}", self.name, service.name)
    }

    fn services(&self) -> Vec<String> {
        self.compose
            .services
            .iter()
            .map(|service| self.full(service))
            .collect()
    }

    /// The functions with the variables that they need. Once it is deployed, the label must stay ours.
    fn head(&self, deployed: bool) -> String {
        format!(
            "{STACK}rn_stack={}\nrn_services={}\nrn_wait={}\nrn_monitor={}\nrn_sum={}\nrn_strict={}\n",
            quote(&self.name),
            quote(&self.services().join(" ")),
            self.wait.as_secs(),
            self.monitor.as_secs(),
            if deployed { &self.sum } else { "" },
            u8::from(deployed),
        )
    }

    fn probe(&self) -> Script {
        let file = if self.diff {
            format!("\necho 'file|'; cat {} 2>/dev/null", quote(&self.dest))
        } else {
            String::new()
        };
        Script::new(format!(
            "{}rn_seen=$(rn_look) || exit\nprintf '%s\\n' \"$rn_seen\"\n\
             printf '%s\\n' \"$rn_seen\" | rn_judge{file}\nexit 0",
            self.head(false),
        ))
    }

    /// What speaks for deploying, a few words each.
    fn reasons(&self, said: &str) -> Vec<String> {
        let running: Vec<Running> = fields(said, "spec")
            .into_iter()
            .filter_map(|fields| match fields[..] {
                [name, label, update, .., replicas, image] => Some(Running {
                    name,
                    label,
                    update,
                    replicas,
                    image,
                }),
                _ => None,
            })
            .collect();
        let mut reasons = Vec::new();
        let mut changed = false;
        for service in &self.compose.services {
            let (full, name) = (self.full(service), &service.name);
            let Some(found) = running.iter().find(|running| running.name == full) else {
                reasons.push(format!("{name} is missing"));
                continue;
            };
            let image = found.image.split('@').next().unwrap_or(found.image);
            if let Some(wanted) = service.image.as_deref()
                && with_tag(image) != wanted
                && found.image != wanted
            {
                reasons.push(format!("{name} has the image {image}"));
            }
            if let Some(wanted) = &service.replicas
                && wanted != found.replicas
            {
                reasons.push(format!(
                    "{name} has {} replicas, not {wanted}",
                    found.replicas
                ));
            }
            if found.update.ends_with("paused") {
                reasons.push(format!("the update of {name} is paused"));
            }
            changed |= found.label != self.sum;
        }
        if self.prune {
            let known = self.services();
            reasons.extend(
                running
                    .iter()
                    .filter(|running| !known.iter().any(|name| name == running.name))
                    .map(|running| format!("{} is not in the file", running.name)),
            );
        }
        if changed && reasons.is_empty() {
            reasons.push("the compose file has changed".into());
        }
        reasons
    }

    /// A second compose file that labels each service with the sum of the first. Compose files of one deployment
    /// are merged, so the first stays as it was written.
    fn overlay(&self) -> String {
        let mut text = format!("version: {:?}\nservices:\n", self.compose.version);
        for service in &self.compose.services {
            text.push_str(&format!(
                "  {:?}: {{deploy: {{labels: {{runner.compose-sha256: \"{}\"}}}}}}\n",
                service.name, self.sum
            ));
        }
        text
    }

    fn deploy(&self) -> Script {
        let dest = quote(&self.dest);
        let mut text = format!(
            "{}if [ -d {dest} ]; then echo {dest}' is a folder' >&2; exit 1; fi\n\
             rn_tmp=$(mktemp {dest}.XXXXXX) || exit\n\
             trap 'rm -f \"$rn_tmp\" \"$rn_overlay\"' EXIT\n\
             trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM\n\
             {} >\"$rn_tmp\" && chmod 0644 \"$rn_tmp\" && mv -f \"$rn_tmp\" {dest} || exit\n\
             rn_overlay=$(mktemp \"${{TMPDIR:-/tmp}}/runner.XXXXXX\") || exit\n\
             {} >\"$rn_overlay\" || exit\n\
             docker stack deploy -c {dest} -c \"$rn_overlay\"{} \"$rn_stack\" || exit\n",
            self.head(true),
            print_bytes(self.text.as_bytes()),
            print_bytes(self.overlay().as_bytes()),
            self.options,
        );
        if !self.wait.is_zero() {
            text.push_str("rn_await\n");
        }
        Script::new(text + "exit $?")
    }

    fn changes(&self, found: &Found) -> Result<Changes, Failure> {
        let said = found.stdout();
        let (said, before) = said.split_once("file|\n").unwrap_or((&said, ""));
        let reasons = self.reasons(said);
        if !reasons.is_empty() {
            return Ok(Changes {
                diff: Some(Diff {
                    name: self.dest.clone(),
                    before: before.to_string(),
                    after: self.text.clone(),
                })
                .filter(|diff| self.diff && diff.before != diff.after),
                ..Changes::script(self.deploy(), reasons.join(", "))
            });
        }
        if self.wait.is_zero() || fields(said, "verdict") == [["ok"]] {
            return Ok(Changes::none());
        }
        let progress = fields(said, "progress").concat().join("|");
        Ok(Changes {
            actions: vec![Action::Run(Script::new(format!(
                "{}rn_await",
                self.head(false)
            )))],
            because: format!("not running whole: {progress}"),
            read_only: true,
            ..Changes::none()
        })
    }

    fn failure(&self, said: &str) -> Option<Failure> {
        let late = fields(said, "late").concat();
        let failed = fields(said, "failed").concat();
        let lacks = fields(said, "lacks");
        let what: Vec<String> = lacks.iter().map(|fields| fields[1..].join("|")).collect();
        let message = match (late.first(), failed.first()) {
            (Some(seconds), _) => format!(
                "not all services run after {seconds} s: {}",
                what.join(", ")
            ),
            (_, Some(_)) => format!("docker gave up on services: {}", what.join(", ")),
            _ => return None,
        };
        let mut failure = Failure::new(message);
        for service in &lacks {
            for (word, title) in [
                ("tasks", String::new()),
                ("log", format!("{} says: ", service[0])),
            ] {
                for line in fields(said, word)
                    .iter()
                    .filter(|line| line[0] == service[0])
                {
                    failure = failure.help(format!("{title}{}", line[1..].join("|").trim_end()));
                }
            }
        }
        Some(failure)
    }
}

impl Module for Stack {
    fn probe(&self) -> Option<Script> {
        Some(match self {
            Stack::Present(present) => present.probe(),
            Stack::Absent { name, .. } => {
                // Asking for services first tells whether the host manages a swarm at all.
                Script::new(format!(
                    "{STACK}rn_stack={}\ndocker service ls -q >/dev/null || exit\nrn_left\nexit 0",
                    quote(name)
                ))
            }
        })
    }

    fn changes(&self, found: &Found) -> Result<Changes, Failure> {
        if let Some(changes) = not_yet("look at the stack", found) {
            return Ok(changes);
        }
        answered("look at the stack", found)?;
        match self {
            Stack::Present(present) => present.changes(found),
            Stack::Absent { .. } if found.stdout.is_empty() => Ok(Changes::none()),
            Stack::Absent { name, wait } => {
                let text = format!(
                    "{STACK}rn_stack={}\nrn_wait={}\nrn_remove",
                    quote(name),
                    wait.as_secs()
                );
                let services = found
                    .stdout()
                    .lines()
                    .filter(|line| line.starts_with("service "))
                    .count();
                Ok(Changes::script(
                    Script::new(text),
                    format!(
                        "removes {services} service{}",
                        if services == 1 { "" } else { "s" }
                    ),
                ))
            }
        }
    }

    fn result(&self, _: &Found, done: &[Done]) -> Result<Map<String, Value>, Failure> {
        let said = last(done);
        match self {
            Stack::Present(present) => match present.failure(&said) {
                Some(failure) => Err(failure),
                None => Ok(Map::from_iter([(
                    "services".to_string(),
                    present.services().into(),
                )])),
            },
            Stack::Absent { name, wait } => {
                if fields(&said, "late").is_empty() {
                    return Ok(Map::new());
                }
                let mut failure = Failure::new(format!(
                    "the stack {name} is not gone after {} s",
                    wait.as_secs()
                ));
                for line in fields(&said, "left").iter().take(10) {
                    failure = failure.help(line.join("|"));
                }
                Err(failure)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{build, build_in, run, run_with};
    use super::STACK;
    use crate::modules::{Action, Done, Failure, Found, Module, Script};
    use serde_json::json;
    use sha2::{Digest, Sha256};
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    const FILE: &str = "version: \"3.7\"\nservices:\n  a: { image: app:1, deploy: { replicas: 2 } }\n  b: { image: app }\n";

    fn sum() -> String {
        Sha256::digest(FILE)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    fn stack(more: &str) -> (TempDir, Box<dyn Module>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("app.yaml.j2"), FILE).unwrap();
        let task = format!("docker_stack = {{ name = 't', compose = 'app.yaml.j2'{more} }}");
        let module = build_in(folder.path(), &task).unwrap();
        (folder, module)
    }

    /// What docker says of both services when all is well.
    fn well() -> String {
        format!(
            "spec|t_a|{0}|||2|app:1\nspec|t_b|{0}|||1|app:latest@sha256:00\nverdict|ok\nprogress|a 2/2, b 1/1\n",
            sum()
        )
    }

    fn found(stdout: &str) -> Found {
        Found {
            stdout: stdout.as_bytes().to_vec(),
            ..Found::default()
        }
    }

    #[test]
    fn a_stack_that_runs_is_left_alone() {
        let (_folder, module) = stack("");
        assert!(module.changes(&found(&well())).unwrap().actions.is_empty());
        assert_eq!(
            module.result(&found(&well()), &[]).unwrap()["services"],
            json!(["t_a", "t_b"])
        );
    }

    #[test]
    fn whatever_differs_is_a_reason_to_deploy() {
        let (_folder, module) = stack("");
        let because = |said: &str| {
            let changes = module.changes(&found(said)).unwrap();
            assert!(!changes.read_only);
            changes.because
        };
        assert_eq!(because("verdict|wait\n"), "a is missing, b is missing");
        assert_eq!(
            because(&well().replace("app:1", "app:0")),
            "a has the image app:0"
        );
        assert_eq!(
            because(&well().replace("||2|", "||3|")),
            "a has 3 replicas, not 2"
        );
        assert_eq!(
            because(&well().replacen("|||", "|paused|too bad|", 1)),
            "the update of a is paused"
        );
        assert_eq!(
            because(&well().replacen(&sum(), "old", 1)),
            "the compose file has changed"
        );
        let (_folder, pruning) = stack(", prune = true");
        let more = well() + "spec|t_c|x|||1|app:1\n";
        assert!(module.changes(&found(&more)).unwrap().actions.is_empty());
        assert_eq!(
            pruning.changes(&found(&more)).unwrap().because,
            "t_c is not in the file"
        );
    }

    #[test]
    fn a_stack_that_does_not_run_whole_is_only_waited_for() {
        let (_folder, module) = stack("");
        let said = well()
            .replace("verdict|ok", "verdict|wait")
            .replace("b 1/1", "b 0/1 (Starting)");
        let changes = module.changes(&found(&said)).unwrap();
        assert!(changes.read_only);
        assert_eq!(
            changes.because,
            "not running whole: a 2/2, b 0/1 (Starting)"
        );
        let (_folder, patient) = stack(", wait = '0'");
        assert!(patient.changes(&found(&said)).unwrap().actions.is_empty());
    }

    #[test]
    fn a_failure_names_services_tasks_and_logs() {
        let (_folder, module) = stack("");
        let said = "Creating service t_a\na 0/2 (Preparing), b 1/1\n\
            tasks|t_a|t_a.1 on n1: Rejected 1 second ago \"No such image: app:1\"\n\
            log|t_a|no luck\nlog|t_b|not this\nlacks|t_a|a 0/2 (Rejected: No such image: app:1 on n1)\n";
        let done = |end: &str| {
            [Done {
                stdout: format!("{said}{end}|300\n").into_bytes(),
                ..Done::default()
            }]
        };
        assert_eq!(
            module.result(&found(""), &done("late")).unwrap_err(),
            Failure::new(
                "not all services run after 300 s: a 0/2 (Rejected: No such image: app:1 on n1)"
            )
            .help("t_a.1 on n1: Rejected 1 second ago \"No such image: app:1\"")
            .help("t_a says: no luck")
        );
        let gave_up = module.result(&found(""), &done("failed")).unwrap_err();
        assert!(
            gave_up
                .message
                .starts_with("docker gave up on services: a 0/2")
        );
        assert!(module.result(&found(""), &done("converged")).is_ok());
    }

    /// A folder with a `docker` that says what it is told to, and notes what it is asked.
    fn docker(body: &str) -> (TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker");
        let notes = folder.path().join("asked");
        let text = format!("#!/bin/sh\necho \"$*\" >>'{}'\n{body}\n", notes.display());
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let search = format!(
            "{}:{}",
            folder.path().display(),
            std::env::var("PATH").unwrap()
        );
        (folder, search)
    }

    #[test]
    fn the_whole_way_through_every_shell() {
        let state = tempfile::tempdir().unwrap();
        let dest = state.path().join("it's.yaml");
        let more = format!(", dest = \"{}\", monitor = 0, wait = '20s'", dest.display());
        let (_folder, module) = stack(&more);
        let changes = module.changes(&found("verdict|wait\n")).unwrap();
        let [Action::Run(script)] = &changes.actions[..] else {
            panic!()
        };
        let (fake, path) = docker(&format!(
            "case $1 in\n\
             service) case $2 in\n\
             ls) printf 'service|t_a|2/2|1\\nservice|t_b|1/1|2\\n' ;;\n\
             inspect) printf 'spec|t_a|{0}|||2|app:1\\nspec|t_b|{0}|||1|app:latest\\n' ;;\n\
             esac ;;\n\
             stack) case $2 in\n\
             deploy) cat \"$6\"; stat -c %a \"$4\" ;;\n\
             ps) for t in a.1 a.2 b.1; do echo \"task|t_$t|id$t|Running|Running 1 second ago|n|\"; done ;;\n\
             esac ;;\n\
             esac",
            sum()
        ));
        let done = run_with(script, &[("PATH", &path)]);
        assert_eq!(done.code, 0, "{}", String::from_utf8_lossy(&done.stderr));
        let label = format!(
            "{{deploy: {{labels: {{runner.compose-sha256: \"{}\"}}}}}}",
            sum()
        );
        assert_eq!(
            done.stdout(),
            format!(
                "version: \"3.7\"\nservices:\n  \"a\": {label}\n  \"b\": {label}\n644\na 2/2, b 1/1\nconverged|0\n"
            )
        );
        assert_eq!(std::fs::read_to_string(&dest).unwrap(), FILE);
        assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 1);
        let asked = std::fs::read_to_string(fake.path().join("asked")).unwrap();
        assert!(asked.contains(&format!("stack deploy -c {} -c ", dest.display())));
        assert!(asked.contains(" --resolve-image never t\n"));
    }

    /// Judges what docker says of a stack, in every shell.
    fn judge(lines: &str, sum: &str) -> String {
        run(&Script::new(format!(
            "{STACK}rn_stack=t\nrn_services='t_a t_b'\nrn_sum={sum}\nrn_strict=1\nrn_judge <<'END'\n{lines}\nEND"
        )))
        .stdout()
    }

    #[test]
    fn a_service_has_converged_when_its_up_to_date_tasks_run() {
        let lines = "service|t_a|2/2 (max 1 per node)|i\nservice|t_b|1/1|j\nspec|t_a|S|||2|x\nspec|t_b|S|completed|done|1|x\n\
            task|t_a.1|1|Running|Running 3 seconds ago|n|\ntask|t_a.2|2|Running|Running 3 seconds ago|n|\n\
            task|t_b.1|3|Running|Running 3 seconds ago|n|";
        assert_eq!(
            judge(lines, "S"),
            "verdict|ok\nprogress|a 2/2, b 1/1\nrunning| 1 2 3\n"
        );
        // The old task still runs, and no new one is up.
        let old = lines.replace(
            "task|t_b.1|3|Running|Running",
            "task|t_b.1|3|Running|Starting",
        );
        assert_eq!(
            judge(&old, "S"),
            "verdict|wait\nprogress|a 2/2, b 1/1 (Starting)\nrunning| 1 2\nlacks|t_b|b 1/1 (Starting)\n"
        );
        let paused = lines.replace("completed|done", "paused|a task failed");
        assert!(
            judge(&paused, "S")
                .starts_with("verdict|bad\nprogress|a 2/2, b 1/1 (paused: a task failed)\n")
        );
        let back = lines.replace(
            "t_b|S|completed|done",
            "t_b|T|rollback_completed|update rolled back",
        );
        assert!(
            judge(&back, "S").starts_with(
                "verdict|bad\nprogress|a 2/2, b 1/1 (rolled back: update rolled back)\n"
            )
        );
    }

    #[test]
    fn the_last_error_of_a_task_is_shown_meanwhile() {
        let lines = "service|t_a|1/2|i\nspec|t_a|S|||2|x\ntask|t_a.1|1|Running|Running 3 seconds ago|n|\n\
            task|t_a.2|2|Ready|Ready 1 second ago|n|\ntask|t_a.2|3|Shutdown|Failed 2 seconds ago|n|\"task: non-zero exit (1)\"";
        assert_eq!(
            judge(lines, "S"),
            "verdict|wait\n\
             progress|a 1/2 (Ready: task: non-zero exit (1) on n), b missing (the swarm has no such service)\n\
             running| 1\n\
             lacks|t_a|a 1/2 (Ready: task: non-zero exit (1) on n)\n\
             lacks|t_b|b missing (the swarm has no such service)\n"
        );
    }

    #[test]
    fn absent_means_nothing_is_left() {
        let module = build("docker_stack = { name = 't', state = 'absent' }").unwrap();
        assert!(module.changes(&found("")).unwrap().actions.is_empty());
        let changes = module
            .changes(&found("service a\ntask t_a.1 Running n\n"))
            .unwrap();
        assert_eq!(changes.because, "removes 1 service");
        let late = [Done {
            stdout: b"left: 1 network\nleft|network is in use\nlate|300\n".to_vec(),
            ..Done::default()
        }];
        assert_eq!(
            module.result(&found(""), &late).unwrap_err(),
            Failure::new("the stack t is not gone after 300 s").help("network is in use")
        );
    }

    #[test]
    fn mistakes_are_found_before_any_connection() {
        let problem = build("docker_stack = { name = 'a b' }").unwrap_err();
        assert!(
            problem.starts_with("error: \"a b\" cannot be the name of a stack\n"),
            "{problem}"
        );
        let problem = build("docker_stack = { name = 'a' }").unwrap_err();
        assert!(
            problem.starts_with("error: `docker_stack` needs `compose`\n"),
            "{problem}"
        );
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x.yaml"), "services: [").unwrap();
        let task = "docker_stack = { name = 'a', compose = 'x.yaml' }";
        let problem = build_in(folder.path(), task).unwrap_err();
        assert!(
            problem.starts_with("error: x.yaml, rendered, is not YAML: "),
            "{problem}"
        );
    }

    #[test]
    fn without_docker_the_way_out_is_named() {
        let (_folder, module) = stack("");
        let (_fake, path) = docker("exit 127");
        let done = run_with(&module.probe().unwrap(), &[("PATH", &path)]);
        let found = Found {
            code: done.code,
            stdout: done.stdout,
            stderr: done.stderr,
        };
        assert_eq!(
            module.changes(&found).unwrap_err().message,
            "docker is not installed on this host"
        );
    }
}
