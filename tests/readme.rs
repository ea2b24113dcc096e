//! What the README and `docs/` say is what the program does: tables, playbooks, and the tutorial word for word.

#![allow(clippy::panic, clippy::unwrap_used)]

use regex::Regex;
use runner::diagnostic::Source;
use runner::inventory::Inventory;
use runner::playbook;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

const PAGES: &[&str] = &["README.md", "docs/playbooks.md", "docs/inventory.md"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// The text between two headings of the README.
fn section(heading: &str) -> String {
    let text = page("README.md");
    let (_, rest) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    rest.split("\n## ").next().unwrap().to_string()
}

fn runner(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_runner"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The rows of a table whose first cell is a name in backticks.
fn rows(text: &str) -> Vec<(String, String)> {
    let row = Regex::new(r"(?m)^\| `(\w+)` \| (.+) \|$").unwrap();
    row.captures_iter(text)
        .map(|found| (found[1].to_string(), found[2].to_string()))
        .collect()
}

/// The lines of a listing of names, each with two or more blanks and its description.
fn listed(text: &str) -> Vec<(String, String)> {
    let line = Regex::new(r"(?m)^ *(\w+)  +(\S.*)$").unwrap();
    line.captures_iter(text)
        .map(|found| (found[1].to_string(), found[2].to_string()))
        .collect()
}

/// The fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let block = Regex::new(&format!(r"(?ms)^```{language}\n(.*?)^```$")).unwrap();
    let found = block.captures_iter(text);
    found.map(|found| found[1].to_string()).collect()
}

#[test]
fn the_modules_are_those_of_the_program() {
    let known = listed(&runner(&["modules"]));
    assert!(known.len() > 20, "{known:?}");
    assert_eq!(rows(&section("Modules")), known);
}

#[test]
fn the_commands_are_those_of_the_program() {
    let help = runner(&["--help"]);
    let (_, rest) = help.split_once("Commands:\n").unwrap();
    let mut known = listed(rest.split("\n\n").next().unwrap());
    known.retain(|(name, _)| name != "help");
    assert_eq!(rows(&section("Commands")), known);
}

#[test]
fn every_modifier_and_setting_has_its_row() {
    let first = Regex::new(r"(?m)^\| (`[^|]*`) \|").unwrap();
    let name = Regex::new(r"`(\w+)`").unwrap();
    let named = |text: &str| -> BTreeSet<String> {
        let cells = first.captures_iter(text);
        cells
            .flat_map(|cell| {
                let names = name.captures_iter(cell.get(1).unwrap().as_str());
                names.map(|found| found[1].to_string())
            })
            .collect()
    };
    let part = |page: &str, heading: &str| {
        let (_, rest) = page.split_once(&format!("\n## {heading}\n")).unwrap();
        rest.split("\n## ").next().unwrap().to_string()
    };
    let set = |names: &[&str]| names.iter().map(|name| name.to_string()).collect();

    let modifiers: BTreeSet<String> = set(playbook::MODIFIERS);
    assert_eq!(named(&part(&page("docs/playbooks.md"), "Tasks")), modifiers);
    let settings: BTreeSet<String> = set(runner::inventory::connection::SETTINGS);
    assert_eq!(
        named(&part(&page("docs/inventory.md"), "Connection settings")),
        settings
    );
}

/// A folder with everything that the shipped playbooks have, so that imports and files are found.
fn playbooks() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(root().join("playbooks")).unwrap() {
        let path = entry.unwrap().path();
        symlink(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

#[test]
fn every_example_can_be_read() {
    let folder = playbooks();
    // It is wrong on purpose, and the tutorial shows how.
    let broken = "tempalte = ";
    let mut seen = 0;
    for name in PAGES {
        for block in blocks(&page(name), "toml") {
            seen += 1;
            if block.contains("[[play]]") {
                let file = folder.path().join("example-of-the-readme.toml");
                fs::write(&file, &block).unwrap();
                let (_, problems) = playbook::load(&file);
                assert_eq!(
                    problems.is_empty(),
                    !block.contains(broken),
                    "{name}:\n{problems}"
                );
            } else {
                let source = Source::new(*name, block.clone());
                if let Err(problems) = Inventory::from_sources(&[source]) {
                    panic!("{name}:\n{problems}");
                }
            }
        }
    }
    assert!(seen >= 7, "only {seen} examples were found");
}

/// Writes the files that the tutorial names, as a reader would.
fn write_files(tutorial: &str, folder: &Path, place: &str) {
    let file = Regex::new(r"(?ms)^`([\w./]+)`:\n\n```\w+\n(.*?)^```$").unwrap();
    for found in file.captures_iter(tutorial) {
        let path = folder.join(&found[1]);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, found[2].replace("/tmp/runner-tutorial", place)).unwrap();
    }
}

/// Without what differs from run to run: how long it took, and how wide a column with a path in it is.
fn comparable(text: &str) -> String {
    let time = Regex::new(r"\(\d+(\.\d+)? (s|ms|min)\)").unwrap();
    let column = Regex::new(" {2,}#").unwrap();
    let text = time.replace_all(text.trim_end(), "(TIME)").into_owned();
    column.replace_all(&text, "  #").into_owned()
}

#[test]
fn the_tutorial_works_as_it_is_written() {
    let tutorial = section("Five minutes");
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("work");
    let place = folder.path().join("hosts").display().to_string();
    fs::create_dir(&work).unwrap();
    write_files(&tutorial, &work, &place);
    let bin = Path::new(env!("CARGO_BIN_EXE_runner")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());

    let consoles = blocks(&tutorial, "console");
    assert!(consoles.len() >= 7, "{consoles:?}");
    for console in consoles {
        let mut said = String::new();
        for line in console.lines().filter_map(|line| line.strip_prefix("$ ")) {
            let output = Command::new("sh")
                .args(["-c", &format!("{line} 2>&1")])
                .current_dir(&work)
                .env("PATH", &path)
                .env("LC_ALL", "C")
                .env_remove("RUNNER_INVENTORY")
                .env("RUNNER_PERSIST", "0")
                .env("RUNNER_LOCK_DIR", folder.path())
                .env("XDG_STATE_HOME", folder.path().join("state"))
                .output()
                .unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            writeln!(said, "$ {line}\n{}", text.trim_end()).unwrap();
        }
        let said = said.replace(&place, "/tmp/runner-tutorial");
        assert_eq!(comparable(&said), comparable(&console));
    }
}
