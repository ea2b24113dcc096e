//! One case: some hosts are bad, the others must not notice, and what is true in every case is checked here and not in
//! each test: the exit code, the verdict's deadline, the good hosts, memory, connections, secrets, leftovers,
//! the terminal, the operator's files.

mod case;
mod figures;
mod ran;
mod said;

use crate::support::promise::{Try, judged, too_short, unconfirmed};
use crate::support::terminal::on;
use crate::terminal::type_to;
use crate::watch::{Watch, in_time};
use crate::world::World;
use said::listen;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant, SystemTime};

pub use case::Case;
pub use ran::Ran;

/// What a verdict may take beyond its deadline.
const GRACE: Duration = Duration::from_secs(1);

/// How much memory a run may take beside the output that was asked for, in KiB.
const MEMORY: u64 = 64 * 1024;

/// A run that takes this long hangs.
const HANGS: Duration = Duration::from_secs(300);

/// The connect deadline of bad hosts, in seconds, where nothing waits for it.
const DEADLINE: u64 = 10;

/// And where something does. A case that only the clock was against is judged again with a longer one.
const DEADLINES: [u64; 3] = [2, 4, 10];

/// No case has a longer one because the machine is busy, in seconds.
const LONGEST: u64 = 60;

/// The task that leaves a line on the host each time it is run.
pub const MARK: &str = "name = \"mark\"\nshell = \"echo line >> ~/marker\"";

/// A task with a secret that nobody may see, neither on its way to the host nor back.
const SECRET: &str = "name = \"secret\"\ncommand = { argv = [\"cat\"], stdin = \"{{ token }}\" }\nno_log = true\nchanged_when = false";

impl Case {
    /// Runs the case and checks it. `None` where that can't be done, with a word about it.
    #[track_caller]
    pub fn run(self) -> Option<Ran> {
        judged(|attempt| {
            let deadline = self.deadline_in(attempt);
            let ran = self.attempt(deadline)?;
            let promised = self.promised(deadline);
            figures::note(ran.verdict.map(|verdict| (verdict, promised)), ran.peak);
            if let Some(verdict) = ran.verdict {
                println!("VERDICT {verdict:?} of {promised:?}");
            }
            Some(ran)
        })
    }

    /// The connect deadline of the bad hosts in this attempt.
    fn deadline_in(&self, attempt: Try) -> Duration {
        if !self.waits {
            // The verdict's own deadline goes by it.
            return Duration::from_secs(self.deadline);
        }
        let longer = DEADLINES[attempt.number] as f64 * attempt.pace;
        Duration::from_secs((longer.round() as u64).min(LONGEST))
    }

    fn promised(&self, deadline: Duration) -> Duration {
        match self.waits {
            true => self.within.unwrap_or_default() + deadline,
            false => self.within.unwrap_or(deadline),
        }
    }

    #[track_caller]
    fn attempt(&self, deadline: Duration) -> Option<Ran> {
        let connection = format!(
            "connect_timeout = \"{}s\"{}",
            deadline.as_secs(),
            self.connection
        );
        let world = World::new(self.good, &self.bad, &self.settings, &connection)?;
        let token = format!(
            "canary-{:016x}",
            std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0)
        );
        fs::write(
            world.path("etc/token.toml"),
            format!("token = \"{token}\"\n"),
        )
        .unwrap();
        fs::write(world.path("etc/play.toml"), self.playbook()).unwrap();
        (self.prepare)(&world);
        let before =
            ["etc/hosts.toml", "etc/known_hosts"].map(|file| fs::read(world.path(file)).ok());
        let began = (Instant::now(), SystemTime::now());
        let mut child = self.command(&world).spawn().unwrap();
        let secrets = self.dialog.iter().map(|(_, answer)| answer.clone());
        // A word such as `yes` is none.
        let secrets = secrets.filter(|answer| answer.len() > 8);
        let secrets: Vec<String> = std::iter::once(token).chain(secrets).collect();
        let watch = Watch::start(child.id(), secrets.clone());
        let (hear, heard) = channel();
        let out = listen(child.stdout.take().unwrap(), Some(hear));
        let err = listen(child.stderr.take().unwrap(), None);
        let typing = child
            .stdin
            .take()
            .map(|input| type_to(input, heard, &self.dialog));
        (self.meanwhile)(&world, &child);
        let ended = in_time(self.hangs, || child.try_wait().unwrap().is_some());
        if !ended {
            child.kill().unwrap();
        }
        let code = child.wait().unwrap().code().unwrap_or(-1);
        let took = began.0.elapsed();
        let (out, err) = (out.recv().unwrap(), err.recv().unwrap());
        let looked = watch.end();
        drop(typing);
        let all = format!("{}{}", out.text(), err.text());
        assert!(ended, "the runner hangs:\n{all}");
        let mut ran = Ran {
            world,
            code,
            out,
            err,
            took,
            peak: looked.peak,
            verdict: None,
            good_done: Duration::ZERO,
        };
        let exit = self.exit.unwrap_or_else(|| ran.claimed());
        if ran.code != exit && unconfirmed(&all) {
            too_short(all);
            return Some(ran);
        }
        assert_eq!(ran.code, exit, "{all}");
        assert!(
            looked.secret.is_none(),
            "a secret is seen in {:?}",
            looked.secret
        );
        ran.said(self, began.0, deadline);
        ran.marked(self, began.1);
        ran.is_clean(&secrets);
        assert!(ran.peak <= self.memory, "{} KiB of memory", ran.peak);
        let after =
            ["etc/hosts.toml", "etc/known_hosts"].map(|file| fs::read(ran.world.path(file)).ok());
        assert_eq!(before[0], after[0], "the inventory was changed");
        assert!(
            self.notes_keys || before[1] == after[1],
            "known_hosts was changed"
        );
        Some(ran)
    }

    fn playbook(&self) -> String {
        let tasks = self
            .tasks
            .iter()
            .map(|task| format!("\n[[play.task]]\n{task}\n"));
        format!(
            "[[play]]\nhosts = \"all\"\n{}\n{}",
            self.play,
            tasks.collect::<String>()
        )
    }

    fn command(&self, world: &World) -> Command {
        let mut words: Vec<&str> = match &self.exec {
            Some(text) => vec!["exec", "all", "--shell", text],
            None => vec!["play", "etc/play.toml", "-e", "@etc/token.toml"],
        };
        words.extend(self.options.iter().map(String::as_str));
        let mut command = world.runner(&words);
        if !self.dialog.is_empty() {
            command = on(&command, &["--output", "plain", "--color", "never"]);
        }
        if let Some(text) = &self.through {
            command = wrapped(&command, &["bash", "-c", text, "bash"]);
        }
        if let Some(names) = &self.names {
            fs::write(world.path("etc/hosts"), names).unwrap();
            let mount = "mount --bind etc/hosts /etc/hosts && exec \"$@\"";
            command = wrapped(&command, &["unshare", "--mount", "sh", "-c", mount, "sh"]);
        }
        command
    }
}

/// The same command behind other words.
fn wrapped(command: &Command, words: &[&str]) -> Command {
    let mut outer = Command::new(words[0]);
    outer
        .args(&words[1..])
        .arg(command.get_program())
        .args(command.get_args());
    outer
        .env_clear()
        .current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        outer.env(name, value.unwrap());
    }
    outer
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    outer
}
