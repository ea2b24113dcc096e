//! Who the host is, and who we are.

use crate::harness::Case;
use crate::support::hostile::{Say, Server, Ssh, message};
use crate::support::sshd::public_key_line;
use crate::world::{Bad, World, fingerprint, key, lock_key};
use russh::keys::PrivateKey;
use russh::keys::signature::Signer as _;
use russh::keys::ssh_encoding::Encode as _;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// As many hosts as the main job has, all of them alike.
fn all_alike() -> Case {
    Case::new([]).good(26)
}

/// The lines that known_hosts should have in the end.
fn lines(world: &World) -> Vec<String> {
    let key = public_key_line(&world.path("host"));
    let mut lines: Vec<String> = world
        .hosts()
        .map(|host| format!("[127.0.0.1]:{} {key}", host.port))
        .collect();
    lines.sort();
    lines
}

fn noted(world: &World) -> Vec<String> {
    let text = fs::read_to_string(world.path("etc/known_hosts")).unwrap_or_default();
    let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
    lines.sort();
    lines
}

fn nothing_known(world: &World) {
    fs::remove_file(world.path("etc/known_hosts")).unwrap();
}

#[test]
fn first_contact_is_one_question() {
    let ran = all_alike()
        .prepare(nothing_known)
        .types(
            "Trust them all, and note them in known_hosts? (yes/no)",
            "y",
        )
        .types("Please type yes or no: ", "yes")
        .notes_keys()
        .run();
    let Some(ran) = ran else { return };
    assert_eq!(ran.out.text().matches("Trust them all").count(), 1);
    assert_eq!(noted(&ran.world), lines(&ran.world));
}

#[test]
fn two_runs_at_once_note_each_host_once() {
    let ran = all_alike()
        .options(&["--accept-new-host-keys"])
        .prepare(nothing_known)
        .notes_keys()
        .meanwhile(|world, _| {
            let words = ["exec", "all", "--accept-new-host-keys", "--shell", "true"];
            let mut other = world.runner(&words);
            let status = other.stdout(Stdio::null()).stderr(Stdio::null()).status();
            assert_eq!(status.unwrap().code(), Some(0));
        })
        .run();
    let Some(ran) = ran else { return };
    assert_eq!(noted(&ran.world), lines(&ran.world));
}

/// Has another key noted for the bad host than it shows.
fn another_key(world: &World) {
    key(&world.path("other"));
    let file = world.path("etc/known_hosts");
    let mut lines: Vec<String> = fs::read_to_string(&file)
        .unwrap()
        .lines()
        .map(str::to_string)
        .collect();
    let other = public_key_line(&world.path("other"));
    *lines.last_mut().unwrap() = format!("[127.0.0.1]:{} {other}", world.bad[0].port);
    fs::write(file, lines.join("\n") + "\n").unwrap();
}

#[test]
fn a_changed_key_is_refused_and_nothing_is_sent() {
    for options in [&[][..], &["--accept-new-host-keys"]] {
        let ran = Case::new([Bad::Host])
            .options(options)
            .prepare(another_key)
            .exits(8)
            .run();
        let Some(ran) = ran else { return };
        let world = &ran.world;
        let words = format!(
            "refused: bad: the host key of bad has changed: {}:26 has ssh-ed25519 {}, the host shows ssh-ed25519 {}",
            world.path("etc/known_hosts").display(),
            fingerprint(&world.path("other.pub")),
            fingerprint(&world.path("host.pub"))
        );
        assert!(
            ran.out.lines().any(|(line, _)| line == words),
            "{words}\n{}",
            ran.out.text()
        );
        let seen = world.bad[0].proxy.as_ref().unwrap().seen();
        // The identification, the offer, our part of the exchange, and not a word that is encrypted.
        assert_eq!(seen.len(), 1);
        assert!(seen[0].to_server.len() <= 4, "{:?}", seen[0]);
    }
}

#[test]
fn a_key_that_others_can_read() {
    all_alike()
        .prepare(|world| {
            let open = fs::Permissions::from_mode(0o640);
            fs::set_permissions(world.path("client"), open).unwrap();
        })
        .exits(5)
        .says("error: the private key FOLDER/client can be read by others (mode 0640)")
        .says("= help: it is for good[1-26]")
        .within(Duration::from_secs(2))
        .run()
        .inspect(|ran| assert_eq!(ran.err.text().matches("error:").count(), 1));
}

