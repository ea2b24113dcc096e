//! Connection settings, named as in ssh_config, in snake case.

use crate::diagnostic::{Place, Problem, closest};
use crate::document::duration;
use crate::document::{Data, Entry, Node};
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How to connect to a host. Each setting that is not set falls to the next layer below:
/// command line, host, group, `[connection]`, `~/.ssh/config`, built-in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnectionSettings {
    /// The name or address to dial; by default the host's name (and its `HostName` in `~/.ssh/config`).
    pub address: Option<String>,
    /// The TCP port.
    pub port: Option<u16>,
    /// The user to log in as.
    pub user: Option<String>,
    /// Private keys to offer, in this order.
    pub identity_file: Option<Vec<PathBuf>>,
    /// Where the inventory names them.
    pub identity_place: Option<Place>,
    /// Whether only the keys named here are offered.
    pub identities_only: Option<bool>,
    /// The agent's socket, or `none`.
    pub identity_agent: Option<String>,
    /// Hosts to jump through, first one first, as `[user@]host[:port]`, or `none`.
    pub proxy_jump: Option<String>,
    /// One deadline for name lookup, TCP, key exchange and authentication together.
    pub connect_timeout: Option<Duration>,
    /// Files of known host keys.
    pub user_known_hosts_file: Option<Vec<PathBuf>>,
    /// Files of host keys known to everyone on this machine.
    pub global_known_hosts_file: Option<Vec<PathBuf>>,
    /// The name to look the host key up under.
    pub host_key_alias: Option<String>,
    /// `yes` (unknown keys are refused), `accept-new`, `no` or `ask`.
    pub strict_host_key_checking: Option<String>,
    /// How long the connection may be silent before the host is asked for a sign of life.
    pub server_alive_interval: Option<Duration>,
    /// How many such questions may stay unanswered.
    pub server_alive_count_max: Option<u32>,
    /// `ssh` (the default) or `local` (run on this machine, without SSH).
    pub transport: Option<String>,
}

/// The names of all settings, as written in an inventory.
pub const SETTINGS: &[&str] = &[
    "address",
    "port",
    "user",
    "identity_file",
    "identities_only",
    "identity_agent",
    "proxy_jump",
    "connect_timeout",
    "user_known_hosts_file",
    "global_known_hosts_file",
    "host_key_alias",
    "strict_host_key_checking",
    "server_alive_interval",
    "server_alive_count_max",
    "transport",
];

/// The settings that may stand directly in a host's line.
pub const COMMON: &[&str] = &["address", "port", "user", "identity_file"];

impl ConnectionSettings {
    /// Takes every setting that the other one has: it stands above this one.
    pub fn overlay(&mut self, above: &ConnectionSettings) {
        fn take<T: Clone>(below: &mut Option<T>, above: &Option<T>) {
            if above.is_some() {
                below.clone_from(above);
            }
        }
        take(&mut self.address, &above.address);
        take(&mut self.port, &above.port);
        take(&mut self.user, &above.user);
        if above.identity_file.is_some() {
            self.identity_place.clone_from(&above.identity_place);
        }
        take(&mut self.identity_file, &above.identity_file);
        take(&mut self.identities_only, &above.identities_only);
        take(&mut self.identity_agent, &above.identity_agent);
        take(&mut self.proxy_jump, &above.proxy_jump);
        take(&mut self.connect_timeout, &above.connect_timeout);
        take(
            &mut self.user_known_hosts_file,
            &above.user_known_hosts_file,
        );
        take(
            &mut self.global_known_hosts_file,
            &above.global_known_hosts_file,
        );
        take(&mut self.host_key_alias, &above.host_key_alias);
        take(
            &mut self.strict_host_key_checking,
            &above.strict_host_key_checking,
        );
        take(
            &mut self.server_alive_interval,
            &above.server_alive_interval,
        );
        take(
            &mut self.server_alive_count_max,
            &above.server_alive_count_max,
        );
        take(&mut self.transport, &above.transport);
    }

