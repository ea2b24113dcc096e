//! The modules that handle paths and lines, run for real in dash, bash and busybox, each twice: the second time nothing is left
//! to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use support::place::{Mounted, Place, mode, run, set_mode};
use support::shell::{shells, toml};

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
        // The first takes the second along.
        fs::create_dir_all(place.at("n/m")).unwrap();
        place.settle(&shell, "remove", "path = ['HOSTn', 'HOSTn/m']");

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
        if !run("mount", &["-t", "tmpfs", "tmpfs"], &at) {
            return;
        }
        let _mounted = Mounted(at);
        let failure = |path: &str| {
            let args = format!("path = 'HOST{path}'");
            let module = place.build("remove", &args).unwrap();
            shell.changes(module.as_ref())
        };
        let (itself, above) = (failure("a b/m"), failure("a b"));
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

/// Everything below a folder: what it is, its mode and its content.
fn all(place: &Place) -> Vec<String> {
    let mut todo = vec![place.at("")];
    let mut all = Vec::new();
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = match fs::symlink_metadata(&path).unwrap() {
                metadata if metadata.is_symlink() => format!("{:?}", fs::read_link(&path).unwrap()),
                metadata if metadata.is_dir() => {
                    todo.push(path.clone());
                    "directory".to_string()
                }
                _ => fs::read_to_string(&path).unwrap(),
            };
            all.push(format!("{} {:o} {kind}", path.display(), mode(&path)));
        }
    }
    all.sort();
    all
}

/// What is in the way of a task is left alone, and so is what lies beside it, unless the task names it.
#[test]
fn nothing_is_destroyed_unless_it_is_asked_for_by_name() {
    // What each task may take away or replace; the rest stays as it was.
    let rows: [(&str, &str, &[&str]); 14] = [
        ("directory", "path = 'HOSTf'", &[]),
        ("directory", "path = 'HOSTd/inside'", &[]),
        ("directory", "path = 'HOSTd'", &[]),
        ("file", "path = 'HOSTd'\ncontent = 'x'", &[]),
        ("file", "path = 'HOSTl'\ncontent = 'x'", &[]),
        ("copy", "src = 'one'\ndest = 'HOSTd'", &[]),
        // Beside what is copied there are others, and a folder stands where a file is to go.
        ("copy", "src = 'tree'\ndest = 'HOSTd'", &[]),
        ("copy", "src = 'clash'\ndest = 'HOSTd'", &[]),
        ("link", "dest = 'HOSTf'\nsrc = 'd'", &[]),
        ("link", "dest = 'HOSTd'\nsrc = 'f'", &[]),
        ("link", "dest = 'HOSTd'\nsrc = 'f'\nforce = true", &[]),
        ("link", "dest = 'HOSTf'\nsrc = 'd'\nforce = true", &["f"]),
        ("remove", "path = 'HOSTd'\nrecursive = false", &[]),
        (
            "remove",
            "path = 'HOSTd'",
            &["d", "d/inside", "d/sub", "d/sub/deep"],
        ),
    ];
    for shell in shells() {
        for (module, args, named) in rows {
            let place = Place::new();
            fs::create_dir_all(place.at("d/sub")).unwrap();
            for (name, content) in [("d/inside", "mine"), ("d/sub/deep", "mine"), ("f", "mine")] {
                fs::write(place.at(name), content).unwrap();
            }
            symlink("d", place.at("l")).unwrap();
            let here = place.here.path();
            fs::write(here.join("one"), "new").unwrap();
            fs::create_dir(here.join("tree")).unwrap();
            fs::write(here.join("tree/new"), "new").unwrap();
            fs::create_dir(here.join("clash")).unwrap();
            fs::write(here.join("clash/sub"), "new").unwrap();
            let before = all(&place);
            let result = place.apply(&shell, module, args);
            let after = all(&place);
            let gone: Vec<&String> = before.iter().filter(|one| !after.contains(one)).collect();
            let wanted: Vec<&String> = (before.iter())
                .filter(|one| {
                    let path = one.split(' ').next().unwrap();
                    named.iter().any(|name| place.text(name) == path)
                })
                .collect();
            let told = result.map(|applied| applied.because);
            assert_eq!(gone, wanted, "{}: {module} {args}: {told:?}", shell.name);
            place.assert_clean();
        }
    }
}
