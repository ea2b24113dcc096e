//! One case: some hosts are bad, the others must not notice, and what is true in every case is checked here and not in
//! each test: the exit code, the verdict's deadline, the good hosts, memory, connections, secrets, leftovers,
//! the terminal, the operator's files.

use crate::watch::{Watch, files, holds, in_time, left};
use crate::world::{Bad, Host, World};
use std::fs;
use std::io::Read;
use std::ops::RangeInclusive;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
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

/// A case is judged by the clock again, with a longer deadline, where only the clock was against it: a busy machine is
/// no defect.
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
    exit: i32,
    says: Vec<String>,
    within: Duration,
    waits: bool,
    marks: Option<RangeInclusive<usize>>,
    memory: u64,
    notes_keys: bool,
    patient: bool,
    through: Option<String>,
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

    /// When a line was said.
    fn when(&self, line: &str) -> Option<Instant> {
        let text = self.text();
        let mut end = 0;
        for said in text.split_inclusive('\n') {
            end += said.len();
            if said.trim() == line {
                let after = self.times.iter().find(|(read, _)| *read >= end);
                return after.map(|(_, when)| *when);
            }
        }
        None
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
            exit: 0,
            says: Vec::new(),
            within: Duration::ZERO,
            waits: false,
            marks: None,
            memory: MEMORY,
            notes_keys: false,
            patient: false,
            through: None,
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
        self.exit = code;
        self
    }

    /// A whole line of the output, without the blanks around it. `PORT` stands for the bad host's port, `FOLDER` for the world's
    /// folder, `DEADLINE` for the connect deadline. The first one is the verdict whose time counts.
    pub fn says(mut self, line: &str) -> Self {
        self.says.push(line.to_string());
        self
    }

    /// The bad host is "unreachable" with these words, and nothing has run there.
    pub fn unreachable(self, words: &str) -> Self {
        self.exits(4).says(&format!("unreachable: bad: {words}"))
    }

    /// The verdict is there only at the connect deadline: by then the good hosts are done.
    pub fn at_deadline(mut self) -> Self {
        self.waits = true;
        self
    }

    /// The verdict is there so soon after the fault, or after the start where no fault strikes, besides a second of grace.
    pub fn within(mut self, time: Duration) -> Self {
        self.within = time;
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
        self.patient = true;
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
        let deadlines = match self.patient {
            true => &[60][..],
            false => &DEADLINES[..],
        };
        for &deadline in deadlines {
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
            true => deadline,
            false => self.within,
        }
    }

    #[track_caller]
    fn attempt(&self, deadline: Duration) -> Option<Ran> {
        let world = World::new(self.good, &self.bad, &self.settings, deadline)?;
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
        let watch = Watch::start(child.id(), vec![token.clone()]);
        let out = listen(child.stdout.take().unwrap());
        let err = listen(child.stderr.take().unwrap());
        (self.meanwhile)(&world, &child);
        let ended = in_time(HANGS, || child.try_wait().unwrap().is_some());
        if !ended {
            child.kill().unwrap();
        }
        let code = child.wait().unwrap().code().unwrap_or(-1);
        let took = began.0.elapsed();
        let (out, err) = (out.recv().unwrap(), err.recv().unwrap());
        let looked = watch.end();
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
            late: Vec::new(),
        };
        assert_eq!(ran.code, self.exit, "{all}");
        assert!(
            looked.secret.is_none(),
            "a secret is seen in {:?}",
            looked.secret
        );
        ran.said(self, began.0, deadline);
        ran.marked(self, began.1);
        ran.is_clean(&token);
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

    /// The runner, about to start with a home and folders of its own.
    fn command(&self, world: &World) -> Command {
        let runner = env!("CARGO_BIN_EXE_runner");
        let mut command = match &self.through {
            None => Command::new(runner),
            Some(text) => {
                let mut shell = Command::new("bash");
                shell.args(["-c", text, "bash", runner]);
                shell
            }
        };
        match &self.exec {
            Some(text) => command.args(["exec", "all", "--shell", text]),
            None => command.args(["play", "etc/play.toml", "-e", "@etc/token.toml"]),
        };
        command
            .args(["-i", "etc/hosts.toml", "-F", "/dev/null", "--log", "log"])
            .args(&self.options)
            .current_dir(world.folder())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", world.path("etc"))
            .env("TMPDIR", world.path("tmp"))
            .env("XDG_STATE_HOME", world.path("state"))
            .env("XDG_CACHE_HOME", world.path("cache"))
            .env("XDG_RUNTIME_DIR", world.path("run"))
            .env("RUNNER_PERSIST", "0")
            .env("RUNNER_LOG", "debug")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// Reads a stream to its end, noting when what was said.
fn listen(mut stream: impl Read + Send + 'static) -> Receiver<Said> {
    let (send, said) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut said = Said::default();
        let mut piece = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = stream.read(&mut piece) {
            said.count += count as u64;
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
        let all = format!("{}{}", self.out.text(), self.err.text());
        let fill = |line: &str| {
            let port = self.world.bad.first().map_or(0, |host| host.port);
            line.replace("PORT", &port.to_string())
                .replace("FOLDER", &self.world.folder().display().to_string())
                .replace("DEADLINE", &format!("{} s", deadline.as_secs()))
        };
        for (number, line) in case.says.iter().enumerate() {
            let line = fill(line);
            let said = self.out.when(&line).or_else(|| self.err.when(&line));
            let said = said.unwrap_or_else(|| panic!("this was not said:\n{line}\nbut:\n{all}"));
            if number == 0 {
                let struck = self.world.bad.iter().filter_map(Host::struck).min();
                self.verdict = Some(said - struck.unwrap_or(began).min(said));
            }
        }
        let promised = case.promised(deadline);
        if self.verdict > Some(promised + GRACE) {
            self.late
                .push(format!("the verdict took {:?}", self.verdict));
        }
        let obeyed = |byte: &u8| byte.is_ascii_control() && *byte != b'\n';
        let obeyed = all.bytes().find(|byte| obeyed(byte));
        assert!(
            obeyed.is_none(),
            "{obeyed:?} would reach the terminal:\n{all}"
        );
        assert!(!all.contains("panicked at"), "{all}");
    }

    /// The good hosts have run the command once, before the verdict on one that waits; the bad ones as they should.
    #[track_caller]
    fn marked(&mut self, case: &Case, began: SystemTime) {
        let all = format!("{}{}", self.out.text(), self.err.text());
        if case.exec.is_some() || !case.tasks.iter().any(|task| task == MARK) {
            return;
        }
        for host in &self.world.good {
            assert_eq!(host.marks(), 1, "{}:\n{all}", host.name);
            let marked = fs::metadata(host.home.join("marker"))
                .unwrap()
                .modified()
                .unwrap();
            let marked = marked.duration_since(began).unwrap_or_default();
            if case.waits && self.verdict < Some(marked) {
                self.late
                    .push(format!("{} was done only after {marked:?}", host.name));
            }
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
    fn is_clean(&self, token: &str) {
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
            let secret = holds(&content, token.as_bytes()) && name != "etc/token.toml";
            assert!(!secret, "a secret stands in {name}");
            assert!(!holds(&content, b"panicked at"), "{name} tells of a panic");
        }
        for said in [&self.out, &self.err] {
            assert!(
                !holds(&said.bytes, token.as_bytes()),
                "a secret was said:\n{}",
                said.text()
            );
        }
    }
}
