//! Dynamic inventories: executables that speak Ansible's script protocol.
//!
//! With `--list` a script prints a JSON object of groups. A group is a list of hosts, or an object with `hosts`,
//! `children` and `vars`; `_meta.hostvars` has the variables of all hosts. Without `_meta` the script is asked
//! with `--host NAME` for each. `ansible_host`, `ansible_port` and the like become connection settings.

use super::draft::{Draft, GroupDraft, HostDraft, Layer, Reference, check_name};
use super::file::ANSIBLE;
use crate::diagnostic::cause;
use crate::diagnostic::{Place, Problem, Problems, Source};
use crate::document::{Data, Entry, Node};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long one call of a script may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// How many of the last lines of its standard error are shown when it fails.
const SHOWN: usize = 3;

/// Lines of JSON that are longer, in bytes, are not shown in a report.
const WIDEST: usize = 200;

/// Runs a script and reads what it says into the draft; notes every problem.
pub fn read(path: &Path, draft: &mut Draft, problems: &mut Problems) {
    read_within(path, DEADLINE, draft, problems);
}

fn read_within(path: &Path, deadline: Duration, draft: &mut Draft, problems: &mut Problems) {
    let call = |arguments: &[&str]| printed(path, deadline, arguments);
    understand(path, &call, draft, problems);
}

/// What a script prints when it is called with these arguments.
pub type Call<'a> = dyn Fn(&[&str]) -> Result<Vec<u8>, Problem> + 'a;

/// Reads what a script says into the draft, however it is called; notes every problem.
pub fn understand(path: &Path, call: &Call<'_>, draft: &mut Draft, problems: &mut Problems) {
    let script = Script {
        path,
        folder: path.parent().unwrap_or(Path::new("")).to_path_buf(),
        call,
    };
    let before = problems.len();
    if let Some(said) = problems.note(script.ask(&["--list"])) {
        script.groups(&said, draft, problems);
    }
    draft.incomplete |= problems.len() > before;
}

struct Script<'a> {
    path: &'a Path,
    folder: PathBuf,
    call: &'a Call<'a>,
}

fn problem(path: &Path, message: impl std::fmt::Display) -> Problem {
    Problem::new(format!("{}: {message}", path.display()))
}

