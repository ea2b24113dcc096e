//! Where the time went, as tables: what the run waited for, its tasks, its hosts.
//!
//! Only the slowest of each are shown, in the order of the run; what is left out is in the sums.

use super::escape::escape_str;
use super::style::{Style, Tone, cut};
use super::words::{Count, bytes, duration};
use crate::event::Traffic;
use crate::timing::{HostTime, Spent, Step, TaskTime, Timing};
use std::cmp::Reverse;
use std::collections::HashSet;
use std::time::Duration;
use unicode_width::UnicodeWidthStr;

/// So many rows of a table are shown if not all were asked for.
const ROWS: usize = 10;
/// So many hosts.
const HOSTS: usize = 5;
/// What took less than this part of the run is of no interest.
const SHARE: u32 = 500;
/// With fewer columns than this, names and headings are shorter.
const WIDE: usize = 120;
/// The columns between two cells.
const GAP: usize = 2;
/// The shortest beginning of all names that is worth leaving out.
const PREFIX: usize = 4;

/// The tables of a run. `all`: nothing is left out. Without a width, nothing is cut.
pub(super) fn lines(timing: &Timing, style: Style, all: bool, width: Option<usize>) -> Vec<String> {
    let narrow = width.is_some_and(|width| width < WIDE);
    let view = View {
        timing,
        all,
        narrow,
        prefix: match narrow {
            true => shared(timing.hosts()),
            false => 0,
        },
    };
    let mut lines = Vec::new();
    for table in [view.path(), view.tasks(), view.hosts()] {
        lines.push(String::new());
        table.write(style, width, &mut lines);
    }
    lines
}

struct View<'a> {
    timing: &'a Timing,
    all: bool,
    narrow: bool,
    /// The bytes at the beginning of all host names that say nothing.
    prefix: usize,
}

