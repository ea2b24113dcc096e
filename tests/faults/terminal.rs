//! A terminal for the runner, and somebody who types.

use std::io::Write;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;

/// The same command on a terminal: what it shows comes out, what is put in is typed.
pub fn on(command: &Command) -> Command {
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| runner::shell::quote(word.to_str().unwrap()))
        .collect();
    let words = format!("{} --output plain --color never", words.join(" "));
    let mut on = Command::new("script");
    on.args(["--quiet", "--return", "--command", &words, "/dev/null"])
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for (name, value) in command.get_envs() {
        on.env(name, value.unwrap());
    }
    on.current_dir(command.get_current_dir().unwrap());
    on
}

/// Types each answer when its question is heard, and then lets go of the keyboard.
pub fn type_to(
    mut input: ChildStdin,
    heard: Receiver<Vec<u8>>,
    dialog: &[(String, String)],
) -> JoinHandle<()> {
    let dialog = dialog.to_vec();
    std::thread::spawn(move || {
        let mut said = Vec::new();
        for (question, answer) in &dialog {
            while !crate::watch::holds(&said, question.as_bytes()) {
                let Ok(piece) = heard.recv() else { return };
                said.extend(piece);
            }
            said.clear();
            let _ = input.write_all(format!("{answer}\n").as_bytes());
        }
        // The keyboard stays until there is nobody to type for.
        while heard.recv().is_ok() {}
    })
}
