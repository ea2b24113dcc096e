//! What came of a run, held against what must be true in every case.

use super::said::Said;
use super::{Case, GRACE};
use crate::support::promise::{too_short, within};
use crate::support::sshd::current_user;
use crate::support::terminal::SILENT;
use crate::watch::{files, holds, in_time, left};
use crate::world::{Host, World};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant, SystemTime};

/// How soon the remote trees of a connection that is gone must have ended.
const GONE: Duration = Duration::from_secs(5);

/// What is there so much later stays.
const STAYS: Duration = Duration::from_secs(60);

/// What came of a run.
pub struct Ran {
    pub world: World,
    pub code: i32,
    pub out: Said,
    pub err: Said,
    /// From the start of the process to its end.
    pub took: Duration,
    /// The most memory, in KiB.
    pub peak: u64,
    /// How long after the fault the verdict was there, if there was one to wait for.
    pub verdict: Option<Duration>,
    /// How long after the start the last good host was done.
    pub good_done: Duration,
}

impl Ran {
    /// What had to be said was said, in time, and nothing that a terminal would obey.
    #[track_caller]
    pub(super) fn said(&mut self, case: &Case, began: Instant, deadline: Duration) {
        let all = self.all();
        let mut verdicts = Vec::new();
        for (number, line) in case.says.iter().enumerate() {
            let line = self.filled(line, self.world.bad.first(), deadline);
            let mut lines = self.out.lines().chain(self.err.lines());
            let Some((_, when)) = lines.find(|(said, _)| *said == line) else {
                let words = format!("this was not said:\n{line}\nbut:\n{all}");
                assert!(case.waits && is_deadline(&all, deadline), "{words}");
                too_short(words);
                continue;
            };
            if number == 0 {
                let struck = self.world.bad.iter().filter_map(Host::struck).min();
                verdicts.push(when - struck.unwrap_or(began).min(when));
            }
        }
        for (host, words) in self.world.bad.iter().zip(&case.lost) {
            let words = self.filled(words, Some(host), deadline);
            let is_it = |event: &Value| event["event"] == "host_lost" && event["host"] == host.name;
            let lost = self.out.events().find(|(event, _)| is_it(event));
            let (event, when) =
                lost.unwrap_or_else(|| panic!("{} was not lost:\n{words}\n{all}", host.name));
            let help = event["help"].as_array().unwrap().iter();
            let said = std::iter::once(&event["message"]).chain(help);
            let said: Vec<&str> = said.map(|line| line.as_str().unwrap()).collect();
            let said = said.join("\n");
            println!("{}: {said:?} after {:?}", host.name, when - began);
            assert_eq!(event["status"], "unreachable");
            let is_said = match words.strip_suffix("...") {
                None => said == words,
                Some(begin) => said.starts_with(begin),
            };
            if !is_said {
                let words = format!("{} says\n{said}\nand not\n{words}", host.name);
                assert!(case.waits && is_deadline(&said, deadline), "{words}");
                too_short(words);
            }
            verdicts.push(when - host.struck().unwrap_or(began).min(when));
        }
        if case.exit.is_none() {
            for host in &self.world.bad {
                let claims = self.out.events().filter(|(event, _)| is_claim(event));
                let last = claims
                    .filter(|(event, _)| event["host"] == host.name)
                    .last();
                let (_, when) =
                    last.unwrap_or_else(|| panic!("nothing is said of {}\n{all}", host.name));
                verdicts.push(when - host.struck().unwrap_or(when).min(when));
            }
        }
        self.verdict = verdicts.into_iter().max();
        if let Some(verdict) = self.verdict {
            within("the verdict", verdict, case.promised(deadline) + GRACE);
        }
        // A terminal's lines end with a carriage return as well.
        let ends = |byte| byte == b'\n' || byte == b'\r' && !case.dialog.is_empty();
        let obeyed = |byte: &u8| byte.is_ascii_control() && !ends(*byte);
        let obeyed = all.bytes().find(|byte| obeyed(byte));
        assert!(
            obeyed.is_none(),
            "{obeyed:?} would reach the terminal:\n{all}"
        );
        assert!(!all.contains("panicked at"), "{all}");
        assert!(!all.contains(SILENT), "{all}");
    }

    /// What is claimed of each host, where the output is JSON.
    pub fn claims(&self) -> BTreeMap<String, String> {
        let mut claims = BTreeMap::new();
        for (event, _) in self.out.events() {
            if is_claim(&event) {
                let word = |name: &str| event[name].as_str().unwrap().to_string();
                claims.insert(word("host"), word("status"));
            }
        }
        claims
    }

    /// The exit code that the claims come to.
    pub(super) fn claimed(&self) -> i32 {
        let codes = self
            .claims()
            .into_values()
            .map(|claim| match claim.as_str() {
                "unreachable" => 4,
                "refused" => 8,
                "unknown" => 16,
                "failed" => 2,
                _ => 0,
            });
        codes.fold(0, |all, code| all | code)
    }

