//! One case: some hosts are bad, the others must not notice, and what is true in every case is checked here and not in
//! each test: the exit code, the verdict's deadline, the good hosts, memory, connections, secrets, leftovers,
//! the terminal, the operator's files.

use crate::support::sshd::current_user;
use crate::terminal;
use crate::watch::{Watch, files, holds, in_time, left};
use crate::world::{Bad, Host, World};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::ops::RangeInclusive;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

/// What a verdict may take beyond its deadline.
const GRACE: Duration = Duration::from_secs(1);

/// How soon the remote trees of a connection that is gone must have ended.
const GONE: Duration = Duration::from_secs(5);

/// How much memory a run may take beside the output that was asked for, in KiB.
const MEMORY: u64 = 64 * 1024;

/// A run that takes this long hangs.
const HANGS: Duration = Duration::from_secs(120);

/// How much of each output is kept, in bytes.
const KEPT: usize = 16 << 20;

/// The connect deadline of bad hosts, in seconds, where nothing waits for it.
const DEADLINE: u64 = 10;

/// And where something does. A case that only the clock was against is judged again with a longer one: a busy machine
/// is no defect.
const DEADLINES: [u64; 3] = [2, 4, 10];

/// The task that leaves a line on the host each time it is run.
pub const MARK: &str = "name = \"mark\"\nshell = \"echo line >> ~/marker\"";

/// A task with a secret that nobody may see, neither on its way to the host nor back.
const SECRET: &str = "name = \"secret\"\ncommand = { argv = [\"cat\"], stdin = \"{{ token }}\" }\nno_log = true\nchanged_when = false";

type Meanwhile = Box<dyn Fn(&World, &Child)>;

/// A case. It begins as 25 good hosts and the given bad ones, which all are to [`MARK`].
pub struct Case {
    bad: Vec<Bad>,
    good: usize,
    tasks: Vec<String>,
    play: String,
    exec: Option<String>,
    options: Vec<String>,
    settings: Vec<String>,
    prepare: Box<dyn Fn(&World)>,
    meanwhile: Meanwhile,
    /// `None`: what the claims come to.
    exit: Option<i32>,
    says: Vec<String>,
    lost: Vec<String>,
    within: Option<Duration>,
    waits: bool,
    marks: Option<RangeInclusive<usize>>,
    memory: u64,
    notes_keys: bool,
    through: Option<String>,
    deadline: u64,
    connection: String,
    dialog: Vec<(String, String)>,
    names: Option<String>,
}

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
    /// What only the clock was against.
    late: Vec<String>,
}

/// What a stream said.
#[derive(Default)]
pub struct Said {
    /// Its beginning; at most 16 MiB.
    pub bytes: Vec<u8>,
    /// How many bytes there were.
    pub count: u64,
    /// Where in the bytes a read ended, and when.
    times: Vec<(usize, Instant)>,
}

impl Said {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The lines, each with when it was said.
    pub fn lines(&self) -> impl Iterator<Item = (String, Instant)> {
        let mut end = 0;
        let lines = self.bytes.split_inclusive(|byte| *byte == b'\n');
        lines.filter_map(move |line| {
            end += line.len();
            let (_, when) = self.times.iter().find(|(read, _)| *read >= end)?;
            Some((String::from_utf8_lossy(line).trim().to_string(), *when))
        })
    }

    /// The events, where that is the output, each with when it was said.
    pub fn events(&self) -> impl Iterator<Item = (Value, Instant)> {
        let lines = self.lines();
        lines.map(|(line, when)| (serde_json::from_str(&line).unwrap(), when))
    }
}

impl Case {
    /// A case with these bad hosts: `bad`, or `bad1`, `bad2`...
    pub fn new(bad: impl IntoIterator<Item = Bad>) -> Self {
        Self {
            bad: bad.into_iter().collect(),
            good: 25,
            tasks: vec![SECRET.into(), MARK.into()],
            play: String::new(),
            exec: None,
            options: Vec::new(),
            settings: Vec::new(),
            prepare: Box::new(|_| {}),
            meanwhile: Box::new(|_, _| {}),
            exit: Some(0),
            says: Vec::new(),
            lost: Vec::new(),
            within: None,
            waits: false,
            marks: None,
            memory: MEMORY,
            notes_keys: false,
            through: None,
            deadline: DEADLINE,
            connection: String::new(),
            dialog: Vec::new(),
            names: None,
        }
    }

    /// So many good hosts.
    pub fn good(mut self, count: usize) -> Self {
        self.good = count;
        self
    }

