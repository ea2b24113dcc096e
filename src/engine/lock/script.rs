//! What a host's shell does to take a lock, to give it back, and to remove one that was left behind.
//!
//! A lock is a file `.runner-lock.RUN.PROCESS.START.WHO` in `/tmp`, or where the host's `RUNNER_LOCK_DIR` says. Its name
//! holds what others must know, so it is there in one step, and also after a crash. `/tmp` is sticky: nobody but its owner and root can
//! remove or replace it. Whoever wants the lock makes its file and then looks for those of other runs; it has the lock only if it sees
//! none. So two runs never have it at once. Shells of one run each have a file, and the last of them frees the host.
//!
//! A server that allows a single session has no room for a shell that waits while a file travels. That shell leaves a process behind
//! which holds the lock for it, in a file whose name ends with `.held-CONNECTION`: until the run has a shell there again, or the
//! server's process for the connection is gone.
//!
//! All of it uses what a shell can do by itself: to take a free lock starts no process.

use crate::run_id::RunId;

/// So often a lock that is held is looked at again before it is refused, some 50 ms apart: a run that has just ended may still be about
/// to give it back, and two that began at once must find out who is first.
const TRIES: u32 = 6;

/// With this code a shell ends that only makes room for another: the lock is held on.
pub(in super::super) const ROOM: i32 = 79;

/// Removes what holds the lock for a run, once the run is over.
const LET_GO: &str = "rm -f \"${RUNNER_LOCK_DIR:-/tmp}/.runner-lock.@RUN@.\"*.held-$PPID";

/// Whether a shell of the run has the lock, which ends when it hears nothing more of the runner. One that only made room does not hear.
const HEARS: &str = r#"for rn_f in "${RUNNER_LOCK_DIR:-/tmp}/.runner-lock.@RUN@."*; do
case $rn_f in *.held-*) continue ;; esac; [ -f "$rn_f" ] || continue; rn_x=${rn_f##*/.runner-lock.@RUN@.}; rn_x=${rn_x%%.*};
if kill -0 "$rn_x" || [ -d "/proc/$rn_x" ]; then return 0; fi; done; return 1;"#;

/// Gives back what holds the lock for the connection that this shell belongs to, however deep below it.
const QUIT: &str = r#"rn_q=$PPID; while [ "${rn_q:-0}" -gt 1 ]; do rm -f "${RUNNER_LOCK_DIR:-/tmp}/.runner-lock.@RUN@."*.held-"$rn_q";
rn_x=; read -r rn_x <"/proc/$rn_q/stat"; set -- ${rn_x##*") "}; rn_q=$2; done;"#;

/// Words that the script is filled in with. None holds anything that a shell of any kind could take for something else.
pub(super) struct Words<'a> {
    pub(super) run: &'a RunId,
    pub(super) by: &'a str,
    pub(super) what: &'a str,
}

/// Finds a lock's process: whether it is there, and what it is.
const LOOK: &str = r#"
rk_stat() { rk_y=; { read -r rk_x <"/proc/$1/stat"; } 2>/dev/null || return 1; set -- ${rk_x##*) }; rk_z=$1; shift 19; rk_y=$1; };
{ read -r rk_b </proc/sys/kernel/random/boot_id; } 2>/dev/null || rk_b=-;
rk_p=${RUNNER_LOCK_DIR:-/tmp}/.runner-lock.;
rk_read() { rk_i=${1#"$rk_p"}; rk_q=${rk_i#*.}; rk_j=${rk_q%%.*}; rk_q=${rk_q#*.}; rk_q=${rk_q%%.*}; rk_v=held; rk_c=; LC_ALL=C; export LC_ALL;
if rk_stat "$rk_j"; then case $rk_q in 0|"$rk_y") ;; *) rk_v=gone ;; esac; case $rk_z in Z) rk_v=gone ;; esac;
else case $(kill -0 "$rk_j" 2>&1) in *"o such process"*) rk_v=gone ;; esac; fi;
[ -L "$1" ] || { [ -f "$1" ] && read -r rk_c <"$1"; } 2>/dev/null;
case $rk_b/$rk_c in -/*|*/|*/-*|"$rk_b/$rk_b "*) ;; *) rk_v=gone ;; esac; rk_c=${rk_c#* }; };
"#;

/// Takes the lock, or says who has it and ends.
const TAKE: &str = r#"
rk_r=@RUN@; rk_say() { printf "\n%s %s\n" @NONCE@ "$*"; };
if rk_stat $$; then rk_s=$rk_y; else rk_s=0; fi; rk_f=$rk_p$rk_r.$$.$rk_s.@BY@;
rk_gone() { trap "" HUP INT TERM PIPE; rm -f "$rk_f"; ${rn_t:+kill $rn_t} 2>/dev/null; exit 129; }; trap rk_gone HUP INT TERM PIPE;
rk_see() { rk_o=; rk_l=; for rk_e in "$rk_p"*; do case $rk_e in "$rk_p$rk_r".*) [ -n "$rk_o" ] || rk_l=1 ;;
"$rk_p"[0-9]*-[0-9]*-*.[0-9]*.[0-9]*.*) [ -n "$rk_o" ] || rk_o=$rk_e ;; esac; done; };
rk_make() { set -C; { printf "%s %s\n" "$rk_b" "@WHAT@" >"$rk_f"; } 2>/dev/null; rk_c=$?; set +C; return $rk_c; };
rk_t=0; while rk_see; do
if [ -z "$rk_o" ]; then [ -f "$rk_f" ] && break; rk_make && continue;
rm -f "$rk_f" 2>/dev/null; rk_c=$({ set -C; echo | LC_ALL=C cat >"$rk_f"; } 2>&1); rm -f "$rk_f" 2>/dev/null; rk_say failed "${rk_c##*: }"; exit 0; fi;
if [ -f "$rk_f" ]; then [ -n "$rk_l" ] && [ $rk_t -lt 3 ] || rm -f "$rk_f"; fi;
[ $rk_t -gt 0 ] || rk_say contested; rk_t=$((rk_t+1)); if [ $rk_t -gt @TRIES@ ]; then rm -f "$rk_f"; rk_read "$rk_o"; [ -e "$rk_o" ] || [ -L "$rk_o" ] || continue; set -- $(ls -ld "$rk_o" 2>/dev/null);
rk_say locked $rk_v "${3:--}" "$rk_i" "$rk_c"; exit 0; fi;
sleep 0.05 2>/dev/null || sleep 1; done; for rk_e in "$rk_p$rk_r".*.held-$PPID; do [ -f "$rk_e" ] && rm -f "$rk_e"; done; rk_say held;
"#;

