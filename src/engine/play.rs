//! One play: its batches, its barriers, its handlers, and when a failure ends it for all.

use super::host::{HostRun, Work};
use super::outcome::{Early, State};
use super::{Context, barrier};
use crate::event::Event;
use crate::playbook::{Play, Portion, Task};
use crate::vars::PlayScope;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinSet;

/// Runs a play. True: nothing may follow.
pub(super) async fn run(
    context: &Arc<Context>,
    index: usize,
    play: Arc<Play>,
    hosts: Vec<Arc<HostRun>>,
) -> bool {
    let promised = hosts;
    let well = |host: &&Arc<HostRun>| host.state() == State::Well;
    let mut hosts: Vec<_> = promised.iter().filter(well).cloned().collect();
    // One that answers is enough for `once`.
    if !play.once && too_many(&play, &promised) {
        let lost = promised.len() - hosts.len();
        context.warn(too_few(&play, lost, promised.len()));
        let names = hosts.iter().map(|host| host.name().to_string()).collect();
        let work = Work::new(index, &play, names);
        unfinished(&hosts, &work, 0, Early::Failure);
        return true;
    }
    if hosts.is_empty() {
        return false;
    }
    let everyone = hosts.clone();
    if play.once {
        hosts = match context.past.once.get(&index) {
            Some(name) => hosts
                .into_iter()
                .filter(|host| host.name() == name)
                .collect(),
            None => first_that_answers(&hosts).await,
        };
    }
    context.send(Event::PlayStarted {
        play: index,
        name: play.name.clone(),
        hosts: hosts.iter().map(|host| host.name().to_string()).collect(),
        tasks: play.tasks.len(),
    });
    let total = hosts.len();
    let mut rest = &hosts[..];
    if hosts.is_empty() {
        leave_out(context, index, &play, &everyone);
        // Where nobody answers, nobody is left of those that the play needs.
        context.send(Event::PlayFinished { play: index });
        return play.any_errors_fatal || play.max_fail_percentage.is_some();
    }
    let mut fatal = false;
    for size in batches(&play.serial, total) {
        let (batch, later) = rest.split_at(size.min(rest.len()));
        rest = later;
        let failed = batch_of(context, index, &play, batch).await;
        fatal = failed || too_many(&play, if play.once { &hosts } else { &promised });
        if fatal || context.over().is_some() {
            break;
        }
    }
    leave_out(context, index, &play, rest);
    if play.once {
        share(context, &play, &hosts, &everyone);
    }
    context.send(Event::PlayFinished { play: index });
    fatal
}

/// Says of hosts that a play has not begun with that they are not as wanted, if the run ends before it could.
pub(super) fn leave_out(context: &Context, index: usize, play: &Arc<Play>, hosts: &[Arc<HostRun>]) {
    let Some(why) = context.over() else { return };
    let all = match play.once {
        true => &hosts[..hosts.len().min(1)],
        false => hosts,
    };
    let names = hosts.iter().map(|host| host.name().to_string()).collect();
    unfinished(all, &Work::new(index, play, names), 0, why);
}

/// Says of hosts that are still well what they have not begun.
fn unfinished(hosts: &[Arc<HostRun>], work: &Work, task: usize, why: Early) {
    for host in hosts {
        if host.state() == State::Well {
            host.not_begun(work, task, why);
        }
    }
}

/// The first host that can be connected to, as a list of one. Those before it are out of the run.
async fn first_that_answers(hosts: &[Arc<HostRun>]) -> Vec<Arc<HostRun>> {
    for host in hosts {
        if host.connect().await {
            return vec![host.clone()];
        }
    }
    Vec::new()
}

/// What a `once` play registers is known to all hosts that it was for.
fn share(context: &Context, play: &Play, ran: &[Arc<HostRun>], everyone: &[Arc<HostRun>]) {
    let Some(source) = ran.first() else { return };
    let facts = context.world.facts(source.name());
    for name in play.tasks.iter().flat_map(Task::produces) {
        if let Some(value) = facts.get(&name) {
            for host in everyone {
                context.world.set(host.name(), &name, value.clone());
            }
        }
    }
}

/// The sizes of the batches.
fn batches(serial: &[Portion], total: usize) -> Vec<usize> {
    let size = |portion: &Portion| match portion {
        Portion::Hosts(count) => *count,
        Portion::Percent(percent) => (total * usize::from(*percent) / 100).max(1),
    };
    let Some(last) = serial.last() else {
        return vec![total];
    };
    let mut sizes = Vec::new();
    let mut left = total;
    for portion in serial.iter().chain(std::iter::repeat(last)) {
        if left == 0 {
            break;
        }
        let now = size(portion).min(left);
        sizes.push(now);
        left -= now;
    }
    sizes
}

