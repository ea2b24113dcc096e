//! Uploads to real shells of this machine, over a link that breaks where the test says.

mod link;
mod silence;

use super::super::exchange::{Identity, Terms, Trouble};
use super::super::lock::Key;
use super::source::{PIECE, Sources, Wire};
use super::upload::Part;
use super::{Error, Progress, Upload, Way, upload};
use crate::event::Transfer;
use link::{BROKEN, Link};
use proptest::prelude::*;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tokio::sync::watch;

/// A file to send, and where to.
struct Scene {
    folder: tempfile::TempDir,
    content: Vec<u8>,
    sources: Sources,
    resume: bool,
}

impl Scene {
    fn new(size: u64, resume: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Half of it compresses.
        let byte = |at: u64| match at / 1000 % 2 {
            0 => 7,
            _ => (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8,
        };
        let content: Vec<u8> = (0..size).map(byte).collect();
        std::fs::write(folder.path().join("source"), &content).unwrap();
        Self {
            folder,
            content,
            sources: Sources::default(),
            resume,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder of the file on the host.
    fn own(&self) -> PathBuf {
        self.path("its own")
    }

    fn target(&self) -> PathBuf {
        self.own().join("it's there")
    }

    /// Puts there what a link that broke has left.
    fn left(&self, content: &[u8]) {
        std::fs::create_dir(self.own()).unwrap();
        std::fs::write(self.target(), content).unwrap();
    }

    fn there(&self) -> Option<Vec<u8>> {
        std::fs::read(self.target()).ok()
    }

    /// Sends it whole, or what the closure asks for.
    async fn send(&self, link: &Link) -> (Result<(), Error>, Vec<Transfer>) {
        let mut told = Vec::new();
        let mut tell = |transfer| told.push(transfer);
        let (_stop, stop) = watch::channel(false);
        let terms = terms(stop);
        let to = self.target().display().to_string();
        let result = upload(
            &way(link, &terms),
            &Upload {
                source: self.sources.open(&self.path("source")).await.unwrap(),
                to: &to,
                resume: self.resume,
            },
            &mut tell,
        )
        .await;
        (result, told)
    }

    async fn part(&self, link: &Link, from: u64, to: u64, wire: Wire) -> Result<Part, Error> {
        self.part_of(None, link, from, to, wire).await
    }

    async fn part_of(
        &self,
        lock: Option<Key>,
        link: &Link,
        from: u64,
        to: u64,
        wire: Wire,
    ) -> Result<Part, Error> {
        let (_stop, stop) = watch::channel(false);
        let terms = Terms {
            lock,
            ..terms(stop)
        };
        let path = self.target().display().to_string();
        let file = Upload {
            source: self.sources.open(&self.path("source")).await.unwrap(),
            to: &path,
            resume: self.resume,
        };
        let mut tell = |_| {};
        let mut progress = Progress::new(&mut tell, from, None);
        file.part(&way(link, &terms), from..to, wire, &mut progress)
            .await
    }
}

fn terms(stop: watch::Receiver<bool>) -> Terms {
    Terms {
        lock: None,
        become_password: None,
        redactor: crate::redact::Redactor::default(),
        stop,
        public: Default::default(),
        leaving: watch::Sender::new(0),
    }
}

fn way<'a>(link: &'a Link, terms: &'a Terms) -> Way<'a> {
    static SELF: Identity = Identity { user: None };
    Way {
        connection: link,
        terms,
        identity: &SELF,
        deadline: None,
    }
}

fn said(result: Result<impl Sized, Error>) -> String {
    match result {
        Ok(_) => "ok".into(),
        Err(Error::Failed(why)) => format!("failed: {why}"),
        Err(Error::Trouble(Trouble::Lost(why))) => format!("lost: {why}"),
        Err(Error::Trouble(other)) => format!("{other:?}"),
    }
}

#[tokio::test]
async fn a_new_file_is_whole_and_for_its_owner() {
    for size in [0, 1, PIECE - 1, PIECE, PIECE * 3 + 5] {
        let scene = Scene::new(size, false);
        let (result, _) = scene.send(&Link::carrying(u64::MAX)).await;
        assert_eq!(said(result), "ok");
        assert!(scene.there().unwrap() == scene.content, "{size}");
        let mode = std::fs::metadata(scene.target()).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_cut_transfer_leaves_nothing_behind_unless_it_is_to_be_resumed() {
    let scene = Scene::new(PIECE * 3, false);
    let (result, _) = scene.send(&Link::carrying(PIECE * 2 + 1)).await;
    assert_eq!(said(result), format!("lost: {BROKEN}"));
    assert!(!scene.own().exists());
    let scene = Scene::new(PIECE * 3, true);
    let (result, _) = scene.send(&Link::carrying(PIECE * 2 + 1)).await;
    assert_eq!(said(result), format!("lost: {BROKEN}"));
    assert!(scene.there().unwrap() == scene.content[..PIECE as usize * 2 + 1]);
}

#[tokio::test]
async fn what_is_there_is_not_sent_again() {
    let scene = Scene::new(PIECE * 4 + 9, true);
    let (result, _) = scene.send(&Link::carrying(PIECE * 3 + 1)).await;
    assert_eq!(said(result), format!("lost: {BROKEN}"));
    // Just enough for the rest, from the beginning of the piece that was cut.
    let (result, _) = scene.send(&Link::carrying(PIECE + 9)).await;
    assert_eq!(said(result), "ok");
    assert!(scene.there().unwrap() == scene.content);
    // And nothing at all for what is whole.
    let (result, _) = scene.send(&Link::carrying(0)).await;
    assert_eq!(said(result), "ok");
    assert!(scene.there().unwrap() == scene.content);
}

#[tokio::test]
async fn what_is_larger_than_it_can_be_begins_anew() {
    let scene = Scene::new(PIECE, true);
    scene.left(&vec![0; PIECE as usize + 1]);
    let (result, _) = scene.send(&Link::carrying(u64::MAX)).await;
    assert_eq!(said(result), "ok");
    assert!(scene.there().unwrap() == scene.content);
}

/// Whatever somebody has put where the folder should be.
#[tokio::test]
async fn what_is_planted_is_not_used() {
    for (resume, planted) in [(true, 0), (false, 0), (true, 1), (false, 1), (false, 2)] {
        let scene = Scene::new(PIECE, resume);
        let victim = scene.path("victim");
        std::fs::create_dir(&victim).unwrap();
        std::fs::write(victim.join("it's there"), "mine").unwrap();
        match planted {
            0 => symlink(&victim, scene.own()).unwrap(),
            1 => {
                let mut mkfifo = std::process::Command::new("mkfifo");
                assert!(mkfifo.arg(scene.own()).status().unwrap().success());
            }
            _ => std::fs::rename(&victim, scene.own()).unwrap(),
        }
        let (result, _) = scene.send(&Link::carrying(u64::MAX)).await;
        let to = scene.target().display().to_string();
        let why = match resume {
            true => "it is there and not a folder of this user".to_string(),
            false => format!(
                "mkdir: cannot create directory \u{2018}{}\u{2019}: File exists",
                scene.own().display()
            ),
        };
        let (result, wanted) = (said(result), format!("failed: cannot write {to}: {why}"));
        let quotes = |text: &str| text.replace(['\u{2018}', '\u{2019}'], "'");
        assert_eq!(quotes(&result), quotes(&wanted));
        let victim = [victim, scene.own()].map(|folder| std::fs::read(folder.join("it's there")));
        assert!(victim.into_iter().flatten().all(|text| text == b"mine"));
    }
}

#[tokio::test]
async fn a_file_that_is_swapped_between_two_parts_is_noticed() {
    for resume in [true, false] {
        let scene = Scene::new(PIECE * 2, resume);
        let link = Link::carrying(u64::MAX);
        let part = scene.part(&link, 0, PIECE, Wire::Plain).await;
        assert!(matches!(part, Ok(Part::Arrived { .. })));
        std::fs::remove_file(scene.target()).unwrap();
        std::fs::write(scene.path("victim"), vec![1; PIECE as usize]).unwrap();
        symlink(scene.path("victim"), scene.target()).unwrap();
        let part = scene.part(&link, PIECE, PIECE * 2, Wire::Plain).await;
        let to = scene.target().display().to_string();
        assert_eq!(
            said(part),
            format!("failed: cannot write {to}: another file is there now")
        );
        let victim = std::fs::read(scene.path("victim")).unwrap();
        assert!(victim == vec![1; PIECE as usize]);
    }
}

#[tokio::test]
async fn a_full_disk_says_so_and_is_not_kept_full() {
    // A device that is always full stands in for the disk.
    for resume in [true, false] {
        let scene = Scene::new(PIECE * 2, resume);
        let mut link = Link::carrying(u64::MAX);
        link.before = format!(
            "PATH={}:$PATH; export PATH; ",
            scene.folder.path().display()
        );
        let cat = scene.path("cat");
        std::fs::write(&cat, "#!/bin/sh\nexec /bin/cat >/dev/full\n").unwrap();
        std::fs::set_permissions(&cat, std::fs::Permissions::from_mode(0o755)).unwrap();
        let (result, _) = scene.send(&link).await;
        let said = said(result);
        assert!(said.ends_with(": No space left on device"), "{said}");
        assert!(!scene.own().exists());
    }
}

#[tokio::test]
async fn a_source_that_changes_is_an_error_and_nothing_stays() {
    for resume in [true, false] {
        changed(resume).await;
    }
}

async fn changed(resume: bool) {
    let scene = Scene::new(PIECE * 2, resume);
    let source = scene.sources.open(&scene.path("source")).await.unwrap();
    std::fs::write(scene.path("source"), vec![1; PIECE as usize * 2 + 1]).unwrap();
    let (_stop, stop) = watch::channel(false);
    let to = scene.target().display().to_string();
    let file = Upload {
        source,
        to: &to,
        resume,
    };
    let link = Link::carrying(u64::MAX);
    let result = upload(&way(&link, &terms(stop)), &file, &mut |_| {}).await;
    let source = scene.path("source");
    assert_eq!(
        said(result),
        format!("failed: {} changed while it was sent", source.display())
    );
    assert!(!scene.own().exists());
}

#[tokio::test]
async fn a_stop_ends_it() {
    for resume in [true, false] {
        let scene = Scene::new(PIECE, resume);
        let (stop, stopped) = watch::channel(false);
        stop.send(true).unwrap();
        let to = scene.target().display().to_string();
        let file = Upload {
            source: scene.sources.open(&scene.path("source")).await.unwrap(),
            to: &to,
            resume,
        };
        let link = Link::carrying(u64::MAX);
        let result = upload(&way(&link, &terms(stopped)), &file, &mut |_| {}).await;
        assert_eq!(said(result), "Stopped { left: None }");
        assert!(!scene.own().exists());
    }
}

/// With the tools of this machine, and with those of busybox where it is installed.
#[tokio::test]
async fn parts_may_travel_in_different_ways() {
    let busybox = Path::new("/bin/busybox").exists() || Path::new("/usr/bin/busybox").exists();
    for shell in ["dash", "bash", "busybox sh"] {
        if shell.starts_with("busybox") && !busybox {
            continue;
        }
        for resume in [true, false] {
            let scene = Scene::new(PIECE * 5 + 77, resume);
            let mut link = Link::carrying(u64::MAX);
            link.shell = shell;
            if shell.starts_with("busybox") {
                link.before = format!("PATH={}:$PATH; export PATH; ", tools(&scene, "busybox"));
            }
            parts(&scene, &link).await;
        }
    }
}

async fn parts(scene: &Scene, link: &Link) {
    let size = scene.content.len() as u64;
    let ways = [
        (0, PIECE, Wire::Gzip),
        (PIECE, PIECE * 2, Wire::Plain),
        (PIECE * 2, PIECE * 4, Wire::Gzip),
        (PIECE * 4, size, Wire::Gzip),
    ];
    let mut sent = Vec::new();
    for (from, to, wire) in ways {
        match scene.part(link, from, to, wire).await {
            Ok(Part::Arrived { sent: count }) => sent.push(count),
            Ok(Part::NoGzip) => panic!("gzip is missing"),
            other => panic!("{}: {}", link.shell, said(other)),
        }
    }
    assert!(scene.there().unwrap() == scene.content, "{}", link.shell);
    assert_eq!(sent[1], PIECE);
    assert!(sent[0] < PIECE && sent[2] < PIECE * 2, "{sent:?}");
}

/// A folder with only some tools: those of this machine, or one program that is all of them.
fn tools(scene: &Scene, program: &str) -> String {
    let folder = scene.path("tools");
    std::fs::create_dir(&folder).unwrap();
    let all = ["cat", "dd", "mkdir", "rm", "rmdir", "wc", "gzip"];
    for tool in &all[..if program.is_empty() { 6 } else { 7 }] {
        let name = if program.is_empty() { tool } else { program };
        let found = ["/bin", "/usr/bin"].map(|folder| Path::new(folder).join(name));
        let found = found.iter().find(|path| path.exists()).unwrap();
        symlink(found, folder.join(tool)).unwrap();
    }
    folder.display().to_string()
}

#[tokio::test]
async fn a_host_without_gzip_gets_it_as_it_is() {
    let scene = Scene::new(PIECE, false);
    let mut link = Link::carrying(u64::MAX);
    link.before = format!("PATH={}; export PATH; ", tools(&scene, ""));
    let part = scene.part(&link, 0, PIECE, Wire::Gzip).await;
    assert!(matches!(part, Ok(Part::NoGzip)));
    assert!(!scene.own().exists());
    let part = scene.part(&link, 0, PIECE, Wire::Plain).await;
    assert!(matches!(part, Ok(Part::Arrived { .. })));
    assert!(scene.there().unwrap() == scene.content);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Wherever the link breaks, and whatever has arrived before: what is there is the beginning of the file, and the next
    /// run makes it whole.
    #[test]
    fn every_cut_is_mended(
        size in 0..PIECE * 4,
        cuts in proptest::collection::vec((0..PIECE * 5, any::<bool>()), 0..4),
        present in proptest::option::of(0..PIECE * 4),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let scene = Scene::new(size, true);
            if let Some(present) = present {
                let present = present.min(size) as usize;
                scene.left(&scene.content[..present]);
            }
            for (cut, packed) in cuts {
                let link = Link::carrying(cut);
                match packed {
                    false => drop(scene.send(&link).await),
                    true => drop(scene.part(&link, 0, size, Wire::Gzip).await),
                }
                let there = scene.there().unwrap_or_default();
                assert!(scene.content.starts_with(&there), "it is not the beginning");
            }
            let (result, _) = scene.send(&Link::carrying(u64::MAX)).await;
            assert_eq!(said(result), "ok");
            assert!(scene.there().unwrap() == scene.content, "it is not whole");
        });
    }
}
