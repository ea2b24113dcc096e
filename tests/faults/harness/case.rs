//! A case: what is bad, what is done, and what must come of it.

use super::{DEADLINE, HANGS, MARK, MEMORY, SECRET};
use crate::world::{Bad, World};
use std::ops::RangeInclusive;
use std::process::Child;
use std::time::Duration;

pub(super) type Meanwhile = Box<dyn Fn(&World, &Child)>;

/// A case. It begins as 25 good hosts and the given bad ones, which all are to [`MARK`].
pub struct Case {
    pub(super) bad: Vec<Bad>,
    pub(super) good: usize,
    pub(super) tasks: Vec<String>,
    pub(super) play: String,
    pub(super) exec: Option<String>,
    pub(super) options: Vec<String>,
    pub(super) settings: Vec<String>,
    pub(super) prepare: Box<dyn Fn(&World)>,
    pub(super) meanwhile: Meanwhile,
    /// `None`: what the claims come to.
    pub(super) exit: Option<i32>,
    pub(super) says: Vec<String>,
    pub(super) lost: Vec<String>,
    pub(super) within: Option<Duration>,
    pub(super) hangs: Duration,
    pub(super) waits: bool,
    pub(super) marks: Option<RangeInclusive<usize>>,
    pub(super) memory: u64,
    pub(super) notes_keys: bool,
    pub(super) through: Option<String>,
    pub(super) deadline: u64,
    pub(super) connection: String,
    pub(super) dialog: Vec<(String, String)>,
    pub(super) names: Option<String>,
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
            hangs: HANGS,
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

    /// A run that takes this long hangs; else it is five minutes.
    pub fn hangs_after(mut self, time: Duration) -> Self {
        self.hangs = time;
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
}
