//! Secrets that a command of the operator's machine prints.

use crate::diagnostic::{Problem, cause};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long a command may take: somebody may have to touch a key for it.
const DEADLINE: Duration = Duration::from_secs(120);

/// How many of the last lines of its standard error are shown when it fails.
const SHOWN: usize = 3;

/// What a command prints, without the line end.
///
/// # Errors
///
/// It can't be run, takes too long, fails, or prints something else than text. What it has printed is not told, what it has
/// complained about is.
pub(super) fn output(words: &[String]) -> Result<String, Problem> {
    let [program, arguments @ ..] = words else {
        return Err(Problem::new("there is no command"));
    };
    let failed = |why: String| Problem::new(format!("the command {program} {why}"));
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| failed(format!("cannot be run: {}", cause(&error))))?;
    let output = wait(child).map_err(&failed)?;
    if !output.status.success() {
        let how = match output.status.code() {
            Some(code) => format!("failed with exit code {code}"),
            None => "was ended by a signal".to_string(),
        };
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = said
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let last = &lines[lines.len().saturating_sub(SHOWN)..];
        return Err(last.iter().fold(failed(how), |problem, line| {
            problem.help(format!("it said: {}", line.trim_end()))
        }));
    }
    let text = String::from_utf8(output.stdout)
        .map_err(|_| failed("printed something that is not UTF-8".to_string()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_string())
}

fn wait(child: Child) -> Result<Output, String> {
    let pid = i32::try_from(child.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let (send, receive) = mpsc::channel();
    thread::spawn(move || send.send(child.wait_with_output()));
    match receive.recv_timeout(DEADLINE) {
        Ok(Ok(output)) => Ok(output),
        Ok(Err(error)) => Err(format!("cannot be heard: {}", cause(&error))),
        Err(_) => {
            if let Some(pid) = pid {
                // It is not reaped before its output has ended, so the number is still its own.
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
            }
            Err(format!("did not end within {} seconds", DEADLINE.as_secs()))
        }
    }
}
