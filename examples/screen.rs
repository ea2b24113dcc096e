//! Plays a made-up run on 26 hosts, to look at the screen: `cargo run --example screen -- [play|exec] [--check]`.
//!
//! Nothing is connected to. Two hosts are unreachable, three fail, one is slow.

use runner::diagnostic::Source;
use runner::event::{Event, Outcome, Status, TaskId};
use runner::modules::Diff;
use runner::report::Report;
use runner::ui::{self, Events, Options, Output, Screen};
use std::time::{Duration, Instant};

const HOSTS: [&str; 26] = [
    "n50h", "3j1z", "224s", "qbnp", "ggck", "agzs", "nha1", "1a0m", "a69j", "wa92", "9mtz", "csve",
    "92xg", "ch5z", "y9ku", "kkpt", "3jmy", "vgr5", "jbfv", "wc2g", "xpeg", "7keb", "nch3", "hhq1",
    "ssw8", "71ux",
];

const PLAYBOOK: &str = r#"[[play]]
name = "images"

[[play.task]]
name = "load the image"
docker_image = { tar = "{{ tar }}" }
"#;

/// A play: its name, its hosts by number, and its tasks with their length in milliseconds.
type Play = (
    &'static str,
    std::ops::Range<usize>,
    &'static [(&'static str, u64)],
);

const PLAYS: [Play; 3] = [
    (
        "images",
        0..26,
        &[
            ("directory for images", 150),
            ("copy the image tar", 6000),
            ("load the image", 3000),
        ],
    ),
    (
        "ZooKeeper hosts",
        11..14,
        &[
            ("data and log directories", 300),
            ("identity", 200),
            ("configuration", 500),
        ],
    ),
    ("ZooKeeper services", 16..17, &[("stack", 4000)]),
];

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let given = |word: &str| words.iter().any(|known| known == word);
    let options = Options {
        output: if given("--json") {
            Output::Json
        } else if given("--plain") {
            Output::Plain
        } else {
            Output::Auto
        },
        verbose: u8::from(given("-v")),
        adhoc: given("exec"),
        ..Options::default()
    };
    let (events, screen) = Screen::spawn(ui::renderer(options), Report::new())?;
    let began = Instant::now();
    send(
        &events,
        Event::RunStarted {
            id: runner::run_id::RunId::new(),
            name: "playbooks/deploy.toml".to_owned(),
            hosts: (0..26).map(name).collect(),
            plays: if given("exec") { 1 } else { PLAYS.len() },
            check: given("--check"),
        },
    );
    if given("exec") {
        exec(&events).await;
    } else {
        for (index, play) in PLAYS.into_iter().enumerate() {
            run(&events, index, play).await;
        }
    }
    let took = began.elapsed();
    send(&events, Event::RunFinished { took });
    drop(events);
    let report = tokio::task::spawn_blocking(|| screen.join()).await??;
    std::process::exit(report.exit_code().into())
}

fn send(events: &Events, event: Event) {
    // The screen outlives its events.
    let _ = events.send(event.into());
}

fn name(host: usize) -> String {
    format!("gp22aitppap{}", HOSTS[host])
}

/// Between 0 and 1, always the same for the same numbers.
fn chance(host: usize, other: usize) -> f64 {
    let mixed = (host as u64 * 31 + other as u64 * 17 + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 40) as f64 / (1u64 << 24) as f64
}

async fn run(events: &Events, index: usize, play: Play) {
    let (title, hosts, tasks) = play;
    let lost = |host: &usize| index > 0 && matches!(host, 3 | 4);
    let hosts: Vec<usize> = hosts.clone().filter(|host| !lost(host)).collect();
    send(
        events,
        Event::PlayStarted {
            play: index,
            name: (*title).to_owned(),
            hosts: hosts.iter().copied().map(name).collect(),
            tasks: tasks.len(),
        },
    );
    let all = hosts.into_iter().map(|host| {
        let events = events.clone();
        tokio::spawn(async move { one(&events, index, host, tasks).await })
    });
    for host in all.collect::<Vec<_>>() {
        let _ = host.await;
    }
    send(events, Event::PlayFinished { play: index });
}

