//! Ctrl-C and its kin: the first asks for an orderly end, the second ends at once.

use crate::event::Event;
use crate::exit;
use crate::ui::Events;
use rustix::process::getpgrp;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};
use std::io::Write;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// The terminal's modes, such as the echo that a question for a passphrase switches off.
#[derive(Clone)]
pub(super) struct Modes(Option<Termios>);

impl Modes {
    /// Looks at the terminal behind standard input, if it is one.
    pub fn save() -> Self {
        Self(tcgetattr(std::io::stdin()).ok())
    }

    /// Sets the terminal as it was, unless it has gone over to another program: to touch it then would stop this one.
    pub fn restore(&self) {
        let ours = tcgetpgrp(std::io::stdin()).is_ok_and(|group| group == getpgrp());
        if let Some(modes) = self.0.as_ref().filter(|_| ours) {
            tcsetattr(std::io::stdin(), OptionalActions::Now, modes).ok();
        }
    }
}

/// Turns the first signal into a stop of the run. Never comes back from the second.
pub(super) async fn watch(stop: watch::Sender<bool>, events: Events, modes: Modes) {
    let (Ok(mut int), Ok(mut term), Ok(mut hup)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    ) else {
        return;
    };
    let name = next(&mut int, &mut term, &mut hup).await;
    events
        .send(
            Event::Interrupted {
                signal: name.to_string(),
            }
            .into(),
        )
        .ok();
    stop.send(true).ok();
    drop(events);
    let name = next(&mut int, &mut term, &mut hup).await;
    modes.restore();
    // The bars stay where they are, and the cursor, which is never hidden, is on the last of them.
    let last =
        "\nended at once: commands on the hosts end by themselves when their connection is gone\n";
    std::io::stderr().write_all(last.as_bytes()).ok();
    std::process::exit(i32::from(exit::signal(name)));
}

async fn next(int: &mut Signal, term: &mut Signal, hup: &mut Signal) -> &'static str {
    tokio::select! {
        _ = int.recv() => "INT",
        _ = term.recv() => "TERM",
        _ = hup.recv() => "HUP",
    }
}
