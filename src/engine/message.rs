//! What travels to a host and back in one exchange: a script of steps, and the answers of the steps.
//!
//! The script arrives on the standard input of a plain `sh`, so nothing of it shows in a process list. It
//! starts a watcher that ends the whole process group when that input ends, which is what happens when the
//! connection is lost or the runner goes away. Each step ends with a marker line on both streams; the
//! markers hold a random word, so no output can be mistaken for one.

use crate::modules::Script;
use crate::shell::{PRELUDE, quote};
use memchr::memmem;
use std::hash::{BuildHasher, Hasher};

/// At most this much of a step's output is kept, on each stream.
pub const KEPT: usize = 16 * 1024 * 1024;

/// With this code a message's `sh` ends when the next one may follow.
pub const AGAIN: i32 = 77;

/// One step of an exchange.
#[derive(Debug, Clone)]
pub struct Step {
    /// What to run.
    pub script: Script,
    /// Environment variables, exported for this step only.
    pub env: Vec<(String, String)>,
    /// The steps behind it run only if it succeeds.
    pub needed: bool,
    /// What it prints is for the operator, line by line while it runs. The answer to a question is not.
    pub live: bool,
    /// A shell pattern for the answer to a question: what matches it calls for no change.
    pub settled: Option<String>,
    /// It runs only if no question before it calls for a change, as far as the host can tell, and all before it went well.
    pub guarded: bool,
}

/// The code of a guarded step that did not run.
pub const HELD_BACK: i64 = -2;

/// A random word that marks the ends of steps.
pub fn nonce() -> String {
    // The standard library seeds each of these from the system.
    let word = || {
        std::collections::hash_map::RandomState::new()
            .build_hasher()
            .finish()
    };
    format!("rn-{:016x}{:016x}", word(), word())
}

/// The text for `sh`. `last` is the session of the message before in the same shell: where something still runs in it,
/// which could speak into the answers, this one refuses.
pub fn script(nonce: &str, steps: &[Step], last: Option<i64>) -> String {
    // The shell must have read everything before it runs anything: all of it is one function.
    text(nonce, steps, last, "\n")
}

/// The same as one line without anything that a login shell of another kind could take for something else, if there
/// is such a line.
pub fn line(nonce: &str, steps: &[Step]) -> Option<String> {
    let plain = |step: &Step| {
        let values = step.env.iter().map(|(_, value)| value);
        let mut texts = values.chain([&step.script.text]);
        !texts.any(|text| text.contains(['\n', '!', '#'])) && step.settled.is_none()
    };
    if !steps.iter().all(plain) || needs_prelude(steps) {
        return None;
    }
    Some(text(nonce, steps, None, " "))
}

fn needs_prelude(steps: &[Step]) -> bool {
    steps.iter().any(|step| step.script.text.contains("rn_"))
}

