//! Does a run: connects the engine, the transport, the screen and the signals.

use super::journal::{self, Entry};
use super::options::{BecomeOptions, ConnectOptions, OutputOptions};
use super::signals::Wish;
use super::worker::{Worker, forget_environment};
use super::{Answer, Refusal, hidden, prompt, secrets, signals};
use crate::diagnostic::{Problem, Problems};
use crate::engine::{self, Run};
use crate::exit;
use crate::report::Report;
use crate::transport::kept::{Folder, Keeper, KeptTransport, Made};
use crate::transport::local::LocalTransport;
use crate::transport::ssh::config::SshConfig;
use crate::transport::ssh::{SshOptions, SshTransport, settings};
use crate::transport::{Routes, Transport};
use crate::ui::{self, Screen};
use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How a run reaches its hosts and what it shows.
pub(super) struct Manner<'a> {
    pub connect: &'a ConnectOptions,
    pub rights: &'a BecomeOptions,
    pub output: &'a OutputOptions,
    /// One command whose output is the result.
    pub adhoc: bool,
    /// What becomes of the connections.
    pub keeping: &'a Keeping,
}

/// Whether connections outlive the run.
pub(super) enum Keeping {
    /// Nobody asked for it.
    Off,
    /// It was asked for and is not possible, for this reason.
    Failed(String),
    /// This process can stay behind.
    On(Worker),
}

/// Runs to the end, and answers the exit code of what happened.
pub(super) fn perform(mut run: Run, manner: &Manner<'_>, entry: Entry) -> Answer {
    let log = start_log(manner.output)?;
    if let Keeping::Failed(why) = manner.keeping {
        tracing::debug!(%why, "connections are not kept");
    }
    let options = ssh_options(&run, manner.connect)?;
    let shown = prompt::Passwords::ask(manner.connect.ask_pass, manner.rights.ask_become_pass)?;
    run.options.become_password = shown.become_password;
    raise_descriptors();
    let renderer = ui::renderer(ui::Options {
        output: manner.output.output,
        color: manner.output.color,
        verbose: manner.output.verbose,
        adhoc: manner.adhoc,
    });
    let defect = |error: std::io::Error| Refusal {
        problems: Problem::new(format!("the runner cannot start: {error}")).into(),
        code: exit::DEFECT,
    };
    let report = match manner.output.timing {
        true => Report::timed(),
        false => Report::new(),
    };
    let (events, screen) = Screen::spawn(renderer, report).map_err(defect)?;
    let events = journal::begin(&mut run, entry, manner.adhoc, events);
    let pause = screen.pause();
    let ssh = SshTransport::new(SshOptions {
        password: shown.password,
        host_keys: prompt::host_keys(&pause),
        prompt: prompt::passphrases(&pause),
        ..options
    });
    let persist = manner.connect.persist;
    let staying = match manner.keeping {
        Keeping::On(worker) => Folder::open().ok().map(|folder| (worker, folder)),
        _ => None,
    };
    let (ssh, kept): (Box<dyn Transport>, _) = match staying {
        Some((worker, folder)) => {
            let transport = KeptTransport::new(ssh, folder.clone(), persist);
            let made = transport.made();
            (Box::new(transport), Some((worker, folder, made)))
        }
        None => (Box::new(ssh), None),
    };
    let transport = Arc::new(Routes {
        ssh,
        local: LocalTransport {
            without: secrets::environment(),
        },
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Templates are rendered here, and may be as deep as on the main thread.
        .thread_stack_size(16 * 1024 * 1024)
        .build()
        .map_err(defect)?;
    let (stop, stopped) = watch::channel(false);
    let front = match manner.keeping {
        Keeping::On(worker) => Some(worker.signals()),
        _ => None,
    };
    let modes = signals::Modes::save();
    let (wish, mut wished) = watch::channel(Wish::default());
    let counts = signals::Counts::default();
    let watch = signals::watch(
        stop,
        wish,
        events.clone(),
        modes.clone(),
        front,
        counts.clone(),
    );
    let abandoned = runtime.block_on(async {
        let watching = tokio::spawn(watch);
        let abandoned = tokio::select! {
            biased;
            () = engine::run(run, transport, events, stopped.clone()) => false,
            Ok(_) = wished.wait_for(|wish| *wish == Wish::EndNow) => true,
        };
        if abandoned {
            return true;
        }
        watching.abort();
        watching.await.ok();
        if let Some((_, _, made)) = &kept {
            // Who stops a run wants it to be over.
            made.settle(!*stopped.borrow()).await;
        }
        false
    });
    // Reads that nobody waits for any more must not hold up the end.
    let staying = match kept.filter(|(_, _, made)| !abandoned && !made.is_empty()) {
        Some(kept) => Some((runtime, kept)),
        None => {
            runtime.shutdown_background();
            None
        }
    };
    let front = match manner.keeping {
        Keeping::On(worker) => Some(worker.signals()),
        _ => None,
    };
    let patience = abandoned.then_some(AT_ONCE);
    let impatience = signals::impatience(modes.clone(), front, counts);
    let report = shown_all(screen, impatience, &modes, patience).map_err(defect);
    // A question that nobody has answered may have switched off the echo.
    modes.restore();
    if abandoned {
        signals::ended_at_once();
    }
    let code = report?.exit_code();
    if let Some((runtime, (worker, folder, made))) = staying {
        log.close();
        runtime.block_on(keep(worker, code, &folder, &made, persist));
        runtime.shutdown_background();
    }
    Ok(code)
}

/// How long a terminal that stands still holds up a run that is to end at once.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Waits until everything has been shown, or the operator does not want to.
fn shown_all(
    screen: Screen,
    impatience: impl Future<Output = ()> + Send + 'static,
    modes: &signals::Modes,
    patience: Option<Duration>,
) -> std::io::Result<Report> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let impatience = tokio::spawn(impatience);
        let joined = tokio::task::spawn_blocking(|| screen.join());
        let report = match patience {
            None => joined.await,
            Some(patience) => match tokio::time::timeout(patience, joined).await {
                Ok(report) => report,
                Err(_) => signals::end("INT", modes),
            },
        };
        let report = report.map_err(std::io::Error::other)?;
        impatience.abort();
        report
    })
}