    /// Other tasks, each a `[[play.task]]` body. Where [`MARK`] is among them the good hosts must have run it once.
    pub fn tasks(mut self, tasks: &[&str]) -> Self {
        self.tasks = tasks.iter().map(|task| task.to_string()).collect();
        self
    }

    /// More settings of the play.
    pub fn play(mut self, text: &str) -> Self {
        self.play = text.to_string();
        self
    }

    /// `runner exec all --shell TEXT` and no playbook.
    pub fn exec(mut self, text: &str) -> Self {
        self.exec = Some(text.to_string());
        self
    }

    /// More options of the command line.
    pub fn options(mut self, options: &[&str]) -> Self {
        self.options
            .extend(options.iter().map(|option| option.to_string()));
        self
    }

    /// More settings of the sshd; they win.
    pub fn sshd(mut self, settings: &[&str]) -> Self {
        self.settings
            .extend(settings.iter().map(|line| line.to_string()));
        self
    }

    /// What is done to the world before the run.
    pub fn prepare(mut self, prepare: impl Fn(&World) + 'static) -> Self {
        self.prepare = Box::new(prepare);
        self
    }

    /// What is done while the runner runs.
    pub fn meanwhile(mut self, meanwhile: impl Fn(&World, &Child) + 'static) -> Self {
        self.meanwhile = Box::new(meanwhile);
        self
    }

    /// The exit code.
    pub fn exits(mut self, code: i32) -> Self {
        self.exit = Some(code);
        self
    }

    /// A whole line of the output, without the blanks around it. `PORT` stands for the bad host's port, `FOLDER` for the world's
    /// folder, `DEADLINE` for the connect deadline, `USER` and `FINGERPRINT` for who logs in with which key.
    /// The first one is the verdict whose time counts.
    pub fn says(mut self, line: &str) -> Self {
        self.says.push(line.to_string());
        self
    }

    /// The bad host is "unreachable" with these words, and nothing has run there.
    pub fn unreachable(self, words: &str) -> Self {
        self.exits(4).says(&format!("unreachable: bad: {words}"))
    }

    /// A row for each bad host: what is wrong with it, and the words with which it is unreachable, help and all, a line each; `...`
    /// is anything. Nothing has run there.
    pub fn table(rows: Vec<(Bad, &str)>) -> Self {
        let (bad, words): (Vec<Bad>, Vec<&str>) = rows.into_iter().unzip();
        let mut case = Self::new(bad).exits(4).options(&["--output", "json"]);
        case.good = 26 - case.bad.len();
        case.lost = words.into_iter().map(str::to_string).collect();
        case
    }

    /// The runner may claim of a bad host what it likes, but it must be true.
    pub fn honest(mut self) -> Self {
        self.exit = None;
        self.options(&["--output", "json"])
    }

    /// The connect deadline of bad hosts, in seconds.
    pub fn deadline(mut self, seconds: u64) -> Self {
        self.deadline = seconds;
        self
    }

    /// More connection settings of the bad hosts.
    pub fn connection(mut self, settings: &str) -> Self {
        self.connection = settings.to_string();
        self
    }

    /// The run is on a terminal: when it asks this, that is typed. What is typed is a secret.
    pub fn types(mut self, question: &str, answer: &str) -> Self {
        self.dialog.push((question.to_string(), answer.to_string()));
        self
    }

    /// The runner sees this as `/etc/hosts`.
    pub fn names(mut self, text: &str) -> Self {
        self.names = Some(text.to_string());
        self
    }

    /// The verdict is there only at the connect deadline: by then the good hosts are done.
    pub fn at_deadline(mut self) -> Self {
        self.waits = true;
        self
    }

    /// With [`Case::at_deadline`] it may take so much longer. Alone:
    /// The verdict is there so soon after the fault, or after the start where no fault strikes, and not only by the connect deadline.
    /// A second of grace comes on top.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    /// How many lines the bad hosts may have. Without it the exit code says.
    pub fn marks(mut self, lines: RangeInclusive<usize>) -> Self {
        self.marks = Some(lines);
        self
    }

    /// So much output was asked for, in bytes.
    pub fn asked(mut self, bytes: u64) -> Self {
        self.memory += bytes / 1024;
        self
    }

    /// The connect deadline is out of reach: what counts comes behind it.
    pub fn patient(mut self) -> Self {
        self.deadline = 60;
        self
    }

    /// The runner is started by a text for `bash`, in which `"$@"` is the command.
    pub fn through(mut self, text: &str) -> Self {
        self.through = Some(text.to_string());
        self
    }

