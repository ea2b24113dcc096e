//! `copy`, run for real in dash, bash and busybox, mostly twice: the second time nothing is left to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use support::bench::{Bench, play};
use support::place::{Place, mode, set_mode};
use support::shell::{shells, toml};

#[test]
fn copy_sends_small_and_large_files() {
    for shell in shells() {
        let place = Place::new();
        let large: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
        fs::write(place.here.path().join("large"), &large).unwrap();
        fs::write(place.here.path().join("small.sh"), [0, 1, 255, b'\\', b'%']).unwrap();
        set_mode(&place.here.path().join("small.sh"), 0o700);
        place.settle(&shell, "copy", "src = 'large'\ndest = 'HOSTcopy'");
        assert_eq!(fs::read(place.at("copy")).unwrap(), large);
        assert_eq!(mode(&place.at("copy")), 0o644);
        place.settle(&shell, "copy", "src = 'small.sh'\ndest = 'HOST'");
        assert_eq!(
            fs::read(place.at("small.sh")).unwrap(),
            [0, 1, 255, b'\\', b'%']
        );
        assert_eq!(mode(&place.at("small.sh")), 0o755);

        fs::write(place.at("copy"), vec![b'x'; large.len()]).unwrap();
        let next = place.settle(&shell, "copy", "src = 'large'\ndest = 'HOSTcopy'");
        assert_eq!(next.because, "content differs");
    }
}

#[test]
fn an_upload_that_arrives_changed_is_refused() {
    for shell in shells() {
        let place = Place::new();
        let source = place.here.path().join("large");
        fs::write(&source, vec![b'x'; 100_000]).unwrap();
        let module = place
            .build("copy", "src = 'large'\ndest = 'HOSTf'")
            .unwrap();
        fs::write(&source, vec![b'y'; 100_000]).unwrap();
        let error = shell.apply(module.as_ref()).unwrap_err();
        let path = place.text("f");
        assert_eq!(
            error,
            format!("what arrived for {path} is not what was to be sent; did its source change?")
        );
        assert!(!place.at("f").exists());
        place.assert_clean();
    }
}

#[test]
fn copy_of_a_tree_sends_what_differs() {
    for shell in shells() {
        let place = Place::new();
        let source = place.here.path().join("tree");
        fs::create_dir_all(source.join("sub/empty")).unwrap();
        fs::write(source.join("sub/it's"), "1").unwrap();
        fs::write(source.join("-dash"), "2").unwrap();
        fs::write(source.join("large"), vec![b'z'; 90_000]).unwrap();
        symlink("sub/it's", source.join("link\nline")).unwrap();
        let args = "src = 'tree'\ndest = 'HOSTcopy'";
        let first = place.settle(&shell, "copy", args);
        assert_eq!(
            first.because,
            ".: new directory, -dash: new file, large: new file, 4 more"
        );
        assert_eq!(fs::read_to_string(place.at("copy/sub/it's")).unwrap(), "1");
        assert_eq!(
            fs::read_link(place.at("copy/link\nline")).unwrap(),
            Path::new("sub/it's")
        );
        assert!(place.at("copy/sub/empty").is_dir());

        fs::write(place.at("copy/-dash"), "other").unwrap();
        fs::remove_file(place.at("copy/link\nline")).unwrap();
        symlink("elsewhere", place.at("copy/link\nline")).unwrap();
        let next = place.settle(&shell, "copy", args);
        assert_eq!(
            next.because,
            "-dash: content differs, link\nline: link differs"
        );
        let next = place.settle(&shell, "copy", &format!("{args}\ndirectory_mode = '0700'"));
        assert_eq!(
            next.because,
            ".: mode 0755 -> 0700, sub: mode 0755 -> 0700, sub/empty: mode 0755 -> 0700"
        );
        place.settle(&shell, "copy", "src = 'tree/'\ndest = 'HOST'");
        assert!(place.at("tree/sub/empty").is_dir());
    }
}

#[test]
fn a_content_is_written_as_it_is() {
    for shell in shells() {
        let place = Place::new();
        let settle = |content: &str, more: &str| {
            let args = format!("dest = 'HOSTf'\ncontent = {}{more}", toml(content));
            let applied = place.settle(&shell, "copy", &args);
            assert_eq!(fs::read_to_string(place.at("f")).unwrap(), content);
            applied.because
        };
        let odd = "it's $HOME %s `x` \\n \u{1}\tü\n\n";
        assert_eq!(settle(odd, ""), "new file");
        assert_eq!(mode(&place.at("f")), 0o644);
        assert_eq!(
            settle("", "\nmode = '0600'"),
            "content differs, mode 0644 -> 0600"
        );
        assert_eq!(settle(&odd.repeat(10_000), ""), "content differs");
        assert_eq!(mode(&place.at("f")), 0o600, "an undeclared mode is kept");
    }
}

/// What is to be written is shown before, but for what nobody may see.
#[test]
fn a_content_is_checked_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f");
    let task = format!(
        "name = \"text\"\ncopy = {{ content = \"a\\n{{{{ s }}}}\\n\", dest = \"{}\" }}",
        path.display()
    );
    let playbook = play(&[&task]).replacen('\n', "\nsecrets.s = { env = \"CANARY\" }\n", 1);
    let bench = Bench::with(playbook).file(
        "inventory/hosts.toml",
        "[hosts]\nhere = { connection = { transport = \"local\" } }\n",
    );
    let run = |options: &[&str]| {
        let mut command = bench.command(&[&["play", "play.toml"], options].concat());
        let ran = command.env("CANARY", "c4nary").output().unwrap();
        let text = String::from_utf8(ran.stdout).unwrap() + &String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(0), "{text}");
        assert!(!text.contains("c4nary"), "{text}");
        text
    };
    let shown = run(&["--check", "--diff"]);
    assert!(
        shown.contains("+a\n") && shown.contains("+[secret s]\n"),
        "{shown}"
    );
    assert!(shown.contains("1 would change"), "{shown}");
    assert!(!path.exists());
    run(&[]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "a\nc4nary\n");
    let shown = run(&["--diff"]);
    assert!(shown.contains("1 host as wanted, 0 changed"), "{shown}");
    fs::write(&path, "b\nc4nary\n").unwrap();
    let shown = run(&["--diff"]);
    assert!(shown.contains("-b\n") && shown.contains("+a\n"), "{shown}");
}
