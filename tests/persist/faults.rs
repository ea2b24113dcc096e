//! A run is never worse off for what is kept: stale, dead, wrong, or held up.

use crate::kept::{Kept, gone, signal};
use crate::support::promise::{judged, within};
use crate::support::site::{alive, until};
use crate::support::sshd::{HOST_KEY_TYPES, keygen, public_key_line};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

#[test]
fn a_stale_socket_is_passed_over_and_removed() {
    let Some(kept) = Kept::new() else { return };
    kept.says(&[], "first");
    let keeper = kept.keeper();
    signal("KILL", &keeper);
    gone("the keeper is gone", std::slice::from_ref(&keeper));
    assert_eq!(kept.keeper(), keeper, "its socket is still there");
    kept.says(&[], "second");
    assert_ne!(kept.keeper(), keeper);
    assert_eq!(kept.logins(2), 2);
}

#[test]
fn a_keeper_that_makes_no_sense_is_passed_over() {
    let Some(kept) = Kept::new() else { return };
    fs::create_dir(kept.folder()).unwrap();
    fs::set_permissions(kept.folder(), fs::Permissions::from_mode(0o700)).unwrap();
    // One never answers, the other talks nonsense.
    let _silent = UnixListener::bind(kept.folder().join("silent.sock")).unwrap();
    let other = UnixListener::bind(kept.folder().join("other.sock")).unwrap();
    let talking = std::thread::spawn(move || {
        let (mut stream, _) = other.accept().unwrap();
        let _ = std::io::Write::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    kept.says(&[], "first");
    talking.join().unwrap();
    fs::remove_file(kept.folder().join("silent.sock")).unwrap();
    fs::remove_file(kept.folder().join("other.sock")).unwrap();
}

#[test]
fn a_keeper_that_dies_under_a_command_leaves_the_outcome_unknown() {
    let Some(kept) = Kept::new() else { return };
    kept.says(&[], "first");
    let folder = tempfile::tempdir().unwrap();
    let mut running = kept.start(&crate::kept::stubborn(folder.path()));
    let tree = crate::kept::told(folder.path());
    signal("KILL", &kept.keeper());
    let ran = running.end();
    assert_eq!(ran.code, 16, "{ran:?}");
    assert!(
        ran.err
            .contains("the process that kept the connection is gone"),
        "{ran:?}"
    );
    gone("the remote tree is gone", &tree);
}

#[test]
fn a_keeper_that_is_asked_to_end_says_goodbye() {
    let Some(kept) = Kept::new() else { return };
    kept.says(&[], "first");
    let keeper = kept.keepers();
    signal("TERM", &keeper[0]);
    gone("the keeper has ended", &keeper);
    assert!(kept.keepers().is_empty());
    until("the server is left alone", || kept.sessions().is_empty());
}

#[test]
fn a_connection_that_was_cut_is_made_anew() {
    let Some(kept) = Kept::new() else { return };
    kept.says(&[], "first");
    let keeper = kept.keepers();
    for session in kept.sessions() {
        signal("KILL", &session);
    }
    kept.says(&[], "second");
    gone("the keeper has nothing to keep", &keeper);
    assert_eq!(kept.logins(2), 2);
}

#[test]
fn a_silent_connection_is_made_anew_in_two_seconds() {
    judged(|_| {
        let Some(kept) = Kept::new() else { return };
        kept.says(&[], "first");
        let keeper = kept.keepers();
        let sessions = kept.sessions();
        for session in &sessions {
            signal("STOP", session);
        }
        let asked = Instant::now();
        kept.says(&[], "second");
        let took = asked.elapsed();
        for session in &sessions {
            signal("CONT", session);
        }
        assert!(took >= Duration::from_secs(2), "{took:?}");
        within("the second run", took, Duration::from_secs(10));
        gone("the keeper has nothing to keep", &keeper);
        assert_eq!(kept.logins(2), 2);
    });
}

#[test]
fn a_host_that_is_gone_is_unreachable() {
    let Some(kept) = Kept::new() else { return };
    kept.says(&[], "first");
    signal("STOP", &kept.site.sshd.pid().to_string());
    for session in kept.sessions() {
        signal("KILL", &session);
    }
    let ran = kept.exec(&["--connect-timeout", "1s"], "true");
    signal("CONT", &kept.site.sshd.pid().to_string());
    assert_eq!(ran.code, 4, "{ran:?}");
}

#[test]
fn a_host_whose_key_is_no_longer_right_is_not_used() {
    let Some(kept) = Kept::new() else { return };
    kept.says(&[], "first");
    let files = &kept.site.sshd.files;
    let mut lines = String::new();
    for key_type in HOST_KEY_TYPES {
        let path = files.path(&format!("other_{key_type}"));
        keygen(&path, key_type);
        let key = public_key_line(&path);
        lines += &format!("[127.0.0.1]:{} {key}\n", kept.site.sshd.port);
    }
    fs::write(files.path("known_hosts"), lines).unwrap();
    let ran = kept.exec(&[], "true");
    assert_eq!(ran.code, 8, "{ran:?}");
    assert_eq!(kept.logins(1), 1);
    // Nor is it where nothing at all is known.
    fs::write(files.path("known_hosts"), "").unwrap();
    assert_eq!(kept.exec(&[], "true").code, 8);
    kept.site.sshd.known_hosts();
    kept.says(&[], "right again");
    assert_eq!(kept.logins(2), 1);
}

#[test]
fn another_user_or_key_is_another_connection() {
    let Some(kept) = Kept::new() else { return };
    kept.says(&[], "first");
    let key = kept.site.sshd.files.path("copy");
    fs::copy(kept.site.sshd.files.client_key(), &key).unwrap();
    kept.says(&["--key", key.to_str().unwrap()], "second");
    assert_eq!(kept.logins(2), 2);
    assert_eq!(kept.keepers().len(), 2);
    let ran = kept.exec(&["--user", "nobody-of-this-name"], "true");
    assert_eq!(ran.code, 4, "{ran:?}");
}

#[test]
fn a_run_that_stands_still_holds_up_no_other() {
    judged(|_| {
        let Some(kept) = Kept::new() else { return };
        kept.says(&[], "first");
        let wait = tempfile::tempdir().unwrap();
        let path = wait.path().display();
        let mut running = kept.start(&format!(
            "touch {path}/runs; while [ ! -e {path}/go ]; do sleep 0.05; done; n=0; \
             while [ $n -lt 160 ]; do head -c 100000 /dev/zero | tr '\\0' x | fold -w 99; n=$((n + 1)); echo $n >{path}/count; done"
        ));
        until("the command runs", || wait.path().join("runs").exists());
        signal("STOP", &running.group());
        fs::write(wait.path().join("go"), "").unwrap();
        let mut seen = (String::new(), Instant::now());
        until("the output has piled up", || {
            let count = fs::read_to_string(wait.path().join("count")).unwrap_or_default();
            if seen.0 != count {
                seen = (count, Instant::now());
            }
            !seen.0.is_empty() && seen.1.elapsed() > Duration::from_secs(1)
        });
        let asked = Instant::now();
        kept.says(&[], "second");
        kept.says(&[], "third");
        let took = asked.elapsed();
        within("both runs", took, Duration::from_secs(10));
        signal("CONT", &running.group());
        let ran = running.end();
        assert_eq!(ran.code, 0, "{}", ran.err);
        assert!(ran.out.len() > 15_000_000, "{}", ran.out.len());
        assert!(alive(&kept.keepers()[0]));
    });
}
