//! Files on their way, without a terminal.

use super::support::{HOSTS, Shared, play, run, task};
use runner::event::{Event, Transfer};
use runner::ui::plain::Plain;
use runner::ui::style::Style;
use runner::ui::{Options, Renderer, Sink};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const MIB: u64 = 1024 * 1024;

fn sends(host: &str, done: u64) -> Event {
    Event::Transfer {
        host: host.to_owned(),
        transfer: Transfer {
            done: done * MIB,
            total: Some(1000 * MIB),
            rate: 10 * MIB,
            compressed: false,
        },
    }
}

#[test]
fn a_log_hears_of_all_of_them_every_ten_seconds() {
    let (out, err) = (Shared::default(), Shared::default());
    let now = Arc::new(Mutex::new(Instant::now()));
    let clock = now.clone();
    let mut plain = Plain::new(
        Options::default(),
        Style::default(),
        Box::new(move || *clock.lock().unwrap()),
        Sink::new(out),
        Sink::new(err.clone()),
    );
    plain.event(&run(false));
    plain.event(&play(0, "images", &HOSTS, 1));
    for host in &HOSTS[..2] {
        plain.event(&Event::TaskStarted {
            host: (*host).to_owned(),
            task: task(0, 0, "image"),
        });
    }
    for second in 1..=25 {
        *now.lock().unwrap() += Duration::from_secs(1);
        plain.event(&sends(HOSTS[0], second * 10));
        plain.event(&sends(HOSTS[1], second * 20));
        plain.tick();
    }
    assert_eq!(
        err.text(),
        "  under way with 2 hosts: 300 MiB of 2.0 GiB, 20 MiB/s, 1m 30s left\n  \
         under way with 2 hosts: 600 MiB of 2.0 GiB, 20 MiB/s, 1m 20s left\n"
    );
}
