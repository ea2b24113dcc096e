use super::super::super::testing::{Tools, build, build_in, run, run_with};
use super::STACK;
use crate::modules::{Action, Done, Failure, Found, Module, Script};
use serde_json::json;
use sha2::{Digest, Sha256};
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
    let tools = Tools::docker(&format!(
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
    let done = run_with(script, &[("PATH", &tools.path())]);
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
    let asked = tools.asked();
    assert!(asked.contains(&format!("stack deploy -c {} -c ", dest.display())));
    assert!(asked.contains(" --resolve-image never t\n"));
}

#[test]
fn a_file_with_a_secret_is_its_owners() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("{FILE}# s3cr3t\n");
    std::fs::write(folder.path().join("app.yaml.j2"), &text).unwrap();
    let dest = folder.path().join("app.yaml");
    let task = format!(
        "docker_stack = {{ name = 't', compose = 'app.yaml.j2', dest = '{}', wait = '0s' }}",
        dest.display()
    );
    let module = build_in(folder.path(), &task).unwrap();
    let changes = module.changes(&found("")).unwrap();
    let [Action::Run(script)] = &changes.actions[..] else {
        panic!()
    };
    let tools = Tools::docker("[ $1 = stack ] && stat -c %a \"$4\"");
    let done = run_with(script, &[("PATH", &tools.path())]);
    assert_eq!((done.code, done.stdout().as_str()), (0, "600\n"));
    assert_eq!(std::fs::read_to_string(&dest).unwrap(), text);
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
        judge(&back, "S")
            .starts_with("verdict|bad\nprogress|a 2/2, b 1/1 (rolled back: update rolled back)\n")
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
    let tools = Tools::docker("exit 127");
    let done = run_with(&module.probe().unwrap(), &[("PATH", &tools.path())]);
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
