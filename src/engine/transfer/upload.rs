//! Files to hosts.

use super::super::exchange::{GONE_WITHIN, Trouble};
use super::super::heartbeat;
use super::super::shell;
use super::course::{Course, Sample};
use super::source::{PIECE, Source, Wire};
use super::{Error, Progress, WAIT, Way, collect, last_line};
use crate::event::Transfer;
use crate::shell::quote;
use crate::transport::Exit;
use std::num::NonZero;
use std::ops::Range;
use std::sync::Arc;
use std::thread::available_parallelism;
use tokio::time::{Instant, timeout};

/// The exit code of a host that was sent compressed bytes and has no `gzip`.
const NO_GZIP: i32 = 93;

/// Goes on only in a folder that we have made ourselves: what is in there nobody else has put there.
const OURS: &str = r#"[ -d "$k" ] && [ ! -L "$k" ] && [ -O "$k" ] || { echo "it is there and not a folder of this user" >&2; exit 1; }"#;

/// Removes what has arrived, and the folder.
const REMOVE: &str = r#"rm -f -- "$t"; rmdir -- "$k""#;

/// A file to send.
pub(in super::super) struct Upload<'a> {
    /// What to send.
    pub source: Arc<Source>,
    /// The file on the host, which gets mode 0600, in a folder that has nothing else and is made for it.
    pub to: &'a str,
    /// Go on behind what is there, and leave there what has arrived when the link breaks. Otherwise the folder must be new,
    /// and a transfer that is cut leaves nothing behind.
    pub resume: bool,
}

/// Sends a file, in one or more parts.
pub(in super::super) async fn upload(
    way: &Way<'_>,
    upload: &Upload<'_>,
    tell: &mut (dyn FnMut(Transfer) + Send),
) -> Result<(), Error> {
    let result = parts(way, upload, tell).await;
    if let (Err(Error::Failed(_)), true) = (&result, upload.resume) {
        // Only a broken link is worth going on after: a source that has changed has another name the next time.
        upload.remove(way).await;
    }
    result
}

async fn parts(
    way: &Way<'_>,
    upload: &Upload<'_>,
    tell: &mut (dyn FnMut(Transfer) + Send),
) -> Result<(), Error> {
    let size = upload.source.size();
    let mut at = match upload.resume {
        true => upload.present(way).await?,
        false => 0,
    };
    if upload.resume && size > 0 && at == size {
        return Ok(());
    }
    let mut progress = Progress::new(tell, at, Some(size));
    let mut course = Course::new();
    loop {
        let end = course.end(at, size);
        let begun = Instant::now();
        let part = upload
            .part(way, at..end, course.wire, &mut progress)
            .await?;
        match part {
            Part::Arrived { sent } => {
                course.learn(end - at, sent, begun.elapsed());
                at = end;
            }
            Part::NoGzip => course.without_gzip(),
        }
        if at >= size {
            progress.end();
            return Ok(());
        }
        let sample = match course.asks_for_sample() {
            true => Some(upload.sample(at).await?),
            false => None,
        };
        course.choose(sample);
    }
}

pub(super) enum Part {
    /// It is there, for so many bytes on the link.
    Arrived { sent: u64 },
    /// The host cannot decompress; nothing has changed.
    NoGzip,
}

