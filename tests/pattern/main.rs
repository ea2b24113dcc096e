//! Patterns: their algebra, and the words for those that mean nothing.

#![allow(clippy::panic, clippy::unwrap_used)]

mod laws;
mod meaning;
mod mistakes;

use runner::diagnostic::{Problem, Source};
use runner::inventory::{Inventory, Pattern};
use std::sync::LazyLock;

const TEXT: &str = r#"
[hosts]
"web[01:06]" = { groups = ["web"] }
"db-[a:c].example.com" = { groups = ["db"] }
cache = { address = "10.0.0.9" }

[groups]
site = { children = ["web", "db"] }
front = { hosts = ["web01", "web02", "cache"] }
none = {}
"#;

static INVENTORY: LazyLock<Inventory> = LazyLock::new(|| {
    Inventory::from_sources(&[Source::new("hosts.toml", TEXT)])
        .unwrap_or_else(|problems| panic!("{problems}"))
});

fn select(pattern: &str) -> Result<Vec<String>, String> {
    let bad = |problem: Problem| format!("exit 5\n{problem}");
    let pattern = Pattern::option("--limit", pattern).map_err(bad)?;
    let hosts = INVENTORY.select(&pattern);
    let hosts = hosts.map_err(|error| format!("exit {}\n{error}", error.exit_code()))?;
    Ok(hosts.iter().map(|host| host.name.clone()).collect())
}

fn names(pattern: &str) -> String {
    select(pattern)
        .unwrap_or_else(|error| panic!("{error}"))
        .join(" ")
}

fn refused(pattern: &str) -> String {
    match select(pattern) {
        Ok(hosts) => panic!("`{pattern}` matched {hosts:?}"),
        Err(error) => error,
    }
}
