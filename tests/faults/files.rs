//! Files on their way to hosts: whoever reads them there only ever sees the whole old one or the whole new one.

use crate::harness::{Case, MARK, Ran};
use crate::support::place::{Mounted, mode, run, set_mode};
use crate::support::proxy::{At, Fault, Rule, to_server};
use crate::support::sshd::{current_user, program, skip};
use crate::watch::in_time;
use crate::world::{Bad, World};
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a host may take to come as far as a case needs it.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The mode and owner of the old file.
pub const OLD: (u32, u32) = (0o640, 1234);

pub fn old() -> Vec<u8> {
    b"old\n".repeat(20_000)
}

/// Bytes that no compression makes small.
pub fn new(size: usize) -> Vec<u8> {
    let mut chance = crate::support::proxy::Chance(7);
    (0..size).map(|_| chance.below(256) as u8).collect()
}

/// Readers of `target` on every bad host, for as long as the run lasts.
#[derive(Clone, Default)]
struct Readers(Arc<(AtomicBool, Mutex<Vec<JoinHandle<Seen>>>)>);

/// What a reader has seen.
#[derive(Default)]
struct Seen {
    reads: usize,
    torn: usize,
    open: usize,
}

impl Readers {
    /// Puts the old file in its place everywhere, and begins to read.
    fn begin(&self, world: &World, new: &[u8]) {
        for host in &world.bad {
            let path = host.home.join("target");
            fs::write(&path, old()).unwrap();
            set_mode(&path, OLD.0);
            if current_user() == "root" {
                chown(&path, Some(OLD.1), Some(OLD.1)).unwrap();
            }
            let (state, new, old) = (self.clone(), new.to_vec(), old());
            let home = host.home.clone();
            let reader = std::thread::spawn(move || {
                let (_never, ticks) = std::sync::mpsc::channel::<()>();
                let mut seen = Seen::default();
                while !state.0.0.load(Ordering::Relaxed) {
                    let content = fs::read(&path).unwrap_or_default();
                    seen.reads += 1;
                    seen.torn += usize::from(content != old && content != new);
                    seen.open += usize::from(too_open(&home));
                    let _ = ticks.recv_timeout(Duration::from_millis(5));
                }
                seen
            });
            self.0.1.lock().unwrap().push(reader);
        }
    }

    /// How many reads there were: none of them of anything but a whole file.
    #[track_caller]
    fn end(&self) -> usize {
        self.0.0.store(true, Ordering::Relaxed);
        let readers = std::mem::take(&mut *self.0.1.lock().unwrap());
        let seen: Vec<Seen> = readers
            .into_iter()
            .map(|seen| seen.join().unwrap())
            .collect();
        let count = |of: fn(&Seen) -> usize| seen.iter().map(of).sum::<usize>();
        println!(
            "READS {}, of torn files {}",
            count(|seen| seen.reads),
            count(|seen| seen.torn)
        );
        assert_eq!(count(|seen| seen.torn), 0, "torn files");
        assert_eq!(
            count(|seen| seen.open),
            0,
            "a temporary file was open to others"
        );
        count(|seen| seen.reads)
    }
}

/// Whether a temporary file of the runner can be read by more than its owner before it has the mode of the old file, or its folder be entered.
fn too_open(home: &Path) -> bool {
    let entries = fs::read_dir(home).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().contains(".runner-"))
        .filter_map(|entry| entry.metadata().ok())
        .any(|metadata| metadata.mode() & 0o777 & !0o700 != 0 || !metadata.is_dir())
}

/// The old file is there as it was.
#[track_caller]
pub fn is_old(home: &Path) {
    let path = home.join("target");
    assert!(fs::read(&path).unwrap() == old(), "{path:?} has changed");
    assert_eq!(mode(&path), OLD.0, "{path:?}");
    if current_user() == "root" {
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (OLD.1, OLD.1));
    }
}

/// A task that puts the new content to `target`, on the bad hosts.
fn task(module: &str) -> String {
    let home = "{{ hosts }}/{{ inventory_hostname }}";
    let body = match module {
        "copy" => format!("copy = {{ src = \"large\", dest = \"{home}/target\" }}"),
        "file" => format!("file = {{ path = \"{home}/target\", content = \"{{{{ content }}}}\" }}"),
        _ => format!("template = {{ src = \"small\", dest = \"{home}/target\" }}"),
    };
    format!("name = \"fault\"\nwhen = \"'bad' in group_names\"\n{body}")
}

