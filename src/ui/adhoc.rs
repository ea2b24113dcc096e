//! What lasts of one command on many hosts.
//!
//! On a terminal the results are held back until the last host is done, so that hosts with the same result
//! become one: a line each where every result has one line, else a block each. A result that differs little from
//! that of most hosts is shown as a diff against it. In a pipe each line goes out as its host
//! is done, with the host before it, so that `runner exec all -- uname -r | sort` does what it says; what a command
//! complained about and what failed goes to standard error.

use super::escape;
use super::failure::Failures;
use super::fold::fit;
use super::style::{Style, Tone, tone, word};
use super::words::{Count, duration};
use super::{Options, Page, Story, To, diff, recap};
use crate::event::{Event, Outcome, Status};
use crate::report::{Report, ends_host};
use crate::spool::{Rest, Rests};
use std::collections::HashMap;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// A diff against the majority shows at most this many changed lines.
const CHANGED_LINES: usize = 10;

/// Tells an ad-hoc command as lines.
pub(super) struct AdhocStory {
    options: Options,
    style: Style,
    check: bool,
    hosts: Vec<String>,
    /// The columns of the longest name.
    column: usize,
    failures: Failures,
    results: Vec<Same>,
}

/// The hosts that had the same result.
struct Same {
    hosts: Vec<String>,
    result: Result,
    slowest: Duration,
}

#[derive(PartialEq, Eq)]
struct Result {
    status: Status,
    code: Option<i32>,
    message: String,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    diff: Vec<String>,
    command: bool,
    /// So many bytes of what it said.
    missing: u64,
    /// Compared last: it is read from a disk.
    rest: Rests,
}

impl AdhocStory {
    pub(super) fn new(options: Options, style: Style) -> Self {
        Self {
            options,
            style,
            check: false,
            hosts: Vec::new(),
            column: 0,
            failures: Failures::new(style),
            results: Vec::new(),
        }
    }

    fn finished(&mut self, host: &str, outcome: &Outcome, page: &mut Page) {
        let mut result = Result::new(outcome, self.check, self.style);
        if page.width.is_none() {
            return self.lines(host, &result, outcome, page);
        }
        // What is told at the end has to be kept until then.
        result.stdout = said(outcome).to_vec();
        result.stderr.clone_from(&outcome.stderr);
        result.rest.clone_from(&outcome.rest);
        match self.results.iter_mut().find(|same| same.result == result) {
            Some(same) => {
                same.hosts.push(host.to_owned());
                same.slowest = same.slowest.max(outcome.took);
            }
            None => self.results.push(Same {
                hosts: vec![host.to_owned()],
                result,
                slowest: outcome.took,
            }),
        }
    }

    /// For a pipe: each line with its host.
    fn lines(&self, host: &str, result: &Result, outcome: &Outcome, page: &mut Page) {
        let blanks = self.column.saturating_sub(host.width());
        let before = format!("{host}{}  ", " ".repeat(blanks));
        output(To::Out, &before, said(outcome), &outcome.rest.stdout, page);
        for line in result.diff.iter() {
            page.out(format!("{before}{line}").trim_end());
        }
        output(
            To::Err,
            &before,
            &outcome.stderr,
            &outcome.rest.stderr,
            page,
        );
        if let Some(note) = result.missing() {
            page.err(before.clone() + &self.style.paint(Tone::Faint, note));
        }
        if ends_host(result.status) {
            page.err(format!("{before}{}", self.verdict(result)));
        } else if !result.command && said(outcome).is_empty() {
            page.out(format!("{before}{}", self.verdict(result)));
        }
    }

    /// The status, and the exit code or the reason.
    fn verdict(&self, result: &Result) -> String {
        let status = result.status;
        let text = self.style.paint(tone(status), word(status, self.check));
        let message = escape::escape_str(&result.message);
        match result.code {
            Some(code)
                if code != 0 && ends_host(status) && !message.contains(&code.to_string()) =>
            {
                let message = if message.is_empty() {
                    ""
                } else {
                    &format!(": {message}")
                };
                format!("{text}, exit code {code}{message}")
            }
            _ if message.is_empty() => text,
            _ => format!("{text}: {message}"),
        }
    }

    fn names(&self, hosts: &[String], width: usize) -> String {
        match hosts.len() {
            1 => hosts.concat(),
            all if all == self.hosts.len() => format!("all {}", Count(all, "host")),
            some => {
                let count = format!(" ({some})");
                let names = fit(hosts, width.saturating_sub(count.len()));
                match names.ends_with("hosts") || names.is_empty() {
                    true => Count(some, "host").to_string(),
                    false => names + &count,
                }
            }
        }
    }

