//! Logging in.

use super::scripted::{Script, serve};
use super::{connect, loopback, printed, refusal, refused, run, target, within};
use crate::support::sshd::{Sshd, current_user, keygen};
use runner::transport::ssh::{Prompt, SshOptions, SshTransport};
use runner::transport::{ConnectErrorKind, Connection};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

fn fingerprint(private: &Path) -> String {
    let output = Command::new("ssh-keygen")
        .arg("-lf")
        .arg(private.with_extension("pub"))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().nth(1).unwrap().to_string()
}

/// Makes another key that may log in.
fn authorized(sshd: &Sshd, name: &str, key_type: &str) -> PathBuf {
    let path = sshd.files.path(name);
    keygen(&path, key_type);
    let file = sshd.files.path("authorized_keys");
    let lines = fs::read_to_string(&file).unwrap();
    let line = fs::read_to_string(path.with_extension("pub")).unwrap();
    fs::write(file, lines + &line).unwrap();
    path
}

fn lock(key: &Path, passphrase: &str) {
    let status = Command::new("ssh-keygen")
        .args(["-q", "-p", "-P", "", "-N", passphrase, "-f"])
        .arg(key)
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn every_type_of_key_logs_in() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    for key_type in ["ed25519", "ecdsa", "rsa"] {
        let mut target = target(&sshd);
        target.identity_files = vec![authorized(&sshd, key_type, key_type)];
        let connection = connect(target).await;
        assert_eq!(run(&connection, "echo ok").await, printed("ok\n"));
    }
}

#[tokio::test]
async fn old_algorithms_are_spoken_too() {
    let Some(sshd) = Sshd::start(&[
        "KexAlgorithms diffie-hellman-group14-sha1",
        "Ciphers aes128-ctr",
        "MACs hmac-sha1",
        "HostKeyAlgorithms ssh-rsa",
    ]) else {
        return;
    };
    let connection = connect(target(&sshd)).await;
    assert_eq!(run(&connection, "echo ok").await, printed("ok\n"));
}

#[tokio::test]
async fn an_old_server_gets_an_rsa_signature_with_sha_1() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    for (version, hash) in [("OpenSSH_6.6", "ssh-rsa"), ("OpenSSH_7.4", "rsa-sha2-512")] {
        let script = Script {
            password: Some("right"),
            key_first: true,
            version: Some(version),
            ..Script::default()
        };
        let (port, log) = serve(script).await;
        let mut target = loopback(port);
        target.identity_files = vec![authorized(&sshd, hash, "rsa")];
        let error = refused(target).await;
        assert!(
            error.message.contains("accepted, but not enough"),
            "{error}"
        );
        assert_eq!(*log.lock().unwrap(), [format!("key {hash}")]);
    }
}

#[tokio::test]
async fn a_key_that_is_not_authorized_is_named() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    let mut target = target(&sshd);
    let key = sshd.files.path("stranger");
    keygen(&key, "ed25519");
    target.identity_files = vec![key.clone()];
    let error = refused(target).await;
    assert_eq!(error.kind, ConnectErrorKind::Unreachable);
    assert_eq!(
        error.message,
        format!(
            "permission denied for user `{}`: tried key {} ({}), the server accepts publickey",
            current_user(),
            key.display(),
            fingerprint(&key)
        )
    );
    assert_eq!(error.help, [""; 0]);
}

#[tokio::test]
async fn a_key_that_others_can_read_is_not_used() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    let key = sshd.files.client_key();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let error = refused(target(&sshd)).await;
    assert_eq!(
        error.message,
        format!(
            "permission denied for user `{}`: there was nothing to try, the server accepts publickey",
            current_user()
        )
    );
    let key = key.display();
    assert_eq!(
        error.help,
        [format!(
            "key {key}: others can read it (mode 0644); chmod 600 {key}"
        )]
    );
}

struct Operator {
    answers: Mutex<Vec<&'static str>>,
    asked: Mutex<Vec<(PathBuf, bool)>>,
}

impl Prompt for Operator {
    fn passphrase(&self, key: &Path, again: bool) -> Option<String> {
        self.asked.lock().unwrap().push((key.to_path_buf(), again));
        self.answers.lock().unwrap().pop().map(str::to_string)
    }
}

fn operator(answers: &[&'static str]) -> (Arc<Operator>, Arc<SshTransport>) {
    let operator = Arc::new(Operator {
        answers: Mutex::new(answers.iter().rev().copied().collect()),
        asked: Mutex::default(),
    });
    let transport = SshTransport::new(SshOptions {
        prompt: Some(operator.clone()),
        ..SshOptions::default()
    });
    (operator, Arc::new(transport))
}

#[tokio::test]
async fn an_encrypted_key_is_asked_about_once_in_a_run() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    let key = sshd.files.client_key();
    lock(&key, "open sesame");
    let (operator, transport) = operator(&["wrong", "open sesame"]);
    let mut logins = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let (transport, target) = (transport.clone(), target(&sshd));
        logins.spawn(async move {
            let connection = transport.connect_to(target).await.unwrap();
            assert_eq!(run(&connection, "echo ok").await, printed("ok\n"));
        });
    }
    within(logins.join_all()).await;
    assert_eq!(
        *operator.asked.lock().unwrap(),
        [(key.clone(), false), (key, true)]
    );
}

