//! What the runner takes from `ssh_config` files, against what `ssh -G` says of the same ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that can't go on says so"
)]

mod support;

use runner::diagnostic::Problem;
use runner::document::Table;
use runner::inventory::{ConnectionSettings, Host};
use runner::transport::ssh::config::{Environment, SshConfig};
use runner::transport::ssh::settings::{Jump, StrictHostKeyChecking, Target, resolve};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use support::sshd;

/// A file, the host that is asked about, and options as `ssh` takes them.
struct Case {
    what: &'static str,
    /// `{dir}` is a folder with the files of [`INCLUDED`].
    text: &'static str,
    host: &'static str,
    options: &'static [&'static str],
}

const fn case(what: &'static str, text: &'static str, host: &'static str) -> Case {
    with(what, text, host, &[])
}

const fn with(
    what: &'static str,
    text: &'static str,
    host: &'static str,
    options: &'static [&'static str],
) -> Case {
    Case {
        what,
        text,
        host,
        options,
    }
}

const INCLUDED: &[(&str, &str)] = &[
    ("one.conf", "Port 2201\nHost web*\n  User one\n"),
    ("two.conf", "User two\n"),
    (".hidden.conf", "Port 1\n"),
    (
        "nested.conf",
        "Host web1\n  Include {dir}/two.conf\n  Port 2203\n",
    ),
    ("folder.conf/inner", "Port 1\n"),
];