    /// One line per result.
    fn rows(&self, results: &[Same], columns: usize, page: &mut Page) {
        let names: Vec<String> = results
            .iter()
            .map(|same| self.names(&same.hosts, columns / 2))
            .collect();
        let width = names.iter().map(|name| name.width()).max().unwrap_or(0);
        for (same, name) in results.iter().zip(names) {
            let blanks = " ".repeat(width.saturating_sub(name.width()));
            let name = self.style.paint(Tone::Strong, name);
            let line = same.result.lines(self.style).pop();
            let text = match (line, ends_host(same.result.status)) {
                (Some(line), false) if same.result.command => line,
                (Some(line), _) => format!("{}: {line}", self.verdict(&same.result)),
                (None, _) => self.verdict(&same.result),
            };
            page.out(format!("{name}{blanks}  {text}"));
        }
    }

    /// A block per result.
    fn blocks(&self, results: &[Same], columns: usize, page: &mut Page) {
        let most = results
            .iter()
            .find(|same| same.hosts.len() * 2 > self.hosts.len() && same.hosts.len() > 1);
        for (index, same) in results.iter().enumerate() {
            if index > 0 {
                page.out("");
            }
            let verdict = self.verdict(&same.result);
            let against = most
                .filter(|most| !std::ptr::eq(*most, same))
                .and_then(|most| Some((most, same.result.against(&most.result, self.style)?)));
            let names = self.names(&same.hosts, columns.saturating_sub(32));
            let names = self.style.paint(Tone::Strong, names);
            let rule = self.style.paint(Tone::Faint, "──");
            let mut head = format!("{rule} {names} {rule} {verdict}");
            if !ends_host(same.result.status) {
                let took = self.style.paint(Tone::Faint, duration(same.slowest));
                head.push_str(&format!(" {took}"));
            }
            let lines = match against {
                Some((most, lines)) => {
                    let count = Count(most.hosts.len(), "host");
                    head.push_str(&format!(", where it differs from {count}"));
                    lines
                }
                None => same.result.lines(self.style),
            };
            page.out(head);
            if !same.result.rest.is_empty() {
                same.result.write(self.style, page);
                continue;
            }
            for line in lines {
                page.out(line);
            }
        }
    }
}

/// One output, line by line, however large it is.
fn output(to: To, before: &str, start: &[u8], rest: &Rest, page: &mut Page) {
    if !rest.is_empty() {
        page.output(to, before, start, rest);
        return;
    }
    for line in escape::lines(start) {
        page.line(to, format!("{before}{line}").trim_end());
    }
}

/// What it said, or shows on purpose.
fn said(outcome: &Outcome) -> &[u8] {
    match &outcome.shown {
        Some(shown) if outcome.stdout.is_empty() => shown.as_bytes(),
        _ => &outcome.stdout,
    }
}

impl Result {
    /// Without what it said.
    fn new(outcome: &Outcome, check: bool, style: Style) -> Self {
        let command = matches!(&*outcome.module, "command" | "shell" | "script");
        // That a command may have changed something says nothing about it.
        let plain = command && !check && matches!(outcome.status, Status::Ok | Status::Changed);
        let diff = outcome.diff.as_ref();
        Self {
            status: if plain { Status::Ok } else { outcome.status },
            code: outcome.code,
            message: match plain {
                true => String::new(),
                false => outcome.message.clone(),
            },
            stdout: Vec::new(),
            stderr: Vec::new(),
            diff: diff.map_or_else(Vec::new, |diff| diff::lines(diff, style)),
            command,
            missing: outcome.missing(),
            rest: Rests::default(),
        }
    }

    /// Everything that was printed, where it is too much for lines.
    fn write(&self, style: Style, page: &mut Page) {
        output(To::Out, "", &self.stdout, &self.rest.stdout, page);
        if !self.stdout.is_empty() && !self.stderr.is_empty() {
            page.out(style.paint(Tone::Faint, "stderr:"));
        }
        output(To::Out, "", &self.stderr, &self.rest.stderr, page);
        if let Some(note) = self.missing() {
            page.out(style.paint(Tone::Faint, note));
        }
    }

    /// What is missing, unless its message says so.
    fn missing(&self) -> Option<String> {
        let says = self.missing == 0 || self.message.contains(&self.missing.to_string());
        (!says).then(|| format!("{}, not kept", Count(self.missing as usize, "more byte")))
    }

