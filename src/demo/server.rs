//! SSH servers inside this process: throw-away hosts on loopback, each with a home folder of its own.

use super::{Place, command};
use russh::keys::{Algorithm, PrivateKey, PublicKey};
use russh::server::{
    Auth, ChannelOpenHandle, Config, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
    run_stream,
};
use russh::{Channel, ChannelId, Disconnect, MethodKind, MethodSet, Preferred, cipher};
use std::borrow::Cow;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A throw-away host. It is gone when this is dropped; commands that still run see the end of their input.
pub struct Server {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The key that shows its identity.
    pub host_key: PublicKey,
    listening: JoinHandle<()>,
    /// Every connection watches this, and ends with it.
    _alive: watch::Sender<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Server {
    /// Starts a host of this name on a loopback port of its own. Whoever holds the `authorized` key may log in, as any
    /// user; commands run with the rights of this process in the `home` folder.
    ///
    /// # Errors
    ///
    /// There is no port to listen on.
    pub async fn start(name: &str, home: PathBuf, authorized: PublicKey) -> io::Result<Self> {
        let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519)
            .map_err(io::Error::other)?;
        let host_key = key.public_key().clone();
        let config = Arc::new(Config {
            methods: MethodSet::from(&[MethodKind::PublicKey][..]),
            auth_rejection_time: Duration::ZERO,
            inactivity_timeout: None,
            keys: vec![key],
            nodelay: true,
            preferred: Preferred {
                cipher: Cow::Borrowed(&[cipher::AES_128_GCM, cipher::AES_256_GCM]),
                ..Preferred::DEFAULT
            },
            ..Config::default()
        });
        let place = Arc::new(Place {
            name: name.to_string(),
            home,
            authorized,
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let (alive, watching) = watch::channel(());
        let listening = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let (config, place) = (config.clone(), place.clone());
                        tokio::spawn(serve(stream, config, place, watching.clone()));
                    }
                    // Too many open files, most likely: some will be closed again.
                    Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                }
            }
        });
        Ok(Self {
            addr,
            host_key,
            listening,
            _alive: alive,
        })
    }
}

async fn serve(
    stream: TcpStream,
    config: Arc<Config>,
    place: Arc<Place>,
    mut alive: watch::Receiver<()>,
) {
    let _ = stream.set_nodelay(true);
    // Commands of this connection see it when this is dropped.
    let (_connected, gone) = watch::channel(());
    let Ok(session) = run_stream(config, stream, Login { place, gone }).await else {
        return;
    };
    let handle = session.handle();
    tokio::select! {
        _ = session => {}
        _ = alive.changed() => {
            let _ = handle
                .disconnect(Disconnect::ByApplication, "the host is gone".into(), String::new())
                .await;
        }
    }
}

struct Login {
    place: Arc<Place>,
    gone: watch::Receiver<()>,
}

impl Handler for Login {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        _user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.judge(key.public_key))
    }

    async fn auth_publickey_offered(
        &mut self,
        _user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        Ok(self.judge(offer.public_key))
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        let (place, gone) = (self.place.clone(), self.gone.clone());
        tokio::spawn(command::run(channel, session.handle(), place, gone));
        Ok(())
    }

    async fn exec_request(
        &mut self,
        id: ChannelId,
        _command: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        // The command itself reaches the channel's own task.
        session.channel_success(id)
    }
}

impl Login {
    fn judge(&self, key: &PublicKey) -> Auth {
        if key.key_data() == self.place.authorized.key_data() {
            Auth::Accept
        } else {
            Auth::reject()
        }
    }
}