impl Script<'_> {
    fn problem(&self, message: impl std::fmt::Display) -> Problem {
        problem(self.path, message)
    }

    /// A place for what has none in any file: a line that says what was said of whom.
    fn place(&self, line: String) -> Place {
        let end = line.len();
        Source::new(self.path.display().to_string(), line).place(0..end)
    }

    fn groups(&self, said: &Map<String, Value>, draft: &mut Draft, problems: &mut Problems) {
        let mut seen = HashSet::new();
        let mut hosts = Vec::new();
        for (name, value) in said.iter().filter(|(name, _)| *name != "_meta") {
            if name.is_empty() || name.chars().any(char::is_control) {
                problems.push(self.problem(format!("{name:?} cannot be the name of a group")));
                continue;
            }
            if let Some(group) = self.group(name, value, problems) {
                let names = group.hosts.iter().map(|host| host.name.clone());
                hosts.extend(names.filter(|name| seen.insert(name.clone())));
                draft.add_group(group);
            }
        }
        let meta = said.get("_meta").map(|meta| meta.get("hostvars"));
        for name in hosts {
            if let Err(problem) = check_name(&name, "host") {
                problems.push(self.problem(problem.message));
                continue;
            }
            let own;
            let vars = match meta {
                Some(Some(Value::Object(all))) => all.get(&name),
                Some(Some(_)) => {
                    return problems.push(self.problem("`_meta.hostvars` is not an object"));
                }
                Some(None) => None,
                None => match self.ask(&["--host", &name]) {
                    Ok(said) => {
                        own = Value::Object(said);
                        Some(&own)
                    }
                    // The next host would most likely fail in the same way.
                    Err(problem) => return problems.push(problem),
                },
            };
            draft.add_host(
                HostDraft {
                    place: self.place(format!("host {name}")),
                    groups: Vec::new(),
                    layer: self.layer(&format!("host {name}"), vars, problems),
                    dynamic: true,
                    name,
                },
                problems,
            );
        }
    }

    fn group(&self, name: &str, value: &Value, problems: &mut Problems) -> Option<GroupDraft> {
        let place = self.place(format!("group {name}"));
        let mut names = |what: &str, value: Option<&Value>| -> Vec<Reference> {
            let items = match value {
                None | Some(Value::Null) => return Vec::new(),
                Some(Value::Array(items)) => items.iter().map(Value::as_str).collect(),
                Some(_) => None,
            };
            let items: Option<Vec<&str>> = items;
            if items.is_none() {
                problems.push(self.problem(format!(
                    "the {what} of group `{name}` are not a list of names"
                )));
            }
            let reference = |item: &str| Reference {
                name: item.to_string(),
                place: place.clone(),
                strict: false,
            };
            items
                .unwrap_or_default()
                .into_iter()
                .map(reference)
                .collect()
        };
        let (hosts, children, vars) = match value {
            Value::Array(_) => (names("hosts", Some(value)), Vec::new(), None),
            Value::Object(map) => {
                let parts = ["hosts", "children", "vars"];
                if !map.is_empty() && !parts.iter().any(|part| map.contains_key(*part)) {
                    // The oldest form: a group that is a host, with the host's variables.
                    let hosts = vec![Value::from(name)];
                    (
                        names("hosts", Some(&Value::Array(hosts))),
                        Vec::new(),
                        Some(value),
                    )
                } else {
                    let hosts = names("hosts", map.get("hosts"));
                    (
                        hosts,
                        names("children", map.get("children")),
                        map.get("vars"),
                    )
                }
            }
            _ => {
                problems.push(self.problem(format!(
                    "group `{name}` is neither a list of hosts nor an object"
                )));
                return None;
            }
        };
        Some(GroupDraft {
            name: name.to_string(),
            children,
            hosts,
            layer: self.layer(&format!("group {name}"), vars, problems),
            place,
        })
    }

    /// Variables, and the connection settings among them; `owner` says whose they are.
    fn layer(&self, owner: &str, vars: Option<&Value>, problems: &mut Problems) -> Layer {
        let mut layer = Layer::default();
        let vars = match vars {
            None | Some(Value::Null) => return layer,
            Some(Value::Object(vars)) => vars,
            Some(_) => {
                problems.push(self.problem(format!("the variables of {owner} are not an object")));
                return layer;
            }
        };
        for (key, value) in vars {
            let entry = self.entry(owner, key, value);
            let Some((_, setting)) = ANSIBLE.iter().find(|(ansible, _)| ansible == key) else {
                layer.vars.push(entry);
                continue;
            };
            if let Some(entry) = setting_of(setting, entry)
                && layer.settings.iter().all(|known| known.key != entry.key)
            {
                problems.note(layer.set(&entry, &self.folder));
            }
        }
        layer
    }

    fn entry(&self, owner: &str, key: &str, value: &Value) -> Entry {
        let head = format!("{owner}: ");
        let line = format!("{head}{key} = {value}");
        let place = self.place(line);
        let end = head.len() + key.len();
        let length = place.span.end;
        Entry {
            key: key.to_string(),
            key_place: place.within(head.len()..end),
            value: Node::from_value(value, &place.within(end + 3..length)),
        }
    }

    /// Calls the script, and reads the object that it prints. Nothing at all is an empty object.
    fn ask(&self, arguments: &[&str]) -> Result<Map<String, Value>, Problem> {
        let printed = (self.call)(arguments)?;
        let call = arguments.join(" ");
        if printed.trim_ascii().is_empty() {
            return Ok(Map::new());
        }
        let Ok(text) = String::from_utf8(printed) else {
            return Err(self.problem(format!("what `{call}` printed is not UTF-8")));
        };
        match serde_json::from_str(&text) {
            Ok(Value::Object(map)) => Ok(map),
            Ok(_) => Err(self.problem(format!("what `{call}` printed is not a JSON object"))),
            Err(error) => {
                let (line, column) = (error.line(), error.column());
                let cause = error.to_string();
                let cause = cause.split(" at line ").next().unwrap_or_default();
                let message = format!("what `{call}` printed is not JSON: {cause}");
                if text.lines().any(|line| line.len() > WIDEST) {
                    return Err(self.problem(format!("{message} at line {line}, column {column}")));
                }
                let at = offset(&text, line, column);
                let source = Source::new(self.path.display().to_string(), printable(&text));
                Err(Problem::new(message).at(source.place(at..at + 1)))
            }
        }
    }
}

