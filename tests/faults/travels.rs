//! Files that are fetched, and images that are sent, over links that break.

use crate::files::{PATIENCE, new};
use crate::harness::{Case, MARK};
use crate::support::place::set_mode;
use crate::support::proxy::{At, Fault, to_client, to_server};
use crate::support::site::alive;
use crate::watch::{files, in_time, sessions};
use crate::world::{Bad, World};
use sha2::{Digest, Sha256};
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const SIZE: usize = 400_000;

const FETCH: &str = "name = \"fault\"\nfetch = { src = \"{{ home }}/source\", dest = \"got/{{ inventory_hostname }}\" }";

/// What is there to be fetched, and an older one of it here.
fn to_fetch(world: &World) {
    fs::create_dir(world.path("got")).unwrap();
    for host in world.hosts() {
        fs::write(host.home.join("source"), new(SIZE)).unwrap();
        fs::write(world.path("got").join(&host.name), "old").unwrap();
    }
}

/// Here, too, a reader sees the whole old file or the whole new one.
#[test]
fn a_fetch_that_is_cut_anywhere_leaves_the_old_file() {
    let over = Arc::new(AtomicBool::new(false));
    let ended = over.clone();
    let reader = Arc::new(std::sync::Mutex::new(None));
    let begun = reader.clone();
    let places = (0..20).map(|step| 4_001 + step * 21_011);
    let bad = places.map(|at| {
        let fault = [Fault::Close, Fault::Reset][at as usize % 2].clone();
        Bad::link(vec![to_client(At::Byte(at), fault)])
    });
    let ran = Case::new(bad)
        .good(6)
        .patient()
        .tasks(&[FETCH])
        .honest()
        .within(PATIENCE)
        .prepare(move |world| {
            to_fetch(world);
            let (folder, over) = (world.path("got"), ended.clone());
            let new = new(SIZE);
            *begun.lock().unwrap() = Some(std::thread::spawn(move || {
                let mut torn = 0;
                let mut reads = 0;
                while !over.load(Ordering::Relaxed) {
                    for entry in fs::read_dir(&folder).unwrap().flatten() {
                        let name = entry.file_name();
                        if !name.to_string_lossy().starts_with('.') {
                            let content = fs::read(entry.path()).unwrap();
                            torn += usize::from(content != b"old" && content != new);
                            reads += 1;
                        }
                    }
                }
                (reads, torn)
            }));
        })
        .run();
    over.store(true, Ordering::Relaxed);
    let reads = reader
        .lock()
        .unwrap()
        .take()
        .map(|reader| reader.join().unwrap());
    let Some(ran) = ran else { return };
    let (reads, torn) = reads.unwrap();
    println!("READS {reads}, of torn files {torn}");
    assert!(reads > 100, "only {reads} reads");
    assert_eq!(torn, 0);
    let claims = ran.claims();
    let lost = claims.values().filter(|claim| *claim == "unknown").count();
    assert!(lost > 10, "{claims:?}");
    for (host, claim) in &claims {
        let content = fs::read(ran.world.path("got").join(host)).unwrap();
        match claim.as_str() {
            "changed" => assert!(content == new(SIZE), "{host}"),
            _ => assert!(content == b"old", "{host} is {claim}"),
        }
    }
    assert_eq!(
        files(&ran.world.path("got")).len(),
        26,
        "a temporary file is left"
    );
}

