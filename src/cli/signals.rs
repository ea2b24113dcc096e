//! Ctrl-C and its kin: the first asks for an orderly end, the second ends at once.

use crate::event::Event;
use crate::exit;
use crate::ui::Events;
use std::io::Write;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Turns the first signal into a stop of the run. Never comes back from the second.
pub(super) async fn watch(stop: watch::Sender<bool>, events: Events) {
    let (Ok(mut int), Ok(mut term), Ok(mut hup)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
        signal(SignalKind::hangup()),
    ) else {
        return;
    };
    let name = next(&mut int, &mut term, &mut hup).await;
    events
        .send(Event::Interrupted {
            signal: name.to_string(),
        })
        .ok();
    stop.send(true).ok();
    drop(events);
    let name = next(&mut int, &mut term, &mut hup).await;
    let last = "\x1b[?25h\nended at once: commands on the hosts end by themselves when their connection is gone\n";
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
