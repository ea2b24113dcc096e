//! Events without secrets. Names of hosts stay: they stand in the inventory, and everything goes by them.

use super::Redactor;
use crate::event::{Event, Moment, Outcome, SHOWN_LINE, TaskId, TurnResult};
use std::borrow::Cow;

impl Redactor {
    /// Takes the secrets out of an event.
    pub fn moment(&self, mut moment: Moment) -> Moment {
        if !self.is_empty() {
            self.event(&mut moment.event);
        }
        moment
    }

    fn event(&self, event: &mut Event) {
        match event {
            Event::RunStarted { name, .. } | Event::PlayStarted { name, .. } => self.string(name),
            Event::TaskStarted { task, .. } | Event::TaskRetry { task, .. } => self.task(task),
            Event::TaskOutput { line, .. } => match line.len() >= SHOWN_LINE {
                true => *line = self.beginning(line).into(),
                false => {
                    if let Cow::Owned(clean) = self.line(line) {
                        *line = clean.into();
                    }
                }
            },
            Event::TaskFinished { task, outcome, .. } => {
                self.task(task);
                self.outcome(outcome);
            }
            Event::HostLost { message, help, .. } => {
                self.string(message);
                help.iter_mut().for_each(|line| self.string(line));
            }
            Event::Warning { message } => self.string(message),
            Event::Locked { holder, .. } => {
                let texts = [&mut holder.what, &mut holder.by, &mut holder.owner];
                texts.into_iter().for_each(|text| self.string(text));
            }
            Event::TurnFinished { task, result, .. } => {
                self.task(task);
                self.turn(result);
            }
            Event::Connecting { .. }
            | Event::Acting { .. }
            | Event::Connected { .. }
            | Event::Exchanged { .. }
            | Event::Transfer { .. }
            | Event::Barrier { .. }
            | Event::PlayFinished { .. }
            | Event::Interrupted { .. }
            | Event::RunFinished { .. } => {}
        }
    }

    fn task(&self, task: &mut TaskId) {
        self.string(&mut task.name);
        task.item.iter_mut().for_each(|item| self.string(item));
    }

    /// What is kept for a later run is withheld as a whole: with a part of it replaced it would be something else.
    fn turn(&self, result: &mut TurnResult) {
        let TurnResult {
            status: _,
            message,
            item,
            value,
        } = result;
        self.string(message);
        item.take_if(|item| self.holds_value(item));
        value.take_if(|(value, facts)| {
            self.holds_value(value) || facts.values().any(|fact| self.holds_value(fact))
        });
    }

    fn outcome(&self, outcome: &mut Outcome) {
        let Outcome {
            status: _,
            module: _,
            message,
            help,
            shown,
            diff,
            command,
            code: _,
            stdout,
            stderr,
            place: _,
            result,
            produced,
            took: _,
            rest,
            dropped,
        } = outcome;
        // What has a rest was cleaned together with it.
        for (start, rest) in [(&mut *stdout, &rest.stdout), (&mut *stderr, &rest.stderr)] {
            if *dropped > 0 && rest.is_empty() {
                *start = self.beginning(start);
            }
        }
        for (_, value) in produced {
            value.take_if(|value| self.holds_value(value));
        }
        self.string(message);
        if let Some(diff) = diff
            && let Some(clean) = self.former(&diff.before, &diff.after)
        {
            diff.before = clean;
        }
        let diffs = diff
            .iter_mut()
            .flat_map(|diff| [&mut diff.name, &mut diff.before, &mut diff.after]);
        let texts = shown.iter_mut().chain(command).chain(help).chain(diffs);
        texts.for_each(|text| self.string(text));
        self.vector(stdout);
        self.vector(stderr);
        self.map(result);
    }
}
