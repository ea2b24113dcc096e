//! A link to a machine that breaks when a test says so.

use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A link that can be cut. Whoever connects again gets through.
pub struct Cut {
    pub port: u16,
    streams: Arc<Mutex<Vec<TcpStream>>>,
}

impl Cut {
    /// A link to the server on this port.
    pub fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let streams = Arc::new(Mutex::new(Vec::new()));
        let all = streams.clone();
        std::thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                let server = TcpStream::connect(("127.0.0.1", server)).unwrap();
                let ways = [
                    (client.try_clone().unwrap(), server.try_clone().unwrap()),
                    (server.try_clone().unwrap(), client.try_clone().unwrap()),
                ];
                for (mut from, mut to) in ways {
                    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
                }
                all.lock().unwrap().extend([client, server]);
            }
        });
        Self { port, streams }
    }

    /// Cuts what is connected.
    pub fn now(&self) {
        for stream in &*self.streams.lock().unwrap() {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
