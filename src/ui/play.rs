//! What lasts of a playbook's run: a heading per play, a folded line per task, failures at once.

use super::escape::{self, escape_str};
use super::fold::{fit, fold};
use super::style::{Style, Tone, tone, word};
use super::words::Count;
use super::{Options, Page, Story, failure, recap};
use crate::event::{Event, Outcome, Status, TaskId, common_name};
use crate::report::{Report, STATUSES, ends_host, worse};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use unicode_width::UnicodeWidthStr;

/// Ticks without news after which a part of a play's hosts is told.
const QUIET: u32 = 5;

/// Tells a run as lines.
pub(super) struct PlayStory {
    options: Options,
    style: Style,
    check: bool,
    /// Nothing has been told yet.
    first: bool,
    plays: BTreeMap<usize, Play>,
    failures: failure::Failures,
}

/// Hosts by their numbers in the play, and so in its order.
type Numbers = BTreeSet<usize>;

/// A play under way.
struct Play {
    hosts: Vec<String>,
    numbers: HashMap<String, usize>,
    tasks_each: usize,
    /// How many tasks each host has behind it, by its number; `usize::MAX` when it left the play. None: not begun.
    behind: Vec<Option<usize>>,
    /// How many hosts have so many tasks behind them.
    crowds: BTreeMap<usize, usize>,
    tasks: BTreeMap<usize, Task>,
    running: HashSet<usize>,
    /// For how many ticks every host that has begun has been through, while others have not begun.
    quiet: u32,
    /// The hosts are told in parts.
    partly: bool,
}

/// A task as far as its hosts are done with it.
#[derive(Default)]
struct Task {
    name: String,
    /// The hosts by their numbers, and so in their order.
    hosts: BTreeMap<usize, Status>,
    /// Lines to show below the task, and the hosts that they are for.
    notes: Vec<(Vec<String>, Numbers)>,
}

impl PlayStory {
    pub(super) fn new(options: Options, style: Style) -> Self {
        Self {
            options,
            style,
            check: false,
            first: true,
            plays: BTreeMap::new(),
            failures: failure::Failures::new(style),
        }
    }

    fn started(
        &mut self,
        play: usize,
        name: &str,
        hosts: &[String],
        tasks: usize,
        page: &mut Page,
    ) {
        self.failures.flush(page);
        let name = self.style.paint(Tone::Strong, escape_str(name));
        let count = Count(hosts.len(), "host");
        if !self.first {
            page.out("");
        }
        self.first = false;
        page.out(format!("{name} ({count})"));
        self.plays.insert(play, Play::new(hosts, tasks));
    }

    fn finished(&mut self, host: &str, task: &TaskId, outcome: &Outcome, page: &mut Page) {
        if ends_host(outcome.status) {
            self.failures.task(host, task, outcome, page);
        }
        let notes = self.notes(outcome);
        let Some(play) = self.plays.get_mut(&task.play) else {
            return;
        };
        let number = play.number(host);
        let known = play.tasks.entry(task.index).or_default();
        let name = escape_str(&task.name);
        known.name = match known.hosts.is_empty() {
            true => name.into_owned(),
            false => common_name(&known.name, &name),
        };
        let status = known.hosts.entry(number).or_insert(outcome.status);
        *status = match task.item {
            Some(_) => worse(*status, outcome.status),
            None => outcome.status,
        };
        for lines in notes {
            match known.notes.iter_mut().find(|(known, _)| *known == lines) {
                Some((_, hosts)) => {
                    hosts.insert(number);
                }
                None => known.notes.push((lines, Numbers::from([number]))),
            }
        }
        let behind = match task.item {
            _ if ends_host(outcome.status) => usize::MAX,
            Some(_) => task.index,
            None => task.index + 1,
        };
        play.done(host, behind);
        self.tell(task.play, false, page);
    }

    /// What is worth a line of its own below the task's line.
    fn notes(&self, outcome: &Outcome) -> Vec<Vec<String>> {
        let mut notes = Vec::new();
        let tells = matches!(outcome.status, Status::Changed | Status::Skipped)
            && (self.options.verbose > 0 || (self.check && outcome.status == Status::Changed));
        if !outcome.message.is_empty() && (tells || outcome.status == Status::Ignored) {
            notes.push(vec![format!(
                "{}: {}",
                word(outcome.status, self.check),
                escape_str(&outcome.message)
            )]);
        }
        if let Some(shown) = &outcome.shown {
            notes.push(text(shown.as_bytes()));
        }
        if self.options.verbose > 1 && !ends_host(outcome.status) {
            for output in [&outcome.stdout, &outcome.stderr] {
                notes.push(text(output));
            }
            if outcome.missing() > 0 {
                let count = Count(outcome.missing() as usize, "more byte");
                notes.push(vec![format!("{count}, not kept")]);
            }
        }
        if let Some(diff) = &outcome.diff {
            notes.push(super::diff::lines(diff, self.style));
        }
        notes.retain(|lines| !lines.is_empty());
        notes
    }

