//! A known_hosts file: it is read without a crash, the verdict on a key is the same each time, and what is added is
//! found again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use runner::transport::ssh::known_hosts::{KnownHosts, Verdict};
use russh::keys::PublicKey;
use std::sync::LazyLock;

static KEY: LazyLock<PublicKey> = LazyLock::new(|| {
    PublicKey::from_openssh(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ",
    )
    .expect("a key")
});

fuzz_target!(|input: &[u8]| {
    let path = runner_fuzz::file("known_hosts", input);
    let Ok(known) = KnownHosts::load(std::slice::from_ref(&path), &[]) else {
        return;
    };
    let mut unknown = None;
    for (host, port) in [
        ("web1", 22),
        ("web1", 2222),
        ("192.0.2.7", 22),
        ("::1", 22),
        ("db.example.com", 22),
    ] {
        let verdict = known.verdict(host, port, &KEY);
        assert_eq!(verdict, known.verdict(host, port, &KEY));
        known.algorithms(host, port);
        if verdict == Verdict::Unknown {
            unknown = Some((host, port));
        }
    }
    if let Some((host, port)) = unknown
        && KnownHosts::add(&path, host, port, &KEY).is_ok()
    {
        let written = std::fs::read(&path).expect("the file");
        assert!(written.starts_with(input), "a line that was there has gone");
        let known = KnownHosts::load(&[path], &[]).expect("what was just read");
        assert!(matches!(
            known.verdict(host, port, &KEY),
            Verdict::Known { .. }
        ));
    }
});