/// Gives the lock back once what stands before it has ended with `c`. To replace the shell spares a process; nothing that asks the shell
/// to end may hit what has taken its place. A shell that only makes room leaves the lock to a process of its own first.
const GIVE: &str = r#"
; if [ $c = @ROOM@ ] && rk_stat $PPID; then rk_n=$rk_y; ( rn_t=; trap rk_gone HUP INT TERM PIPE; read -r rk_m rk_x </proc/self/stat; rk_stat $rk_m; rk_g=$rk_f;
rk_f=$rk_p$rk_r.$rk_m.$rk_y.@BY@.held-$PPID; rk_make || exit; rm -f "$rk_g";
while [ -f "$rk_f" ] && rk_stat $PPID && [ $rk_y = $rk_n ]; do sleep 1; done; rm -f "$rk_f" ) </dev/null >/dev/null 2>&1 &
while [ -f "$rk_f" ] && kill -0 $! 2>/dev/null; do sleep 0.05 2>/dev/null || sleep 1; done; fi; trap "" HUP INT TERM PIPE; [ $c = 0 ] && exec rm -f "$rk_f"; rm -f "$rk_f"; exit $c
"#;

/// Removes what a run has left behind.
const REMOVE: &str = r#"
rk_k=; for rk_e in "$rk_p"@RUN@.*; do [ -f "$rk_e" ] || [ -L "$rk_e" ] || continue; rk_read "$rk_e";
if [ $rk_v = held ] && [ -z "@FORCE@" ]; then echo "run @RUN@ is still at work: process $rk_j" >&2; exit 7; fi;
rm -f "$rk_e" || exit 1; rk_k=1; done;
if [ -n "$rk_k" ]; then echo removed; else echo "no lock of this run"; fi
"#;

/// Has a shell take the lock before it does `body`, which leaves its exit code in `c`, and give it back when that is over. What
/// becomes of it is said on standard output in a line that begins with the nonce. One line, for login shells of all kinds.
pub(super) fn guard(words: &Words<'_>, nonce: &str, body: &str) -> String {
    let take = TAKE
        .replace("@RUN@", words.run.as_str())
        .replace("@NONCE@", nonce)
        .replace("@TRIES@", &TRIES.to_string())
        .replace("@BY@", words.by)
        .replace("@WHAT@", words.what);
    let give = GIVE
        .replace("@ROOM@", &ROOM.to_string())
        .replace("@BY@", words.by);
    let text = [LOOK, &take, body, &give].map(str::trim).join(" ");
    text.replace('\n', " ")
}

/// The script that frees a host of which a shell has only made room.
pub(super) fn let_go(run: &RunId) -> String {
    LET_GO.replace("@RUN@", run.as_str())
}

/// The body of a function that succeeds if a shell with the run's lock still hears the runner.
pub(super) fn hears(run: &RunId) -> String {
    HEARS.replace("@RUN@", run.as_str())
}

/// What a shell does that hears nothing more of the runner while a lock may be held for its connection.
pub(super) fn quit(run: &RunId) -> String {
    QUIT.replace("@RUN@", run.as_str())
}

/// The script that removes a run's lock, unless its process is still there and `force` is not given.
pub fn removal(run: &RunId, force: bool) -> String {
    let remove = REMOVE
        .replace("@RUN@", run.as_str())
        .replace("@FORCE@", if force { "1" } else { "" });
    [LOOK, &remove].concat()
}

/// What remains of a text that must not mean anything to a shell, nor end a line or a name.
pub(super) fn plain(text: &str, also: &str, most: usize) -> String {
    let safe = |c: char| match c {
        c if c.is_ascii_alphanumeric() || also.contains(c) => c,
        _ => '_',
    };
    text.chars().take(most).map(safe).collect()
}
