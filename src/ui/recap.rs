//! The end of a run: hosts by what they came to, and one honest last line.

use super::Page;
use super::fold::{fit, fold, short};
use super::style::{Style, Tone, tone, word};
use super::words::{Count, List, duration};
use crate::event::Status;
use crate::report::{Counts, Report, STATUSES, ends_host};
use std::collections::HashSet;

/// So many hosts are few.
const FEW: usize = 4;
/// A list of hosts with more columns than this is long.
const LONG: usize = 60;

/// Writes the table of hosts and the last line.
pub(super) fn write(report: &Report, style: Style, page: &mut Page) {
    page.out("");
    table(report, style, page);
    page.out("");
    page.out(last_line(report, style, page.width));
}

fn table(report: &Report, style: Style, page: &mut Page) {
    let totals = report.totals();
    let columns: Vec<Status> = STATUSES
        .into_iter()
        .filter(|status| totals.get(*status) > 0 || matches!(status, Status::Ok | Status::Changed))
        .collect();
    let heading = |status: &Status| word(*status, report.check());
    let mut head = String::new();
    for status in &columns {
        head.push_str(&format!("  {:>5}", heading(status)));
    }
    page.out(style.paint(Tone::Faint, format!("{head}  hosts")));
    // Hosts that came to the same are one line, in the order of their first.
    let mut rows: Vec<(Counts, Vec<&str>)> = Vec::new();
    for host in report.hosts() {
        let counts = report.counts(host);
        match rows.iter_mut().find(|(known, _)| *known == counts) {
            Some((_, hosts)) => hosts.push(host),
            None => rows.push((counts, vec![host])),
        }
    }
    rows.sort_by_key(|(counts, _)| !counts.as_wanted());
    for (counts, hosts) in rows {
        let mut line = String::new();
        let mut used = 0;
        for status in &columns {
            let room = heading(status).len().max(5);
            used += room + 2;
            let count = counts.get(*status);
            let text = match count {
                0 => format!("  {:>room$}", "-"),
                _ => format!("  {count:>room$}"),
            };
            let tone = if count == 0 {
                Tone::Faint
            } else {
                tone(*status)
            };
            line.push_str(&style.paint(tone, text));
        }
        let many = match hosts.len() {
            1 => String::new(),
            count => format!(" ({count})"),
        };
        let names = match page.width {
            _ if hosts.len() == report.hosts().len() && hosts.len() > 1 => "all".to_owned(),
            Some(width) => {
                let room = width.saturating_sub(used + 2 + many.len());
                all_but(report, &hosts, room).unwrap_or_else(|| fit(&hosts, room))
            }
            None => all_but(report, &hosts, usize::MAX).unwrap_or_else(|| fold(&hosts)),
        };
        page.out(format!("{line}  {names}{many}"));
    }
}

/// `all but db[1-2]`, where a list of the rest would be long. The few are in other rows, with their full names.
fn all_but(report: &Report, hosts: &[&str], room: usize) -> Option<String> {
    if report.hosts().len() - hosts.len() > FEW {
        return None;
    }
    let these: HashSet<&str> = hosts.iter().copied().collect();
    let all = report.hosts().iter().map(String::as_str);
    let others: Vec<&str> = all.filter(|host| !these.contains(host)).collect();
    if fold(hosts).len() <= room.min(LONG) {
        return None;
    }
    let text = format!("all but {}", short(&others));
    (text.len() <= room).then_some(text)
}

/// What the run came to, in one line that does not flatter.
pub(super) fn last_line(report: &Report, style: Style, width: Option<usize>) -> String {
    let all = report.hosts().len();
    let took = duration(report.took());
    if let Some(signal) = report.signal() {
        let word = style.paint(Tone::Odd, format!("stopped by SIG{signal}"));
        let unfinished = report.unfinished().len();
        return match unfinished {
            0 => format!("{word} after {took}"),
            _ => format!(
                "{word} after {took}: {unfinished} of {} not finished",
                Count(all, "host")
            ),
        };
    }
    let unfinished = report.unfinished();
    if !unfinished.is_empty() {
        return trouble(report, &unfinished, style, width);
    }
    let changed = report.totals().get(Status::Changed);
    let on = report.hosts_with(Status::Changed).len();
    let changes = match (report.check(), changed) {
        (false, 0) => "0 changed".to_owned(),
        (false, _) => format!("{changed} changed on {}", Count(on, "host")),
        (true, 0) => "0 would change".to_owned(),
        (true, _) => format!("{changed} would change on {}", Count(on, "host")),
    };
    let hosts = match (report.check(), changed) {
        (true, 1..) => format!("{} checked", Count(all, "host")),
        _ => format!("{} as wanted", Count(all, "host")),
    };
    format!("{}, {changes} ({took})", style.paint(Tone::Good, hosts))
}

/// What an ad-hoc command came to: nobody wanted anything of the hosts but an answer.
pub(super) fn adhoc_line(report: &Report, style: Style, width: Option<usize>) -> String {
    let unfinished = report.unfinished();
    if report.signal().is_some() {
        return last_line(report, style, width);
    }
    if !unfinished.is_empty() {
        return trouble(report, &unfinished, style, width);
    }
    let all = style.paint(
        Tone::Good,
        format!("{} ok", Count(report.hosts().len(), "host")),
    );
    format!("{all} ({})", duration(report.took()))
}

/// Which hosts are not as wanted, and in which way.
fn trouble(report: &Report, unfinished: &[&str], style: Style, width: Option<usize>) -> String {
    let all = report.hosts().len();
    let took = duration(report.took());
    let mut kinds = Vec::new();
    for status in STATUSES.into_iter().filter(|status| ends_host(*status)) {
        let hosts = report.hosts_with(status);
        if !hosts.is_empty() {
            kinds.push((status, hosts));
        }
    }
    let words: Vec<String> = match kinds.as_slice() {
        [(status, _)] => vec![word(*status, false).to_owned()],
        _ => kinds
            .iter()
            .map(|(status, hosts)| format!("{} {}", hosts.len(), word(*status, false)))
            .collect(),
    };
    let head = match kinds.len() {
        1 => format!(
            "{} of {} {}",
            unfinished.len(),
            Count(all, "host"),
            words.concat()
        ),
        _ => format!(
            "{} of {} not as wanted, {}",
            unfinished.len(),
            Count(all, "host"),
            List(&words)
        ),
    };
    let names = match width {
        Some(width) => fit(
            unfinished,
            width.saturating_sub(head.len() + took.len() + 5),
        ),
        None => fold(unfinished),
    };
    let names = if names.is_empty() {
        names
    } else {
        format!(": {names}")
    };
    format!("{}{names} ({took})", style.paint(Tone::Bad, head))
}
