//! Plays over a real `sshd`: twice with every login shell, signals, deadlines, large files.

use crate::support::bench::play;
use crate::support::promise::{judged, within};
use crate::support::site::{Site, User, alive, until};
use crate::support::sshd;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How soon a remote tree has to be gone when its connection is.
const GONE: Duration = Duration::from_secs(5);

fn deploy() -> String {
    play(&[
        "name = \"folders\"\ndirectory = { path = [\"{{ home }}/a/b\", \"{{ home }}/c d\"], mode = \"0750\" }",
        "name = \"file\"\nfile = { path = \"{{ home }}/c d/it's\", content = \"one\\ntwo\\n\", mode = \"0640\" }",
        "name = \"template\"\ntemplate = { src = \"t.conf\", dest = \"{{ home }}/a/b/t.conf\" }",
        "name = \"link\"\nlink = { src = \"a/b\", dest = \"{{ home }}/l\" }",
        "name = \"big\"\ncopy = { src = \"big.bin\", dest = \"{{ home }}/big.bin\" }",
        "name = \"once\"\nshell = { cmd = \"echo $GREETING > '{{ home }}/made'\", creates = \"{{ home }}/made\" }\nenv = { GREETING = \"it's me\" }",
        "name = \"line\"\nline = { path = \"{{ home }}/made\", line = \"last = 1\" }",
        "name = \"gone\"\nremove = \"{{ home }}/nothing here\"",
        "name = \"back\"\nfetch = { src = \"{{ home }}/big.bin\", dest = \"fetched/\" }",
    ])
}

/// Five MiB that no compression makes small.
fn big() -> Vec<u8> {
    let mut state = 1u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..5 * 1024 * 1024).map(next).collect()
}

fn twice(user: &str, home: &Path) {
    let Some(mut site) = Site::new(user, &deploy()) else {
        return;
    };
    site.bench = site
        .bench
        .file("files/big.bin", big())
        .file("templates/t.conf", "host = {{ inventory_hostname }}\n");
    let home = format!("home={}", home.display());
    assert_eq!(site.changed(&["-e", &home]), 8);
    let at = |name: &str| PathBuf::from(home.trim_start_matches("home=")).join(name);
    let text = |name: &str| std::fs::read_to_string(at(name)).unwrap();
    assert_eq!(text("c d/it's"), "one\ntwo\n");
    assert_eq!(text("l/t.conf"), "host = one\n");
    assert_eq!(text("made"), "it's me\nlast = 1\n");
    assert!(
        std::fs::read(at("big.bin")).unwrap() == big(),
        "the copy differs"
    );
    let fetched = walk(&site.bench.path("fetched"));
    assert!(
        std::fs::read(&fetched[0]).unwrap() == big(),
        "the fetched file differs"
    );
    assert_eq!(fetched.len(), 1);
    assert_eq!(site.changed(&["-e", &home]), 0);
    let left: Vec<PathBuf> = walk(&at(""))
        .into_iter()
        .filter(|path| path.to_string_lossy().contains(".runner-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

/// Every file below a folder.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.is_dir() && !path.is_symlink() {
            true => walk(&path),
            false => vec![path],
        })
        .collect()
}

fn with_login_shell(tag: &str, shell: &Path) {
    if !shell.exists() {
        sshd::skip(&format!("{} is not installed", shell.display()));
        return;
    }
    if let Some(user) = User::new(tag, shell) {
        twice(&user.name, &PathBuf::from("/home").join(&user.name));
    }
}

#[test]
fn a_second_run_changes_nothing_with_dash() {
    with_login_shell("d", Path::new("/bin/dash"));
}

#[test]
fn a_second_run_changes_nothing_with_bash() {
    with_login_shell("b", Path::new("/bin/bash"));
}

#[test]
fn a_second_run_changes_nothing_with_busybox() {
    if !Path::new("/bin/busybox").exists() {
        sshd::skip("busybox is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(
        folder.path(),
        std::os::unix::fs::PermissionsExt::from_mode(0o755),
    )
    .unwrap();
    let shell = folder.path().join("sh");
    std::os::unix::fs::symlink("/bin/busybox", &shell).unwrap();
    with_login_shell("y", &shell);
}

/// A command with a child; both ignore what asks them to end, and tell their process ids.
fn stubborn(folder: &Path, more: &str) -> String {
    let folder = folder.display();
    play(&[&format!(
        "name = \"hang\"\nshell = \"trap '' TERM INT HUP; sh -c 'echo $$ > {folder}/child; while :; do sleep 1000; done' & echo $$ > {folder}/pid; \
         while :; do sleep 1000; done\"\n{more}"
    )])
}

fn pids(folder: &Path) -> Vec<String> {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let pids = [read("pid"), read("child")];
    pids.iter()
        .filter(|text| text.ends_with('\n'))
        .map(|text| text.trim().to_string())
        .collect()
}

#[track_caller]
fn gone(pids: &[String]) {
    let took = until("the remote tree is gone", || {
        !pids.iter().any(|pid| alive(pid))
    });
    within("the remote tree is gone", took, GONE);
}

fn interrupted(signal: &str, code: i32) {
    judged(|_| {
        let folder = tempfile::tempdir().unwrap();
        let Some(site) = Site::here(&stubborn(folder.path(), "")) else {
            return;
        };
        let mut playing = site.start();
        until("the command runs", || pids(folder.path()).len() == 2);
        playing.signal(signal);
        let ran = playing.end();
        assert_eq!(ran.code, code, "{ran:?}");
        assert!(ran.out.contains("one"), "there is no recap: {ran:?}");
        gone(&pids(folder.path()));
    });
}

#[test]
fn ctrl_c_ends_the_remote_tree_and_writes_the_recap() {
    interrupted("INT", 130);
}

#[test]
fn term_ends_the_remote_tree_and_writes_the_recap() {
    interrupted("TERM", 143);
}

#[test]
fn a_killed_runner_leaves_no_remote_tree() {
    judged(|_| {
        let folder = tempfile::tempdir().unwrap();
        let Some(site) = Site::here(&stubborn(folder.path(), "")) else {
            return;
        };
        let mut playing = site.start();
        until("the command runs", || pids(folder.path()).len() == 2);
        playing.signal("KILL");
        assert_eq!(playing.end().code, -1);
        gone(&pids(folder.path()));
    });
}

#[test]
fn a_deadline_ends_a_tree_that_ignores_signals() {
    judged(|_| {
        let folder = tempfile::tempdir().unwrap();
        let Some(site) = Site::here(&stubborn(folder.path(), "timeout = \"1s\"")) else {
            return;
        };
        let ran = site.play(&[]);
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(
            ran.out
                .contains("it took longer than its timeout and was ended"),
            "{ran:?}"
        );
        let pids = pids(folder.path());
        assert_eq!(pids.len(), 2);
        gone(&pids);
    });
}
