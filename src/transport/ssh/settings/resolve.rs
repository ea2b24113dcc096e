//! Brings the layers together: command line, inventory, configuration files, built-in values.

use super::identity::{self, KeyFile};
use super::{Jump, StrictHostKeyChecking, Target};
use crate::diagnostic::{Place, Problem};
use crate::inventory::{ConnectionSettings, Host};
use crate::transport::ssh::config::tokens::{Tokens, expand};
use crate::transport::ssh::config::{Environment, HostConfig, Setting, SshConfig, values};
use std::path::{Path, PathBuf};
use std::time::Duration;

const PORT: u16 = 22;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const SERVER_ALIVE_INTERVAL: Duration = Duration::from_secs(15);
const SERVER_ALIVE_COUNT_MAX: u32 = 3;

/// The keys that are tried where none are named, those that exist.
const DEFAULT_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// How many hosts may be jumped through: more is a circle.
const MOST_JUMPS: usize = 16;

/// Brings the layers together. What the command line says stands above the inventory, that above the configuration
/// files, and these above the built-in values.
///
/// Hosts that are jumped through take their settings from the configuration files. Of command line and inventory
/// they take the files of known hosts, what to do with unknown keys, and the times; and the keys where the files name
/// none for them.
///
/// # Errors
///
/// A setting that can't be understood or that is not supported, a key that was named and is missing, a private key
/// that others can read, hosts that jump through each other in a circle.
pub fn resolve(
    host: &Host,
    cli: &ConnectionSettings,
    config: &SshConfig,
) -> Result<Target, Problem> {
    let mut above = host.connection.clone();
    above.overlay(cli);
    let resolver = Resolver { config };
    let (mut target, jumps) = resolver.target(&host.name, &above, None)?;
    target.jumps = resolver.chain(&jumps, &above)?;
    Ok(target)
}

struct Resolver<'a> {
    config: &'a SshConfig,
}

/// What a configuration file says where the layers above may say it too.
type Said<'a, T> = Option<&'a Setting<T>>;