#[test]
fn a_key_that_is_not_there() {
    all_alike()
        .prepare(|world| {
            for name in ["client", "client.pub"] {
                fs::remove_file(world.path(name)).unwrap();
            }
        })
        .exits(5)
        .says("error: there is no key FOLDER/client to log in with")
        .says("--> etc/hosts.toml:3:17")
        .says("= help: make one with `ssh-keygen -t ed25519`, or set `identity_file` to one that exists")
        .says("= help: it is for good[1-26]")
        .within(Duration::from_secs(2))
        .run()
        .inspect(|ran| assert_eq!(ran.err.text().matches("error:").count(), 1));
}

const PASSPHRASE: &str = "canary in a coal mine";

fn locked(world: &World) {
    lock_key(world, PASSPHRASE);
}

#[test]
fn a_locked_key_without_anyone_to_ask() {
    Case::new([Bad::Host])
        .good(0)
        .prepare(locked)
        .unreachable("permission denied for user `USER`: there was nothing to try, the server accepts publickey")
        .says("= help: key FOLDER/client (FINGERPRINT): it is encrypted, and there is no terminal to ask for its passphrase")
        .within(Duration::from_secs(2))
        .run();
}

#[test]
fn a_locked_key_is_asked_about_once() {
    let ran = all_alike()
        .prepare(locked)
        .types("Passphrase for", PASSPHRASE)
        .run();
    let Some(ran) = ran else { return };
    assert_eq!(ran.out.text().matches("Passphrase for").count(), 1);
}

/// The bad host's logins ask this agent.
fn asking(socket: &str) -> String {
    format!(", identity_agent = \"{socket}\"")
}

#[test]
fn a_hung_agent() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent");
    let _listener = UnixListener::bind(&socket).unwrap();
    let socket = socket.to_str().unwrap().to_string();
    Case::new([Bad::Host])
        .connection(&asking(&socket))
        .prepare(|world| {
            fs::remove_file(world.path("authorized_keys")).unwrap();
        })
        .good(0)
        .exits(4)
        .says(&format!("= help: agent {socket}: no answer within 2 s"))
        .within(Duration::from_secs(2))
        .run();
}

/// An agent that holds the key of a world, which is there only once the world is.
struct Agent {
    folder: tempfile::TempDir,
    /// How long it takes to sign, which it does for one after the other. `None`: it never does.
    takes: Option<Duration>,
}

impl Agent {
    fn new(takes: Option<Duration>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, takes }
    }

    fn socket(&self) -> String {
        let path = self.folder.path().join("agent");
        path.to_str().unwrap().to_string()
    }

    /// Takes the key of this world, so that no file has it unlocked.
    fn serve(&self, world: &World) {
        let key = PrivateKey::read_openssh_file(world.path("client")).unwrap();
        locked(world);
        let listener = UnixListener::bind(self.socket()).unwrap();
        let (takes, turn) = (self.takes, Arc::new(Mutex::new(())));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (key, turn) = (key.clone(), turn.clone());
                std::thread::spawn(move || answer(stream, &key, takes, &turn));
            }
        });
    }
}

/// Says which key there is, and signs with it.
fn answer(
    mut stream: UnixStream,
    key: &PrivateKey,
    takes: Option<Duration>,
    turn: &Mutex<()>,
) -> Option<()> {
    const REQUEST_IDENTITIES: u8 = 11;
    const IDENTITIES_ANSWER: u8 = 12;
    const SIGN_REQUEST: u8 = 13;
    const SIGN_RESPONSE: u8 = 14;
    let string = |bytes: &[u8]| [&(bytes.len() as u32).to_be_bytes(), bytes].concat();
    loop {
        let mut length = [0; 4];
        stream.read_exact(&mut length).ok()?;
        let mut request = vec![0; u32::from_be_bytes(length) as usize];
        stream.read_exact(&mut request).ok()?;
        let reply = match request[0] {
            REQUEST_IDENTITIES => {
                let public = key.public_key().to_bytes().unwrap();
                let count = 1_u32.to_be_bytes().to_vec();
                [
                    vec![IDENTITIES_ANSWER],
                    count,
                    string(&public),
                    string(b"card"),
                ]
                .concat()
            }
            SIGN_REQUEST => {
                let (_never, ticks) = std::sync::mpsc::channel::<()>();
                let _turn = turn.lock().unwrap();
                ticks
                    .recv_timeout(takes.unwrap_or(Duration::from_secs(60)))
                    .unwrap_err();
                takes?;
                // Behind the key stands what is to be signed.
                let key_length = u32::from_be_bytes(request[1..5].try_into().unwrap()) as usize;
                let data = &request[5 + key_length..];
                let data_length = u32::from_be_bytes(data[..4].try_into().unwrap()) as usize;
                let signature = key.try_sign(&data[4..4 + data_length]).unwrap();
                let mut encoded = Vec::new();
                signature.encode(&mut encoded).unwrap();
                [vec![SIGN_RESPONSE], string(&encoded)].concat()
            }
            _ => return None,
        };
        stream.write_all(&string(&reply)).ok()?;
    }
}

