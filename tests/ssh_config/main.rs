//! What the runner takes from `ssh_config` files, against what `ssh -G` says of the same ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that can't go on says so"
)]

mod cases;
mod lab;
#[path = "../support/mod.rs"]
mod support;

use cases::{CASES, WRONG};
use lab::Lab;

#[test]
fn the_values_are_those_of_ssh() {
    let Some(lab) = Lab::new() else { return };
    assert!(CASES.len() >= 40);
    let mut wrong = Vec::new();
    for case in CASES {
        let theirs = match lab.ssh(case) {
            Ok(theirs) => theirs,
            Err(complaint) => {
                wrong.push(format!("{}: ssh refuses: {complaint}", case.what));
                continue;
            }
        };
        let ours = match lab.ours(case) {
            Ok(ours) => ours,
            Err(problem) => {
                wrong.push(format!("{}: {problem}", case.what));
                continue;
            }
        };
        // What nobody set has other built-in values here.
        for (name, values) in &theirs {
            let found = ours.get(name);
            let unset = found.is_none();
            let default = match name.as_str() {
                "identityfile" => unset && values.len() >= 4,
                "globalknownhostsfile" => unset && values[0].starts_with("/etc/ssh/"),
                "stricthostkeychecking" => unset && values == &["ask"],
                "connecttimeout" => unset && values == &["none"],
                "serveraliveinterval" => unset && values == &["0"],
                _ => false,
            };
            if found != Some(values) && !default {
                wrong.push(format!(
                    "{}: {name} is {values:?} to ssh, {found:?} to us",
                    case.what
                ));
            }
        }
        for name in ours.keys().filter(|name| !theirs.contains_key(*name)) {
            wrong.push(format!("{}: {name} is nothing to ssh", case.what));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_ssh_refuses_we_refuse() {
    let Some(lab) = Lab::new() else { return };
    let mut wrong = Vec::new();
    for case in WRONG {
        if lab.ssh(case).is_ok() {
            wrong.push(format!("{}: ssh takes it", case.what));
        }
        match lab.ours(case) {
            Ok(_) => wrong.push(format!("{}: we take it", case.what)),
            Err(problem) if problem.place.is_none() => {
                wrong.push(format!("{}: no place: {problem}", case.what));
            }
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
