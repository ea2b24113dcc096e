//! An inventory file, behind a line with a pattern.

#![no_main]

use libfuzzer_sys::fuzz_target;
use runner::diagnostic::Source;
use runner::inventory::Inventory;

fuzz_target!(|input: &str| {
    let (pattern, text) = input.split_once('\n').unwrap_or(("all", input));
    match Inventory::from_sources(&[Source::new("hosts.toml", text)]) {
        Ok(inventory) => runner_fuzz::ask(&inventory, pattern),
        Err(problems) => runner_fuzz::show(&problems),
    }
});