#[test]
fn a_file_that_changes_before_it_is_fetched_is_an_error() {
    let ran = Case::new([Bad::Host])
        .patient()
        .tasks(&[MARK, FETCH])
        .exits(2)
        .says("failed: bad: fault")
        .marks(1..=1)
        .within(PATIENCE)
        .prepare(to_fetch)
        .meanwhile(|world, child| {
            let home = &world.bad[0].home;
            let pid = child.id().to_string();
            let mut count = 0u64;
            while alive(&pid) {
                count += 1;
                fs::write(home.join("next"), format!("{count}\n").repeat(9_000)).unwrap();
                fs::rename(home.join("next"), home.join("source")).unwrap();
            }
        })
        .run();
    let Some(ran) = ran else { return };
    let text = ran.out.text();
    let home = ran.world.bad[0].home.display();
    let wanted = format!("    {home}/source changed while it was fetched\n");
    assert!(text.contains(&wanted), "{text}");
    let got = fs::read(ran.world.path("got/bad")).unwrap();
    assert_eq!(got, b"old");
    assert_eq!(
        files(&ran.world.path("got")).len(),
        26,
        "a temporary file is left"
    );
}

/// The file has arrived, and the link breaks before it is in its place: it does not stay, and is named to those who can't be sure of that.
#[test]
fn a_file_that_only_waits_for_its_place_does_not_stay() {
    let task = "name = \"fault\"\ncopy = { src = \"large\", dest = \"{{ home }}/target\" }\n\
         env = { PATH = \"{{ home }}/bin:/usr/bin:/bin\" }";
    let ran = Case::new([Bad::Host])
        .good(0)
        .patient()
        .tasks(&[task])
        .prepare(|world| {
            fs::create_dir(world.path("etc/files")).unwrap();
            fs::write(world.path("etc/files/large"), new(SIZE)).unwrap();
            let bin = world.bad[0].home.join("bin");
            fs::create_dir(&bin).unwrap();
            fs::write(bin.join("mv"), "#!/bin/sh\n: >~/placing\nexec sleep 1000\n").unwrap();
            set_mode(&bin.join("mv"), 0o755);
        })
        .meanwhile(|world, _| {
            let placing = || world.bad[0].home.join("placing").exists();
            assert!(
                in_time(PATIENCE, placing),
                "in vain: it is put in its place"
            );
            for process in sessions(world.sshd.pid()) {
                let pid = process.to_string();
                let _ = Command::new("kill").args(["-KILL", &pid]).status();
            }
        })
        .exits(16)
        .says("unknown: bad: fault")
        .within(PATIENCE)
        .run();
    let Some(ran) = ran else { return };
    let home = &ran.world.bad[0].home;
    assert!(!home.join("target").exists());
    let text = ran.out.text();
    let help = format!(
        "= help: what has arrived may be left on the host as {}/.target.runner-",
        home.display()
    );
    let line = text.lines().find(|line| line.contains(&help));
    let line = line.unwrap_or_else(|| panic!("{text}"));
    assert!(
        line.ends_with(": this task removes it when it runs again"),
        "{line}"
    );
}

/// Whatever name a host claims, and whatever a variable holds.
#[test]
fn what_is_fetched_stays_in_its_folder() {
    let fetch = |word: &str| {
        format!(
            "name = \"fault\"\nwhen = \"'bad' in group_names\"\nfetch = {{ src = \"{{{{ home }}}}/source\", dest = \"got/{word}/x\" }}"
        )
    };
    let name = format!("escaped-{}", std::process::id());
    let out = format!("../../{name}");
    let refused =
        format!("refusing to write `got/{out}/x`: it leads out of the folder that it begins with");
    let help =
        "= help: write the path that is meant; a name that came from a host can have `..` in it";
    // What a host says is known only then; a variable is known before anything is connected to.
    for (tasks, before) in [
        (
            vec![
                format!(
                    "name = \"says\"\nshell = \"echo {out}\"\nregister = \"said\"\nchanged_when = false"
                ),
                fetch("{{ said.stdout }}"),
            ],
            false,
        ),
        (vec![MARK.to_string(), fetch("{{ evil }}")], true),
    ] {
        let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
        let mut case = Case::new([Bad::Host])
            .patient()
            .tasks(&tasks)
            .options(&["-e", &format!("evil={out}")])
            .exits(9)
            .within(PATIENCE)
            .prepare(to_fetch)
            .says(&match before {
                true => format!("error: {refused}"),
                false => format!("{refused} (etc/play.toml:14:45)"),
            })
            .says(help);
        if before {
            // Nobody is connected to.
            case = case.good(0).marks(0..=0);
        }
        let Some(ran) = case.run() else { return };
        let around = [
            ran.world.path(&name),
            ran.world.path(&format!("got/{name}")),
        ];
        let outside = ran.world.folder().parent().unwrap().join(&name);
        for path in around.iter().chain([&outside]) {
            assert!(!path.exists(), "{path:?}");
        }
    }
}

