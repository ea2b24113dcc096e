use super::*;
use crate::event::{Outcome, Status};

/// A run whose moments are told in milliseconds.
struct Told {
    zero: Instant,
    timing: Timing,
}

impl Told {
    fn new(hosts: &[&str]) -> Self {
        let mut told = Self {
            zero: Instant::now(),
            timing: Timing::default(),
        };
        told.at(
            0,
            Event::RunStarted {
                id: crate::run_id::RunId::new(),
                name: "x".into(),
                hosts: hosts.iter().map(|host| (*host).into()).collect(),
                plays: 1,
                check: false,
            },
        );
        told
    }

    fn at(&mut self, millis: u64, event: Event) {
        let at = self.zero + ms(millis);
        self.timing.moment(&Moment { at, event });
    }

    fn play(&mut self, millis: u64, play: usize, hosts: &[&str]) {
        let event = Event::PlayStarted {
            play,
            name: format!("play {play}"),
            hosts: hosts.iter().map(|host| (*host).into()).collect(),
            tasks: 1,
        };
        self.at(millis, event);
    }

    fn connect(&mut self, host: &str, from: u64, to: u64) {
        self.at(from, Event::Connecting { host: host.into() });
        let took = ms(to - from);
        let host = host.into();
        self.at(to, Event::Connected { host, took });
    }

    /// A task, with an exchange that ends a millisecond before it unless that took no time.
    fn task(&mut self, host: &str, id: &TaskId, from: u64, to: u64, exchange: u64) {
        let (host, task) = (host.to_owned(), id.clone());
        let started = Event::TaskStarted {
            host: host.clone(),
            task: task.clone(),
        };
        self.at(from, started);
        if exchange > 0 {
            let event = Event::Exchanged {
                host: host.clone(),
                took: ms(exchange),
                traffic: Traffic {
                    exchanges: 1,
                    sent: 100,
                    received: 10,
                },
            };
            self.at(to - 1, event);
        }
        self.done(&host, &task, to);
    }

    fn done(&mut self, host: &str, id: &TaskId, at: u64) {
        let event = Event::TaskFinished {
            host: host.into(),
            task: id.clone(),
            outcome: Box::new(outcome()),
        };
        self.at(at, event);
    }

