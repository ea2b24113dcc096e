//! CPU and memory for each host, by the number of hosts.

use crate::client::{self, Used};
use crate::place::Place;
use crate::server::Servers;
use crate::table::{Sample, Table, millis};

const COUNTS: [(usize, usize); 3] = [(100, 5), (1_000, 5), (5_000, 3)];

pub fn measure() -> Vec<Table> {
    let place = Place::new();
    let most = COUNTS[COUNTS.len() - 1].0;
    let servers = Servers::start(&place, most);
    let exec = |hosts: usize| {
        place.hosts(
            hosts,
            "root",
            &servers.addresses[..hosts],
            &servers.host_key,
        );
        let args = [
            "exec",
            "all",
            "-i",
            "hosts.toml",
            "-F",
            "ssh_config",
            "--",
            "uname",
        ];
        let before = servers.cpu();
        let used = client::run(&place, &args);
        assert_eq!(used.out.lines().count(), hosts, "a host has not answered");
        (used, servers.cpu() - before)
    };
    let one = exec(1).0.peak;
    let about = "`runner exec all -- uname` from its start to its end, reading the inventory included: connect, log in, one \
         command. The servers are in one process of their own on the same cores, which answers at once; memory is what the \
         client holds beyond a run with one host.";
    let head = [
        "hosts",
        "wall s",
        "client CPU s",
        "server CPU s",
        "client CPU/host ms",
        "memory/host KiB",
        "wall/host to 1,000",
    ];
    let mut table = Table::new("Hosts", about, &head);
    let all: Vec<_> = COUNTS
        .into_iter()
        .map(|(hosts, runs)| (hosts, (0..runs).map(|_| exec(hosts)).collect::<Vec<_>>()))
        .collect();
    let sample = |runs: &[(Used, std::time::Duration)], of: &dyn Fn(&Used) -> f64| {
        runs.iter().map(|(used, _)| of(used)).collect::<Sample>()
    };
    let wall = |used: &Used| used.wall.as_secs_f64();
    let each = |index: usize| sample(&all[index].1, &wall).median() / all[index].0 as f64;
    for (index, (hosts, runs)) in all.iter().enumerate() {
        let count = *hosts as f64;
        let server: Sample = runs.iter().map(|(_, cpu)| cpu.as_secs_f64()).collect();
        table.row([
            hosts.to_string(),
            sample(runs, &wall).show(2),
            sample(runs, &|used| used.cpu.as_secs_f64()).show(2),
            server.show(2),
            sample(runs, &|used| millis(used.cpu) / count).show(2),
            sample(runs, &|used| used.peak.saturating_sub(one) as f64 / count).show(0),
            format!("{:.2}", each(index) / each(1)),
        ]);
    }
    vec![table]
}
