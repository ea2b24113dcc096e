//! The modules that write files, run for real in dash, bash and busybox, each twice: the second time nothing is left to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use support::place::{Mounted, Place, mode, run, set_mode};
use support::shell::{shells, toml};

#[test]
fn file_is_written_then_left_alone() {
    for shell in shells() {
        let place = Place::new();
        let args = "path = 'HOSTmyid'\ncontent = \"it's 1\\n\"";
        let first = place.settle(&shell, "file", args);
        assert_eq!(first.because, "new file");
        assert_eq!(fs::read_to_string(place.at("myid")).unwrap(), "it's 1\n");
        assert_eq!(mode(&place.at("myid")), 0o644);

        let args = "path = 'HOSTmyid'\ncontent = ''\nmode = '0640'";
        let next = place.settle(&shell, "file", args);
        assert_eq!(next.because, "content differs, mode 0644 -> 0640");
        assert_eq!(fs::read(place.at("myid")).unwrap(), b"");
        assert_eq!(mode(&place.at("myid")), 0o640);

        let args = "path = 'HOSTmyid'\ncontent = 'x'";
        place.settle(&shell, "file", args);
        assert_eq!(mode(&place.at("myid")), 0o640, "an undeclared mode is kept");

        let args = "path = 'HOSTmyid'\ncontent = 'x'\nmode = '4755'";
        let next = place.settle(&shell, "file", args);
        assert_eq!(next.because, "mode 0640 -> 4755");
    }
}

#[test]
fn file_takes_owner_and_group_by_name_or_number() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for shell in shells() {
        let place = Place::new();
        let args = "path = 'HOSTf'\ncontent = 'x'\nowner = 'daemon'\ngroup = '2'\nmode = '4750'";
        place.settle(&shell, "file", args);
        let status = fs::metadata(place.at("f")).unwrap();
        assert_eq!((status.uid(), status.gid()), (1, 2));
        assert_eq!(mode(&place.at("f")), 0o4750);

        let args = "path = 'HOSTf'\ncontent = 'y'";
        place.settle(&shell, "file", args);
        let status = fs::metadata(place.at("f")).unwrap();
        assert_eq!((status.uid(), status.gid()), (1, 2), "the owner is kept");
        assert_eq!(mode(&place.at("f")), 0o4750, "the mode is kept");

        let args = "path = 'HOSTf'\ncontent = 'y'\nowner = '0'";
        let next = place.settle(&shell, "file", args);
        assert_eq!(next.because, "owner daemon -> 0");
        assert_eq!(mode(&place.at("f")), 0o4750, "setuid survives a new owner");

        let args = "path = 'HOSTf'\ncontent = 'y'\nowner = 'nobody-here'";
        let error = place.apply(&shell, "file", args).unwrap_err();
        assert!(error.contains("nobody-here"), "{error}");
    }
}

#[test]
fn file_replaces_a_link_and_does_not_follow_it() {
    for shell in shells() {
        let place = Place::new();
        fs::write(place.at("victim"), "safe").unwrap();
        symlink("victim", place.at("f")).unwrap();
        let first = place.settle(&shell, "file", "path = 'HOSTf'\ncontent = 'x'");
        assert_eq!(first.because, "was a symbolic link");
        assert_eq!(fs::read_to_string(place.at("victim")).unwrap(), "safe");
        assert!(!place.at("f").is_symlink());
    }
}

#[test]
fn file_does_not_follow_a_link_planted_as_its_temporary() {
    for shell in shells() {
        let place = Place::new();
        let module = place
            .build("file", "path = 'HOSTf'\ncontent = 'x'")
            .unwrap();
        let changes = shell.changes(module.as_ref()).unwrap();
        let runner::modules::Action::Run(script) = &changes.actions[0] else {
            panic!("no script");
        };
        let temporary = script.text.lines().nth(2).unwrap();
        let temporary = Path::new(temporary.strip_prefix("k=").unwrap());
        assert!(temporary.starts_with(place.at("")), "{temporary:?}");
        fs::write(place.at("victim"), "safe").unwrap();
        symlink(place.at("victim"), temporary).unwrap();
        place.settle(&shell, "file", "path = 'HOSTf'\ncontent = 'x'");
        assert_eq!(fs::read_to_string(place.at("victim")).unwrap(), "safe");
    }
}

