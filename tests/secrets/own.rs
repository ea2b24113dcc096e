//! `runner secret key`: the operator's own key.

use crate::keys::identity;
use crate::support::bench::{Bench, Ran};
use std::os::unix::fs::PermissionsExt;

fn key(bench: &Bench, args: &[&str]) -> Ran {
    let mut command = bench.command(&[&["secret", "key"], args].concat());
    command.output().unwrap().into()
}

#[test]
fn a_key_is_made_once_and_told_again() {
    let bench = Bench::new();
    let first = key(&bench, &[]);
    assert_eq!(first.code, 0, "{}", first.err);
    assert_eq!(
        first.err.replace(bench.root().to_str().unwrap(), "HOME"),
        "a new key is in HOME/.config/runner/age.txt: keep a copy, nothing else reads what is encrypted for it\n"
    );
    assert!(first.out.starts_with("age1") && first.out.lines().count() == 1);
    let path = bench.path(".config/runner/age.txt");
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    let text = std::fs::read_to_string(&path).unwrap();
    let second = key(&bench, &[]);
    assert_eq!(
        (second.code, &second.out, &*second.err),
        (0, &first.out, "")
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    let secret = text.lines().last().unwrap();
    assert!(secret.starts_with("AGE-SECRET-KEY-1"));
    assert!(!format!("{}{}", first.out, first.err).contains(secret));
}

#[test]
fn a_key_that_is_named_is_made_there() {
    let bench = Bench::new();
    let mine = identity(&bench.path(".config/runner/age.txt"));
    let usual = key(&bench, &[]);
    assert_eq!(usual.out, format!("{}\n", mine.to_public()));
    let other = key(&bench, &["--age-identity", "other.txt"]);
    assert_eq!(
        other.err,
        "a new key is in other.txt: keep a copy, nothing else reads what is encrypted for it\n"
    );
    let args = [
        "--age-identity",
        ".config/runner/age.txt",
        "--age-identity",
        "other.txt",
    ];
    assert_eq!(
        key(&bench, &args).out,
        format!("{}{}", usual.out, other.out)
    );
}

#[test]
fn what_is_in_the_way_is_told() {
    let bench = Bench::new().file(".config", "").file("age.txt", "none\n");
    let ran = key(&bench, &[]);
    assert_eq!(
        ran.err.replace(bench.root().to_str().unwrap(), "HOME"),
        "error: cannot write HOME/.config/runner/age.txt: not a directory\n"
    );
    assert_eq!(ran.code, 5);
    std::fs::set_permissions(
        bench.path("age.txt"),
        std::fs::Permissions::from_mode(0o600),
    )
    .unwrap();
    let ran = key(&bench, &["--age-identity", "age.txt"]);
    assert_eq!(
        ran.err,
        "error: line 1 of age.txt is no age identity
   = help: an identity begins with AGE-SECRET-KEY-1; `runner secret key` makes one in a file that is not there yet
"
    );
    let gone = ["--age-identity", "gone/a", "--age-identity", "gone/b"];
    let ran = key(&bench, &gone);
    assert_eq!(
        ran.err,
        "error: cannot read the age identity gone/a: no such file or directory\n"
    );
}

#[test]
fn who_has_none_is_told_how_to_get_one() {
    let bench = Bench::new();
    let ran: Ran = (bench.command(&["secret", "edit", "s.toml.age"]))
        .output()
        .unwrap()
        .into();
    assert_eq!(
        ran.err.replace(bench.root().to_str().unwrap(), "HOME"),
        "error: there is no key to encrypt s.toml.age for
   = help: there is no HOME/.config/runner/age.txt
   = help: name a file of keys with --age-identity or RUNNER_AGE_IDENTITY
   = help: or make one with `runner secret key`, name keys with --recipient, or take --passphrase
"
    );
    assert_eq!(ran.code, 5);
}
