//! Where the time went, as it is told at the end of a made-up run on the 26 hosts.

use super::support::{HOSTS, Screen, Shared, done, outcome, play, run, task};
use runner::event::{Event, Moment, Status, TaskId, Traffic};
use runner::report::Report;
use runner::ui::live::{Live, Streams};
use runner::ui::style::Style;
use runner::ui::{self, Options, Output, Renderer, Sink, Terminal};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The moments of a run, which are told in milliseconds.
struct Moments {
    zero: Instant,
    all: Vec<(u64, Event)>,
}

impl Moments {
    fn at(&mut self, millis: u64, event: Event) {
        self.all.push((millis, event));
    }

    fn task(&mut self, host: &str, id: &TaskId, (from, to): (u64, u64), traffic: Traffic) {
        let started = Event::TaskStarted {
            host: host.to_owned(),
            task: id.clone(),
        };
        self.at(from, started);
        if traffic.exchanges > 0 {
            let took = Duration::from_millis((to - from).saturating_sub(2));
            let host = host.to_owned();
            let exchanged = Event::Exchanged {
                host,
                took,
                traffic,
            };
            self.at(to - 1, exchanged);
        }
        self.at(to, done(host, id, outcome(Status::Ok)));
    }

    fn in_order(mut self) -> impl Iterator<Item = Moment> {
        self.all.sort_by_key(|(millis, _)| *millis);
        let zero = self.zero;
        self.all.into_iter().map(move |(millis, event)| Moment {
            at: zero + Duration::from_millis(millis),
            event,
        })
    }
}

/// Three plays: sixteen tasks on all hosts, of which one can't be reached; one host; one task that is tried again.
fn moments() -> Moments {
    let mut moments = Moments {
        zero: Instant::now(),
        all: Vec::new(),
    };
    moments.at(0, run(false));
    moments.at(1, play(0, "hosts of the cluster", &HOSTS, 16));
    let traffic = |exchanges, sent, received| Traffic {
        exchanges,
        sent,
        received,
    };
    let first = traffic(1, 48_200, 9_100);
    for (number, host) in (0..).zip(HOSTS) {
        let connecting = Event::Connecting {
            host: host.to_owned(),
        };
        moments.at(2, connecting);
        if number == 5 {
            let lost = Event::HostLost {
                host: host.to_owned(),
                status: Status::Unreachable,
                message: "no answer from 29.16.21.69:22 within 10 s".to_owned(),
                help: Vec::new(),
            };
            moments.at(10_002, lost);
            continue;
        }
        let mut now = 100 + 3 * number;
        let connected = Event::Connected {
            host: host.to_owned(),
            took: Duration::from_millis(now - 2),
        };
        moments.at(now, connected);
        for index in 0..16 {
            let id = task(
                0,
                index,
                &format!("step {index} of getting the hosts ready"),
            );
            let (took, traffic) = match index {
                0 => (400 + 10 * number, first),
                9 => (9_000 + 130 * number, traffic(2, 148_897_792, 310)),
                12 => (700, traffic(1, 3_000, 2_000)),
                _ => (1, Traffic::default()),
            };
            moments.task(host, &id, (now, now + took), traffic);
            now += took;
        }
    }
    moments.at(14_100, Event::Barrier { play: 0 });
    moments.at(14_100, Event::PlayFinished { play: 0 });
    moments.at(14_110, play(1, "stack", &HOSTS[..1], 1));
    let id = task(1, 0, "stack pulsar deployed");
    moments.task(HOSTS[0], &id, (14_110, 14_700), traffic(2, 5_000, 2_000));
    moments.at(14_701, Event::PlayFinished { play: 1 });
    moments.at(14_710, play(2, "proof", &HOSTS[..2], 1));
    for (host, tries) in [(HOSTS[0], 1), (HOSTS[1], 3)] {
        let id = task(2, 0, "the brokers answer");
        let mut now = 14_710;
        let started = Event::TaskStarted {
            host: host.to_owned(),
            task: id.clone(),
        };
        moments.at(now, started);
        for left in (0..tries).rev() {
            now += 50;
            let asked = Event::Exchanged {
                host: host.to_owned(),
                took: Duration::from_millis(50),
                traffic: traffic(1, 2_100, 40),
            };
            moments.at(now, asked);
            if left > 0 {
                let task = id.clone();
                let host = host.to_owned();
                moments.at(now, Event::TaskRetry { host, task, left });
                now += 2_000;
            }
        }
        moments.at(now, done(host, &id, outcome(Status::Ok)));
    }
    moments.at(18_900, Event::PlayFinished { play: 2 });
    let took = Duration::from_millis(18_950);
    moments.at(18_950, Event::RunFinished { took });
    moments
}

/// What stands below the last line of the recap.
fn told(text: &str) -> &str {
    let at = text.find("what the run waited for").unwrap();
    &text[at..]
}

fn on_a_terminal(columns: usize) -> String {
    let zero = Instant::now();
    let screen = Screen::new(columns);
    let streams = Streams {
        out: None,
        terminal: Arc::new(screen.clone()),
    };
    let style = Style { color: true };
    let clock = Box::new(move || zero);
    let mut live = Live::new(Options::default(), style, style, streams, clock);
    let mut report = Report::timed();
    for moment in moments().in_order() {
        report.moment(&moment);
        live.event(&moment.event);
    }
    live.finish(&report);
    told(&screen.text()).to_owned()
}

/// The same in a pipe or as JSON.
fn written(options: Options) -> String {
    let out = Shared::default();
    let sinks = (Sink::new(out.clone()), Sink::new(Shared::default()));
    let mut renderer = ui::choose(options, Terminal::default(), sinks.0, sinks.1);
    let mut report = Report::timed();
    for moment in moments().in_order() {
        report.moment(&moment);
        renderer.event(&moment.event);
    }
    renderer.finish(&report);
    out.text()
}

#[test]
fn eighty_columns_have_room_for_what_matters() {
    let text = on_a_terminal(80);
    insta::assert_snapshot!("timing_80", text);
    assert!(
        text.lines()
            .all(|line| console::measure_text_width(line) <= 80)
    );
}

#[test]
fn two_hundred_columns_have_room_for_whole_names() {
    insta::assert_snapshot!("timing_200", on_a_terminal(200));
}

#[test]
fn nothing_is_left_out_of_a_log_that_wants_all() {
    let options = Options {
        verbose: 1,
        ..Options::default()
    };
    insta::assert_snapshot!("timing_all", told(&written(options)));
}

#[test]
fn json_has_a_line_with_all_of_it() {
    let options = Options {
        output: Output::Json,
        ..Options::default()
    };
    let lines: Vec<serde_json::Value> = written(options)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [.., timing, last] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    assert_eq!(last["event"], "run_finished");
    assert_eq!(timing["event"], "timing");
    assert_eq!(timing["took"], 18.95);
    assert_eq!(timing["spent"]["pause"], 4.0);
    // Connecting, sixteen tasks, the stack, the proof.
    assert_eq!(timing["path"].as_array().unwrap().len(), 1 + 16 + 1 + 1);
    assert_eq!(timing["path"][0]["host"], HOSTS[25]);
    let slow = &timing["plays"][0]["tasks"][9];
    assert_eq!(
        (&slow["hosts"], &slow["exchanges"]),
        (&25.into(), &50.into())
    );
    assert_eq!(slow["slowest_host"], HOSTS[25]);
    assert_eq!(timing["hosts"][5]["connecting"], 10.0);
    assert_eq!(timing["hosts"][5]["exchanges"], 0);
}