#[test]
fn file_names_what_is_in_its_way() {
    for shell in shells() {
        let place = Place::new();
        fs::create_dir(place.at("d")).unwrap();
        symlink("d", place.at("l")).unwrap();
        fs::write(place.at("plain"), "").unwrap();
        let error = |path: &str| {
            let args = format!("path = 'HOST{path}'\ncontent = 'x'");
            place.apply(&shell, "file", &args).unwrap_err()
        };
        assert_eq!(error("d"), format!("{} is a directory", place.text("d")));
        assert_eq!(error("l"), format!("{} is a directory", place.text("l")));
        assert_eq!(
            error("none/f"),
            format!(
                "the directory {} does not exist; add a `directory` task before this one",
                place.text("none")
            )
        );
        assert_eq!(
            error("plain/f"),
            format!("{} is not a directory", place.text("plain"))
        );
        place.assert_clean();
    }
}

#[test]
fn a_directory_of_others_is_denied_with_the_cause() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for shell in shells() {
        let place = Place::new();
        set_mode(&place.at(""), 0o755);
        let shell = shell.with_user(65534);
        let error = place.apply(&shell, "file", "path = 'HOSTf'\ncontent = 'x'");
        let error = error.unwrap_err();
        assert!(error.contains("ermission denied"), "{error}");
        place.assert_clean();

        fs::create_dir(place.at("shut")).unwrap();
        set_mode(&place.at("shut"), 0o700);
        let error = place.apply(&shell, "file", "path = 'HOSTshut/f'\ncontent = 'x'");
        assert_eq!(
            error.unwrap_err(),
            format!(
                "cannot look at {}: permission denied on a directory above it",
                place.text("shut/f")
            )
        );
        fs::write(place.at("secret"), "x").unwrap();
        set_mode(&place.at("secret"), 0o600);
        let error = place.apply(&shell, "file", "path = 'HOSTsecret'\ncontent = 'x'");
        let error = error.unwrap_err();
        assert!(
            error.starts_with(&format!("cannot look at {}: ", place.text("secret"))),
            "{error}"
        );
        assert!(error.contains("ermission denied"), "{error}");
    }
}

/// Options of a file system that takes no writes once it has the old file.
const READ_ONLY: &str = "size=63k";

/// Mounts a file system of its own with these options; `None` where this machine may not mount.
fn file_system(place: &Place, options: &str) -> Option<Mounted> {
    if !run(
        "mount",
        &["-t", "tmpfs", "-o", options, "tmpfs"],
        &place.at(""),
    ) {
        return None;
    }
    let mounted = Mounted(place.at(""));
    fs::write(place.at("f"), "old").unwrap();
    set_mode(&place.at("f"), 0o640);
    if options.contains("nr_inodes") {
        let full = |i: &i32| fs::write(place.at(&format!("x{i}")), "").is_err();
        (0..100).find(full).unwrap();
    }
    if options == READ_ONLY {
        assert!(run("mount", &["-o", "remount,ro"], &place.at("")));
    }
    Some(mounted)
}

#[test]
fn a_file_system_that_takes_nothing_is_named_and_the_old_file_stays() {
    let causes = [
        ("size=64k", "No space left on device"),
        ("nr_inodes=8", "No space left on device"),
        (READ_ONLY, "Read-only file system"),
    ];
    for shell in shells() {
        for (options, cause) in causes {
            let place = Place::new();
            let args = format!("path = 'HOSTf'\ncontent = '{}'", "x".repeat(100_000));
            let Some(_mounted) = file_system(&place, options) else {
                return;
            };
            let error = place.apply(&shell, "file", &args).unwrap_err();
            place.assert_clean();
            assert!(error.contains(cause), "{}: {error}", shell.name);
            assert_eq!(fs::read_to_string(place.at("f")).unwrap(), "old");
            assert_eq!(mode(&place.at("f")), 0o640);
        }
    }
}

