//! Files that can't be read, and new keys that are written.

use crate::support::sshd;
use crate::verdict::word;
use runner::transport::ssh::known_hosts::KnownHosts;
use russh::keys::PublicKey;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn what_cannot_be_read_is_not_empty() {
    let folder = tempfile::tempdir().unwrap();
    let problem = KnownHosts::load(&[folder.path().to_path_buf()], &[]).unwrap_err();
    assert_eq!(
        problem.message,
        format!(
            "can't read the known hosts in {}: is a directory",
            folder.path().display()
        )
    );
    assert_eq!(
        problem.help,
        [
            "make the file readable, or set `user_known_hosts_file` or `global_known_hosts_file` to another one"
        ]
    );
    let secret = folder.path().join("secret");
    fs::write(&secret, "").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o0)).unwrap();
    // The superuser reads everything.
    if fs::read(&secret).is_err() {
        let problem = KnownHosts::load(&[], &[secret]).unwrap_err();
        assert!(problem.message.ends_with(": permission denied"));
    }
    assert!(KnownHosts::load(&[folder.path().join("missing")], &[]).is_ok());
    assert!(KnownHosts::load(&[PathBuf::from("/dev/null")], &[]).is_ok());
}

fn some_keys(folder: &Path) -> (PublicKey, PublicKey) {
    let read = |name: &str, key_type: &str| {
        sshd::keygen(&folder.join(name), key_type);
        PublicKey::from_openssh(&sshd::public_key_line(&folder.join(name))).unwrap()
    };
    (read("one", "ed25519"), read("two", "ecdsa"))
}

#[test]
fn a_new_key_is_one_clean_line() {
    if sshd::program("ssh-keygen").is_none() {
        return sshd::skip("ssh-keygen is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = some_keys(folder.path());
    let file = folder.path().join("home/.ssh/known_hosts");
    assert!(KnownHosts::add(&file, "Web1", 22, &one).unwrap());
    assert!(KnownHosts::add(&file, "web1", 2222, &two).unwrap());
    assert!(KnownHosts::add(&file, "2001:db8::1", 22, &one).unwrap());
    // Known already, also in another way.
    assert!(!KnownHosts::add(&file, "WEB1", 22, &one).unwrap());
    let expected = format!(
        "web1 {}\n[web1]:2222 {}\n2001:db8::1 {}\n",
        sshd::public_key_line(&folder.path().join("one")),
        sshd::public_key_line(&folder.path().join("two")),
        sshd::public_key_line(&folder.path().join("one")),
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), expected);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file), 0o600);
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    let known = KnownHosts::load(&[file], &[]).unwrap();
    assert_eq!(word(&known.verdict("web1", 2222, &two)), "known");
    assert_eq!(word(&known.verdict("web1", 22, &one)), "known");
}

#[test]
fn a_missing_newline_is_added_first() {
    if sshd::program("ssh-keygen").is_none() {
        return sshd::skip("ssh-keygen is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let (one, _) = some_keys(folder.path());
    let file = folder.path().join("known_hosts");
    fs::write(&file, "db1 ssh-ed25519 AAAA").unwrap();
    assert!(KnownHosts::add(&file, "web1", 22, &one).unwrap());
    let line = sshd::public_key_line(&folder.path().join("one"));
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        format!("db1 ssh-ed25519 AAAA\nweb1 {line}\n")
    );
}

#[test]
fn many_runners_at_once_leave_clean_lines() {
    if sshd::program("ssh-keygen").is_none() {
        return sshd::skip("ssh-keygen is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let (one, _) = some_keys(folder.path());
    let file = folder.path().join("known_hosts");
    let added = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for host in 0..26 {
                    if KnownHosts::add(&file, &format!("host{host}"), 22, &one).unwrap() {
                        added.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(added.into_inner(), 26);
    let text = fs::read_to_string(&file).unwrap();
    let key = sshd::public_key_line(&folder.path().join("one"));
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    let mut expected: Vec<String> = (0..26).map(|host| format!("host{host} {key}")).collect();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

#[test]
fn a_name_that_would_mean_more_is_refused() {
    if sshd::program("ssh-keygen").is_none() {
        return sshd::skip("ssh-keygen is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let (one, _) = some_keys(folder.path());
    let file = folder.path().join("known_hosts");
    for name in [
        "*",
        "web1,web2",
        "a b",
        "!a",
        "#a",
        "|1|a",
        "@revoked",
        "",
        "a\nb",
    ] {
        let problem = KnownHosts::add(&file, name, 22, &one).unwrap_err();
        assert_eq!(
            problem.message,
            format!(
                "can't note a host key for `{}`: it is not a plain host name",
                name.escape_debug()
            )
        );
    }
    assert!(!file.exists());
    let problem = KnownHosts::add(folder.path(), "web1", 22, &one).unwrap_err();
    assert_eq!(
        problem.message,
        format!(
            "can't add a host key to {}: is a directory",
            folder.path().display()
        )
    );
    assert!(KnownHosts::add(Path::new("/dev/null"), "web1", 22, &one).unwrap());
}
