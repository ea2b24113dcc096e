//! Runs plays over a transport: who goes when, one host's way through its tasks, and how it is stopped.
//!
//! Hosts don't wait for each other. A barrier stands only at the end of a play, at `serial` batches, and before a task
//! that reads another host's result. The engine prints nothing: it sends [`Event`]s.
//!
//! `walk` takes a host through its tasks and `turn` does one of them. What it wants to know or to have done goes out as
//! a message (`message`, `talk`) with what `ahead` finds to put beside it, and is heard answer by answer (`flight`, `cutter`);
//! a large one goes to a disk meanwhile (`spill`).

mod abandon;
mod ahead;
mod barrier;
mod carry;
mod cutter;
mod exchange;
mod flight;
mod heartbeat;
mod host;
mod lock;
mod message;
mod meter;
mod outcome;
mod password;
mod past;
mod play;
mod question;
mod shell;
mod spill;
mod talk;
mod transfer;
mod turn;
mod waiting;
mod walk;

use crate::event::{Event, Moment};
use crate::inventory::Host;
use crate::playbook::{Play, Privilege};
use crate::redact::Redactor;
use crate::run_id::RunId;
use crate::transport::Transport;
use crate::vars::World;
use abandon::Abandon;
pub use barrier::mentions;
use exchange::Terms;
use host::HostRun;
use lock::{Key, Locks};
pub use lock::{Lock, removal};
use outcome::Early;
use password::Password;
pub use past::{Before, Past};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, watch};

/// A run: plays with their hosts, ready to go.
pub struct Run {
    /// What is run, for the screen.
    pub name: String,
    /// The plays with the names of their hosts, in inventory order.
    pub plays: Vec<(Play, Vec<String>)>,
    /// Every host that a play names.
    pub hosts: Vec<Host>,
    /// The variables.
    pub world: Arc<World>,
    /// What a run before has done of it.
    pub past: Past,
    /// How to run.
    pub options: Options,
}

/// How a run is done.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What the run is called.
    pub id: RunId,
    /// Change nothing, say what would change.
    pub check: bool,
    /// Bring back contents, so that changes can be shown.
    pub diff: bool,
    /// How many hosts work at the same time.
    pub forks: usize,
    /// Whose rights tasks use when the playbook does not say.
    pub privilege: Privilege,
    /// The password for `sudo`.
    pub become_password: Option<String>,
    /// What is sent holds nothing that others on the host may not see, as with `ssh HOST COMMAND`: it may travel in
    /// the request for a shell, which spares a round trip.
    pub public: bool,
    /// Nothing that may change something is sent before [`Event::Acting`] was let go by all who hear of it.
    pub announces: bool,
    /// What a task says is the result, so that it may not be cut short.
    pub shows: bool,
    /// What must not leave the process.
    pub redactor: Redactor,
    /// The lock to take on every host, for a run that may change something.
    pub lock: Option<Lock>,
}

/// Which tasks of a playbook run.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Only tasks with one of these tags; all if empty.
    pub tags: Vec<String>,
    /// No task with one of these tags.
    pub skip_tags: Vec<String>,
    /// Nothing before the task of this name.
    pub start_at: Option<String>,
}

impl Selection {
    /// Keeps of each play the tasks that run, and drops plays without any.
    pub fn apply(&self, plays: Vec<(Play, Vec<String>)>) -> Vec<(Play, Vec<String>)> {
        let mut waiting = self.start_at.clone();
        plays
            .into_iter()
            .map(|(mut play, hosts)| {
                play.tasks.retain(|task| {
                    if waiting.as_ref().is_some_and(|name| *name == task.title()) {
                        waiting = None;
                    }
                    waiting.is_none() && self.takes(&task.tags)
                });
                (play, hosts)
            })
            .filter(|(play, hosts)| !play.tasks.is_empty() && !hosts.is_empty())
            .collect()
    }

    /// Whether a task with these tags runs. `always` and `never` mean what they mean in Ansible.
    pub fn takes(&self, tags: &[String]) -> bool {
        let has = |wanted: &String| match wanted.as_str() {
            "all" => true,
            "tagged" => !tags.is_empty(),
            "untagged" => tags.is_empty(),
            _ => tags.contains(wanted),
        };
        let word = |word: &str| tags.iter().any(|tag| tag == word);
        if self.skip_tags.iter().any(has) {
            return false;
        }
        let named = self.tags.iter().any(|tag| tag != "all" && has(tag));
        if word("never") {
            return named;
        }
        self.tags.is_empty() || word("always") || self.tags.iter().any(has)
    }
}