    /// Writes the tasks of a play that every host is done with.
    fn tell(&mut self, play: usize, all: bool, page: &mut Page) {
        let Some(known) = self.plays.get_mut(&play) else {
            return;
        };
        let slowest = known.crowds.keys().next().copied().unwrap_or(usize::MAX);
        let mut done = Vec::new();
        while let Some(entry) = known.tasks.first_entry() {
            if !all && *entry.key() >= slowest {
                break;
            }
            done.push(entry.remove());
        }
        if done.is_empty() {
            return;
        }
        for task in &mut done {
            task.notes.sort_by_key(|(_, hosts)| hosts.first().copied());
        }
        self.failures.flush(page);
        if let Some(play) = self.plays.get(&play) {
            for task in done {
                self.task(play, &task, page);
            }
        }
    }

    fn task(&self, play: &Play, task: &Task, page: &mut Page) {
        let column = match page.width {
            Some(width) => (width / 2).clamp(24, 60),
            None => 48,
        };
        let room = column - 4;
        let name = match page.width {
            Some(_) => super::style::cut(&task.name, room),
            None => task.name.clone(),
        };
        let dots = room.saturating_sub(name.width()).max(2) + 1;
        let dots = self.style.paint(Tone::Faint, ".".repeat(dots));
        let mut line = format!("  {name} {dots}");
        let mut used = column.max(name.width() + 7);
        let mut groups = Vec::new();
        for status in STATUSES {
            let hosts = task.hosts.iter().filter(|(_, known)| **known == status);
            let hosts: Vec<&str> = hosts.map(|(number, _)| play.name(*number)).collect();
            if !hosts.is_empty() {
                let text = format!("{} {}", word(status, self.check), hosts.len());
                used += text.width() + 2;
                groups.push((status, text, hosts));
            }
        }
        let named = |status: Status, hosts: &[&str]| {
            let quiet = matches!(status, Status::Ok | Status::Skipped);
            play.partly || (hosts.len() < task.hosts.len() && !quiet)
        };
        let mut left = groups
            .iter()
            .filter(|(status, _, hosts)| named(*status, hosts))
            .count();
        for (index, (status, text, hosts)) in groups.iter().enumerate() {
            line.push_str(if index == 0 { " " } else { "  " });
            line.push_str(&self.style.paint(tone(*status), text));
            if !named(*status, hosts) {
                continue;
            }
            let names = match page.width {
                Some(width) => fit(hosts, (width.saturating_sub(used) / left).saturating_sub(2)),
                None => fold(hosts),
            };
            left -= 1;
            // A bare count would only repeat what stands before it.
            if !names.is_empty() && !names.ends_with("hosts") {
                used += names.width() + 2;
                line.push_str(": ");
                line.push_str(&names);
            }
        }
        page.out(line);
        // A note for all hosts of this line, or for all of one status in it, needs no names.
        let named = |hosts: &Numbers| {
            let same = |(_, _, known): &(Status, String, Vec<&str>)| {
                known.len() == hosts.len()
                    && hosts
                        .iter()
                        .map(|number| play.name(*number))
                        .eq(known.iter().copied())
            };
            hosts.len() < task.hosts.len() && !groups.iter().any(same)
        };
        self.notes_below(play, task, named, page);
    }

    fn notes_below(
        &self,
        play: &Play,
        task: &Task,
        named: impl Fn(&Numbers) -> bool,
        page: &mut Page,
    ) {
        let width = page.width;
        let names = |hosts: &Numbers| {
            let hosts: Vec<&str> = hosts.iter().map(|number| play.name(*number)).collect();
            let names = match width {
                Some(width) => fit(&hosts, width / 2),
                None => fold(&hosts),
            };
            match hosts.len() {
                1 => names,
                count => format!("{names} ({count})"),
            }
        };
        // A note of one line stands behind its hosts, in a column.
        let short = |(lines, hosts): &&(Vec<String>, Numbers)| lines.len() == 1 && named(hosts);
        let short = task.notes.iter().filter(short);
        let column = short.map(|(_, hosts)| names(hosts).width()).max();
        for (lines, hosts) in &task.notes {
            let mut before = String::new();
            if named(hosts) {
                let names = names(hosts);
                let blanks = column.unwrap_or(0).saturating_sub(names.width());
                let names = self.style.paint(Tone::Strong, names);
                match lines.len() {
                    1 => before = format!("{names}{}  ", " ".repeat(blanks)),
                    _ => {
                        page.out(format!("    {names}"));
                        before = "  ".to_owned();
                    }
                }
            }
            for line in lines {
                page.out(format!("    {before}{line}"));
            }
        }
    }
}

impl Play {
    fn new(hosts: &[String], tasks: usize) -> Self {
        let mut play = Self {
            hosts: Vec::with_capacity(hosts.len()),
            numbers: HashMap::with_capacity(hosts.len()),
            tasks_each: tasks,
            behind: Vec::with_capacity(hosts.len()),
            crowds: BTreeMap::new(),
            tasks: BTreeMap::new(),
            running: HashSet::new(),
            quiet: 0,
            partly: false,
        };
        for host in hosts {
            play.number(host);
        }
        play
    }