/// What a script prints to standard output, if it succeeds within the deadline.
fn printed(path: &Path, deadline: Duration, arguments: &[&str]) -> Result<Vec<u8>, Problem> {
    let output = run(path, deadline, arguments)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let call = arguments.join(" ");
    let how = match output.status.code() {
        Some(code) => format!("`{call}` failed with exit code {code}"),
        None => format!("`{call}` was ended by a signal"),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let last = &lines[lines.len().saturating_sub(SHOWN)..];
    Err(last.iter().fold(problem(path, how), |problem, line| {
        problem.help(format!("it said: {}", printable(line)))
    }))
}

fn run(path: &Path, deadline: Duration, arguments: &[&str]) -> Result<Output, Problem> {
    let failed = |error: &std::io::Error| {
        let problem = problem(path, format!("cannot run it: {}", cause(error)));
        match error.raw_os_error() {
            Some(8) => problem.help("a script begins with a line such as `#!/bin/sh`"),
            _ => problem,
        }
    };
    let absolute = std::path::absolute(path).map_err(|error| failed(&error))?;
    let child = Command::new(absolute)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| failed(&error))?;
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let (send, receive) = mpsc::channel();
    thread::spawn(move || send.send(child.wait_with_output()));
    match receive.recv_timeout(deadline) {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(error)) => Err(failed(&error)),
        Err(_) => {
            if let Some(group) = group {
                // It may have ended just now.
                let _ = kill_process_group(group, Signal::KILL);
            }
            let call = arguments.join(" ");
            let why = format!("`{call}` did not end within {deadline:?}");
            Err(problem(path, why))
        }
    }
}

/// A variable of Ansible as a connection setting; `None` if it says nothing here.
fn setting_of(setting: &str, mut entry: Entry) -> Option<Entry> {
    entry.key = setting.to_string();
    match &entry.value.data {
        Data::Null => return None,
        Data::String(text) if setting == "port" => {
            if let Ok(number) = text.trim().parse() {
                entry.value.data = Data::Integer(number);
            }
        }
        Data::String(text) if setting == "transport" && (text == "smart" || text == "paramiko") => {
            entry.value.data = Data::String("ssh".into());
        }
        _ => {}
    }
    Some(entry)
}

/// The byte at a line and a column (in bytes), both from 1.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text
        .split_inclusive('\n')
        .take(line.saturating_sub(1))
        .map(str::len)
        .sum();
    (before + column.saturating_sub(1)).min(text.len())
}

/// What a script said, fit for a terminal, in as many bytes.
fn printable(text: &str) -> String {
    let replace = |c: char| match c {
        '\n' => "\n".to_string(),
        c if c.is_control() => " ".repeat(c.len_utf8()),
        c => c.to_string(),
    };
    text.chars().map(replace).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_script_that_does_not_end_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hosts");
        // A file that this process had open for writing may be busy when another thread forks.
        let made = Command::new("sh")
            .args(["-c", "printf '#!/bin/sh\\ntail -f /dev/null\\n' >\"$0\""])
            .arg(&path)
            .status()
            .unwrap();
        assert!(made.success());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        let (mut draft, mut problems) = (Draft::default(), Problems::new());
        read_within(&path, Duration::from_millis(200), &mut draft, &mut problems);
        let said = problems.to_string();
        assert!(
            said.ends_with("hosts: `--list` did not end within 200ms\n"),
            "{said}"
        );
        assert!(draft.incomplete);
    }
}
