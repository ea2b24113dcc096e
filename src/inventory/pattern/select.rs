//! Which hosts of an inventory a pattern means.

use super::term::{Kind, Slice, Term};
use super::{Op, Pattern};
use crate::diagnostic::cause;
use crate::diagnostic::{Problem, Problems, Source};
use crate::exit;
use crate::inventory::{Host, Inventory};
use regex::Regex;
use std::fmt;
use std::sync::Arc;

/// Why a pattern gives no hosts.
#[derive(Debug, Clone)]
pub enum SelectError {
    /// It, or a term of it, matches no host: exit code 3.
    NoHost(Problems),
    /// It is malformed, or a list in it cannot be read: exit code 5.
    Bad(Problems),
}

impl SelectError {
    /// The problems, of either kind.
    pub fn problems(&self) -> &Problems {
        match self {
            SelectError::NoHost(problems) | SelectError::Bad(problems) => problems,
        }
    }

    /// The problems, of either kind.
    pub fn into_problems(self) -> Problems {
        match self {
            SelectError::NoHost(problems) | SelectError::Bad(problems) => problems,
        }
    }

    /// The exit code of a program that ends with this.
    pub fn exit_code(&self) -> u8 {
        match self {
            SelectError::NoHost(_) => exit::NO_HOSTS,
            SelectError::Bad(_) => exit::BAD_INPUT,
        }
    }

    fn take(self, missing: &mut Problems, bad: &mut Problems) {
        match self {
            SelectError::NoHost(problems) => missing.extend(problems),
            SelectError::Bad(problems) => bad.extend(problems),
        }
    }
}

impl fmt::Display for SelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.problems().fmt(f)
    }
}

impl std::error::Error for SelectError {}

/// Finds the list that `@name` means, such as the hosts of the last run that failed: `None` if the name has no
/// meaning of its own, and is a file. A list has a pattern on each line; what follows a `#` is a comment.
pub type Lookup<'a> = dyn Fn(&str) -> Result<Option<Source>, Problem> + 'a;

impl Inventory {
    /// The hosts that a pattern means. The order is that of the terms, and within a term that of the inventory.
    ///
    /// # Errors
    ///
    /// A term names no host or group, no host is left, or a list cannot be read.
    pub fn select(&self, pattern: &Pattern) -> Result<Vec<Arc<Host>>, SelectError> {
        self.select_with(pattern, &|_| Ok(None))
    }

    /// As [`select`](Self::select), with a meaning for `@name`.
    ///
    /// # Errors
    ///
    /// A term names no host or group, no host is left, or a list cannot be read.
    pub fn select_with(
        &self,
        pattern: &Pattern,
        lookup: &Lookup<'_>,
    ) -> Result<Vec<Arc<Host>>, SelectError> {
        let hosts = self.evaluate(pattern, Some(lookup))?;
        if hosts.is_empty() {
            let problem =
                Problem::new(format!("`{pattern}` matches no host")).at(pattern.place().clone());
            return Err(SelectError::NoHost(problem.into()));
        }
        Ok(hosts.iter().map(|&at| self.hosts()[at].clone()).collect())
    }

    /// Positions of hosts; without a lookup, lists are refused.
    fn evaluate(
        &self,
        pattern: &Pattern,
        lookup: Option<&Lookup<'_>>,
    ) -> Result<Vec<usize>, SelectError> {
        let mut terms: Vec<&Term> = pattern.terms.iter().collect();
        // The sort is stable: within one kind the order of the pattern holds.
        terms.sort_by_key(|term| term.op);
        let (mut missing, mut bad) = (Problems::new(), Problems::new());
        let mut hosts: Vec<usize> = Vec::new();
        if terms.iter().all(|term| term.op != Op::Union) {
            hosts = (0..self.hosts().len()).collect();
        }
        let mut has = vec![false; self.hosts().len()];
        for term in terms {
            let found = match self.term(term, lookup) {
                Ok(found) => found,
                Err(error) => {
                    error.take(&mut missing, &mut bad);
                    continue;
                }
            };
            match term.op {
                Op::Union => {
                    for at in found {
                        if !std::mem::replace(&mut has[at], true) {
                            hosts.push(at);
                        }
                    }
                }
                Op::Intersection | Op::Exclusion => {
                    let mut named = vec![false; has.len()];
                    found.into_iter().for_each(|at| named[at] = true);
                    hosts.retain(|&at| named[at] == (term.op == Op::Intersection));
                }
            }
        }
        if !bad.is_empty() {
            bad.extend(missing);
            return Err(SelectError::Bad(bad));
        }
        match missing.is_empty() {
            true => Ok(hosts),
            false => Err(SelectError::NoHost(missing)),
        }
    }

    fn term(&self, term: &Term, lookup: Option<&Lookup<'_>>) -> Result<Vec<usize>, SelectError> {
        let no_host = |problem: Problem| SelectError::NoHost(problem.at(term.place.clone()).into());
        if let Some((base, slice)) = &term.slice {
            let known = match base {
                Kind::Name(name) => self.name(name).is_some(),
                _ => true,
            };
            if known || term.plain.is_none() {
                let hosts = self.kind(base, term, lookup)?;
                let part = slice.of(&hosts);
                if part.is_empty() {
                    return Err(no_host(past_the_end(term, *slice, hosts.len())));
                }
                return Ok(part.to_vec());
            }
        }
        match &term.plain {
            Some(kind) => self.kind(kind, term, lookup),
            None => Err(no_host(Problem::new(format!(
                "`{}` matches no host",
                term.text
            )))),
        }
    }

