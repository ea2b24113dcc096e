//! A line with a length: a TCP proxy that delays what passes through it, and counts how often it changes its direction.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;

/// The end of the line that clients connect to.
pub struct Line {
    pub addr: SocketAddr,
    turns: Arc<Turns>,
}

#[derive(Default)]
struct Turns {
    /// The last bytes came from the client.
    client: AtomicBool,
    /// How often a client has begun to speak.
    count: AtomicUsize,
}

impl Line {
    /// A line to a server, which takes so long there and back.
    pub async fn to(server: SocketAddr, there_and_back: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let turns = Arc::new(Turns::default());
        let counting = turns.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(server).await else {
                    continue;
                };
                client.set_nodelay(true).ok();
                server.set_nodelay(true).ok();
                let (client_read, client_write) = client.into_split();
                let (server_read, server_write) = server.into_split();
                let way = there_and_back / 2;
                tokio::spawn(pass(client_read, server_write, way, counting.clone(), true));
                tokio::spawn(pass(
                    server_read,
                    client_write,
                    way,
                    counting.clone(),
                    false,
                ));
            }
        });
        Self { addr, turns }
    }

    /// How often a client began to speak since this was last asked.
    pub fn turns(&self) -> usize {
        self.turns.count.swap(0, Ordering::SeqCst)
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin + Send + 'static,
    way: Duration,
    turns: Arc<Turns>,
    client: bool,
) {
    let (sender, mut receiver) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    tokio::spawn(async move {
        while let Some((arrives, bytes)) = receiver.recv().await {
            tokio::time::sleep_until(arrives).await;
            if to.write_all(&bytes).await.is_err() {
                return;
            }
        }
        to.shutdown().await.ok();
    });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        if turns.client.swap(client, Ordering::SeqCst) != client && client {
            turns.count.fetch_add(1, Ordering::SeqCst);
        }
        let arrives = Instant::now() + way;
        if sender.send((arrives, buffer[..count].to_vec())).is_err() {
            return;
        }
    }
}
