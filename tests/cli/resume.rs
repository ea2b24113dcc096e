//! An image's tar over a link that breaks: the run goes on where it stopped, and so does the next one.

use crate::support::bench::{Bench, Ran, play};
use crate::support::sshd::{Sshd, current_user};
use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

const MIB: u64 = 1024 * 1024;

/// What a broken connection takes along at most: a server drops what it has not handed on, up to its window of 2 MiB.
const LOST: u64 = 5 * MIB / 2;

/// A `docker` that holds one image: the tar that it was told to load.
const DOCKER: &str = r#"#!/bin/sh
loaded=FOLDER/loaded.tar
case $1-$2 in
  info-*) echo '[]' ;;
  image-inspect)
    [ -f "$loaded" ] || exit 1
    echo "image sha256:$(tar -xOf "$loaded" c.json | sha256sum | cut -d' ' -f1) now sha256:aa" ;;
  load-*) cp "$3" "$loaded" && echo 'Loaded image: app:1' ;;
  tag-*) ;;
  *) echo "what is $*?" >&2; exit 1 ;;
esac
"#;

/// A proxy that cuts each connection after so many bytes of the client; when none are left, no more.
struct Proxy {
    port: u16,
    cuts: Arc<Mutex<VecDeque<u64>>>,
    /// Bytes of the client in all.
    passed: Arc<AtomicU64>,
}