/// Nobody else can read the new file until it has its owner and its mode.
#[test]
fn the_temporary_file_is_private() {
    let tools = tempfile::tempdir().unwrap();
    for name in "sh stat cat mv mkdir rm rmdir sha256sum sync".split(' ') {
        symlink("/bin/busybox", tools.path().join(name)).unwrap();
    }
    let chmod = "#!/bin/sh\n[ $(stat -c %a \"$3\") = 600 ] && exec /bin/busybox chmod \"$@\"\n";
    fs::write(tools.path().join("chmod"), chmod).unwrap();
    set_mode(&tools.path().join("chmod"), 0o755);
    for shell in shells() {
        let shell = shell.with_tools(tools.path());
        let place = Place::new();
        place.settle(
            &shell,
            "file",
            "path = 'HOSTf'\ncontent = 'x'\nmode = '0666'",
        );
        assert_eq!(mode(&place.at("f")), 0o666);
    }
}

#[test]
fn a_reader_sees_the_whole_old_file_or_the_whole_new_one() {
    let place = Place::new();
    let whole = |letter: &str| letter.repeat(80_000);
    fs::write(place.at("f"), whole("a")).unwrap();
    let path = place.at("f");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let reader = std::thread::spawn(move || {
        let mut seen = 0;
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(text.len(), 80_000);
            assert!(text.chars().all(|c| text.starts_with(c)));
            seen += 1;
        }
        seen
    });
    for shell in shells() {
        for letter in ["b", "c", "d"] {
            let args = format!("path = 'HOSTf'\ncontent = '{}'", whole(letter));
            place.settle(&shell, "file", &args);
        }
    }
    drop(stop);
    assert!(reader.join().unwrap() > 0);
}

#[test]
fn a_content_of_many_pieces_arrives_whole() {
    for shell in shells() {
        let place = Place::new();
        let text = "it's $HOME `\\x` \\n 100%s ü€😀\t\"\n".repeat(9000);
        fs::write(place.here.path().join("t"), &text).unwrap();
        place.settle(&shell, "template", "src = 't'\ndest = 'HOSTt'");
        assert!(fs::read_to_string(place.at("t")).unwrap() == text);
    }
}

/// The documented tasks can be built as they are.
#[test]
fn examples_build() {
    let place = Place::new();
    for folder in ["templates", "files"] {
        fs::create_dir(place.here.path().join(folder)).unwrap();
    }
    fs::write(place.here.path().join("templates/zookeeper.conf"), "").unwrap();
    fs::write(place.here.path().join("files/license.txt"), "").unwrap();
    let names = "directory file template copy fetch remove link line stat";
    for name in names.split(' ') {
        let spec = runner::modules::find(name).unwrap();
        let source = runner::diagnostic::Source::new(name, spec.example);
        let root = runner::document::parse(&source).unwrap();
        let play = root.table().unwrap().get("play").unwrap();
        let task = &play.table().unwrap().get("task").unwrap().array().unwrap()[0];
        let body = task.table().unwrap().get(name).unwrap();
        let here = place.here();
        let args = runner::modules::Args::new(spec, body, &here).unwrap();
        (spec.build)(&args).unwrap();
    }
}

/// The script is told to end at the worst moment: the new file is complete, but not in its place.
#[test]
fn a_script_that_is_stopped_leaves_nothing_behind() {
    let tools = tempfile::tempdir().unwrap();
    for name in "sh stat cat chmod chown chgrp mkdir rm rmdir sha256sum sync kill".split(' ') {
        symlink("/bin/busybox", tools.path().join(name)).unwrap();
    }
    fs::write(
        tools.path().join("mv"),
        "#!/bin/sh\nkill -s TERM $PPID\nexit 1\n",
    )
    .unwrap();
    set_mode(&tools.path().join("mv"), 0o755);
    for shell in shells() {
        let shell = shell.with_tools(tools.path());
        let place = Place::new();
        fs::write(place.at("f"), "old").unwrap();
        let module = place
            .build("file", "path = 'HOSTf'\ncontent = 'x'")
            .unwrap();
        let changes = shell.changes(module.as_ref()).unwrap();
        let done = shell.act(&changes.actions[0]);
        assert_eq!(done.code, 143, "{}: {done:?}", shell.name);
        assert_eq!(fs::read_to_string(place.at("f")).unwrap(), "old");
        place.assert_clean();
    }
}