/// An engine that has what it was given, if that is the whole tar.
const DOCKER: &str = r#"#!/bin/sh
cd "$HOME" || exit
case $1-$2 in
  image-inspect) [ -e loaded ] && echo "image $(cat id) 2024-05-06T07:08:09Z sha256:aa" ;;
  info-*) echo null ;;
  load--i) set -- "$3" $(sha256sum <"$3")
    if [ "$2" = "$(cat sum)" ]; then echo whole >>loads; echo 'Loaded image: app:1'; : >loaded; else echo torn >>loads; fi ;;
  tag-*) ;;
esac
"#;

const CONFIG: &[u8] = br#"{"created":"2024-05-06T07:08:09Z","rootfs":{"diff_ids":["sha256:aa"]}}"#;

fn hex(content: &[u8]) -> String {
    let sum = Sha256::digest(content);
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As `docker save` writes it.
fn saved() -> Vec<u8> {
    let config = format!("{}.json", hex(CONFIG));
    let manifest = format!(
        "[{{\"Config\":\"{config}\",\"RepoTags\":[\"app:1\"],\"Layers\":[\"layer.tar\"]}}]"
    );
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in [
        ("layer.tar", new(900_000)),
        (&config, CONFIG.to_vec()),
        ("manifest.json", manifest.into_bytes()),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder
            .append_data(&mut header, name, content.as_slice())
            .unwrap();
    }
    builder.into_inner().unwrap()
}

/// Where the first connection of each host breaks, the tar goes on over another: it is loaded once, and whole.
#[test]
fn an_image_arrives_over_links_that_break() {
    let task = "name = \"fault\"\nwhen = \"'bad' in group_names\"\n\
         docker_image = { name = \"app:1\", tar = \"app.tar\", dest = \"{{ home }}/app.tar\" }\n\
         env = { PATH = \"{{ home }}/bin:/usr/bin:/bin\" }";
    let bad = (0..16).map(|step| {
        let fault = [Fault::Close, Fault::Reset][step % 2].clone();
        let rule = to_server(At::Byte(30_011 + step as u64 * 50_021), fault);
        Bad::Link(Arc::new(move |number| match number {
            0 => vec![rule.clone()],
            _ => Vec::new(),
        }))
    });
    let ran = Case::new(bad)
        .good(10)
        .patient()
        .tasks(&[MARK, task])
        .exits(0)
        .marks(1..=1)
        .within(Duration::from_secs(60))
        .prepare(|world| {
            let tar = saved();
            fs::create_dir(world.path("etc/files")).unwrap();
            fs::write(world.path("etc/files/app.tar"), &tar).unwrap();
            for host in &world.bad {
                fs::create_dir(host.home.join("bin")).unwrap();
                fs::write(host.home.join("bin/docker"), DOCKER).unwrap();
                set_mode(&host.home.join("bin/docker"), 0o755);
                fs::write(host.home.join("sum"), hex(&tar)).unwrap();
                fs::write(host.home.join("id"), format!("sha256:{}", hex(CONFIG))).unwrap();
            }
        })
        .run();
    let Some(ran) = ran else { return };
    for host in &ran.world.bad {
        assert!(host.struck().is_some(), "{}: nothing broke", host.name);
        let loads = fs::read_to_string(host.home.join("loads")).unwrap();
        assert_eq!(loads, "whole\n", "{}", host.name);
        assert!(!host.home.join("app.tar").exists(), "{}", host.name);
    }
}
