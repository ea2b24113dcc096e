//! Links that are silent, or look as if they were.

use super::super::super::lock::{Key, Lock, Locks};
use super::super::source::{PIECE, Wire};
use super::link::Link;
use super::{Scene, said};
use crate::run_id::RunId;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// Where nothing arrives, a shell of the run that still hears the runner tells that the link lives. It ends when it does not.
#[tokio::test]
async fn a_source_that_stands_still_is_waited_for_while_others_hear_the_runner() {
    let mut cases = JoinSet::new();
    for shell in ["dash", "bash", "busybox sh"] {
        for (resume, wire) in [
            (false, Wire::Plain),
            (true, Wire::Plain),
            (true, Wire::Gzip),
        ] {
            cases.spawn(stands_still(shell, resume, wire));
        }
    }
    cases.join_all().await;
}

async fn stands_still(shell: &'static str, resume: bool, wire: Wire) {
    let scene = Scene::new(PIECE * 2, resume);
    let run = RunId::new();
    let own = std::process::id();
    let held = scene.path(&format!(".runner-lock.{run}.{own}.0.me@here"));
    std::fs::write(&held, "").unwrap();
    // It only made room, and hears nothing.
    std::fs::write(format!("{}.held-1", held.display()), "").unwrap();
    let mut link = Link::carrying(PIECE + 5);
    (link.shell, link.limit) = (shell, Some(Duration::from_secs(1)));
    // Each look at the file is counted.
    let looks = scene.path("looks");
    let folder = scene.folder.path().display();
    link.before =
        format!("PATH={folder}:$PATH RUNNER_LOCK_DIR={folder}; export PATH RUNNER_LOCK_DIR; ");
    let ls = format!(
        "#!/bin/sh\necho >>'{}'\nexec /bin/ls \"$@\"\n",
        looks.display()
    );
    std::fs::write(scene.path("ls"), ls).unwrap();
    std::fs::set_permissions(scene.path("ls"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let lock = Lock {
        by: "me@here".into(),
        wait: None,
    };
    let key = Key::new(&lock, &run, "test", &Arc::new(Locks::new(true)));
    let part = scene.part_of(Some(key), &link, 0, PIECE * 2, wire);
    // A second passes between two of them.
    let meanwhile = async {
        let counted = || std::fs::read(&looks).map_or(0, |looks| looks.len());
        while counted() < 6 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(scene.there().is_some(), "{shell}");
        std::fs::remove_file(&held).unwrap();
    };
    let both = async { tokio::join!(part, meanwhile).0 };
    let ended = tokio::time::timeout(Duration::from_secs(60), both).await;
    assert_eq!(said(ended.unwrap()), "Unheard", "{shell} {resume} {wire:?}");
    // What can be gone on with stays.
    assert_eq!(scene.own().exists(), resume, "{shell} {wire:?}");
}