/// As the file's name is in a world.
fn place(world: &World, large: &[u8], small: &str) {
    let quoted = serde_json::to_string(small).unwrap();
    let vars = format!(
        "hosts = \"{}/hosts\"\ncontent = {quoted}\n",
        world.folder().display()
    );
    fs::write(world.path("etc/place.toml"), vars).unwrap();
    fs::create_dir_all(world.path("etc/files")).unwrap();
    fs::create_dir_all(world.path("etc/templates")).unwrap();
    fs::write(world.path("etc/files/large"), large).unwrap();
    fs::write(world.path("etc/templates/small"), small).unwrap();
}

const PLACE: [&str; 2] = ["-e", "@etc/place.toml"];

/// Text of about the size that still travels in a script.
fn small() -> String {
    (0..5_000).map(|line| format!("line {line:05}\n")).collect()
}

fn content(module: &str) -> Vec<u8> {
    match module {
        "copy" => new(400_000),
        _ => small().into_bytes(),
    }
}

/// Links that do this to what the client sends, at these places of the connection.
fn links(places: impl IntoIterator<Item = u64>, fault: fn() -> Fault) -> Vec<Bad> {
    let rule = |at| -> Vec<Rule> { vec![to_server(At::Byte(at), fault())] };
    places.into_iter().map(|at| Bad::link(rule(at))).collect()
}

/// Uploads that end in some way; what is seen of the files meanwhile.
fn torn(
    module: &'static str,
    bad: Vec<Bad>,
    exit: i32,
    change: impl Fn(Case) -> Case,
) -> Option<Ran> {
    let readers = Readers::default();
    let begin = readers.clone();
    let good = 26 - bad.len();
    let case = Case::new(bad)
        .good(good)
        .patient()
        .tasks(&[MARK, &task(module)])
        .options(&PLACE)
        .exits(exit)
        .marks(1..=1)
        .within(PATIENCE)
        .prepare(move |world| {
            place(world, &new(400_000), &small());
            begin.begin(world, &content(module));
        });
    let ran = change(case).run();
    let reads = readers.end();
    let ran = ran?;
    assert!(reads > 100, "only {reads} reads");
    Some(ran)
}

#[test]
fn an_upload_that_is_cut_anywhere_leaves_the_old_file() {
    let bad = links((0..12).map(|step| 30_011 + step * 29_989), || Fault::Reset);
    let Some(ran) = torn("copy", bad, 16, |case| case) else {
        return;
    };
    ran.world.bad.iter().for_each(|host| is_old(&host.home));
}

#[test]
fn a_script_that_is_cut_anywhere_leaves_the_old_file() {
    for module in ["file", "template"] {
        let bad = links((0..12).map(|step| 30_011 + step * 2_999), || Fault::Close);
        let Some(ran) = torn(module, bad, 16, |case| case) else {
            return;
        };
        ran.world.bad.iter().for_each(|host| is_old(&host.home));
    }
}

#[test]
fn a_runner_that_is_killed_leaves_the_old_file() {
    let slow = || Fault::Slice(4096, Duration::from_millis(20));
    let ran = torn("copy", links([30_000; 3], slow), -1, |case| {
        case.meanwhile(|world, child| {
            let begun = |home: &PathBuf| {
                let entries = fs::read_dir(home).unwrap().flatten();
                let names: Vec<_> = entries.map(|entry| entry.file_name()).collect();
                names
                    .iter()
                    .any(|name| name.to_string_lossy().contains(".runner-"))
            };
            let all = || world.bad.iter().all(|host| begun(&host.home));
            assert!(in_time(PATIENCE, all), "in vain: the uploads begin");
            let mut kill = std::process::Command::new("kill");
            assert!(
                kill.args(["-s", "KILL", &child.id().to_string()])
                    .status()
                    .unwrap()
                    .success()
            );
        })
        .tasks(&[&task("copy")])
    });
    let Some(ran) = ran else { return };
    ran.world.bad.iter().for_each(|host| is_old(&host.home));
}