    fn kind(
        &self,
        kind: &Kind,
        term: &Term,
        lookup: Option<&Lookup<'_>>,
    ) -> Result<Vec<usize>, SelectError> {
        let found = match kind {
            Kind::Name(name) => self.name(name).ok_or_else(|| self.unknown(name)),
            Kind::Names(names) => self.names(names, &term.text),
            Kind::Glob(regex) | Kind::Regex(regex) => self.matching(regex, &term.text),
            Kind::List(name) => return self.list(name, term, lookup),
        };
        found.map_err(|problem| SelectError::NoHost(problem.at(term.place.clone()).into()))
    }

    /// The hosts of a group, or a host.
    fn name(&self, name: &str) -> Option<Vec<usize>> {
        match self.group(name) {
            Some(group) => Some(self.positions(&group.hosts)),
            None => self.host_index.get(name).map(|&at| vec![at]),
        }
    }

    fn positions(&self, hosts: &[Arc<Host>]) -> Vec<usize> {
        let position = |host: &Arc<Host>| self.host_index.get(&host.name).copied();
        hosts.iter().filter_map(position).collect()
    }

    fn names(&self, names: &[String], text: &str) -> Result<Vec<usize>, Problem> {
        let mut found = Vec::with_capacity(names.len());
        let mut missing = Vec::new();
        for name in names {
            match self.name(name) {
                Some(hosts) => found.extend(hosts),
                None => missing.push(name),
            }
        }
        let Some(first) = missing.first() else {
            return Ok(found);
        };
        let problem = self.unknown(first);
        match missing.len() {
            1 => Ok(()),
            _ if found.is_empty() => Err(Problem::new(format!("`{text}` matches no host"))),
            more => Err(Problem::new(format!(
                "{more} of the {} hosts of `{text}` are not in the inventory, the first is `{first}`",
                names.len()
            ))),
        }?;
        Err(problem)
    }

    fn matching(&self, regex: &Regex, text: &str) -> Result<Vec<usize>, Problem> {
        let mut has = vec![false; self.hosts().len()];
        let groups = self
            .groups()
            .iter()
            .filter(|group| regex.is_match(&group.name));
        for group in groups {
            for at in self.positions(&group.hosts) {
                has[at] = true;
            }
        }
        for (at, host) in self.hosts().iter().enumerate() {
            has[at] = has[at] || regex.is_match(&host.name);
        }
        let found: Vec<usize> = (0..has.len()).filter(|&at| has[at]).collect();
        if found.is_empty() {
            return Err(Problem::new(format!(
                "`{text}` matches no host and no group"
            )));
        }
        Ok(found)
    }

    fn list(
        &self,
        name: &str,
        term: &Term,
        lookup: Option<&Lookup<'_>>,
    ) -> Result<Vec<usize>, SelectError> {
        let bad = |problem: Problem| SelectError::Bad(problem.at(term.place.clone()).into());
        let Some(lookup) = lookup else {
            return Err(bad(Problem::new(
                "a list of hosts cannot name another list",
            )));
        };
        let source = match lookup(name).map_err(bad)? {
            Some(source) => source,
            None => std::fs::read_to_string(name)
                .map(|text| Source::new(name, text))
                .map_err(|error| {
                    bad(Problem::new(format!(
                        "cannot read the list of hosts {name}: {}",
                        cause(&error)
                    )))
                })?,
        };
        let (mut missing, mut wrong) = (Problems::new(), Problems::new());
        let mut hosts = Vec::new();
        let mut start = 0;
        for line in source.text().split('\n') {
            let text = line.split('#').next().unwrap_or_default();
            let place = source.place(start..start + text.len());
            start += line.len() + 1;
            if text.trim().is_empty() {
                continue;
            }
            match Pattern::parse(text, &place) {
                Err(problem) => wrong.push(problem),
                Ok(pattern) => match self.evaluate(&pattern, None) {
                    Ok(found) => hosts.extend(found),
                    Err(error) => error.take(&mut missing, &mut wrong),
                },
            }
        }
        if !wrong.is_empty() {
            wrong.extend(missing);
            return Err(SelectError::Bad(wrong));
        }
        match missing.is_empty() {
            true => Ok(hosts),
            false => Err(SelectError::NoHost(missing)),
        }
    }

    fn unknown(&self, name: &str) -> Problem {
        let problem = Problem::new(format!("there is no host or group `{name}`"));
        if let Some(near) = self.suggest(name) {
            return problem.help(format!("did you mean `{near}`?"));
        }
        let dialed = |host: &&Arc<Host>| host.connection.address.as_deref() == Some(name);
        if let Some(host) = self.hosts().iter().find(dialed) {
            return problem.help(format!("it is the address of `{}`", host.name));
        }
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            return problem.help("`:` separates the terms of a pattern; a port is not part of it");
        }
        problem.help("`runner inventory` lists all hosts and groups")
    }
}

fn past_the_end(term: &Term, slice: Slice, count: usize) -> Problem {
    let base = term
        .text
        .rfind('[')
        .map_or(term.text.as_str(), |open| &term.text[..open]);
    let problem = Problem::new(format!("`{}` matches no host", term.text));
    match (slice, count) {
        (_, 0) => problem.help(format!("`{base}` has no hosts")),
        (_, 1) => problem.help(format!("`{base}` has 1 host, `{base}[0]`")),
        (_, count) => problem.help(format!(
            "`{base}` has {count} hosts, `{base}[0]` to `{base}[{}]`",
            count - 1
        )),
    }
}
