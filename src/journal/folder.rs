//! The folder of journals.

use super::line;
use super::record::{End, Header, Record, VERSION};
use super::told::{Brief, Fate, Told};
use crate::diagnostic::{Problem, cause};
use crate::run_id::RunId;
use std::fs::{DirBuilder, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// So many journals are kept; the oldest go first.
pub const KEPT: usize = 200;

/// The last record is not longer than this.
const LAST: u64 = 64 * 1024;

/// What a journal's file is called behind the run's name.
const ENDING: &str = "jsonl";

/// What is put behind it once something is known to be missing.
const PARTIAL: &str = "partial";

/// `$XDG_STATE_HOME/runner/runs`, else `~/.local/state/runner/runs`. Nobody else can look into it.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// Finds the folder, which need not be there.
    ///
    /// # Errors
    ///
    /// Why there is no place for it.
    pub fn find() -> Result<Self, String> {
        let set = |name| std::env::var_os(name).map(PathBuf::from);
        let state = set("XDG_STATE_HOME").filter(|path| path.is_absolute());
        let home = || set("HOME").filter(|path| path.is_absolute());
        let state = state
            .or_else(|| Some(home()?.join(".local/state")))
            .ok_or("neither XDG_STATE_HOME nor HOME names a folder")?;
        Ok(Self::at(state.join("runner/runs")))
    }

    /// The folder of this path.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Makes it, and the ones above it.
    pub(super) fn make(&self) -> io::Result<()> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.0)
    }

    /// The file of a run.
    pub fn file(&self, run: &RunId) -> PathBuf {
        self.0.join(format!("{run}.{ENDING}"))
    }

    /// Makes the file of a run that begins. It is locked for as long as it is open.
    pub(super) fn create(&self, run: &RunId) -> io::Result<File> {
        self.make()?;
        let file = File::options()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(self.file(run))?;
        // Not every file system can lock; then nobody can tell that the run is still going on.
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).ok();
        Ok(file)
    }

    /// Something is missing in the file of a run: says so by its name, for which there is room on a full disk, too.
    pub(super) fn spoil(&self, run: &RunId) {
        std::fs::rename(self.file(run), self.partial(run)).ok();
    }

    /// Whether a run is going on at this moment.
    pub fn is_running(&self, run: &RunId) -> bool {
        let Ok(file) = File::open(self.file(run)) else {
            return false;
        };
        let lock = rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockShared);
        lock == Err(rustix::io::Errno::WOULDBLOCK)
    }

    /// All runs, the last one first. Empty where there is no folder.
    ///
    /// # Errors
    ///
    /// Why the folder can't be read.
    pub fn runs(&self) -> Result<Vec<RunId>, Problem> {
        let mut runs = self.named(ENDING).map_err(|error| {
            let path = self.0.display();
            Problem::new(format!("cannot read {path}: {}", cause(&error)))
        })?;
        self.sort(&mut runs);
        Ok(runs)
    }

    /// The last one first. Names tell the second; within one, journals tell more.
    fn sort(&self, runs: &mut [RunId]) {
        runs.sort_by(|one, other| other.cmp(one));
        let second = |run: &RunId| run.as_str().rsplit_once('-').map(|(at, _)| at.to_owned());
        for same in runs.chunk_by_mut(|one, other| second(one) == second(other)) {
            if same.len() > 1 {
                same.sort_by_cached_key(|run| {
                    std::cmp::Reverse(self.header(run).map(|header| header.started))
                });
            }
        }
    }

    /// All runs, also those whose journal is not complete; the last one first.
    ///
    /// # Errors
    ///
    /// Why the folder can't be read.
    pub fn all_runs(&self) -> Result<Vec<RunId>, Problem> {
        let mut runs = self.runs()?;
        runs.extend(
            self.named(&format!("{ENDING}.{PARTIAL}"))
                .unwrap_or_default(),
        );
        self.sort(&mut runs);
        Ok(runs)
    }

    /// The head of a run's journal, complete or not. `None`: there is none, or it can't be read.
    pub fn header(&self, run: &RunId) -> Option<Header> {
        let file = match self.is_partial(run) {
            true => self.partial(run),
            false => self.file(run),
        };
        let mut first = Vec::new();
        BufReader::new(File::open(file).ok()?)
            .read_until(b'\n', &mut first)
            .ok()?;
        match line::read(first.strip_suffix(b"\n")?)?.record {
            Record::Run(header) if header.version == VERSION => Some(*header),
            _ => None,
        }
    }

    fn partial(&self, run: &RunId) -> PathBuf {
        self.file(run).with_extension(format!("{ENDING}.{PARTIAL}"))
    }

    /// Whether something is missing in the journal of a run.
    pub fn is_partial(&self, run: &RunId) -> bool {
        !self.file(run).exists() && self.partial(run).exists()
    }

    fn named(&self, ending: &str) -> io::Result<Vec<RunId>> {
        let entries = match std::fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let names = entries.flatten().map(|entry| entry.file_name());
        let run = |name: std::ffi::OsString| {
            let (run, rest) = name.to_str()?.split_once('.')?;
            run.parse().ok().filter(|_| rest == ending)
        };
        Ok(names.filter_map(run).collect())
    }

    /// Reads the journal of a run. `None`: it ended before it had anything to say.
    ///
    /// # Errors
    ///
    /// It can't be read, or is damaged, with file and line.
    pub fn read(&self, run: &RunId) -> Result<Option<Told>, Problem> {
        let path = self.file(run);
        let bytes = std::fs::read(&path).map_err(|error| {
            let path = path.display();
            match error.kind() {
                io::ErrorKind::NotFound if self.is_partial(run) => Problem::new(format!(
                    "the journal of run {run} is not complete: it could not be written to its end"
                )),
                io::ErrorKind::NotFound => Problem::new(format!("there is no run {run}"))
                    .help("`runner history` lists the runs that are known"),
                _ => Problem::new(format!("cannot read {path}: {}", cause(&error))),
            }
        })?;
        Told::read(&bytes, &path.display().to_string())
    }

    /// A run in a few words. `None`: it ended before it had anything to say.
    ///
    /// # Errors
    ///
    /// Its journal can't be read, or is damaged.
    pub fn brief(&self, run: &RunId) -> Result<Option<Brief>, Problem> {
        let Some(header) = self.header(run) else {
            // It may be damaged, which is worth a word.
            return Ok(self.read(run)?.and(None));
        };
        let mut brief = Brief {
            name: header.playbook.clone(),
            hosts: 0,
            fate: Fate::Partial,
            end: None,
            unknown: 0,
            header,
        };
        if self.is_partial(run) {
            return Ok(Some(brief));
        }
        if let Some(end) = self.end(run) {
            brief.name.clone_from(&end.name);
            brief.hosts = end.hosts;
            brief.fate = Fate::Ended;
            brief.end = Some(end);
            return Ok(Some(brief));
        }
        let Some(told) = self.read(run)? else {
            return Ok(None);
        };
        brief.fate = told.fate(self.is_running(run));
        brief.unknown = told.unknown().count();
        brief.hosts = told.report.hosts().len();
        brief.name = told.name;
        Ok(Some(brief))
    }

    /// The last record of a run that came to its end.
    fn end(&self, run: &RunId) -> Option<End> {
        let mut file = File::open(self.file(run)).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LAST)))
            .ok()?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail).ok()?;
        let tail = tail.strip_suffix(b"\n")?;
        let start = memchr::memrchr(b'\n', tail).map_or(0, |at| at + 1);
        match line::read(&tail[start..])?.record {
            Record::End(end) => Some(end),
            _ => None,
        }
    }

    /// Removes the oldest journals, but none of a run that is going on.
    pub(super) fn prune(&self) {
        for (ending, kept) in [
            (ENDING.to_string(), KEPT),
            (format!("{ENDING}.{PARTIAL}"), KEPT / 10),
        ] {
            let mut runs = self.named(&ending).unwrap_or_default();
            runs.sort();
            let old = runs.len().saturating_sub(kept);
            for run in runs[..old].iter().filter(|run| !self.is_running(run)) {
                std::fs::remove_file(self.0.join(format!("{run}.{ending}"))).ok();
            }
        }
    }
}