#[rustfmt::skip]
const CASES: &[Case] = &[
    case("empty", "", "web1"),
    case("plain values", "HostName 10.0.0.1\nUser dcos\nPort 2222\n", "web1"),
    case("a host block", "Host web1\n  User a\nHost db1\n  User b\n", "db1"),
    case("no host block", "Host web1\n  User a\n", "db1"),
    case("the first value wins", "User a\nUser b\nHost web1\n Port 1\n Port 2\n", "web1"),
    case("before the first block", "User a\nHost web1\n User b\n Port 5\n", "web1"),
    case("several patterns", "Host db1 web? *.com\n User a\n", "web1"),
    case("negation before", "Host !web1 web*\n User a\n", "web1"),
    case("negation behind", "Host web* !web1\n User a\n", "web1"),
    case("negation of another", "Host * !web2\n User a\n", "web1"),
    case("negation alone", "Host !web2\n User a\n", "web1"),
    case("patterns know case", "Host WEB1\n User a\n", "web1"),
    case("the name as typed", "Host WEB1\n User a\n", "WEB1"),
    case("a comma is no separator", "Host db1,web1\n User a\n", "web1"),
    case("equals sign", "Port=2222\nUser = dcos\nHostName= 10.0.0.1\nHostKeyAlias =x\n", "web1"),
    case("upper and lower case keywords", "pORT 2222\nHOSTNAME x\n", "web1"),
    case("tabs and blanks", "\t Port\t \t2222  \t\n", "web1"),
    case("CR LF", "Host web1\r\n  Port 2222\r\n", "web1"),
    case("no newline at the end", "Port 2222", "web1"),
    case("comments", "# one\n  # two\nPort 2222 # three\nUser a#b\n", "web1"),
    case("double quotes", "User \"a b\"\nIdentityFile \"~/my keys/id\"\n", "web1"),
    case("single quotes", "User 'a b'\nIdentityFile '~/my keys/id'\n", "web1"),
    case("quotes inside", "User a\"b c\"d\n", "web1"),
    case("backslashes", "User a\\ b\nIdentityFile a\\\\b\nHostKeyAlias a\\\"b\n", "web1"),
    case("a quoted keyword", "\"Port\" 2222\n", "web1"),
    case("quoted host patterns", "Host \"web1\" 'db1'\n User a\n", "db1"),
    case("identity files add up", "IdentityFile ~/a\nHost web1\n IdentityFile ~/b\n IdentityFile ~/a\n", "web1"),
    case("identity files with tokens", "IdentityFile ~/%h/%n-%p-%r\n", "web1"),
    case("identities only", "IdentitiesOnly yes\nIdentityFile ~/a\n", "web1"),
    case("flags know no case", "IdentitiesOnly TRUE\n", "web1"),
    case("old name of a keyword", "IdentityFile2 ~/a\n", "web1"),
    case("host name with a token", "HostName %h.example.com\n", "web1"),
    case("host name in upper case", "HostName Web1.Example.COM\n", "web1"),
    case("host in upper case", "", "Web1"),
    case("host name with a percent sign", "HostName a%%b\n", "web1"),
    case("host name from the wrong host", "Host db1\n HostName 10.0.0.2\n", "web1"),
    case("IPv6 address", "HostName 2001:DB8::1\n", "web1"),
    case("agent", "IdentityAgent ~/agent.%h\n", "web1"),
    case("agent from a variable", "IdentityAgent ${HOME}/agent\n", "web1"),
    case("agent none", "IdentityAgent none\n", "web1"),
    case("known hosts", "UserKnownHostsFile ~/a /b/%h \"/c d\"\n", "web1"),
    case("known hosts with all tokens", "UserKnownHostsFile /%%/%d/%h/%i/%k/%L/%l/%n/%p/%r/%u/${HOME}\nHostName x\nPort 7\nUser r\n", "web1"),
    case("known hosts and an alias", "UserKnownHostsFile /%k\nHostKeyAlias Foo\n", "web1"),
    case("known hosts of the first block only", "Host web1\n UserKnownHostsFile /a\nHost *\n UserKnownHostsFile /b /c\n", "web1"),
    case("global known hosts", "GlobalKnownHostsFile ~/a /b/%h\n", "web1"),
    case("strict yes", "StrictHostKeyChecking yes\n", "web1"),
    case("strict accept-new", "StrictHostKeyChecking Accept-New\n", "web1"),
    case("strict off", "StrictHostKeyChecking off\n", "web1"),
    case("strict ask", "StrictHostKeyChecking ask\n", "web1"),
    case("alias in upper case", "HostKeyAlias FOO\n", "web1"),
    case("times", "ConnectTimeout 1m30s\nServerAliveInterval 2M\nServerAliveCountMax 7\n", "web1"),
    case("more times", "ConnectTimeout 1h\nServerAliveInterval 90\n", "web1"),
    case("no time", "ConnectTimeout none\nConnectTimeout 5\nServerAliveInterval 0\n", "web1"),
    case("jump", "Host web1\n ProxyJump bastion\n", "web1"),
    case("jump with everything", "Host web1\n ProxyJump me@bastion:2222\n", "web1"),
    case("several jumps", "Host web1\n ProxyJump a,me@b:22,c\n", "web1"),
    case("jump to IPv6", "Host web1\n ProxyJump [2001:db8::1]:22\n", "web1"),
    case("jump as a URI", "Host web1\n ProxyJump ssh://me@bastion:2222\n", "web1"),
    case("jump none first", "Host web1\n ProxyJump none\nHost *\n ProxyJump bastion\n", "web1"),
    case("jump with an equals sign", "Host web1\n ProxyJump=bastion\n", "web1"),
    case("jump before command", "Host web1\n ProxyJump bastion\nProxyCommand nc %h %p\n", "web1"),
    case("command none before jump", "Host web1\n ProxyCommand none\nProxyJump bastion\n", "web1"),
    case("match all", "Match all\n User a\n", "web1"),
    case("match final all", "Match final all\n User a\n", "web1"),
    case("match host and all", "Match host db1 all\n User a\n", "web1"),
    case("match host", "Match host web*,!web2\n User a\n", "web1"),
    case("match host folds the pattern", "Match host WEB1\n User a\n", "web1"),
    case("match host after host name", "HostName 10.0.0.1\nMatch host 10.0.0.*\n User a\n", "web1"),
    case("match host before host name", "Match host 10.0.0.*\n User a\nMatch all\n HostName 10.0.0.1\n", "web1"),
    case("match host with a token", "HostName %h.com\nMatch host web1.com\n User a\n", "web1"),
    case("match originalhost", "HostName 10.0.0.1\nMatch originalhost web1\n User a\n", "web1"),
    case("match user", "User dcos\nMatch user dcos\n Port 7\n", "web1"),
    case("match user knows case", "User dcos\nMatch user DCOS\n Port 7\n", "web1"),
    case("match localuser", "Match localuser root,nobody\n Port 7\n", "web1"),
    case("match negated", "Match !host web1\n Port 7\nMatch !host db1\n Port 8\n", "web1"),
    case("match several", "User a\nMatch host web1 user a\n Port 7\n", "web1"),
    case("match several, one fails", "User a\nMatch host web1 user b\n Port 7\n", "web1"),
    case("match with equals signs", "Match host=web1 user=root\n Port 7\n", "web1"),
    case("match with quotes", "Match host \"web1,db1\"\n Port 7\n", "web1"),
    case("match with a comment", "Match host web1 # user x\n Port 7\n", "web1"),
    case("match final", "Match final\n User late\nMatch all\n Port 7\n", "web1"),
    case("match final sees the host name", "Match final host 10.0.0.1\n User late\nHost web1\n HostName 10.0.0.1\n", "web1"),
    case("match final adds identity files", "IdentityFile ~/a\nMatch final\n IdentityFile ~/b\n", "web1"),
    case("match not final", "Match !final\n Port 7\n", "web1"),
    case("match canonical without a reason", "Match canonical\n Port 7\n", "web1"),
    case("match exec behind a failed condition", "Match host db1 exec true\n Port 7\n", "web1"),
    with("match the user of the command line", "Match user me\n Port 7\n", "web1", &["-l", "me"]),
    with("the command line wins", "User a\nPort 7\n", "web1", &["-l", "me", "-p", "9"]),
    with("host name of the command line", "Match host 10.1.1.1\n Port 7\n", "web1", &["-o", "HostName=10.1.1.1"]),
    case("include", "Include {dir}/one.conf\n", "web1"),
    case("include in a block", "Host web1\n Include {dir}/one.conf\nHost *\n User b\n", "web1"),
    case("include in a block for others", "Host db1\n Include {dir}/one.conf\n", "web1"),
    case("the block goes on behind an include", "Host web1\n Include {dir}/one.conf\n HostName x\n", "web1"),
    case("the block for others goes on too", "Host db1\n Include {dir}/one.conf\n HostName x\n", "web1"),
    case("include several", "Include {dir}/two.conf {dir}/one.conf\n", "web1"),
    case("include with a pattern", "Include {dir}/*.conf\n", "web1"),
    case("include with a class", "Include {dir}/[tz]wo.con?\n", "web1"),
    case("include nested", "Include {dir}/nested.conf\n", "web1"),
    case("include nested for others", "Include {dir}/nested.conf\n", "db1"),
    case("include what is not there", "Include {dir}/none*.conf {dir}/none\nPort 7\n", "web1"),
    case("ignored keywords", "ForwardAgent yes\nSendEnv LANG LC_*\nHashKnownHosts yes\nGSSAPIAuthentication yes\nLogLevel QUIET\nControlMaster auto\nControlPath ~/.ssh/%C\nCompression yes\nAddKeysToAgent yes\nLocalForward 8080 localhost:80\nSetEnv A=b\nPort 7\n", "web1"),
    case("harmless values", "ProxyCommand none\nAddressFamily any\nCanonicalizeHostname no\nCheckHostIP no\nPubkeyAuthentication yes\nPreferredAuthentications publickey\nPort 7\n", "web1"),
    case("what matters, for others", "Host db1\n ProxyCommand nc %h %p\n Ciphers aes128-ctr\n CertificateFile ~/x\nHost web1\n Port 7\n", "web1"),
    case("ignore unknown", "IgnoreUnknown UseKeychain,Foo*\nFooBar yes\nUseKeychain yes\nPort 7\n", "web1"),
];

