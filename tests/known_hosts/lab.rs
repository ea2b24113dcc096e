//! Keys, and what OpenSSH's client says to a file with them.

use crate::support::sshd;
use russh::keys::PublicKey;
use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// The scratch server, and the keys that the cases speak of.
pub struct Lab {
    pub files: sshd::Files,
    pub keys: HashMap<&'static str, String>,
}

impl Lab {
    pub fn new() -> Option<Lab> {
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

    pub fn shown(&self, key_type: &str) -> PublicKey {
        PublicKey::from_openssh(&self.files.host_key_line(key_type)).unwrap()
    }

    /// Puts keys and hashes into the text of a case.
    pub fn fill(&self, text: &str) -> Vec<u8> {
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

    pub fn value(&self, name: &str) -> String {
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
    pub fn hash(&self, host: &str) -> String {
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
    pub fn ask_ssh(
        &self,
        file: &Path,
        host: &str,
        port: u16,
        shown: &str,
    ) -> (&'static str, String) {
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
