//! What others have put in the way of a file, what a login may not do, and a source that changes on its way.

use crate::files::{OLD, PATIENCE, is_old, new, old, told};
use crate::harness::{Case, MARK};
use crate::support::place::{mode, run, set_mode};
use crate::support::proxy::{At, Fault, to_server};
use crate::support::site::{User, alive};
use crate::support::sshd::{current_user, skip};
use crate::watch::in_time;
use crate::world::Bad;
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A text that travels in a script, and a file that travels by itself.
const SMALL: &str = "small, and for nobody else\n";

/// More bytes than are on their way at once.
const LONG: usize = 16_000_000;

fn large() -> Vec<u8> {
    new(400_000)
}

/// The tasks that put a file to `~/target`, and what they put there.
fn ways() -> [(&'static str, Vec<u8>); 3] {
    [
        (
            "file = { path = \"{{ home }}/target\", content = \"small, and for nobody else\\n\" }",
            SMALL.into(),
        ),
        (
            "template = { src = \"small\", dest = \"{{ home }}/target\" }",
            SMALL.into(),
        ),
        (
            "copy = { src = \"large\", dest = \"{{ home }}/target\" }",
            large(),
        ),
    ]
}

/// What is asked of the bad hosts, with what it takes on this machine.
fn case(hosts: usize, module: &str) -> Case {
    let task = format!("name = \"fault\"\nwhen = \"'bad' in group_names\"\n{module}");
    Case::new((0..hosts).map(|_| Bad::Host))
        .good(26 - hosts)
        .patient()
        .tasks(&[MARK, &task])
        .marks(1..=1)
        .within(PATIENCE)
}

fn sources(world: &crate::world::World) {
    for (folder, name, content) in [
        ("files", "large", large()),
        ("templates", "small", SMALL.into()),
    ] {
        fs::create_dir(world.path("etc").join(folder)).unwrap();
        fs::write(world.path("etc").join(folder).join(name), content).unwrap();
    }
}

/// The temporary file in its folder.
fn inside(folder: &Path) -> PathBuf {
    let name = folder.to_str().unwrap();
    folder.join(&name[name.len() - 16..])
}

/// The temporary folder of a file, found without the program's own eyes.
fn temporary(path: &Path, content: &[u8]) -> PathBuf {
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let mut tag = Sha256::new();
    tag.update(path.to_str().unwrap());
    tag.update("\0");
    tag.update(hex(&Sha256::digest(content)));
    let name = path.file_name().unwrap().to_str().unwrap();
    path.with_file_name(format!(".{name}.runner-{}", &hex(&tag.finalize())[..16]))
}

/// Whatever lies at the temporary name is replaced, without a look at what it leads to and without waiting for anybody.
#[test]
fn what_is_planted_at_the_temporary_name_is_not_used() {
    if current_user() != "root" {
        return skip("only root can make a device");
    }
    for (module, content) in ways() {
        let planted = content.clone();
        let ran = case(7, module)
            .prepare(move |world| {
                sources(world);
                for (number, host) in world.bad.iter().enumerate() {
                    let target = host.home.join("target");
                    fs::write(&target, old()).unwrap();
                    set_mode(&target, OLD.0);
                    chown(&target, Some(OLD.1), Some(OLD.1)).unwrap();
                    let at = temporary(&target, &planted);
                    let victim = host.home.join("victim");
                    fs::write(&victim, "mine").unwrap();
                    match number {
                        0 => assert!(run("mkfifo", &["-m", "666"], &at)),
                        1 => symlink(&victim, &at).unwrap(),
                        2 => {
                            assert!(run("mkfifo", &[], &host.home.join("fifo")));
                            symlink(host.home.join("fifo"), &at).unwrap();
                        }
                        // The device that takes everything.
                        3 => symlink("/dev/null", &at).unwrap(),
                        4 => fs::write(&at, "torn").unwrap(),
                        // What a run has left that was killed with its host.
                        5 => {
                            fs::create_dir(&at).unwrap();
                            fs::write(inside(&at), "torn").unwrap();
                        }
                        _ => {
                            fs::create_dir(&at).unwrap();
                            fs::write(at.join("inside"), "").unwrap();
                        }
                    }
                }
            })
            .exits(2)
            .says("failed: bad7: fault")
            .meanwhile({
                let content = content.clone();
                move |world, child| {
                    // The directory stays where it is, which the harness would take for ours; and it reads all files.
                    let pid = child.id().to_string();
                    let over = || !alive(&pid);
                    assert!(in_time(PATIENCE, over), "it hangs");
                    let at = temporary(&world.bad[6].home.join("target"), &content);
                    assert!(at.join("inside").exists());
                    fs::remove_file(world.bad[2].home.join("fifo")).unwrap();
                    fs::remove_dir_all(at).unwrap();
                }
            })
            .run();
        let Some(ran) = ran else { return };
        for host in &ran.world.bad[..6] {
            let target = host.home.join("target");
            assert!(fs::read(&target).unwrap() == content, "{}", host.name);
            assert_eq!(mode(&target), OLD.0, "{}", host.name);
            assert_eq!(
                fs::read_to_string(host.home.join("victim")).unwrap(),
                "mine"
            );
        }
        is_old(&ran.world.bad[6].home);
        let told = told(&ran.out.text(), "bad7");
        assert!(told.contains("Directory not empty"), "{module}: {told}");
    }
}

/// Somebody is quicker, and puts a pipe to where the program has just made room: it is not opened.
#[test]
fn what_is_planted_behind_the_look_is_not_used() {
    const QUICK: &str = "#!/bin/sh\n/bin/rm \"$@\"\n\
         if [ ! -e ~/planted ]; then : >~/planted; for last; do :; done; mkfifo -m 666 \"$last\"; fi\n";
    for (module, content) in &ways()[..2] {
        let planted = content.clone();
        let env = "env = { PATH = \"{{ home }}/bin:/usr/bin:/bin\" }\ntimeout = \"20s\"";
        let ran = case(1, &format!("{module}\n{env}"))
            .prepare(move |world| {
                sources(world);
                let home = &world.bad[0].home;
                fs::create_dir(home.join("bin")).unwrap();
                fs::write(home.join("bin/rm"), QUICK).unwrap();
                set_mode(&home.join("bin/rm"), 0o755);
                fs::write(home.join("target"), "old").unwrap();
                fs::write(temporary(&home.join("target"), &planted), "torn").unwrap();
            })
            .exits(2)
            .says("failed: bad: fault")
            .run();
        let Some(ran) = ran else { return };
        let home = &ran.world.bad[0].home;
        assert!(home.join("planted").exists());
        assert_eq!(fs::read(home.join("target")).unwrap(), b"old");
        let told = told(&ran.out.text(), "bad");
        assert!(told.contains("File exists"), "{module}: {told}");
    }
}

/// A login without the right to a folder or a file, as it is on a real host.
#[test]
fn without_the_right_the_old_file_stays_and_the_cause_is_told() {
    let Some(user) = User::new("w", Path::new("/bin/sh")) else {
        return;
    };
    // Of the folder and of the file, which belong to others.
    const RIGHTS: [(u32, u32); 3] = [(0o755, OLD.0), (0o700, OLD.0), (0o755, 0o644)];
    for (module, _) in ways() {
        let ran = case(3, &module.replace("}}/target", "}}/dir/target"))
            .connection(&format!(", user = \"{}\"", user.name))
            .prepare(|world| {
                sources(world);
                let locks = world.sshd.files.locks.path();
                for folder in fs::read_dir(locks).unwrap().flatten() {
                    set_mode(&folder.path(), 0o1777);
                }
                set_mode(locks, 0o755);
                for (number, host) in world.bad.iter().enumerate() {
                    set_mode(&host.home, 0o777);
                    let dir = host.home.join("dir");
                    fs::create_dir(&dir).unwrap();
                    fs::write(dir.join("target"), old()).unwrap();
                    chown(dir.join("target"), Some(OLD.1), Some(OLD.1)).unwrap();
                    let (may, file) = RIGHTS[number];
                    set_mode(&dir.join("target"), file);
                    set_mode(&dir, may);
                }
            })
            .exits(2)
            .says("failed: bad1: fault")
            .run();
        let Some(ran) = ran else { return };
        let text = ran.out.text();
        for (number, cause) in [
            (1, "Permission denied"),
            (2, "permission denied on a directory above it"),
            (3, "Permission denied"),
        ] {
            let told = told(&text, &format!("bad{number}"));
            assert!(told.contains(cause), "{module}: {told}\n{text}");
        }
        for host in &ran.world.bad[..2] {
            is_old(&host.home.join("dir"));
        }
        let readable = ran.world.bad[2].home.join("dir/target");
        assert!(fs::read(&readable).unwrap() == old());
        assert_eq!(mode(&readable), 0o644);
    }
}

/// The file on this machine changes while it is on its way.
#[test]
fn a_source_that_changes_replaces_nothing() {
    let slow = to_server(
        At::Byte(30_000),
        Fault::Slice(16 * 1024, Duration::from_millis(5)),
    );
    let task = "name = \"fault\"\nwhen = \"'bad' in group_names\"\ncopy = { src = \"large\", dest = \"{{ home }}/target\" }";
    let ran = Case::new([Bad::link(vec![slow])])
        .patient()
        .tasks(&[MARK, task])
        .marks(1..=1)
        .within(PATIENCE)
        .prepare(|world| {
            sources(world);
            fs::write(world.path("etc/files/large"), new(LONG)).unwrap();
            for host in &world.bad {
                let target = host.home.join("target");
                fs::write(&target, old()).unwrap();
                set_mode(&target, OLD.0);
                if current_user() == "root" {
                    chown(&target, Some(OLD.1), Some(OLD.1)).unwrap();
                }
            }
        })
        .meanwhile(|world, _| {
            let at = inside(&temporary(&world.bad[0].home.join("target"), &new(LONG)));
            let begun = || fs::metadata(&at).is_ok_and(|metadata| metadata.len() > 0);
            assert!(in_time(PATIENCE, begun), "in vain: the upload begins");
            // As long as before, and only its end is another.
            let mut changed = new(LONG);
            changed[LONG - 1] ^= 1;
            fs::write(world.path("etc/files/large"), changed).unwrap();
        })
        .exits(2)
        .run();
    let Some(ran) = ran else { return };
    ran.world.bad.iter().for_each(|host| is_old(&host.home));
    let text = ran.out.text();
    for wanted in [
        "    etc/files/large changed while it was sent\n",
        "failed 1: bad\n",
    ] {
        assert!(text.contains(wanted), "{text}");
    }
}