/// Lets the operator go, and stays with the connections as long as they are of use.
async fn keep(worker: &Worker, code: u8, folder: &Folder, made: &Made, persist: Duration) {
    // A run that can't leave its connections to the next one is no worse for it.
    let (Ok(mut int), Ok(mut term), Ok(keeper)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
        Keeper::new(folder, made, persist),
    ) else {
        return;
    };
    // Nothing is read from the environment any more, and a secret in it must not outlive the run.
    if forget_environment().is_err() && !secrets::environment().is_empty() {
        return;
    }
    if worker.leave(code).is_err() {
        return;
    }
    keeper
        .serve(async {
            tokio::select! {
                _ = int.recv() => {}
                _ = term.recv() => {}
            }
        })
        .await;
}

/// Reads the SSH configuration and checks it for every host, before anything is connected to.
fn ssh_options(run: &Run, connect: &ConnectOptions) -> Result<SshOptions, Refusal> {
    let config = SshConfig::load(connect.ssh_config.as_deref())?;
    let layer = connect.settings();
    // What many hosts have in common is one problem.
    let mut found: Vec<(String, Problem, Vec<&str>)> = Vec::new();
    for host in run.hosts.iter().filter(|host| !Routes::is_local(host)) {
        if let Err(problem) = settings::resolve(host, &layer, &config) {
            let text = problem.to_string();
            match found.iter_mut().find(|(known, ..)| *known == text) {
                Some((.., hosts)) => hosts.push(&host.name),
                None => found.push((text, problem, vec![&host.name])),
            }
        }
    }
    let mut problems = Problems::new();
    for (_, problem, hosts) in found {
        problems.push(problem.help(format!("it is for {}", ui::fold::fold(&hosts))));
    }
    problems.or(())?;
    Ok(SshOptions {
        settings: layer,
        config,
        password: None,
        host_keys: None,
        prompt: None,
    })
}

/// Allows as many open files as the system lets this process have: each connection is one.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).ok();
}

/// The file of `--log`, without secrets. It is closed when the run is over, even if this process is not.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Option<File>>>);

impl Log {
    fn file(&self) -> MutexGuard<'_, Option<File>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.file().take();
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match &mut *self.file() {
            // Each entry comes as a whole.
            Some(file) => file
                .write_all(&hidden::redactor().bytes(bytes))
                .map(|()| bytes.len()),
            None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file().as_mut().map_or(Ok(()), File::flush)
    }
}

fn start_log(output: &OutputOptions) -> Result<Log, Problem> {
    let Some(path) = &output.log else {
        return Ok(Log::default());
    };
    let file = File::create(path).map_err(|error| {
        Problem::new(format!(
            "cannot write the log {}: {}",
            path.display(),
            crate::diagnostic::cause(&error)
        ))
    })?;
    let level =
        std::env::var("RUNNER_LOG").unwrap_or_else(|_| "runner=debug,russh=info".to_string());
    let filter = tracing_subscriber::EnvFilter::try_new(&level).map_err(|error| {
        Problem::new(format!("RUNNER_LOG: {error}")).help("for example RUNNER_LOG=runner=trace")
    })?;
    let log = Log(Arc::new(Mutex::new(Some(file))));
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .try_init()
        .map_err(|error| Problem::new(format!("cannot start the log: {error}")))?;
    Ok(log)
}
