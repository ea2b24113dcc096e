//! A playbook, an inventory and a transport, played to the end.

use runner::diagnostic::Source;
use runner::document::{self, Table};
use runner::engine::{self, Options, Past, Run, Selection};
use runner::event::{Event, Moment, Outcome, Status};
use runner::inventory::{Host, Inventory, Pattern};
use runner::playbook::{self, Privilege, Task};
use runner::report::Report;
use runner::transport::fake::{FakeAnswer, FakeRun, FakeTransport};
use runner::vars::{HostVariables, World};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Long enough for a busy machine, short enough for a test that hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is played, and how.
pub struct Scene {
    folder: tempfile::TempDir,
    hosts: String,
    pub check: bool,
    pub diff: bool,
    pub forks: usize,
    pub selection: Selection,
    pub extra: String,
    pub public: bool,
}

/// Called with each event; may ask the run to stop.
type Watch<'a> = dyn FnMut(&Event, &watch::Sender<bool>) + 'a;

/// What happened.
pub struct Ran {
    pub events: Vec<Event>,
    pub report: Report,
    pub runs: Vec<FakeRun>,
}

impl Scene {
    /// These hosts and this playbook; `DIR` in it stands for a folder of the test.
    pub fn new(hosts: &[&str], playbook: &str) -> Self {
        let hosts: String = hosts
            .iter()
            .map(|host| format!("{host} = {{}}\n"))
            .collect();
        let scene = Self {
            folder: tempfile::tempdir().unwrap(),
            hosts: format!("[hosts]\n{hosts}"),
            check: false,
            diff: false,
            forks: 100,
            selection: Selection::default(),
            extra: String::new(),
            public: false,
        };
        scene.write("play.toml", playbook);
        scene
    }

    /// One play for all hosts with these keys and tasks.
    pub fn tasks(hosts: &[&str], keys: &str, tasks: &[&str]) -> Self {
        let tasks = tasks
            .iter()
            .map(|task| format!("\n[[play.task]]\n{task}\n"));
        let tasks: String = tasks.collect();
        Self::new(
            hosts,
            &format!("[[play]]\nhosts = \"all\"\n{keys}\n{tasks}"),
        )
    }

    /// More of the inventory.
    pub fn inventory(mut self, text: &str) -> Self {
        self.hosts.push_str(text);
        self
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        let folder = self.path("");
        let text = text.replace("DIR", folder.to_str().unwrap().trim_end_matches('/'));
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    /// What a file holds.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Plays it; every command really runs on this machine.
    pub async fn play(&self) -> Ran {
        self.over(FakeTransport::new(|_, _, _| FakeAnswer::real()))
            .await
    }

    /// Plays it over this transport.
    pub async fn over(&self, transport: FakeTransport) -> Ran {
        self.watched(transport, &mut |_, _| {}).await
    }

    /// Plays it and looks at each event as it comes.
    pub async fn watched(&self, transport: FakeTransport, watcher: &mut Watch<'_>) -> Ran {
        self.run_with(transport, watch::channel(false), watcher)
            .await
    }

    async fn run_with(
        &self,
        transport: FakeTransport,
        (stop, stopped): (watch::Sender<bool>, watch::Receiver<bool>),
        watcher: &mut Watch<'_>,
    ) -> Ran {
        let transport = Arc::new(transport);
        let (events, mut heard) = mpsc::unbounded_channel();
        let engine = engine::run(self.run(), transport.clone(), events, stopped);
        let listen = async {
            let mut all = Vec::new();
            let mut report = Report::new();
            while let Some(Moment { event, .. }) = heard.recv().await {
                watcher(&event, &stop);
                report.event(&event);
                all.push(event);
            }
            (all, report)
        };
        let both = async { tokio::join!(engine, listen) };
        let ((), (events, report)) = tokio::time::timeout(PATIENCE, both)
            .await
            .expect("the run does not come to its end");
        Ran {
            events,
            report,
            runs: transport.runs(),
        }
    }

    fn run(&self) -> Run {
        let inventory =
            Inventory::from_sources(&[Source::new("hosts.toml", self.hosts.as_str())]).unwrap();
        let (playbook, problems) = playbook::load(&self.path("play.toml"));
        assert!(problems.is_empty(), "{problems}");
        let select = |play: &playbook::Play| -> Vec<String> {
            let pattern = Pattern::parse(&play.hosts, &play.place).unwrap();
            let hosts = inventory.select(&pattern).unwrap();
            hosts.iter().map(|host| host.name.clone()).collect()
        };
        let plays: Vec<_> = playbook
            .plays
            .into_iter()
            .map(|play| {
                let hosts = select(&play);
                (play, hosts)
            })
            .collect();
        let hosts: Vec<Host> = inventory
            .hosts()
            .iter()
            .map(|host| (**host).clone())
            .collect();
        let variables = hosts.iter().map(|host| HostVariables {
            name: host.name.clone(),
            groups: host.groups.clone(),
            address: host.name.clone(),
            vars: inventory.variable_table(&host.name),
        });
        let produced: HashSet<String> = plays
            .iter()
            .flat_map(|(play, _)| play.tasks.iter().chain(&play.handlers))
            .flat_map(Task::produces)
            .collect();
        let world = World::new(
            variables.collect(),
            inventory.group_lists(),
            table(&self.extra),
            produced,
            self.check,
            vec![self.path(""), self.path("templates")],
        );
        Run {
            name: "play.toml".into(),
            plays: self.selection.apply(plays),
            hosts,
            world: Arc::new(world),
            past: Past::default(),
            options: Options {
                lock: None,
                id: runner::run_id::RunId::new(),
                check: self.check,
                diff: self.diff,
                forks: self.forks,
                privilege: Privilege::default(),
                become_password: None,
                redactor: Default::default(),
                public: self.public,
                shows: false,
                announces: false,
            },
        }
    }
}

/// TOML as a table.
pub fn table(text: &str) -> Table {
    let node = document::parse(&Source::new("table", text)).unwrap();
    node.table().unwrap().clone()
}

/// Whether the commands of a message include one with this text in it.
pub fn holds(stdin: &[u8], text: &str) -> bool {
    String::from_utf8_lossy(stdin).contains(text)
}

impl Ran {
    /// `host: task: status`, in the order in which it happened; of hosts that were lost, `host: status: message`.
    pub fn trace(&self) -> Vec<String> {
        self.events.iter().filter_map(line).collect()
    }

