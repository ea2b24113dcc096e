//! Has the operator edit a text that must not come to lie on a disk.

use super::hidden;
use crate::diagnostic::{Problem, Problems, cause};
use crate::exit;
use crate::ui;
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal as Heard, SignalKind, signal};

/// How long an editor may take to end when it was told to.
const LEAVE: Duration = Duration::from_secs(5);

/// What the magic number of a file system in memory is.
const TMPFS: rustix::fs::FsWord = 0x0102_1994;

/// A folder in memory for one text, and the editor. The folder is removed when this is dropped.
pub(super) struct Desk {
    runtime: Option<Runtime>,
    folder: TempDir,
    file: PathBuf,
    words: Vec<String>,
    signals: Signals,
}

/// What came of editing.
pub(super) enum End {
    /// The text as it is now.
    Written(String),
    /// A signal ended it: the exit code.
    Stopped(u8),
}

/// Whether a text with mistakes is to be edited again.
pub(super) enum Again {
    Yes,
    No,
    /// There is nobody to say.
    Nobody,
    /// A signal ended it: the exit code.
    Stopped(u8),
}

impl Desk {
    /// Makes the folder. The text gets a name like that of this file, so that editors know what it is.
    pub fn new(path: &Path) -> Result<Self, Problem> {
        let failed =
            |error: std::io::Error| Problem::new(format!("cannot edit: {}", cause(&error)));
        let words = editor()?;
        let place = places().find(|place| is_memory(place)).unwrap_or_else(|| {
            let place = std::env::temp_dir();
            let text = format!(
                "warning: there is no file system in memory, so the text is in {} while it is edited\n",
                place.display()
            );
            std::io::stderr().write_all(ui::escape::escape_str(&text).as_bytes()).ok();
            place
        });
        let folder = tempfile::Builder::new()
            .prefix("runner-secret-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir_in(place)
            .map_err(failed)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let name = name.trim_end_matches(".age").trim_end_matches(".asc");
        let name = match name.ends_with(".toml") {
            true => name.to_string(),
            false => format!("{name}.toml"),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(failed)?;
        let signals = {
            let _inside = runtime.enter();
            Signals::new().map_err(failed)?
        };
        Ok(Self {
            runtime: Some(runtime),
            file: folder.path().join(name),
            folder,
            words,
            signals,
        })
    }

    /// Has a text edited.
    pub fn edit(&mut self, text: &str) -> Result<End, Problem> {
        let failed =
            |error: std::io::Error| Problem::new(format!("cannot edit: {}", cause(&error)));
        // An editor may have put another file in its place.
        std::fs::remove_file(&self.file).ok();
        std::fs::File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.file)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(failed)?;
        let Some(runtime) = &self.runtime else {
            return Ok(End::Stopped(exit::DEFECT));
        };
        let ran = runtime.block_on(run(&self.words, &self.file, &mut self.signals))?;
        match ran {
            Some(name) => Ok(End::Stopped(exit::signal(name))),
            None => match std::fs::read(&self.file).map(String::from_utf8) {
                Ok(Ok(text)) => Ok(End::Written(text)),
                Ok(Err(_)) => Err(Problem::new("what the editor has written is not UTF-8")),
                Err(error) => Err(Problem::new(format!(
                    "cannot read what the editor has written: {}",
                    cause(&error)
                ))),
            },
        }
    }

    /// Shows what is wrong with the text, and asks whether to edit it again.
    pub fn ask_again(&self, problems: &Problems) -> Again {
        let Ok(terminal) = std::fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/tty")
        else {
            return Again::Nobody;
        };
        let shown = ui::Terminal::detect();
        let text = ui::diagnostic::problems(problems, shown.style(ui::Color::Auto, true));
        let text = hidden::redactor().text(&text).into_owned();
        let question = format!("{text}\nEdit it again, or else lose what was changed? (yes/no) ");
        let Some(runtime) = &self.runtime else {
            return Again::No;
        };
        runtime.block_on(async {
            // The editor's own Ctrl-C is none for the question.
            let Ok(mut signals) = Signals::new() else {
                return Again::No;
            };
            let answer = tokio::task::spawn_blocking(move || {
                let mut lines = BufReader::new(&terminal);
                loop {
                    (&terminal).write_all(question.as_bytes()).ok()?;
                    let mut line = String::new();
                    if lines.read_line(&mut line).ok()? == 0 {
                        return Some(false);
                    }
                    match line.trim() {
                        "y" | "yes" => return Some(true),
                        "n" | "no" => return Some(false),
                        _ => {}
                    }
                }
            });
            tokio::select! {
                answer = answer => match answer {
                    Ok(Some(true)) => Again::Yes,
                    _ => Again::No,
                },
                name = signals.any() => Again::Stopped(exit::signal(name)),
            }
        })
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // An answer that nobody gives must not hold up the end.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        // An editor's own files beside the text go with the folder.
        std::fs::remove_dir_all(self.folder.path()).ok();
    }
}

/// The words of the editor's command.
fn editor() -> Result<Vec<String>, Problem> {
    for name in ["VISUAL", "EDITOR"] {
        let Some(text) = std::env::var_os(name).filter(|text| !text.is_empty()) else {
            continue;
        };
        let words = text.to_str().and_then(|text| shell_words::split(text).ok());
        return words.filter(|words| !words.is_empty()).ok_or_else(|| {
            Problem::new(format!("{name} is no command")).help("for example EDITOR=vi")
        });
    }
    Ok(vec!["vi".to_string()])
}

/// Where a file system in memory may be that only lives as long as the machine runs.
fn places() -> impl Iterator<Item = PathBuf> {
    let own = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    own.into_iter().chain([PathBuf::from("/dev/shm")])
}

fn is_memory(place: &Path) -> bool {
    let found = rustix::fs::statfs(place);
    place.is_absolute() && found.is_ok_and(|found| found.f_type == TMPFS)
}

/// Runs the editor to its end. Answers the name of the signal that ended it early.
async fn run(
    words: &[String],
    file: &Path,
    signals: &mut Signals,
) -> Result<Option<&'static str>, Problem> {
    let [program, arguments @ ..] = words else {
        return Err(Problem::new("there is no editor"));
    };
    let mut child = Command::new(program)
        .args(arguments)
        .arg(file)
        .spawn()
        .map_err(|error| {
            Problem::new(format!(
                "cannot run the editor {program}: {}",
                cause(&error)
            ))
            .help("VISUAL or EDITOR names another one")
        })?;
    let status = tokio::select! {
        status = child.wait() => status,
        name = signals.end() => {
            let id = child.id().and_then(|id| i32::try_from(id).ok());
            if let Some(id) = id.and_then(Pid::from_raw) {
                kill_process(id, Signal::TERM).ok();
            }
            if tokio::time::timeout(LEAVE, child.wait()).await.is_err() {
                child.kill().await.ok();
            }
            return Ok(Some(name));
        }
    };
    match status {
        Ok(status) if status.success() => Ok(None),
        Ok(status) => Err(
            Problem::new(format!("the editor {program} failed: {status}"))
                .help("nothing was changed"),
        ),
        Err(error) => Err(Problem::new(format!(
            "the editor {program} was lost: {}",
            cause(&error)
        ))),
    }
}

/// The signals that could end this process before it has tidied up.
struct Signals {
    int: Heard,
    quit: Heard,
    term: Heard,
    hup: Heard,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            int: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            term: signal(SignalKind::terminate())?,
            hup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for one that ends an editor, too. Ctrl-C is the editor's business.
    async fn end(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "TERM",
            _ = self.hup.recv() => "HUP",
        }
    }

    async fn any(&mut self) -> &'static str {
        tokio::select! {
            _ = self.int.recv() => "INT",
            _ = self.quit.recv() => "QUIT",
            _ = self.term.recv() => "TERM",
            _ = self.hup.recv() => "HUP",
        }
    }
}