#[test]
fn diff_brings_the_present_content() {
    for shell in shells() {
        let mut place = Place::new();
        place.diff = true;
        fs::write(place.at("f"), "a\nb").unwrap();
        let module = place
            .build("file", "path = 'HOSTf'\ncontent = 'c'")
            .unwrap();
        let diff = shell.changes(module.as_ref()).unwrap().diff.unwrap();
        assert_eq!((diff.before.as_str(), diff.after.as_str()), ("a\nb", "c"));
        fs::write(place.at("f"), "a\0b").unwrap();
        let diff = shell.changes(module.as_ref()).unwrap().diff.unwrap();
        assert_eq!(diff.before, "binary, 3 bytes\n");
    }
}

#[test]
fn template_goes_under_its_own_name_into_a_directory() {
    for shell in shells() {
        let place = Place::new();
        fs::write(place.here.path().join("a.conf"), "k=v\n").unwrap();
        place.settle(&shell, "template", "src = 'a.conf'\ndest = 'HOST'");
        assert_eq!(fs::read_to_string(place.at("a.conf")).unwrap(), "k=v\n");
    }
}

/// A host without `stat`: its `ls` has to tell.
#[test]
fn stat_and_file_work_without_the_tool_stat() {
    let tools = tempfile::tempdir().unwrap();
    for name in
        "ls date cat chmod chown chgrp mv mkdir rm rmdir sha256sum sync dd wc readlink".split(' ')
    {
        symlink("/bin/busybox", tools.path().join(name)).unwrap();
    }
    for shell in shells() {
        let shell = shell.with_tools(tools.path());
        let place = Place::new();
        for wanted in [0o640, 0o4755, 0o2644, 0o1777, 0o7000, 0o111] {
            let args = format!("path = 'HOST* f'\ncontent = 'abc'\nmode = '{wanted:04o}'");
            place.settle(&shell, "file", &args);
            let found = place.settle(&shell, "stat", "path = 'HOST* f'").result;
            assert_eq!(found["mode"], format!("{wanted:04o}"));
            assert_eq!(found["size"], 3);
            let status = fs::metadata(place.at("* f")).unwrap();
            assert_eq!(found["mtime"], status.mtime());
        }
    }
}

#[test]
fn a_host_without_a_tool_for_sha_256_is_told() {
    let tools = tempfile::tempdir().unwrap();
    for name in ["stat", "cat"] {
        symlink("/bin/busybox", tools.path().join(name)).unwrap();
    }
    for shell in shells().into_iter().take(2) {
        let shell = shell.with_tools(tools.path());
        let place = Place::new();
        fs::write(place.at("f"), "x").unwrap();
        let error = place.apply(&shell, "file", "path = 'HOSTf'\ncontent = 'x'");
        assert_eq!(
            error.unwrap_err(),
            format!(
                "cannot look at {}: this host has no tool for SHA-256 (sha256sum, openssl or shasum)",
                place.text("f")
            )
        );
    }
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[^/\0]{1,40}",
        "[-~#*?$`'\"\\\\ \n\t!&|;<>(){}\\[\\]=%.a]{1,12}",
    ]
    .prop_filter("no name", |name| {
        name != "." && name != ".." && name.len() < 255
    })
}

fn any_content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        "\\PC{0,100}".prop_map(String::into_bytes),
        "[-'\"\\\\$`%\0-\x1f\x7f]{0,60}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_legal_name_and_content(name in any_name(), content in any_content()) {
        for shell in shells() {
            let place = Place::new();
            fs::write(place.here.path().join("source"), &content).unwrap();
            let path = toml(&place.text(&name));
            place.settle(&shell, "copy", &format!("src = 'source'\ndest = {path}"));
            prop_assert_eq!(&fs::read(place.at(&name)).unwrap(), &content);
            place.settle(&shell, "remove", &format!("path = {path}"));
            prop_assert!(!place.at(&name).exists());
            place.settle(&shell, "directory", &format!("path = {path}\nmode = '0700'"));
            prop_assert!(place.at(&name).is_dir());
        }
    }
}
