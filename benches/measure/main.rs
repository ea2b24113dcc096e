//! What the program costs: round trips, CPU and memory per host, planning, and the screen.
//!
//! `cargo bench` measures all of it in about two minutes and writes tables to standard output and to
//! `target/bench/report.md`; `cargo bench -- hosts events` measures a part. Everything happens on loopback. Servers and
//! clients are processes of their own, this program started again, so that what each of them uses can be told apart.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    reason = "a measurement that can't go on says so"
)]

mod client;
mod delay;
mod events;
mod hosts;
mod place;
mod planning;
mod server;
mod table;
mod trips;

#[path = "../../tests/support/sshd.rs"]
#[allow(dead_code, reason = "tests need more of it")]
mod sshd;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;
use table::Table;

type Part = (&'static str, fn() -> Vec<Table>);

const PARTS: [Part; 4] = [
    ("trips", trips::measure),
    ("hosts", hosts::measure),
    ("planning", planning::measure),
    ("events", events::measure),
];

fn main() -> ExitCode {
    match std::env::var("MEASURE_ROLE").as_deref() {
        Ok("server") => return server::main(),
        Ok("client") => return client::main(),
        _ => {}
    }
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    let begun = Instant::now();
    let mut report = String::new();
    for (name, measure) in PARTS {
        if !wanted.is_empty() && !wanted.iter().any(|word| word == name) {
            continue;
        }
        for table in measure() {
            let text = table.to_string();
            println!("{text}");
            report.push_str(&text);
            report.push('\n');
        }
    }
    if cfg!(debug_assertions) {
        report.insert_str(0, "Not optimized: these numbers say nothing.\n\n");
    }
    eprintln!("measured in {:.0} s", begun.elapsed().as_secs_f64());
    write(&report).unwrap();
    ExitCode::SUCCESS
}

/// Writes the report where builds go.
fn write(report: &str) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join("report.md");
    std::fs::File::create(&path)?.write_all(report.as_bytes())?;
    eprintln!("written to {}", path.display());
    Ok(())
}