/// Files that `ssh` refuses, and so do we.
#[rustfmt::skip]
const WRONG: &[Case] = &[
    case("unknown keyword", "Prot 22\n", "web1"),
    case("unknown keyword for others", "Host db1\n Prot 22\n", "web1"),
    case("unknown keyword in a file for others", "Host db1\n Include {dir}/wrong\n", "web1"),
    case("ignore unknown too late", "Foo yes\nIgnoreUnknown Foo\n", "web1"),
    case("ignore unknown for others", "Host db1\n IgnoreUnknown Foo\nHost *\n Foo yes\n", "web1"),
    case("no argument", "Port\n", "web1"),
    case("two arguments", "Port 22 23\n", "web1"),
    case("two users", "User a b\n", "web1"),
    case("an empty argument", "User \"\"\n", "web1"),
    case("no port", "Port x\n", "web1"),
    case("port zero", "Port 0\n", "web1"),
    case("a port too large", "Port 65536\n", "web1"),
    case("no port, for others", "Host db1\n Port x\n", "web1"),
    case("open quote", "User \"me\n", "web1"),
    case("open single quote", "User 'me\n", "web1"),
    case("no flag", "IdentitiesOnly maybe\n", "web1"),
    case("no strictness", "StrictHostKeyChecking maybe\n", "web1"),
    case("no time", "ConnectTimeout 5x\n", "web1"),
    case("no number", "ServerAliveCountMax many\n", "web1"),
    case("unknown token", "UserKnownHostsFile /%x\n", "web1"),
    case("unknown token in a host name", "HostName %p\n", "web1"),
    case("unknown variable", "UserKnownHostsFile /${RUNNER_NO_SUCH_NAME}\n", "web1"),
    case("none is not alone", "UserKnownHostsFile none /a\n", "web1"),
    case("bad jump", "ProxyJump a:x\n", "web1"),
    case("bad jump in the middle", "ProxyJump a,,b\n", "web1"),
    case("empty match", "Match # all\n", "web1"),
    case("unknown condition", "Match hots web1\n", "web1"),
    case("condition without a value", "Match host\n", "web1"),
    case("all with others", "Match host web1 user x all\n", "web1"),
    case("others behind all", "Match all host web1\n", "web1"),
    case("empty host pattern", "Host \"\"\n", "web1"),
    case("includes itself", "Include {dir}/circle\n", "web1"),
];

