//! What is done before a host is connected to, and beside the line: inventory, checks, templates, the engine itself.

use crate::client;
use crate::place::Place;
use crate::server;
use crate::table::{Sample, Table, millis, timed};
use runner::diagnostic::Source;
use runner::document::Table as Document;
use runner::engine::{self, Options, Run};
use runner::inventory::Inventory;
use runner::playbook::{self, Play};
use runner::transport::fake::{FakeAnswer, FakeTransport};
use runner::transport::{Chunk, Exit};
use runner::vars::{HostVariables, PlayScope, Scope, World};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;

const HOSTS: usize = 5_000;
const RUNS: usize = 5;

/// Twenty tasks as they are written: directories, files, templates, commands, a condition and a loop.
const TASKS: [&str; 20] = [
    "name = \"data of {{ inventory_hostname }}\"\ndirectory = { path = [\"{{ root }}/data\", \"{{ root }}/logs\"], mode = \"0755\" }",
    "file = { path = \"{{ root }}/data/myid\", content = \"{{ number }}\\n\" }",
    "template = { src = \"t.conf\", dest = \"{{ root }}/a.conf\" }",
    "template = { src = \"t.conf\", dest = \"{{ root }}/b.conf\" }",
    "line = { path = \"{{ root }}/a.conf\", line = \"last = {{ number }}\" }",
    "link = { src = \"{{ root }}/a.conf\", dest = \"{{ root }}/c.conf\" }",
    "remove = \"{{ root }}/old\"",
    "command = { argv = [\"sysctl\", \"-n\", \"vm.swappiness\"], creates = \"{{ root }}/x\" }",
    "shell = { cmd = \"echo {{ number }} > x\", creates = \"{{ root }}/y\", chdir = \"{{ root }}\" }",
    "file = { path = \"{{ root }}/odd\", content = \"1\" }\nwhen = \"number % 2 == 1\"",
    "file = { path = \"{{ root }}/{{ item }}\", content = \"{{ item }}\" }\nloop = [\"a\", \"b\", \"c\"]",
    "set_fact = { port = \"{{ 2000 + number }}\" }",
    "file = { path = \"{{ root }}/1\", content = \"{{ group_names | join(',') }}\" }",
    "file = { path = \"{{ root }}/2\", content = \"{{ groups['g1'] | length }}\" }",
    "file = { path = \"{{ root }}/3\", content = \"3\" }",
    "file = { path = \"{{ root }}/4\", content = \"4\" }",
    "file = { path = \"{{ root }}/5\", content = \"5\" }",
    "stat = \"{{ root }}/5\"",
    "debug = \"{{ inventory_hostname }} is number {{ number }}\"",
    "assert = { that = \"number >= 0\" }",
];

pub fn measure() -> Vec<Table> {
    vec![planning(), engine()]
}

fn play(place: &Place, tasks: &[&str]) {
    place.write("t.conf", "id = {{ number }}\n{% for g in group_names %}group = {{ g }}\n{% endfor %}host = {{ inventory_hostname }}\n");
    let tasks = tasks
        .iter()
        .map(|task| format!("\n[[play.task]]\n{task}\n"));
    let head = "[[play]]\nname = \"all\"\nhosts = \"all\"\n\n[play.vars]\nroot = \"/srv/{{ inventory_hostname }}\"\n";
    place.write("play.toml", &(head.to_owned() + &tasks.collect::<String>()));
}

fn inventory(place: &Place, hosts: usize) -> Source {
    let address = SocketAddr::from(([127, 0, 0, 1], 22));
    place.hosts(hosts, "root", &[address], "ssh-ed25519 AAAA");
    let text = std::fs::read_to_string(place.path("hosts.toml")).unwrap();
    Source::new("hosts.toml", text)
}

fn first_play(place: &Place) -> Play {
    let (playbook, problems) = playbook::load(&place.path("play.toml"));
    assert!(problems.is_empty(), "{problems}");
    playbook.plays.into_iter().next().unwrap()
}

fn world(place: &Place, inventory: &Inventory, play: &Play) -> Arc<World> {
    let variables = inventory.hosts().iter().map(|host| HostVariables {
        name: host.name.clone(),
        groups: host.groups.clone(),
        address: host.name.clone(),
        vars: inventory.variable_table(&host.name),
    });
    let produced: HashSet<String> = play.tasks.iter().flat_map(|task| task.produces()).collect();
    Arc::new(World::new(
        variables.collect(),
        inventory.group_lists(),
        Document::default(),
        produced,
        false,
        vec![place.path("")],
    ))
}

