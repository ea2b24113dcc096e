//! What every module has to keep.

use super::testing::{build_plain, probe};
use super::{Found, Module};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// Whether a shell takes an answer for one that calls for no change.
fn matches(module: &dyn Module, found: &Found) -> bool {
    let Some(pattern) = module.settled() else {
        return false;
    };
    let answer = String::from_utf8_lossy(&found.stdout);
    let text = format!(
        "case $1 in {pattern}) [ {} = 0 ] ;; *) false ;; esac",
        found.code
    );
    let mut held = Vec::new();
    for shell in ["sh", "bash"] {
        let ended = Command::new(shell)
            .args(["-c", &text, "sh", answer.trim_end_matches('\n')])
            .output()
            .unwrap();
        assert!(ended.stderr.is_empty(), "{pattern:?} {ended:?}");
        held.push(ended.status.success());
    }
    assert_eq!(held[0], held[1], "{pattern:?} {answer:?}");
    held[0]
}

/// Puts something at a path, one of many things.
fn put(path: &Path, what: usize) {
    let mode = |mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    match what {
        0 => {}
        1 | 2 => {
            std::fs::create_dir(path).unwrap();
            mode(if what == 1 { 0o755 } else { 0o1700 });
        }
        3 => symlink("target", path).unwrap(),
        4 => symlink("tar*", path).unwrap(),
        5 => symlink("/", path).unwrap(),
        _ => {
            let text = ["wanted\n", "wanted", "other\n", "w*\n"][what % 4];
            std::fs::write(path, text).unwrap();
            mode([0o644, 0o600, 0o4755][what % 3]);
        }
    }
}

/// Where the host goes on by itself there is nothing to do; and where there is nothing to do it mostly can.
#[test]
fn an_answer_that_is_settled_calls_for_no_change() {
    let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    let user = user.trim();
    let tasks = [
        r#"file = { path = "PATH", content = "wanted\n" }"#.to_string(),
        r#"file = { path = "PATH", content = "wanted\n", mode = "0644" }"#.into(),
        r#"file = { path = "PATH", content = "w*\n", mode = "4755" }"#.into(),
        format!(r#"file = {{ path = "PATH", content = "other\n", owner = "{user}" }}"#),
        r#"file = { path = "PATH", content = "other\n", owner = "nobody" }"#.into(),
        r#"directory = "PATH""#.into(),
        r#"directory = { path = "PATH", mode = "1700" }"#.into(),
        r#"directory = { path = ["PATH", "PATH"], mode = "0755" }"#.into(),
        r#"link = { dest = "PATH", src = "target" }"#.into(),
        r#"link = { dest = "PATH", src = "tar*", force = true }"#.into(),
        r#"stat = "PATH""#.into(),
        r#"stat = { path = "PATH", follow = true }"#.into(),
        r#"command = { argv = ["true"], creates = "PATH" }"#.into(),
        r#"command = { argv = ["true"], removes = "PATH" }"#.into(),
        r#"shell = { cmd = "true", unless = "test -d PATH" }"#.into(),
        r#"wait_for = { path = "PATH" }"#.into(),
        r#"wait_for = { path = "PATH", state = "absent" }"#.into(),
        r#"line = { path = "PATH", line = "wanted" }"#.into(),
        "ping = {}".into(),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut agreed = 0;
    for what in 0..18 {
        let path = folder.path().join(what.to_string());
        put(&path, what);
        for task in &tasks {
            let task = task.replace("PATH", path.to_str().unwrap());
            let module = build_plain(&task).unwrap_or_else(|problem| panic!("{task}: {problem:?}"));
            let found = probe(module.as_ref());
            let nothing = module
                .changes(&found)
                .is_ok_and(|changes| changes.actions.is_empty());
            let held = matches(module.as_ref(), &found);
            assert!(nothing || !held, "{task}: {what}: {found:?}");
            agreed += usize::from(held);
        }
    }
    assert!(agreed > 100, "only {agreed} are settled");
}

/// A name that is none would hide nothing, and let nobody know.
#[test]
fn arguments_that_are_not_seen_are_arguments() {
    for spec in super::all() {
        for name in spec.unseen {
            let known = spec.args.iter().any(|arg| arg.name == *name);
            assert!(known, "{}: {name}", spec.name);
        }
    }
}
