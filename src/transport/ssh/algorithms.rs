//! Which algorithms are offered to a server, and in which order.

use russh::client::GexParams;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Preferred, cipher, compression, kex, mac};
use std::borrow::Cow;

/// The names at the end are no algorithms: without them a server announces no signature algorithms, and the
/// protection against injected packets is off.
const KEX: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_G16_SHA512,
    kex::DH_G18_SHA512,
    kex::DH_GEX_SHA256,
    kex::DH_G14_SHA256,
    kex::DH_G14_SHA1,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

/// AES-128-GCM moves more bytes at a fraction of the work of the others.
const CIPHERS: &[cipher::Name] = &[
    cipher::AES_128_GCM,
    cipher::AES_256_GCM,
    cipher::CHACHA20_POLY1305,
    cipher::AES_128_CTR,
    cipher::AES_192_CTR,
    cipher::AES_256_CTR,
];

/// SHA-1 is for servers that know nothing better (OpenSSH before 5.9).
const MACS: &[mac::Name] = &[
    mac::HMAC_SHA256_ETM,
    mac::HMAC_SHA512_ETM,
    mac::HMAC_SHA256,
    mac::HMAC_SHA512,
    mac::HMAC_SHA1_ETM,
    mac::HMAC_SHA1,
];

const HOST_KEYS: [Algorithm; 7] = [
    Algorithm::Ed25519,
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP256,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP384,
    },
    Algorithm::Ecdsa {
        curve: EcdsaCurve::NistP521,
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha512),
    },
    Algorithm::Rsa {
        hash: Some(HashAlg::Sha256),
    },
    Algorithm::Rsa { hash: None },
];

/// What to offer to a host of which keys of these types are known: those come first, or the server would show
/// another key that nobody knows.
pub(super) fn preferred(known: &[Algorithm]) -> Preferred {
    let is_known = |algorithm: &Algorithm| {
        known
            .iter()
            .any(|known| known == algorithm || (is_rsa(known) && is_rsa(algorithm)))
    };
    let (first, rest): (Vec<_>, Vec<_>) = HOST_KEYS.into_iter().partition(is_known);
    Preferred {
        kex: Cow::Borrowed(KEX),
        key: Cow::Owned(first.into_iter().chain(rest).collect()),
        host_key_certificates: Cow::Borrowed(&[]),
        cipher: Cow::Borrowed(CIPHERS),
        mac: Cow::Borrowed(MACS),
        compression: Cow::Borrowed(&[compression::NONE]),
    }
}

fn is_rsa(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::Rsa { .. })
}

/// Group sizes as OpenSSH's client asks for them.
pub(super) fn group_sizes() -> GexParams {
    GexParams::new(2048, 3072, 8192).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_types_come_first_and_nothing_is_lost() {
        let known = [Algorithm::Rsa { hash: None }];
        let order: Vec<String> = preferred(&known)
            .key
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            order,
            [
                "rsa-sha2-512",
                "rsa-sha2-256",
                "ssh-rsa",
                "ssh-ed25519",
                "ecdsa-sha2-nistp256",
                "ecdsa-sha2-nistp384",
                "ecdsa-sha2-nistp521",
            ]
        );
    }
}
