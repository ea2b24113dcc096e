//! The lock that keeps two runs from working on one host.
//!
//! It is taken by the shell that the first message needs anyway, and held for as long as a shell of the run is on the host: each gives
//! its part back when its input ends, so also when the runner is killed. A host that another run works on stops the run, and a
//! host waits a little before its first change until the hosts that began with it have their locks, so that a run which is
//! refused has changed nothing.

mod gate;
mod script;
mod wait;

use super::Context;
use crate::event::{Event, Holder};
use crate::run_id::RunId;
pub(super) use gate::{Gate, Verdict};
pub(super) use script::ROOM;
pub use script::removal;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};
pub(super) use wait::take_all;

/// Once a host was refused, those that have not answered yet may do so until then, to be named with it: so long after the run's start,
/// and after the refusal.
const OTHERS: (Duration, Duration) = (Duration::from_millis(1500), Duration::from_millis(500));

/// How much longer a host waits for those that are connected, and only have to say what became of their locks.
const CONNECTED: Duration = Duration::from_millis(200);

/// The same for those that look again at a lock that is held.
const CONTESTED: Duration = Duration::from_secs(1);

/// How much longer hosts are waited for that have not taken their locks: a tenth of the time since `started`. Those that are slow or dead
/// must not hold up the others.
fn more(started: Instant) -> Duration {
    started.elapsed() / 10
}

/// The lock that a run takes on every host.
#[derive(Debug, Clone)]
pub struct Lock {
    /// Who runs it, and where, for those that it keeps out: `ann@desk`.
    pub by: String,
    /// How long to wait for other runs to end.
    pub wait: Option<Duration>,
}

/// What a shell needs to know to take its run's lock.
#[derive(Clone)]
pub(super) struct Key(Arc<Owner>, Arc<Locks>);

struct Owner {
    run: RunId,
    by: String,
    what: String,
}

impl Key {
    pub(super) fn new(lock: &Lock, run: &RunId, what: &str, locks: &Arc<Locks>) -> Self {
        let owner = Owner {
            run: run.clone(),
            by: script::plain(&lock.by, "@-", 80),
            what: script::plain(what, " @-./:,+=", 200),
        };
        Self(Arc::new(owner), locks.clone())
    }

    /// What listens for what a shell says of its lock.
    pub(super) fn gate(&self, nonce: &str) -> Gate {
        Gate::new(nonce, Some(self.1.clone()))
    }

    /// What frees a host whose lock was held on for a shell that has made room.
    pub(super) fn let_go(&self) -> String {
        script::let_go(&self.0.run)
    }

    /// The body of a function of a shell that succeeds if another shell of this run still hears the runner.
    pub(super) fn hears(&self) -> String {
        script::hears(&self.0.run)
    }

    /// Gives back the lock that is held for the connection of a shell that has made room.
    pub(super) fn quit(&self) -> String {
        script::quit(&self.0.run)
    }

    /// Has a shell take the lock before it does `body`, which leaves its code in `c`.
    pub(super) fn guard(&self, nonce: &str, body: &str) -> String {
        let Owner { run, by, what } = &*self.0;
        script::guard(&script::Words { run, by, what }, nonce, body)
    }
}

/// The locks of a run.
pub(super) struct Locks {
    started: Instant,
    wanted: bool,
    table: watch::Sender<Table>,
}

#[derive(Default)]
struct Table {
    /// Hosts that are about to take theirs, and whether they are connected.
    pending: HashMap<String, bool>,
    /// How many look again at a lock that is held.
    contested: usize,
    held: HashSet<String>,
    /// Hosts that have waited for those that are pending.
    patient: HashSet<String>,
    refused: Vec<(Holder, Vec<String>)>,
    /// When the first was refused.
    since: Option<Instant>,
}

impl Locks {
    pub(super) fn new(wanted: bool) -> Self {
        Self {
            started: Instant::now(),
            wanted,
            table: watch::Sender::default(),
        }
    }

    /// A host is about to begin.
    pub(super) fn expect(&self, host: &str) {
        if self.wanted && !self.holds(host) {
            self.table.send_modify(|table| {
                if !table.pending.contains_key(host) {
                    table.pending.insert(host.to_owned(), false);
                    table.patient.clear();
                }
            });
        }
    }

    /// There is a connection to a host.
    pub(super) fn connected(&self, host: &str) {
        self.table
            .send_if_modified(|table| match table.pending.get_mut(host) {
                Some(connected) => !std::mem::replace(connected, true),
                None => false,
            });
    }

