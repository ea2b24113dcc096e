//! What travels to a host and back in one exchange: a script of steps, and the answers of the steps.
//!
//! The script arrives on the standard input of a plain `sh`, so nothing of it shows in a process list. It
//! starts a watcher that ends the whole process group when that input ends, which is what happens when the
//! connection is lost or the runner goes away; meanwhile it passes on the signs of life that come there (see
//! [`super::heartbeat`]). Each step ends with a marker line on both streams, which [`super::cutter`]
//! finds; the markers hold a random word, so no output can be mistaken for one.

use super::heartbeat;
use crate::modules::Script;
use crate::shell::{PRELUDE, quote};
use crate::transport::Heartbeat;
use std::hash::{BuildHasher, Hasher};

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
    /// What it prints comes whole, however much it is, if it travels alone.
    pub spills: bool,
    /// A shell pattern for the answer to a question: what matches it calls for no change.
    pub settled: Option<String>,
    /// It runs only if no question before it calls for a change, as far as the host can tell, and all before it went well.
    pub guarded: bool,
}

/// The code of a guarded step that did not run.
pub const HELD_BACK: i64 = -2;

/// Ends everything that a message has started, down to what has left the process group, as `timeout` does, or the session:
/// asks it to end, and after two seconds does not ask. Only a session that was made for the message ends with it.
/// A host without `/proc` can only be told of the group.
///
/// A process is noted as `PID/stat:PARENT:GROUP:SESSION`. What was seen once is remembered, since an orphan no longer tells
/// where it came from. The message's shell is `rn_root`.
const END: [&str; 2] = [
    r#"if [ -r /proc/self/stat ]; then :; else kill -TERM 0; sleep 2; kill -KILL 0; fi;
rn_fields() { rn_x=; while read -r rn_y; do rn_x=$rn_y; done <"$1"; rn_x=${rn_x##*") "}; };"#,
    r#"rn_tree() { rn_all=" ";
for rn_f in /proc/[0-9]*/stat; do rn_fields "$rn_f"; set -- $rn_x;
case $1 in ""|Z|X) ;; *) rn_f=${rn_f#/proc/}; rn_all="$rn_all$rn_f:$2:$3:$4 " ;; esac; done;
rn_found=; until [ "$rn_found" = "$rn_seen" ]; do rn_found=$rn_seen;
for rn_x in $rn_all; do rn_p=${rn_x%%/*}; rn_x=${rn_x#*:};
case $rn_keep$rn_seen in *" $rn_p "*) continue ;; esac;
case " $rn_root$rn_seen" in *" ${rn_x%%:*} "*) rn_x=:$rn_sid ;; esac;
case $rn_x in *":$rn_sid"|*":$rn_group:"*) rn_seen="$rn_seen$rn_p " ;; esac; done; done; };
rn_left() { for rn_p in $rn_seen; do rn_fields /proc/$rn_p/stat; case $rn_x in ""|Z*|X*) ;; *) return 0 ;; esac; done; return 1; };
read -r rn_me rn_x </proc/self/stat; rn_fields /proc/$rn_root/stat; set -- $rn_x; rn_group=$3 rn_sid=$4;
[ "$rn_sid" = $rn_root ] || rn_sid=none;
rn_seen=" " rn_keep=" $rn_me "; rn_p=$rn_root;
until [ "${rn_p:-0}" -le 1 ]; do rn_keep="$rn_keep$rn_p "; rn_fields /proc/$rn_p/stat; set -- $rn_x; rn_p=$2; done;
rn_tree; kill -TERM -$rn_group;
for rn_p in $rn_seen; do rn_x=${rn_all#*" $rn_p/"}; rn_x=${rn_x%% *}; rn_x=${rn_x%:*};
[ "${rn_x##*:}" = "$rn_group" ] || kill -TERM $rn_p; done;
rn_n=0 rn_d=0.1; rn_tree; while { rn_left || { rn_tree; rn_left; }; } && [ $rn_n -lt 16 ]; do rn_n=$((rn_n + 1));
if [ $rn_n -gt 8 ]; then rn_d=0.1; rn_tree; kill -KILL $rn_seen; elif [ $rn_n -gt 5 ]; then rn_d=0.5; fi; sleep $rn_d || sleep 1; done;"#,
];

/// The same, once `root` has found `rn_root`.
pub(super) fn end(root: &str) -> String {
    [END[0], root, END[1]].join("\n")
}

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
    text(nonce, steps, last, Life::Passed, "\n")
}

/// The text for a shell that has this message only.
pub fn single(nonce: &str, steps: &[Step], heartbeat: Option<Heartbeat>) -> String {
    text(nonce, steps, None, Life::Watched(heartbeat), "\n")
}

/// Who watches for signs of life.
#[derive(Clone, Copy)]
enum Life {
    /// Somebody beside the shell.
    Passed,
    /// The message itself, if anybody.
    Watched(Option<Heartbeat>),
}

/// The same as one line without anything that a login shell of another kind could take for something else, if there
/// is such a line.
pub fn line(nonce: &str, steps: &[Step], heartbeat: Option<Heartbeat>) -> Option<String> {
    let plain = |step: &Step| {
        let values = step.env.iter().map(|(_, value)| value);
        let mut texts = values.chain([&step.script.text]);
        !texts.any(|text| text.contains(['\n', '!', '#'])) && step.settled.is_none()
    };
    if !steps.iter().all(plain) || needs_prelude(steps) {
        return None;
    }
    Some(text(nonce, steps, None, Life::Watched(heartbeat), " "))
}

fn needs_prelude(steps: &[Step]) -> bool {
    steps.iter().any(|step| step.script.text.contains("rn_"))
}

/// Every line ends where a blank would do as well; `end` stands behind each.
fn text(nonce: &str, steps: &[Step], last: Option<i64>, life: Life, end: &str) -> String {
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
    line("rn_l=$rn_s rn_v=$rn_t; unset rn_s rn_t; exec 3<&0 </dev/null;");
    line("rn_kill() {");
    self::end("rn_root=$$;").lines().for_each(&mut line);
    line("};");
    if let Life::Watched(heartbeat) = life {
        line("rn_v=;");
        if let Some(heartbeat) = heartbeat {
            line(&heartbeat::of_message(heartbeat));
            line("rn_v=$rn_t;");
        }
    }
    line("( while read -r rn_line <&3; do kill -USR1 $rn_v; done; trap '' TERM HUP INT; rn_kill;");
    line(") >/dev/null 2>&1 &");
    // The trap stands behind the watcher, which could miss its own TERM if it were born with one.
    // The watcher goes before the last marker: the runner ends the input when it has seen that, and what the steps
    // left running on purpose must not be taken for a lost connection's.
    line("rn_w=$! ; rn_over= rn_held= rn_stats= rn_sums=; trap 'rn_over=1' TERM;");
    let watchdog = match life {
        Life::Watched(Some(_)) => "kill $rn_v; ",
        _ => "",
    };
    line(&format!(
        "rn_rest() {{ {{ {watchdog}kill $rn_w; wait $rn_w; }} 2>/dev/null; }};"
    ));
    // Asked to end, the shell itself stays until the step has, and all that it has started: its own end tells that
    // nothing is left.
    line("rn_quit() { wait $rn_w; [ -z \"$rn_m\" ] || { wait $rn_v; exit $rn_m; }; exit 143; };");
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
    line("); rn_c=$?; [ -z \"$rn_over\" ] || rn_quit;");
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

#[cfg(test)]
mod tests {
    use super::super::cutter::Cutter;
    use super::*;
    use memchr::memmem;
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
            spills: false,
            settled: None,
            guarded: false,
        }
    }

    #[test]
    fn each_step_has_its_own_output_and_code() {
        in_every_shell(|shell| {
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
        });
    }

    /// What the shells that are installed here make of it.
    fn in_every_shell(test: impl Fn(&[&str])) {
        for shell in [&["dash"][..], &["bash"], &["busybox", "sh"]] {
            let mut command = Command::new(shell[0]);
            match command.arg("-c").arg(":").stdin(Stdio::null()).output() {
                Ok(_) => test(shell),
                Err(_) => {
                    eprintln!("SKIPPED: {} is not installed", shell[0]);
                    assert!(std::env::var_os("CI").is_none());
                }
            }
        }
    }

    /// Whether a process runs whose command line has this in it.
    fn runs(word: &str) -> bool {
        let files = std::fs::read_dir("/proc").unwrap().flatten();
        let mut lines = files.map(|entry| std::fs::read(entry.path().join("cmdline")));
        lines.any(|line| line.is_ok_and(|line| memmem::find(&line, word.as_bytes()).is_some()))
    }

    #[test]
    fn whatever_a_step_has_started_ends_before_its_shell() {
        use std::os::unix::process::CommandExt;
        let stubborn = "sh -c 'trap \"\" TERM; echo up; while :; do sleep 1000; done' WORD";
        let cases = [
            stubborn.to_string(),
            format!("timeout 1000 {stubborn}"),
            format!("setsid {stubborn}"),
            format!("( {stubborn} & ) & wait; sleep 1000"),
            "timeout 1000 sh -c 'echo up; sleep 1000; : WORD'".to_string(),
        ];
        let ends = |case: usize, text: &str| {
            in_every_shell(|shell| {
                let word = format!("{}-{case}", nonce());
                let text = script(&nonce(), &[step(&text.replace("WORD", &word))], None);
                let mut child = Command::new(shell[0])
                    .args(&shell[1..])
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::null())
                    .process_group(0)
                    .spawn()
                    .unwrap();
                let mut input = child.stdin.take().unwrap();
                std::io::Write::write_all(&mut input, text.as_bytes()).unwrap();
                let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
                let mut line = String::new();
                while line != "up\n" {
                    line.clear();
                    std::io::BufRead::read_line(&mut output, &mut line).unwrap();
                }
                assert!(runs(&word), "{shell:?} {text}");
                drop(input);
                let status = child.wait().unwrap();
                assert_eq!(status.code(), Some(143), "{shell:?} {text}");
                assert!(!runs(&word), "{shell:?} {text}");
            });
        };
        std::thread::scope(|scope| {
            for (case, text) in cases.iter().enumerate() {
                scope.spawn(move || ends(case, text));
            }
        });
    }

    #[test]
    fn a_needed_step_that_fails_ends_the_script() {
        let mut first = step("exit 1");
        first.needed = true;
        let (out, _) = run(&["sh"], &[first, step("echo never")]);
        assert_eq!(out.done.len(), 1);
    }
}
