//! What became of a task whose exchange did not come to its end.

use super::{Full, locked};
use crate::engine::exchange::Trouble;
use crate::event::Status;
use crate::transport::Exit;

/// What a host has ended by itself: the runner stood still, or the link did and has come back.
const UNHEARD: &str = "the host heard nothing from the runner for too long while it ran";

/// An exchange that did not come to its end. `asking`: it only asked, and changed nothing.
pub(in crate::engine) fn trouble(
    trouble: Trouble,
    asking: bool,
    become_user: Option<&str>,
) -> Full {
    match trouble {
        Trouble::NotStarted(why) => Full::new(Status::Unreachable, why),
        Trouble::NoShell(why) => {
            let mut full = Full::new(
                Status::Failed,
                format!("there is no shell to run it: {why}"),
            );
            if let Some(user) = become_user {
                full.message = format!("cannot become {user}: {why}");
                if why.contains("password is required") {
                    full.help
                        .push("give the password with --ask-become-pass".to_string());
                }
            }
            full
        }
        Trouble::Lost(why) if asking => Full::new(
            Status::Unreachable,
            format!("{why} while the host was asked; nothing was changed"),
        ),
        Trouble::Lost(why) => unknown(format!(
            "{why} while it ran: it may have run to its end, or not"
        )),
        Trouble::TimedOut { left: None } => Full::new(
            Status::Failed,
            "it took longer than its timeout and was ended",
        ),
        Trouble::TimedOut { left: Some(pid) } => left(pid, "it took longer than its timeout"),
        Trouble::Stopped { left: None } if asking => {
            Full::new(Status::Cancelled, "stopped by the operator")
        }
        Trouble::Stopped { left: None } => {
            let message = "stopped by the operator while it ran: it was ended, and may have done its work or a part of it";
            Full::new(Status::Unknown, message)
        }
        Trouble::Stopped { left: Some(pid) } => left(pid, "stopped by the operator"),
        Trouble::Locked(_) => locked(),
        Trouble::NoLock(why) => {
            let mut full = Full::new(
                Status::Failed,
                format!("the lock of this host can't be taken: {why}"),
            );
            full.help
                .push("--no-lock goes without, also where another run is at work".to_string());
            full
        }
        Trouble::Unheard if asking => Full::new(
            Status::Unreachable,
            format!("{UNHEARD}; nothing was changed"),
        ),
        Trouble::Unheard => unknown(format!(
            "{UNHEARD}: it was ended, and may have done its work or a part of it"
        )),
        Trouble::ShellEnded(Exit::Code(code @ 129..=165)) => Full::new(
            Status::Failed,
            format!(
                "the shell was killed by signal {} before the task was done",
                code - 128
            ),
        ),
        Trouble::ShellEnded(Exit::Code(code)) => Full::new(
            Status::Failed,
            format!("the shell ended with exit code {code} before the task was done"),
        ),
        Trouble::ShellEnded(Exit::Signal(name)) => Full::new(
            Status::Failed,
            format!("the shell was killed by SIG{name} before the task was done"),
        ),
    }
}

/// The run ended at once while something was on its way.
pub(in crate::engine) fn abandoned() -> Full {
    let message = "stopped by the operator, and what was sent to the host may still run";
    Full::new(Status::Unknown, message)
}

fn unknown(message: String) -> Full {
    let mut full = Full::new(Status::Unknown, message);
    full.help
        .push("look at the host before you run this again".to_string());
    full
}

fn left(pid: i64, why: &str) -> Full {
    let mut full = Full::new(
        Status::Unknown,
        format!("{why}, and process {pid} may still run"),
    );
    full.help.push(format!("on the host: kill -- -{pid}"));
    full
}
