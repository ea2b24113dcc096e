//! What a run said, held against what it did.

use crate::field::{Mark, TASKS};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// A run that is over.
pub struct Ran {
    pub output: String,
    pub complaints: String,
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    /// It was killed and could not say its last.
    pub killed: bool,
    pub adhoc: bool,
    pub marks: BTreeMap<String, Mark>,
    pub hung: bool,
    /// What still runs on the hosts.
    pub left: Vec<String>,
    pub took: Duration,
}

/// The word for a task or a host on which nothing was said.
const NOTHING: &str = "nothing";

impl Ran {
    fn events(&self) -> Vec<Value> {
        // Who is killed may be so in the middle of a line.
        let lines = self.output.lines();
        lines
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// What was said of each host's tasks, and of hosts as a whole under an empty name.
    fn claims(&self) -> HashMap<(String, String), String> {
        let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_string();
        let mut claims = HashMap::new();
        for event in self.events() {
            let name = match event["event"].as_str() {
                Some("task_finished") if self.adhoc => TASKS[0].to_string(),
                Some("task_finished") => text(&event, "name"),
                Some("host_lost") => String::new(),
                _ => continue,
            };
            claims.insert((text(&event, "host"), name), text(&event, "status"));
        }
        claims
    }

    /// How many host-runs ended how.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        let claims = self.claims();
        let mut counts = BTreeMap::new();
        for host in self.marks.keys() {
            let of_host = |word: &str| {
                claims
                    .iter()
                    .any(|((of, _), claim)| of == host && claim == word)
            };
            let word = [
                "unknown",
                "unreachable",
                "refused",
                "failed",
                "cancelled",
                "changed",
            ]
            .into_iter()
            .find(|word| of_host(word));
            *counts.entry(word.unwrap_or(NOTHING)).or_default() += 1;
        }
        counts
    }

    /// Every disagreement.
    pub fn violations(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        if self.hung {
            wrong.push("the runner does not end".to_string());
        }
        if self.complaints.contains("panicked") || self.code == Some(1) {
            wrong.push(format!("a defect: {}", self.complaints));
        }
        if !self.left.is_empty() {
            wrong.push(format!("left on the hosts: {:?}", self.left));
        }
        let events = self.events();
        let last = events.last().filter(|last| last["event"] == "run_finished");
        match last {
            None if !self.killed && !self.hung => wrong.push(format!(
                "no recap, exit {:?}: {}",
                self.code, self.complaints
            )),
            Some(last)
                if !self.killed && last["exit_code"].as_i64() != self.code.map(i64::from) =>
            {
                wrong.push(format!(
                    "says {} and ends with {:?}",
                    last["exit_code"], self.code
                ));
            }
            _ => {}
        }
        let claims = self.claims();
        for (host, mark) in &self.marks {
            let complete = last.is_some();
            let tasks: &[&str] = if self.adhoc { &TASKS[..1] } else { &TASKS };
            for task in tasks {
                let said = claims.get(&(host.clone(), task.to_string()));
                let count = mark.lines.iter().filter(|line| line == task).count();
                if let Some(why) = disagreement(said.map(String::as_str), count, complete) {
                    wrong.push(format!(
                        "{host}: {task} {why}: {:?} {:?}",
                        mark,
                        self.said(host)
                    ));
                }
            }
            let said = claims
                .get(&(host.clone(), "file".to_string()))
                .map(String::as_str);
            let why = match (said, mark.file) {
                (_, Some(false)) => Some("is torn"),
                (Some("changed"), None) => Some("is not there and was written"),
                (Some("unreachable" | "refused" | "cancelled"), Some(true)) => {
                    Some("was written after all")
                }
                (None, Some(true)) if complete => Some("was written without a word"),
                _ => None,
            };
            if let Some(why) = why {
                wrong.push(format!("{host}: the file {why}: {:?}", self.said(host)));
            }
            if mark
                .lines
                .iter()
                .any(|line| !TASKS.contains(&line.as_str()))
            {
                wrong.push(format!("{host}: a torn line in {mark:?}"));
            }
        }
        wrong
    }

    /// The lines about a host, for a report.
    fn said(&self, host: &str) -> Vec<&str> {
        let wanted = format!("\"host\":\"{host}\"");
        self.output
            .lines()
            .filter(|line| line.contains(&wanted))
            .collect()
    }
}

/// Why what was said of a task is not true of so many executions of it.
fn disagreement(said: Option<&str>, count: usize, complete: bool) -> Option<String> {
    let fine = match said {
        Some("changed" | "ok") => count == 1,
        Some("unknown") => count <= 1,
        Some("unreachable" | "refused" | "cancelled" | "skipped") => count == 0,
        // A task that can't fail.
        Some(_) => false,
        None if complete => count == 0,
        // It was killed before it could say so.
        None => count <= 1,
    };
    (!fine).then(|| {
        format!(
            "is said to be {} and ran {count} times",
            said.unwrap_or(NOTHING)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::disagreement;

    #[test]
    fn lies_are_found() {
        for (said, count, complete) in [
            (Some("changed"), 0, true),
            (Some("changed"), 2, true),
            (Some("unknown"), 2, true),
            (Some("unreachable"), 1, true),
            (Some("failed"), 1, true),
            (None, 1, true),
            (None, 2, false),
        ] {
            assert!(
                disagreement(said, count, complete).is_some(),
                "{said:?} {count}"
            );
        }
        for (said, count, complete) in [
            (Some("changed"), 1, true),
            (Some("unknown"), 0, true),
            (Some("unknown"), 1, true),
            (Some("unreachable"), 0, true),
            (None, 0, true),
            (None, 1, false),
        ] {
            assert_eq!(
                disagreement(said, count, complete),
                None,
                "{said:?} {count}"
            );
        }
    }
}
