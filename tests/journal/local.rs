//! Hosts that are this machine, so that what they did can be read from one file.

use crate::support::bench::{Bench, Ran};
use std::path::PathBuf;

/// A folder with the hosts `a`, `b` and `c`, and a playbook in which `DIR` stands for the folder. Tasks leave lines in
/// `marks`; `fails-HOST` makes the task `risky` fail there.
pub struct Local {
    pub bench: Bench,
}

/// A task that leaves a line `HOST NAME`.
pub fn mark(name: &str, more: &str) -> String {
    format!(
        "\n[[play.task]]\nname = \"{name}\"\nshell = \"echo {{{{ inventory_hostname }}}} {name} >> DIR/marks\"\n{more}\n"
    )
}

/// The same, which fails where the file `fails-HOST` is.
pub fn risky(more: &str) -> String {
    format!(
        "\n[[play.task]]\nname = \"risky\"\nshell = \"echo {{{{ inventory_hostname }}}} risky >> DIR/marks; \
         test ! -e DIR/fails-{{{{ inventory_hostname }}}}\"\n{more}\n"
    )
}

impl Local {
    pub fn new(playbook: &str) -> Self {
        let hosts: String = ["a", "b", "c"]
            .map(|host| format!("{host} = {{ connection = {{ transport = \"local\" }} }}\n"))
            .concat();
        let local = Self {
            bench: Bench::new().file("inventory/hosts.toml", format!("[hosts]\n{hosts}")),
        };
        local.write("play.toml", playbook);
        local
    }

    /// One play for all hosts.
    pub fn tasks(tasks: &[String]) -> Self {
        Self::new(&format!(
            "[[play]]\nname = \"work\"\nhosts = \"all\"\n{}",
            tasks.concat()
        ))
    }

    pub fn write(&self, name: &str, text: &str) {
        let text = text.replace("DIR", self.bench.root().to_str().unwrap());
        std::fs::write(self.bench.path(name), text).unwrap();
    }

    /// Makes `risky` fail there.
    pub fn fails(&self, host: &str) {
        self.write(&format!("fails-{host}"), "");
    }

    /// It fails nowhere any more.
    pub fn mended(&self) {
        for host in ["a", "b", "c"] {
            std::fs::remove_file(self.bench.path(&format!("fails-{host}"))).ok();
        }
    }

    /// `runner play play.toml OPTION...`
    pub fn play(&self, options: &[&str]) -> Ran {
        self.bench.run(&[&["play", "play.toml"], options].concat())
    }

    /// Plays, and ends with this code.
    #[track_caller]
    pub fn ends(&self, options: &[&str], code: i32) -> String {
        let ran = self.play(options);
        assert_eq!(ran.code, code, "{}{}", ran.out, ran.err);
        ran.out
    }

    /// The lines that tasks have left since the last call, sorted.
    pub fn marks(&self) -> Vec<String> {
        let path = self.bench.path("marks");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::remove_file(path).ok();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// The folder of journals.
    pub fn runs(&self) -> PathBuf {
        self.bench.path(".local/state/runner/runs")
    }

    /// The journals, oldest first; those of one second in any order.
    pub fn journals(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.runs()).into_iter().flatten();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// The name of the only run.
    #[track_caller]
    pub fn only(&self) -> String {
        let journals = self.journals();
        assert_eq!(journals.len(), 1, "{journals:?}");
        journals[0]
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned()
    }
}
