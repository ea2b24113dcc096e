//! Becoming another user with a real `sudo`.

use crate::support::bench::play;
use crate::support::site::{Site, User};
use crate::support::{sshd, terminal};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const PASSWORD: &str = "c0rrect h0rse";

/// What a user may do, as long as the test runs.
pub struct Rule(PathBuf);

impl Rule {
    pub fn new(user: &User, text: &str) -> Self {
        let path = PathBuf::from("/etc/sudoers.d").join(&user.name);
        std::fs::write(&path, format!("{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o440))
            .unwrap();
        Self(path)
    }
}

impl Drop for Rule {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn user(tag: &str) -> Option<User> {
    if sshd::program("sudo").is_none() {
        sshd::skip("sudo is not installed");
        return None;
    }
    User::new(tag, Path::new("/bin/sh"))
}

fn playbook(folder: &Path) -> String {
    let folder = folder.display();
    play(&[
        "name = \"me\"\ncommand = \"id -un\"\nregister = \"me\"\nchanged_when = false\nbecome = false",
        "name = \"root\"\ncommand = \"id -un\"\nregister = \"root\"\nchanged_when = false",
        "name = \"who\"\nassert = { that = [\"root.stdout == 'root'\", \"me.stdout != 'root'\"] }",
        &format!("name = \"file\"\nfile = {{ path = \"{folder}/x\", content = \"x\", mode = \"0600\" }}"),
        &format!("name = \"big\"\ncopy = {{ src = \"big.bin\", dest = \"{folder}/big.bin\" }}"),
    ])
    .replacen("hosts = \"all\"\n", "hosts = \"all\"\nbecome = true\n", 1)
}

fn site(user: &User, folder: &Path) -> Option<Site> {
    let mut site = Site::new(&user.name, &playbook(folder))?;
    site.bench = site.bench.file("files/big.bin", vec![7; 300_000]);
    Some(site)
}

#[test]
fn sudo_without_a_password() {
    let Some(user) = user("n") else { return };
    let _rule = Rule::new(&user, &format!("{} ALL=(ALL) NOPASSWD: ALL", user.name));
    let folder = tempfile::tempdir().unwrap();
    let Some(site) = site(&user, folder.path()) else {
        return;
    };
    assert_eq!(site.changed(&[]), 2);
    assert_eq!(
        std::fs::read(folder.path().join("big.bin")).unwrap(),
        vec![7; 300_000]
    );
    assert_eq!(site.changed(&[]), 0);
}

#[test]
fn sudo_that_wants_a_password_says_how_to_give_it() {
    let Some(user) = user("w") else { return };
    let _rule = Rule::new(&user, &format!("{} ALL=(ALL) ALL", user.name));
    let folder = tempfile::tempdir().unwrap();
    let Some(site) = site(&user, folder.path()) else {
        return;
    };
    let ran = site.play(&[]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.out
            .contains("cannot become root: sudo: a password is required"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("--ask-become-pass"), "{}", ran.out);
}

/// Plays on a terminal and answers the question for the password; what the terminal showed, and the exit code.
fn asked(site: &Site, answer: &str) -> (String, i32) {
    let command = site.command(&["--ask-become-pass", "--output", "plain", "--color", "never"]);
    let shown = terminal::answered(&command, &[("sudo password", answer)]).unwrap();
    (shown.text, shown.code)
}

fn with_password(tag: &str) -> Option<User> {
    let user = user(tag)?;
    if sshd::program("script").is_none() {
        sshd::skip("script is not installed");
        return None;
    }
    let mut child = Command::new(sshd::program("chpasswd").unwrap())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let line = format!("{}:{PASSWORD}\n", user.name);
    child
        .stdin
        .take()
        .unwrap()
        .write_all(line.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
    Some(user)
}

#[test]
fn sudo_with_a_password() {
    let Some(user) = with_password("p") else {
        return;
    };
    let _rule = Rule::new(&user, &format!("{} ALL=(ALL) ALL", user.name));
    let folder = tempfile::tempdir().unwrap();
    let Some(site) = site(&user, folder.path()) else {
        return;
    };
    let (shown, code) = asked(&site, PASSWORD);
    assert_eq!(code, 0, "{shown}");
    assert!(!shown.contains(PASSWORD), "{shown}");
    assert_eq!(
        std::fs::read(folder.path().join("big.bin")).unwrap(),
        vec![7; 300_000]
    );
}

#[test]
fn a_wrong_password_is_tried_once() {
    let Some(user) = with_password("f") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("sudo.log");
    let _rule = Rule::new(
        &user,
        &format!(
            "Defaults:{0} logfile={1}, passwd_tries=3\n{0} ALL=(ALL) ALL",
            user.name,
            log.display()
        ),
    );
    let Some(site) = site(&user, folder.path()) else {
        return;
    };
    let (shown, code) = asked(&site, "wr0ng");
    assert_eq!(code, 2, "{shown}");
    assert!(
        shown.contains("cannot become root: sudo: the password is wrong"),
        "{shown}"
    );
    assert!(!shown.contains("wr0ng"), "{shown}");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("1 incorrect password attempt"), "{log}");
}