impl Resolver<'_> {
    fn environment(&self) -> &Environment {
        self.config.environment()
    }

    /// A host without its jumps, and the jumps that it asks for.
    fn target(
        &self,
        name: &str,
        above: &ConnectionSettings,
        fallback_keys: Option<&[PathBuf]>,
    ) -> Result<(Target, Vec<Jump>), Problem> {
        let said = self.config.lookup(name, above)?;
        let environment = self.environment();
        let address = Self::address(name, above, said.host_name.as_ref())?;
        let port = above.port.or(value(&said.port)).unwrap_or(PORT);
        let user = (above.user.clone())
            .or(value(&said.user))
            .unwrap_or_else(|| environment.user.clone());
        let alias = (above.host_key_alias.clone())
            .or(value(&said.host_key_alias))
            .map(|alias| alias.to_ascii_lowercase());
        let port_text = port.to_string();
        let uid = environment.uid.to_string();
        let home = environment.home.to_string_lossy();
        let machine = environment.host_name.as_str();
        let tokens = [
            ('h', address.as_str()),
            ('n', name),
            ('p', &port_text),
            ('r', &user),
            ('u', &environment.user),
            ('d', &home),
            ('l', machine),
            ('L', machine.split('.').next().unwrap_or(machine)),
            ('i', &uid),
            ('k', alias.as_deref().unwrap_or(name)),
        ];
        let identity_agent = self.agent(above, &said, &tokens)?;
        let identity_files = self.keys(above, &said, fallback_keys, &tokens)?;
        let user_known_hosts_files = self.user_known_hosts(
            above.user_known_hosts_file.as_deref(),
            said.user_known_hosts_files.as_ref(),
            &tokens,
        )?;
        let global_known_hosts_files = self.global_known_hosts(
            above.global_known_hosts_file.as_deref(),
            said.global_known_hosts_files.as_ref(),
        );
        let jumps = jumps(
            above.proxy_jump.as_deref(),
            said.proxy_jump.as_ref(),
            &tokens,
        )?;
        let time = |above: Option<Duration>, said: &Option<Setting<Duration>>, default| {
            above.or(value(said)).unwrap_or(default)
        };
        let connect_timeout = time(
            above.connect_timeout,
            &said.connect_timeout,
            CONNECT_TIMEOUT,
        );
        let interval = time(
            above.server_alive_interval,
            &said.server_alive_interval,
            SERVER_ALIVE_INTERVAL,
        );
        let target = Target {
            name: name.to_string(),
            port,
            user: user.clone(),
            identity_files,
            identities_only: (above.identities_only)
                .or(value(&said.identities_only))
                .unwrap_or(false),
            identity_agent,
            user_known_hosts_files,
            global_known_hosts_files,
            host_key_port: if alias.is_some() { PORT } else { port },
            host_key_name: alias.clone().unwrap_or_else(|| address.clone()),
            strict_host_key_checking: strictness(above, &said)?,
            jumps: Vec::new(),
            // To OpenSSH zero is no limit of its own; here there is always one.
            connect_timeout: if connect_timeout.is_zero() {
                CONNECT_TIMEOUT
            } else {
                connect_timeout
            },
            server_alive_interval: (!interval.is_zero()).then_some(interval),
            server_alive_count_max: (above.server_alive_count_max)
                .or(value(&said.server_alive_count_max))
                .unwrap_or(SERVER_ALIVE_COUNT_MAX),
            address: address.clone(),
        };
        Ok((target, jumps))
    }

    /// The hosts to jump through with those that they are reached through themselves, first one first.
    fn chain(&self, jumps: &[Jump], above: &ConnectionSettings) -> Result<Vec<Target>, Problem> {
        let mut chain: Vec<Target> = Vec::new();
        let mut rest = jumps.to_vec();
        // From the last one to the first. What stands before a host in a list is how to reach it; the first one of
        // the list is reached as its own settings say.
        while let Some(jump) = rest.pop() {
            let of_jump = ConnectionSettings {
                user: jump.user.clone(),
                port: jump.port,
                proxy_jump: (!rest.is_empty()).then(|| "none".to_string()),
                connect_timeout: above.connect_timeout,
                user_known_hosts_file: above.user_known_hosts_file.clone(),
                global_known_hosts_file: above.global_known_hosts_file.clone(),
                strict_host_key_checking: above.strict_host_key_checking.clone(),
                server_alive_interval: above.server_alive_interval,
                server_alive_count_max: above.server_alive_count_max,
                ..ConnectionSettings::default()
            };
            let keys = above.identity_file.as_deref();
            let (target, own) = self.target(&jump.host, &of_jump, keys)?;
            if rest.is_empty() {
                rest = own;
            }
            let same = |other: &Target| {
                (&other.address, other.port, &other.user)
                    == (&target.address, target.port, &target.user)
            };
            if chain.iter().any(same) || chain.len() == MOST_JUMPS {
                return Err(Problem::new(format!(
                    "the way through `{}` goes in a circle",
                    jump.host
                ))
                .help(format!("set `ProxyJump none` for {}", jump.host)));
            }
            chain.insert(0, target);
        }
        Ok(chain)
    }

    fn address(
        name: &str,
        above: &ConnectionSettings,
        said: Said<'_, String>,
    ) -> Result<String, Problem> {
        let address = match (&above.address, said) {
            (Some(address), _) => address.clone(),
            (None, Some(setting)) => values::host_name(setting, name)?,
            (None, None) => name.to_string(),
        };
        Ok(values::canonical_host(address))
    }

    /// A path of a configuration file, with `~`, tokens and variables.
    fn path(&self, text: &str, place: &Place, tokens: &Tokens<'_>) -> Result<PathBuf, Problem> {
        let environment = self.environment();
        let path = environment
            .expand_tilde(text)
            .ok_or_else(|| format!("nobody has the home folder of `{text}`"));
        path.and_then(|path| expand(&path, tokens, Some(&environment.variables)))
            .map(PathBuf::from)
            .map_err(|problem| Problem::new(problem).at(place.clone()))
    }

    fn user_known_hosts(
        &self,
        above: Option<&[PathBuf]>,
        said: Said<'_, Vec<String>>,
        tokens: &Tokens<'_>,
    ) -> Result<Vec<PathBuf>, Problem> {
        let files = match (above, said) {
            (Some(files), _) => files.to_vec(),
            (None, Some(setting)) => (setting.value.iter())
                .map(|path| self.path(path, &setting.place, tokens))
                .collect::<Result<_, _>>()?,
            (None, None) => {
                let folder = self.environment().user_folder();
                vec![folder.join("known_hosts"), folder.join("known_hosts2")]
            }
        };
        Ok(without_none(files))
    }

    fn global_known_hosts(
        &self,
        above: Option<&[PathBuf]>,
        said: Said<'_, Vec<String>>,
    ) -> Vec<PathBuf> {
        without_none(match (above, said) {
            (Some(files), _) => files.to_vec(),
            // OpenSSH takes these as they are, without tokens and `~`.
            (None, Some(setting)) => setting.value.iter().map(PathBuf::from).collect(),
            (None, None) => {
                let folder = &self.environment().system_folder;
                vec![
                    folder.join("ssh_known_hosts"),
                    folder.join("ssh_known_hosts2"),
                ]
            }
        })
    }

    fn agent(
        &self,
        above: &ConnectionSettings,
        said: &HostConfig,
        tokens: &Tokens<'_>,
    ) -> Result<Option<PathBuf>, Problem> {
        let variable = |name: &str| {
            let value = self.environment().variables.get(name);
            value.filter(|value| !value.is_empty()).map(PathBuf::from)
        };
        let word = |word: &str| match word {
            "none" => Some(None),
            "SSH_AUTH_SOCK" => Some(variable("SSH_AUTH_SOCK")),
            _ => match word.strip_prefix('$') {
                Some(name) if !name.starts_with('{') => Some(variable(name)),
                _ => None,
            },
        };
        match (&above.identity_agent, &said.identity_agent) {
            (Some(text), _) => Ok(word(text).unwrap_or_else(|| Some(PathBuf::from(text)))),
            (None, Some(setting)) => match word(&setting.value) {
                Some(agent) => Ok(agent),
                None => self.path(&setting.value, &setting.place, tokens).map(Some),
            },
            (None, None) => Ok(variable("SSH_AUTH_SOCK")),
        }
    }

    fn keys(
        &self,
        above: &ConnectionSettings,
        said: &HostConfig,
        fallback: Option<&[PathBuf]>,
        tokens: &Tokens<'_>,
    ) -> Result<Vec<PathBuf>, Problem> {
        let named = match (&above.identity_file, fallback) {
            (Some(keys), _) => Some(keys.as_slice()),
            (None, Some(keys)) if said.identity_files.is_empty() => Some(keys),
            _ => None,
        };
        let mut keys = Vec::new();
        if let Some(named) = named {
            let placed = |problem: Problem| match &above.identity_place {
                Some(place) => problem.at(place.clone()),
                None => problem,
            };
            for path in named.iter().filter(|path| *path != Path::new("none")) {
                if identity::check(path).map_err(placed)? == KeyFile::Missing {
                    return Err(placed(missing_key(path))
                        .help("make one with `ssh-keygen -t ed25519`, or set `identity_file` to one that exists"));
                }
                keys.push(path.clone());
            }
            return Ok(keys);
        }
        if said.identity_files.is_empty() {
            for key in DEFAULT_KEYS {
                let path = self.environment().user_folder().join(key);
                if identity::check(&path)? == KeyFile::Usable {
                    keys.push(path);
                }
            }
            return Ok(keys);
        }
        let wanted = (said.identity_files.iter())
            .filter(|setting| !setting.value.eq_ignore_ascii_case("none"));
        let mut missing = None;
        for setting in wanted {
            let path = self.path(&setting.value, &setting.place, tokens)?;
            match identity::check(&path).map_err(|problem| problem.at(setting.place.clone()))? {
                KeyFile::Usable => keys.push(path),
                // One file of settings often serves several machines, and names the keys of all.
                KeyFile::Missing => {
                    missing.get_or_insert((setting, path));
                }
            }
        }
        match missing {
            Some((setting, path)) if keys.is_empty() => Err(missing_key(&path)
                .at(setting.place.clone())
                .help("make one with `ssh-keygen -t ed25519`, or name one that exists")),
            _ => Ok(keys),
        }
    }
}

