//! A server whose ways to log in are set by the test.

use russh::keys::{Algorithm, PrivateKey};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, Response, Session, VerifiedPublicKey, run_stream,
};
use russh::{Channel, ChannelId, MethodKind, MethodSet, SshId};
use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

/// How one may log in.
#[derive(Clone, Default)]
pub struct Script {
    pub password: Option<&'static str>,
    /// The questions of keyboard-interactive, each answered by the password.
    pub questions: Vec<&'static str>,
    /// A key is wanted first, and is not enough.
    pub key_first: bool,
    /// The software that it claims to be.
    pub version: Option<&'static str>,
}

/// What the clients did.
pub type Log = Arc<Mutex<Vec<String>>>;

#[derive(Clone)]
struct Server {
    script: Script,
    log: Log,
    asked: usize,
    key: bool,
}

/// Starts the server; it ends with the test's runtime.
pub async fn serve(script: Script) -> (u16, Log) {
    let mut methods = Vec::new();
    if script.key_first {
        methods.push(MethodKind::PublicKey);
    } else {
        methods.extend(rest(&script).iter());
    }
    let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519).unwrap();
    let config = Arc::new(Config {
        methods: MethodSet::from(&methods[..]),
        server_id: SshId::Standard(format!("SSH-2.0-{}", script.version.unwrap_or("test")).into()),
        auth_rejection_time: Duration::ZERO,
        keys: vec![key],
        ..Config::default()
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let log = Log::default();
    let server = Server {
        script,
        log: log.clone(),
        asked: 0,
        key: false,
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (config, server) = (config.clone(), server.clone());
            tokio::spawn(async move {
                if let Ok(session) = run_stream(config, stream, server).await {
                    let _ = session.await;
                }
            });
        }
    });
    (port, log)
}

fn rest(script: &Script) -> MethodSet {
    let mut methods = Vec::new();
    if script.password.is_some() && script.questions.is_empty() {
        methods.push(MethodKind::Password);
    }
    if !script.questions.is_empty() {
        methods.push(MethodKind::KeyboardInteractive);
    }
    MethodSet::from(&methods[..])
}

impl Server {
    fn note(&self, what: impl Into<String>) {
        self.log.lock().unwrap().push(what.into());
    }

    fn right(&self, password: &str) -> bool {
        self.script.password == Some(password) && (self.key || !self.script.key_first)
    }
}

impl Handler for Server {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        _: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        self.note(format!("key {}", key.algorithm));
        self.key = true;
        Ok(Auth::Reject {
            proceed_with_methods: Some(rest(&self.script)),
            partial_success: true,
        })
    }

    async fn auth_password(&mut self, _: &str, password: &str) -> Result<Auth, Self::Error> {
        self.note(format!("password {password}"));
        Ok(match self.right(password) {
            true => Auth::Accept,
            false => Auth::reject(),
        })
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        _: &str,
        _: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Self::Error> {
        if let Some(mut answers) = response {
            let answer = answers.next().unwrap_or_default().to_vec();
            let answer = String::from_utf8(answer).unwrap();
            self.note(format!("answer {answer}"));
            if !self.right(&answer) {
                return Ok(Auth::reject());
            }
        }
        let Some(question) = self.script.questions.get(self.asked) else {
            return Ok(Auth::Accept);
        };
        self.asked += 1;
        Ok(Auth::Partial {
            name: Cow::Borrowed(""),
            instructions: Cow::Borrowed(""),
            prompts: Cow::Owned(vec![(Cow::Borrowed(*question), false)]),
        })
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        match command {
            b"refuse" => session.channel_failure(id),
            b"no status" => {
                session.channel_success(id)?;
                session.data(id, &b"some"[..])?;
                session.close(id)
            }
            b"status first, never closed" => {
                session.channel_success(id)?;
                session.exit_status_request(id, 5)?;
                session.data(id, &b"late"[..])?;
                session.eof(id)
            }
            _ => session.channel_success(id),
        }
    }
}
