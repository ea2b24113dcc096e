//! The screen on a terminal.

use super::support::{HOSTS, Screen, done, outcome, over, play, run, task};
use indicatif::TermLike;
use runner::event::{Event, Outcome, Status, Transfer};
use runner::report::Report;
use runner::ui::live::{Live, Streams};
use runner::ui::style::Style;
use runner::ui::{Options, Renderer};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A live screen in a world whose time and size the test sets.
struct World {
    live: Live,
    report: Report,
    screen: Screen,
    now: Arc<Mutex<Instant>>,
}

impl World {
    fn new(options: Options, columns: usize) -> Self {
        let now = Arc::new(Mutex::new(Instant::now()));
        let clock = now.clone();
        let screen = Screen::new(columns);
        let streams = Streams {
            out: None,
            terminal: Arc::new(screen.clone()),
        };
        let clock = Box::new(move || *clock.lock().unwrap());
        let style = Style { color: true };
        Self {
            live: Live::new(options, style, style, streams, clock),
            report: Report::new(),
            screen,
            now,
        }
    }

    fn events(&mut self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.report.event(&event);
            self.live.event(&event);
        }
    }

    /// Lets time pass, then looks.
    fn after(&mut self, millis: u64) -> String {
        *self.now.lock().unwrap() += Duration::from_millis(millis);
        self.live.tick();
        self.look()
    }

    fn look(&self) -> String {
        self.screen.text()
    }
}

fn started(host: &str, index: usize, name: &str) -> Event {
    Event::TaskStarted {
        host: host.to_owned(),
        task: task(0, index, name),
    }
}

fn printed(host: &str, line: &[u8]) -> Event {
    Event::TaskOutput {
        host: host.to_owned(),
        line: line.into(),
    }
}

fn sends(host: &str, done: u64, total: u64) -> Event {
    const MIB: u64 = 1024 * 1024;
    Event::Transfer {
        host: host.to_owned(),
        transfer: Transfer {
            done: done * MIB,
            total: Some(total * MIB),
            rate: 50 * MIB,
            compressed: false,
        },
    }
}

#[test]
fn a_file_on_its_way_has_a_bar() {
    let mut world = World::new(Options::default(), 150);
    world.events([run(false), play(0, "images", &HOSTS, 2)]);
    world.events([started(HOSTS[0], 0, "copy the image tar")]);
    world.events([sends(HOSTS[0], 250, 1000)]);
    let busy = world.after(5_000);
    let bar = "━━━━────────────  250 MiB of 1000 MiB, 50 MiB/s, 15 s left";
    assert!(busy.contains(bar), "{busy}");
    world.events([sends(HOSTS[0], 1000, 1000)]);
    let busy = world.after(100);
    assert!(busy.contains("1000 MiB sent"), "{busy}");
    world.events([sends(HOSTS[0], 1, 1000), printed(HOSTS[0], b"loading\n")]);
    let busy = world.after(100);
    assert!(busy.contains("loading") && !busy.contains("MiB"), "{busy}");
}

#[test]
fn busy_hosts_have_a_line_each_and_what_is_done_scrolls_by() {
    let mut world = World::new(Options::default(), 80);
    world.events([run(false), play(0, "images", &HOSTS, 2)]);
    world.events(HOSTS.map(|host| started(host, 0, "copy the image tar")));
    world.events([printed(HOSTS[0], b"10%\r42%\x1b[2K")]);
    let busy = world.after(12_000);
    insta::assert_snapshot!("busy", busy);

    let copied = task(0, 0, "copy the image tar");
    world.events(
        HOSTS[..25]
            .iter()
            .map(|host| done(host, &copied, outcome(Status::Changed))),
    );
    world.events([done(HOSTS[25], &copied, outcome(Status::Failed))]);
    world.events([started(HOSTS[3], 1, "load the image")]);
    let told = world.after(1_000);
    insta::assert_snapshot!("told", told);

    world.events([Event::PlayFinished { play: 0 }, over(13)]);
    world.live.finish(&world.report);
    let end = world.look();
    insta::assert_snapshot!("end", end);
}

#[test]
fn nothing_is_written_while_nothing_changes() {
    let mut world = World::new(Options::default(), 80);
    world.events([run(false), play(0, "images", &HOSTS, 1)]);
    world.after(100);
    assert_eq!(world.screen.flushes(), 1);
    world.after(100);
    assert_eq!(world.screen.flushes(), 1);
}

