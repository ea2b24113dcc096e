//! The file modules, run for real in dash, bash and busybox, each twice: the second time nothing is left to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/shell.rs"]
mod shell;

use proptest::prelude::*;
use shell::{Applied, Here, Shell, module, shells, toml};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// In memory where there is a place for that: the modules write through to the disk.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// A folder that stands for a host, and one that stands for this machine.
struct Place {
    host: tempfile::TempDir,
    here: tempfile::TempDir,
    diff: bool,
}

impl Place {
    fn new() -> Self {
        Self {
            host: folder(),
            here: folder(),
            diff: false,
        }
    }

    /// The real path of a name on the host.
    fn at(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.host.path()).unwrap().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.at(name).to_str().unwrap().to_string()
    }

    fn build(&self, name: &str, args: &str) -> Result<Box<dyn runner::modules::Module>, String> {
        let here = Here {
            root: self.here.path().to_path_buf(),
            diff: self.diff,
        };
        module(name, &args.replace("HOST", &self.text("")), &here)
    }

    fn apply(&self, shell: &Shell, name: &str, args: &str) -> Result<Applied, String> {
        shell.apply(self.build(name, args)?.as_ref())
    }

    /// Applies twice; the second time nothing may change.
    fn settle(&self, shell: &Shell, name: &str, args: &str) -> Applied {
        let first = self.apply(shell, name, args);
        let first = first.unwrap_or_else(|error| panic!("{}: {error}", shell.name));
        let second = self.apply(shell, name, args).unwrap();
        assert!(!second.changed, "{}: {}", shell.name, second.because);
        self.assert_clean();
        first
    }

    /// No temporary file is left.
    fn assert_clean(&self) {
        let mut todo = vec![self.at("")];
        while let Some(directory) = todo.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                assert!(!path.to_string_lossy().contains(".runner-"), "{path:?}");
                if path.is_dir() && !path.is_symlink() {
                    todo.push(path);
                }
            }
        }
    }
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

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
        let temporary = Path::new(temporary.strip_prefix("t=").unwrap());
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

#[test]
fn a_full_disk_is_named_and_the_old_file_stays() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for shell in shells() {
        let place = Place::new();
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(place.at(""))
            .status()
            .unwrap();
        if !mounted.success() {
            return; // A container may not mount.
        }
        fs::write(place.at("f"), "old").unwrap();
        set_mode(&place.at("f"), 0o640);
        let args = format!("path = 'HOSTf'\ncontent = '{}'", "x".repeat(100_000));
        let result = place.apply(&shell, "file", &args);
        let content = fs::read_to_string(place.at("f")).unwrap();
        let kept = mode(&place.at("f"));
        let left = fs::read_dir(place.at("")).unwrap().count();
        std::process::Command::new("umount")
            .arg(place.at(""))
            .status()
            .unwrap();
        let error = result.unwrap_err();
        assert!(error.contains("No space left on device"), "{error}");
        assert_eq!((content.as_str(), kept, left), ("old", 0o640, 1));
    }
}

