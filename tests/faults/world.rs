//! The world of one case: a real sshd with a home for each host, a proxy in front of it for each host, and the folder
//! that the runner is started in.

use crate::support::hostile::{self, Server};
use crate::support::proxy::{Proxy, Rule};
use crate::support::sshd::{Files, Sshd, current_user, locks, program, skip};
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, HashAlg, PrivateKey};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

/// What is wrong with a host.
#[derive(Clone)]
pub enum Bad {
    /// Nothing: the fault is in what is done there.
    Host,
    /// What happens to each connection to a real sshd, by its number.
    Link(Arc<dyn Fn(usize) -> Vec<Rule> + Send + Sync>),
    /// Another server than sshd.
    Server(Arc<Server>),
    /// Nothing, and this is the name that it is reached by.
    Named(&'static str),
    /// Something else at this address and port.
    At(String, u16),
}

impl Bad {
    /// The same rules for every connection.
    pub fn link(rules: Vec<Rule>) -> Self {
        Bad::Link(Arc::new(move |_| rules.clone()))
    }

    pub fn server(server: Server) -> Self {
        Bad::Server(Arc::new(server))
    }
}

/// A host of the case.
pub struct Host {
    pub name: String,
    /// Its home on the "target".
    pub home: PathBuf,
    /// What stands in front of the sshd, if that is where the host is.
    pub proxy: Option<Proxy>,
    server: Option<Arc<Server>>,
    address: String,
    pub port: u16,
}

impl Host {
    /// How many lines the command has left here.
    pub fn marks(&self) -> usize {
        let text = fs::read_to_string(self.home.join("marker")).unwrap_or_default();
        text.lines().count()
    }

    /// How many connections to it are open.
    pub fn open(&self) -> usize {
        let proxied = self.proxy.as_ref().map_or(0, Proxy::open);
        let served = self.server.as_ref().map_or(0, |server| server.open());
        proxied + served
    }

