//! A cable that is pulled: no proxy in between, the kernel's own TCP on both sides, and packets that go nowhere.

use crate::support::promise::{judged, lasts, within};
use crate::support::sshd::{Files, Sshd, current_user, skip};
use crate::watch::{at_work, in_time};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A link that says nothing for three seconds is dead.
const LIMIT: Duration = Duration::from_secs(3);

/// How soon after that the remote tree has ended.
const GONE: Duration = Duration::from_secs(5);

/// How long things may take that nothing is promised of.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two network namespaces with a cable between them, until this is dropped. Nothing in there reaches anybody else.
struct Cable([String; 2]);

/// The addresses of the two ends.
const ENDS: [&str; 2] = ["198.18.0.1", "198.18.0.2"];

impl Cable {
    fn new() -> Option<Self> {
        if current_user() != "root" {
            skip("only root can lay a cable");
            return None;
        }
        let cable = Self(["a", "b"].map(|end| format!("runner-{}-{end}", std::process::id())));
        let [a, b] = &cable.0;
        let mut laid = vec![
            format!("netns add {a}"),
            format!("netns add {b}"),
            format!("-n {a} link add end type veth peer name end netns {b}"),
        ];
        for (space, address) in cable.0.iter().zip(ENDS) {
            laid.push(format!("-n {space} addr add {address}/30 dev end"));
            laid.push(format!("-n {space} link set lo up"));
            laid.push(format!("-n {space} link set end up"));
        }
        if !laid.iter().all(|words| ip(words)) {
            skip("no cable can be laid between network namespaces here");
            return None;
        }
        Some(cable)
    }

    /// At the runner's end.
    fn pull(&self) {
        assert!(ip(&format!("-n {} link set end down", self.0[1])));
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for space in &self.0 {
            // A server's connection lives as long as it believes in its other end.
            let left = Command::new("ip").args(["netns", "pids", space]).output();
            let left = left.map(|left| left.stdout).unwrap_or_default();
            let left = String::from_utf8_lossy(&left).into_owned();
            for process in left.split_whitespace() {
                let _ = Command::new("kill").args(["-KILL", process]).status();
            }
            ip(&format!("netns del {space}"));
        }
    }
}

fn ip(words: &str) -> bool {
    let words = words.split(' ');
    let status = Command::new("ip")
        .args(words)
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

/// A runner at the other end, until this is dropped.
struct Runner(Child);

impl Runner {
    fn start(cable: &Cable, folder: &Path) -> Self {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &cable.0[1], env!("CARGO_BIN_EXE_runner")])
            .args(["play", "play.toml", "-i", "hosts.toml", "-F", "/dev/null"])
            .current_dir(folder)
            .env("HOME", folder)
            .env("RUNNER_PERSIST", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        for name in ["XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"] {
            command.env(name, folder.join("own"));
        }
        Self(command.spawn().unwrap())
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_cable_that_is_pulled_ends_the_tree_and_frees_the_host() {
    judged(|_| pulled());
}

fn pulled() {
    let Some(cable) = Cable::new() else { return };
    let listen = format!("ListenAddress {}", ENDS[0]);
    let Some(mut files) = Files::new(&[&listen]) else {
        return;
    };
    let wrapper = files.path("sshd");
    let text = format!(
        "#!/bin/sh\nexec ip netns exec {} {} \"$@\"\n",
        cable.0[0],
        files.sshd.display()
    );
    fs::write(&wrapper, text).unwrap();
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
    files.sshd = wrapper;
    let sshd = Sshd::serve(files);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let key = sshd.files.host_key_line("ed25519");
    let known = format!("[{}]:{} {key}\n", ENDS[0], sshd.port);
    fs::write(path("known_hosts"), known).unwrap();
    let inventory = format!(
        "[connection]\nuser = \"root\"\nidentity_file = \"{}\"\nuser_known_hosts_file = \"{}\"\n\
         server_alive_interval = \"1s\"\nserver_alive_count_max = 2\n[hosts]\none = {{ address = \"{}\", port = {} }}\n",
        sshd.files.client_key().display(),
        path("known_hosts").display(),
        ENDS[0],
        sshd.port
    );
    fs::write(path("hosts.toml"), inventory).unwrap();
    let word = path("work").display().to_string();
    let task = format!(
        "[[play]]\nhosts = \"all\"\n[[play.task]]\nshell = '''\nsetsid sh -c \"trap '' TERM; sleep 1000; : {word}\" &\ntouch {word}\nsleep 1000\n'''\n"
    );
    fs::write(path("play.toml"), task).unwrap();
    let mut runner = Runner::start(&cable, folder.path());
    assert!(in_time(PATIENCE, || path("work").exists()), "in vain");
    let locks = || fs::read_dir(sshd.files.locks.path()).unwrap().count();
    assert_eq!(locks(), 1);
    cable.pull();
    let pulled = Instant::now();
    let ended = in_time(PATIENCE, || {
        at_work(Path::new(&word)).is_empty() && locks() == 0
    });
    let lived = pulled.elapsed();
    println!("LIVED {lived:?}");
    assert!(ended, "these still run: {:?}", at_work(Path::new(&word)));
    // The last sign of life may have come a while before.
    lasts("the tree", lived, LIMIT - LIMIT / 4);
    within("the tree", lived, LIMIT + GONE);
    assert!(in_time(PATIENCE, || runner.0.try_wait().unwrap().is_some()));
    assert_eq!(runner.0.wait().unwrap().code(), Some(16));
}
