//! Signs of life, so that a host notices by itself when a link swallows everything and closes nothing.
//!
//! Beside a shell that reads messages runs a watchdog. Every sign of life is a line on the shell's input: a shell that waits
//! for a message runs it, and one that is at work has somebody who reads on; both signal the watchdog. It costs the host one process
//! that sleeps, once for all messages of the shell. When no sign came for as long as the runner waits for one from a silent host, it
//! ends what runs there. Then the shell ends too, and gives its lock back.

use super::lock::Key;
use super::message;
use crate::transport::{Heartbeat, Input, Lost};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// With this code a shell ends that has heard nothing for too long.
pub(super) const MISSED: i32 = 78;

/// A sign of life. Who reads it at work need not understand it.
const SIGN: &[u8] = b"kill -USR1 $rn_t 2>/dev/null\n";

/// Waits until no signal came for so many hundredths of a second, and tells the shell. A look that is late by more than a second means
/// that the host itself stood still: then the signs that it has not come to read get two seconds more.
///
/// A signal to a process that was just born can be lost. So nobody waits for the watchdog to end: it sleeps two seconds at a time, and
/// goes when its shell is gone.
///
/// Before each sleep it may look for signs by itself.
const WATCH: &str = r#"rn_now() { read -r rn_y rn_x </proc/uptime && rn_y=${rn_y%.*}${rn_y#*.} || rn_y=$(date +%s)00; };
rn_bye() { kill -KILL $! ; exit 0; }; trap rn_bye TERM; rn_hear() { rn_now; rn_at=$rn_y; }; trap rn_hear USR1; rn_hear;
while :; do @LOOK@ rn_now; rn_k=$((rn_at + @LIMIT@ - rn_y));
if [ $rn_k -ge 100 ]; then kill -0 $$ || exit 0; [ $rn_k -lt 200 ] || rn_k=200; sleep $((rn_k / 100)) & while wait $! ; [ $? -gt 128 ] && kill -0 $! ; do :; done;
elif [ $rn_k -gt 0 ]; then sleep 0.1 || sleep 1;
elif [ $rn_k -lt -100 ]; then rn_at=$((rn_y - @LIMIT@ + 200));
else break; fi; done; trap "" TERM HUP INT USR1; kill -USR2 $$;"#;

/// Finds the child of the loop that reads a message or is about to. Without one for a while there is nothing to end: the loop is over,
/// and its shell waits for the watchdog.
const READER: &str = r#"read -r rn_me rn_x </proc/self/stat; rn_root= rn_n=0; while [ -z "$rn_root" ]; do
kill -0 $$ && [ $rn_n -lt 10 ] || exit 0; rn_n=$((rn_n + 1));
for rn_f in /proc/[0-9]*/stat; do rn_p=${rn_f#/proc/}; rn_p=${rn_p%/stat}; rn_fields "$rn_f"; set -- $rn_x;
case $2/$rn_p in "$$/$rn_me") ;; "$$/"*) rn_root=$rn_p ;; esac; done; [ -n "$rn_root" ] || sleep 0.1 || sleep 1; done;"#;

