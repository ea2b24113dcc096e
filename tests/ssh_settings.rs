//! The layers of connection settings, and what is refused before the first connection.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that can't go on says so"
)]

use runner::diagnostic::Problem;
use runner::document::Table;
use runner::inventory::{ConnectionSettings, Host};
use runner::transport::ssh::config::{Environment, SshConfig};
use runner::transport::ssh::settings::{StrictHostKeyChecking, Target, resolve};
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A home folder, and nothing else that a real machine has.
struct Home {
    folder: tempfile::TempDir,
}

impl Home {
    fn new() -> Home {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(".ssh")).unwrap();
        Home { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn key(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, "-----BEGIN OPENSSH PRIVATE KEY-----\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn environment(&self) -> Environment {
        Environment {
            home: self.folder.path().to_path_buf(),
            user: "me".to_string(),
            uid: rustix::process::getuid().as_raw(),
            host_name: "desk.example.com".to_string(),
            system_folder: self.path("etc"),
            variables: HashMap::from([("SSH_AUTH_SOCK".to_string(), "/run/agent".to_string())]),
        }
    }

    fn load(&self, text: &str) -> Result<SshConfig, Problem> {
        fs::write(self.path(".ssh/config"), text).unwrap();
        fs::set_permissions(self.path(".ssh/config"), fs::Permissions::from_mode(0o600)).unwrap();
        SshConfig::load_in(self.environment(), None)
    }

    fn resolve(&self, text: &str) -> Result<Target, Problem> {
        resolve(&host("web1", none()), &none(), &self.load(text)?)
    }

    /// The whole report of a problem, with the home folder as `~`.
    fn report(&self, problem: &Problem) -> String {
        let home = self.folder.path().to_str().unwrap();
        problem.to_string().replace(home, "~")
    }
}

fn none() -> ConnectionSettings {
    ConnectionSettings::default()
}

fn host(name: &str, connection: ConnectionSettings) -> Host {
    Host {
        name: name.to_string(),
        connection,
        groups: Vec::new(),
        vars: Table::default(),
    }
}

#[test]
fn everything_has_a_value() {
    let home = Home::new();
    let key = home.key(".ssh/id_rsa", 0o600);
    let target = home.resolve("").unwrap();
    assert_eq!(
        target,
        Target {
            name: "web1".to_string(),
            address: "web1".to_string(),
            port: 22,
            user: "me".to_string(),
            identity_files: vec![key],
            identities_only: false,
            identity_agent: Some(PathBuf::from("/run/agent")),
            user_known_hosts_files: vec![
                home.path(".ssh/known_hosts"),
                home.path(".ssh/known_hosts2")
            ],
            global_known_hosts_files: vec![
                home.path("etc/ssh_known_hosts"),
                home.path("etc/ssh_known_hosts2")
            ],
            host_key_name: "web1".to_string(),
            host_key_port: 22,
            strict_host_key_checking: StrictHostKeyChecking::Ask,
            jumps: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            server_alive_interval: Some(Duration::from_secs(15)),
            server_alive_count_max: 3,
        }
    );
}

#[test]
fn the_command_line_stands_above_the_inventory_and_that_above_the_file() {
    let home = Home::new();
    let config = home
        .load("User file\nPort 1\nHostName file.example.com\nConnectTimeout 7\nServerAliveInterval 0\n")
        .unwrap();
    let inventory = ConnectionSettings {
        user: Some("inventory".to_string()),
        port: Some(2),
        ..none()
    };
    let cli = ConnectionSettings {
        user: Some("cli".to_string()),
        strict_host_key_checking: Some("accept-new".to_string()),
        ..none()
    };
    let target = resolve(&host("web1", inventory), &cli, &config).unwrap();
    assert_eq!(target.user, "cli");
    assert_eq!(target.port, 2);
    assert_eq!(target.address, "file.example.com");
    assert_eq!(
        (target.host_key_name.as_str(), target.host_key_port),
        ("file.example.com", 2)
    );
    assert_eq!(target.connect_timeout, Duration::from_secs(7));
    assert_eq!(target.server_alive_interval, None);
    assert_eq!(
        target.strict_host_key_checking,
        StrictHostKeyChecking::AcceptNew
    );
}

#[test]
fn a_host_block_means_name_and_address() {
    let home = Home::new();
    let config = home
        .load("Host 10.0.0.*\n  User address\nHost web*\n  Port 7\nHost * !10.0.0.1\n  HostKeyAlias x\n")
        .unwrap();
    let connection = ConnectionSettings {
        address: Some("10.0.0.1".to_string()),
        ..none()
    };
    let target = resolve(&host("web1", connection), &none(), &config).unwrap();
    assert_eq!((target.user.as_str(), target.port), ("address", 7));
    assert_eq!(target.address, "10.0.0.1");
    assert_eq!(
        (target.host_key_name.as_str(), target.host_key_port),
        ("10.0.0.1", 7)
    );
}

#[test]
fn an_alias_is_looked_up_without_the_port() {
    let home = Home::new();
    let target = home.resolve("HostKeyAlias Cluster\nPort 2222\n").unwrap();
    assert_eq!(
        (target.host_key_name.as_str(), target.host_key_port),
        ("cluster", 22)
    );
}

#[test]
fn jumps_take_their_settings_from_the_file() {
    let home = Home::new();
    let key = home.key("key", 0o600);
    let config = home
        .load(
            "Host web1\n  ProxyJump me2@b:2222,c\nHost b\n  HostName 10.0.0.2\n  ProxyJump a\n\
             Host c\n  User carol\n  ProxyJump nowhere\n",
        )
        .unwrap();
    let cli = ConnectionSettings {
        strict_host_key_checking: Some("accept-new".to_string()),
        identity_file: Some(vec![key.clone()]),
        user: Some("dcos".to_string()),
        ..none()
    };
    let target = resolve(&host("web1", none()), &cli, &config).unwrap();
    let jumps: Vec<String> = target
        .jumps
        .iter()
        .map(|jump| format!("{} {}@{}:{}", jump.name, jump.user, jump.address, jump.port))
        .collect();
    assert_eq!(jumps, ["a me@a:22", "b me2@10.0.0.2:2222", "c carol@c:22"]);
    for jump in &target.jumps {
        assert_eq!(
            jump.strict_host_key_checking,
            StrictHostKeyChecking::AcceptNew
        );
        assert_eq!(jump.identity_files, [key.as_path()]);
        assert!(jump.jumps.is_empty());
    }
    let none_at_all = ConnectionSettings {
        proxy_jump: Some("none".to_string()),
        ..none()
    };
    let target = resolve(&host("web1", none_at_all), &none(), &config).unwrap();
    assert_eq!(target.jumps, []);
}

#[test]
fn a_circle_of_jumps_is_refused() {
    let home = Home::new();
    let problem = home.resolve("ProxyJump bastion\n").unwrap_err();
    assert_eq!(
        home.report(&problem),
        "error: the way through `bastion` goes in a circle\n   = help: set `ProxyJump none` for bastion\n"
    );
}

#[test]
fn the_agent() {
    let home = Home::new();
    let agent = |text: &str| home.resolve(text).unwrap().identity_agent;
    assert_eq!(agent("IdentityAgent none\n"), None);
    assert_eq!(
        agent("IdentityAgent SSH_AUTH_SOCK\n"),
        Some(PathBuf::from("/run/agent"))
    );
    assert_eq!(
        agent("IdentityAgent $SSH_AUTH_SOCK\n"),
        Some(PathBuf::from("/run/agent"))
    );
    assert_eq!(agent("IdentityAgent $NOTHING\n"), None);
    assert_eq!(
        agent("IdentityAgent ~/%r.sock\n"),
        Some(home.path("me.sock"))
    );
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let home = Home::new();
    home.key(".ssh/id_ed25519", 0o644);
    let problem = home.resolve("").unwrap_err();
    assert_eq!(
        home.report(&problem),
        "error: the private key ~/.ssh/id_ed25519 can be read by others (mode 0644)\n   \
         = help: OpenSSH does not use it either: chmod 600 ~/.ssh/id_ed25519\n"
    );
    let problem = home
        .resolve("\nIdentityFile ~/.ssh/id_ed25519\n")
        .unwrap_err();
    assert_eq!(
        home.report(&problem),
        "error: the private key ~/.ssh/id_ed25519 can be read by others (mode 0644)\n  \
         --> ~/.ssh/config:2:14\n   |\n 2 | IdentityFile ~/.ssh/id_ed25519\n   |              ^^^^^^^^^^^^^^^^^\n   \
         = help: OpenSSH does not use it either: chmod 600 ~/.ssh/id_ed25519\n"
            .replace("^^^^^^^^^^^^^^^^^", &"^".repeat("~/.ssh/id_ed25519".len()))
    );
}

#[test]
fn a_key_that_is_missing_is_refused() {
    let home = Home::new();
    let missing = ConnectionSettings {
        identity_file: Some(vec![home.path("none")]),
        ..none()
    };
    let config = home.load("").unwrap();
    let problem = resolve(&host("web1", missing), &none(), &config).unwrap_err();
    assert_eq!(
        home.report(&problem),
        "error: there is no key ~/none to log in with\n   \
         = help: make one with `ssh-keygen -t ed25519`, or set `identity_file` to one that exists\n"
    );
    let problem = home
        .resolve("IdentityFile ~/a\nIdentityFile ~/b\n")
        .unwrap_err();
    assert_eq!(
        home.report(&problem),
        "error: there is no key ~/a to log in with\n  \
         --> ~/.ssh/config:1:14\n   |\n 1 | IdentityFile ~/a\n   |              ^^^\n   \
         = help: make one with `ssh-keygen -t ed25519`, or name one that exists\n"
    );
    // One of several is enough, and so is the public half, for the agent.
    let key = home.key("b", 0o400);
    let target = home
        .resolve("IdentityFile ~/a\nIdentityFile ~/b\n")
        .unwrap();
    assert_eq!(target.identity_files, [key]);
    fs::write(home.path("c.pub"), "ssh-ed25519 AAAA\n").unwrap();
    for name in ["c", "c.pub"] {
        let target = home.resolve(&format!("IdentityFile ~/{name}\n")).unwrap();
        assert_eq!(target.identity_files, [home.path(name)]);
    }
    let target = home.resolve("IdentityFile none\n").unwrap();
    assert!(target.identity_files.is_empty());
}

#[test]
fn what_matters_and_is_not_supported_is_an_error() {
    let home = Home::new();
    let report = |text: &str| home.report(&home.resolve(text).unwrap_err());
    assert_eq!(
        report("Host web1\n  ProxyCommand nc %h %p\n"),
        "error: `ProxyCommand` is not supported\n  --> ~/.ssh/config:2:3\n   |\n \
         2 |   ProxyCommand nc %h %p\n   |   ^^^^^^^^^^^^\n   \
         = help: use `ProxyJump` for a hop over SSH, and `ProxyCommand none` or another file for the rest\n"
    );
    assert_eq!(
        report("Ciphers aes128-ctr\n"),
        "error: `Ciphers` is not supported\n  --> ~/.ssh/config:1:1\n   |\n \
         1 | Ciphers aes128-ctr\n   | ^^^^^^^\n   \
         = help: the runner brings its own list: keep the hosts of the run out of this block\n"
    );
    assert_eq!(
        report("AddressFamily inet6\n"),
        "error: `AddressFamily inet6` is not supported\n  --> ~/.ssh/config:1:1\n   |\n \
         1 | AddressFamily inet6\n   | ^^^^^^^^^^^^^\n   \
         = help: set `HostName` to an address of that family\n"
    );
    assert_eq!(
        report("Match host web1 exec \"true\"\n  User x\n"),
        "error: `Match exec` is not supported, and decides here about web1\n  --> ~/.ssh/config:1:17\n   |\n \
         1 | Match host web1 exec \"true\"\n   |                 ^^^^\n   \
         = help: name the hosts instead: `Match host` or `Host`, or put a `!` for them before the others\n"
    );
    assert_eq!(
        report("HostNme x\n"),
        "error: unknown keyword `HostNme` in the SSH configuration\n  --> ~/.ssh/config:1:1\n   |\n \
         1 | HostNme x\n   | ^^^^^^^\n   = help: did you mean `HostName`?\n"
    );
    for line in [
        "BindAddress 127.0.0.1",
        "BindInterface lo",
        "CanonicalizeHostname yes",
        "CertificateFile ~/x",
        "CheckHostIP yes",
        "HostKeyAlgorithms ssh-rsa",
        "KexAlgorithms +x",
        "KnownHostsCommand /bin/true",
        "MACs x",
        "PKCS11Provider /lib/x.so",
        "PreferredAuthentications hostbased",
        "PubkeyAcceptedAlgorithms ssh-rsa",
        "PubkeyAuthentication no",
        "RevokedHostKeys /x",
        "VerifyHostKeyDNS yes",
    ] {
        let text = report(&format!("{line}\n"));
        assert!(text.contains("~/.ssh/config:1:"), "{text}");
        assert!(text.contains("= help: "), "{text}");
        home.resolve(&format!("Host db1\n  {line}\n")).unwrap();
    }
}

#[test]
fn the_algorithms_of_the_machine_are_its_own_affair() {
    let home = Home::new();
    fs::create_dir(home.path("etc")).unwrap();
    fs::write(home.path("etc/ssh_config"), "Include conf.d/*\nUser late\n").unwrap();
    fs::create_dir(home.path("etc/conf.d")).unwrap();
    fs::write(
        home.path("etc/conf.d/policy"),
        "Ciphers aes256-ctr\nPort 7\n",
    )
    .unwrap();
    let target = home.resolve("Port 8\n").unwrap();
    assert_eq!((target.user.as_str(), target.port), ("late", 8));
    let target = home.resolve("").unwrap();
    assert_eq!(target.port, 7);
}

#[test]
fn the_configuration_of_this_machine_can_be_read() {
    let home = Home::new();
    let environment = Environment {
        system_folder: PathBuf::from("/etc/ssh"),
        ..home.environment()
    };
    let config = SshConfig::load_in(environment, None).unwrap();
    resolve(&host("web1", none()), &none(), &config).unwrap();
}

#[test]
fn files_that_others_can_change_are_refused() {
    let home = Home::new();
    home.load("User x\n").unwrap();
    let path = home.path(".ssh/config");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let problem = SshConfig::load_in(home.environment(), None).unwrap_err();
    assert_eq!(
        home.report(&problem),
        "error: the SSH configuration ~/.ssh/config can be changed by others\n   \
         = help: OpenSSH refuses it too: chmod go-w ~/.ssh/config\n"
    );
    // As with `ssh -F`, a file that is named is taken as it is, and must exist.
    SshConfig::load_in(home.environment(), Some(&path)).unwrap();
    SshConfig::load_in(home.environment(), Some(Path::new("none"))).unwrap();
    let problem = SshConfig::load_in(home.environment(), Some(&home.path("x"))).unwrap_err();
    assert_eq!(
        home.report(&problem),
        "error: there is no SSH configuration ~/x\n"
    );
    let problem = SshConfig::load_in(home.environment(), Some(home.folder.path())).unwrap_err();
    assert_eq!(
        home.report(&problem),
        "error: can't read the SSH configuration ~: is a directory\n"
    );
}
