//! Writes down what happens, on its way from the engine to the screen.

use super::folder::Folder;
use super::line;
use super::record::{End, Header, Record};
use crate::diagnostic::cause;
use crate::event::{Event, Moment, Receipt};
use crate::report::{Report, STATUSES};
use crate::run_id::RunId;
use serde::Serialize;
use std::fs::File;
use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// So many events are written together at most.
const BATCH: usize = 256;

/// A journal that is written.
pub struct Writer {
    folder: Folder,
    run: RunId,
    file: File,
    began: Instant,
    /// The number of the next line.
    next: u64,
    /// Lines that are not written yet.
    lines: Vec<u8>,
    report: Report,
}

/// As [`Record::Event`], without owning it.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Happened<'a> {
    Event(&'a Event),
}

impl Writer {
    /// Begins the journal of a run, with what a run before has done already.
    ///
    /// # Errors
    ///
    /// Why it can't be written, in a few words with its path.
    pub fn begin(folder: Folder, header: Header, before: Vec<Record>) -> Result<Self, String> {
        let run = header.id.clone();
        let failed = |error: io::Error| format!("{}: {}", folder.path().display(), cause(&error));
        let file = folder.create(&run).map_err(failed)?;
        folder.prune();
        let mut writer = Self {
            folder: folder.clone(),
            run,
            file,
            began: Instant::now(),
            next: 0,
            lines: Vec::new(),
            report: Report::new(),
        };
        writer.note(Duration::ZERO, &Record::Run(Box::new(header)));
        for record in &before {
            writer.note(Duration::ZERO, record);
        }
        if let Err(error) = writer.flush() {
            writer.folder.spoil(&writer.run);
            return Err(failed(error));
        }
        Ok(writer)
    }

    /// Puts itself before a screen: what is sent to the answer is written down and passed on. It ends, like the screen,
    /// when every sender is gone.
    ///
    /// # Errors
    ///
    /// The system has no thread to spare.
    pub fn before(self, screen: UnboundedSender<Moment>) -> io::Result<UnboundedSender<Moment>> {
        let (events, heard) = unbounded_channel();
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || self.follow(heard, &screen))?;
        Ok(events)
    }

    fn follow(mut self, mut heard: UnboundedReceiver<Moment>, screen: &UnboundedSender<Moment>) {
        // The name of a new file is as little on the disk as what is in it. Nothing waits for this but the first change.
        let mut unsynced = true;
        let mut broken = false;
        let mut news = Vec::new();
        while heard.blocking_recv_many(&mut news, BATCH) > 0 {
            let mut receipts = Vec::new();
            let mut over = false;
            for mut moment in news.drain(..) {
                if let Event::Acting { receipt, .. } = &mut moment.event {
                    receipts.push(std::mem::take(receipt));
                }
                over |= matches!(moment.event, Event::RunFinished { .. });
                if !broken {
                    self.hear(&moment);
                }
                // The screen must not wait for a disk.
                screen.send(moment).ok();
            }
            if broken {
                continue;
            }
            let mut written = self.flush();
            if written.is_ok() && (!receipts.is_empty() || over) {
                written = self.sync(std::mem::take(&mut unsynced));
            }
            if let Err(error) = written {
                broken = true;
                self.folder.spoil(&self.run);
                let message = format!(
                    "the journal can't be written any more ({}): this run can't be resumed",
                    cause(&error)
                );
                screen.send(Event::Warning { message }.into()).ok();
            }
            drop::<Vec<Receipt>>(receipts);
        }
    }

    /// Notes what belongs into a journal.
    fn hear(&mut self, moment: &Moment) {
        let at = moment.at.saturating_duration_since(self.began);
        self.report.event(&moment.event);
        // How far a file is, and what a command has said so far, is of no use later.
        if matches!(
            moment.event,
            Event::Transfer { .. } | Event::TaskOutput { .. }
        ) {
            return;
        }
        self.note(at, &Happened::Event(&moment.event));
        if matches!(moment.event, Event::RunFinished { .. }) {
            let end = end(&self.report);
            self.note(at, &Record::End(end));
        }
    }

    fn note(&mut self, at: Duration, record: &impl Serialize) {
        if line::write(self.next, at, record, &mut self.lines).is_ok() {
            self.next += 1;
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = self.file.write_all(&self.lines);
        self.lines.clear();
        written
    }

    /// Waits until everything written is on the disk; with its name in the folder.
    fn sync(&self, name: bool) -> io::Result<()> {
        self.file.sync_data()?;
        if name {
            File::open(self.folder.path())?.sync_all()?;
        }
        Ok(())
    }
}

fn end(report: &Report) -> End {
    let totals = report.totals();
    let counted = |status| (totals.get(status) > 0).then(|| (status, totals.get(status)));
    End {
        name: report.name().to_owned(),
        took: report.took(),
        exit_code: report.exit_code(),
        signal: report.signal().map(str::to_owned),
        hosts: report.hosts().len(),
        totals: STATUSES.into_iter().filter_map(counted).collect(),
        unfinished: report.unfinished().len(),
    }
}