#[tokio::test]
async fn without_a_passphrase_an_encrypted_key_is_a_note() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    let key = sshd.files.client_key();
    lock(&key, "open sesame");
    let shown = format!("key {} ({})", key.display(), fingerprint(&key));
    let error = refused(target(&sshd)).await;
    assert_eq!(
        error.help,
        [format!(
            "{shown}: it is encrypted, and there is no terminal to ask for its passphrase"
        )]
    );
    let (_, transport) = operator(&[]);
    let error = refusal(&transport, target(&sshd)).await;
    assert_eq!(error.help, [format!("{shown}: no passphrase was given")]);
}

struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts an agent that holds these keys.
async fn agent(sshd: &Sshd, keys: &[&Path]) -> Agent {
    let socket = sshd.files.path("agent");
    let child = Command::new("ssh-agent")
        .arg("-D")
        .arg("-a")
        .arg(&socket)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let agent = Agent { child, socket };
    within(async {
        while !agent.socket.exists() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for key in keys {
        let status = Command::new("ssh-add")
            .arg("-q")
            .arg(key)
            .env("SSH_AUTH_SOCK", &agent.socket)
            .status()
            .unwrap();
        assert!(status.success());
    }
    agent
}

#[tokio::test]
async fn the_agent_signs_for_a_locked_key_and_offers_its_others_only_if_it_may() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    let (key, other) = (sshd.files.client_key(), sshd.files.path("other"));
    keygen(&other, "ed25519");
    let agent = agent(&sshd, &[&other, &key]).await;
    lock(&key, "open sesame");
    let mut target = target(&sshd);
    target.identity_agent = Some(agent.socket.clone());
    let connection = connect(target.clone()).await;
    assert_eq!(run(&connection, "echo ok").await, printed("ok\n"));
    assert!(!sshd.log().contains("Failed publickey"), "{}", sshd.log());

    target.identity_files = Vec::new();
    let error = refused(target.clone()).await;
    assert!(
        error.message.contains("there was nothing to try"),
        "{error}"
    );
    target.identities_only = false;
    let connection = connect(target).await;
    assert_eq!(run(&connection, "echo ok").await, printed("ok\n"));
}

#[tokio::test]
async fn a_hung_agent_costs_two_seconds_and_is_named() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    let socket = sshd.files.path("hung");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let mut target = target(&sshd);
    target.identity_agent = Some(socket.clone());
    let begun = std::time::Instant::now();
    let connection = connect(target.clone()).await;
    assert!(begun.elapsed().as_secs_f32() >= 2.0);
    assert_eq!(run(&connection, "echo ok").await, printed("ok\n"));
    target.identity_files = Vec::new();
    let error = refused(target).await;
    assert_eq!(
        error.help,
        [format!("agent {}: no answer within 2 s", socket.display())]
    );
}

fn with_password(password: &str) -> SshTransport {
    SshTransport::new(SshOptions {
        password: Some(password.into()),
        ..SshOptions::default()
    })
}

#[tokio::test]
async fn a_password_is_tried_once_and_never_shown() {
    let script = Script {
        password: Some("right"),
        ..Script::default()
    };
    let (port, log) = serve(script).await;
    with_password("right")
        .connect_to(loopback(port))
        .await
        .unwrap();
    assert_eq!(*log.lock().unwrap(), ["password right"]);
    let error = refusal(&with_password("wrong"), loopback(port)).await;
    assert_eq!(
        error.message,
        format!(
            "permission denied for user `{}`: tried the password, the server accepts nothing else",
            current_user()
        )
    );
    assert_eq!(*log.lock().unwrap(), ["password right", "password wrong"]);
    let error = refused(loopback(port)).await;
    assert_eq!(error.help, ["to log in with a password: --ask-pass"]);
}

#[tokio::test]
async fn a_password_also_answers_a_question() {
    let script = Script {
        password: Some("right"),
        questions: vec!["Password: "],
        ..Script::default()
    };
    let (port, log) = serve(script).await;
    with_password("right")
        .connect_to(loopback(port))
        .await
        .unwrap();
    assert_eq!(*log.lock().unwrap(), ["answer right"]);
    let error = refusal(&with_password("wrong"), loopback(port)).await;
    assert!(error.message.starts_with("permission denied"), "{error}");
    assert_eq!(*log.lock().unwrap(), ["answer right", "answer wrong"]);
}

#[tokio::test]
async fn a_second_question_is_not_answered_with_the_password() {
    let script = Script {
        password: Some("right"),
        questions: vec!["Password: ", "Verification code: "],
        ..Script::default()
    };
    let (port, log) = serve(script).await;
    let error = refusal(&with_password("right"), loopback(port)).await;
    assert_eq!(
        error.message,
        "authentication: the server asks for more than the password: \"Verification code:\""
    );
    assert_eq!(*log.lock().unwrap(), ["answer right"]);
}

#[tokio::test]
async fn a_key_that_is_not_enough_is_followed_by_the_password() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    let script = Script {
        password: Some("right"),
        key_first: true,
        ..Script::default()
    };
    let (port, log) = serve(script).await;
    let mut target = loopback(port);
    target.identity_files = vec![sshd.files.client_key()];
    let connection: Arc<dyn Connection> = with_password("right")
        .connect_to(target.clone())
        .await
        .unwrap();
    connection.close().await;
    assert_eq!(*log.lock().unwrap(), ["key ssh-ed25519", "password right"]);
    let error = refused(target).await;
    assert_eq!(
        error.message,
        format!(
            "permission denied for user `{}`: tried key {} ({}) (accepted, but not enough), the server accepts password",
            current_user(),
            sshd.files.client_key().display(),
            fingerprint(&sshd.files.client_key())
        )
    );
}
