//! `runner play --resume`: what the last run of a playbook has done, and whether this one may go on from there.

use super::Refusal;
use super::journal::{self, Entry};
use crate::diagnostic::Problem;
use crate::engine::{self, Before, Past, Run};
use crate::event::{Status, TurnResult};
use crate::journal::{At, Fate, Folder, Header, Kind, Progress, Record, Told};
use crate::playbook::{Play, Task};
use crate::run_id::RunId;
use crate::ui::fold::fold;
use crate::ui::words::Count;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The modules that run what the operator wrote, each time they are asked. Every other one looks first.
const COMMANDS: [&str; 4] = ["command", "shell", "script", "docker_exec"];

/// At most so many unknown tasks are listed.
const LISTED: usize = 20;

/// What the operator asked for.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Resume")]
pub(crate) struct ResumeOptions {
    /// Go on where the last run of this playbook stopped, or the run of this name
    #[arg(long, value_name = "RUN", num_args = 0..=1, require_equals = true, default_missing_value = "last")]
    resume: Option<String>,
    /// Do tasks again of which it is not known whether they were done
    #[arg(long, requires = "resume", conflicts_with = "skip_unknown")]
    retry_unknown: bool,
    /// Take tasks as done of which it is not known whether they were
    #[arg(long, requires = "resume")]
    skip_unknown: bool,
}

/// Gives a run what the one before has done. Answers what to say if nothing is left to do.
pub(super) fn resume(
    run: &mut Run,
    entry: &mut Entry,
    options: &ResumeOptions,
) -> Result<Option<String>, Refusal> {
    let Some(name) = &options.resume else {
        return Ok(None);
    };
    let folder = journal::folder()?;
    let told = match name.as_str() {
        "last" => last(&folder, run, entry)?,
        name => journal::named(&folder, name)?,
    };
    let id = told.header.id.clone();
    same(&folder, run, entry, &told)?;
    if told.end.is_some() && told.unfinished().is_empty() {
        let hosts = Count(told.report.hosts().len(), "host");
        return Ok(Some(format!(
            "nothing is left to do: run {id} of {} finished on {hosts}\n",
            run.name
        )));
    }
    let progress = decided(run, &told, options)?;
    let progress = with_values(run, &told, progress)?;
    entry.before = records(&told, &progress);
    share(run, &told, &progress);
    run.past = past(&told, progress);
    Ok(None)
}

/// The last run of this playbook on this inventory.
fn last(folder: &Folder, run: &Run, entry: &Entry) -> Result<Told, Refusal> {
    for id in folder.all_runs()? {
        let ours = |header: &Header| {
            header.kind == Kind::Play
                && !header.check
                && header.playbook == entry.playbook
                && header.inventory == entry.inventory
        };
        if !folder.header(&id).is_some_and(|header| ours(&header)) {
            continue;
        }
        if let Some(told) = folder.read(&id)? {
            return Ok(told);
        }
    }
    Err(Problem::new(format!(
        "there is no run of {} on this inventory to go on from",
        run.name
    ))
    .help("play it without --resume")
    .into())
}

/// The run before must have been about to do what this one is, and be over.
fn same(folder: &Folder, run: &Run, entry: &Entry, told: &Told) -> Result<(), Refusal> {
    let header = &told.header;
    let id = &header.id;
    if told.fate(folder.is_running(id)) == Fate::Running {
        return Err(Problem::new(format!("run {id} is still going on"))
            .help(format!(
                "it is process {} of {}: wait for its end, or stop it",
                header.process, header.who
            ))
            .into());
    }
    let (Kind::Play, false, Some(plan)) = (header.kind, header.check, &header.plan) else {
        let what = match header.check {
            true => "only checked",
            false => "an ad-hoc command",
        };
        return Err(Problem::new(format!(
            "run {id} was {what}: there is nothing to go on from"
        ))
        .into());
    };
    if header.playbook != entry.playbook || header.inventory != entry.inventory {
        return Err(Problem::new(format!(
            "run {id} was of {} on {}",
            header.playbook,
            header.inventory.join(", ")
        ))
        .help(format!(
            "this is of {} on {}",
            entry.playbook,
            entry.inventory.join(", ")
        ))
        .into());
    }
    if header.choices != entry.choices {
        let words = |words: &[String]| match words.is_empty() {
            true => "no such option".to_owned(),
            false => words.join(" "),
        };
        return Err(Problem::new(format!(
            "this is not the part of {} that run {id} played",
            run.name
        ))
        .help(format!("it was played with {}", words(&header.choices.0)))
        .help(format!("this is with {}", words(&entry.choices.0)))
        .into());
    }
    let differences = plan.differences(&journal::plan(run, id));
    if differences.is_empty() {
        return Ok(());
    }
    let mut problem = Problem::new(format!("{} has changed since run {id}", run.name));
    for difference in differences {
        problem = problem.help(difference);
    }
    Err(problem
        .help("undo that, or play it without --resume: what is as wanted already stays as it is")
        .into())
}

