//! From the name to the first byte: addresses that lead nowhere, ports that nobody minds, servers that say nothing.

use crate::harness::Case;
use crate::support::hostile::Server;
use crate::support::proxy::{At, Fault, to_client};
use crate::support::sshd::{current_user, program, skip};
use crate::world::Bad;
use socket2::{Domain, Socket, Type};
use std::cell::RefCell;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

const SLOWLY: Duration = Duration::from_millis(50);

/// A port that is taken and closed, as long as this lives.
fn closed() -> (Socket, Bad) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any.into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, Bad::At("127.0.0.1".into(), port))
}

/// A port whose queue is full, so that the packets of whoever comes next are dropped, as long as this lives.
fn dropping() -> (Vec<Socket>, Bad) {
    let (listener, bad) = closed();
    (full(listener), bad)
}

/// Fills the queue of a socket that is bound.
fn full(listener: Socket) -> Vec<Socket> {
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let mut sockets = vec![listener];
    for _ in 0..4 {
        let socket = Socket::new(address.domain(), Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&address);
        sockets.push(socket);
    }
    sockets
}

#[test]
fn nobody_is_there() {
    let (_socket, closed) = closed();
    let http =
        Server::start(|wire| async move { wire.say("HTTP/1.1 400 Bad Request\r\n\r\n").await });
    let escapes = Server::start(|wire| async move { wire.say("\x1b[31mred\x07\r\n").await });
    let noise = Server::start(|wire| async move { wire.noise(1, 5000).await });
    let flood = Server::start(|wire| async move {
        loop {
            wire.say("welcome to this fine machine\r\n").await?;
        }
    });
    Case::table(vec![
        // In which words depends on whether there is a name server.
        (
            Bad::At("no-such-host.invalid".into(), 22),
            "name lookup: ...",
        ),
        (
            Bad::server(flood),
            "key exchange: not an SSH server: it said \"welcome to this fine machine\"",
        ),
        (closed, "connecting to 127.0.0.1:PORT: connection refused"),
        (
            Bad::server(http),
            "key exchange: not an SSH server: it said \"HTTP/1.1 400 Bad Request\"",
        ),
        (
            Bad::server(escapes),
            "key exchange: not an SSH server: it said \"\\u{1b}[31mred\\u{7}\"",
        ),
        (
            Bad::server(noise),
            "key exchange: not an SSH server: it said ...",
        ),
    ])
    .run();
}

#[test]
fn nobody_answers() {
    let (_sockets, dropping) = dropping();
    let silent = Server::start(|wire| async move { wire.silence().await });
    let reticent = Server::start(|wire| async move {
        wire.identify().await?;
        wire.silence().await
    });
    let slow = Server::start(|wire| async move {
        wire.drip(
            "SSH-2.0-a_very_long_identification_that_never_comes_to_its_end",
            SLOWLY * 4,
        )
        .await?;
        wire.silence().await
    });
    let old = Server::start(|wire| async move {
        wire.say("SSH-1.5-old\r\n").await?;
        wire.silence().await
    });
    let lines = Server::start(|wire| async move {
        loop {
            wire.drip("welcome\r\n", SLOWLY * 4).await?;
        }
    });
    let dripping = to_client(At::Byte(0), Fault::Slice(1, SLOWLY));
    let stalling = |message| Bad::link(vec![to_client(At::Message(message), Fault::Stall)]);
    let late = "key exchange: no answer within DEADLINE\na slow host needs a longer connect_timeout than DEADLINE";
    Case::table(vec![
        (
            dropping,
            "connecting to 127.0.0.1:PORT: no answer within DEADLINE\ncheck the address and the network between",
        ),
        (Bad::server(silent), late),
        (Bad::server(reticent), late),
        (Bad::server(slow), late),
        (Bad::server(old), late),
        (Bad::server(lines), late),
        (Bad::link(vec![dripping]), late),
        (stalling(0), late),
        (stalling(1), late),
        (stalling(2), late),
    ])
    .at_deadline()
    .run();
}

#[test]
fn a_dead_address_beside_a_live_one() {
    if current_user() != "root" || program("unshare").is_none() {
        skip("only root has names of its own, with unshare");
        return;
    }
    for dropped in [false, true] {
        let sockets = Rc::new(RefCell::new(Vec::new()));
        let kept = sockets.clone();
        Case::new([Bad::Named("twofold")])
            .names("::1 twofold\n127.0.0.1 twofold\n")
            .prepare(move |world| {
                // Nobody listens at the other address, or somebody who drops what comes.
                if dropped {
                    let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
                    let address = SocketAddr::from((Ipv6Addr::LOCALHOST, world.bad[0].port));
                    socket.bind(&address.into()).unwrap();
                    kept.borrow_mut().extend(full(socket));
                }
            })
            .marks(1..=1)
            .run();
    }
}
