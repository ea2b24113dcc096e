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
        The rendered file is written to `dest` when it is deployed, atomically; one that holds a secret so that only its owner can \
        read it. Several files can be deployed into \
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
    unseen: &["compose"],
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
    /// Only its owner may read the file.
    private: bool,
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
        private: args.local.hides(&text),
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
        let mode = if self.private { "0600" } else { "0644" };
        let mut text = format!(
            "{}if [ -d {dest} ]; then echo {dest}' is a folder' >&2; exit 1; fi\n\
             rn_tmp=$(mktemp {dest}.XXXXXX) || exit\n\
             trap 'rm -f \"$rn_tmp\" \"$rn_overlay\"' EXIT\n\
             trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM; trap 'exit 141' PIPE\n\
             {} >\"$rn_tmp\" && chmod {mode} \"$rn_tmp\" && mv -f \"$rn_tmp\" {dest} || exit\n\
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
mod tests;
