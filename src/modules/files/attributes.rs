//! Mode, owner and group: as declared, compared with what is there, and set.

use super::state::Status;
use crate::diagnostic::Problem;
use crate::modules::args::Args;
use crate::shell::quote;

/// What a task declares; what is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner, by name or number.
    pub owner: Option<String>,
    /// Group, by name or number.
    pub group: Option<String>,
}

impl Attributes {
    /// Takes `mode`, `owner` and `group`.
    ///
    /// # Errors
    ///
    /// A wrong type, or a name that no user or group can have.
    pub fn new(args: &Args) -> Result<Self, Problem> {
        let name = |key: &str| -> Result<Option<String>, Problem> {
            let value = args.string_opt(key)?;
            match &value {
                Some(name) if name.is_empty() || name.contains([':', '\0', '\n']) => {
                    Err(args.problem(key, format!("`{name}` is not the name of a {key}")))
                }
                _ => Ok(value),
            }
        };
        Ok(Self {
            mode: args.mode_opt("mode")?,
            owner: name("owner")?,
            group: name("group")?,
        })
    }

    /// What differs, in words; empty when nothing does.
    pub fn differences(&self, found: &Status) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(mode) = self.mode
            && mode != found.mode
        {
            words.push(format!("mode {:04o} -> {mode:04o}", found.mode));
        }
        if let Some(owner) = &self.owner
            && !same(owner, &found.user, found.uid)
        {
            words.push(format!("owner {} -> {owner}", found.user));
        }
        if let Some(group) = &self.group
            && !same(group, &found.group, found.gid)
        {
            words.push(format!("group {} -> {group}", found.group));
        }
        words
    }

    /// A pattern of `case` that matches the line of `rn_stat` for a thing of this kind as declared. An owner given as a
    /// number may appear as a name, so there is none for that.
    pub fn pattern(&self, kind: &str) -> Option<String> {
        let name = |declared: &Option<String>| match declared {
            None => Some("*".to_string()),
            Some(name) if name.bytes().all(|byte| byte.is_ascii_digit()) => None,
            Some(name) => Some(quote(name)),
        };
        let mode = match self.mode {
            None => "*".to_string(),
            // `stat` prints no zeros in front, `rn_columns` prints one.
            Some(mode) => format!("{mode:o}"),
        };
        let (owner, group) = (name(&self.owner)?, name(&self.group)?);
        Some(format!(
            "{kind}'\t'{mode}'\t'*'\t'*'\t'*'\t'*'\t'{owner}'\t'{group}"
        ))
    }

    /// Commands that set what is declared on the path in the shell word `at`, joined by `&&`. The owner comes first,
    /// since a change of owner takes setuid away. `mode` stands in for one that is not declared.
    pub fn commands(&self, at: &str, mode: Option<u32>) -> Vec<String> {
        let mut commands = Vec::new();
        match (&self.owner, &self.group) {
            (Some(owner), Some(group)) => {
                commands.push(format!("chown -- {}:{} {at}", quote(owner), quote(group)));
            }
            (Some(owner), None) => commands.push(format!("chown -- {} {at}", quote(owner))),
            (None, Some(group)) => commands.push(format!("chgrp -- {} {at}", quote(group))),
            (None, None) => {}
        }
        if let Some(mode) = self.mode.or(mode) {
            // Five digits: with fewer, GNU chmod leaves setgid on directories.
            commands.push(format!("chmod -- {mode:05o} {at}"));
        }
        commands
    }
}

fn same(declared: &str, name: &str, id: u64) -> bool {
    declared == name || declared.parse() == Ok(id)
}