/// Every line ends where a blank would do as well; `end` stands behind each.
fn text(nonce: &str, steps: &[Step], last: Option<i64>, end: &str) -> String {
    let mut text = String::with_capacity(2048);
    let mut line = |words: &str| {
        text.push_str(words);
        text.push_str(end);
    };
    line("rn_main() {");
    if needs_prelude(steps) {
        line(PRELUDE);
    }
    line(&format!("rn_n={nonce};"));
    line(r#"rn_mark() { printf '\n%s %s %s\n' "$rn_n" "$1" "$2"; };"#);
    line(r#"rn_end() { rn_mark "$1" "$2"; rn_mark "$1" "$2" >&2; };"#);
    if let Some(last) = last {
        line(&format!(
            "if kill -0 -{last} 2>/dev/null; then rn_end refused 0; exit 0; fi;"
        ));
    }
    line("rn_l=$rn_s; unset rn_s; exec 3<&0 </dev/null;");
    line("( while read -r rn_line <&3; do :; done; trap '' TERM HUP INT;");
    line("kill -TERM 0; sleep 2; kill -KILL 0 ) >/dev/null 2>&1 &");
    // The trap stands behind the watcher, which could miss its own TERM if it were born with one.
    // The watcher goes before the last marker: the runner ends the input when it has seen that, and what the steps
    // left running on purpose must not be taken for a lost connection's.
    line("rn_w=$! ; rn_over= rn_held= rn_stats= rn_sums=; trap 'rn_over=1' TERM;");
    line("rn_rest() { { kill $rn_w; wait $rn_w; } 2>/dev/null; };");
    line(r#"rn_end "pid${rn_l:+-again}" $$;"#);
    let last_guarded = steps.iter().rposition(|step| step.guarded).unwrap_or(0);
    let first_question = steps.iter().take_while(|step| step.needed).count();
    for (index, step) in steps.iter().enumerate() {
        if index == first_question {
            gather(&steps[index..], &mut line);
        }
        let judged = index < last_guarded && !step.needed;
        run(step, judged, &mut line);
        let marker = format!("rn_end {index} $rn_c;");
        if index + 1 == steps.len() {
            line("rn_rest;");
        } else if step.needed {
            line(&format!(
                "if [ $rn_c != 0 ]; then rn_rest; {marker} exit {AGAIN}; fi;"
            ));
        }
        line(&marker);
    }
    line(&format!("exit {AGAIN};"));
    line("};");
    line("rn_main");
    text
}

/// Has one process look at what many questions are about.
fn gather(steps: &[Step], line: &mut impl FnMut(&str)) {
    // What a shell could take for something else is looked at by itself.
    let looks = || {
        let all = steps.iter().flat_map(|step| &step.script.looks);
        all.filter(|look| look.path.starts_with('/') && quote(&look.path) == look.path)
    };
    let mut list = |what: &str, paths: Vec<&str>| {
        if paths.len() > 1 {
            line(&format!("{what} {};", paths.join(" ")));
        }
    };
    let paths = |follow: bool| {
        let looks = looks().filter(|look| look.follow == follow);
        looks.map(|look| look.path.as_str()).collect()
    };
    list("rn_gather ''", paths(false));
    list("rn_gather -L", paths(true));
    let sums = looks().filter(|look| look.sum);
    list("rn_digest", sums.map(|look| look.path.as_str()).collect());
}

/// Runs one step and leaves its code in `rn_c`. `judged`: a guarded step depends on how it goes.
fn run(step: &Step, judged: bool, line: &mut impl FnMut(&str)) {
    let captured = step.settled.as_ref().filter(|_| judged && !step.guarded);
    if step.guarded {
        line("if [ -z \"$rn_held\" ]; then");
    }
    line(if captured.is_some() { "rn_o=$(" } else { "(" });
    line("exec 3<&-;");
    for (name, value) in &step.env {
        line(&format!("export {name}={};", quote(value)));
    }
    line(&step.script.text);
    // Asked to end, the shell itself stays until the step has: its own end tells that nothing is left.
    line("); rn_c=$?; if [ -n \"$rn_over\" ]; then exit 143; fi;");
    if let Some(pattern) = captured {
        line("[ -z \"$rn_o\" ] || printf '%s\\n' \"$rn_o\";");
        line(&format!(
            "case $rn_o in {pattern}) [ $rn_c = 0 ] ;; *) false ;; esac || rn_held=1;"
        ));
    } else if judged && step.guarded {
        line("[ $rn_c = 0 ] || rn_held=1;");
    } else if judged {
        line("rn_held=1;");
    }
    if step.guarded {
        line(&format!("else rn_c={HELD_BACK}; fi;"));
    }
}

/// What a step said on one stream, once it has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// Its exit code; for the first marker, the process id.
    pub code: i64,
    /// What it printed, up to [`KEPT`] bytes.
    pub bytes: Vec<u8>,
    /// How many bytes were dropped beyond that.
    pub dropped: u64,
}

/// Cuts one stream at the markers.
#[derive(Debug)]
pub struct Cutter {
    marker: Vec<u8>,
    pending: Vec<u8>,
    current: Said,
    /// What was said before the first marker: banners and the like, or why there is no shell.
    pub noise: Vec<u8>,
    /// The process id of the shell, once it has started.
    pub pid: Option<i64>,
    /// The shell takes another message after this one.
    pub again: bool,
    /// Nothing of the message was run.
    pub refused: bool,
    /// The steps that have ended, in order.
    pub done: Vec<Said>,
}

impl Cutter {
    /// For a stream of the exchange with this nonce.
    pub fn new(nonce: &str) -> Self {
        Self {
            marker: format!("\n{nonce} ").into_bytes(),
            pending: Vec::new(),
            current: Said::default(),
            noise: Vec::new(),
            pid: None,
            again: false,
            refused: false,
            done: Vec::new(),
        }
    }

    /// Takes the next bytes of the stream.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
        loop {
            let Some(start) = memmem::find(&self.pending, &self.marker) else {
                let keep = overlap(&self.pending, &self.marker);
                let plain = self.pending.len() - keep;
                let rest = self.pending.split_off(plain);
                let plain = std::mem::replace(&mut self.pending, rest);
                self.say(&plain);
                return;
            };
            let after = start + self.marker.len();
            let Some(length) = memchr::memchr(b'\n', &self.pending[after..]) else {
                return;
            };
            let words = String::from_utf8_lossy(&self.pending[after..after + length]).into_owned();
            let before: Vec<u8> = self
                .pending
                .drain(..after + length + 1)
                .take(start)
                .collect();
            self.say(&before);
            self.mark(&words);
        }
    }

    /// What the running step has said so far.
    pub fn running(&self) -> &[u8] {
        &self.current.bytes
    }

    fn say(&mut self, bytes: &[u8]) {
        if self.pid.is_none() {
            let room = 4096usize.saturating_sub(self.noise.len());
            self.noise
                .extend_from_slice(&bytes[..bytes.len().min(room)]);
            return;
        }
        let room = KEPT
            .saturating_sub(self.current.bytes.len())
            .min(bytes.len());
        self.current.bytes.extend_from_slice(&bytes[..room]);
        self.current.dropped += (bytes.len() - room) as u64;
    }

    fn mark(&mut self, words: &str) {
        let (what, code) = words.split_once(' ').unwrap_or((words, ""));
        let code = code.trim().parse().unwrap_or(-1);
        match what {
            "pid" | "pid-again" => {
                self.pid = Some(code);
                self.again = what == "pid-again";
                return;
            }
            "refused" => {
                self.refused = true;
                return;
            }
            _ => {}
        }
        let mut said = std::mem::take(&mut self.current);
        said.code = code;
        self.done.push(said);
    }
}

/// How many bytes at the end of a text could be the beginning of the marker.
fn overlap(text: &[u8], marker: &[u8]) -> usize {
    let longest = text.len().min(marker.len() - 1);
    (1..=longest)
        .rev()
        .find(|length| text.ends_with(&marker[..*length]))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::{Command, Stdio};

    fn run(shell: &[&str], steps: &[Step]) -> (Cutter, Cutter) {
        let nonce = nonce();
        let mut child = Command::new(shell[0])
            .args(&shell[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let text = script(&nonce, steps, None);
        let mut input = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut input, text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        drop(input);
        let mut out = Cutter::new(&nonce);
        out.feed(&output.stdout);
        let mut err = Cutter::new(&nonce);
        err.feed(&output.stderr);
        (out, err)
    }

    fn step(text: &str) -> Step {
        Step {
            script: Script::new(text),
            env: vec![("GREETING".into(), "it's".into())],
            needed: false,
            live: true,
            settled: None,
            guarded: false,
        }
    }

    #[test]
    fn each_step_has_its_own_output_and_code() {
        for shell in [&["dash"][..], &["bash"], &["busybox", "sh"]] {
            if Command::new(shell[0])
                .arg("-c")
                .arg(":")
                .stdin(Stdio::null())
                .output()
                .is_err()
            {
                eprintln!("SKIPPED: {} is not installed", shell[0]);
                assert!(std::env::var_os("CI").is_none());
                continue;
            }
            let (out, err) = run(
                shell,
                &[
                    step("printf one; echo oops >&2; exit 3"),
                    step("cat; echo $GREETING"),
                ],
            );
            assert!(out.pid.is_some_and(|pid| pid > 1));
            assert_eq!(out.done.len(), 2, "{shell:?} {out:?} {err:?}");
            assert_eq!((out.done[0].code, &out.done[0].bytes[..]), (3, &b"one"[..]));
            assert_eq!(
                (out.done[1].code, &out.done[1].bytes[..]),
                (0, &b"it's\n"[..])
            );
            assert_eq!(&err.done[0].bytes[..], b"oops\n");
            assert_eq!(&err.done[1].bytes[..], b"");
        }
    }

    #[test]
    fn a_needed_step_that_fails_ends_the_script() {
        let mut first = step("exit 1");
        first.needed = true;
        let (out, _) = run(&["sh"], &[first, step("echo never")]);
        assert_eq!(out.done.len(), 1);
    }

    proptest! {
        #[test]
        fn cutting_does_not_depend_on_how_the_bytes_arrive(
            text in proptest::collection::vec(any::<u8>(), 0..200),
            sizes in proptest::collection::vec(1usize..9, 1..80),
        ) {
            let nonce = "rn-0";
            let mut stream = b"noise\nrn-0 pid 7\n".to_vec();
            stream.extend_from_slice(&text);
            stream.extend_from_slice(b"\nrn-0 0 5\ntail");
            let mut cutter = Cutter::new(nonce);
            let mut rest = &stream[..];
            for size in sizes.iter().cycle() {
                if rest.is_empty() { break; }
                let (now, later) = rest.split_at((*size).min(rest.len()));
                cutter.feed(now);
                rest = later;
            }
            prop_assert_eq!(cutter.pid, Some(7));
            prop_assert_eq!(&cutter.done[0].bytes, &text);
            prop_assert_eq!(cutter.done[0].code, 5);
            prop_assert_eq!(&cutter.noise[..], b"noise");
        }
    }
}
