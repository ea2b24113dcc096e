//! Keys to encrypt with, and what is encrypted for them.

use age::secrecy::ExposeSecret;
use runner::secret::Identity;
use runner::secret::sealed::{self, Lock};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Makes a key and writes it to a file that only its owner can read.
pub fn identity(path: &Path) -> Identity {
    let identity = Identity::generate();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text = format!("# a key\n{}\n", identity.to_string().expose_secret());
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    identity
}

/// Encrypts a text for a key.
pub fn encrypted(text: &str, identity: &Identity) -> Vec<u8> {
    let lock = Lock::Keys(vec![identity.to_public()]);
    sealed::seal(text, &lock, true).unwrap()
}