/// The same words for all hosts that want it.
fn missing_key(path: &Path) -> Problem {
    Problem::new(format!("there is no key {} to log in with", path.display()))
}

/// `none` is no file.
fn without_none(mut files: Vec<PathBuf>) -> Vec<PathBuf> {
    files.retain(|path| !path.as_os_str().eq_ignore_ascii_case("none"));
    files
}

fn value<T: Clone>(setting: &Option<Setting<T>>) -> Option<T> {
    setting.as_ref().map(|setting| setting.value.clone())
}

fn jumps(
    above: Option<&str>,
    said: Said<'_, String>,
    tokens: &Tokens<'_>,
) -> Result<Vec<Jump>, Problem> {
    match (above, said) {
        (Some(text), _) if text.eq_ignore_ascii_case("none") => Ok(Vec::new()),
        (Some(text), _) => Jump::parse_list(text),
        (None, Some(setting)) if setting.value.eq_ignore_ascii_case("none") => Ok(Vec::new()),
        (None, Some(setting)) => {
            let known = |name| ['h', 'n', 'p', 'r'].contains(&name);
            let tokens: Vec<_> = tokens
                .iter()
                .copied()
                .filter(|(name, _)| known(*name))
                .collect();
            expand(&setting.value, &tokens, None)
                .map_err(Problem::new)
                .and_then(|text| Jump::parse_list(&text))
                .map_err(|problem| problem.at(setting.place.clone()))
        }
        (None, None) => Ok(Vec::new()),
    }
}

fn strictness(
    above: &ConnectionSettings,
    said: &HostConfig,
) -> Result<StrictHostKeyChecking, Problem> {
    match above.strict_host_key_checking.as_deref() {
        Some("yes") => Ok(StrictHostKeyChecking::Yes),
        Some("accept-new") => Ok(StrictHostKeyChecking::AcceptNew),
        Some("no") => Ok(StrictHostKeyChecking::No),
        Some("ask") => Ok(StrictHostKeyChecking::Ask),
        Some(other) => Err(Problem::new(format!(
            "`{other}` is no value for `strict_host_key_checking`"
        ))
        .help("it is `yes`, `accept-new`, `no` or `ask`")),
        None => Ok(value(&said.strict_host_key_checking).unwrap_or(StrictHostKeyChecking::Ask)),
    }
}
