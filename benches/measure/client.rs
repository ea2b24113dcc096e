//! The program itself, in a process of its own that says what it used.

use crate::place::Place;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const REPORT: &str = "MEASURE_REPORT";

/// What a run of the program used.
pub struct Used {
    /// From its start to its end.
    pub wall: Duration,
    /// On all cores together.
    pub cpu: Duration,
    /// The most memory that it held at a time, in KiB.
    pub peak: u64,
    /// What it printed.
    pub out: String,
}

/// The program, in a role of this one.
pub fn main() -> ExitCode {
    let code = runner::cli::main();
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
    let used = json!({ "cpu": seconds, "peak": memory("self", "VmHWM") });
    if let Some(path) = std::env::var_os(REPORT) {
        std::fs::write(path, used.to_string()).unwrap();
    }
    ExitCode::from(code)
}

/// A line of a process's status, in KiB.
pub fn memory(pid: &str, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let words = line.and_then(|line| line.split_whitespace().nth(1));
    words.and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// Runs the program in a place. It has to exit with 0.
pub fn run(place: &Place, args: &[&str]) -> Used {
    let report = place.path("used.json");
    let out = place.path("out");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(args)
        .current_dir(place.path(""))
        .env_clear()
        .env("HOME", place.path(""))
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("RUNNER_PERSIST", "0")
        .env("MEASURE_ROLE", "client")
        .env(REPORT, &report)
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&out).unwrap());
    let begun = Instant::now();
    let status = command.status().unwrap();
    let wall = begun.elapsed();
    let out = std::fs::read_to_string(out).unwrap();
    assert!(status.success(), "{args:?}: {status}\n{}", end(&out));
    let used = json(&report);
    Used {
        wall,
        cpu: Duration::from_secs_f64(used["cpu"].as_f64().unwrap()),
        peak: used["peak"].as_u64().unwrap(),
        out,
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn end(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