    /// Everything that was printed.
    fn lines(&self, style: Style) -> Vec<String> {
        let owned = |bytes| escape::lines(bytes).map(|line| line.into_owned());
        let mut lines: Vec<String> = owned(&self.stdout).collect();
        if !self.stdout.is_empty() && !self.stderr.is_empty() {
            lines.push(style.paint(Tone::Faint, "stderr:"));
        }
        lines.extend(owned(&self.stderr));
        lines.extend(self.missing().map(|note| style.paint(Tone::Faint, note)));
        lines.extend(self.diff.iter().cloned());
        lines
    }

    /// The difference to the result of most hosts, if it is small.
    fn against(&self, most: &Result, style: Style) -> Option<Vec<String>> {
        let same =
            self.status == most.status && self.code == most.code && self.stderr == most.stderr;
        let whole = self.rest.is_empty() && most.rest.is_empty();
        if !same || !whole || self.stdout.is_empty() || !self.diff.is_empty() {
            return None;
        }
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let (mine, theirs) = (text(&self.stdout), text(&most.stdout));
        let changed = diff::changed(&theirs, &mine);
        let small = changed <= CHANGED_LINES && changed < mine.lines().count();
        (small && changed > 0).then(|| {
            let mut lines = diff::hunks(&theirs, &mine, 1, style);
            // In which line the first difference stands is of no interest.
            lines.remove(0);
            lines
        })
    }
}

impl Story for AdhocStory {
    fn event(&mut self, event: &Event, page: &mut Page) {
        match event {
            Event::RunStarted { hosts, check, .. } => {
                self.hosts.clone_from(hosts);
                let widths = hosts.iter().map(|host| host.width());
                self.column = widths.max().unwrap_or(0);
                self.check = *check;
            }
            Event::TaskFinished { host, outcome, .. } => self.finished(host, outcome, page),
            Event::HostLost {
                host,
                status,
                message,
                help,
            } => {
                let mut lost = Page::new(page.width);
                self.failures.lost(host, *status, message, help, &mut lost);
                for (_, line) in lost.lines {
                    page.lines.push((To::Err, line));
                }
            }
            Event::Warning { message } => {
                let word = self.style.paint(Tone::Changed, "warning");
                page.err(format!("{word}: {}", escape::escape_str(message)));
            }
            Event::Locked {
                holder,
                hosts,
                waits,
            } => super::locked::tell(holder, hosts, *waits, self.style, page),
            Event::PlayStarted { .. }
            | Event::Connecting { .. }
            | Event::Connected { .. }
            | Event::Exchanged { .. }
            | Event::Acting { .. }
            | Event::TurnFinished { .. }
            | Event::Barrier { .. }
            | Event::TaskStarted { .. }
            | Event::Transfer { .. }
            | Event::TaskOutput { .. }
            | Event::TaskRetry { .. }
            | Event::PlayFinished { .. }
            | Event::Interrupted { .. }
            | Event::RunFinished { .. } => {}
        }
    }

    fn finish(&mut self, report: &Report, page: &mut Page) {
        let mut results = std::mem::take(&mut self.results);
        let order: HashMap<&String, usize> = self.hosts.iter().zip(0..).collect();
        let order = |host: &String| order.get(host).copied();
        for same in &mut results {
            same.hosts.sort_by_key(order);
        }
        let lines = |same: &Same| same.result.lines(Style::default()).len();
        let columns = page.width.unwrap_or(80);
        let last = |same: &Same| ends_host(same.result.status);
        let short = |same: &Same| same.result.rest.is_empty() && lines(same) <= 1;
        if results.iter().all(short) {
            results.sort_by_key(|same| (last(same), same.hosts.first().and_then(order)));
            self.rows(&results, columns, page);
        } else {
            // The majority comes first, and what failed last, next to the prompt.
            let most = |same: &Same| std::cmp::Reverse(same.hosts.len());
            results.sort_by_key(|same| (last(same), most(same)));
            self.blocks(&results, columns, page);
        }
        let line = recap::adhoc_line(report, self.style, page.width);
        if page.width.is_some() {
            page.err("");
        }
        if page.width.is_some() || report.exit_code() != 0 || self.options.verbose > 0 {
            page.err(line);
        }
        if let Some(timing) = report.timing() {
            // Standard output is for what the hosts said.
            let all = self.options.verbose > 0;
            for line in super::timing::lines(timing, self.style, all, page.width) {
                page.err(line);
            }
        }
    }
}
