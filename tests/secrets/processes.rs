//! What everyone on a host can read in its list of processes has no secret in it, or is warned of.

use crate::nest::Nest;
use crate::support::bench::{Bench, play};
use crate::support::sshd;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs in its one container what it is given, as an argument of its own.
const DOCKER: &str = r#"#!/bin/sh
case $1 in
  inspect) echo "id true running" ;;
  exec) while [ "$1" != id ]; do shift; done; shift; "$@" ;;
esac
"#;

/// Tells that it has come to its place, and goes on when somebody has looked at all processes.
fn stand(number: usize) -> String {
    format!(
        "touch HOST/here-{number}-{{{{ inventory_hostname }}}}; until [ -e HOST/go-{number}-{{{{ inventory_hostname }}}} ]; do sleep 0.02; done"
    )
}

#[test]
fn no_secret_is_in_the_list_of_processes() {
    let all = "{{ by_env }}{{ by_command }}{{ by_prompt }}{{ by_file }}";
    let text = "{{ (by_env ~ by_command ~ by_prompt ~ by_file) | quote }}";
    let task = |number: usize, body: &str| {
        format!("name = \"{number}\"\n{body}").replace("STAND", &stand(number))
    };
    let mut bodies = vec![
        format!("file = {{ path = \"HOST/{{{{ inventory_hostname }}}}\", content = \"{all}\" }}"),
        format!(
            "copy = {{ dest = \"HOST/copy-{{{{ inventory_hostname }}}}\", content = \"{all}\" }}"
        ),
        "template = { src = \"all.j2\", dest = \"HOST/all-{{ inventory_hostname }}\" }".to_string(),
        format!("line = {{ path = \"HOST/{{{{ inventory_hostname }}}}\", line = \"more {all}\" }}"),
        format!("shell = {{ cmd = \"cat >/dev/null; STAND\", stdin = \"{all}\" }}"),
    ];
    for more in [
        "",
        ", executable = \"bash\"",
        ", executable = \"/bin/dash\"",
        ", stdin = \"x\", chdir = \"/\"",
    ] {
        let shell = format!("shell = {{ cmd = \"S={text}; STAND; [ -n \\\"$S\\\" ]\"{more} }}");
        bodies.push(shell.clone());
        bodies.push(format!("become = true\n{shell}"));
    }
    for (name, more) in [("a", ""), ("b", ", stdin = \"x\"")] {
        let made = format!("HOST/made-{name}-{{{{ inventory_hostname }}}}");
        bodies.push(format!(
            "env = {{ PATH = \"HOST/bin:/usr/bin:/bin\" }}\ndocker_exec = {{ container = \"c\", shell = \"S={text}; STAND; touch {made}\", \
             unless = \": {text}; [ -e {made} ]\"{more} }}"
        ));
    }
    bodies.push(format!(
        "env = {{ PATH = \"HOST/bin:/usr/bin:/bin\" }}\nignore_errors = true\ndocker_exec = {{ container = \"c\", command = \"true\", \
         unless = \": {text}; STAND; exit 1\" }}"
    ));
    bodies.push(format!(
        "command = {{ cmd = \"true\", unless = \": {text}; STAND\" }}"
    ));
    bodies.push(format!(
        "become = true\nscript = {{ src = \"say\", unless = \": {text}; STAND; exit 1\" }}"
    ));
    let tasks: Vec<String> = (bodies.iter().enumerate())
        .map(|(number, body)| task(number, body))
        .collect();
    let stands = tasks.iter().filter(|task| task.contains("touch")).count();
    let Some(mut nest) = Nest::new(&tasks) else {
        return;
    };
    if sshd::program("sudo").is_none() {
        return sshd::skip("sudo is not installed");
    }
    nest.site.bench = nest.site.bench.file("files/say", "echo hello\n");
    let host = nest.host.path().to_path_buf();
    let docker = host.join("bin/docker");
    fs::create_dir(host.join("bin")).unwrap();
    fs::write(&docker, DOCKER).unwrap();
    fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut seen = Vec::new();
            let mut looks = 0;
            while !over.load(Ordering::SeqCst) {
                let standing: Vec<String> = fs::read_dir(&host)
                    .unwrap()
                    .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
                    .filter_map(|name| Some(format!("go{}", name.strip_prefix("here")?)))
                    .filter(|go| !host.join(go).exists())
                    .collect();
                seen.extend(processes(&nest));
                for go in standing {
                    fs::write(host.join(go), "").unwrap();
                    looks += 1;
                }
            }
            (seen, looks)
        });
        let played = nest.play(&[]);
        over.store(true, Ordering::SeqCst);
        let (seen, looks) = looking.join().unwrap();
        let Some((shown, code)) = played else { return };
        assert_eq!(code, 0, "{shown}");
        assert_eq!(seen, Vec::<String>::new());
        assert_eq!(looks, 2 * stands, "{shown}");
        assert!(!shown.contains("list of processes"), "{shown}");
    });
}

