//! What a run before has done already, so that this one goes on from there.

use super::host::HostRun;
use super::question::Aside;
use crate::event::{Event, Receipt, TurnResult};
use crate::run_id::RunId;
use serde_json::Value;
use std::collections::HashMap;

/// What a run before has done. The values that it has registered are in the [`World`](crate::vars::World) already.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// The run, for the operator.
    pub run: Option<RunId>,
    /// By host, play and task: what need not be done again. Handlers count on behind the tasks.
    pub tasks: HashMap<String, HashMap<(usize, usize), Before>>,
    /// The host on which a play with `once` has begun: it goes on there and nowhere else.
    pub once: HashMap<usize, String>,
}

/// What has been done of a task on a host.
#[derive(Debug, Clone, Default)]
pub struct Before {
    /// All of it: it does not run again.
    pub finished: bool,
    /// It changed something: handlers are notified.
    pub changed: bool,
    /// These turns of its loop.
    pub turns: HashMap<usize, TurnResult>,
}

impl Past {
    /// What has been done of a task.
    pub(super) fn of(&self, host: &str, play: usize, task: usize) -> Option<&Before> {
        self.tasks.get(host)?.get(&(play, task))
    }
}

impl Before {
    /// A turn of a loop that was done, for this very item.
    pub(super) fn turn(&self, turn: usize, item: Option<&Value>) -> Option<&TurnResult> {
        let done = self.turns.get(&turn)?;
        // What is withheld can't be compared: the playbook is the same, so the item is.
        let same = done.item.is_none() || done.item.as_ref() == item;
        same.then_some(done)
    }
}

impl HostRun {
    /// Tells what a message may change before it is sent, and waits until that is noted.
    pub(super) async fn announce(
        &self,
        play: usize,
        begins: Option<(usize, usize)>,
        beside: &[Aside],
    ) {
        if !self.context.options.announces {
            return;
        }
        let early = beside.iter().filter_map(|aside| match aside {
            Aside::Act(early) => Some(early.turn),
            Aside::Ask(..) | Aside::Run(_) => None,
        });
        let turns: Vec<_> = begins.into_iter().chain(early).collect();
        if turns.is_empty() {
            return;
        }
        let (receipt, noted) = Receipt::new();
        self.context.send(Event::Acting {
            host: self.name().to_string(),
            play,
            turns,
            receipt,
        });
        let mut stop = self.context.terms.stop.clone();
        tokio::select! {
            // Nobody sends anything through it: it ends with the last copy of the receipt.
            _ = noted => {}
            // What is asked to stop now is not sent any more.
            _ = stop.wait_for(|stop| *stop) => {}
        }
    }
}