impl Proxy {
    fn before(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            cuts: Arc::default(),
            passed: Arc::default(),
        };
        let (cuts, passed) = (proxy.cuts.clone(), proxy.passed.clone());
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let (near, far) = (near.unwrap(), TcpStream::connect(("127.0.0.1", port)));
                let Ok(far) = far else { return };
                let cut = cuts.lock().unwrap().pop_front().unwrap_or(u64::MAX);
                let (mut from, mut to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
                let passed = passed.clone();
                std::thread::spawn(move || forward(near, far, cut, &passed));
            }
        });
        proxy
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, mut left: u64, passed: &AtomicU64) {
    let mut buffer = vec![0; 16 * 1024];
    while left > 0 {
        let most = left.min(buffer.len() as u64) as usize;
        let Ok(count @ 1..) = from.read(&mut buffer[..most]) else {
            break;
        };
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
        left -= count as u64;
        passed.fetch_add(count as u64, Ordering::SeqCst);
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

struct Scene {
    bench: Bench,
    proxy: Proxy,
    tar: Vec<u8>,
    _sshd: Sshd,
}

/// A tar with an image whose layer is noise.
fn image(size: u64) -> Vec<u8> {
    let mut state = 1u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    let layer: Vec<u8> = (0..size).map(next).collect();
    let mut tar = tar::Builder::new(Vec::new());
    let files: [(&str, &[u8]); 3] = [
        (
            "manifest.json",
            br#"[{"Config":"c.json","RepoTags":["app:1"]}]"#,
        ),
        (
            "c.json",
            br#"{"created":"now","rootfs":{"diff_ids":["sha256:aa"]}}"#,
        ),
        ("layer.tar", &layer),
    ];
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append_data(&mut header, name, content).unwrap();
    }
    tar.into_inner().unwrap()
}

impl Scene {
    fn new() -> Option<Self> {
        let bench = Bench::new();
        let folder = bench.path("host");
        let tools = bench.path("tools");
        let path = std::env::var("PATH").unwrap();
        let env = format!("SetEnv HOME=/ PATH={}:{path}", tools.display());
        let sshd = Sshd::start(&[&env])?;
        let proxy = Proxy::before(sshd.port);
        let known = std::fs::read_to_string(sshd.known_hosts()).unwrap();
        let known = known.replace(&format!(":{} ", sshd.port), &format!(":{} ", proxy.port));
        let tar = image(16 * MIB);
        let inventory = format!(
            "[hosts]\none = {{ address = \"127.0.0.1\", port = {}, user = \"{}\", \
             connection = {{ user_known_hosts_file = \"{}\", identity_file = \"{}\" }} }}\n",
            proxy.port,
            current_user(),
            bench.path("known_hosts").display(),
            sshd.files.client_key().display()
        );
        let task = format!(
            "name = \"image\"\ndocker_image = {{ name = \"app:1\", tar = \"app.tar\", dest = \"{}/app.tar\" }}",
            folder.display()
        );
        let docker = DOCKER.replace("FOLDER", folder.to_str().unwrap());
        let bench = bench
            .file("play.toml", play(&[&task]))
            .file("app.tar", &tar)
            .file("known_hosts", known)
            .file("ssh_config", "")
            .file("tools/docker", docker)
            .file("inventory/hosts.toml", inventory);
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(tools.join("docker"), executable).unwrap();
        Some(Self {
            bench,
            proxy,
            tar,
            _sshd: sshd,
        })
    }

    /// Plays, with the connections cut after so many bytes each; answers how many bytes went through, too.
    fn play(&self, cuts: &[u64]) -> (Ran, u64) {
        *self.proxy.cuts.lock().unwrap() = cuts.iter().copied().collect();
        let before = self.proxy.passed.load(Ordering::SeqCst);
        let ran = self.bench.run(&["play", "play.toml", "-F", "ssh_config"]);
        self.proxy.cuts.lock().unwrap().clear();
        let passed = self.proxy.passed.load(Ordering::SeqCst) - before;
        (ran, passed)
    }

    /// What lies on the host, with sizes. Folders are no files, but an empty one would be something.
    fn left(&self) -> Vec<(PathBuf, u64)> {
        let list = |folder: PathBuf| {
            let entries = std::fs::read_dir(folder).unwrap();
            entries
                .map(|entry| entry.unwrap().path())
                .collect::<Vec<_>>()
        };
        let all = list(self.bench.path("host")).into_iter();
        let inside = all.flat_map(|path| match path.is_dir() {
            true if !list(path.clone()).is_empty() => list(path),
            _ => vec![path],
        });
        let sized = inside.map(|path| (path.clone(), path.metadata().unwrap().len()));
        let mut files: Vec<_> = sized.collect();
        files.sort();
        files
    }

    fn part(&self) -> PathBuf {
        let output = Command::new("sha256sum")
            .arg(self.bench.path("app.tar"))
            .output()
            .unwrap();
        let sum = String::from_utf8(output.stdout).unwrap();
        self.bench
            .path(&format!("host/.runner-{}/part", &sum[..16]))
    }

    #[track_caller]
    fn loaded(&self) {
        let loaded = self.bench.path("host/loaded.tar");
        assert!(std::fs::read(&loaded).unwrap() == self.tar, "it differs");
        assert_eq!(self.left(), [(loaded, self.tar.len() as u64)]);
    }
}

#[test]
fn a_broken_connection_is_made_again_and_the_rest_is_sent() {
    let Some(scene) = Scene::new() else { return };
    let (ran, passed) = scene.play(&[4 * MIB, 4 * MIB]);
    assert_eq!(ran.code, 0, "{ran:?}");
    scene.loaded();
    let size = scene.tar.len() as u64;
    assert!(
        passed < size + 2 * LOST,
        "{passed} bytes for a tar of {size}"
    );
}

#[test]
fn the_next_run_goes_on_with_what_is_named() {
    let Some(scene) = Scene::new() else { return };
    let cut = 3 * MIB;
    let (ran, _) = scene.play(&[cut; 4]);
    assert_eq!(ran.code, 16, "{ran:?}");
    let part = scene.part();
    let help = format!(
        "what has arrived is kept on the host as {}: the next run goes on from there",
        part.display()
    );
    assert!(ran.out.contains(&help), "{ran:?}");
    let left = scene.left();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].0, part);
    assert!(left[0].1 > 4 * (cut - LOST), "{left:?}");
    let mode = std::fs::metadata(&part).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (ran, passed) = scene.play(&[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    scene.loaded();
    let rest = scene.tar.len() as u64 - left[0].1;
    assert!(passed < rest + MIB, "{passed} bytes for the last {rest}");
}

#[test]
fn a_part_with_other_bytes_is_found_out_and_removed() {
    let Some(scene) = Scene::new() else { return };
    std::fs::create_dir_all(scene.part().parent().unwrap()).unwrap();
    std::fs::write(scene.part(), vec![0; MIB as usize]).unwrap();
    let (ran, _) = scene.play(&[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    let said = "what arrived is not what was to be sent; did the tar change?";
    assert!(ran.out.contains(said), "{ran:?}");
    assert_eq!(scene.left(), []);
    let (ran, _) = scene.play(&[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    scene.loaded();
}
