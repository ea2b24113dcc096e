//! Somebody who types on the runner's terminal.

use std::io::Write;
use std::process::ChildStdin;
use std::sync::mpsc::Receiver;
use std::thread::JoinHandle;

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
