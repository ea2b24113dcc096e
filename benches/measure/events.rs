//! How many events a second the screen takes, and what it writes.

use crate::table::{Sample, Table, timed};
use indicatif::TermLike;
use runner::event::{Event, Moment, Outcome, Status, TaskId, Traffic};
use runner::report::Report;
use runner::ui::live::{Live, Streams};
use runner::ui::style::Style;
use runner::ui::{self, Options, Output, Renderer, Sink, Terminal};
use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const TASKS: usize = 20;

/// So many events come between two frames.
const FRAME: usize = 500;

pub fn measure() -> Vec<Table> {
    let about = format!(
        "A run of {TASKS} tasks: a connection for each host, and the beginning, an exchange and the end of each task there. The \
         live screen is drawn every {FRAME} events on a terminal of 100 columns."
    );
    let head = [
        "what",
        "hosts",
        "events/s",
        "bytes written",
        "seconds for all",
    ];
    let mut table = Table::new("Screen", about, &head);
    for (hosts, runs) in [(26, 5), (5_000, 3)] {
        let moments = moments(hosts);
        let mut row = |name: &str, show: &dyn Fn(&[Moment]) -> u64| {
            let mut bytes = 0;
            let took = Sample::of(runs, || {
                let (took, written) = timed(|| show(&moments));
                bytes = written;
                took.as_secs_f64()
            });
            let rate = moments.len() as f64 / took.median();
            table.row([
                name.to_owned(),
                hosts.to_string(),
                format!("{rate:.0}"),
                bytes.to_string(),
                took.show(3),
            ]);
        };
        row("report", &|moments| {
            fold(Report::new(), moments);
            0
        });
        row("report with --timing", &|moments| {
            fold(Report::timed(), moments);
            0
        });
        let options = Options::default();
        row("plain lines", &|moments| {
            written(options, Report::new(), moments)
        });
        let timed = || Report::timed();
        row("plain lines with --timing", &|moments| {
            written(options, timed(), moments)
        });
        let adhoc = Options {
            adhoc: true,
            ..options
        };
        row("plain lines of one command's output", &|moments| {
            written(adhoc, Report::new(), moments)
        });
        let json = Options {
            output: Output::Json,
            ..options
        };
        row("JSON", &|moments| written(json, Report::new(), moments));
        row("live", &live);
    }
    vec![table]
}

fn fold(mut report: Report, moments: &[Moment]) {
    for moment in moments {
        report.moment(moment);
    }
    assert_eq!(report.exit_code(), 0);
}

fn written(options: Options, report: Report, moments: &[Moment]) -> u64 {
    let out = Bytes::default();
    let sinks = (Sink::new(out.clone()), Sink::new(out.clone()));
    let renderer = ui::choose(options, Terminal::default(), sinks.0, sinks.1);
    show(renderer, report, moments);
    out.0.load(Ordering::Relaxed)
}

fn live(moments: &[Moment]) -> u64 {
    let bytes = Bytes::default();
    let streams = Streams {
        out: None,
        terminal: Arc::new(bytes.clone()),
    };
    let style = Style { color: true };
    let live = Live::new(
        Options::default(),
        style,
        style,
        streams,
        Box::new(Instant::now),
    );
    show(Box::new(live), Report::new(), moments);
    bytes.0.load(Ordering::Relaxed)
}

fn show(mut renderer: Box<dyn Renderer>, mut report: Report, moments: &[Moment]) {
    for (number, moment) in moments.iter().enumerate() {
        report.moment(moment);
        renderer.event(&moment.event);
        if number % FRAME == 0 {
            renderer.tick();
        }
    }
    renderer.finish(&report);
}

/// All hosts side by side, task by task.
fn moments(hosts: usize) -> Vec<Moment> {
    let names: Vec<String> = (0..hosts)
        .map(|number| format!("host{number:04}.example.com"))
        .collect();
    let mut events = vec![
        Event::RunStarted {
            id: runner::run_id::RunId::new(),
            name: "site.toml".to_owned(),
            hosts: names.clone(),
            plays: 1,
            check: false,
        },
        Event::PlayStarted {
            play: 0,
            name: "all of them".to_owned(),
            hosts: names.clone(),
            tasks: TASKS,
        },
    ];
    let took = Duration::from_millis(20);
    for host in &names {
        events.push(Event::Connecting { host: host.clone() });
        events.push(Event::Connected {
            host: host.clone(),
            took,
        });
    }
    for index in 0..TASKS {
        let task = TaskId {
            play: 0,
            index,
            name: format!("configuration of part {index}"),
            item: None,
        };
        for (number, host) in names.iter().enumerate() {
            events.push(Event::TaskStarted {
                host: host.clone(),
                task: task.clone(),
            });
            let traffic = Traffic {
                exchanges: 1,
                sent: 2_000,
                received: 300,
            };
            events.push(Event::Exchanged {
                host: host.clone(),
                took,
                traffic,
            });
            let changed = (number + index) % 7 == 0;
            let status = if changed { Status::Changed } else { Status::Ok };
            let outcome = Box::new(outcome(status));
            events.push(Event::TaskFinished {
                host: host.clone(),
                task: task.clone(),
                outcome,
            });
        }
    }
    events.push(Event::PlayFinished { play: 0 });
    events.push(Event::RunFinished {
        took: Duration::from_secs(9),
    });
    events.into_iter().map(Moment::from).collect()
}

fn outcome(status: Status) -> Outcome {
    Outcome {
        code: Some(0),
        stdout: b"done\n".to_vec(),
        took: Duration::from_millis(20),
        ..Outcome::new(status, "file")
    }
}

/// Counts what is written, and forgets it.
#[derive(Clone, Default)]
struct Bytes(Arc<AtomicU64>);

impl Bytes {
    fn add(&self, count: usize) {
        self.0.fetch_add(count as u64, Ordering::Relaxed);
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a terminal")
    }
}

impl Write for Bytes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Moves of the cursor are as long as a terminal's sequences for them.
impl TermLike for Bytes {
    fn width(&self) -> u16 {
        100
    }

    fn height(&self) -> u16 {
        40
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.add(if n > 0 { 4 } else { 0 });
        Ok(())
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.move_cursor_up(n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.move_cursor_up(n)
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.move_cursor_up(n)
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.add(text.len() + 1);
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.add(text.len());
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.add(5);
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}
