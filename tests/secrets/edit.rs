//! `runner secret edit`.

use crate::keys::{encrypted, identity};
use crate::support::bench::{Bench, Ran};
use crate::support::site::until;
use crate::support::terminal;
use runner::secret::Identity;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Stdio;

/// An editor that does this with the file `$1`.
fn bench(editor: &str) -> Bench {
    let bench = Bench::new().file(
        "editor",
        format!("#!/bin/sh\necho \"$1\" >>told\n{editor}\n"),
    );
    std::fs::set_permissions(bench.path("editor"), std::fs::Permissions::from_mode(0o755)).unwrap();
    bench
}

fn command(bench: &Bench, args: &[&str]) -> std::process::Command {
    let mut command = bench.command(&[&["secret", "edit"], args].concat());
    command.env("EDITOR", bench.path("editor"));
    command
}

fn edit(bench: &Bench, args: &[&str]) -> Ran {
    command(bench, args).output().unwrap().into()
}

/// Where the editor was told that the texts are. They are gone by now.
fn told(bench: &Bench) -> Vec<PathBuf> {
    let told = std::fs::read_to_string(bench.path("told")).unwrap_or_default();
    let paths: Vec<PathBuf> = told.lines().map(PathBuf::from).collect();
    for path in &paths {
        assert!(
            !path.exists() && !path.parent().unwrap().exists(),
            "{path:?} is left"
        );
    }
    paths
}

fn mine(bench: &Bench) -> Identity {
    identity(&bench.path(".config/runner/age.txt"))
}

fn read(bench: &Bench, name: &str, identity: &Identity) -> String {
    let bytes = std::fs::read(bench.path(name)).unwrap();
    let plain = age::decrypt(identity, &bytes).unwrap();
    String::from_utf8(plain).unwrap()
}

