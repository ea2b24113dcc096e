//! The task types that drive the host's own `docker` command, 18.09 or newer.

mod archive;
mod compose;
#[cfg(test)]
mod destructive;
pub mod exec;
pub mod image;
pub mod node;
pub mod stack;
pub mod swarm;

use super::shell::quote;
use super::{Changes, Done, Failure, Found, Script};
use serde::de::DeserializeOwned;

/// Why a docker command failed, with the way out where the message is one that everybody meets.
///
/// `what` says what was tried: `look at the swarm`.
fn failure(what: &str, code: i32, stderr: &[u8]) -> Failure {
    let said = String::from_utf8_lossy(stderr);
    let said = said.trim();
    let last = said.lines().next_back().unwrap_or("").trim();
    let last = last
        .strip_prefix("Error response from daemon: ")
        .unwrap_or(last);
    let has = |words: &str| said.contains(words);
    if code == 127 {
        return Failure::new("docker is not installed on this host").help(
            "install the Docker Engine, 18.09 or newer, or put its `docker` into the login's PATH",
        );
    }
    if has("permission denied") && has("docker.sock") {
        return Failure::new("this login may not use the Docker Engine")
            .help("add the user to the group `docker`, or set `become = true`");
    }
    if has("Cannot connect to the Docker daemon") || has("Is the docker daemon running") {
        return Failure::new("the Docker Engine of this host does not answer")
            .help("start it and see why it stopped: `systemctl status docker`");
    }
    if has("This node is not a swarm manager") {
        return Failure::new(format!("cannot {what}: this host is not a swarm manager"))
            .help("run the task on a manager, such as the first host of the group `managers`");
    }
    if has("does not have a leader") {
        return Failure::new(format!("cannot {what}: the swarm has no leader"))
            .help("more than half of its managers must be up and see each other: `docker node ls` on each");
    }
    if last.is_empty() {
        return Failure::new(format!("cannot {what}: docker exited with {code}"));
    }
    Failure::new(format!("cannot {what}: {last}"))
}

/// Refuses an answer whose script failed.
fn answered(what: &str, found: &Found) -> Result<(), Failure> {
    match found.code {
        0 => Ok(()),
        code => Err(failure(what, code, &found.stderr)),
    }
}

/// What a task that needs a swarm manager does on a host that is none. Under `--check` the swarm may be made by an
/// earlier task that was not run: so this is no failure yet, but doing it is.
fn not_yet(what: &str, found: &Found) -> Option<Changes> {
    let said = String::from_utf8_lossy(&found.stderr);
    if found.code == 0 || !said.contains("This node is not a swarm manager") {
        return None;
    }
    let failure = failure(what, found.code, &found.stderr);
    let text = format!("{}\n{}", failure.message, failure.help.join("\n"));
    Some(Changes::script(
        Script::new(format!("printf '%s\\n' {} >&2\nexit 1", quote(&text))),
        "once this host is a swarm manager",
    ))
}

/// What the last action printed; empty when nothing was done.
fn last(done: &[Done]) -> String {
    done.last().map(Done::stdout).unwrap_or_default()
}

/// Reads one of docker's JSON lines.
fn json<T: DeserializeOwned>(what: &str, text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        let start: String = text.chars().take(60).collect();
        Failure::new(format!(
            "docker's answer about {what} is not as expected: {error}"
        ))
        .help(format!("it began with {start:?}"))
    })
}

#[cfg(test)]
mod tests {
    use super::{Failure, failure};

    #[test]
    fn what_everybody_meets_has_a_way_out() {
        let said = |code, text: &str| failure("look at the swarm", code, text.as_bytes());
        assert_eq!(
            said(127, "sh: 1: docker: not found").message,
            "docker is not installed on this host"
        );
        assert_eq!(
            said(1, "Got permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get ...").message,
            "this login may not use the Docker Engine"
        );
        assert_eq!(
            said(1, "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?").message,
            "the Docker Engine of this host does not answer"
        );
        assert_eq!(
            said(1, "warning: x\nError response from daemon: no such thing\n"),
            Failure::new("cannot look at the swarm: no such thing")
        );
        assert_eq!(
            said(4, ""),
            Failure::new("cannot look at the swarm: docker exited with 4")
        );
    }
}