fn names(inventory: &Inventory) -> Vec<String> {
    inventory
        .hosts()
        .iter()
        .map(|host| host.name.clone())
        .collect()
}

fn planning() -> Table {
    let place = Place::new();
    play(&place, &TASKS);
    let source = inventory(&place, HOSTS);
    let about = format!(
        "An inventory of {HOSTS} hosts and a play of {} tasks for all of them; nothing is connected to.",
        TASKS.len()
    );
    let mut table = Table::new("Planning", about, &["what", "ms", "each"]);
    let mut row = |name: &str, took: Sample, count: usize, of: &str| {
        let each = took.map(|millis| millis * 1000.0 / count as f64);
        table.row([
            name.to_owned(),
            took.show(0),
            format!("{:.1} µs a {of}", each.median()),
        ]);
    };
    let load = || Inventory::from_sources(std::slice::from_ref(&source)).unwrap();
    let took = Sample::of(RUNS, || millis(timed(load).0));
    row("the inventory is read", took, HOSTS, "host");
    let inventory = load();
    let play = first_play(&place);
    let world = world(&place, &inventory, &play);
    let scope = Arc::new(PlayScope {
        vars: play.vars.clone(),
        dir: play.dir.clone(),
        hosts: names(&inventory),
    });
    let fill = || {
        for host in inventory.hosts() {
            for task in &play.tasks {
                let scope = Scope::new(&world, &host.name, &scope);
                assert!(runner::plan::prepare(task, &play, &scope, false).is_ok());
            }
        }
    };
    let took = Sample::of(RUNS.min(3), || millis(timed(fill).0));
    row(
        "every task is filled in for every host",
        took,
        HOSTS * TASKS.len(),
        "task and host",
    );
    let args = ["play", "play.toml", "-i", "hosts.toml", "--list-tasks"];
    let mut peak = 0;
    let took = Sample::of(RUNS.min(3), || {
        let used = client::run(&place, &args);
        peak = used.peak;
        millis(used.wall)
    });
    row(
        "`runner play --list-tasks`, which checks everything",
        took,
        HOSTS,
        "host",
    );
    table.row([
        "the most memory that it holds".to_owned(),
        format!("{} MiB", peak / 1024),
        format!("{:.1} KiB a host", peak as f64 / HOSTS as f64),
    ]);
    table
}

/// Hosts that answer at once, in this process.
fn engine() -> Table {
    let place = Place::new();
    let tasks: Vec<String> = (0..20)
        .map(|number| format!("name = \"{number}\"\ncommand = \"true\"\nchanged_when = false"))
        .collect();
    play(
        &place,
        &tasks.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    let about = "Twenty commands on each of some hosts that answer at once: what the engine itself costs. Hosts work side by side.";
    let mut table = Table::new("Engine", about, &["hosts", "ms", "µs an exchange"]);
    for hosts in [100, 1_000] {
        let inventory = Inventory::from_sources(&[inventory(&place, hosts)]).unwrap();
        let took = Sample::of(3, || millis(timed(|| run(&place, &inventory)).0));
        let each = took.map(|millis| millis * 1000.0 / (hosts * tasks.len()) as f64);
        table.row([hosts.to_string(), took.show(0), each.show(1)]);
    }
    table
}

fn run(place: &Place, inventory: &Inventory) {
    let play = first_play(place);
    let world = world(place, inventory, &play);
    let run = Run {
        name: "play.toml".into(),
        plays: vec![(play, names(inventory))],
        hosts: inventory
            .hosts()
            .iter()
            .map(|host| (**host).clone())
            .collect(),
        world,
        past: runner::engine::Past::default(),
        options: Options {
            forks: inventory.hosts().len(),
            ..Options::default()
        },
    };
    let transport = FakeTransport::new(|_, command, input| {
        let message = format!("{command}\n{}", String::from_utf8_lossy(input));
        let (out, err) = server::reply(&message).unwrap();
        let (out, err) = (Chunk::Stdout(out), Chunk::Stderr(err));
        FakeAnswer::say(vec![out, err, Chunk::Exit(Exit::Code(0))])
    });
    let (events, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let engine = tokio::spawn(engine::run(run, Arc::new(transport), events, stopped));
        let mut report = runner::report::Report::new();
        while let Some(moment) = heard.recv().await {
            report.moment(&moment);
        }
        engine.await.unwrap();
        assert_eq!(report.exit_code(), 0);
    });
}
