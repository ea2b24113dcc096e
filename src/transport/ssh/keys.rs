//! Private keys: each file is read once and decrypted once, however many hosts want it.

use super::agent::Signed;
use super::known_hosts::fingerprint;
use super::settings::Target;
use russh::keys::{PrivateKey, PublicKey, decode_secret_key, load_public_key};
use std::collections::HashMap;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::OnceCell;

/// How often a wrong passphrase can be put right.
const TRIES: usize = 3;

/// Asks the operator for secrets.
pub trait Prompt: Send + Sync {
    /// The passphrase of a private key, or `None` to do without the key. `again` is set when the one before was wrong.
    /// May take its time; it runs on a thread of its own.
    fn passphrase(&self, key: &Path, again: bool) -> Option<String>;
}

/// The private keys of a run.
pub(super) struct Keys {
    files: Mutex<HashMap<PathBuf, Arc<OnceCell<Loaded>>>>,
    prompt: Option<Arc<dyn Prompt>>,
    /// What agents have signed.
    pub(super) signed: Signed,
    terminal: Arc<tokio::sync::Mutex<()>>,
}

type Loaded = Result<Arc<KeyFile>, String>;

/// A private key's file.
pub(super) struct KeyFile {
    pub(super) path: PathBuf,
    pub(super) public: PublicKey,
    text: String,
    /// Set from the start if the key is not encrypted.
    secret: OnceCell<Result<Arc<PrivateKey>, String>>,
}

impl KeyFile {
    /// The key for messages: its path and fingerprint.
    pub(super) fn words(&self) -> String {
        format!("{} ({})", self.path.display(), fingerprint(&self.public))
    }

    pub(super) fn is_locked(&self) -> bool {
        !self.secret.initialized()
    }
}

impl Keys {
    pub(super) fn new(
        prompt: Option<Arc<dyn Prompt>>,
        terminal: Arc<tokio::sync::Mutex<()>>,
    ) -> Self {
        Self {
            files: Mutex::default(),
            prompt,
            signed: Signed::default(),
            terminal,
        }
    }

    /// Whether there is somebody to ask.
    pub(super) fn can_ask(&self) -> bool {
        self.prompt.is_some()
    }

    /// The keys of a target, and what is wrong with those that can't be used.
    pub(super) async fn of(&self, target: &Target) -> (Vec<Arc<KeyFile>>, Vec<String>) {
        let mut keys = Vec::new();
        let mut problems = Vec::new();
        for path in &target.identity_files {
            match self.load(path).await {
                Ok(key) => keys.push(key),
                Err(problem) => problems.push(format!("key {}: {problem}", path.display())),
            }
        }
        (keys, problems)
    }

    async fn load(&self, path: &Path) -> Loaded {
        let cell = {
            let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
            files.entry(path.to_path_buf()).or_default().clone()
        };
        let path = path.to_path_buf();
        let loaded = cell
            .get_or_init(|| async move {
                tokio::task::spawn_blocking(move || read(&path))
                    .await
                    .unwrap_or_else(|error| Err(error.to_string()))
                    .map(Arc::new)
            })
            .await;
        loaded.clone()
    }

    /// The secret part of a key, after asking for its passphrase if that is needed and nobody has asked yet.
    pub(super) async fn secret(&self, key: &Arc<KeyFile>) -> Result<Arc<PrivateKey>, String> {
        key.secret.get_or_init(|| self.unlock(key)).await.clone()
    }

    async fn unlock(&self, key: &Arc<KeyFile>) -> Result<Arc<PrivateKey>, String> {
        let Some(prompt) = &self.prompt else {
            return Err(
                "it is encrypted, and there is no terminal to ask for its passphrase".into(),
            );
        };
        let _terminal = self.terminal.lock().await;
        let key = key.clone();
        let prompt = prompt.clone();
        tokio::task::spawn_blocking(move || {
            for attempt in 0..TRIES {
                let Some(passphrase) = prompt.passphrase(&key.path, attempt > 0) else {
                    return Err("no passphrase was given".to_string());
                };
                if let Ok(secret) = decode_secret_key(&key.text, Some(&passphrase)) {
                    return Ok(Arc::new(secret));
                }
            }
            Err("the passphrase is wrong".to_string())
        })
        .await
        .unwrap_or_else(|error| Err(error.to_string()))
    }
}

fn read(path: &Path) -> Result<KeyFile, String> {
    let plain = |error: &std::io::Error| super::explain::io(error);
    let mut file = std::fs::File::open(path).map_err(|error| plain(&error))?;
    let mode = file
        .metadata()
        .map_err(|error| plain(&error))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(format!(
            "others can read it (mode {:04o}); chmod 600 {}",
            mode & 0o7777,
            path.display()
        ));
    }
    let mut text = String::new();
    file.read_to_string(&mut text)
        .map_err(|error| plain(&error))?;
    let (public, secret) = match PrivateKey::from_openssh(&text) {
        Ok(key) if key.is_encrypted() => (key.public_key().clone(), None),
        Ok(key) => (key.public_key().clone(), Some(key)),
        // The older formats show the public part only when they are not encrypted.
        Err(_) => match decode_secret_key(&text, None) {
            Ok(key) => (key.public_key().clone(), Some(key)),
            Err(russh::keys::Error::KeyIsEncrypted) => {
                let mut name = path.as_os_str().to_os_string();
                name.push(".pub");
                let public = load_public_key(&name).map_err(|_| {
                    format!("it is encrypted in an old format and has no `.pub` file beside it; ssh-keygen -p -f {} converts it", path.display())
                })?;
                (public, None)
            }
            Err(_) => return Err("it is no private key that can be read".into()),
        },
    };
    Ok(KeyFile {
        path: path.to_path_buf(),
        public,
        text,
        secret: OnceCell::new_with(secret.map(|key| Ok(Arc::new(key)))),
    })
}
