//! The key exchange and the login with servers and links that break the protocol.

use crate::harness::Case;
use crate::support::hostile::{Offer, Say, Server, Ssh, Wire, message, packet};
use crate::support::proxy::{At, Fault, to_client, to_server};
use crate::world::Bad;
use std::time::Duration;

const SLOWLY: Duration = Duration::from_millis(200);

/// A server that says these bytes where its offer for the key exchange should be.
fn says(bytes: impl Into<Vec<u8>>) -> Bad {
    let bytes = bytes.into();
    Bad::server(Server::start(move |wire| {
        let bytes = bytes.clone();
        async move {
            wire.identify().await?;
            wire.say(bytes).await?;
            wire.silence().await
        }
    }))
}

/// A server that goes through a key exchange of this kind.
fn exchanges(offer: Offer) -> Bad {
    Bad::server(Server::start(move |wire| {
        let offer = offer.clone();
        async move {
            let mut ssh = Ssh::exchange(wire, &offer).await?;
            ssh.login().await
        }
    }))
}

/// A server that answers the client's part of the key exchange with this.
fn replies(reply: Vec<u8>) -> Bad {
    Bad::server(Server::start(move |wire| {
        let reply = reply.clone();
        async move {
            wire.identify().await?;
            wire.packet(&Offer::default().message()).await?;
            wire.hear_packet().await?;
            wire.hear_packet().await?;
            wire.packet(&reply).await?;
            wire.silence().await
        }
    }))
}

/// A server that does this with whoever wants to log in.
fn asks<F>(script: fn(Ssh) -> F) -> Bad
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    Bad::server(Server::start(move |wire: Wire| async move {
        let mut ssh = Ssh::meet(wire).await?;
        ssh.service().await?;
        script(ssh).await
    }))
}

/// A packet that means nothing.
fn ignored() -> Vec<u8> {
    packet(&[message::IGNORE, 0, 0, 0, 0])
}

fn length(length: u32) -> Vec<u8> {
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.extend([0; 64]);
    bytes
}

#[test]
fn the_offer_is_nonsense() {
    let cut_short = Offer::default().message()[..60].to_vec();
    let mut too_long = Offer::default().message();
    too_long[17] = 0xff;
    let kex = Offer {
        kex: "rot13,\u{1b}[31m",
        ..Offer::default()
    };
    let cipher = Offer {
        cipher: "caesar",
        ..Offer::default()
    };
    let mut padded = packet(&[message::KEXINIT]);
    padded[4] = 0xff;
    let disconnect = Say::new(message::DISCONNECT)
        .number(2)
        .string("go \x1b[1maway")
        .string("");
    Case::table(vec![
        (says(length(35_001 << 3)), "key exchange: the server sent a packet of an impossible length"),
        (says(length(u32::MAX)), "key exchange: the server sent a packet of an impossible length"),
        (says(vec![0xa5; 4096]), "key exchange: the server sent a packet of an impossible length"),
        (says(padded), "key exchange: the server broke the SSH protocol"),
        (says(packet(&cut_short)), "key exchange: the server broke the SSH protocol"),
        (says(packet(&too_long)), "key exchange: the server broke the SSH protocol"),
        (
            says(packet(&kex.message())),
            "key exchange: no key exchange algorithm in common, the server offers rot13,\\u{1b}[31m",
        ),
        (
            says(packet(&cipher.message())),
            "key exchange: no cipher algorithm in common, the server offers caesar",
        ),
        (
            says(packet(&disconnect.0)),
            "key exchange: the server closed the connection: \"go \\u{1b}[1maway\"",
        ),
    ])
    .run();
}

