//! Failures as text: which host, which task, where it stands in the playbook, what the command said, the way out.

use super::Page;
use super::escape::{self, escape_str};
use super::fold::{fit, fold};
use super::style::{Style, Tone, tone, word};
use super::words::Count;
use crate::event::{Outcome, Status, TaskId};

/// How many of the last lines of an output are shown.
const LINES: usize = 20;

/// How much of a line is shown, in bytes.
const LINE: usize = 2048;

/// Writes failures at once, and the same failure on further hosts in one line.
pub(super) struct Failures {
    style: Style,
    /// What has been written in full.
    told: Vec<Told>,
    /// Ways out of lost connections that have been written.
    helped: Vec<Vec<String>>,
}

struct Told {
    /// What makes two failures the same.
    key: (Status, String, Vec<String>),
    what: String,
    /// Hosts that failed in the same way since the last flush.
    more: Vec<String>,
}

impl Failures {
    pub(super) fn new(style: Style) -> Self {
        Self {
            style,
            told: Vec::new(),
            helped: Vec::new(),
        }
    }

    /// A task that ended its host's run.
    pub(super) fn task(&mut self, host: &str, task: &TaskId, outcome: &Outcome, page: &mut Page) {
        let mut what = escape_str(&task.name).into_owned();
        if let Some(item) = &task.item {
            what.push_str(&format!(" ({})", escape_str(item)));
        }
        let body = self.body(outcome);
        self.tell(host, outcome.status, &what, body, page);
    }

    /// A host that left the run without a task.
    pub(super) fn lost(
        &mut self,
        host: &str,
        status: Status,
        message: &str,
        help: &[String],
        page: &mut Page,
    ) {
        let mut body: Vec<String> = help.iter().map(|line| self.help(line)).collect();
        // The causes differ by the address, the way out does not.
        match self.helped.contains(&body) {
            true => body.clear(),
            false => self.helped.push(body.clone()),
        }
        self.tell(host, status, &escape_str(message), body, page);
    }

    fn tell(&mut self, host: &str, status: Status, what: &str, body: Vec<String>, page: &mut Page) {
        let key = (status, what.to_owned(), body);
        if let Some(told) = self.told.iter_mut().find(|told| told.key == key) {
            told.more.push(host.to_owned());
            return;
        }
        self.flush(page);
        page.out(self.head(status, &escape_str(host), what));
        for line in &key.2 {
            page.out(format!("    {line}"));
        }
        self.told.push(Told {
            key,
            what: what.to_owned(),
            more: Vec::new(),
        });
    }

    /// Writes which further hosts failed as one before.
    pub(super) fn flush(&mut self, page: &mut Page) {
        self.flush_some(page, |_| true);
    }

    /// The same while the run goes on. What was not begun is no news, and can wait until all of it is there.
    pub(super) fn tick(&mut self, page: &mut Page) {
        self.flush_some(page, |status| status != Status::Cancelled);
    }

    fn flush_some(&mut self, page: &mut Page, now: impl Fn(Status) -> bool) {
        let mut told = std::mem::take(&mut self.told);
        for told in told.iter_mut().filter(|told| now(told.key.0)) {
            let hosts = std::mem::take(&mut told.more);
            if hosts.is_empty() {
                continue;
            }
            let names = match page.width {
                Some(width) => fit(&hosts, width.saturating_sub(24)),
                None => fold(&hosts),
            };
            let what = match told.key.2.is_empty() {
                true => told.what.clone(),
                false => format!("{}, as above", told.what),
            };
            page.out(self.head(told.key.0, &names, &what));
        }
        self.told = told;
    }

    fn head(&self, status: Status, hosts: &str, what: &str) -> String {
        let word = self.style.paint(tone(status), word(status, false));
        let hosts = self.style.paint(Tone::Strong, hosts);
        format!("  {word}: {hosts}: {what}")
    }

    fn body(&self, outcome: &Outcome) -> Vec<String> {
        let mut body = Vec::new();
        let module = &outcome.module;
        if let Some(place) = &outcome.place {
            let place = self.style.paint(Tone::Place, place);
            body.push(format!("--> {place}, {module}"));
        }
        let command = outcome.command.as_deref().unwrap_or("");
        let dollar = self.style.paint(Tone::Faint, "$");
        body.extend(
            command
                .lines()
                .take(3)
                .map(|line| format!("{dollar} {}", escape_str(line))),
        );
        match (outcome.message.is_empty(), outcome.code) {
            (false, Some(code)) if code != 0 && !outcome.message.contains(&code.to_string()) => {
                body.push(format!(
                    "{} (exit code {code})",
                    escape_str(&outcome.message)
                ));
            }
            (false, _) => body.push(escape_str(&outcome.message).into_owned()),
            (true, Some(code)) => body.push(format!("exit code {code}")),
            (true, None) => {}
        }
        let both = !outcome.stdout.is_empty() && !outcome.stderr.is_empty();
        for (name, output) in [("stdout", &outcome.stdout), ("stderr", &outcome.stderr)] {
            if both {
                body.push(self.style.paint(Tone::Faint, format!("{name}:")));
            }
            self.output(output, &mut body);
        }
        if outcome.missing() > 0 {
            let count = Count(outcome.missing() as usize, "more byte");
            body.push(self.style.paint(Tone::Faint, format!("{count}, not kept")));
        }
        body.extend(outcome.help.iter().map(|line| self.help(line)));
        body
    }

    fn output(&self, output: &[u8], body: &mut Vec<String>) {
        let output = output.strip_suffix(b"\n").unwrap_or(output);
        if output.is_empty() {
            return;
        }
        let bar = self.style.paint(Tone::Faint, "|");
        let left_out = memchr::memchr_iter(b'\n', output).count() + 1;
        let left_out = left_out.saturating_sub(LINES);
        if left_out > 0 {
            let count = format!("... {}", Count(left_out, "earlier line"));
            body.push(format!("{bar} {}", self.style.paint(Tone::Faint, count)));
        }
        for line in output.split(|byte| *byte == b'\n').skip(left_out) {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let rest = line.len().saturating_sub(LINE);
            let line = escape::escape(&line[..line.len() - rest]);
            let mut shown = format!("{bar} {line}").trim_end().to_owned();
            if rest > 0 {
                let count = format!(" ... {}", Count(rest, "more byte"));
                shown.push_str(&self.style.paint(Tone::Faint, count));
            }
            body.push(shown);
        }
    }

    fn help(&self, line: &str) -> String {
        let head = self.style.paint(Tone::Place, "= help:");
        format!("{head} {}", escape_str(line))
    }
}