    /// New keys are noted in known_hosts.
    pub fn notes_keys(mut self) -> Self {
        self.notes_keys = true;
        self
    }

    /// Runs the case and checks it. `None` where that can't be done, with a word about it.
    #[track_caller]
    pub fn run(self) -> Option<Ran> {
        let deadlines = match self.waits {
            true => DEADLINES,
            false => [self.deadline; 3],
        };
        for deadline in deadlines {
            let ran = self.attempt(Duration::from_secs(deadline))?;
            if ran.late.is_empty() {
                if let Some(verdict) = ran.verdict {
                    let promised = self.promised(Duration::from_secs(deadline));
                    println!("VERDICT {verdict:?} of {promised:?}");
                }
                return Some(ran);
            }
            println!("LATE {:?}", ran.late);
        }
        panic!("too late, three times");
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
            .map(|input| terminal::type_to(input, heard, &self.dialog));
        (self.meanwhile)(&world, &child);
        let ended = in_time(HANGS, || child.try_wait().unwrap().is_some());
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
            late: Vec::new(),
        };
        assert_eq!(
            ran.code,
            self.exit.unwrap_or_else(|| ran.claimed()),
            "{all}"
        );
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
            command = terminal::on(&command);
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

/// Whether an event says how it went with a host.
fn is_claim(event: &Value) -> bool {
    event["event"] == "host_lost" || event["event"] == "task_finished"
}

/// Reads a stream to its end, noting when what was said.
fn listen(mut stream: impl Read + Send + 'static, hear: Option<Sender<Vec<u8>>>) -> Receiver<Said> {
    let (send, said) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut said = Said::default();
        let mut piece = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = stream.read(&mut piece) {
            said.count += count as u64;
            if let Some(hear) = &hear {
                let _ = hear.send(piece[..count].to_vec());
            }
            let room = KEPT - said.bytes.len();
            said.bytes.extend(&piece[..count.min(room)]);
            if room > 0 {
                said.times.push((said.bytes.len(), Instant::now()));
            }
        }
        let _ = send.send(said);
    });
    said
}

impl Ran {
    /// What had to be said was said, in time, and nothing that a terminal would obey.
    #[track_caller]
    fn said(&mut self, case: &Case, began: Instant, deadline: Duration) {
        let all = self.all();
        let mut verdicts = Vec::new();
        for (number, line) in case.says.iter().enumerate() {
            let line = self.filled(line, self.world.bad.first(), deadline);
            let mut lines = self.out.lines().chain(self.err.lines());
            let said = lines.find(|(said, _)| *said == line);
            let (_, when) =
                said.unwrap_or_else(|| panic!("this was not said:\n{line}\nbut:\n{all}"));
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
            match words.strip_suffix("...") {
                None => assert_eq!(said, words, "{}", host.name),
                Some(begin) => assert!(said.starts_with(begin), "{}: {said}", host.name),
            }
            assert_eq!(event["status"], "unreachable");
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
        if self.verdict > Some(case.promised(deadline) + GRACE) {
            self.late
                .push(format!("the verdict took {:?}", self.verdict));
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
    fn claimed(&self) -> i32 {
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
    fn all(&self) -> String {
        self.out.text() + &self.err.text()
    }

    fn filled(&self, line: &str, bad: Option<&Host>, deadline: Duration) -> String {
        let port = bad.map_or(0, |host| host.port);
        line.replace("PORT", &port.to_string())
            .replace("FOLDER", &self.world.folder().display().to_string())
            .replace("DEADLINE", &format!("{} s", deadline.as_secs()))
            .replace("USER", &current_user())
            .replace("FINGERPRINT", &self.world.fingerprint)
    }

    /// The good hosts have run the command once, before the verdict on one that waits; the bad ones as they should.
    #[track_caller]
    fn marked(&mut self, case: &Case, began: SystemTime) {
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
                self.late
                    .push(format!("{} was done only after {marked:?}", host.name));
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
    fn is_clean(&self, secrets: &[String]) {
        let world = &self.world;
        let open = || {
            world
                .hosts()
                .filter(|host| host.open() > 0)
                .map(|host| host.name.clone())
        };
        assert!(
            in_time(GONE, || open().count() == 0),
            "open: {:?}",
            open().collect::<Vec<_>>()
        );
        let mut processes = Vec::new();
        let gone = in_time(GONE, || {
            processes = left(world.folder());
            processes.is_empty()
        });
        assert!(gone, "these still run: {processes:?}");
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