#[test]
fn the_exchange_is_forged() {
    let forged = Offer {
        forged: true,
        ..Offer::default()
    };
    let injected = Offer {
        injected: Some(vec![message::IGNORE, 0, 0, 0, 0]),
        ..Offer::default()
    };
    let reply = |key: &[u8], point: &[u8], signature: &[u8]| {
        let reply = Say::new(message::KEX_REPLY).string(key);
        replies(reply.string(point).string(signature).0)
    };
    let ignore = Fault::Insert(ignored());
    let signature = "key exchange: the server's signature is wrong: it does not hold the host key that it shows";
    let broken = "key exchange: the server broke the SSH protocol";
    let strange = "key exchange: a packet was injected into the key exchange";
    Case::table(vec![
        (exchanges(forged), signature),
        (exchanges(injected), strange),
        (reply(b"", b"", b""), broken),
        (reply(b"key", &[0; 32], &[0; 64]), broken),
        (replies(vec![message::KEX_REPLY]), broken),
        (replies(vec![message::NEWKEYS]), strange),
        (replies(vec![message::AUTH_SUCCESS]), strange),
        // The attack that is called Terrapin, against a real server: 0 is the identification, 1 the offer, 2 the reply.
        (
            Bad::link(vec![to_client(At::Message(1), ignore.clone())]),
            strange,
        ),
        (
            Bad::link(vec![to_client(At::Message(2), ignore.clone())]),
            strange,
        ),
        (
            Bad::link(vec![to_client(At::Message(3), ignore.clone())]),
            strange,
        ),
        // Towards the server: that it ends the connection is due to the strictness that we have offered.
        (
            Bad::link(vec![to_server(At::Message(1), ignore.clone())]),
            "key exchange: the server closed the connection: \"strict KEX violation: ...",
        ),
        (
            Bad::link(vec![to_server(At::Message(2), ignore.clone())]),
            "key exchange: the server closed the connection: \"strict KEX violation: ...",
        ),
        // By then we have begun to log in.
        (
            Bad::link(vec![to_server(At::Message(3), ignore)]),
            "authentication: the server closed the connection: \"strict KEX violation: ...",
        ),
    ])
    .run();
}

#[test]
fn the_login_is_no_login() {
    Case::table(vec![
        (
            asks(|mut ssh| async move {
                let banner = Say::new(message::AUTH_BANNER)
                    .string("\x1b[2Jhello\n")
                    .string("");
                loop {
                    ssh.say(&banner).await?;
                }
            }),
            "authentication: the server broke the SSH protocol (tried key FOLDER/client (FINGERPRINT))",
        ),
        (
            asks(|mut ssh| async move {
                ssh.attempt().await?;
                ssh.say(&Say::new(message::AUTH_SUCCESS)).await?;
                ssh.wire.silence().await
            }),
            "authentication: the server says yes without having asked for a signature\na server that lets anyone in may not be the one that is meant",
        ),
        (
            asks(|mut ssh| async move {
                loop {
                    ssh.attempt().await?;
                    let partial = Say::new(message::AUTH_FAILURE).string("publickey").byte(1);
                    ssh.say(&partial).await?;
                }
            }),
            "permission denied for user `USER`: tried key FOLDER/client (FINGERPRINT) (accepted, but not enough), the server accepts publickey",
        ),
        (
            asks(|mut ssh| async move {
                ssh.attempt().await?;
                let none = Say::new(message::AUTH_FAILURE).string("").byte(0);
                ssh.say(&none).await?;
                ssh.wire.silence().await
            }),
            "permission denied for user `USER`: tried key FOLDER/client (FINGERPRINT), the server accepts nothing else",
        ),
        (
            asks(|mut ssh| async move {
                ssh.attempt().await?;
                ssh.say(&Say(vec![message::AUTH_FAILURE, 0xff])).await?;
                ssh.wire.silence().await
            }),
            "authentication: the server broke the SSH protocol (tried key FOLDER/client (FINGERPRINT))",
        ),
        (
            asks(|ssh| async move { ssh.wire.noise(2, 4096).await }),
            "authentication: the server sent a packet of an impossible length (tried key FOLDER/client (FINGERPRINT))",
        ),
        (asks(|_| async move { Ok(()) }), "authentication: the server closed the connection (tried key FOLDER/client (FINGERPRINT))"),
    ])
    .run();
}

#[test]
fn the_login_never_ends() {
    let late = "authentication: no answer within DEADLINE\na slow host needs a longer connect_timeout than DEADLINE";
    let closed = "key exchange: the server closed the connection during the key exchange...";
    let before = "key exchange: no answer within DEADLINE\na slow host needs a longer connect_timeout than DEADLINE";
    Case::table(vec![
        (says(length(0)), closed),
        (says(length(1)), closed),
        (says(packet(&[])), before),
        (asks(|ssh| async move { ssh.wire.silence().await }), late),
        (
            asks(|mut ssh| async move {
                let banner = Say::new(message::AUTH_BANNER).string("wait\n").string("");
                loop {
                    ssh.say(&banner).await?;
                    // More than 64 are too many, and with a longer deadline there would be more.
                    tokio::time::sleep(SLOWLY * 5).await;
                }
            }),
            late,
        ),
        (
            asks(|mut ssh| async move {
                loop {
                    ssh.say(&Say::new(message::IGNORE).string("")).await?;
                    tokio::time::sleep(SLOWLY).await;
                }
            }),
            late,
        ),
        (
            Bad::server(Server::start(|wire| async move {
                wire.identify().await?;
                wire.drip(packet(&Offer::default().message()), SLOWLY)
                    .await?;
                wire.silence().await
            })),
            before,
        ),
    ])
    .at_deadline()
    .run();
}
