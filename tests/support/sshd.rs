//! A real `sshd` with its own keys and settings in a temporary folder, on a loopback port.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

/// How long the server may take until it listens.
const START: Duration = Duration::from_secs(20);

/// How often another port is tried, should somebody else have taken the one that was free.
const PORTS: usize = 5;

/// A key type as `ssh-keygen -t` names it.
pub const HOST_KEY_TYPES: [&str; 3] = ["ed25519", "ecdsa", "rsa"];

/// Says that a test could not run, and why. Where `CI` is set that is a failure.
pub fn skip(why: &str) {
    println!("SKIPPED: {why}");
    assert!(
        std::env::var_os("CI").is_none(),
        "SKIPPED: {why}, and CI is set"
    );
}

/// A program's path, also where `sbin` is not in `PATH`.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// Makes a key pair without a passphrase.
pub fn keygen(path: &Path, key_type: &str) {
    let mut command = Command::new("ssh-keygen");
    command.args(["-q", "-N", "", "-C", "test", "-t", key_type]);
    if key_type == "rsa" {
        command.args(["-b", "2048"]);
    }
    let output = command.arg("-f").arg(path).output().unwrap();
    assert!(
        output.status.success(),
        "ssh-keygen: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The login name of whoever runs the tests.
pub fn current_user() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_string()
}

/// A folder that everyone may write to, as `/tmp`.
pub fn locks() -> TempDir {
    let locks = tempfile::Builder::new()
        .prefix("runner-locks-")
        .tempdir()
        .unwrap();
    fs::set_permissions(locks.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    locks
}

/// A server's keys and settings.
pub struct Files {
    /// The folder, gone at the end.
    pub folder: TempDir,
    /// The program.
    pub sshd: PathBuf,
    /// Where runs keep their locks, in place of `/tmp`: each server is a machine of its own.
    pub locks: TempDir,
}

impl Files {
    /// Makes host keys of all types, a client key that may log in, and the settings. `extra` lines come first,
    /// so they win. `None` where there is no `sshd`, with a word about it.
    pub fn new(extra: &[&str]) -> Option<Files> {
        let (Some(sshd), Some(_)) = (program("sshd"), program("ssh-keygen")) else {
            skip("sshd and ssh-keygen are not installed");
            return None;
        };
        let folder = tempfile::Builder::new()
            .prefix("runner-sshd-")
            .tempdir()
            .unwrap();
        for key_type in HOST_KEY_TYPES {
            keygen(&folder.path().join(format!("host_{key_type}")), key_type);
        }
        keygen(&folder.path().join("id_ed25519"), "ed25519");
        fs::copy(
            folder.path().join("id_ed25519.pub"),
            folder.path().join("authorized_keys"),
        )
        .unwrap();
        if current_user() == "root" {
            // Where the server locks itself up before the login.
            fs::create_dir_all("/run/sshd").unwrap();
            fs::set_permissions("/run/sshd", fs::Permissions::from_mode(0o755)).unwrap();
        }
        let files = Files {
            folder,
            sshd,
            locks: locks(),
        };
        files.configure(extra);
        Some(files)
    }

    /// Writes the settings anew.
    pub fn configure(&self, extra: &[&str]) {
        // Of several such lines the first counts.
        let locks = format!("RUNNER_LOCK_DIR={}", self.locks.path().display());
        let line = |line: &&str| match line.starts_with("SetEnv ") {
            true => format!("{line} {locks}\n"),
            false => format!("{line}\n"),
        };
        let mut text: String = extra.iter().map(line).collect();
        for key_type in HOST_KEY_TYPES {
            text += &format!("HostKey {}\n", self.host_key(key_type).display());
        }
        text += &format!(
            "AuthorizedKeysFile {}\n",
            self.path("authorized_keys").display()
        );
        // What the login shell's own files do and complain about is not the tests'.
        text += &format!("SetEnv HOME=/ {locks}\n");
        text += "ListenAddress 127.0.0.1\nPidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n\
                 PasswordAuthentication no\nKbdInteractiveAuthentication no\nLogLevel VERBOSE\n\
                 MaxStartups 100:30:200\nSubsystem sftp internal-sftp\n";
        fs::write(self.config(), text).unwrap();
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The server's settings.
    pub fn config(&self) -> PathBuf {
        self.path("sshd_config")
    }

    /// The private key of the server, by type.
    pub fn host_key(&self, key_type: &str) -> PathBuf {
        self.path(&format!("host_{key_type}"))
    }

    /// The public key of the server, by type, as `ssh-ed25519 AAAA...`.
    pub fn host_key_line(&self, key_type: &str) -> String {
        public_key_line(&self.host_key(key_type))
    }

    /// The private key that may log in.
    pub fn client_key(&self) -> PathBuf {
        self.path("id_ed25519")
    }
}

/// The public half of a key file, without its comment.
pub fn public_key_line(private: &Path) -> String {
    let text = fs::read_to_string(private.with_extension("pub")).unwrap();
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    words.join(" ")
}

/// A server that listens on a loopback port until it is dropped.
pub struct Sshd {
    /// Its keys and settings.
    pub files: Files,
    /// Its port on 127.0.0.1.
    pub port: u16,
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Sshd {
    /// Starts a server. `None` where there is no `sshd`, with a word about it.
    pub fn start(extra: &[&str]) -> Option<Sshd> {
        Some(Self::serve(Files::new(extra)?))
    }

    /// Starts a server with these keys and settings.
    pub fn serve(files: Files) -> Sshd {
        for _ in 0..PORTS {
            let port = free_port();
            let (child, log) = listen(&files, port);
            if let Some(child) = child {
                return Sshd {
                    files,
                    port,
                    child,
                    log,
                };
            }
            let log = log.lock().unwrap();
            assert!(
                log.contains("Address already in use"),
                "sshd does not start:\n{log}"
            );
        }
        panic!("no port is free for sshd");
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The process that listens.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes a `known_hosts` file with all its keys and returns the path.
    pub fn known_hosts(&self) -> PathBuf {
        let path = self.files.path("known_hosts");
        let lines: String = HOST_KEY_TYPES
            .iter()
            .map(|key_type| {
                let key = self.files.host_key_line(key_type);
                format!("[127.0.0.1]:{} {key}\n", self.port)
            })
            .collect();
        fs::write(&path, lines).unwrap();
        path
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Starts the server and waits until it says that it listens. No process if it ended before.
fn listen(files: &Files, port: u16) -> (Option<Child>, Arc<Mutex<String>>) {
    let mut child = Command::new(&files.sshd)
        .args(["-D", "-e", "-p", &port.to_string(), "-f"])
        .arg(files.config())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = Arc::new(Mutex::new(String::new()));
    let (listening, heard) = mpsc::channel();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let noted = Arc::clone(&log);
    std::thread::spawn(move || {
        for line in stderr.split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            noted.lock().unwrap().push_str(&format!("{line}\n"));
            if line.contains("Server listening on") {
                let _ = listening.send(());
            }
        }
    });
    // The channel also ends when the server does.
    if heard.recv_timeout(START).is_ok() {
        return (Some(child), log);
    }
    let _ = child.kill();
    let _ = child.wait();
    (None, log)
}