impl View<'_> {
    fn host<'h>(&self, name: &'h str) -> std::borrow::Cow<'h, str> {
        match self.prefix {
            0 => escape_str(name),
            prefix => format!("…{}", escape_str(name.get(prefix..).unwrap_or(name))).into(),
        }
    }

    /// Which of so many are shown: the slowest.
    fn slowest(&self, took: &[Duration], room: usize) -> HashSet<usize> {
        let mut order: Vec<usize> = (0..took.len()).collect();
        order.sort_by_key(|at| Reverse(took[*at]));
        if !self.all {
            order.truncate(room);
            let least = (self.timing.took() / SHARE).max(Duration::from_millis(1));
            order.retain(|at| took[*at] >= least);
        }
        order.into_iter().collect()
    }

    fn path(&self) -> Table {
        let whole = self.timing.spent();
        let steps = self.timing.path();
        let shown = self.slowest(
            &steps.iter().map(|step| step.wall).collect::<Vec<_>>(),
            ROWS,
        );
        let pauses = !whole.pause.is_zero();
        let cells = |wall: Duration, spent: Spent| {
            let mut cells = vec![wall, spent.connecting, spent.host];
            if pauses {
                cells.push(spent.pause);
            }
            cells.push(spent.controller);
            cells.into_iter().map(span).collect::<Vec<_>>()
        };
        let mut table = Table::new("what the run waited for");
        table.right(&["wall", "connecting", "hosts"]);
        if pauses {
            table.right(&["pauses"]);
        }
        table.right(&["runner"]);
        let names = steps.iter().map(|step| self.host(&step.host));
        let column = names.map(|name| name.width()).max().unwrap_or(0);
        for (play, known) in self.timing.plays() {
            let mine = || {
                steps
                    .iter()
                    .zip(0..)
                    .filter(move |(step, _)| step.play == play)
            };
            table.row(1, &known.name, sum(mine().map(|(step, _)| step), cells));
            for (step, _) in mine().filter(|(_, at)| shown.contains(at)) {
                let host = self.host(&step.host);
                let blanks = " ".repeat(column.saturating_sub(host.width()));
                let task = step.task.and_then(|task| {
                    let found = known.tasks().find(|(index, _)| *index == task);
                    found.map(|(_, task)| task.name.as_str())
                });
                let what = escape_str(task.unwrap_or("connecting"));
                let name = format!("{host}{blanks}  {what}");
                table.row(2, &name, cells(step.wall, step.spent));
            }
            let rest = || mine().filter(|(_, at)| !shown.contains(at));
            let count = rest().count();
            if count > 0 && count < mine().count() {
                let sum = sum(rest().map(|(step, _)| step), cells);
                table.row(2, &more(count, "step"), sum);
            }
        }
        table.row(0, "the whole run", cells(self.timing.took(), whole));
        table
    }

    fn tasks(&self) -> Table {
        let tasks = || self.timing.plays().flat_map(|(_, play)| play.tasks());
        // Hosts reach a task at different times, so its span says little of how slow it is.
        let took = tasks().map(|(_, task)| self.timing.slowest(task).0);
        let shown = self.slowest(&took.collect::<Vec<_>>(), ROWS);
        let mut table = Table::new("tasks");
        table.right(&["hosts", "wall", "median", "slowest"]);
        table.left("");
        self.traffic_columns(&mut table);
        let mut at = 0;
        for (_, play) in self.timing.plays() {
            let plain = |hosts: usize, wall| {
                let hosts = hosts.to_string();
                vec![hosts, wall, String::new(), String::new(), String::new()]
            };
            let cells = plain(play.hosts, span(play.wall));
            table.row(1, &play.name, self.with_traffic(cells, play.traffic));
            let (mut rest, mut traffic) = (0, Traffic::default());
            let mut any = false;
            for (_, task) in play.tasks() {
                at += 1;
                if !shown.contains(&(at - 1)) {
                    rest += 1;
                    traffic += task.traffic;
                    continue;
                }
                any = true;
                table.row(2, &task.name, self.task(task));
            }
            if any && rest > 0 {
                let cells = vec![String::new(); 5];
                table.row(2, &more(rest, "task"), self.with_traffic(cells, traffic));
            }
        }
        table
    }

    fn task(&self, task: &TaskTime) -> Vec<String> {
        let (slowest, host) = self.timing.slowest(task);
        let cells = vec![
            task.hosts().to_string(),
            span(task.wall()),
            span(task.median()),
            span(slowest),
            self.host(host).into_owned(),
        ];
        self.with_traffic(cells, task.traffic)
    }

    fn hosts(&self) -> Table {
        let hosts = self.timing.hosts();
        let busy: Vec<Duration> = hosts.iter().map(|host| host.busy).collect();
        let shown = self.slowest(&busy, HOSTS);
        let mut table = Table::new("hosts");
        table.right(&["connecting", "busy"]);
        self.traffic_columns(&mut table);
        let mut rest = Vec::new();
        for (at, host) in hosts.iter().enumerate() {
            if !shown.contains(&at) {
                rest.push(host);
                continue;
            }
            let cells = vec![span(host.connecting), span(host.busy)];
            let cells = self.with_traffic(cells, host.traffic);
            table.row(1, &escape_str(&host.name), cells);
        }
        if !rest.is_empty() {
            let most = |of: fn(&HostTime) -> Duration| {
                let most = rest.iter().map(|host| of(host)).max();
                let most = span(most.unwrap_or_default());
                match most.starts_with(['<', '-']) {
                    true => most,
                    false => format!("≤ {most}"),
                }
            };
            let cells = vec![most(|host| host.connecting), most(|host| host.busy)];
            let mut traffic = Traffic::default();
            rest.iter().for_each(|host| traffic += host.traffic);
            let cells = self.with_traffic(cells, traffic);
            table.row(1, &more(rest.len(), "host"), cells);
        }
        table
    }

    fn traffic_columns(&self, table: &mut Table) {
        match self.narrow {
            true => table.right(&["trips", "sent", "back"]),
            false => table.right(&["exchanges", "sent", "received"]),
        }
    }

    fn with_traffic(&self, mut cells: Vec<String>, traffic: Traffic) -> Vec<String> {
        let size = |count: u64| match (count, self.narrow) {
            (0, _) => "-".to_owned(),
            // `1.5 KiB` as `1.5K`
            (_, true) => bytes(count)
                .replace(" B", "")
                .replace(' ', "")
                .replace("iB", ""),
            (_, false) => bytes(count),
        };
        cells.push(traffic.exchanges.to_string());
        cells.push(size(traffic.sent));
        cells.push(size(traffic.received));
        cells
    }
}

