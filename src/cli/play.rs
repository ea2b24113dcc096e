//! `runner play`: plays a playbook.

use super::journal::{self, Entry};
use super::options::{
    BecomeOptions, ConnectOptions, InventoryOptions, LockOptions, OutputOptions, RunOptions,
};
use super::perform::{Keeping, Manner, perform};
use super::prepare::{Request, prepare};
use super::resume::{self, ResumeOptions};
use super::{Answer, print};
use crate::engine::{Run, Selection};
use crate::exit;
use crate::journal::{Choices, Kind};
use crate::playbook;
use crate::ui;
use crate::ui::words::Count;
use std::fmt::Write;

/// Play a playbook
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Playbook: a file, or a name in playbooks/
    #[arg(value_name = "PLAYBOOK")]
    playbook: String,
    /// Only tasks with one of these tags
    #[arg(short, long, value_name = "TAG,...", value_delimiter = ',')]
    tags: Vec<String>,
    /// No task with one of these tags
    #[arg(long, value_name = "TAG,...", value_delimiter = ',')]
    skip_tags: Vec<String>,
    /// Begin at the task with this name
    #[arg(long, value_name = "NAME")]
    start_at_task: Option<String>,
    /// List the hosts of each play, and do nothing
    #[arg(long)]
    list_hosts: bool,
    /// List the tasks of each play, and do nothing
    #[arg(long)]
    list_tasks: bool,
    #[command(flatten)]
    resume: ResumeOptions,
    #[command(flatten)]
    inventory: InventoryOptions,
    #[command(flatten)]
    run: RunOptions,
    #[command(flatten)]
    lock: LockOptions,
    #[command(flatten)]
    rights: BecomeOptions,
    #[command(flatten)]
    connect: ConnectOptions,
    #[command(flatten)]
    output: OutputOptions,
    /// Keep no journal: nobody will ask for it.
    #[arg(skip)]
    pub(super) unjournaled: bool,
}

impl Options {
    /// What says which part of the playbook is played.
    fn choices(&self) -> Choices {
        let one = |name: &str, value: &Option<String>| {
            let value = value.as_deref()?;
            Some(format!("{name} {value}"))
        };
        let many = |name: &str, tags: &[String]| {
            (!tags.is_empty()).then(|| format!("{name} {}", tags.join(",")))
        };
        let all = [
            one("--limit", &self.inventory.limit),
            many("--tags", &self.tags),
            many("--skip-tags", &self.skip_tags),
            one("--start-at-task", &self.start_at_task),
        ];
        Choices(all.into_iter().flatten().collect())
    }

    /// How connections are made, if they are.
    pub(super) fn connect(&self) -> Option<&ConnectOptions> {
        (!self.list_hosts && !self.list_tasks).then_some(&self.connect)
    }
}

pub(super) fn run(options: &Options, keeping: &Keeping) -> Answer {
    let path = playbook::find(&options.playbook)?;
    let (playbook, problems) = playbook::load(&path);
    let mut run = prepare(Request {
        name: path.display().to_string(),
        playbook,
        problems,
        inventory: &options.inventory,
        rights: &options.rights,
        run: &options.run,
        selection: Selection {
            tags: options.tags.clone(),
            skip_tags: options.skip_tags.clone(),
            start_at: options.start_at_task.clone(),
        },
        reveals: !options.list_hosts && !options.list_tasks,
    })?;
    if options.list_hosts || options.list_tasks {
        return print(&listing(&run, options.list_hosts, options.list_tasks));
    }
    let mut entry = Entry {
        playbook: journal::whole(&path),
        choices: options.choices(),
        off: options.unjournaled,
        ..Entry::new(Kind::Play, &options.inventory)
    };
    if let Some(nothing) = resume::resume(&mut run, &mut entry, &options.resume)? {
        return match options.output.output {
            // Its lines are for programs.
            ui::Output::Json => Ok(exit::OK),
            _ => print(&nothing),
        };
    }
    run.options.lock = options.lock.lock().filter(|_| !options.run.check);
    let manner = Manner {
        connect: &options.connect,
        rights: &options.rights,
        output: &options.output,
        adhoc: false,
        keeping,
    };
    perform(run, &manner, entry)
}

fn listing(run: &Run, hosts: bool, tasks: bool) -> String {
    let mut text = String::new();
    for (play, names) in &run.plays {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{} [{}]: {}",
            play.name,
            play.hosts,
            Count(names.len(), "host")
        );
        if hosts {
            for name in names {
                let _ = writeln!(text, "  {name}");
            }
        }
        for task in play.tasks.iter().filter(|_| tasks) {
            let tags = match task.tags.is_empty() {
                true => String::new(),
                false => format!("  [{}]", task.tags.join(", ")),
            };
            let _ = writeln!(text, "  {}: {}{tags}", task.spec.name, task.title());
        }
    }
    text
}