async fn one(events: &Events, play: usize, host: usize, tasks: &'static [(&str, u64)]) {
    if play == 0 {
        send(events, Event::Connecting { host: name(host) });
        let slow = matches!(host, 3 | 4);
        let wait = if slow {
            4000.0
        } else {
            100.0 + 300.0 * chance(host, 99)
        };
        tokio::time::sleep(Duration::from_millis(wait as u64)).await;
        if slow {
            let lost = Event::HostLost {
                host: name(host),
                status: Status::Unreachable,
                message: format!("no answer from 29.16.21.{}:22 within 4 s", host + 64),
                help: vec![
                    "is the host up, and is the address right? see `runner inventory HOST`"
                        .to_owned(),
                ],
            };
            return send(events, lost);
        }
        let took = Duration::from_millis(wait as u64);
        send(
            events,
            Event::Connected {
                host: name(host),
                took,
            },
        );
    }
    for (at, (title, millis)) in tasks.iter().enumerate() {
        let task = TaskId {
            play,
            index: at,
            name: (*title).to_owned(),
            item: None,
        };
        send(
            events,
            Event::TaskStarted {
                host: name(host),
                task: task.clone(),
            },
        );
        let steps = 20;
        let pace = 0.4 + chance(host, at) * if host == 16 { 2.5 } else { 1.0 };
        for step in 0..steps {
            let step_millis = *millis as f64 * pace / f64::from(steps);
            tokio::time::sleep(Duration::from_millis(step_millis as u64)).await;
            if *millis > 1000 {
                let line = format!(
                    "{} MiB of 1.2 GiB sent, \x1b[32msha256 running\x1b[0m",
                    step * 60
                );
                send(
                    events,
                    Event::TaskOutput {
                        host: name(host),
                        line: line.into_bytes().into(),
                    },
                );
            }
        }
        let outcome = outcome(play, host, at);
        let over = outcome.status == Status::Failed;
        send(
            events,
            Event::TaskFinished {
                host: name(host),
                task,
                outcome: Box::new(outcome),
            },
        );
        if over {
            return;
        }
    }
}

fn outcome(play: usize, host: usize, at: usize) -> Outcome {
    let status = match chance(host, at + 40 * play) {
        0.0..0.25 => Status::Changed,
        _ => Status::Ok,
    };
    let mut outcome = Outcome {
        code: Some(0),
        took: Duration::from_millis(230),
        ..Outcome::new(status, "docker_image")
    };
    if outcome.status == Status::Changed {
        outcome.message = "mode 0644 -> 0755".to_owned();
    }
    if play == 0 && at == 2 && matches!(host, 6 | 9 | 20) {
        outcome.status = Status::Failed;
        outcome.code = Some(1);
        outcome.message = "docker load ended with exit code 1".to_owned();
        outcome.stderr = b"open /var/lib/docker/tmp/docker-import-841/repositories: no such file or directory\nError processing tar file(exit status 1): write /pulsar/lib/x.jar: no space left on device\n".to_vec();
        outcome.help = vec!["`docker system df` on the host shows what can go".to_owned()];
        let at = PLAYBOOK.find("docker_image").unwrap_or(0);
        outcome.place = Some(Source::new("playbooks/images.toml", PLAYBOOK).place(at..at + 12));
    }
    if play == 1 && at == 2 {
        outcome.status = Status::Changed;
        outcome.diff = Some(Diff {
            name: "/home/dcos/zookeeper.conf".to_owned(),
            before: "tickTime=2000\ninitLimit=10\nclientPort=2181\n".to_owned(),
            after: "tickTime=2000\ninitLimit=20\nclientPort=2181\n".to_owned(),
        });
    }
    outcome
}

async fn exec(events: &Events) {
    send(
        events,
        Event::PlayStarted {
            play: 0,
            name: "docker info".to_owned(),
            hosts: (0..26).map(name).collect(),
            tasks: 1,
        },
    );
    for host in 0..26 {
        let task = TaskId {
            play: 0,
            index: 0,
            name: "command".to_owned(),
            item: None,
        };
        send(
            events,
            Event::TaskStarted {
                host: name(host),
                task: task.clone(),
            },
        );
        tokio::time::sleep(Duration::from_millis(60)).await;
        let version = if host == 7 { "18.09.9" } else { "20.10.24" };
        let mut outcome = outcome(9, host, 0);
        outcome.module = "command".into();
        outcome.status = Status::Changed;
        outcome.stdout = format!(
            "Server:\n Version: {version}\n Storage Driver: overlay2\n Swarm: active\n Nodes: 26\n"
        )
        .into_bytes();
        if matches!(host, 11 | 12) {
            outcome.status = Status::Failed;
            outcome.code = Some(127);
            outcome.stdout.clear();
            outcome.message = "ended with exit code 127".to_owned();
            outcome.stderr = b"sh: docker: not found\n".to_vec();
        }
        send(
            events,
            Event::TaskFinished {
                host: name(host),
                task,
                outcome: Box::new(outcome),
            },
        );
    }
    send(events, Event::PlayFinished { play: 0 });
}