/// What is the same for everything in a run.
struct Context {
    world: Arc<World>,
    transport: Arc<dyn Transport>,
    events: mpsc::UnboundedSender<Moment>,
    options: Options,
    past: Past,
    terms: Terms,
    places: Semaphore,
    /// The files that are being sent.
    sources: transfer::Sources,
    locks: Arc<Locks>,
    /// What the operator was warned of.
    warned: Mutex<HashSet<String>>,
}

impl Context {
    fn send(&self, event: Event) {
        // A screen that is gone must not end the run.
        let moment = self.options.redactor.moment(event.into());
        self.events.send(moment).ok();
    }

    /// Tells the operator once.
    fn warn(&self, message: String) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.insert(message.clone()) {
            self.send(Event::Warning { message });
        }
    }

    /// Tells what the operator has to know of the tasks that were filled in.
    fn tell_warnings(&self) {
        for message in self.world.take_warnings() {
            self.warn(message);
        }
    }

    fn stopping(&self) -> bool {
        *self.terms.stop.borrow()
    }

    /// Why the whole run may begin nothing more, if so.
    fn over(&self) -> Option<Early> {
        if self.stopping() {
            return Some(Early::Stopped);
        }
        self.locks.refused().then_some(Early::Locked)
    }
}

/// Runs every play. Ends early, but in order, once `stop` becomes true. Dropped before its end it says what it leaves on each host.
pub async fn run(
    run: Run,
    transport: Arc<dyn Transport>,
    events: mpsc::UnboundedSender<Moment>,
    stop: watch::Receiver<bool>,
) {
    let started = Instant::now();
    let lock = run.options.lock.as_ref();
    let locks = Arc::new(Locks::new(lock.is_some()));
    // Everyone on the host can read it.
    let what = run.options.redactor.text(&run.name).into_owned();
    let context = Arc::new(Context {
        world: run.world,
        transport,
        events,
        terms: Terms {
            become_password: (run.options.become_password.clone())
                .map(|text| Arc::new(Password::new(text))),
            stop,
            leaving: watch::Sender::new(0),
            public: run.options.public,
            redactor: run.options.redactor.clone(),
            lock: lock.map(|lock| Key::new(lock, &run.options.id, &what, &locks)),
        },
        locks,
        places: Semaphore::new(run.options.forks.clamp(1, Semaphore::MAX_PERMITS)),
        options: run.options,
        past: run.past,
        sources: transfer::Sources::default(),
        warned: Mutex::default(),
    });
    let plays: Vec<(Arc<Play>, Vec<String>)> = (run.plays.into_iter())
        .map(|(play, names)| (Arc::new(play), names))
        .collect();
    let names: Vec<String> = run.hosts.iter().map(|host| host.name.clone()).collect();
    context.send(Event::RunStarted {
        id: context.options.id.clone(),
        name: run.name,
        hosts: names.clone(),
        plays: plays.len(),
        check: context.options.check,
    });
    context.tell_warnings();
    let all: Vec<Arc<HostRun>> = (run.hosts.into_iter())
        .map(|host| Arc::new(HostRun::new(host, context.clone())))
        .collect();
    let hosts: HashMap<String, Arc<HostRun>> = (all.iter())
        .map(|host| (host.name().to_owned(), host.clone()))
        .collect();
    let mut abandon = Abandon {
        context: context.clone(),
        hosts: all.clone(),
        plays: plays.clone(),
        started,
        ended: false,
    };
    if let Some(wait) = context.options.lock.as_ref().and_then(|lock| lock.wait) {
        lock::take_all(&context, &all, wait).await;
    }
    let mut fatal = false;
    for (index, (play, names)) in plays.into_iter().enumerate() {
        let hosts: Vec<_> = names
            .iter()
            .filter_map(|name| hosts.get(name).cloned())
            .collect();
        if context.over().is_some() && !fatal {
            play::leave_out(&context, index, &play, &hosts);
        } else if !fatal {
            fatal = play::run(&context, index, play, hosts).await;
        }
    }
    context.locks.tell(&context, &names, false);
    // A connection that is closed takes the shells along that have not left yet, and the services that they started.
    let mut leaving = context.terms.leaving.subscribe();
    let left = leaving.wait_for(|count| *count == 0);
    tokio::time::timeout(Duration::from_secs(1), left)
        .await
        .ok();
    close(&all).await;
    abandon.ended = true;
    context.send(Event::RunFinished {
        took: started.elapsed(),
    });
}

/// Says goodbye to every host, all at once.
async fn close(hosts: &[Arc<HostRun>]) {
    let mut closing = tokio::task::JoinSet::new();
    for host in hosts {
        let host = host.clone();
        closing.spawn(async move { host.close().await });
    }
    while closing.join_next().await.is_some() {}
}
