//! The parts of the program know each other in one direction only, and no file grows beyond what one reads at a time.

#![allow(clippy::unwrap_used, reason = "a test that can't go on says so")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Who may name whom. `cli` and `main` may name everything and are left out.
const ALLOWED: &[(&str, &[&str])] = &[
    ("diagnostic", &[]),
    ("exit", &[]),
    ("run_id", &[]),
    ("shell", &[]),
    ("spool", &[]),
    ("document", &["diagnostic"]),
    (
        "inventory",
        &["diagnostic", "document", "exit", "secret", "vars"],
    ),
    ("vars", &["diagnostic", "document", "shell"]),
    ("modules", &["diagnostic", "document", "shell", "spool"]),
    (
        "playbook",
        &["diagnostic", "document", "modules", "secret", "vars"],
    ),
    (
        "plan",
        &[
            "diagnostic",
            "document",
            "inventory",
            "modules",
            "playbook",
            "vars",
        ],
    ),
    ("transport", &["diagnostic", "inventory", "shell"]),
    ("event", &["diagnostic", "modules", "run_id", "spool"]),
    ("timing", &["event", "run_id"]),
    ("redact", &["event", "shell"]),
    ("secret", &["diagnostic", "document", "redact", "vars"]),
    ("report", &["event", "exit", "timing"]),
    (
        "journal",
        &[
            "diagnostic",
            "document",
            "event",
            "playbook",
            "report",
            "run_id",
        ],
    ),
    (
        "engine",
        &[
            "diagnostic",
            "document",
            "event",
            "inventory",
            "modules",
            "plan",
            "playbook",
            "redact",
            "run_id",
            "shell",
            "spool",
            "transport",
            "vars",
        ],
    ),
    (
        "ui",
        &[
            "diagnostic",
            "event",
            "exit",
            "modules",
            "report",
            "spool",
            "timing",
        ],
    ),
    ("demo", &["transport"]),
];

/// Words that a part must not hold at all.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "modules",
        &[
            "tokio::",
            "russh::",
            "TcpStream",
            "UdpSocket",
            "std::process::",
        ],
    ),
    ("engine", &["russh::", "print!", "println!", "eprint"]),
    ("vars", &["tokio::", "russh::"]),
    ("playbook", &["tokio::", "russh::"]),
    ("plan", &["tokio::", "russh::"]),
    ("ui", &["russh::"]),
];

/// Of the modules, the screen and the events know only what a change looks like.
const ONLY_DIFF: &[&str] = &["ui", "event"];

/// Lines of a file, its unit tests not counted.
const LONGEST: usize = 500;

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The top-level part that a file belongs to, and how deep it stands in the tree of modules.
fn part(file: &Path) -> (String, usize) {
    let inner = file.strip_prefix(source()).unwrap().with_extension("");
    let mut names: Vec<String> = inner
        .iter()
        .map(|name| name.to_str().unwrap().to_string())
        .collect();
    if names.last().is_some_and(|name| name == "mod") {
        names.pop();
    }
    (names[0].clone(), names.len())
}

/// The program's text: without comments, and without the tests at the end.
fn code(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// Every path from the crate's root that a text names, up to two words of it: `modules`, `modules::Diff`.
fn named(text: &str, depth: usize) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for root in ["crate::".to_string(), "super::".repeat(depth)] {
        for (at, _) in text.match_indices(&root) {
            let before = text[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let rest = &text[at + root.len()..];
            if let Some(inner) = rest.strip_prefix('{') {
                let inner = &inner[..inner.find('}').unwrap()];
                found.extend(inner.split(',').map(path).filter(|path| !path.is_empty()));
            } else if !rest.starts_with("super::") {
                found.insert(path(rest));
            }
        }
    }
    found
}

fn path(text: &str) -> String {
    let end = |c: char| !(c.is_alphanumeric() || c == '_' || c == ':');
    let whole = text.trim().split(end).next().unwrap();
    let words: Vec<&str> = whole.split("::").filter(|word| !word.is_empty()).collect();
    words[..words.len().min(2)].join("::")
}

#[test]
fn imports_run_one_way() {
    let mut wrong = Vec::new();
    for file in files(&source()) {
        let (part, depth) = part(&file);
        if ["main", "lib", "cli"].contains(&part.as_str()) {
            continue;
        }
        let Some((_, allowed)) = ALLOWED.iter().find(|(name, _)| *name == part) else {
            wrong.push(format!(
                "{part} is new: say in this test what it may import"
            ));
            continue;
        };
        for name in named(&code(&file), depth) {
            let (top, inner) = name.split_once("::").unwrap_or((&name, ""));
            let only_diff = ONLY_DIFF.contains(&part.as_str()) && top == "modules";
            if top != part && (!allowed.contains(&top) || only_diff && inner != "Diff") {
                wrong.push(format!("{} imports {name}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn parts_stay_away_from_what_is_not_theirs() {
    let mut wrong = Vec::new();
    for file in files(&source()) {
        let (part, _) = part(&file);
        // Helpers of tests run what a host would run.
        if ["modules/testing.rs", "modules/tests.rs"]
            .iter()
            .any(|tests| file.ends_with(tests))
        {
            continue;
        }
        let words = FORBIDDEN.iter().find(|(name, _)| *name == part);
        let code = code(&file);
        for word in words.map_or(&[][..], |(_, words)| words) {
            if code.contains(word) {
                wrong.push(format!("{} holds {word}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_is_too_long() {
    let mut wrong = Vec::new();
    for file in files(&source()) {
        let lines = code(&file).lines().count();
        if lines > LONGEST {
            wrong.push(format!("{} has {lines} lines", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The reader of imports itself sees what it must see.
#[test]
fn imports_are_seen() {
    let text = "use crate::modules::{Diff, Spec};\nuse crate::{ui, vars::World};\nuse super::super::engine::Run;\n\
                use super::inner;\nlet x = crate::document::parse(y);\n";
    let all: Vec<String> = named(text, 2).into_iter().collect();
    assert_eq!(
        all,
        [
            "document::parse",
            "engine::Run",
            "modules",
            "ui",
            "vars::World"
        ]
    );
}
