//! What an inventory script prints for `--list`, and behind a NUL for each `--host`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use runner::inventory::Inventory;
use std::path::Path;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let list = parts.next().unwrap_or_default();
    let host = parts.next().unwrap_or_default();
    let call = |arguments: &[&str]| match arguments {
        ["--list"] => Ok(list.to_vec()),
        _ => Ok(host.to_vec()),
    };
    match Inventory::from_script(Path::new("inventory/hosts"), &call) {
        Ok(inventory) => runner_fuzz::ask(&inventory, "all:!ungrouped"),
        Err(problems) => runner_fuzz::show(&problems),
    }
});