#[test]
fn a_narrow_terminal_gets_narrow_lines() {
    let mut world = World::new(Options::default(), 30);
    world.events([play(0, "a play with a long name", &HOSTS, 2)]);
    world.events([started(HOSTS[0], 0, "copy the image tar")]);
    world.events([printed(HOSTS[0], "größe 日本語日本語日本語".as_bytes())]);
    insta::assert_snapshot!("narrow", world.after(1_000));
}

#[test]
fn a_terminal_may_change_its_width_at_any_time() {
    let mut world = World::new(Options::default(), 200);
    world.events([run(false), play(0, "images", &HOSTS, 2)]);
    world.events(HOSTS.map(|host| started(host, 0, "copy the image tar")));
    world.events(HOSTS.map(|host| printed(host, &[b'x'; 150])));
    world.after(2_000);
    for columns in [80, 60, 200, 100] {
        world.screen.resize(columns);
        let screen = world.after(1_000);
        assert_eq!(screen.lines().count(), 12, "{screen}");
        assert!(screen.starts_with("images (26 hosts)\n\n"), "{screen}");
        assert_eq!(screen.matches("images  ─").count(), 1, "{screen}");
    }
    world.events([over(7)]);
    assert_eq!(world.after(1_000), "images (26 hosts)\n");
}

#[test]
fn a_question_has_the_terminal_for_itself() {
    let mut world = World::new(Options::default(), 80);
    world.events([run(false), play(0, "images", &HOSTS, 2)]);
    world.events([started(HOSTS[0], 0, "copy the image tar")]);
    let before = world.after(1_000);
    world.live.pause();
    assert_eq!(world.look(), "images (26 hosts)\n");
    world.screen.write_line("Passphrase: ").unwrap();
    world.screen.flush().unwrap();
    let after = before.replacen('\n', "\nPassphrase:\n", 1);
    assert_eq!(world.after(0), after);
}

#[test]
fn hosts_that_take_turns_are_told_in_turns() {
    let mut world = World::new(Options::default(), 80);
    world.events([run(false), play(0, "restart", &HOSTS[..2], 1)]);
    let restart = task(0, 0, "restart");
    world.events([started(HOSTS[0], 0, "restart")]);
    world.events([done(HOSTS[0], &restart, outcome(Status::Changed))]);
    for _ in 0..6 {
        world.after(100);
    }
    let line = "  restart .............................. changed 1: gp22aitppapn50h\n";
    let screen = world.look();
    assert!(screen.contains(line), "{screen}");
}

#[test]
fn results_of_an_ad_hoc_command_are_folded_and_the_odd_one_is_a_diff() {
    let options = Options {
        adhoc: true,
        ..Options::default()
    };
    let mut world = World::new(options, 80);
    world.events([run(false), play(0, "docker info", &HOSTS, 1)]);
    let info = task(0, 0, "command");
    for (at, host) in HOSTS.into_iter().enumerate() {
        let version = if at == 7 { "18.09.9" } else { "20.10.24" };
        let result = match at {
            11 | 12 => Outcome {
                stderr: b"sh: docker: not found\n".to_vec(),
                code: Some(127),
                message: "ended with exit code 127".to_owned(),
                ..outcome(Status::Failed)
            },
            _ => Outcome {
                stdout: format!("Server:\n Version: {version}\n Swarm: active\n").into_bytes(),
                code: Some(0),
                ..outcome(Status::Changed)
            },
        };
        world.events([done(host, &info, result)]);
    }
    world.events([Event::PlayFinished { play: 0 }, over(1)]);
    world.live.finish(&world.report);
    insta::assert_snapshot!("blocks", world.look());
}

#[test]
fn results_of_one_line_are_one_line() {
    let options = Options {
        adhoc: true,
        ..Options::default()
    };
    let mut world = World::new(options, 80);
    world.events([run(false), play(0, "uname", &HOSTS, 1)]);
    let uname = task(0, 0, "command");
    for (at, host) in HOSTS.into_iter().enumerate() {
        let stdout = if at == 7 { "3.10.0\n" } else { "5.14.0\n" };
        let result = Outcome {
            stdout: stdout.as_bytes().to_vec(),
            code: Some(0),
            ..outcome(Status::Changed)
        };
        world.events([done(host, &uname, result)]);
    }
    world.events([Event::PlayFinished { play: 0 }, over(1)]);
    world.live.finish(&world.report);
    let end = world.look();
    assert_eq!(
        end,
        "gp22aitppap{n50h,3j1z} and 23 more (25)  5.14.0\n\
         gp22aitppap1a0m                          3.10.0\n\
         \n\
         26 hosts ok (1.0 s)\n"
    );
}