/// How far each task is on each host.
type Done = BTreeMap<String, BTreeMap<At, Progress>>;

/// The task of a play; handlers count on behind the tasks.
fn task(run: &Run, at: At) -> Option<(&Play, &Task)> {
    let (play, _) = run.plays.get(at.0)?;
    let mut tasks = play.tasks.iter().chain(&play.handlers);
    Some((play, tasks.nth(at.1)?))
}

/// What was done, with everything unknown decided.
fn decided(run: &Run, told: &Told, options: &ResumeOptions) -> Result<Done, Refusal> {
    let mut done = told.progress.clone();
    let mut undecided: BTreeMap<At, Vec<&str>> = BTreeMap::new();
    for (host, at, progress) in told.unknown() {
        let Some((_, task)) = task(run, at) else {
            continue;
        };
        // The playbook says that it changes nothing, so it does no harm twice.
        if task.never_changes() || options.retry_unknown {
            continue;
        }
        if !options.skip_unknown {
            undecided.entry(at).or_default().push(host);
            continue;
        }
        let Some(mine) = done.get_mut(host).and_then(|tasks| tasks.get_mut(&at)) else {
            continue;
        };
        if task.items.is_none() {
            mine.status = Some(Status::Changed);
            let names = task.produces().into_iter();
            mine.produced = names.map(|name| (name, None)).collect();
        } else {
            let lost = progress.turns.iter();
            let lost = lost.filter(|(_, turn)| turn.status == Status::Unknown);
            let turns: BTreeSet<usize> = lost.map(|(turn, _)| *turn).collect();
            for turn in turns.iter().chain(&progress.begun) {
                mine.turns.insert(*turn, taken_as_done());
            }
        }
    }
    if undecided.is_empty() {
        return Ok(done);
    }
    Err(unknown(run, told, &undecided).into())
}

fn taken_as_done() -> TurnResult {
    TurnResult {
        status: Status::Changed,
        message: "taken as done".to_owned(),
        item: None,
        value: None,
    }
}

fn unknown(run: &Run, told: &Told, undecided: &BTreeMap<At, Vec<&str>>) -> Problem {
    let count = undecided.values().map(Vec::len).sum();
    let id = &told.header.id;
    let verb = if count == 1 { "was" } else { "were" };
    let mut problem = Problem::new(format!(
        "it is not known whether {} of run {id} {verb} done",
        Count(count, "task")
    ));
    for (at, hosts) in undecided.iter().take(LISTED) {
        if let Some((_, task)) = task(run, *at) {
            let (line, _) = task.place.line_column();
            let place = format!("{}:{line}", task.place.source.name());
            problem = problem.help(format!("`{}` at {place} on {}", task.title(), fold(hosts)));
        }
    }
    if undecided.len() > LISTED {
        let more = Count(undecided.len() - LISTED, "more task");
        problem = problem.help(format!("and {more}"));
    }
    problem.help("look at the hosts; then --retry-unknown does that again, and --skip-unknown takes it as done")
}

/// A value that a later task needs and that was withheld from the journal: its task looks again, if looking is all that
/// it does.
fn with_values(run: &Run, told: &Told, mut done: Done) -> Result<Done, Refusal> {
    let mut withheld: BTreeMap<String, Vec<(String, At)>> = BTreeMap::new();
    for (host, tasks) in &done {
        for (at, progress) in tasks.iter().filter(|(_, progress)| progress.is_done()) {
            for (name, value) in &progress.produced {
                if value.is_none() {
                    let of = withheld.entry(name.clone()).or_default();
                    of.push((host.clone(), *at));
                }
            }
        }
    }
    // A task that looks again may need what another one has looked for.
    let mut again: BTreeSet<(String, At)> = BTreeSet::new();
    loop {
        let mut more = Vec::new();
        for (name, producers) in &withheld {
            if let Some(needs) = needed(run, told, &done, name) {
                for (host, at) in producers {
                    if again.contains(&(host.clone(), *at)) {
                        continue;
                    }
                    let (_, producer) = task(run, *at).ok_or_else(|| missing(name, needs))?;
                    if COMMANDS.contains(&producer.spec.name) && !producer.never_changes() {
                        return Err(lost(told, name, host, producer, needs).into());
                    }
                    more.push((host.clone(), *at));
                }
            }
        }
        if more.is_empty() {
            return Ok(done);
        }
        for (host, at) in more {
            if let Some(progress) = done.get_mut(&host).and_then(|tasks| tasks.get_mut(&at)) {
                // It stays known that it changed something: handlers wait for that.
                progress.notifies |= progress.status == Some(Status::Changed);
                progress.status = None;
                progress.turns.clear();
            }
            again.insert((host, at));
        }
    }
}