/// Who only takes the bytes of the file `t` has no ear for signs. Bytes that come are one; so is a reader, `rn_p`, that is at work, since
/// then it is the host that is slow. Where nothing comes, as from a source that stands still, another shell may have heard the runner.
const ARRIVALS: &str = r#"rn_z=$(LC_ALL=C ls -ln -- "$t"); [ "$rn_z" = "$rn_was" ] || { rn_was=$rn_z; rn_hear; };
if read -r rn_x </proc/$rn_p/stat; then case ${rn_x##*") "} in [DR]*) rn_hear ;; esac; fi;
rn_now; if [ $((rn_at + @LIMIT@ - rn_y)) -lt 100 ] && rn_others; then rn_at=$((rn_y + 100 - @LIMIT@)); fi;"#;

/// The watchdog of a loop of shells, whose number is in `rn_t`. One line.
pub(super) fn of_loop(heartbeat: Heartbeat) -> String {
    watchdog(heartbeat, ":;", &message::end(READER))
}

/// The same for a shell that has a single message.
pub(super) fn of_message(heartbeat: Heartbeat) -> String {
    watchdog(heartbeat, ":;", "rn_kill;")
}

/// The same for a shell that waits for the process `rn_p`.
pub(super) fn of_process(heartbeat: Heartbeat, lock: Option<&Key>) -> String {
    watchdog(heartbeat, ":;", &end_process(lock))
}

/// The same where that process takes the file `t`.
pub(super) fn of_arrival(heartbeat: Heartbeat, lock: Option<&Key>) -> String {
    let others = lock.map_or_else(|| "return 1;".to_string(), Key::hears);
    let watchdog = watchdog(heartbeat, ARRIVALS, &end_process(lock));
    format!("rn_was=; rn_others() {{ {others} }}; {watchdog}").replace('\n', " ")
}

fn end_process(lock: Option<&Key>) -> String {
    let quit = lock.map_or_else(String::new, Key::quit);
    format!("kill -TERM $rn_p; {quit}")
}

fn watchdog(heartbeat: Heartbeat, look: &str, end: &str) -> String {
    let limit = (heartbeat.limit.as_millis() / 10).max(1).to_string();
    let watch = WATCH.replace("@LOOK@", look).replace("@LIMIT@", &limit);
    let text = format!(
        "rn_m=; trap \"rn_m={MISSED}\" USR2; ( {watch} {end} ) </dev/null >/dev/null 2>&1 & rn_t=$! ;"
    );
    text.replace('\n', " ")
}

/// The input of a shell, with signs of life on it until it ends.
pub(super) fn beating(input: Box<dyn Input>, heartbeat: Option<Heartbeat>) -> Box<dyn Input> {
    let Some(Heartbeat { every, .. }) = heartbeat else {
        return input;
    };
    let input = Arc::new(Mutex::new(input));
    let beat = tokio::spawn(beat(input.clone(), every));
    Box::new(Beating { input, beat })
}

async fn beat(input: Arc<Mutex<Box<dyn Input>>>, every: Duration) {
    loop {
        sleep(every).await;
        if input.lock().await.write(SIGN).await.is_err() {
            return;
        }
    }
}

struct Beating {
    input: Arc<Mutex<Box<dyn Input>>>,
    beat: JoinHandle<()>,
}

impl Drop for Beating {
    fn drop(&mut self) {
        self.beat.abort();
    }
}

#[async_trait]
impl Input for Beating {
    async fn write(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        self.input.lock().await.write(bytes).await
    }

    async fn send(&mut self, bytes: Bytes) -> Result<(), Lost> {
        self.input.lock().await.send(bytes).await
    }

    async fn end(&mut self) -> Result<(), Lost> {
        // A sign that can't be sent would stand in the way.
        self.beat.abort();
        self.input.lock().await.end().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// The signs fail to come just when the loop has ended: its shell waits for a watchdog that finds nothing to end.
    #[test]
    fn a_loop_that_is_over_does_not_wait_for_ever() {
        let heartbeat = Heartbeat::new(Duration::from_millis(300));
        let text =
            of_loop(heartbeat) + " while [ -z \"$rn_m\" ]; do :; done; wait $rn_t; echo $rn_m";
        for shell in [&["dash"][..], &["bash"], &["busybox", "sh"]] {
            let mut command = Command::new("timeout");
            let said = command.arg("30").args(shell).args(["-c", &text]).output();
            let said = said.unwrap();
            assert_eq!(
                (said.status.code(), &said.stdout[..]),
                (Some(0), &b"78\n"[..]),
                "{shell:?} {}",
                String::from_utf8_lossy(&said.stderr)
            );
        }
    }
}
