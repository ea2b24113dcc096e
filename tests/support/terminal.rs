//! A terminal for the program, and somebody who answers its questions.

use super::site::PATIENCE;
use super::sshd;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Instant;

/// What a terminal showed, and the exit code.
pub struct Shown {
    pub text: String,
    pub code: i32,
}

/// Is said of a terminal that no longer shows what is typed.
pub const SILENT: &str = "the terminal is left silent";

/// The same command with more arguments on a terminal: what it shows comes out, what is put in is typed.
pub fn on(command: &Command, more: &[&str]) -> Command {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| word.to_str().unwrap());
    let words: Vec<String> = words
        .chain(more.iter().copied())
        .map(runner::shell::quote)
        .collect();
    // The shell outlives what is typed to end the program, and looks at what it has left of the terminal.
    let words = format!(
        "trap : INT TERM; {}; code=$?; if stty -a | grep -qw -e -echo; then echo '{SILENT}'; fi; exit $code",
        words.join(" ")
    );
    let mut on = Command::new("script");
    on.args(["--quiet", "--return", "--command", &words, "/dev/null"])
        .current_dir(command.get_current_dir().unwrap())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, value) in command.get_envs() {
        on.env(name, value.unwrap_or_default());
    }
    on
}

/// Runs a command on a terminal and gives these answers when these questions come, in this order. `None` where there is no
/// `script`, with a word about it.
pub fn answered(command: &Command, answers: &[(&str, &str)]) -> Option<Shown> {
    if sshd::program("script").is_none() {
        sshd::skip("script is not installed");
        return None;
    }
    let mut child = on(command, &[]).stderr(Stdio::inherit()).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    let (send, heard) = mpsc::channel();
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(count @ 1..) = output.read(&mut piece) {
            let _ = send.send(piece[..count].to_vec());
        }
    });
    let mut input = child.stdin.take().unwrap();
    let mut shown = Vec::new();
    let mut answers = answers.iter();
    let mut next = answers.next();
    let mut seen = 0;
    while let Ok(piece) = heard.recv_timeout(PATIENCE) {
        shown.extend(piece);
        while let Some((question, answer)) = next {
            let text = String::from_utf8_lossy(&shown[seen..]).into_owned();
            if !text.contains(question) {
                break;
            }
            seen = shown.len();
            input.write_all(format!("{answer}\n").as_bytes()).unwrap();
            next = answers.next();
        }
    }
    // A question that was not foreseen would wait for ever.
    drop(input);
    let ended = Instant::now();
    while child.try_wait().unwrap().is_none() && ended.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
    let _ = child.kill();
    let code = child.wait().unwrap().code().unwrap_or(-1);
    let text = String::from_utf8_lossy(&shown).into_owned();
    assert_eq!(next, None, "this was not asked: {text}");
    Some(Shown { text, code })
}