/// Where in the list of processes a secret stands; the one in the environment of the program itself was given to it.
fn processes(nest: &Nest) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path();
        let Ok(line) = fs::read(path.join("cmdline")) else {
            continue;
        };
        let ours = ["script", "/runner", "runner:"].iter().any(|name| {
            let line = String::from_utf8_lossy(&line);
            line.split('\0').next().unwrap_or("").contains(name)
                || line.starts_with("sh\0-c\0") && line.contains("/runner")
        });
        let environ = fs::read(path.join("environ")).unwrap_or_default();
        for canary in nest.canaries() {
            for form in canary.forms() {
                let holds = |text: &[u8]| memchr::memmem::find(text, &form).is_some();
                if holds(&line) || holds(&environ) && !(ours && canary.name == "by_env") {
                    found.push(format!(
                        "{}: {} with {}",
                        canary.name,
                        String::from_utf8_lossy(&line),
                        String::from_utf8_lossy(&environ)
                    ));
                }
            }
        }
    }
    found
}

#[test]
fn an_argument_is_warned_of_once() {
    let tasks = [
        "command = [\"true\", \"{{ by_env }}\"]\nloop = [1, 2]",
        "command = { argv = [\"cat\"], stdin = \"{{ by_env }}\" }",
    ];
    let Some(nest) = Nest::new(&tasks.map(String::from)) else {
        return;
    };
    let ran = nest
        .site
        .command(&[])
        .env("CANARY", &nest.env.value)
        .output()
        .unwrap();
    let err = String::from_utf8(ran.stderr).unwrap();
    let out = String::from_utf8(ran.stdout).unwrap();
    let warning = "play.toml:7:1: the command has a secret in it, which the host's list of processes shows: hand it over with `env` or `stdin`";
    assert_eq!(
        format!("{out}{err}").matches(warning).count(),
        1,
        "{out}{err}"
    );
}

