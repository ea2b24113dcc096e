//! What the targets share.

use runner::diagnostic::Problems;
use runner::diagnostic::Source;
use runner::inventory::{Inventory, Pattern};
use runner::ui;
use std::path::PathBuf;

/// Writes the input to a file in memory, one for each process and name.
pub fn file(name: &str, input: &[u8]) -> PathBuf {
    let folder = PathBuf::from(format!("/dev/shm/runner-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder in memory");
    let path = folder.join(name);
    std::fs::write(&path, input).expect("a file in memory");
    path
}

/// Shows the problems as a person would see them: every place must lie in its file, and nothing may steer the terminal.
pub fn show(problems: &Problems) {
    let terminal = ui::Terminal::detect();
    let text = ui::diagnostic::problems(problems, terminal.style(ui::Color::Never, false));
    assert!(
        text.chars().all(|c| c == '\n' || !c.is_control()),
        "a control character in {text:?}"
    );
}

/// Asks an inventory everything that the program asks it.
pub fn ask(inventory: &Inventory, pattern: &str) {
    for host in inventory.hosts() {
        assert_eq!(
            inventory.host(&host.name).map(|found| &found.name),
            Some(&host.name)
        );
        inventory.variable_table(&host.name);
        inventory.variables(&host.name);
        inventory.settings(&host.name);
    }
    for group in inventory.groups() {
        assert!(
            group
                .hosts
                .iter()
                .all(|host| inventory.host(&host.name).is_some())
        );
    }
    inventory.group_lists();
    let source = Source::new("--limit", pattern);
    match Pattern::parse(pattern, &source.place(0..pattern.len())) {
        Ok(pattern) => drop(inventory.select(&pattern)),
        Err(problem) => show(&problem.into()),
    }
}