impl Upload<'_> {
    fn names(&self) -> String {
        let folder = self.to.rsplit_once('/').map_or(".", |(folder, _)| folder);
        format!("t={}\nk={}\n", quote(self.to), quote(folder))
    }

    /// How much of the file a host has from before, down to the beginning of a piece.
    async fn present(&self, way: &Way<'_>) -> Result<u64, Error> {
        let size = self.source.size();
        let script = format!(
            "{}[ -e \"$k\" ] || [ -L \"$k\" ] || {{ echo 0; exit 0; }}\n{OURS}\n\
             [ -e \"$t\" ] || {{ echo 0; exit 0; }}\n\
             n=$(wc -c <\"$t\") || exit\n\
             [ \"$n\" -le {size} ] || {{ rm -f -- \"$t\" || exit; n=0; }}\n\
             echo $n",
            self.names()
        );
        let mut process = way.open(&script).await?;
        process.input.end().await.ok();
        let ended = tokio::select! {
            biased;
            over = way.over() => return Err(Error::Trouble(over)),
            ended = collect(process.output) => ended,
        };
        self.confirm(ended.exit.as_ref(), &ended.complaint, ended.ending)?;
        let count = String::from_utf8_lossy(&ended.said).trim().parse::<u64>();
        let count = count.map_err(|_| Error::Failed(format!("cannot look at {}", self.to)))?;
        Ok(match count == size {
            true => size,
            false => count / PIECE * PIECE,
        })
    }

    /// Removes what has arrived, if it is ours.
    async fn remove(&self, way: &Way<'_>) {
        let script = format!("{}{OURS}\n{REMOVE}", self.names());
        if let Ok(mut process) = way.open(&script).await {
            process.input.end().await.ok();
            timeout(GONE_WITHIN, collect(process.output)).await.ok();
        }
    }

    /// The script that takes a part. It writes where the part belongs, whatever is there already: should the shell of a
    /// broken connection still write, then it is the same bytes to the same place.
    fn script(&self, part: &Range<u64>, wire: Wire, watchdog: &str) -> String {
        let size = self.source.size();
        let seek = part.start / PIECE;
        let mut script = format!("{}umask 077\n", self.names());
        if wire == Wire::Gzip {
            script.push_str(&format!(
                "command -v gzip >/dev/null 2>&1 || exit {NO_GZIP}\n"
            ));
        }
        let take = match wire {
            Wire::Plain => "cat",
            Wire::Gzip => "gzip -dc",
        };
        // The reader stands beside its shell, so that the watchdog can end it. Without a word it would read nothing there.
        script.push_str("exec 3<&0\n");
        if part.start == 0 && !self.resume {
            // In a folder that is new nobody else has put anything.
            script.push_str(&format!("mkdir -- \"$k\" || exit\n{take} <&3 >\"$t\" &\n"));
        } else {
            if part.start == 0 {
                script.push_str(&format!(
                    "[ -d \"$k\" ] || mkdir -- \"$k\" || exit\n{OURS}\n"
                ));
            }
            // `dd` copies nothing here: it only moves to the place, which the next command finds.
            script.push_str(&format!(
                "{{ {{ [ ! -L \"$t\" ] && [ \"$t\" -ef /proc/self/fd/1 ]; }} || {{ echo 'another file is there now' >&2; exit 1; }}\n\
                 dd bs={PIECE} seek={seek} count=0 conv=notrunc 2>/dev/null && exec {take} <&3; }} 1<>\"$t\" &\n"
            ));
        }
        // What a shell says of those that were ended is no cause.
        script.push_str(&format!(
            "rn_p=$! rn_t= rn_m=; exec 3<&- 4>&2 >/dev/null 2>&1\n{watchdog}\n{WAIT}\n[ -z \"$rn_t\" ] || kill $rn_t\n"
        ));
        // A link that breaks in the middle of compressed bytes, or carries none, is no reason to give up what has arrived.
        let remove = match (self.resume, wire) {
            (true, Wire::Gzip) => String::new(),
            (true, Wire::Plain) => format!("[ -n \"$rn_m\" ] || {{ {REMOVE}; }}; "),
            _ => format!("{REMOVE}; "),
        };
        script.push_str(&format!(
            "[ $rn_c$rn_m = 0 ] || {{ {remove}exit ${{rn_m:-$rn_c}}; }}\n"
        ));
        let (test, short) = match self.resume {
            true => ("-ge", String::new()),
            false => ("-eq", format!("{REMOVE}; ")),
        };
        script.push_str(&format!(
            "n=$(wc -c <\"$t\"); [ \"$n\" {test} {} ] || {{ {short}echo \"only $n of {size} bytes arrived\" >&4; exit 1; }}",
            part.end,
        ));
        script
    }

    /// Sends a part, which begins at a multiple of [`PIECE`].
    pub(super) async fn part(
        &self,
        way: &Way<'_>,
        part: Range<u64>,
        wire: Wire,
        progress: &mut Progress<'_>,
    ) -> Result<Part, Error> {
        let heartbeat = way.connection.heartbeat();
        let lock = way.terms.lock.as_ref();
        let watchdog = heartbeat.map(|heartbeat| heartbeat::of_arrival(heartbeat, lock));
        let watchdog = watchdog.unwrap_or_default();
        let mut process = way.open(&self.script(&part, wire, &watchdog)).await?;
        let mut ended = tokio::spawn(collect(process.output));
        let (mut at, mut sent) = (part.start, 0);
        let mut why = None;
        while at < part.end {
            let piece = match self.source.piece(at, wire).await {
                Ok(piece) => piece,
                Err(error) => {
                    why = Some(Error::Failed(error));
                    break;
                }
            };
            let count = piece.len() as u64;
            let written = tokio::select! {
                biased;
                over = way.over() => {
                    why = Some(Error::Trouble(over));
                    break;
                }
                written = process.input.send(piece) => written,
            };
            if written.is_err() {
                break;
            }
            at = (at + PIECE).min(part.end);
            sent += count;
            progress.at(at, wire == Wire::Gzip);
        }
        // A part of a file is removed by the host itself, once its input has ended.
        process.input.end().await.ok();
        let lost = || Error::Trouble(Trouble::Lost("the connection was lost".into()));
        if why.is_none() {
            tokio::select! {
                biased;
                over = way.over() => why = Some(Error::Trouble(over)),
                result = &mut ended => {
                    let ended = result.map_err(|_| lost())?;
                    if wire == Wire::Gzip && ended.exit == Some(Exit::Code(NO_GZIP)) {
                        return Ok(Part::NoGzip);
                    }
                    self.confirm(ended.exit.as_ref(), &ended.complaint, ended.ending)?;
                    return Ok(Part::Arrived { sent });
                }
            }
        }
        let to = self.to;
        match timeout(GONE_WITHIN, ended).await {
            Ok(_) => Err(why.unwrap_or_else(lost)),
            Err(_) => Err(Error::Trouble(Trouble::Lost(match self.resume {
                true => format!("the host did not confirm that it takes no more of {to}"),
                false => format!("the host did not confirm that {to} is gone"),
            }))),
        }
    }

    /// What became of a command that was heard to its end.
    fn confirm(
        &self,
        exit: Option<&Exit>,
        complaint: &[u8],
        ending: crate::transport::Ending,
    ) -> Result<(), Error> {
        match exit {
            None => Err(Error::Trouble(shell::lost(ending))),
            Some(Exit::Code(0)) => Ok(()),
            Some(Exit::Code(heartbeat::MISSED)) => Err(Error::Trouble(Trouble::Unheard)),
            Some(_) => Err(Error::Failed(format!(
                "cannot write {}: {}",
                self.to,
                last_line(complaint)
            ))),
        }
    }

    /// Compresses the piece that comes next, to see what that brings.
    async fn sample(&self, at: u64) -> Result<Sample, Error> {
        let begun = Instant::now();
        let packed = self.source.piece(at, Wire::Gzip).await;
        let packed = packed.map_err(Error::Failed)?.len() as u64;
        let cores = available_parallelism().map_or(1, NonZero::get);
        // Everyone who sends the file holds it.
        let hosts = Arc::strong_count(&self.source);
        Ok(Sample {
            plain: PIECE.min(self.source.size() - at),
            packed,
            took: begun.elapsed(),
            share: (hosts as f64 / cores as f64).max(1.0),
        })
    }
}
