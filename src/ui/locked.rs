//! Whose lock is in the way.

use super::Page;
use super::escape::escape_str;
use super::fold::{fit, fold};
use super::style::{Style, Tone};
use super::words::Count;
use crate::event::Holder;

/// Says who works on the hosts, since when, and the way out.
pub(super) fn tell(holder: &Holder, hosts: &[String], waits: bool, style: Style, page: &mut Page) {
    let word = match waits {
        true => style.paint(Tone::Odd, "waiting"),
        false => style.paint(Tone::Bad, "locked"),
    };
    let names = match page.width {
        Some(width) => fit(hosts, width.saturating_sub(56)),
        None => fold(hosts),
    };
    let names = match hosts.len() {
        1 => names,
        count if names.is_empty() || names.ends_with("hosts") => Count(count, "host").to_string(),
        count => format!("{names} ({count})"),
    };
    let names = style.paint(Tone::Strong, names);
    let state = match holder.gone {
        true => "left locked by a run that is gone",
        false => "another run is at work",
    };
    page.err(format!("{word}: {names}: {state}"));
    let mut line = format!("    run {}", escape_str(&holder.run));
    if !holder.what.is_empty() {
        line.push_str(&format!(" of {}", escape_str(&holder.what)));
    }
    if !holder.by.is_empty() {
        line.push_str(&format!(" by {}", escape_str(&holder.by)));
    }
    if !holder.since.is_empty() {
        line.push_str(&format!(", since {}", holder.since));
    }
    page.err(line);
    if let [host] = hosts {
        let (process, owner) = (holder.process, escape_str(&holder.owner));
        let host = escape_str(host);
        page.err(format!("    on {host} as {owner}, process {process}"));
    }
    let help = match (holder.gone, waits) {
        (true, _) => format!(
            "see what it has left undone, then `runner unlock {}`",
            escape_str(&holder.run)
        ),
        (false, false) => "`--lock-wait 10m` waits for its end".to_owned(),
        (false, true) => return,
    };
    page.err(format!(
        "    {} {help}",
        style.paint(Tone::Place, "= help:")
    ));
}