    /// When the first fault struck.
    pub fn struck(&self) -> Option<std::time::Instant> {
        let seen = self.proxy.as_ref()?.seen();
        seen.iter().filter_map(|seen| seen.struck).min()
    }
}

/// The world of one case.
pub struct World {
    pub sshd: Sshd,
    /// Of the key that logs in.
    pub fingerprint: String,
    pub good: Vec<Host>,
    pub bad: Vec<Host>,
}

impl World {
    /// So many good hosts, and these, with these connection settings. `None` where there is no `sshd`, with a word about it.
    pub fn new(good: usize, bad: &[Bad], settings: &[String], connection: &str) -> Option<Self> {
        let Some(program) = program("sshd") else {
            skip("sshd is not installed");
            return None;
        };
        let folder = tempfile::Builder::new()
            .prefix("runner-faults-")
            .tempdir()
            .unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let files = Files {
            folder,
            sshd: program,
            locks: locks(),
        };
        for name in ["host", "client"] {
            key(&files.path(name));
        }
        fs::copy(files.path("client.pub"), files.path("authorized_keys")).unwrap();
        let names = (1..=good).map(|number| format!("good{number}"));
        let bads = match bad.len() {
            1 => vec!["bad".to_string()],
            count => (1..=count).map(|number| format!("bad{number}")).collect(),
        };
        let names: Vec<String> = names.chain(bads).collect();
        let homes: Vec<PathBuf> = names
            .iter()
            .map(|name| files.path("hosts").join(name))
            .collect();
        for home in &homes {
            fs::create_dir_all(home).unwrap();
        }
        for name in ["tmp", "run", "etc"] {
            fs::create_dir(files.path(name)).unwrap();
        }
        fs::set_permissions(files.path("run"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(files.config(), configuration(&files, settings, &homes)).unwrap();
        let sshd = Sshd::serve(files);
        let host =
            |number: usize, bad: Bad| Host::new(&sshd, &names[number], &homes[number], number, bad);
        let world = Self {
            fingerprint: fingerprint(&sshd.files.path("client.pub")),
            good: (0..good).map(|number| host(number, Bad::Host)).collect(),
            bad: (good..)
                .zip(bad)
                .map(|(number, bad)| host(number, bad.clone()))
                .collect(),
            sshd,
        };
        world.write_inventory(connection);
        Some(world)
    }

    /// The folder of everything.
    pub fn folder(&self) -> &Path {
        self.sshd.files.folder.path()
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// Where a host keeps its locks, the good hosts counted first.
    pub fn locks(&self, number: usize) -> PathBuf {
        self.sshd.files.locks.path().join(number.to_string())
    }

    /// The runner with these words, about to start in the folder with a home and folders of its own.
    pub fn runner(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
        command
            .args(words)
            .args(["-i", "etc/hosts.toml", "-F", "/dev/null", "--log", "log"])
            .current_dir(self.folder())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.path("etc"))
            .env("TMPDIR", self.path("tmp"))
            .env("XDG_STATE_HOME", self.path("state"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("RUNNER_PERSIST", "0")
            .env("RUNNER_LOG", "debug")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// All hosts.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.good.iter().chain(&self.bad)
    }

    fn write_inventory(&self, connection: &str) {
        let mut inventory = format!(
            "[connection]\nuser = \"{}\"\nidentity_file = \"{}\"\nuser_known_hosts_file = \"{}\"\n\n[hosts]\n",
            current_user(),
            self.path("client").display(),
            self.path("etc/known_hosts").display(),
        );
        let mut known_hosts = String::new();
        let sshd = crate::support::sshd::public_key_line(&self.path("host"));
        for host in self.hosts() {
            let Host {
                name,
                address,
                port,
                ..
            } = host;
            // A busy machine is no reason to call a good host unreachable.
            let connection = match self.good.iter().any(|good| good.name == *name) {
                true => "connect_timeout = \"60s\"",
                false => connection,
            };
            inventory += &format!(
                "{name} = {{ address = \"{address}\", port = {port}, vars = {{ home = \"{}\" }}, connection = {{ {connection} }} }}\n",
                host.home.display()
            );
            let key = match host.server {
                None => sshd.clone(),
                Some(_) => hostile::host_key_line(),
            };
            known_hosts += &format!("[{address}]:{port} {key}\n");
        }
        let names = |hosts: &[Host]| {
            let names: Vec<String> = hosts
                .iter()
                .map(|host| format!("\"{}\"", host.name))
                .collect();
            names.join(", ")
        };
        inventory += &format!(
            "\n[groups]\ngood = {{ hosts = [{}] }}\nbad = {{ hosts = [{}] }}\n",
            names(&self.good),
            names(&self.bad)
        );
        fs::write(self.path("etc/hosts.toml"), inventory).unwrap();
        fs::write(self.path("etc/known_hosts"), known_hosts).unwrap();
    }
}

impl Host {
    fn new(sshd: &Sshd, name: &str, home: &Path, number: usize, bad: Bad) -> Self {
        let mut host = Self {
            name: name.to_string(),
            home: home.to_path_buf(),
            proxy: None,
            server: None,
            address: "127.0.0.1".into(),
            port: 0,
        };
        let proxy = match bad {
            Bad::Host => Proxy::honest(sshd.address()),
            Bad::Named(name) => {
                host.address = name.into();
                Proxy::honest(sshd.address())
            }
            Bad::Link(plan) => Proxy::start(sshd.address(), move |number| plan(number)),
            Bad::Server(server) => {
                host.port = server.port;
                host.server = Some(server);
                return host;
            }
            Bad::At(address, port) => {
                (host.address, host.port) = (address, port);
                return host;
            }
        };
        proxy.comes_from(source(number));
        host.port = proxy.port;
        host.proxy = Some(proxy);
        host
    }
}

/// The address that the sshd sees a host's connections come from: by that it knows which home is meant.
fn source(number: usize) -> IpAddr {
    let number = u16::try_from(number + 1).unwrap().to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 1, number[0], number[1]))
}

fn configuration(files: &Files, settings: &[String], homes: &[PathBuf]) -> String {
    let mut text: String = settings.iter().map(|line| format!("{line}\n")).collect();
    text += &format!(
        "HostKey {}\nAuthorizedKeysFile {}\n",
        files.path("host").display(),
        files.path("authorized_keys").display()
    );
    text += "ListenAddress 127.0.0.1\nPidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin yes\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\nLogLevel VERBOSE\nMaxStartups 1000\n";
    for (number, home) in homes.iter().enumerate() {
        let locks = files.locks.path().join(number.to_string());
        fs::create_dir(&locks).unwrap();
        text += &format!(
            "Match Address {}\n    SetEnv HOME={} RUNNER_LOCK_DIR={}\n",
            source(number),
            home.display(),
            locks.display()
        );
    }
    text
}

/// Makes a key pair.
pub fn key(path: &Path) {
    let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap();
    key.write_openssh_file(path, LineEnding::LF).unwrap();
    key.public_key()
        .write_openssh_file(path.with_extension("pub"))
        .unwrap();
}

/// Gives the key that logs in a passphrase.
pub fn lock_key(world: &World, passphrase: &str) {
    let path = world.path("client");
    let key = PrivateKey::read_openssh_file(&path).unwrap();
    let key = key
        .encrypt(&mut russh::keys::key::safe_rng(), passphrase)
        .unwrap();
    key.write_openssh_file(&path, LineEnding::LF).unwrap();
}

/// The fingerprint of a public key.
pub fn fingerprint(path: &Path) -> String {
    let key = russh::keys::load_public_key(path).unwrap();
    key.fingerprint(HashAlg::Sha256).to_string()
}