    /// Sets one setting from what the inventory says. Relative paths start in `folder`.
    ///
    /// # Errors
    ///
    /// A problem with the place of the key or of the value.
    pub fn set(&mut self, entry: &Entry, folder: &Path) -> Result<(), Problem> {
        let value = &entry.value;
        match entry.key.as_str() {
            "address" => self.address = Some(address(value)?),
            "port" => self.port = Some(port(value)?),
            "user" => self.user = Some(word(value, "a user name")?),
            "identity_file" => {
                self.identity_file = Some(paths(value, folder)?);
                self.identity_place = Some(value.place.clone());
            }
            "identities_only" => self.identities_only = Some(value.boolean()?),
            "identity_agent" => self.identity_agent = Some(agent(value, folder)?),
            "proxy_jump" => self.proxy_jump = Some(value.strings()?.join(",")),
            "connect_timeout" => self.connect_timeout = Some(timeout(value)?),
            "user_known_hosts_file" => self.user_known_hosts_file = Some(paths(value, folder)?),
            "global_known_hosts_file" => {
                self.global_known_hosts_file = Some(paths(value, folder)?);
            }
            "host_key_alias" => self.host_key_alias = Some(word(value, "a name")?),
            "strict_host_key_checking" => self.strict_host_key_checking = Some(strictness(value)?),
            "server_alive_interval" => self.server_alive_interval = Some(duration(value)?),
            "server_alive_count_max" => {
                let number = value.integer()?;
                let count = u32::try_from(number).map_err(|_| {
                    Problem::new(format!("{number} is not a count"))
                        .at(value.place.clone())
                        .label("0 or more")
                })?;
                self.server_alive_count_max = Some(count);
            }
            "transport" => self.transport = Some(choice(value, &["ssh", "local"])?),
            _ => return Err(unknown(entry)),
        }
        Ok(())
    }
}

fn unknown(entry: &Entry) -> Problem {
    let problem = Problem::new(format!("unknown connection setting `{}`", entry.key))
        .at(entry.key_place.clone());
    // Names copied from ssh_config are in camel case there.
    let mut snake = String::new();
    for c in entry.key.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() && !snake.ends_with('_') {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    match closest(&snake, SETTINGS.iter().copied()) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help(format!("the settings are `{}`", SETTINGS.join("`, `"))),
    }
}

fn word(node: &Node, what: &str) -> Result<String, Problem> {
    let text = node.string()?;
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(Problem::new(format!("{text:?} is not {what}")).at(node.place.clone()));
    }
    Ok(text.to_string())
}

fn address(node: &Node) -> Result<String, Problem> {
    let text = word(node, "a name or an address")?;
    let inner = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    if let Some(inner) = inner
        && inner.parse::<Ipv6Addr>().is_ok()
    {
        return Ok(inner.to_string());
    }
    // A zone, as in fe80::1%eth0, is not part of what the standard library parses.
    let bare = text.split_once('%').map_or(text.as_str(), |(bare, _)| bare);
    if text.contains(':') && bare.parse::<Ipv6Addr>().is_err() {
        return Err(
            Problem::new(format!("`{text}` is not a name or an address"))
                .at(node.place.clone())
                .help("a port stands apart: `port = 2222`"),
        );
    }
    if text.contains('@') {
        return Err(
            Problem::new(format!("`{text}` is not a name or an address"))
                .at(node.place.clone())
                .help("the user stands apart: `user = \"...\"`"),
        );
    }
    Ok(text)
}

fn port(node: &Node) -> Result<u16, Problem> {
    let number = node.integer()?;
    u16::try_from(number)
        .ok()
        .filter(|port| *port > 0)
        .ok_or_else(|| {
            Problem::new(format!("{number} is not a port"))
                .at(node.place.clone())
                .label("1 to 65535")
        })
}

fn timeout(node: &Node) -> Result<Duration, Problem> {
    let value = duration(node)?;
    if value.is_zero() {
        return Err(Problem::new("the timeout must be longer than nothing").at(node.place.clone()));
    }
    Ok(value)
}

fn choice(node: &Node, words: &[&str]) -> Result<String, Problem> {
    let text = node.string()?;
    if words.contains(&text) {
        return Ok(text.to_string());
    }
    Err(
        Problem::new(format!("`{text}` is not one of `{}`", words.join("`, `")))
            .at(node.place.clone())
            .did_you_mean(text, words.iter().copied()),
    )
}

fn strictness(node: &Node) -> Result<String, Problem> {
    match node.data {
        Data::Boolean(true) => Ok("yes".into()),
        Data::Boolean(false) => Ok("no".into()),
        _ => choice(node, &["yes", "accept-new", "no", "ask"]),
    }
}

fn paths(node: &Node, folder: &Path) -> Result<Vec<PathBuf>, Problem> {
    let texts = node.strings()?;
    if texts.is_empty() || texts.iter().any(String::is_empty) {
        return Err(Problem::new("the path is empty").at(node.place.clone()));
    }
    Ok(texts.iter().map(|text| path(text, folder)).collect())
}

/// A path as the operator means it: `~/` is the home folder, a relative one starts beside the inventory.
fn path(text: &str, folder: &Path) -> PathBuf {
    if text == "none" {
        return PathBuf::from(text);
    }
    match (text.strip_prefix("~/"), std::env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => folder.join(text),
    }
}

fn agent(node: &Node, folder: &Path) -> Result<String, Problem> {
    let text = node.string()?;
    // Without a slash it is a word of ssh_config: `none`, `SSH_AUTH_SOCK`, `$NAME`.
    if text.starts_with('$') || !text.contains('/') {
        return Ok(text.to_string());
    }
    Ok(path(text, folder).to_string_lossy().into_owned())
}
