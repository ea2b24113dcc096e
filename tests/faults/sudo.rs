//! The password for `sudo`: nobody sees it, and a wrong one locks no account.

use crate::files::PATIENCE;
use crate::harness::{Case, MARK, Ran};
use crate::support::place::set_mode;
use crate::support::site::User;
use crate::support::sshd::{program, skip};
use crate::world::Bad;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Removed at its end, also when a test fails.
struct Rule(PathBuf);

impl Drop for Rule {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A user with a password, whom sudo asks for it and notes what became of that.
fn asked_user(tag: &str, password: &str, log: &Path) -> Option<(User, Rule)> {
    let (Some(_), Some(chpasswd), Some(_)) =
        (program("sudo"), program("chpasswd"), program("script"))
    else {
        skip("sudo, chpasswd or script is not installed");
        return None;
    };
    let user = User::new(tag, Path::new("/bin/sh"))?;
    let mut child = Command::new(chpasswd)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let line = format!("{}:{password}\n", user.name);
    let mut input = child.stdin.take().unwrap();
    input.write_all(line.as_bytes()).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
    let rule = Path::new("/etc/sudoers.d").join(&user.name);
    let text = format!(
        "Defaults:{0} logfile={1}, passwd_tries=3\n{0} ALL=(ALL) ALL\n",
        user.name,
        log.display()
    );
    fs::write(&rule, text).unwrap();
    set_mode(&rule, 0o440);
    Some((user, Rule(rule)))
}

/// Eight hosts on which that user becomes root with what is typed, twice; one of them waits while it has the rights.
fn become_root(user: &User, typed: &str, exit: i32) -> Option<Ran> {
    let task = |number: usize| {
        format!(
            "name = \"fault {number}\"\nwhen = \"'bad' in group_names\"\nbecome = true\nignore_errors = {}\n\
             shell = \"id -un >>{{{{ home }}}}/rights; sleep 0.3\"",
            number == 1
        )
    };
    Case::new((0..8).map(|_| Bad::Host))
        .good(18)
        .patient()
        .connection(&format!(", user = \"{}\"", user.name))
        .options(&["--ask-become-pass"])
        .types("sudo password: ", typed)
        .tasks(&[MARK, &task(1), &task(2)])
        .prepare(|world| {
            let locks = world.sshd.files.locks.path();
            set_mode(locks, 0o755);
            for folder in fs::read_dir(locks).unwrap().flatten() {
                set_mode(&folder.path(), 0o1777);
            }
            for host in &world.bad {
                set_mode(&host.home, 0o777);
            }
        })
        .exits(exit)
        .marks(1..=1)
        .within(PATIENCE)
        .run()
}

/// How often each password was refused, as sudo has noted it.
fn refused(log: &Path) -> usize {
    let text = fs::read_to_string(log).unwrap_or_default();
    // Long lines are broken.
    let words: Vec<&str> = text.split_whitespace().collect();
    words
        .join(" ")
        .matches("incorrect password attempt")
        .count()
}

#[test]
fn the_password_is_seen_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let password = format!("c4n'ary-sudo \"{}", std::process::id());
    let Some((user, _rule)) = asked_user("n", &password, &log) else {
        return;
    };
    let Some(ran) = become_root(&user, &password, 0) else {
        return;
    };
    for host in &ran.world.bad {
        let rights = fs::read_to_string(host.home.join("rights")).unwrap();
        assert_eq!(rights, "root\nroot\n", "{}", host.name);
    }
    assert_eq!(refused(&log), 0);
    assert!(!fs::read_to_string(&log).unwrap().contains("c4n'ary"));
}

/// All hosts may ask the same directory, which locks an account after some tries.
#[test]
fn a_wrong_password_is_tried_at_one_host_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log");
    let Some((user, _rule)) = asked_user("o", "another one", &log) else {
        return;
    };
    let Some(ran) = become_root(&user, "c4nary-wr0ng", 2) else {
        return;
    };
    let text = ran.out.text();
    let wrong = "cannot become root: sudo: the password is wrong";
    let not_tried = "cannot become root: sudo: the password was not tried: a host has refused it";
    assert_eq!(refused(&log), 1, "{text}");
    assert!(text.contains(wrong) && text.contains(not_tried), "{text}");
    for host in &ran.world.bad {
        assert!(!host.home.join("rights").exists(), "{}", host.name);
    }
}
