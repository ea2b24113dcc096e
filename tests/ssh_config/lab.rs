//! What the runner and what `ssh -G` make of a file.

use crate::cases::{Case, INCLUDED};
use crate::support::sshd;
use runner::diagnostic::Problem;
use runner::document::Table;
use runner::inventory::{ConnectionSettings, Host};
use runner::transport::ssh::config::{Environment, SshConfig};
use runner::transport::ssh::settings::{Jump, StrictHostKeyChecking, Target, resolve};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A folder with the files to include, and the environment as `ssh` sees it.
pub struct Lab {
    pub folder: tempfile::TempDir,
    pub environment: Environment,
}

impl Lab {
    pub fn new() -> Option<Lab> {
        if sshd::program("ssh").is_none() {
            sshd::skip("ssh is not installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let lab = Lab {
            environment: Environment::current(),
            folder,
        };
        let more = [("wrong", "Prot 22\n"), ("circle", "Include {dir}/circle\n")];
        for (name, text) in INCLUDED.iter().chain(&more) {
            let path = lab.folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, lab.fill(text)).unwrap();
        }
        Some(Lab {
            environment: of_ssh(lab.environment),
            folder: lab.folder,
        })
    }

    pub fn fill(&self, text: &str) -> String {
        text.replace("{dir}", self.folder.path().to_str().unwrap())
    }

    pub fn write(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("config");
        fs::write(&path, self.fill(text)).unwrap();
        path
    }

    pub fn ours(&self, case: &Case) -> Result<Facts, Problem> {
        let config = SshConfig::load_in(self.environment.clone(), Some(&self.write(case.text)))?;
        let mut above = ConnectionSettings::default();
        let mut options = case.options.iter();
        while let (Some(option), Some(value)) = (options.next(), options.next()) {
            match *option {
                "-l" => above.user = Some(value.to_string()),
                "-p" => above.port = Some(value.parse().unwrap()),
                _ => above.address = value.strip_prefix("HostName=").map(str::to_string),
            }
        }
        let said = config.lookup(case.host, &above)?;
        // The keys need not exist here.
        above.identity_file = Some(Vec::new());
        let target = resolve(
            &host(case.host, above),
            &ConnectionSettings::default(),
            &config,
        )?;
        let keys = said.identity_files.iter();
        Ok(facts(
            &target,
            keys.map(|key| key.value.clone()).collect(),
            said.strict_host_key_checking.is_some(),
            said.connect_timeout.is_some(),
            said.server_alive_interval.is_some(),
            said.identity_agent.is_some(),
            said.global_known_hosts_files.is_some(),
        ))
    }

    /// What `ssh -G` prints, or what it complains of.
    pub fn ssh(&self, case: &Case) -> Result<Facts, String> {
        let output = Command::new("ssh")
            .arg("-F")
            .arg(self.write(case.text))
            .arg("-G")
            .args(case.options)
            .arg(case.host)
            .env("HOME", &self.environment.home)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let text = String::from_utf8(output.stdout).unwrap();
        let mut facts = Facts::new();
        for line in text.lines() {
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            if FACTS.contains(&name) {
                facts.entry(name.to_string()).or_default().push(match name {
                    "proxyjump" => chain(value),
                    _ => value.to_string(),
                });
            }
        }
        Ok(facts)
    }
}

/// Values by name, as `ssh -G` names them.
pub type Facts = BTreeMap<String, Vec<String>>;

const FACTS: &[&str] = &[
    "hostname",
    "user",
    "port",
    "identityfile",
    "identitiesonly",
    "identityagent",
    "userknownhostsfile",
    "globalknownhostsfile",
    "stricthostkeychecking",
    "hostkeyalias",
    "proxyjump",
    "connecttimeout",
    "serveraliveinterval",
    "serveralivecountmax",
];

/// `ssh` takes the home folder from the password file and not from `HOME`.
fn of_ssh(mut environment: Environment) -> Environment {
    let home = environment.expand_tilde(&format!("~{}", environment.user));
    if let Some(home) = home {
        environment
            .variables
            .insert("HOME".to_string(), home.clone());
        environment.home = PathBuf::from(home);
    }
    environment
}

fn host(name: &str, connection: ConnectionSettings) -> Host {
    Host {
        name: name.to_string(),
        connection,
        groups: Vec::new(),
        vars: Table::default(),
    }
}

/// A list of jumps with users and ports filled in.
fn chain(text: &str) -> String {
    let jumps = Jump::parse_list(text).unwrap();
    let jumps: Vec<String> = jumps
        .into_iter()
        .map(|jump| {
            let user = jump.user.unwrap_or_else(sshd::current_user);
            format!("{user}@{}:{}", jump.host, jump.port.unwrap_or(22))
        })
        .collect();
    jumps.join(",")
}

fn facts(
    target: &Target,
    keys: Vec<String>,
    strict: bool,
    timeout: bool,
    interval: bool,
    agent: bool,
    global: bool,
) -> Facts {
    let mut facts = Facts::new();
    let mut fact = |name: &str, value: String| facts.insert(name.to_string(), vec![value]);
    let paths = |paths: &[PathBuf]| {
        let paths: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
        paths.join(" ")
    };
    fact("hostname", target.address.clone());
    fact("user", target.user.clone());
    fact("port", target.port.to_string());
    let yes = if target.identities_only { "yes" } else { "no" };
    fact("identitiesonly", yes.to_string());
    if agent {
        let socket = target
            .identity_agent
            .as_ref()
            .map(|path| path.to_str().unwrap().to_string());
        fact("identityagent", socket.unwrap_or("none".to_string()));
    }
    fact("userknownhostsfile", paths(&target.user_known_hosts_files));
    if global {
        fact(
            "globalknownhostsfile",
            paths(&target.global_known_hosts_files),
        );
    }
    if strict {
        fact(
            "stricthostkeychecking",
            match target.strict_host_key_checking {
                StrictHostKeyChecking::Yes => "true",
                StrictHostKeyChecking::AcceptNew => "accept-new",
                StrictHostKeyChecking::No => "false",
                StrictHostKeyChecking::Ask => "ask",
            }
            .to_string(),
        );
    }
    if target.host_key_name != target.address {
        assert_eq!(target.host_key_port, 22);
        fact("hostkeyalias", target.host_key_name.clone());
    }
    if !target.jumps.is_empty() {
        let jumps: Vec<String> = target
            .jumps
            .iter()
            .map(|jump| format!("{}@{}:{}", jump.user, jump.name, jump.port))
            .collect();
        fact("proxyjump", jumps.join(","));
    }
    if timeout {
        fact(
            "connecttimeout",
            target.connect_timeout.as_secs().to_string(),
        );
    }
    if interval {
        let interval = target.server_alive_interval.unwrap_or_default();
        fact("serveraliveinterval", interval.as_secs().to_string());
    }
    fact(
        "serveralivecountmax",
        target.server_alive_count_max.to_string(),
    );
    if !keys.is_empty() {
        facts.insert("identityfile".to_string(), keys);
    }
    facts
}