/// Steps as one.
fn sum<'a>(
    steps: impl Iterator<Item = &'a Step>,
    cells: impl Fn(Duration, Spent) -> Vec<String>,
) -> Vec<String> {
    let (mut wall, mut spent) = (Duration::ZERO, Spent::default());
    for step in steps {
        wall += step.wall;
        spent += step.spent;
    }
    cells(wall, spent)
}

fn more(count: usize, what: &'static str) -> String {
    let all = Count(count, what).to_string();
    all.replacen(' ', " more ", 1)
}

/// A duration in six columns at most: `-`, `<1 ms`, `340 ms`, `1.2 s`, `3m 20s`.
fn span(took: Duration) -> String {
    if took.is_zero() {
        return "-".to_owned();
    }
    match took.as_millis() {
        0 => "<1 ms".to_owned(),
        millis @ 1..1000 => format!("{millis} ms"),
        _ => duration(took),
    }
}

/// How much of the beginning is the same in all names, if that is worth leaving out.
fn shared(hosts: &[HostTime]) -> usize {
    let Some((first, rest)) = hosts.split_first() else {
        return 0;
    };
    let mut prefix = first.name.as_str();
    for host in rest {
        let same = prefix.chars().zip(host.name.chars());
        let same = same.take_while(|(mine, theirs)| mine == theirs);
        prefix = &prefix[..same.map(|(mine, _)| mine.len_utf8()).sum::<usize>()];
    }
    let spoilt = hosts.iter().any(|host| host.name.len() == prefix.len());
    match spoilt || rest.is_empty() || prefix.chars().count() < PREFIX {
        true => 0,
        false => prefix.len(),
    }
}

/// Rows with a name and cells.
struct Table {
    title: &'static str,
    /// The headings, and whether the cells stand at the left.
    columns: Vec<(&'static str, bool)>,
    rows: Vec<Row>,
}

struct Row {
    /// How deep it stands.
    depth: usize,
    name: String,
    cells: Vec<String>,
}

impl Table {
    fn new(title: &'static str) -> Self {
        Self {
            title,
            columns: Vec::new(),
            rows: Vec::new(),
        }
    }

    fn right(&mut self, headings: &[&'static str]) {
        self.columns
            .extend(headings.iter().map(|head| (*head, false)));
    }

    fn left(&mut self, heading: &'static str) {
        self.columns.push((heading, true));
    }

    fn row(&mut self, depth: usize, name: &str, cells: Vec<String>) {
        let name = escape_str(name).into_owned();
        self.rows.push(Row { depth, name, cells });
    }

    fn write(&self, style: Style, width: Option<usize>, lines: &mut Vec<String>) {
        let heads = self.columns.iter().map(|(head, _)| head.width());
        let mut widths: Vec<usize> = heads.collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(&row.cells) {
                *width = cell.width().max(*width);
            }
        }
        let cells: usize = widths.iter().map(|width| width + GAP).sum();
        let longest = self.rows.iter().map(|row| row.name.width() + 2 * row.depth);
        let longest = longest.max().unwrap_or(0).max(self.title.width());
        let room = width.map_or(longest, |width| {
            longest.min(width.saturating_sub(cells).max(8))
        });
        let line = |name: &str, cells: &mut dyn Iterator<Item = &str>| {
            let name = cut(name, room);
            let mut line = name.clone() + &" ".repeat(room - name.width());
            for ((cell, width), (_, left)) in cells.zip(&widths).zip(&self.columns) {
                let blanks = " ".repeat(width - cell.width());
                line.push_str(&" ".repeat(GAP));
                match left {
                    true => line.extend([cell, &blanks]),
                    false => line.extend([&blanks, cell]),
                }
            }
            line.trim_end().to_owned()
        };
        let head = line(self.title, &mut self.columns.iter().map(|(head, _)| *head));
        lines.push(style.paint(Tone::Strong, head));
        for row in &self.rows {
            let name = " ".repeat(2 * row.depth) + &row.name;
            let text = line(&name, &mut row.cells.iter().map(String::as_str));
            lines.push(match row.depth {
                0 | 1 => text,
                _ => style.paint(Tone::Faint, text),
            });
        }
    }
}
