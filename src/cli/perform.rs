//! Does a run: connects the engine, the transport, the screen and the signals.

use super::options::{BecomeOptions, ConnectOptions, OutputOptions};
use super::{Answer, Refusal, prompt, signals};
use crate::diagnostic::{Problem, Problems};
use crate::engine::{self, Run};
use crate::exit;
use crate::report::Report;
use crate::transport::Routes;
use crate::transport::local::LocalTransport;
use crate::transport::ssh::config::SshConfig;
use crate::transport::ssh::{SshOptions, SshTransport, settings};
use crate::ui::{self, Screen};
use std::sync::Arc;
use tokio::sync::watch;

/// How a run reaches its hosts and what it shows.
pub(super) struct Manner<'a> {
    pub connect: &'a ConnectOptions,
    pub rights: &'a BecomeOptions,
    pub output: &'a OutputOptions,
    /// One command whose output is the result.
    pub adhoc: bool,
}

/// Runs to the end, and answers the exit code of what happened.
pub(super) fn perform(mut run: Run, manner: &Manner<'_>) -> Answer {
    start_log(manner.output)?;
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
    let pause = screen.pause();
    let transport = Arc::new(Routes {
        ssh: SshTransport::new(SshOptions {
            password: shown.password,
            host_keys: prompt::host_keys(&pause),
            prompt: prompt::passphrases(&pause),
            ..options
        }),
        local: LocalTransport,
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Templates are rendered here, and may be as deep as on the main thread.
        .thread_stack_size(16 * 1024 * 1024)
        .build()
        .map_err(defect)?;
    let (stop, stopped) = watch::channel(false);
    let modes = signals::Modes::save();
    let saved = modes.clone();
    runtime.block_on(async move {
        let watching = tokio::spawn(signals::watch(stop, events.clone(), saved));
        engine::run(run, transport, events, stopped).await;
        watching.abort();
        watching.await.ok();
    });
    // Reads that nobody waits for any more must not hold up the end.
    runtime.shutdown_background();
    let report = screen.join().map_err(defect);
    // A question that nobody has answered may have switched off the echo.
    modes.restore();
    let report = report?;
    Ok(report.exit_code())
}

/// Reads the SSH configuration and checks it for every host, before anything is connected to.
fn ssh_options(run: &Run, connect: &ConnectOptions) -> Result<SshOptions, Refusal> {
    let config = SshConfig::load(connect.ssh_config.as_deref())?;
    let layer = connect.settings();
    let mut problems = Problems::new();
    for host in &run.hosts {
        if !Routes::is_local(host) {
            problems.note(settings::resolve(host, &layer, &config));
        }
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

fn start_log(output: &OutputOptions) -> Result<(), Problem> {
    let Some(path) = &output.log else {
        return Ok(());
    };
    let file = std::fs::File::create(path).map_err(|error| {
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
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::sync::Mutex::new(file))
        .try_init()
        .map_err(|error| Problem::new(format!("cannot start the log: {error}")))
}
