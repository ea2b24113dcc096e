//! The verdict on a host key, against what OpenSSH's own client says to the same files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that can't go on says so"
)]

mod support;

use runner::transport::ssh::known_hosts::{KnownHosts, Verdict};
use russh::keys::PublicKey;
use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::sshd;

/// One file of known hosts, the host that is asked about, and what both must say.
struct Case {
    what: &'static str,
    /// `{ed}`, `{ecdsa}`, `{rsa}` are the server's keys, `{ed2}`, `{rsa2}` others; `{hash NAME}` a hashed name.
    text: &'static str,
    host: &'static str,
    port: u16,
    /// The key that the server shows.
    shown: &'static str,
    /// `known`, `changed`, `revoked` or `unknown`.
    verdict: &'static str,
}

const fn case(
    what: &'static str,
    text: &'static str,
    host: &'static str,
    port: u16,
    shown: &'static str,
    verdict: &'static str,
) -> Case {
    Case {
        what,
        text,
        host,
        port,
        shown,
        verdict,
    }
}

#[rustfmt::skip]
const CASES: &[Case] = &[
    case("empty", "", "web1", 22, "ed25519", "unknown"),
    case("plain", "web1 {ed}\n", "web1", 22, "ed25519", "known"),
    case("no newline at the end", "web1 {ed}", "web1", 22, "ed25519", "known"),
    case("CR LF", "web1 {ed}\r\n", "web1", 22, "ed25519", "known"),
    case("CR LF and a comment", "web1 {ed} me@home\r\n", "web1", 22, "ed25519", "known"),
    case("another key", "web1 {ed2}\n", "web1", 22, "ed25519", "changed"),
    case("another host", "web2 {ed}\n", "web1", 22, "ed25519", "unknown"),
    case("only another type", "web1 {rsa}\n", "web1", 22, "ed25519", "changed"),
    case("only another curve type", "web1 {ecdsa}\n", "web1", 22, "ed25519", "changed"),
    case("several types", "web1 {rsa}\nweb1 {ecdsa}\nweb1 {ed}\n", "web1", 22, "ed25519", "known"),
    case("an old and the new key", "web1 {ed2}\nweb1 {ed}\n", "web1", 22, "ed25519", "known"),
    case("the new and an old key", "web1 {ed}\nweb1 {ed2}\n", "web1", 22, "ed25519", "known"),
    case("shows rsa", "web1 {rsa}\n", "web1", 22, "rsa", "known"),
    case("shows rsa, another is known", "web1 {rsa2}\n", "web1", 22, "rsa", "changed"),
    case("shows ecdsa", "web1 {ecdsa}\n", "web1", 22, "ecdsa", "known"),
    case("shows ecdsa, ed25519 is known", "web1 {ed}\n", "web1", 22, "ecdsa", "changed"),
    case("type named after the signature", "web1 {rsa as rsa-sha2-512}\n", "web1", 22, "rsa", "known"),
    case("list of names", "db1,web1,10.0.0.1 {ed}\n", "web1", 22, "ed25519", "known"),
    case("list with an address", "web1,10.0.0.1 {ed}\n", "10.0.0.1", 22, "ed25519", "known"),
    case("IPv6 address", "2001:db8::1 {ed}\n", "2001:db8::1", 22, "ed25519", "known"),
    case("IPv6 address and port", "[2001:db8::1]:2222 {ed}\n", "2001:db8::1", 2222, "ed25519", "known"),
    case("star", "*.example.com {ed}\n", "web1.example.com", 22, "ed25519", "known"),
    case("star does not match the bare domain", "*.example.com {ed}\n", "example.com", 22, "ed25519", "unknown"),
    case("question mark", "web? {ed}\n", "web1", 22, "ed25519", "known"),
    case("question mark is one character", "web? {ed}\n", "web10", 22, "ed25519", "unknown"),
    case("star alone", "* {ed}\n", "web1", 22, "ed25519", "known"),
    case("star alone with a port", "* {ed}\n", "web1", 2222, "ed25519", "known"),
    case("negation before", "!web1,web* {ed}\n", "web1", 22, "ed25519", "unknown"),
    case("negation behind", "web*,!web1 {ed}\n", "web1", 22, "ed25519", "unknown"),
    case("negation of another", "web*,!web2 {ed}\n", "web1", 22, "ed25519", "known"),
    case("negation alone", "!web2 {ed}\n", "web1", 22, "ed25519", "unknown"),
    case("negated, but another line knows it", "web*,!web1 {ed2}\nweb1 {ed}\n", "web1", 22, "ed25519", "known"),
    case("empty names in the list", ",,web1,, {ed}\n", "web1", 22, "ed25519", "known"),
    case("port", "[web1]:2222 {ed}\n", "web1", 2222, "ed25519", "known"),
    case("port, another key", "[web1]:2222 {ed2}\n", "web1", 2222, "ed25519", "changed"),
    case("another port", "[web1]:2223 {ed}\n", "web1", 2222, "ed25519", "unknown"),
    case("port 22 in brackets is another name", "[web1]:22 {ed}\n", "web1", 22, "ed25519", "unknown"),
    case("a port's key does not count for port 22", "[web1]:2222 {ed}\n", "web1", 22, "ed25519", "unknown"),
    case("without the port the same key counts", "web1 {ed}\n", "web1", 2222, "ed25519", "known"),
    case("without the port another key does not count", "web1 {ed2}\n", "web1", 2222, "ed25519", "unknown"),
    case("with the port changed, without it the same", "[web1]:2222 {ed2}\nweb1 {ed}\n", "web1", 2222, "ed25519", "changed"),
    case("a star for the port", "[web1]:* {ed}\n", "web1", 2222, "ed25519", "known"),
    case("a star in brackets", "[*.example.com]:2222 {ed}\n", "web1.example.com", 2222, "ed25519", "known"),
    case("hashed", "{hash web1} {ed}\n", "web1", 22, "ed25519", "known"),
    case("hashed, another key", "{hash web1} {ed2}\n", "web1", 22, "ed25519", "changed"),
    case("hashed, another host", "{hash web2} {ed}\n", "web1", 22, "ed25519", "unknown"),
    case("hashed with a port", "{hash [web1]:2222} {ed}\n", "web1", 2222, "ed25519", "known"),
    case("hashed, without the port", "{hash web1} {ed}\n", "web1", 2222, "ed25519", "known"),
    case("hashed in a list", "{hash web1},db1 {ed}\n", "web1", 22, "ed25519", "unknown"),
    case("a name before a hash", "db1,{hash web1} {ed}\n", "web1", 22, "ed25519", "unknown"),
    case("corrupt hash", "|1|xxxx|yyyy {ed}\nweb1 {ed}\n", "web1", 22, "ed25519", "known"),
    case("hash of another kind", "|2|AAAA|BBBB {ed}\n", "web1", 22, "ed25519", "unknown"),
    case("hash without an end", "|1|AAAA {ed}\n", "web1", 22, "ed25519", "unknown"),
    case("upper case in the file", "WEB1.Example.COM {ed}\n", "web1.example.com", 22, "ed25519", "known"),
    case("upper case host", "web1 {ed}\n", "WEB1", 22, "ed25519", "known"),
    case("upper case host, hashed", "{hash web1} {ed}\n", "WEB1", 22, "ed25519", "known"),
    case("ssh-keygen hashes lower case", "{hash WEB1} {ed}\n", "WEB1", 22, "ed25519", "known"),
    case("upper case host, changed", "web1 {ed2}\n", "Web1", 22, "ed25519", "changed"),
    case("tabs", "web1\t{ed tab}\n", "web1", 22, "ed25519", "known"),
    case("blanks before and between", "  \t web1  \t {ed}   me\n", "web1", 22, "ed25519", "known"),
    case("comments and blank lines", "# hosts\n\n   # more\nweb1 {ed} # not a comment\n", "web1", 22, "ed25519", "known"),
    case("commented out", "#web1 {ed}\n", "web1", 22, "ed25519", "unknown"),
    case("form feed is no blank", "\x0cweb1 {ed}\n", "web1", 22, "ed25519", "unknown"),
    case("revoked", "@revoked web1 {ed}\n", "web1", 22, "ed25519", "revoked"),
    case("known and revoked", "web1 {ed}\n@revoked web1 {ed}\n", "web1", 22, "ed25519", "revoked"),
    case("revoked and known", "@revoked * {ed}\nweb1 {ed}\n", "web1", 22, "ed25519", "revoked"),
    case("changed and revoked", "web1 {ed2}\n@revoked web1 {ed}\n", "web1", 22, "ed25519", "revoked"),
    case("another key is revoked", "@revoked web1 {ed2}\nweb1 {ed}\n", "web1", 22, "ed25519", "known"),
    case("only another key is revoked", "@revoked web1 {ed2}\n", "web1", 22, "ed25519", "unknown"),
    case("revoked for another host", "@revoked web2 {ed}\nweb1 {ed}\n", "web1", 22, "ed25519", "known"),
    case("revoked, hashed", "@revoked {hash web1} {ed}\n", "web1", 22, "ed25519", "revoked"),
    case("revoked for a port", "@revoked [web1]:2222 {ed}\nweb1 {ed}\n", "web1", 2222, "ed25519", "revoked"),
    case("revoked, tabs only", "@revoked\tweb1\t{ed tab}\n", "web1", 22, "ed25519", "revoked"),
    case("revoked, a tab and then blanks", "@revoked\tweb1 {ed}\nweb1 {ed}\n", "web1", 22, "ed25519", "known"),
    case("upper case marker", "@REVOKED web1 {ed}\nweb1 {ed}\n", "web1", 22, "ed25519", "known"),
    case("two markers", "@revoked @cert-authority web1 {ed}\nweb1 {ed}\n", "web1", 22, "ed25519", "known"),
    case("unknown marker", "@trusted web1 {ed}\n", "web1", 22, "ed25519", "unknown"),
    case("authority is not the key", "@cert-authority web1 {ed}\n", "web1", 22, "ed25519", "unknown"),
    case("another authority is no change", "@cert-authority * {ed2}\n", "web1", 22, "ed25519", "unknown"),
    case("an authority beside the key", "@cert-authority * {ed2}\nweb1 {ed}\n", "web1", 22, "ed25519", "known"),
    case("name alone", "web1\nweb1 {ed}\n", "web1", 22, "ed25519", "known"),
    case("name and type", "web1 ssh-ed25519\n", "web1", 22, "ed25519", "unknown"),
    case("corrupt base64", "web1 ssh-ed25519 AAAA!!!!\n", "web1", 22, "ed25519", "unknown"),
    case("cut off", "web1 {ed cut}\n", "web1", 22, "ed25519", "unknown"),
    case("cut off, then whole", "web1 {ed cut}\nweb1 {ed}\n", "web1", 22, "ed25519", "known"),
    case("bytes behind the key", "web1 {ed longer}\n", "web1", 22, "ed25519", "unknown"),
    case("type of another key", "web1 {ed as ssh-rsa}\n", "web1", 22, "ed25519", "unknown"),
    case("unknown type", "web1 {ed as ssh-unknown}\n", "web1", 22, "ed25519", "unknown"),
    case("upper case type", "web1 {ed as SSH-ED25519}\n", "web1", 22, "ed25519", "unknown"),
    case("a small RSA key is passed over", "web1 {rsa small}\n", "web1", 22, "ed25519", "unknown"),
    case("old protocol's line", "web1 1024 35 1234567890\n", "web1", 22, "ed25519", "unknown"),
    case("a quoted name is another name", "\"web1\" {ed}\n", "web1", 22, "ed25519", "unknown"),
    case("not UTF-8", "w\u{1}\u{fffd}b1 {ed}\nweb1 {ed}\n", "web1", 22, "ed25519", "known"),
];