#[test]
fn a_file_that_arrives_is_whole() {
    for module in ["file", "template", "copy"] {
        let bad = links([10_000; 6], || Fault::Slice(1024, Duration::from_millis(1)));
        let Some(ran) = torn(module, bad, 0, |case| case) else {
            return;
        };
        for host in &ran.world.bad {
            let path = host.home.join("target");
            assert!(
                fs::read(&path).unwrap() == content(module),
                "{path:?} differs"
            );
            assert_eq!(mode(&path), OLD.0);
        }
    }
}

/// Mounts a small file system where a host has its files; unmounted before the world goes.
fn mount(mounts: &Mutex<Vec<Mounted>>, home: &Path, options: &str) -> bool {
    fs::create_dir_all(home).unwrap();
    let options = format!("mode=755,{options}");
    let done = run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs"], home);
    if done {
        mounts.lock().unwrap().push(Mounted(home.to_path_buf()));
    }
    done
}

/// What a host has against a new file, each with the cause that is told. `DIR` is the folder of the file.
#[test]
fn the_cause_is_told_and_the_old_file_stays() {
    if current_user() != "root" || program("mount").is_none() {
        skip("only root can mount file systems");
        return;
    }
    for module in ["file", "template", "copy"] {
        let mounts = Arc::new(Mutex::new(Vec::new()));
        let mounted = mounts.clone();
        let upload = module == "copy";
        let no_space = match upload {
            true => "No space left on device",
            false => "cat: write error: No space left on device",
        };
        let mut case = Case::new((0..6).map(|_| Bad::Host))
            .good(20)
            .patient()
            .options(&PLACE)
            .tasks(&[MARK, &task(module).replace("/target", "/dir/target")])
            .prepare(move |world| {
                place(world, &new(400_000), &small());
                let dir = |number: usize| world.bad[number].home.join("dir");
                let full = ["size=96k,nr_inodes=20", "nr_inodes=3", "size=1m"];
                for (number, options) in full.iter().enumerate() {
                    let home = dir(number);
                    assert!(mount(&mounted, &home, options), "mount is not permitted");
                    fs::write(home.join("target"), old()).unwrap();
                    set_mode(&home.join("target"), OLD.0);
                    chown(home.join("target"), Some(OLD.1), Some(OLD.1)).unwrap();
                }
                fs::write(dir(1).join("last"), "").ok();
                let read_only = ["-o", "remount,ro"];
                assert!(run("mount", &read_only, &dir(2)));
                fs::write(dir(4), "").unwrap();
                fs::create_dir_all(dir(5).join("target")).unwrap();
            })
            .exits(2)
            .marks(1..=1)
            .within(PATIENCE);
        let _ = no_space;
        for bad in 1..=6 {
            case = case.says(&format!("failed: bad{bad}: fault"));
        }
        let Some(ran) = case.run() else { return };
        let text = ran.out.text();
        let dir = |number: usize| ran.world.bad[number].home.join("dir");
        let missing = format!(
            "the directory {} does not exist; add a `directory` task before this one",
            dir(3).display()
        );
        let no_dir = format!("{} is not a directory", dir(4).display());
        let is_dir = format!("{} is a directory", dir(5).join("target").display());
        let causes = [
            "No space left on device",
            "No space left on device",
            "Read-only file system",
            &missing,
            &no_dir,
            &is_dir,
        ];
        for (number, cause) in causes.iter().enumerate() {
            let told = told(&text, &format!("bad{}", number + 1));
            assert!(
                told.contains(cause),
                "{module}: {cause}\nbut:\n{told}\n{text}"
            );
        }
        for number in 0..3 {
            is_old(&dir(number));
            let left: Vec<_> = fs::read_dir(dir(number))
                .unwrap()
                .flatten()
                .map(|entry| entry.file_name())
                .collect();
            assert!(
                left.iter().all(|name| name == "target" || name == "last"),
                "{left:?}"
            );
        }
        mounts.lock().unwrap().clear();
    }
}

/// What is told of a host's failure.
pub fn told(text: &str, host: &str) -> String {
    let head = format!("  failed: {host}: ");
    let lines = text.lines().skip_while(|line| !line.starts_with(&head));
    let body = lines.skip(1).take_while(|line| line.starts_with("    "));
    body.collect::<Vec<_>>().join("\n")
}