/// A folder with the files to include, and the environment as `ssh` sees it.
struct Lab {
    folder: tempfile::TempDir,
    environment: Environment,
}

impl Lab {
    fn new() -> Option<Lab> {
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

    fn fill(&self, text: &str) -> String {
        text.replace("{dir}", self.folder.path().to_str().unwrap())
    }

    fn write(&self, text: &str) -> PathBuf {
        let path = self.folder.path().join("config");
        fs::write(&path, self.fill(text)).unwrap();
        path
    }

    fn ours(&self, case: &Case) -> Result<Facts, Problem> {
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
    fn ssh(&self, case: &Case) -> Result<Facts, String> {
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
type Facts = BTreeMap<String, Vec<String>>;

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

#[test]
fn the_values_are_those_of_ssh() {
    let Some(lab) = Lab::new() else { return };
    assert!(CASES.len() >= 40);
    let mut wrong = Vec::new();
    for case in CASES {
        let theirs = match lab.ssh(case) {
            Ok(theirs) => theirs,
            Err(complaint) => {
                wrong.push(format!("{}: ssh refuses: {complaint}", case.what));
                continue;
            }
        };
        let ours = match lab.ours(case) {
            Ok(ours) => ours,
            Err(problem) => {
                wrong.push(format!("{}: {problem}", case.what));
                continue;
            }
        };
        // What nobody set has other built-in values here.
        for (name, values) in &theirs {
            let found = ours.get(name);
            let unset = found.is_none();
            let default = match name.as_str() {
                "identityfile" => unset && values.len() >= 4,
                "globalknownhostsfile" => unset && values[0].starts_with("/etc/ssh/"),
                "stricthostkeychecking" => unset && values == &["ask"],
                "connecttimeout" => unset && values == &["none"],
                "serveraliveinterval" => unset && values == &["0"],
                _ => false,
            };
            if found != Some(values) && !default {
                wrong.push(format!(
                    "{}: {name} is {values:?} to ssh, {found:?} to us",
                    case.what
                ));
            }
        }
        for name in ours.keys().filter(|name| !theirs.contains_key(*name)) {
            wrong.push(format!("{}: {name} is nothing to ssh", case.what));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_ssh_refuses_we_refuse() {
    let Some(lab) = Lab::new() else { return };
    let mut wrong = Vec::new();
    for case in WRONG {
        if lab.ssh(case).is_ok() {
            wrong.push(format!("{}: ssh takes it", case.what));
        }
        match lab.ours(case) {
            Ok(_) => wrong.push(format!("{}: we take it", case.what)),
            Err(problem) if problem.place.is_none() => {
                wrong.push(format!("{}: no place: {problem}", case.what));
            }
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