/// Arguments that show, and their names; `S` is a secret.
const SHOWN: [(&str, &[&str]); 21] = [
    ("directory = \"/x/S\"", &["path"]),
    (
        "directory = { path = [\"/x\", \"/x/S\"], owner = \"S\", group = \"S\" }",
        &["path", "owner", "group"],
    ),
    ("file = { path = \"/x/S\", content = \"S\" }", &["path"]),
    (
        "copy = { src = \"here\", dest = \"/x/S\", owner = \"S\" }",
        &["dest", "owner"],
    ),
    ("copy = { content = \"S\", dest = \"/x/S\" }", &["dest"]),
    (
        "template = { src = \"all.j2\", dest = \"/x/S\" }",
        &["dest"],
    ),
    ("fetch = { src = \"/x/S\", dest = \"S\" }", &["src"]),
    ("remove = \"/x/S\"", &["path"]),
    ("link = { src = \"S\", dest = \"/x/S\" }", &["src", "dest"]),
    (
        "line = { path = \"/x/S\", line = \"S\", regexp = \"S\", insert_after = \"S\" }",
        &["path"],
    ),
    ("stat = \"/x/S\"", &["path"]),
    (
        "wait_for = { host = \"S\", port = 1, path = \"/x/S\" }",
        &["host"],
    ),
    (
        "shell = { cmd = \"S\", executable = \"/x/S/sh\", creates = \"S\", removes = \"S\", chdir = \"S\" }",
        &["executable"],
    ),
    (
        "docker_node = { node = \"S\", labels = { a = \"1\", b = \"S\" } }",
        &["node", "labels"],
    ),
    (
        "docker_node = { node = \"n\", labels = \"{{ {'b': s} }}\" }",
        &["labels"],
    ),
    (
        "docker_exec = { service = \"S\", user = \"S\", chdir = \"S\", shell = \"S\", stdin = \"S\", env = { A = \"S\" } }",
        &["service", "user", "chdir"],
    ),
    (
        "docker_exec = { container = \"S\", command = \"true\" }",
        &["container"],
    ),
    (
        "docker_swarm = { state = \"init\", advertise_addr = \"S\", listen_addr = \"S\" }",
        &["advertise_addr", "listen_addr"],
    ),
    (
        "docker_stack = { name = \"t\", compose = \"stack.yaml\", dest = \"S\" }",
        &["dest"],
    ),
    ("debug = { msg = \"S\" }", &[]),
    ("assert = { that = \"s != ''\", msg = \"S\" }", &[]),
];

/// An argument is warned of before anything is connected to, once for all hosts.
#[test]
fn what_shows_is_warned_of_before_the_run() {
    let tasks: Vec<String> = SHOWN
        .iter()
        .map(|(task, _)| task.replace('S', "{{ s }}"))
        .collect();
    let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let playbook = play(&tasks).replacen('\n', "\nsecrets.s = { env = \"CANARY\" }\n", 1);
    let bench = Bench::with(&playbook)
        .file(
            "inventory/hosts.toml",
            "[hosts]\n\"h[1:3]\" = { address = \"127.0.0.1\", port = 1 }\n",
        )
        .file("here", "here")
        .file("templates/all.j2", "{{ s }}")
        .file(
            "stack.yaml",
            "version: '3.7'\nservices: {a: {image: x, command: \"{{ s }}\"}}\n",
        );
    let mut command = bench.command(&["play", "play.toml", "--output", "json"]);
    let ran = command.env("CANARY", "c4nary").output().unwrap();
    let out = String::from_utf8(ran.stdout).unwrap();
    assert_eq!(ran.status.code(), Some(4), "{out}{:?}", ran.stderr);
    let events: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let known = |event: &&serde_json::Value| event["event"] == "warning";
    let warnings = events.iter().filter(known);
    let said: Vec<&str> = warnings
        .map(|event| event["message"].as_str().unwrap())
        .collect();
    let mut wanted = Vec::new();
    for (task, names) in SHOWN {
        let task = task.replace('S', "{{ s }}");
        let number = playbook.lines().position(|line| line == task).unwrap() + 1;
        for name in names {
            // A bare value stands for its argument.
            let key = match task.contains(&format!(" {name} = ")) {
                true => format!(" {name} = "),
                false => " = ".into(),
            };
            let column = task.find(&key).unwrap() + key.len() + 1;
            wanted.push(format!(
                "play.toml:{number}:{column}: `{name}` has a secret in it, which the host's list of processes shows: hand it over in the \
                 content of a file, or with `env` or `stdin` of a command"
            ));
        }
    }
    let mut sorted = said.clone();
    sorted.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(sorted, wanted);
    let first = |name: &str| events.iter().position(|event| event["event"] == name);
    assert!(first("connecting").is_none_or(|at| first("warning").unwrap() < at));
    assert!(!out.contains("c4nary"), "{out}");
}