#[test]
fn a_file_is_made_and_changed() {
    let bench = bench(
        "stat -c '%a %a' \"$1\" \"$(dirname \"$1\")\" >>modes; echo 'pw = \"s3cr3t-w0rd\"' >>\"$1\"",
    );
    let key = mine(&bench);
    let ran = edit(&bench, &["s.toml.age"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "s.toml.age: encrypted for 1 key\n"),
        "{}",
        ran.err
    );
    let first = format!(
        "# recipient: {}\n# name = \"value\"\npw = \"s3cr3t-w0rd\"\n",
        key.to_public()
    );
    assert_eq!(read(&bench, "s.toml.age", &key), first);
    let sealed = std::fs::read_to_string(bench.path("s.toml.age")).unwrap();
    assert!(
        sealed.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"),
        "{sealed}"
    );
    assert_eq!(
        std::fs::read_to_string(bench.path("modes")).unwrap(),
        "600 600\n700 700\n"
    );
    let paths = told(&bench);
    assert!(paths[0].ends_with("s.toml"), "{paths:?}");
    assert!(paths[0].starts_with("/dev/shm"), "{paths:?}");

    // Another reader, by a line in the file.
    let other = Identity::generate();
    let bench = bench.file(
        "editor",
        format!(
            "#!/bin/sh\necho '# recipient: {}' >>\"$1\"\n",
            other.to_public()
        ),
    );
    std::fs::set_permissions(
        bench.path("s.toml.age"),
        std::fs::Permissions::from_mode(0o640),
    )
    .unwrap();
    let ran = edit(&bench, &["s.toml.age"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "s.toml.age: encrypted for 2 keys\n"),
        "{}",
        ran.err
    );
    for key in [&key, &other] {
        assert_eq!(
            read(&bench, "s.toml.age", key),
            format!("{first}# recipient: {}\n", other.to_public())
        );
    }
    let mode = std::fs::metadata(bench.path("s.toml.age"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn what_is_not_changed_is_not_touched() {
    let bench = bench("true");
    let key = mine(&bench);
    let sealed = encrypted(
        &format!("# recipient: {}\npw = \"s3cr3t\"\n", key.to_public()),
        &key,
    );
    let bench = bench.file("s.toml.age", &sealed);
    let ran = edit(&bench, &["s.toml.age"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "s.toml.age is unchanged\n"),
        "{}",
        ran.err
    );
    assert_eq!(std::fs::read(bench.path("s.toml.age")).unwrap(), sealed);
    let ran = edit(&bench, &["new.toml.age"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "nothing was written, so there is no new.toml.age\n")
    );
    assert!(!bench.path("new.toml.age").exists());
    told(&bench);
}

#[test]
fn a_mistake_without_anybody_to_ask_changes_nothing() {
    let bench = bench("echo 's3cr3t = s3cr3t' >>\"$1\"");
    let key = mine(&bench);
    let sealed = encrypted(&format!("# recipient: {}\n", key.to_public()), &key);
    let bench = bench.file("s.toml.age", &sealed);
    let mut alone = std::process::Command::new("setsid");
    let command = command(&bench, &["s.toml.age"]);
    alone
        .arg("--wait")
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(bench.root());
    for (name, value) in command.get_envs() {
        alone.env(name, value.unwrap());
    }
    let ran = Ran::from(alone.stdin(Stdio::null()).output().unwrap());
    assert_eq!(
        ran.err,
        "error: s.toml.age:2:10: this is not TOML
   = help: `runner secret edit FILE` shows and mends it

error: s.toml.age is as it was before
"
    );
    assert_eq!((ran.code, ran.out.as_str()), (5, ""));
    assert_eq!(std::fs::read(bench.path("s.toml.age")).unwrap(), sealed);
    told(&bench);
}

#[test]
fn a_mistake_is_edited_again_with_all_that_was_written() {
    // The second time the editor finds what it wrote the first time.
    let bench = bench(
        "if grep -q wrong \"$1\"; then sed -i 's/wrong/\"s3cr3t-w0rd\"/' \"$1\"; else echo 'pw = wrong' >>\"$1\"; fi",
    );
    let key = mine(&bench);
    let Some(shown) = terminal::answered(&command(&bench, &["s.toml.age"]), &[("(yes/no)", "yes")])
    else {
        return;
    };
    assert_eq!(shown.code, 0, "{}", shown.text);
    assert!(
        shown.text.contains("s.toml.age:3:6: this is not TOML"),
        "{}",
        shown.text
    );
    assert!(read(&bench, "s.toml.age", &key).ends_with("pw = \"s3cr3t-w0rd\"\n"));
    assert_eq!(told(&bench).len(), 2);
}

#[test]
fn a_passphrase() {
    let bench = bench("echo 'pw = \"s3cr3t-w0rd\"' >>\"$1\"");
    let args = ["--passphrase", "s.toml.age"];
    let answers = [("New passphrase", "0pen sesame"), ("again", "0pen sesame")];
    let Some(shown) = terminal::answered(&command(&bench, &args), &answers) else {
        return;
    };
    assert_eq!(shown.code, 0, "{}", shown.text);
    assert!(!shown.text.contains("0pen sesame"), "{}", shown.text);
    let answers = [
        ("Passphrase for", "wr0ng one"),
        ("That passphrase is wrong", "0pen sesame"),
        ("(yes/no)", "no"),
    ];
    let Some(shown) = terminal::answered(&command(&bench, &["s.toml.age"]), &answers) else {
        return;
    };
    assert_eq!(shown.code, 5, "{}", shown.text);
    // The editor has written the same key twice.
    assert!(
        shown.text.contains("s.toml.age:3:1: this is not TOML"),
        "{}",
        shown.text
    );
    told(&bench);
}

#[test]
fn nobody_is_locked_out() {
    let other = Identity::generate();
    let bench = bench(&format!(
        "echo '# recipient: {}' >\"$1\"",
        other.to_public()
    ));
    let key = mine(&bench);
    let ran = edit(&bench, &["s.toml.age"]);
    assert!(
        ran.err.contains(
            "error: none of the keys that the text names is yours: you could not read it again\n"
        ),
        "{}",
        ran.err
    );
    assert!(ran.err.contains(&format!(
        "help: add the line `# recipient: {}`",
        key.to_public()
    )));
    assert_eq!(ran.code, 5);
    let sealed = encrypted("pw = \"s3cr3t-w0rd\"\n", &key);
    let bench = bench.file("bare.toml.age", sealed);
    let ran = edit(&bench, &["bare.toml.age"]);
    assert_eq!(
        ran.err,
        "error: bare.toml.age does not say for whom it is encrypted
   = help: name every key that shall read it: --recipient age1...; the file will keep them
"
    );
    let ran = edit(&bench, &["new.toml.age", "--recipient", "age1nonsense"]);
    assert_eq!(
        ran.err,
        "error: `age1nonsense` is no age recipient
   = help: a recipient begins with age1; `runner secret key` shows yours
"
    );
    told(&bench);
}

#[test]
fn an_editor_that_fails_changes_nothing() {
    let bench = bench("echo 'pw = \"s3cr3t-w0rd\"' >>\"$1\"; exit 3");
    mine(&bench);
    let ran = edit(&bench, &["s.toml.age"]);
    assert_eq!(
        ran.err.replace(bench.root().to_str().unwrap(), "HOME"),
        "error: the editor HOME/editor failed: exit status: 3\n   = help: nothing was changed\n"
    );
    assert_eq!(ran.code, 5);
    assert!(!bench.path("s.toml.age").exists());
    told(&bench);
}

#[test]
fn a_signal_leaves_nothing_behind() {
    for (name, code) in [("TERM", 143), ("HUP", 129)] {
        let bench = bench("touch open; exec sleep 1000");
        mine(&bench);
        let mut child = command(&bench, &["s.toml.age"]).spawn().unwrap();
        until("the editor is open", || bench.path("open").exists());
        let status = std::process::Command::new("kill")
            .args(["-s", name, &child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
        until("the program ends", || child.try_wait().unwrap().is_some());
        assert_eq!(child.wait().unwrap().code(), Some(code));
        assert_eq!(told(&bench).len(), 1);
        assert!(!bench.path("s.toml.age").exists());
    }
}
