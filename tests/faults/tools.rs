//! Tools that say that all is well when it is not: a `docker` that does on the host what its script says.

use crate::harness::{Case, MARK};
use crate::support::place::set_mode;
use crate::world::{Bad, World};
use std::fs;
use std::time::Duration;

const COMPOSE: &str =
    "version: \"3.7\"\nservices:\n  a:\n    image: app:1\n    deploy: { replicas: 2 }\n";

/// A swarm with the service `t_a`, whose label, update and tasks are in `~/label`, `~/update` and `~/tasks`. `stack deploy`
/// ends well, whatever `~/deploy` makes of it; `$sum` is the label that was asked for.
const DOCKER: &str = r#"#!/bin/sh
cd "$HOME" || exit
echo "$*" >>asked
case $1-$2 in
  service-ls) echo "service|t_a|$(wc -l <tasks)/2|1" ;;
  service-inspect) echo "spec|t_a|$(cat label)|$(cat update)|2|app:1" ;;
  service-ps) echo "t_a.1 on n1: Rejected 1 second ago no such image: app:1" ;;
  service-logs) echo "out of luck" ;;
  stack-ps) cat tasks ;;
  ps--q) echo c1 ;;
  exec-*) while [ "$1" != c1 ]; do shift; done; shift; exec "$@" ;;
  stack-deploy) sum=$(sed -n 's/.*sha256: "\(.*\)".*/\1/p' "$6"); . ./deploy; exit 0 ;;
esac
"#;

/// Two tasks that run.
const RUNNING: &str = "task|t_a.1|1|Running|Running 9 seconds ago|n1|\ntask|t_a.2|2|Running|Running 9 seconds ago|n1|\n";

/// What one host is to do with the `docker` that is all its own.
fn case(module: &str, deploy: &'static str) -> Case {
    let task = format!(
        "name = \"fault\"\nwhen = \"'bad' in group_names\"\n{module}\n\
         env = {{ PATH = \"{{{{ hosts }}}}/bad/bin:/usr/bin:/bin\" }}"
    );
    Case::new([Bad::Host])
        .patient()
        .options(&["-e", "@etc/place.toml"])
        .tasks(&[MARK, &task])
        .prepare(move |world: &World| {
            let vars = format!("hosts = \"{}/hosts\"\n", world.folder().display());
            fs::write(world.path("etc/place.toml"), vars).unwrap();
            fs::write(world.path("etc/stack.yaml"), COMPOSE).unwrap();
            let home = &world.bad[0].home;
            fs::create_dir(home.join("bin")).unwrap();
            let files = [
                ("bin/docker", DOCKER),
                ("label", "old"),
                ("update", "|"),
                ("tasks", RUNNING),
                ("deploy", deploy),
            ];
            for (name, text) in files {
                fs::write(home.join(name), text).unwrap();
            }
            set_mode(&home.join("bin/docker"), 0o755);
        })
        .marks(1..=1)
        .within(Duration::from_secs(30))
}

/// A stack that somebody else has deployed, and what becomes of ours; what is told of it.
fn deployed(deploy: &'static str, exit: i32, message: &str) -> Option<crate::harness::Ran> {
    let module = "docker_stack = { name = \"t\", compose = \"stack.yaml\", wait = \"2s\", monitor = \"1s\", \
                  dest = \"{{ hosts }}/bad/stack.yaml\" }";
    let mut case = case(module, deploy).exits(exit);
    if exit != 0 {
        case = case.says("failed: bad: fault").says(message);
    }
    let ran = case.run()?;
    let asked = fs::read_to_string(ran.world.bad[0].home.join("asked")).unwrap();
    assert_eq!(asked.matches("stack deploy").count(), 1, "{asked}");
    Some(ran)
}

#[test]
fn a_deployment_that_holds_is_one() {
    deployed("echo $sum >label", 0, "");
}

#[test]
fn a_rollback_is_a_failure() {
    deployed(
        "echo 'rollback_completed|update rolled back due to failure of task x' >update",
        2,
        "docker gave up on services: a 2/2 (rolled back: update rolled back due to failure of task x)",
    );
}

#[test]
fn an_update_that_is_paused_is_a_failure() {
    deployed(
        "echo $sum >label; echo 'paused|update paused due to failure of task x' >update",
        2,
        "docker gave up on services: a 2/2 (paused: update paused due to failure of task x)",
    );
}

#[test]
fn a_service_that_never_converges_is_a_failure() {
    deployed(
        "echo $sum >label; echo 'task|t_a.1|1|Running|Rejected 1 second ago|n1|\"no such image: app:1\"' >tasks",
        2,
        "not all services run after 2 s: a 1/2 (Rejected: no such image: app:1 on n1)",
    );
}

/// An admin command in a container that ends with exit code 0, whatever it says.
fn administered(command: &str) -> Case {
    let module = format!(
        "docker_exec = {{ service = \"t_a\", unless = \"test -e ~/made\", shell = \"{command}\" }}"
    );
    case(&module, "")
}

#[test]
fn an_admin_command_that_did_what_it_says_is_believed() {
    administered("touch ~/made").exits(0).run();
}

#[test]
fn an_admin_command_that_prints_an_error_and_ends_well_is_a_failure() {
    administered("echo 'no such tenant' >&2")
        .exits(2)
        .says("failed: bad: fault")
        .says("| no such tenant")
        .says("| the command ended with exit code 0, and `unless` does not hold after it")
        .run();
}
