//! The files: what is written comes back, wherever the file is cut, and damage is named.

use crate::local::{Local, mark, risky};
use proptest::prelude::*;
use runner::event::{Event, Outcome, Status, TaskId};
use runner::journal::{Record, line};
use std::time::Duration;

fn outcome() -> impl Strategy<Value = Outcome> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
    let shown = proptest::option::of(".*");
    (bytes(), bytes(), ".*", shown, any::<Option<i32>>()).prop_map(
        |(stdout, stderr, message, shown, code)| Outcome {
            message,
            shown,
            code,
            stdout,
            stderr,
            produced: vec![("x".to_owned(), None)],
            took: Duration::from_nanos(1_234_567_891),
            ..Outcome::new(Status::Changed, "command")
        },
    )
}

fn record() -> impl Strategy<Value = Record> {
    let finished = |(name, outcome): (String, Outcome)| {
        Record::Event(Event::TaskFinished {
            host: name.clone(),
            task: TaskId {
                play: 1,
                index: 2,
                name,
                item: None,
            },
            outcome: Box::new(outcome),
        })
    };
    prop_oneof![
        ".*".prop_map(|message| Record::Event(Event::Warning { message })),
        (".*", outcome()).prop_map(finished),
    ]
}

fn text(record: &Record) -> String {
    serde_json::to_string(record).unwrap()
}

/// The bytes of a file with these records.
fn file(records: &[Record]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, record) in records.iter().enumerate() {
        let at = Duration::from_micros(number as u64);
        line::write(number as u64, at, record, &mut bytes).unwrap();
    }
    bytes
}

/// How many lines end in these bytes.
fn ends(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_comes_back(records in proptest::collection::vec(record(), 0..6)) {
        let (lines, torn) = line::read_all(&file(&records)).unwrap();
        prop_assert!(!torn);
        let back: Vec<String> = lines.iter().map(|line| text(&line.record)).collect();
        let wanted: Vec<String> = records.iter().map(text).collect();
        prop_assert_eq!(back, wanted);
    }

    #[test]
    fn cut_anywhere_all_before_is_there(records in proptest::collection::vec(record(), 1..4)) {
        let bytes = file(&records);
        for cut in 0..=bytes.len() {
            let (lines, torn) = line::read_all(&bytes[..cut]).unwrap();
            prop_assert_eq!(lines.len(), ends(&bytes[..cut]));
            prop_assert_eq!(torn, cut != 0 && bytes[cut - 1] != b'\n');
        }
    }

    #[test]
    fn a_changed_byte_is_found(
        records in proptest::collection::vec(record(), 2..4),
        at in any::<prop::sample::Index>(),
        flip in 1..=255u8,
    ) {
        let mut bytes = file(&records);
        let at = at.index(bytes.len());
        let broken = ends(&bytes[..at]);
        bytes[at] ^= flip;
        match line::read_all(&bytes) {
            Err(number) => prop_assert_eq!(number, broken + 1),
            Ok((lines, torn)) => {
                // Only the last may be taken for torn: with its end gone, the one before it is part of it.
                prop_assert!(torn);
                prop_assert_eq!(lines.len(), broken);
                prop_assert!(broken + 2 >= records.len());
            }
        }
    }
}

#[test]
fn a_missing_line_is_found() {
    let warning = |text: &str| {
        let message = text.to_owned();
        Record::Event(Event::Warning { message })
    };
    let bytes = file(&["one", "two", "three"].map(warning));
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    let without = [lines[0], lines[2], lines[2]].concat();
    assert_eq!(line::read_all(&without).unwrap_err(), 2);
}

#[test]
fn damage_is_told_with_file_and_line_and_a_torn_end_is_no_damage() {
    let local = Local::tasks(&[mark("one", ""), risky(""), mark("three", "")]);
    local.fails("b");
    local.ends(&[], 2);
    local.marks();
    let path = local.journals().remove(0);
    let whole = std::fs::read(&path).unwrap();
    // As if the machine had lost power: the end is gone, in the middle of a line.
    std::fs::write(&path, &whole[..whole.len() - 700]).unwrap();
    let ran = local.bench.run(&["show"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let mut damaged = whole.clone();
    let second = whole.iter().position(|byte| *byte == b'\n').unwrap() + 10;
    damaged[second] ^= 1;
    std::fs::write(&path, damaged).unwrap();
    let said = format!(
        "error: the journal {} is damaged in line 2
   = help: remove the file to forget this run; a playbook can be played again without --resume
",
        path.display()
    );
    let resume = ["play", "play.toml", "--resume"];
    local.bench.refuses(&resume, 5, &said);
    local.bench.refuses(&["show"], 5, &said);
    let args = ["play", "play.toml", "--limit", "@failed"];
    assert_eq!(local.bench.run(&args).code, 5);
}