/// The script is told to end at the worst moment: the new file is complete, but not in its place.
#[test]
fn a_script_that_is_stopped_leaves_nothing_behind() {
    let tools = tempfile::tempdir().unwrap();
    for name in "sh stat cat chmod chown chgrp rm sha256sum sync kill".split(' ') {
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
fn directory_is_made_with_parents() {
    for shell in shells() {
        let place = Place::new();
        let args = "path = ['HOSTa/b c', 'HOSTa/d/']\nmode = '0750'";
        let first = place.settle(&shell, "directory", args);
        let (b, d) = (place.text("a/b c"), place.text("a/d"));
        assert_eq!(
            first.because,
            format!("new directory {b}, new directory {d}")
        );
        assert_eq!(mode(&place.at("a")), 0o755);
        assert_eq!(mode(&place.at("a/b c")), 0o750);

        set_mode(&place.at("a/d"), 0o2755);
        let next = place.settle(&shell, "directory", args);
        assert_eq!(next.because, format!("{d}: mode 2755 -> 0750"));
        place.settle(&shell, "directory", "path = 'HOSTe'");
        assert_eq!(mode(&place.at("e")), 0o755);
    }
}

#[test]
fn directory_takes_a_link_to_one_and_refuses_the_rest() {
    for shell in shells() {
        let place = Place::new();
        fs::create_dir(place.at("d")).unwrap();
        symlink("d", place.at("l")).unwrap();
        symlink("none", place.at("dangling")).unwrap();
        fs::write(place.at("f"), "").unwrap();
        let first = place.settle(&shell, "directory", "path = 'HOSTl'\nmode = '0711'");
        assert!(first.changed);
        assert_eq!(mode(&place.at("d")), 0o711);
        let error = |path: &str| {
            let args = format!("path = 'HOST{path}'");
            place.apply(&shell, "directory", &args).unwrap_err()
        };
        assert_eq!(
            error("f"),
            format!("{} is a file, not a directory", place.text("f"))
        );
        assert_eq!(
            error("dangling"),
            format!(
                "{} is a symbolic link to nothing, not a directory",
                place.text("dangling")
            )
        );
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
fn remove_takes_files_links_and_trees() {
    for shell in shells() {
        let place = Place::new();
        fs::create_dir_all(place.at("d/e")).unwrap();
        fs::write(place.at("d/e/f"), "").unwrap();
        fs::create_dir(place.at("kept")).unwrap();
        symlink("kept", place.at("-l\n")).unwrap();
        let args = format!(
            "path = [{}, 'HOSTd', 'HOSTnone']",
            toml(&place.text("-l\n"))
        );
        let first = place.settle(&shell, "remove", &args);
        assert!(first.changed);
        assert!(!place.at("d").exists() && place.at("kept").exists());

        fs::create_dir_all(place.at("d/e")).unwrap();
        let error = place.apply(&shell, "remove", "path = 'HOSTd'\nrecursive = false");
        assert!(error.is_err());
        assert!(place.at("d/e").exists());
        place.settle(&shell, "remove", "path = 'HOSTd/e'\nrecursive = false");
    }
}

#[test]
fn remove_refuses_on_the_host_what_leads_elsewhere() {
    for shell in shells() {
        let place = Place::new();
        fs::create_dir_all(place.at("real/inner")).unwrap();
        symlink("real", place.at("l")).unwrap();
        let module = place.build("remove", "path = 'HOSTl/inner'").unwrap();
        let failure = shell.changes(module.as_ref()).unwrap_err();
        assert!(failure.guard);
        let (given, real) = (place.text("l/inner"), place.text("real/inner"));
        assert_eq!(
            failure.message,
            format!("refusing to remove {given}: it leads through a symbolic link to {real}")
        );

        // Swapped between the question and the act.
        fs::create_dir_all(place.at("a/b")).unwrap();
        let module = place.build("remove", "path = 'HOSTa/b'").unwrap();
        let changes = shell.changes(module.as_ref()).unwrap();
        fs::create_dir_all(place.at("victim/b")).unwrap();
        fs::rename(place.at("a"), place.at("was")).unwrap();
        symlink("victim", place.at("a")).unwrap();
        let done = shell.act(&changes.actions[0]);
        assert_ne!(done.code, 0);
        assert!(place.at("victim/b").exists());
    }
}

#[test]
fn remove_refuses_mount_points() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    for shell in shells() {
        let place = Place::new();
        let at = place.at("a b/m");
        fs::create_dir_all(&at).unwrap();
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "tmpfs"])
            .arg(&at)
            .status()
            .unwrap();
        if !mount.success() {
            return;
        }
        let failure = |path: &str| {
            let args = format!("path = 'HOST{path}'");
            let module = place.build("remove", &args).unwrap();
            shell.changes(module.as_ref())
        };
        let (itself, above) = (failure("a b/m"), failure("a b"));
        std::process::Command::new("umount")
            .arg(&at)
            .status()
            .unwrap();
        let (itself, above) = (itself.unwrap_err(), above.unwrap_err());
        assert!(itself.guard && above.guard);
        assert!(
            itself.message.ends_with("it is a mount point"),
            "{itself:?}"
        );
        assert!(above.message.contains("is mounted inside it"), "{above:?}");
    }
}

#[test]
fn stat_tells_what_is_there() {
    for shell in shells() {
        let place = Place::new();
        fs::write(place.at("f"), "abc").unwrap();
        set_mode(&place.at("f"), 0o600);
        symlink("f", place.at("l")).unwrap();
        let stat = |args: &str| place.settle(&shell, "stat", args).result;
        let file = stat("path = 'HOSTf'\nchecksum = true");
        let status = fs::metadata(place.at("f")).unwrap();
        assert_eq!(file["exists"], true);
        assert_eq!(file["is_file"], true);
        assert_eq!(file["is_dir"], false);
        assert_eq!(file["size"], 3);
        assert_eq!(file["mode"], "0600");
        assert_eq!(file["uid"], status.uid());
        assert_eq!(file["mtime"], status.mtime());
        assert_eq!(
            file["checksum"],
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let link = stat("path = 'HOSTl'");
        assert_eq!(link["is_link"], true);
        assert_eq!(link["target"], "f");
        assert_eq!(stat("path = 'HOSTl'\nfollow = true")["is_file"], true);
        assert_eq!(stat("path = 'HOSTnone'")["exists"], false);
        assert_eq!(stat("path = '/'")["is_dir"], true);
    }
}

#[test]
fn link_is_made_and_replaced() {
    for shell in shells() {
        let place = Place::new();
        fs::create_dir(place.at("d")).unwrap();
        let link = |src: &str| format!("src = {}\ndest = 'HOSTl'", toml(src));
        assert_eq!(place.settle(&shell, "link", &link("d")).because, "new link");
        let next = place.settle(&shell, "link", &link("-n one\n"));
        assert_eq!(next.because, "target d -> -n one\n");
        assert_eq!(fs::read_link(place.at("l")).unwrap(), Path::new("-n one\n"));
        assert_eq!(fs::read_dir(place.at("d")).unwrap().count(), 0);

        fs::write(place.at("f"), "").unwrap();
        let error = place.apply(&shell, "link", "src = 'd'\ndest = 'HOSTf'");
        assert_eq!(error.unwrap_err(), format!("{} is a file", place.text("f")));
        place.settle(&shell, "link", "src = 'd'\ndest = 'HOSTf'\nforce = true");
        let error = place.apply(&shell, "link", "src = 'x'\ndest = 'HOSTd'\nforce = true");
        assert_eq!(
            error.unwrap_err(),
            format!("{} is a directory", place.text("d"))
        );
        let error = place.apply(&shell, "link", "src = 'x'\ndest = 'HOSTnone/l'");
        assert_eq!(
            error.unwrap_err(),
            format!(
                "the directory {} does not exist; add a `directory` task before this one",
                place.text("none")
            )
        );
    }
}

#[test]
fn line_edits_a_file() {
    for shell in shells() {
        let place = Place::new();
        let args = "path = 'HOSTf'\nregexp = '^k='\nline = 'k=2'";
        let error = place.apply(&shell, "line", args).unwrap_err();
        assert_eq!(error, format!("{} does not exist", place.text("f")));
        let first = place.settle(&shell, "line", &format!("{args}\ncreate = true"));
        assert_eq!(first.because, "new file");
        assert_eq!(fs::read_to_string(place.at("f")).unwrap(), "k=2\n");

        fs::write(place.at("f"), b"a\nk=1\n\xff\0").unwrap();
        set_mode(&place.at("f"), 0o600);
        let next = place.settle(&shell, "line", args);
        assert_eq!(next.because, "line replaced");
        assert_eq!(fs::read(place.at("f")).unwrap(), b"a\nk=2\n\xff\0");
        assert_eq!(mode(&place.at("f")), 0o600);
        let next = place.settle(
            &shell,
            "line",
            "path = 'HOSTf'\nregexp = '^k'\nstate = 'absent'",
        );
        assert_eq!(next.because, "line removed");
        let next = place.settle(&shell, "line", "path = 'HOSTf'\nline = 'a'\nmode = '0644'");
        assert_eq!(next.because, "mode 0600 -> 0644");

        symlink("f", place.at("l")).unwrap();
        let error = place.apply(&shell, "line", "path = 'HOSTl'\nline = 'x'");
        assert_eq!(
            error.unwrap_err(),
            format!("{} is a symbolic link, not a file", place.text("l"))
        );
    }
}

#[test]
fn line_does_not_undo_what_somebody_else_wrote_meanwhile() {
    for shell in shells() {
        let place = Place::new();
        fs::write(place.at("f"), "a\n").unwrap();
        let module = place.build("line", "path = 'HOSTf'\nline = 'x'").unwrap();
        let changes = shell.changes(module.as_ref()).unwrap();
        fs::write(place.at("f"), "b\n").unwrap();
        let done = shell.act(&changes.actions[0]);
        assert_eq!(
            String::from_utf8(done.stderr).unwrap(),
            format!(
                "{} was changed by somebody else meanwhile\n",
                place.text("f")
            )
        );
        assert_ne!(done.code, 0);
        assert_eq!(fs::read_to_string(place.at("f")).unwrap(), "b\n");
        place.assert_clean();
    }
}

#[test]
fn fetch_brings_a_file_here_once() {
    for shell in shells() {
        let place = Place::new();
        let here = place.here.path().to_str().unwrap();
        fs::write(place.at("it's"), "abc").unwrap();
        let args = format!("src = \"HOSTit's\"\ndest = '{here}/out/h1/'");
        assert_eq!(place.settle(&shell, "fetch", &args).because, "new file");
        let fetched = place.here.path().join("out/h1/it's");
        assert_eq!(fs::read_to_string(&fetched).unwrap(), "abc");
        fs::write(&fetched, "old").unwrap();
        let next = place.settle(&shell, "fetch", &args);
        assert_eq!(next.because, "content differs");
        assert_eq!(next.result["dest"], fetched.to_str().unwrap());

        let args = format!("src = 'HOSTnone'\ndest = '{here}/x'");
        let error = place.apply(&shell, "fetch", &args).unwrap_err();
        assert_eq!(error, format!("{} does not exist", place.text("none")));
        place.settle(&shell, "fetch", &format!("{args}\nfail_on_missing = false"));
        let error = place.apply(
            &shell,
            "fetch",
            &format!("src = '/tmp/..'\ndest = '{here}/'"),
        );
        assert!(error.unwrap_err().contains("`/tmp/..` names a directory"));
    }
}

/// A host without `stat`: its `ls` has to tell.
#[test]
fn stat_and_file_work_without_the_tool_stat() {
    let tools = tempfile::tempdir().unwrap();
    for name in "ls date cat chmod chown chgrp mv rm sha256sum sync dd wc readlink".split(' ') {
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

#[test]
fn guards_that_need_no_host() {
    let place = Place::new();
    let refused = [
        ("", "refusing to remove ``: the path is empty"),
        (
            "/",
            "refusing to remove `/`: it is the root of the file system",
        ),
        (
            "//",
            "refusing to remove `//`: it is the root of the file system",
        ),
        (
            "/mnt",
            "refusing to remove `/mnt`: it is a directory at the top",
        ),
        (
            "/mnt/data/",
            "refusing to remove `/mnt/data/`: it ends in `/`",
        ),
        ("mnt/data", "`mnt/data` is not an absolute path"),
        ("~/x", "`~/x` is not an absolute path"),
        (
            "/a/../b",
            "refusing to remove `/a/../b`: it has `.` or `..` in it",
        ),
        (
            "/a/./b",
            "refusing to remove `/a/./b`: it has `.` or `..` in it",
        ),
        (
            "/home/dcos",
            "refusing to remove `/home/dcos`: it is a home directory",
        ),
        (
            "//var//lib",
            "refusing to remove `//var//lib`: it is a system directory",
        ),
        (
            "/proc/1/x",
            "refusing to remove `/proc/1/x`: it belongs to the kernel",
        ),
    ];
    for (path, message) in refused {
        let problem = place
            .build("remove", &format!("path = ['{path}']"))
            .unwrap_err();
        assert_eq!(problem.lines().next().unwrap(), format!("error: {message}"));
        assert!(problem.contains("task:1:9"), "{problem}");
    }
    for path in ["/mnt/data", "/home/dcos/x", "/var/lib/pulsar", "/dev/shm/x"] {
        place.build("remove", &format!("path = '{path}'")).unwrap();
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
