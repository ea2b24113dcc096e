//! A journal that can't be written: the run goes on, and says what it lacks.

use crate::local::{Local, mark};
use crate::support::place::Mounted;
use crate::support::sshd::{current_user, skip};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

#[track_caller]
fn warned(local: &Local, set: &dyn Fn(&mut Command), why: &str) {
    let mut command = local.bench.command(&["play", "play.toml"]);
    set(&mut command);
    let output = command.output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert_eq!(
        err,
        format!("warning: no journal is kept of this run, so it can't be resumed: {why}\n")
    );
    assert_eq!(local.marks(), ["a one", "b one", "c one"]);
}

#[test]
fn without_a_home() {
    let local = Local::tasks(&[mark("one", "")]);
    let why = "neither XDG_STATE_HOME nor HOME names a folder";
    let unset = |command: &mut Command| {
        command.env_remove("HOME");
    };
    warned(&local, &unset, why);
    let empty = |command: &mut Command| {
        command.env("HOME", "");
    };
    warned(&local, &empty, why);
}

#[test]
fn where_a_file_is_in_the_way() {
    let local = Local::tasks(&[mark("one", "")]);
    local.write("state", "");
    let state = local.bench.path("state");
    let why = format!("{}/runner/runs: not a directory", state.display());
    let set = |command: &mut Command| {
        command.env("XDG_STATE_HOME", &state);
    };
    warned(&local, &set, &why);
}

#[test]
fn the_state_folder_can_be_chosen_and_is_private() {
    let local = Local::tasks(&[mark("one", "")]);
    let state = local.bench.path("elsewhere/state");
    let mut command = local.bench.command(&["play", "play.toml"]);
    let output = command.env("XDG_STATE_HOME", &state).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(!local.runs().exists());
    let runs = state.join("runner/runs");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&runs), 0o700);
    assert_eq!(mode(&state.join("runner")), 0o700);
    let journal = std::fs::read_dir(&runs).unwrap().next().unwrap().unwrap();
    assert_eq!(mode(&journal.path()), 0o600);
}

#[test]
fn on_a_full_disk() {
    if current_user() != "root" {
        skip("only root can mount");
        return;
    }
    let state = tempfile::tempdir().unwrap();
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", "size=16k", "tmpfs"]);
    let mounted = mount.arg(state.path()).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        skip("no file system can be mounted");
        return;
    }
    let _mounted = Mounted(state.path().to_path_buf());
    let tasks: Vec<String> = (0..40)
        .map(|number| mark(&format!("t{number}"), ""))
        .collect();
    let local = Local::tasks(&tasks);
    let run = |args: &[&str]| {
        let mut command = local.bench.command(args);
        let command = command.env("XDG_STATE_HOME", state.path());
        crate::support::bench::Ran::from(command.output().unwrap())
    };
    let ran = run(&["play", "play.toml"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        ran.err,
        "warning: the journal can't be written any more (no space left on device): this run can't be resumed\n"
    );
    assert_eq!(local.marks().len(), 120);
    let ran = run(&["play", "play.toml", "--resume"]);
    assert_eq!(ran.code, 5, "{ran:?}");
    let end = "is not complete: it could not be written to its end\n";
    assert!(ran.err.starts_with("error: the journal of run "), "{ran:?}");
    assert!(ran.err.ends_with(end), "{ran:?}");
    assert!(local.marks().is_empty());
    let ran = run(&["history"]);
    assert!(ran.out.contains("its journal is not complete"), "{ran:?}");
}
