//! Questions to the operator on the terminal.

use super::{hidden, signals};
use crate::diagnostic::Problem;
use crate::transport::ssh::{HostKeyPrompt, NewKey, Prompt};
use crate::ui::Pause;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::sync::Arc;

/// The passwords of a run. They live in memory only.
#[derive(Default)]
pub(super) struct Passwords {
    pub password: Option<String>,
    pub become_password: Option<String>,
}

impl Passwords {
    /// Asks for what was requested with `--ask-pass` and `--ask-become-pass`.
    pub fn ask(login: bool, rights: bool) -> Result<Self, Problem> {
        let ask = |wanted: bool, question: &str| -> Result<Option<String>, Problem> {
            if !wanted {
                return Ok(None);
            }
            secret(question).map(Some).map_err(|error| {
                Problem::new(format!("cannot ask for a password: {error}"))
                    .help("--ask-pass and --ask-become-pass need a terminal")
            })
        };
        let password = ask(login, "SSH password: ")?;
        let question = match login {
            true => "sudo password [as SSH password]: ",
            false => "sudo password: ",
        };
        let become_password = match ask(rights, question)? {
            Some(text) if text.is_empty() && password.is_some() => password.clone(),
            other => other,
        };
        // One that is too short to be hidden would be found everywhere.
        for (name, text) in [
            ("SSH password", &password),
            ("sudo password", &become_password),
        ] {
            if let Some(text) = text {
                hidden::redactor().add(name, text).ok();
            }
        }
        Ok(Self {
            password,
            become_password,
        })
    }
}

/// Asks for a secret. What is typed before the question stands there is not shown either.
pub(super) fn secret(question: &str) -> std::io::Result<String> {
    signals::guard();
    let answer = {
        let _silent = Silent::new();
        rpassword::prompt_password(question)
    };
    match answer {
        // A question takes Ctrl-C for a character, raises the signal, and goes on as if there were nobody to ask.
        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => signals::interrupted(),
        answer => answer,
    }
}

/// The terminal shows nothing of what is typed until this is dropped.
struct Silent(Option<(std::fs::File, Termios)>);

impl Silent {
    fn new() -> Self {
        let silence = || -> std::io::Result<(std::fs::File, Termios)> {
            let terminal = std::fs::File::open("/dev/tty")?;
            let before = tcgetattr(&terminal)?;
            let mut silent = before.clone();
            silent.local_modes.remove(LocalModes::ECHO);
            tcsetattr(&terminal, OptionalActions::Now, &silent)?;
            Ok((terminal, before))
        };
        // Without a terminal the question itself fails, with the better words.
        Self(silence().ok())
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        if let Some((terminal, before)) = &self.0 {
            tcsetattr(terminal, OptionalActions::Now, before).ok();
        }
    }
}

/// Asks about new host keys, where there is a terminal.
pub(super) fn host_keys(pause: &Pause) -> Option<Arc<dyn HostKeyPrompt>> {
    terminal().then(|| Arc::new(Terminal(pause.clone())) as Arc<dyn HostKeyPrompt>)
}

/// Asks for the passphrases of keys, where there is a terminal.
pub(super) fn passphrases(pause: &Pause) -> Option<Arc<dyn Prompt>> {
    terminal().then(|| Arc::new(Terminal(pause.clone())) as Arc<dyn Prompt>)
}

fn terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks while the screen stands still.
struct Terminal(Pause);

impl HostKeyPrompt for Terminal {
    fn ask(&self, keys: &[NewKey]) -> bool {
        let mut text = String::from("\nThe keys of these hosts are not known yet:\n\n");
        let width = keys.iter().map(|key| key.host.len()).max().unwrap_or(0);
        for key in keys {
            let (host, address) = (&key.host, &key.address);
            text.push_str(&format!(
                "  {host:width$}  {address}  {} {}\n",
                key.algorithm, key.fingerprint
            ));
        }
        text.push_str("\nTrust them all, and note them in known_hosts? (yes/no) ");
        self.0.during(|| agreed(&text))
    }
}

/// Asks until the answer is yes or no. Whoever has nothing more to say does not agree.
fn agreed(question: &str) -> bool {
    let Ok(terminal) = std::fs::File::open("/dev/tty") else {
        return false;
    };
    let mut answers = BufReader::new(terminal).lines();
    say(question);
    while let Some(Ok(answer)) = answers.next() {
        match answer.trim() {
            "yes" => return true,
            "no" => return false,
            _ => say("Please type yes or no: "),
        }
    }
    false
}

impl Prompt for Terminal {
    fn passphrase(&self, key: &std::path::Path, again: bool) -> Option<String> {
        let question = format!("Passphrase for {}: ", key.display());
        let answer = self.0.during(|| {
            if again {
                say("That passphrase is wrong.\n");
            }
            secret(&question).ok()
        });
        let answer = answer.filter(|text| !text.is_empty())?;
        hidden::redactor()
            .add(&format!("passphrase of {}", key.display()), &answer)
            .ok();
        Some(answer)
    }
}

fn say(text: &str) {
    let mut terminal = std::io::stderr().lock();
    terminal.write_all(text.as_bytes()).ok();
    terminal.flush().ok();
}
