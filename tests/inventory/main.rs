//! Inventories: what is read, what is refused and with which words, who a pattern means.

#![allow(clippy::panic, clippy::unwrap_used)]

mod meaning;
mod mistakes;
mod shipped;

use runner::diagnostic::Source;
use runner::inventory::{Inventory, Pattern, SelectError};

fn inventory(text: &str) -> Inventory {
    Inventory::from_sources(&[Source::new("hosts.toml", text)])
        .unwrap_or_else(|problems| panic!("{problems}"))
}

fn refused(text: &str) -> String {
    match Inventory::from_sources(&[Source::new("hosts.toml", text)]) {
        Ok(_) => panic!("this was taken: {text}"),
        Err(problems) => problems.to_string(),
    }
}

fn names(inventory: &Inventory, pattern: &str) -> String {
    let pattern = Pattern::option("--limit", pattern).unwrap_or_else(|problem| panic!("{problem}"));
    match inventory.select(&pattern) {
        Ok(hosts) => {
            let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
            names.join(" ")
        }
        Err(SelectError::NoHost(problems)) => format!("no host\n{problems}"),
        Err(SelectError::Bad(problems)) => format!("bad\n{problems}"),
    }
}