fn missing(name: &str, needs: &Task) -> Problem {
    Problem::new(format!("`{name}` is not known")).at(needs.place.clone())
}

fn lost(told: &Told, name: &str, host: &str, producer: &Task, needs: &Task) -> Problem {
    let id = &told.header.id;
    let (line, _) = producer.place.line_column();
    let place = format!("{}:{line}", producer.place.source.name());
    Problem::new(format!(
        "`{name}` is needed here, and run {id} did not keep it"
    ))
    .at(needs.place.clone())
    .help(format!(
        "`{}` at {place} registered it on {host}; what may hold a secret is not written down",
        producer.title()
    ))
    .help("play it without --resume")
}

/// A task that is left to do and that mentions a name.
fn needed<'a>(run: &'a Run, told: &Told, done: &Done, name: &str) -> Option<&'a Task> {
    let finished = |host: &str, at: At| {
        let progress = done.get(host).and_then(|tasks| tasks.get(&at));
        progress.is_some_and(Progress::is_done)
    };
    for (number, (play, hosts)) in run.plays.iter().enumerate() {
        let names = run.world.reading(vec![name.to_owned()], &play.vars);
        let chosen = told.once.get(&number).filter(|_| play.once);
        let hosts: Vec<&String> = match chosen {
            Some(host) => vec![host],
            None => hosts.iter().collect(),
        };
        for (index, task) in play.tasks.iter().chain(&play.handlers).enumerate() {
            let left = hosts.iter().any(|host| !finished(host, (number, index)));
            if left && engine::mentions(task, play, &names) {
                return Some(task);
            }
        }
    }
    None
}

/// What a run that goes on from this one would need, were it to be resumed itself.
fn records(told: &Told, done: &Done) -> Vec<Record> {
    let once = told.once.iter().map(|(play, host)| Record::Once {
        play: *play,
        host: host.clone(),
    });
    let tasks = done.iter().flat_map(|(host, tasks)| {
        tasks.iter().map(move |(at, progress)| Record::Before {
            host: host.clone(),
            play: at.0,
            task: at.1,
            progress: Box::new(Progress {
                begun: BTreeSet::new(),
                ..progress.clone()
            }),
        })
    });
    once.chain(tasks).collect()
}

/// Sets what was registered; of a play with `once`, for all its hosts.
fn share(run: &Run, told: &Told, done: &Done) {
    for (host, tasks) in done {
        for progress in tasks.values().filter(|progress| progress.is_done()) {
            for (name, value) in &progress.produced {
                if let Some(value) = value {
                    run.world.set(host, name, value.clone());
                }
            }
        }
    }
    for (number, (play, hosts)) in run.plays.iter().enumerate() {
        let chosen = told.once.get(&number).filter(|_| play.once);
        let Some(chosen) = chosen else { continue };
        let facts = run.world.facts(chosen);
        for name in play.tasks.iter().flat_map(Task::produces) {
            if let Some(value) = facts.get(&name) {
                for host in hosts {
                    run.world.set(host, &name, value.clone());
                }
            }
        }
    }
}

fn past(told: &Told, done: Done) -> Past {
    let before = |progress: Progress| {
        let good = |turn: &TurnResult| {
            matches!(turn.status, Status::Ok | Status::Changed | Status::Skipped)
        };
        let turns = progress.turns.iter().filter(|(_, turn)| good(turn));
        Before {
            finished: progress.is_done(),
            changed: progress.status == Some(Status::Changed) || progress.notifies,
            turns: turns.map(|(at, turn)| (*at, turn.clone())).collect(),
        }
    };
    let tasks: HashMap<String, HashMap<At, Before>> = done
        .into_iter()
        .map(|(host, tasks)| {
            let tasks = tasks.into_iter().map(|(at, one)| (at, before(one)));
            (host, tasks.collect())
        })
        .collect();
    let run: RunId = told.header.id.clone();
    Past {
        run: Some(run),
        tasks,
        once: told
            .once
            .iter()
            .map(|(play, host)| (*play, host.clone()))
            .collect(),
    }
}
