//! A renderer at work, and questions in between.

use super::Renderer;
use crate::event::Moment;
use crate::report::Report;
use std::io::{self, Write};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

/// Where the engine sends what happened.
pub type Events = UnboundedSender<Moment>;

/// How often a renderer may redraw what moves without events.
const TICK: Duration = Duration::from_millis(100);

/// So many events are shown before the time is looked at again.
const BATCH: usize = 256;

/// A renderer at work on its own thread.
pub struct Screen {
    thread: thread::JoinHandle<Report>,
    pause: Pause,
}

impl Screen {
    /// Starts a renderer, and the report of a run that has not begun. It ends when every sender of events is gone.
    ///
    /// # Errors
    ///
    /// The system has no thread or timer to spare.
    pub fn spawn(renderer: Box<dyn Renderer>, report: Report) -> io::Result<(Events, Self)> {
        let (events, receiver) = unbounded_channel();
        let (pause, questions) = unbounded_channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()?;
        let thread = thread::Builder::new()
            .name("screen".to_owned())
            .spawn(move || runtime.block_on(show(renderer, report, receiver, questions)))?;
        let pause = Pause(pause);
        Ok((events, Self { thread, pause }))
    }

    /// What a question to the operator needs.
    pub fn pause(&self) -> Pause {
        self.pause.clone()
    }

    /// Waits until everything has been shown. Every sender must have been dropped before.
    ///
    /// # Errors
    ///
    /// The renderer itself came to an end by a defect.
    pub fn join(self) -> io::Result<Report> {
        let defect = |_| io::Error::other("the screen's thread ended by a defect");
        self.thread.join().map_err(defect)
    }
}

/// Clears the terminal of what moves while the operator is asked something.
#[derive(Clone)]
pub struct Pause(UnboundedSender<Question>);

/// A question that wants the terminal for itself.
struct Question {
    /// Told once nothing moves any more.
    clear: mpsc::Sender<()>,
    /// Its other end is gone once there is an answer.
    answered: oneshot::Receiver<()>,
}

impl Pause {
    /// Asks on a clean terminal. Blocks, also while another question stands.
    ///
    /// What happens meanwhile is told after the answer; or without one, when the run is over.
    pub fn during<T>(&self, ask: impl FnOnce() -> T) -> T {
        let (clear, cleared) = mpsc::channel();
        let (answer, answered) = oneshot::channel();
        // Without a screen there is nothing to clear, and both fail at once.
        if self.0.send(Question { clear, answered }).is_ok() {
            cleared.recv().ok();
        }
        let told = ask();
        drop(answer);
        told
    }
}

/// Feeds a renderer and a report until the events end.
async fn show(
    mut renderer: Box<dyn Renderer>,
    mut report: Report,
    mut events: UnboundedReceiver<Moment>,
    mut questions: UnboundedReceiver<Question>,
) -> Report {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut over = false;
    while !over {
        let mut news = Vec::new();
        tokio::select! {
            biased;
            Some(question) = questions.recv() => {
                renderer.pause();
                question.clear.send(()).ok();
                over = meanwhile(question.answered, &mut events, &mut news).await;
            }
            _ = ticks.tick() => renderer.tick(),
            count = events.recv_many(&mut news, BATCH) => over = count == 0,
        }
        for moment in news {
            report.moment(&moment);
            renderer.event(&moment.event);
        }
    }
    renderer.finish(&report);
    report
}

/// Collects what happens until there is an answer. True: the run is over.
async fn meanwhile(
    mut answered: oneshot::Receiver<()>,
    events: &mut UnboundedReceiver<Moment>,
    news: &mut Vec<Moment>,
) -> bool {
    loop {
        tokio::select! {
            biased;
            _ = &mut answered => return false,
            event = events.recv() => match event {
                Some(event) => news.push(event),
                None => {
                    // The question stands on an unfinished line.
                    io::stderr().write_all(b"\n").ok();
                    return true;
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use std::sync::{Arc, Mutex};

    /// Notes what it is asked to do.
    #[derive(Clone, Default)]
    struct Notes(Arc<Mutex<Vec<String>>>);

    impl Notes {
        fn note(&self, text: &str) {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }

    impl Renderer for Notes {
        fn event(&mut self, event: &Event) {
            if let Event::Warning { message } = event {
                self.note(message);
            }
        }

        fn pause(&mut self) {
            self.note("pause");
        }

        fn finish(&mut self, _: &Report) {
            self.note("finish");
        }
    }

    fn warning(message: &str) -> Moment {
        let message = message.to_owned();
        Event::Warning { message }.into()
    }

    #[test]
    fn what_happens_during_a_question_is_told_after_it() {
        let notes = Notes::default();
        let (events, screen) = Screen::spawn(Box::new(notes.clone()), Report::new()).unwrap();
        let answer = screen.pause().during(|| {
            events.send(warning("meanwhile")).unwrap();
            notes.note("question");
            42
        });
        assert_eq!(answer, 42);
        drop(events);
        screen.join().unwrap();
        let told = ["pause", "question", "meanwhile", "finish"];
        assert_eq!(*notes.0.lock().unwrap(), told);
    }

    #[test]
    fn a_question_without_an_answer_does_not_hold_up_the_end() {
        let notes = Notes::default();
        let (events, screen) = Screen::spawn(Box::new(notes.clone()), Report::new()).unwrap();
        let pause = screen.pause();
        let (release, released) = mpsc::channel::<()>();
        let (asking, asked) = mpsc::channel();
        let question = thread::spawn(move || {
            pause.during(|| {
                asking.send(()).unwrap();
                released.recv().ok();
            });
        });
        asked.recv().unwrap();
        events.send(warning("interrupted")).unwrap();
        drop(events);
        screen.join().unwrap();
        assert_eq!(*notes.0.lock().unwrap(), ["pause", "interrupted", "finish"]);
        drop(release);
        question.join().unwrap();
    }

    #[test]
    fn a_question_after_the_end_is_asked_all_the_same() {
        let (events, screen) = Screen::spawn(Box::new(Notes::default()), Report::new()).unwrap();
        let pause = screen.pause();
        drop(events);
        screen.join().unwrap();
        assert_eq!(pause.during(|| 1), 1);
    }
}