    /// A host's number in the play; the next one for a host that the play did not name.
    fn number(&mut self, host: &str) -> usize {
        if let Some(number) = self.numbers.get(host) {
            return *number;
        }
        let number = self.hosts.len();
        self.hosts.push(host.to_owned());
        self.numbers.insert(host.to_owned(), number);
        self.behind.push(None);
        *self.crowds.entry(0).or_default() += 1;
        number
    }

    fn name(&self, number: usize) -> &str {
        self.hosts.get(number).map_or("", String::as_str)
    }

    /// Notes how many tasks a host has behind it; that it has begun, if none. Hosts of other plays don't matter.
    fn done(&mut self, host: &str, behind: usize) {
        let Some(&number) = self.numbers.get(host) else {
            return;
        };
        self.quiet = 0;
        self.running.remove(&number);
        let known = self.behind[number].unwrap_or(0);
        let now = behind.max(known);
        self.behind[number] = Some(now);
        if now == known {
            return;
        }
        *self.crowds.entry(now).or_default() += 1;
        if let Some(crowd) = self.crowds.get_mut(&known) {
            *crowd -= 1;
            if *crowd == 0 {
                self.crowds.remove(&known);
            }
        }
    }

    /// Every host that has begun is through.
    fn idle(&self) -> bool {
        let mut begun = self.behind.iter().flatten();
        self.running.is_empty() && begun.all(|behind| *behind >= self.tasks_each)
    }
}

impl Story for PlayStory {
    fn event(&mut self, event: &Event, page: &mut Page) {
        match event {
            Event::RunStarted { name, check, .. } => {
                self.check = *check;
                if *check {
                    self.first = false;
                    page.out(format!(
                        "{}: nothing is changed, only said",
                        escape_str(name)
                    ));
                }
            }
            Event::PlayStarted {
                play,
                name,
                hosts,
                tasks,
            } => self.started(*play, name, hosts, *tasks, page),
            Event::Connecting { host } => {
                for play in self.plays.values_mut() {
                    play.done(host, 0);
                }
            }
            Event::TaskStarted { host, task } => {
                if let Some(play) = self.plays.get_mut(&task.play) {
                    play.done(host, task.index);
                    let number = play.number(host);
                    play.running.insert(number);
                }
                self.tell(task.play, false, page);
            }
            Event::TaskFinished {
                host,
                task,
                outcome,
            } => self.finished(host, task, outcome, page),
            Event::HostLost {
                host,
                status,
                message,
                help,
            } => {
                self.failures.lost(host, *status, message, help, page);
                for play in self.plays.values_mut() {
                    play.done(host, usize::MAX);
                }
                let plays: Vec<usize> = self.plays.keys().copied().collect();
                for play in plays {
                    self.tell(play, false, page);
                }
            }
            Event::PlayFinished { play } => {
                self.tell(*play, true, page);
                self.plays.remove(play);
            }
            Event::Warning { message } => {
                let word = self.style.paint(Tone::Changed, "warning");
                page.err(format!("{word}: {}", escape_str(message)));
            }
            Event::Locked {
                holder,
                hosts,
                waits,
            } => {
                self.failures.flush(page);
                super::locked::tell(holder, hosts, *waits, self.style, page);
            }
            Event::Interrupted { signal } => {
                let word = self.style.paint(Tone::Odd, "stopping");
                page.out(format!("{word}: SIG{}", escape_str(signal)));
            }
            Event::Connected { .. }
            | Event::Exchanged { .. }
            | Event::Acting { .. }
            | Event::TurnFinished { .. }
            | Event::Barrier { .. }
            | Event::Transfer { .. }
            | Event::TaskOutput { .. }
            | Event::TaskRetry { .. }
            | Event::RunFinished { .. } => {}
        }
    }

    /// Where hosts take turns (`serial`), those that are through are told before the next begin.
    fn tick(&mut self, page: &mut Page) {
        self.failures.tick(page);
        let mut quiet = Vec::new();
        for (index, play) in &mut self.plays {
            if !play.tasks.is_empty() && play.idle() {
                play.quiet += 1;
                if play.quiet > QUIET {
                    play.partly = true;
                    quiet.push(*index);
                }
            }
        }
        for index in quiet {
            self.tell(index, true, page);
        }
    }

    fn finish(&mut self, report: &Report, page: &mut Page) {
        self.failures.flush(page);
        let plays: Vec<usize> = self.plays.keys().copied().collect();
        for play in plays {
            self.tell(play, true, page);
        }
        recap::write(report, self.style, page);
        if let Some(timing) = report.timing() {
            let all = self.options.verbose > 0;
            for line in super::timing::lines(timing, self.style, all, page.width) {
                page.out(line);
            }
        }
    }
}

/// The lines of a text, each made safe.
fn text(bytes: &[u8]) -> Vec<String> {
    escape::lines(bytes).map(|line| line.into_owned()).collect()
}