/// Whether more hosts are lost than the play allows, be it in this play or before.
fn too_many(play: &Play, hosts: &[Arc<HostRun>]) -> bool {
    let lost = hosts
        .iter()
        .filter(|host| host.state() != State::Well)
        .count();
    if lost == 0 {
        return false;
    }
    play.any_errors_fatal
        || play
            .max_fail_percentage
            .is_some_and(|percent| lost * 100 > hosts.len() * usize::from(percent))
}

/// Why a play is not begun.
fn too_few(play: &Play, lost: usize, total: usize) -> String {
    let allowed = match play.max_fail_percentage {
        Some(percent) if !play.any_errors_fatal => {
            format!("max_fail_percentage allows {percent} percent")
        }
        _ => "any_errors_fatal allows none".to_string(),
    };
    let have = if lost == 1 { "has" } else { "have" };
    format!(
        "play `{}` is not begun: {lost} of its {total} hosts {have} left the run before, and {allowed}",
        play.name
    )
}

async fn batch_of(
    context: &Arc<Context>,
    index: usize,
    play: &Arc<Play>,
    batch: &[Arc<HostRun>],
) -> bool {
    let names = batch.iter().map(|host| host.name().to_string()).collect();
    let all = Work::new(index, play, names);
    let (scope, halt) = (all.scope.clone(), all.halt.clone());
    let mut notified: Vec<HashSet<String>> = vec![HashSet::new(); batch.len()];
    let mut start = 0;
    for end in barrier::segments(&context.world, play) {
        let work = |_: usize| (start..end).collect::<Vec<_>>();
        phase(
            context,
            index,
            play,
            &scope,
            &halt,
            batch,
            &mut notified,
            &work,
        )
        .await;
        start = end;
        if let Some(why) = context.over()
            && start < play.tasks.len()
        {
            unfinished(batch, &all, start, why);
        }
        if halt.load(Ordering::Relaxed) {
            return true;
        }
    }
    // Handlers run in their order, each once; one that changes something can notify others.
    let mut ran = vec![HashSet::new(); batch.len()];
    loop {
        let work = |host: usize| {
            let named = |(index, task): &(usize, &Task)| {
                notified[host].contains(&task.title()) && !ran[host].contains(index)
            };
            let handlers = play.handlers.iter().enumerate().filter(named);
            handlers.map(|(index, _)| index).collect()
        };
        let now: Vec<Vec<usize>> = (0..batch.len()).map(work).collect();
        if now.iter().all(Vec::is_empty) || halt.load(Ordering::Relaxed) {
            break;
        }
        if let Some(why) = context.over() {
            for (host, handlers) in batch.iter().zip(&now) {
                if let Some(first) = handlers.first() {
                    let handler = play.tasks.len() + first;
                    unfinished(std::slice::from_ref(host), &all, handler, why);
                }
            }
            break;
        }
        for (ran, now) in ran.iter_mut().zip(&now) {
            ran.extend(now.iter().copied());
        }
        let work = |host: usize| {
            let indexes = now[host].iter();
            indexes.map(|index| play.tasks.len() + index).collect()
        };
        phase(
            context,
            index,
            play,
            &scope,
            &halt,
            batch,
            &mut notified,
            &work,
        )
        .await;
    }
    halt.load(Ordering::Relaxed)
}

/// All hosts of a batch go through their tasks; ends when the last one has.
#[allow(clippy::too_many_arguments)]
async fn phase(
    context: &Arc<Context>,
    index: usize,
    play: &Arc<Play>,
    scope: &Arc<PlayScope>,
    halt: &Arc<AtomicBool>,
    batch: &[Arc<HostRun>],
    notified: &mut [HashSet<String>],
    work: &(dyn Fn(usize) -> Vec<usize> + Sync),
) {
    let working =
        |position: &usize| batch[*position].state() == State::Well && !work(*position).is_empty();
    // Those behind have to wait for a place.
    for position in (0..batch.len()).filter(working).take(context.options.forks) {
        context.locks.expect(batch[position].name());
    }
    let mut running = JoinSet::new();
    for (position, host) in batch.iter().enumerate() {
        let tasks = work(position);
        if tasks.is_empty() || host.state() != State::Well {
            continue;
        }
        let work = Work {
            index,
            play: play.clone(),
            scope: scope.clone(),
            tasks,
            halt: halt.clone(),
        };
        let (host, context) = (host.clone(), context.clone());
        running.spawn(async move {
            let Ok(_place) = context.places.acquire().await else {
                return (position, HashSet::new());
            };
            context.locks.expect(host.name());
            (position, host.work(&work).await)
        });
    }
    while let Some(ended) = running.join_next().await {
        if let Ok((position, names)) = ended {
            notified[position].extend(names);
        }
    }
    context.send(Event::Barrier { play: index });
}
