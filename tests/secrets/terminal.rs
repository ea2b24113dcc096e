//! Runs the program on a terminal and answers its questions; and keys to encrypt with.

use crate::site::PATIENCE;
use crate::support::sshd;
use age::secrecy::ExposeSecret;
use runner::secret::Identity;
use runner::secret::sealed::{self, Lock};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;

/// What a terminal showed, and the exit code.
pub struct Shown {
    pub text: String,
    pub code: i32,
}

/// Runs a command on a terminal and gives these answers when these questions come, in this order. `None` where there is no
/// `script`, with a word about it.
pub fn on_terminal(command: &Command, answers: &[(&str, &str)]) -> Option<Shown> {
    if sshd::program("script").is_none() {
        sshd::skip("script is not installed");
        return None;
    }
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| runner::shell::quote(word.to_str().unwrap()))
        .collect();
    let mut script = Command::new("script");
    script
        .args([
            "--quiet",
            "--return",
            "--command",
            &words.join(" "),
            "/dev/null",
        ])
        .current_dir(command.get_current_dir().unwrap())
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    for (name, value) in command.get_envs() {
        script.env(name, value.unwrap_or_default());
    }
    let mut child = script.spawn().unwrap();
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
    let ended = std::time::Instant::now();
    while child.try_wait().unwrap().is_none() && ended.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
    let _ = child.kill();
    let code = child.wait().unwrap().code().unwrap_or(-1);
    let text = String::from_utf8_lossy(&shown).into_owned();
    assert_eq!(next, None, "this was not asked: {text}");
    Some(Shown { text, code })
}

/// Makes a key and writes it to a file that only its owner can read.
pub fn identity(path: &Path) -> Identity {
    let identity = Identity::generate();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text = format!("# a key\n{}\n", identity.to_string().expose_secret());
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    identity
}

/// Encrypts a text for a key.
pub fn encrypted(text: &str, identity: &Identity) -> Vec<u8> {
    let lock = Lock::Keys(vec![identity.to_public()]);
    sealed::seal(text, &lock, true).unwrap()
}