    /// `play host task wall = connecting + host + pause + controller`
    fn path(&self) -> Vec<String> {
        let line = |step: &Step| {
            let task = step.task.map_or("-".to_string(), |task| task.to_string());
            let spent = step.spent;
            let parts = [spent.connecting, spent.host, spent.pause, spent.controller];
            let [connecting, host, pause, controller] = parts.map(|part| part.as_millis());
            format!(
                "{} {} {task} {} = {connecting} + {host} + {pause} + {controller}",
                step.play,
                step.host,
                step.wall.as_millis()
            )
        };
        self.timing.path().iter().map(line).collect()
    }
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn id(play: usize, index: usize, name: &str) -> TaskId {
    TaskId {
        play,
        index,
        name: name.into(),
        item: None,
    }
}

fn outcome() -> Outcome {
    Outcome::new(Status::Ok, "command")
}

#[test]
fn the_path_goes_over_the_host_that_is_done_last() {
    let mut told = Told::new(&["a", "b"]);
    told.play(1, 0, &["a", "b"]);
    told.connect("a", 2, 30);
    told.connect("b", 2, 20);
    told.task("a", &id(0, 0, "one"), 30, 40, 5);
    told.task("b", &id(0, 0, "one"), 20, 90, 60);
    told.task("a", &id(0, 1, "two"), 40, 100, 55);
    told.at(101, Event::Barrier { play: 0 });
    told.task("a", &id(0, 2, "three"), 102, 110, 4);
    told.task("b", &id(0, 2, "three"), 102, 140, 30);
    told.at(141, Event::Barrier { play: 0 });
    told.at(142, Event::PlayFinished { play: 0 });
    let took = ms(150);
    told.at(150, Event::RunFinished { took });
    let path = [
        "0 a - 28 = 28 + 0 + 0 + 0",
        "0 a 0 10 = 0 + 5 + 0 + 5",
        "0 a 1 60 = 0 + 55 + 0 + 5",
        "0 b 2 38 = 0 + 30 + 0 + 8",
    ];
    assert_eq!(told.path(), path);
    let spent = told.timing.spent();
    assert_eq!(spent.connecting, ms(28));
    assert_eq!(spent.host, ms(90));
    assert_eq!(spent.controller, ms(150 - 28 - 90));
}

#[test]
fn a_once_play_waits_for_the_hosts_that_do_not_answer() {
    let mut told = Told::new(&["a", "b", "c"]);
    told.play(0, 0, &["a", "b", "c"]);
    told.task("c", &id(0, 0, "one"), 0, 10, 5);
    told.at(10, Event::PlayFinished { play: 0 });
    // The first host that answers is looked for before the play is said to begin.
    told.at(10, Event::Connecting { host: "a".into() });
    let lost = Event::HostLost {
        host: "a".into(),
        status: Status::Unreachable,
        message: String::new(),
        help: Vec::new(),
    };
    told.at(60, lost);
    told.connect("b", 60, 70);
    told.play(70, 1, &["b"]);
    told.task("b", &id(1, 0, "two"), 70, 80, 9);
    told.at(80, Event::Barrier { play: 1 });
    told.at(80, Event::PlayFinished { play: 1 });
    let path = [
        "0 c 0 10 = 0 + 5 + 0 + 5",
        "1 a - 50 = 50 + 0 + 0 + 0",
        "1 b - 10 = 10 + 0 + 0 + 0",
        "1 b 0 10 = 0 + 9 + 0 + 1",
    ];
    assert_eq!(told.path(), path);
    assert_eq!(told.timing.hosts()[0].connecting, ms(50));
}

#[test]
fn a_host_that_waits_for_its_turn_waits_for_the_one_before() {
    let mut told = Told::new(&["a", "b", "c"]);
    told.play(0, 0, &["a", "b", "c"]);
    told.task("a", &id(0, 0, "one"), 0, 40, 38);
    told.task("b", &id(0, 0, "one"), 0, 95, 90);
    told.task("c", &id(0, 0, "one"), 41, 100, 50);
    told.at(100, Event::Barrier { play: 0 });
    assert_eq!(
        told.path(),
        ["0 a 0 40 = 0 + 38 + 0 + 2", "0 c 0 59 = 0 + 50 + 0 + 9"]
    );
}

#[test]
fn waiting_for_the_next_try_is_neither_the_hosts_nor_the_controllers_time() {
    let mut told = Told::new(&["a"]);
    told.play(0, 0, &["a"]);
    let task = id(0, 0, "one");
    let exchanged = || Event::Exchanged {
        host: "a".into(),
        took: ms(5),
        traffic: Traffic::default(),
    };
    let (host, again) = ("a".to_string(), task.clone());
    let started = Event::TaskStarted {
        host: host.clone(),
        task: again.clone(),
    };
    told.at(0, started);
    told.at(6, exchanged());
    let retry = Event::TaskRetry {
        host,
        task: again,
        left: 2,
    };
    told.at(7, retry);
    told.at(42, exchanged());
    told.done("a", &task, 43);
    told.at(43, Event::Barrier { play: 0 });
    assert_eq!(told.path(), ["0 a 0 43 = 0 + 10 + 30 + 3"]);
}

#[test]
fn tasks_have_a_span_a_median_and_a_slowest_host() {
    let mut told = Told::new(&["a", "b", "c"]);
    told.play(0, 0, &["a", "b", "c"]);
    told.task("a", &id(0, 0, "label zk1"), 0, 10, 5);
    told.task("b", &id(0, 0, "label zk2"), 5, 45, 20);
    // Its answer came with an exchange of another task, so it needed none.
    told.task("c", &id(0, 0, "label zk3"), 7, 27, 0);
    told.done("c", &id(0, 1, "skipped"), 30);
    told.at(50, Event::PlayFinished { play: 0 });
    let (_, play) = told.timing.plays().next().unwrap();
    assert_eq!(
        (play.name.as_str(), play.hosts, play.wall),
        ("play 0", 3, ms(50))
    );
    let tasks: Vec<_> = play.tasks().map(|(_, task)| task).collect();
    assert_eq!(tasks[0].name, "label zk…");
    assert_eq!((tasks[0].hosts(), tasks[0].wall()), (3, ms(45)));
    assert_eq!(tasks[0].median(), ms(20));
    assert_eq!(told.timing.slowest(tasks[0]), (ms(40), "b"));
    assert_eq!(tasks[0].traffic.exchanges, 2);
    assert_eq!(tasks[0].traffic.sent, 200);
    assert_eq!(
        (tasks[1].wall(), tasks[1].traffic),
        (ms(0), Traffic::default())
    );
    assert_eq!(play.traffic.received, 20);
    assert_eq!(told.timing.hosts()[1].busy, ms(40));
}
