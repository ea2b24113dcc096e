//! What a file says of a key.

use crate::cases::{CASES, Case};
use crate::lab::Lab;
use runner::transport::ssh::known_hosts::{KnownHosts, Verdict};
use std::fs;
use std::io::Write;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

pub fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Known { .. } => "known",
        Verdict::Changed { .. } => "changed",
        Verdict::Revoked { .. } => "revoked",
        Verdict::Unknown => "unknown",
    }
}

#[test]
fn the_verdict_is_that_of_ssh() {
    let Some(lab) = Lab::new() else { return };
    assert!(CASES.len() >= 40);
    let wrong = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(case) = CASES.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(problem) = differs(&lab, case) {
                        wrong.lock().unwrap().push(problem);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn differs(lab: &Lab, case: &Case) -> Option<String> {
    let mut file = tempfile::NamedTempFile::new_in(lab.files.folder.path()).unwrap();
    file.write_all(&lab.fill(case.text)).unwrap();
    let path = file.path().to_path_buf();
    let (ssh, said) = lab.ask_ssh(&path, case.host, case.port, case.shown);
    let known = KnownHosts::load(std::slice::from_ref(&path), &[]).unwrap();
    let verdict = known.verdict(case.host, case.port, &lab.shown(case.shown));
    let ours = word(&verdict);
    if ours != ssh || ours != case.verdict {
        return Some(format!(
            "{}: ssh says {ssh}, the runner {ours}, expected {}",
            case.what, case.verdict
        ));
    }
    // Where the key was found, the line is the same too.
    if let Verdict::Known { file, line } = &verdict {
        let place = format!("Found key in {}:{line}", file.display());
        if !said.contains(&place) {
            return Some(format!("{}: ssh does not say {place:?}", case.what));
        }
    }
    None
}

/// Here the runner refuses what `ssh` would take for an unknown host.
#[test]
fn a_key_revoked_for_the_name_is_revoked_for_its_ports() {
    let Some(lab) = Lab::new() else { return };
    let path = lab.files.path("revoked");
    fs::write(&path, lab.fill("@revoked web1 {ed}\n")).unwrap();
    let known = KnownHosts::load(std::slice::from_ref(&path), &[]).unwrap();
    assert_eq!(
        known.verdict("web1", 2222, &lab.shown("ed25519")),
        Verdict::Revoked {
            file: path.clone(),
            line: 1
        }
    );
    let (_, said) = lab.ask_ssh(&path, "web1", 2222, "ed25519");
    assert!(said.contains("REVOKED HOST KEY DETECTED"), "{said}");
    assert!(said.contains("No ED25519 host key is known"), "{said}");
}

#[test]
fn a_changed_key_names_the_key_of_the_same_type() {
    let Some(lab) = Lab::new() else { return };
    let path = lab.files.path("changed");
    fs::write(
        &path,
        lab.fill("# old\nweb1 {rsa}\nweb1 {ed2}\nweb1 {ecdsa}\n"),
    )
    .unwrap();
    let known = KnownHosts::load(std::slice::from_ref(&path), &[]).unwrap();
    let output = Command::new("ssh-keygen")
        .args(["-l", "-f"])
        .arg(lab.files.path("ed2.pub"))
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let fingerprint = printed.split(' ').nth(1).unwrap().to_string();
    assert!(fingerprint.starts_with("SHA256:"));
    assert_eq!(
        known.verdict("web1", 22, &lab.shown("ed25519")),
        Verdict::Changed {
            file: path,
            line: 3,
            known_algorithm: russh::keys::Algorithm::Ed25519,
            known_fingerprint: fingerprint,
        }
    );
}

#[test]
fn known_types_are_asked_for_first() {
    let Some(lab) = Lab::new() else { return };
    let path = lab.files.path("types");
    fs::write(
        &path,
        lab.fill(
            "web1 {rsa}\nweb1 {ed}\nweb1 {ed2}\n@cert-authority web1 {ecdsa}\n\
             web2 {rsa}\n@revoked web2 {rsa}\n[web3]:2222 {ecdsa}\nweb3 {rsa}\n",
        ),
    )
    .unwrap();
    let known = KnownHosts::load(&[path], &[]).unwrap();
    let types = |host, port| -> Vec<String> {
        known
            .algorithms(host, port)
            .iter()
            .map(|algorithm| algorithm.as_str().to_string())
            .collect()
    };
    assert_eq!(types("WEB1", 22), ["ssh-rsa", "ssh-ed25519"]);
    assert_eq!(types("web1", 2222), ["ssh-rsa", "ssh-ed25519"]);
    assert_eq!(types("web2", 22), [""; 0]);
    assert_eq!(types("web3", 2222), ["ecdsa-sha2-nistp256"]);
    assert_eq!(types("web4", 22), [""; 0]);
}

#[test]
fn user_files_come_before_global_ones() {
    let Some(lab) = Lab::new() else { return };
    let (first, second, global) = (
        lab.files.path("first"),
        lab.files.path("second"),
        lab.files.path("global"),
    );
    fs::write(&first, "").unwrap();
    fs::write(&second, lab.fill("web1 {ed}\n")).unwrap();
    fs::write(&global, lab.fill("web1 {ed}\n@revoked web1 {rsa}\n")).unwrap();
    let missing = lab.files.path("missing");
    let known = KnownHosts::load(
        &[missing, first, second.clone()],
        std::slice::from_ref(&global),
    )
    .unwrap();
    assert_eq!(
        known.verdict("web1", 22, &lab.shown("ed25519")),
        Verdict::Known {
            file: second,
            line: 1
        }
    );
    assert_eq!(
        known.verdict("web1", 22, &lab.shown("rsa")),
        Verdict::Revoked {
            file: global,
            line: 2
        }
    );
}