#[test]
fn an_agent_that_hangs_while_it_signs() {
    let agent = Agent::new(None);
    let connection = asking(&agent.socket());
    let words = "permission denied for user `USER`: there was nothing to try, the server accepts publickey\n\
         key FOLDER/client of the agent (FINGERPRINT): no signature within 2 s";
    Case::table((0..26).map(|_| (Bad::Host, words)).collect())
        .connection(&connection)
        .prepare(move |world| agent.serve(world))
        .within(Duration::from_secs(2))
        .run();
}

#[test]
fn an_agent_that_waits_for_somebody_has_until_the_deadline() {
    let agent = Agent::new(None);
    let socket = agent.socket();
    Case::new([Bad::Host])
        .good(0)
        .connection(&asking(&socket))
        .prepare(move |world| agent.serve(world))
        // Somebody sits at a terminal.
        .types("a question that nobody asks", "")
        .exits(4)
        .says(&format!("unreachable: bad: authentication: agent {socket}: no answer within DEADLINE"))
        .says("= help: it may wait for a confirmation, a PIN or a touch; connect_timeout says how long that may take")
        .at_deadline()
        .run();
}

#[test]
fn an_agent_that_signs_slowly_does_not_hang() {
    // As a card does: the last of them waits for longer than an agent may be silent.
    let agent = Agent::new(Some(Duration::from_secs(1)));
    let connection = asking(&agent.socket());
    let ran = Case::new((0..5).map(|_| Bad::Host))
        .good(0)
        .patient()
        .connection(&connection)
        .prepare(move |world| agent.serve(world))
        .marks(1..=1)
        .run();
    let Some(ran) = ran else { return };
    assert!(ran.took > Duration::from_secs(5), "{:?}", ran.took);
}

#[test]
fn only_the_configured_key_is_offered() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("agent").to_str().unwrap().to_string();
    let agent = Command::new("ssh-agent")
        .args(["-D", "-a", &socket])
        .stdout(Stdio::null())
        .spawn();
    let mut agent = agent.unwrap();
    assert!(crate::watch::in_time(Duration::from_secs(20), || {
        std::path::Path::new(&socket).exists()
    }));
    for number in 0..10 {
        let path = folder.path().join(format!("key{number}"));
        key(&path);
        let added = Command::new("ssh-add")
            .arg("-q")
            .arg(&path)
            .env("SSH_AUTH_SOCK", &socket)
            .status();
        assert!(added.unwrap().success());
    }
    let ran = Case::new([Bad::Host])
        .connection(&asking(&socket))
        .sshd(&["MaxAuthTries 1"])
        .run();
    agent.kill().unwrap();
    agent.wait().unwrap();
    let Some(ran) = ran else { return };
    assert!(
        !ran.world.sshd.log().contains("Failed publickey"),
        "{}",
        ran.world.sshd.log()
    );
}

#[test]
fn a_wrong_password_is_tried_once() {
    let tried = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let server = || {
        let tried = tried.clone();
        Bad::server(Server::start(move |wire| {
            let tried = tried.clone();
            async move {
                let mut ssh = Ssh::meet(wire).await?;
                ssh.service().await?;
                loop {
                    let (method, _) = ssh.attempt().await?;
                    if method == "password" {
                        tried.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    }
                    let only = Say::new(message::AUTH_FAILURE).string("password").byte(0);
                    ssh.say(&only).await?;
                }
            }
        }))
    };
    let servers: Vec<Bad> = (0..26).map(|_| server()).collect();
    Case::new(servers)
        .good(0)
        .options(&["--ask-pass"])
        .types("SSH password: ", "canary wrong password")
        .exits(4)
        .run();
    assert_eq!(tried.load(std::sync::atomic::Ordering::SeqCst), 1);
}
