//! How often the program waits for the line: from a cold start to the end of one command, and within a play.

use crate::client;
use crate::delay::Line;
use crate::place::Place;
use crate::sshd::{Sshd, current_user, public_key_line};
use crate::table::{Sample, Table, millis};
use runner::demo::server::Server;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::runtime::Runtime;

const RUNS: usize = 5;
const DELAYS: [u64; 3] = [0, 50, 100];

pub fn measure() -> Vec<Table> {
    let runtime = Runtime::new().unwrap();
    vec![connect(&runtime), play()]
}

fn connect(runtime: &Runtime) -> Table {
    let about = "`runner exec one -- true` over a line that takes 0, 50 or 100 ms there and back. What a run takes longer at 100 \
         than at 0 ms, by 100 ms, is its round trips; the handshake of TCP, which the line does not delay, is added. Turns \
         are how often the client begins to speak, as the line sees it at 100 ms.";
    let head = ["server", "0 ms", "50 ms", "100 ms", "round trips", "turns"];
    let mut table = Table::new("Connect and one command, cold", about, &head);
    let place = Place::new();
    let home = place.path("home");
    std::fs::create_dir(&home).unwrap();
    let key = russh::keys::load_public_key(place.path("key.pub")).unwrap();
    let server = runtime.block_on(Server::start("one", home, key)).unwrap();
    let host_key = server.host_key.to_openssh().unwrap();
    row(
        runtime,
        &place,
        &mut table,
        ("in this process", "demo", server.addr, &host_key),
    );
    if let Some(sshd) = Sshd::start(&[]) {
        let files = &sshd.files;
        std::fs::copy(files.client_key(), place.path("key")).unwrap();
        let addr = SocketAddr::from(([127, 0, 0, 1], sshd.port));
        let host_key = public_key_line(&files.host_key("ed25519"));
        row(
            runtime,
            &place,
            &mut table,
            ("sshd", &current_user(), addr, &host_key),
        );
    }
    table
}

fn row(
    runtime: &Runtime,
    place: &Place,
    table: &mut Table,
    server: (&str, &str, SocketAddr, &str),
) {
    let (name, user, addr, host_key) = server;
    let args = [
        "exec",
        "all",
        "-i",
        "hosts.toml",
        "-F",
        "ssh_config",
        "--",
        "true",
    ];
    let mut turns = Sample::of(1, || 0.0);
    let walls = DELAYS.map(|delay| {
        let line = runtime.block_on(Line::to(addr, Duration::from_millis(delay)));
        place.hosts(1, user, &[line.addr], host_key);
        let mut counts = Vec::new();
        let walls = Sample::of(RUNS, || {
            let wall = client::run(place, &args).wall;
            counts.push(line.turns() as f64);
            millis(wall)
        });
        turns = counts.into_iter().collect();
        walls
    });
    let slope = (walls[2].median() - walls[0].median()) / 100.0;
    let [first, second, third] = walls.map(|wall| wall.show(0));
    table.row([
        name.to_owned(),
        first,
        second,
        third,
        format!("{:.1}", slope + 1.0),
        turns.show(0),
    ]);
}

/// Ten tasks, each of which changes something the first time.
fn play() -> Table {
    let place = Place::new();
    let files = place.path("files");
    place.write(
        "hosts.toml",
        "[hosts]\none = { connection = { transport = \"local\" } }\n",
    );
    let mut playbook = "[[play]]\nname = \"files\"\nhosts = \"all\"\n".to_owned();
    playbook += &format!("\n[[play.task]]\ndirectory = \"{}\"\n", files.display());
    for number in 1..10 {
        let path = files.join(number.to_string());
        let task = format!(
            "file = {{ path = \"{}\", content = \"{number}\\n\" }}",
            path.display()
        );
        playbook += &format!("\n[[play.task]]\n{task}\n");
    }
    place.write("play.toml", &playbook);
    let head = ["run", "exchanges", "changed"];
    let about = "A play of ten tasks on a connected host: messages sent, each with its answer.";
    let mut table = Table::new("Exchanges of a play", about, &head);
    for name in ["first", "second"] {
        let args = [
            "play",
            "play.toml",
            "-i",
            "hosts.toml",
            "--timing",
            "-o",
            "json",
        ];
        let out = client::run(&place, &args).out;
        let lines = out.lines().map(|line| serde_json::from_str(line).unwrap());
        let lines: Vec<serde_json::Value> = lines.collect();
        let find = |event: &str| lines.iter().find(|line| line["event"] == event).unwrap();
        table.row([
            name.to_owned(),
            find("timing")["hosts"][0]["exchanges"].to_string(),
            find("run_finished")["totals"]["changed"].to_string(),
        ]);
    }
    table
}
