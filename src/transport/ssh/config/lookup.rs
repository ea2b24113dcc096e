//! What the files say about one host: the first value wins.

use super::file::{ConfigFile, Line};
use super::keywords::{self, Keyword};
use super::matching::{Subject, host_line};
use super::{HostConfig, Setting, SshConfig, matching, values};
use crate::diagnostic::Problem;
use crate::inventory::ConnectionSettings;
use crate::transport::ssh::pattern;

/// See [`SshConfig::lookup`].
pub fn lookup(
    config: &SshConfig,
    name: &str,
    above: &ConnectionSettings,
) -> Result<HostConfig, Problem> {
    let mut lookup = Lookup {
        name,
        above,
        config: HostConfig::default(),
        local_user: &config.environment.user,
        ignore_unknown: None,
        proxy_command: false,
        wants_final: false,
        in_final: false,
    };
    lookup.pass(&config.files)?;
    if lookup.wants_final {
        lookup.in_final = true;
        lookup.pass(&config.files)?;
    }
    Ok(lookup.config)
}

struct Lookup<'a> {
    name: &'a str,
    above: &'a ConnectionSettings,
    config: HostConfig,
    local_user: &'a str,
    /// The patterns of `IgnoreUnknown`.
    ignore_unknown: Option<String>,
    /// Whether a `ProxyCommand` applies, which is `none`.
    proxy_command: bool,
    /// Whether a `Match final` was seen, which asks for a second pass.
    wants_final: bool,
    in_final: bool,
}

impl Lookup<'_> {
    fn pass(&mut self, files: &[ConfigFile]) -> Result<(), Problem> {
        for file in files {
            self.file(file, true)?;
        }
        Ok(())
    }

    /// Goes through a file. With `applies` unset nothing in it does, but it must be right.
    fn file(&mut self, file: &ConfigFile, applies: bool) -> Result<(), Problem> {
        let mut active = applies;
        for line in &file.lines {
            match line.meaning {
                None => self.unknown(line)?,
                Some(Keyword::Host) => {
                    let names = [Some(self.name), self.above.address.as_deref()];
                    active = host_line(line, &names)? && applies;
                }
                Some(Keyword::Match) => {
                    let matched = matching::match_line(line, &self.subject()?, applies)?;
                    self.wants_final |= matched.wants_final;
                    active = matched.applies && applies;
                }
                Some(Keyword::Include) => {
                    for included in &line.included {
                        self.file(included, active)?;
                    }
                }
                Some(keyword) => self.setting(keyword, line, active, file.of_user)?,
            }
        }
        Ok(())
    }

    fn unknown(&self, line: &Line) -> Result<(), Problem> {
        let name = line.keyword.text.to_ascii_lowercase();
        if let Some(patterns) = &self.ignore_unknown
            && pattern::matches_list(name.as_bytes(), patterns.as_bytes(), true)
        {
            return Ok(());
        }
        let problem = Problem::new(format!(
            "unknown keyword `{}` in the SSH configuration",
            line.keyword.text
        ))
        .at(line.place(&line.keyword));
        Err(match keywords::closest(&name) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help(format!(
                "if OpenSSH knows it, put `IgnoreUnknown {}` above",
                line.keyword.text
            )),
        })
    }

    /// Who the conditions of a `Match` are about, as far as it is known at this line.
    fn subject(&self) -> Result<Subject<'_>, Problem> {
        let host = match (&self.above.address, &self.config.host_name) {
            (Some(address), _) => address.clone(),
            (None, Some(setting)) => values::host_name(setting, self.name)?,
            (None, None) => self.name.to_string(),
        };
        let user = (self.above.user.as_deref())
            .or(self.config.user.as_ref().map(|user| user.value.as_str()))
            .unwrap_or(self.local_user);
        Ok(Subject {
            // In the second pass OpenSSH has put the name into its final form.
            host: if self.in_final {
                values::canonical_host(host)
            } else {
                host
            },
            original_host: self.name,
            user,
            local_user: self.local_user,
            in_final: self.in_final,
        })
    }

    fn setting(
        &mut self,
        keyword: Keyword,
        line: &Line,
        active: bool,
        of_user: bool,
    ) -> Result<(), Problem> {
        let config = &mut self.config;
        match keyword {
            Keyword::Host | Keyword::Match | Keyword::Include | Keyword::Ignored => {}
            Keyword::IgnoreUnknown => {
                let value = line.argument()?.text.clone();
                if active {
                    self.ignore_unknown.get_or_insert(value);
                }
            }
            Keyword::HostName => first(&mut config.host_name, active, values::word(line)?),
            Keyword::User => first(&mut config.user, active, values::word(line)?),
            Keyword::Port => first(&mut config.port, active, values::port(line)?),
            Keyword::IdentityFile => {
                let value = values::word(line)?;
                let known = |known: &Setting<String>| known.value == value.value;
                if active && !config.identity_files.iter().any(known) {
                    config.identity_files.push(value);
                }
            }
            Keyword::IdentitiesOnly => {
                first(&mut config.identities_only, active, values::flag(line)?);
            }
            Keyword::IdentityAgent => {
                first(&mut config.identity_agent, active, values::word(line)?);
            }
            Keyword::UserKnownHostsFile => {
                let value = values::files(line)?;
                first(&mut config.user_known_hosts_files, active, value);
            }
            Keyword::GlobalKnownHostsFile => {
                let value = values::files(line)?;
                first(&mut config.global_known_hosts_files, active, value);
            }
            Keyword::StrictHostKeyChecking => {
                let value = values::strictness(line)?;
                first(&mut config.strict_host_key_checking, active, value);
            }
            Keyword::HostKeyAlias => first(&mut config.host_key_alias, active, values::word(line)?),
            Keyword::ProxyJump => {
                let value = values::jumps(line)?;
                // Whichever of the two comes first rules the other one out.
                first(&mut config.proxy_jump, active && !self.proxy_command, value);
            }
            Keyword::ProxyCommand => {
                let jump = config.proxy_jump.is_some() || self.above.proxy_jump.is_some();
                if active && !jump && !self.proxy_command {
                    values::proxy_command(line)?;
                    self.proxy_command = true;
                }
            }
            Keyword::ConnectTimeout => {
                optional(&mut config.connect_timeout, active, values::time(line)?);
            }
            Keyword::ServerAliveInterval => {
                let value = values::time(line)?;
                optional(&mut config.server_alive_interval, active, value);
            }
            Keyword::ServerAliveCountMax => {
                let value = values::number(line)?;
                first(&mut config.server_alive_count_max, active, value);
            }
            Keyword::PreferredAuthentications if active => values::authentications(line)?,
            Keyword::PreferredAuthentications => {}
            Keyword::Unsupported { harmless, help } if active => {
                values::unsupported(line, harmless, help)?;
            }
            Keyword::Algorithms if active && of_user => {
                values::unsupported(
                    line,
                    &[],
                    "the runner brings its own list: keep the hosts of the run out of this block",
                )?;
            }
            Keyword::Unsupported { .. } | Keyword::Algorithms => {}
        }
        Ok(())
    }
}

fn first<T>(known: &mut Option<Setting<T>>, active: bool, value: Setting<T>) {
    if active {
        known.get_or_insert(value);
    }
}

fn optional<T>(known: &mut Option<Setting<T>>, active: bool, value: Option<Setting<T>>) {
    if let Some(value) = value {
        first(known, active, value);
    }
}
