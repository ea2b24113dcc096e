//! Waiting for other runs to end, before anything begins.
//!
//! All locks are taken at once. If one is held, all are given back before the run waits: two runs that each hold what the other needs
//! can't wait for each other. Then those that were held are tried first, after a pause that is partly chance.

use super::super::Context;
use super::super::exchange::Trouble;
use super::super::host::HostRun;
use super::Locks;
use crate::event::Holder;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

/// The pauses between two tries, from the first to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(2));

/// How much longer than the slowest so far others may take, beside what [`super::more`] gives them.
const SLOWER: Duration = Duration::from_secs(1);

/// Takes the locks of all hosts, and waits for those that others have. What is refused at the end is noted in the locks.
pub(in super::super) async fn take_all(
    context: &Arc<Context>,
    hosts: &[Arc<HostRun>],
    wait: Duration,
) {
    let locks = &context.locks;
    let end = Instant::now() + wait;
    let order: Vec<String> = hosts.iter().map(|host| host.name().to_owned()).collect();
    let mut told: Vec<(Holder, Vec<String>)> = Vec::new();
    let (mut pause, longest) = PAUSES;
    loop {
        // Those that were held before come first: while they are, the others are left alone.
        let held = |host: &&Arc<HostRun>| {
            told.iter()
                .any(|(_, names)| names.contains(&host.name().to_owned()))
        };
        let (first, others): (Vec<_>, Vec<_>) = hosts.iter().partition(held);
        for part in [first, others] {
            take(locks, &part).await;
            if locks.refused() || context.stopping() {
                break;
            }
        }
        if !locks.refused() || context.stopping() || locks.is_hopeless() || Instant::now() >= end {
            return;
        }
        let mut releasing = JoinSet::new();
        for host in hosts {
            let host = host.clone();
            releasing.spawn(async move { host.give_back().await });
        }
        while releasing.join_next().await.is_some() {}
        let refused = locks.refusals(&order);
        if refused.iter().map(run).ne(told.iter().map(run)) {
            locks.tell(context, &order, true);
        }
        told = refused;
        locks.clear();
        let chance = u32::try_from(RandomState::new().hash_one(order.len()) % 100).unwrap_or(0);
        let now = (pause + pause * chance / 100).min(end.saturating_duration_since(Instant::now()));
        let mut stop = context.terms.stop.clone();
        tokio::select! {
            () = sleep(now) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        pause = (pause * 2).min(longest);
    }
}

fn run((holder, _): &(Holder, Vec<String>)) -> &str {
    &holder.run
}

/// Takes the locks of some hosts. Those that take much longer than the others are left to take theirs when they are there.
async fn take(locks: &Locks, hosts: &[&Arc<HostRun>]) {
    let started = Instant::now();
    let mut taking = JoinSet::new();
    for host in hosts {
        let host = (*host).clone();
        taking.spawn(async move { host.take_lock().await });
    }
    let mut end = None;
    loop {
        let next = async {
            match end {
                Some(end) => timeout_at(end, taking.join_next()).await.unwrap_or(None),
                None => taking.join_next().await,
            }
        };
        match next.await {
            Some(Ok(Err(Trouble::Locked(_)))) if end.is_none() => {
                end = Some(Instant::now() + super::OTHERS.1);
            }
            Some(_) if !locks.refused() => {
                end = Some(Instant::now() + super::more(started) + SLOWER);
            }
            Some(_) => {}
            None => break,
        }
    }
    if locks.refused() {
        taking.shutdown().await;
    } else {
        taking.detach_all();
    }
}