/// The scratch server, and the keys that the cases speak of.
struct Lab {
    files: sshd::Files,
    keys: HashMap<&'static str, String>,
}

impl Lab {
    fn new() -> Option<Lab> {
        let files = sshd::Files::new(&[])?;
        let mut keys = HashMap::new();
        for (name, key_type) in [("ed", "ed25519"), ("ecdsa", "ecdsa"), ("rsa", "rsa")] {
            keys.insert(name, files.host_key_line(key_type));
        }
        for (name, key_type) in [("ed2", "ed25519"), ("rsa2", "rsa")] {
            let path = files.path(name);
            sshd::keygen(&path, key_type);
            keys.insert(name, sshd::public_key_line(&path));
        }
        Some(Lab { files, keys })
    }

    fn shown(&self, key_type: &str) -> PublicKey {
        PublicKey::from_openssh(&self.files.host_key_line(key_type)).unwrap()
    }

    /// Puts keys and hashes into the text of a case.
    fn fill(&self, text: &str) -> Vec<u8> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap();
            filled += before;
            filled += &self.value(name);
            rest = after;
        }
        filled += rest;
        // One byte that is no UTF-8.
        let mut bytes = filled.into_bytes();
        if let Some(at) = bytes
            .windows(3)
            .position(|window| window == "\u{fffd}".as_bytes())
        {
            bytes.splice(at..at + 3, [0xff]);
        }
        bytes
    }

    fn value(&self, name: &str) -> String {
        if let Some(host) = name.strip_prefix("hash ") {
            return self.hash(host);
        }
        let (key, how) = name.split_once(' ').unwrap_or((name, ""));
        let line = &self.keys[key];
        let (of_type, blob) = line.split_once(' ').unwrap();
        match how {
            "" => line.clone(),
            "tab" => format!("{of_type}\t{blob}"),
            "cut" => format!("{of_type} {}", &blob[..blob.len() - 8]),
            "longer" => format!("{of_type} {blob}AAAA"),
            "small" => format!("ssh-rsa {SMALL_RSA}"),
            how => format!("{} {blob}", how.strip_prefix("as ").unwrap()),
        }
    }

    /// `ssh-keygen -H` makes the hash.
    fn hash(&self, host: &str) -> String {
        let path = tempfile::NamedTempFile::new_in(self.files.folder.path()).unwrap();
        fs::write(path.path(), format!("{host} {}\n", self.keys["ed"])).unwrap();
        let status = Command::new("ssh-keygen")
            .args(["-q", "-H", "-f"])
            .arg(path.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
        let text = fs::read_to_string(path.path()).unwrap();
        let _ = fs::remove_file(path.path().with_extension("old"));
        text.split(' ').next().unwrap().to_string()
    }

    /// What `ssh` says to a server that shows this key, and the whole of what it printed.
    fn ask_ssh(&self, file: &Path, host: &str, port: u16, shown: &str) -> (&'static str, String) {
        let algorithm = match shown {
            "ed25519" => "ssh-ed25519",
            "ecdsa" => "ecdsa-sha2-nistp256",
            _ => "rsa-sha2-512",
        };
        let proxy = format!(
            "ProxyCommand={} -i -f {}",
            self.files.sshd.display(),
            self.files.config().display()
        );
        let output = Command::new("ssh")
            .args(["-v", "-F", "none", "-p", &port.to_string()])
            .args(["-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"])
            .args(["-o", "UpdateHostKeys=no", "-o", "PubkeyAuthentication=no"])
            .args(["-o", &format!("HostKeyAlgorithms={algorithm}")])
            .args(["-o", "GlobalKnownHostsFile=none", "-o", &proxy])
            .args(["-o", &format!("UserKnownHostsFile={}", file.display())])
            .args([host, "true"])
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let verdicts = [
            ("REVOKED HOST KEY DETECTED", "revoked"),
            ("REMOTE HOST IDENTIFICATION HAS CHANGED", "changed"),
            ("host key is known for", "unknown"),
            ("is known and matches the", "known"),
        ];
        for (words, verdict) in verdicts {
            if said.contains(words) {
                return (verdict, said);
            }
        }
        panic!("ssh gave no verdict:\n{said}");
    }
}

/// A public RSA key of 768 bits, which OpenSSH no longer makes.
const SMALL_RSA: &str = "AAAAB3NzaC1yc2EAAAADAQABAAAAYQCNEW7OFzj32T2cFyQR4guPaw1Um28DZ1oWAKNaCZlQ2Db2dcyB50716OJdlA7ZBHWVMZhdXZ3J+BgY6BGJL5Ar0j8IJBKLLzMMXH/QpqOkUGUTJw4mng038qdN5FLmtDk=";

fn word(verdict: &Verdict) -> &'static str {
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