    /// Everything that was said.
    pub(super) fn all(&self) -> String {
        self.out.text() + &self.err.text()
    }

    pub(super) fn filled(&self, line: &str, bad: Option<&Host>, deadline: Duration) -> String {
        let port = bad.map_or(0, |host| host.port);
        line.replace("PORT", &port.to_string())
            .replace("FOLDER", &self.world.folder().display().to_string())
            .replace("DEADLINE", &format!("{} s", deadline.as_secs()))
            .replace("USER", &current_user())
            .replace("FINGERPRINT", &self.world.fingerprint)
    }

    /// The good hosts have run the command once, before the verdict on one that waits; the bad ones as they should.
    #[track_caller]
    pub(super) fn marked(&mut self, case: &Case, began: SystemTime) {
        let all = self.all();
        let text = case.exec.clone().unwrap_or_else(|| case.tasks.join("\n"));
        if !text.contains("~/marker") {
            return;
        }
        if self.code == 5 {
            for host in self.world.hosts() {
                let seen = host.proxy.as_ref().map_or(0, |proxy| proxy.seen().len());
                assert_eq!(
                    (host.marks(), seen),
                    (0, 0),
                    "{} was connected to",
                    host.name
                );
            }
            return;
        }
        for host in &self.world.good {
            assert_eq!(host.marks(), 1, "{}:\n{all}", host.name);
            let marked = fs::metadata(host.home.join("marker"))
                .unwrap()
                .modified()
                .unwrap();
            let marked = marked.duration_since(began).unwrap_or_default();
            self.good_done = self.good_done.max(marked);
            if case.waits && self.verdict < Some(marked) {
                too_short(format!("{} was done only after {marked:?}", host.name));
            }
        }
        if case.exit.is_none() {
            let claims = self.claims();
            for host in &self.world.bad {
                let wanted = match claims[&host.name].as_str() {
                    "ok" | "changed" => 1..=1,
                    "unreachable" | "refused" => 0..=0,
                    "unknown" => 0..=1,
                    other => panic!("{} is {other}\n{all}", host.name),
                };
                let claim = &claims[&host.name];
                assert!(
                    wanted.contains(&host.marks()),
                    "{} is {claim}: {}\n{all}",
                    host.name,
                    host.marks()
                );
            }
            return;
        }
        let wanted = case.marks.clone().unwrap_or(match self.code {
            4 | 8 => 0..=0,
            16 => 0..=1,
            _ => 1..=1,
        });
        for host in &self.world.bad {
            assert!(
                wanted.contains(&host.marks()),
                "{}: {}\n{all}",
                host.name,
                host.marks()
            );
        }
    }

    /// Nothing is left: no connection, no process, no temporary file, no secret.
    #[track_caller]
    pub(super) fn is_clean(&self, secrets: &[String]) {
        let world = &self.world;
        let open = || {
            let open = world.hosts().filter(|host| host.open() > 0);
            open.map(|host| format!("a connection to {}", host.name))
                .collect()
        };
        gone(open);
        gone(|| left(world.folder()));
        for file in files(world.folder()) {
            let name = file
                .strip_prefix(world.folder())
                .unwrap()
                .to_string_lossy()
                .into_owned();
            assert!(
                !name.contains(".runner") && !name.starts_with("tmp/"),
                "{name} is left"
            );
            let content = fs::read(&file).unwrap_or_default();
            let told = |text: &[u8]| secrets.iter().any(|secret| holds(text, secret.as_bytes()));
            let secret = told(&content) && name != "etc/token.toml";
            assert!(!secret, "a secret stands in {name}");
            assert!(!holds(&content, b"panicked at"), "{name} tells of a panic");
        }
        for said in [&self.out, &self.err] {
            let told = secrets
                .iter()
                .any(|secret| holds(&said.bytes, secret.as_bytes()));
            assert!(!told, "a secret was said:\n{}", said.text());
        }
    }
}

/// Waits until nothing is left of this; what stays is a failure.
#[track_caller]
fn gone(mut left: impl FnMut() -> Vec<String>) {
    let since = Instant::now();
    let mut last = Vec::new();
    let gone = in_time(GONE + STAYS, || {
        let left = left();
        let gone = left.is_empty();
        if !gone {
            last = left;
        }
        gone
    });
    assert!(gone, "these are left: {last:?}");
    within(&format!("{last:?} were left"), since.elapsed(), GONE);
}

/// Whether it is the connect deadline that speaks here: on a busy machine it strikes in an earlier phase.
fn is_deadline(said: &str, deadline: Duration) -> bool {
    said.contains(&format!(": no answer within {} s", deadline.as_secs()))
}

/// Whether an event says how it went with a host.
fn is_claim(event: &Value) -> bool {
    event["event"] == "host_lost" || event["event"] == "task_finished"
}