    /// A shell looks again at a lock that is held, or does so no longer.
    fn contest(&self, begins: bool) {
        self.table.send_modify(|table| match begins {
            true => table.contested += 1,
            false => table.contested -= 1,
        });
    }

    /// A host's first message was answered.
    pub(super) fn held(&self, host: &str) {
        if self.wanted && !self.holds(host) {
            self.table.send_modify(|table| {
                table.pending.remove(host);
                table.held.insert(host.to_owned());
            });
        }
    }

    /// Nobody needs to wait for a host.
    pub(super) fn pass(&self, host: &str) {
        self.table
            .send_if_modified(|table| table.pending.remove(host).is_some());
    }

    /// Another run has a host's lock.
    pub(super) fn refuse(&self, host: &str, holder: Holder) {
        self.table.send_modify(|table| {
            table.pending.remove(host);
            table.since.get_or_insert_with(Instant::now);
            let same = |known: &Holder| known.run == holder.run && known.gone == holder.gone;
            match table.refused.iter_mut().find(|(known, _)| same(known)) {
                Some((_, hosts)) => hosts.push(host.to_owned()),
                None => table.refused.push((holder, vec![host.to_owned()])),
            }
        });
    }

    pub(super) fn holds(&self, host: &str) -> bool {
        self.table.borrow().held.contains(host)
    }

    /// Whether a host was refused: nothing more begins.
    pub(super) fn refused(&self) -> bool {
        self.wanted && self.table.borrow().since.is_some()
    }

    /// Waits until a host is refused.
    pub(super) async fn when_refused(&self) {
        let mut table = self.table.subscribe();
        if table.wait_for(|table| table.since.is_some()).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until a host was refused and others had their time to answer.
    pub(super) async fn when_over(&self) {
        self.when_refused().await;
        let since = self.table.borrow().since;
        let since = since.unwrap_or_else(Instant::now);
        sleep_until((self.started + OTHERS.0).max(since + OTHERS.1)).await;
    }

    /// Whether hosts beside this one are about to take theirs.
    pub(super) fn others(&self, host: &str) -> bool {
        let table = self.table.borrow();
        let waits = !table.patient.contains(host);
        waits && table.pending.keys().any(|pending| pending != host)
    }

    /// Waits for the locks of the hosts that have begun, as long as [`more`] says, and a little for those that only have to answer.
    pub(super) async fn settle(&self, host: &str) {
        let mut table = self.table.subscribe();
        let end = Instant::now() + more(self.started);
        let over = |table: &Table| table.since.is_some();
        let none = |table: &Table| table.pending.keys().all(|pending| pending == host);
        let settled = table.wait_for(|table| over(table) || none(table));
        if timeout_at(end, settled).await.is_err() {
            let answered = |(pending, connected): (&String, &bool)| pending == host || !connected;
            let settled = table.wait_for(|table| over(table) || table.pending.iter().all(answered));
            timeout_at(end + CONNECTED, settled).await.ok();
            let decided = table.wait_for(|table| over(table) || table.contested == 0);
            timeout_at(end + CONTESTED, decided).await.ok();
        }
        self.table.send_if_modified(|table| {
            table.patient.insert(host.to_owned());
            false
        });
    }

    /// Whether there is a lock that nobody will give back.
    fn is_hopeless(&self) -> bool {
        let table = self.table.borrow();
        table.refused.iter().any(|(holder, _)| holder.gone)
    }

    /// Everything was given back.
    fn clear(&self) {
        self.table.send_modify(|table| {
            *table = Table {
                contested: table.contested,
                ..Table::default()
            };
        });
    }

    /// Who has the locks that the run has not got, in the order of the run's hosts.
    fn refusals(&self, order: &[String]) -> Vec<(Holder, Vec<String>)> {
        let mut refused = self.table.borrow().refused.clone();
        let place = |host: &String| order.iter().position(|known| known == host);
        for (_, hosts) in &mut refused {
            hosts.sort_by_key(place);
            hosts.dedup();
        }
        refused.sort_by_key(|(_, hosts)| hosts.first().and_then(place));
        refused
    }

    /// Says who has the locks that the run has not got, each once.
    pub(super) fn tell(&self, context: &Context, order: &[String], waits: bool) {
        for (holder, hosts) in self.refusals(order) {
            context.send(Event::Locked {
                holder,
                hosts,
                waits,
            });
        }
    }
}