    /// The same without the order among hosts, which is nobody's promise.
    pub fn sorted(&self) -> Vec<String> {
        let mut lines = self.trace();
        lines.sort_by_key(|line| line.split(':').next().unwrap().to_string());
        lines
    }

    /// What the operator was warned of.
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.events.iter().filter_map(|event| match event {
            Event::Warning { message } => Some(message.clone()),
            _ => None,
        });
        warnings.collect()
    }

    /// How a task went on a host; the last time it ran there.
    pub fn outcome(&self, on: &str, named: &str) -> &Outcome {
        let found = self.events.iter().rev().find_map(|event| match event {
            Event::TaskFinished {
                host,
                task,
                outcome,
            } if host == on && task.name == named => Some(outcome),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("no {named} on {on} in {:#?}", self.trace()))
    }

    /// What a `debug` task showed.
    pub fn shown(&self, on: &str, named: &str) -> String {
        let outcome = self.outcome(on, named);
        let shown = outcome.shown.clone();
        shown.unwrap_or_else(|| panic!("{named} on {on}: {outcome:#?}"))
    }

    /// How many messages were sent to a host.
    pub fn trips(&self, host: &str) -> usize {
        self.runs.iter().filter(|run| run.host == host).count()
    }

    /// How many messages held this text.
    pub fn sent(&self, text: &str) -> usize {
        self.runs
            .iter()
            .filter(|run| holds(&run.stdin, text))
            .count()
    }

    /// Where something happened in the order of all that happened.
    pub fn at(&self, line_of: &str) -> usize {
        let at = self
            .events
            .iter()
            .position(|event| line(event).as_deref() == Some(line_of));
        at.unwrap_or_else(|| panic!("no {line_of:?} in {:#?}", self.trace()))
    }

    /// Where a host begins a task.
    pub fn start(&self, on: &str, named: &str) -> usize {
        let at = self.events.iter().position(|event| {
            matches!(event, Event::TaskStarted { host, task } if host == on && task.name == named)
        });
        at.unwrap_or_else(|| panic!("{on} never starts {named}: {:#?}", self.trace()))
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        self.report.exit_code()
    }
}

fn line(event: &Event) -> Option<String> {
    match event {
        Event::TaskFinished {
            host,
            task,
            outcome,
        } => Some(format!("{host}: {}: {}", task.name, word(outcome.status))),
        Event::HostLost {
            host,
            status,
            message,
            ..
        } => Some(format!("{host}: {}: {message}", word(*status))),
        _ => None,
    }
}

fn word(status: Status) -> String {
    format!("{status:?}").to_lowercase()
}
