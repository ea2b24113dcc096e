//! The private folder in which runs and keepers meet.

use rustix::process::getuid;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};

/// What a keeper's socket is called: its process id and this.
const KEEPER: &str = "sock";

/// What the socket is called at which a worker reports to its front.
const FRONT: &str = "front";

/// After so long nobody waits at a front's socket any more.
const FRONT_AGE: Duration = Duration::from_secs(60);

/// A folder that only this user can enter.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// `$XDG_RUNTIME_DIR/runner`, or `/tmp/runner-UID` where there is no such variable or it is somebody else's.
    /// Made if it is missing.
    ///
    /// # Errors
    ///
    /// Why it can't be used: it is no folder, belongs to somebody else, or others can enter it.
    pub fn open() -> Result<Self, String> {
        let uid = getuid().as_raw();
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let own = |path: &PathBuf| {
            path.is_absolute()
                && std::fs::metadata(path).is_ok_and(|about| about.is_dir() && about.uid() == uid)
        };
        Self::at(match runtime.filter(own) {
            Some(runtime) => runtime.join("runner"),
            None => PathBuf::from(format!("/tmp/runner-{uid}")),
        })
    }

    fn at(path: PathBuf) -> Result<Self, String> {
        let refused = |why: &str| Err(format!("{} {why}", path.display()));
        match std::fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return refused(&format!("can't be made: {error}"));
            }
            _ => {}
        }
        // Of the name itself: somebody else's link must not lead us anywhere.
        match std::fs::symlink_metadata(&path) {
            Err(error) => refused(&format!("can't be looked at: {error}")),
            Ok(about) if !about.is_dir() => refused("is no folder"),
            Ok(about) if about.uid() != getuid().as_raw() => refused("belongs to another user"),
            Ok(about) if about.mode() & 0o077 != 0 => refused("can be entered by others"),
            Ok(_) => Ok(Self(path)),
        }
    }

    /// The sockets of all keepers. What fronts have left behind is removed on the way.
    pub(super) fn keepers(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(&self.0) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for path in entries.flatten().map(|entry| entry.path()) {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(KEEPER) => found.push(path),
                Some(FRONT) if old(&path) => {
                    let _ = std::fs::remove_file(&path);
                }
                _ => {}
            }
        }
        found.sort();
        found
    }

    /// A socket for a worker to report to this process.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn front(&self) -> io::Result<Socket> {
        let path = self.0.join(format!("{}.{FRONT}", std::process::id()));
        // From a process that had the same number and was killed.
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path)?;
        Ok(Socket { listener, path })
    }

    /// This process's socket as a keeper.
    pub(super) fn keeper(&self) -> io::Result<Socket> {
        let id = std::process::id();
        let path = self.0.join(format!("{id}.{KEEPER}"));
        let new = self.0.join(format!("{id}.new"));
        let _ = std::fs::remove_file(&new);
        // Under its name there is never a socket that does not listen yet, which would count as stale.
        let listener = UnixListener::bind(&new)?;
        std::fs::rename(&new, &path)?;
        Ok(Socket { listener, path })
    }
}

fn old(path: &Path) -> bool {
    let age = std::fs::symlink_metadata(path)
        .and_then(|about| about.modified())
        .map(|made| made.elapsed().unwrap_or_default());
    age.is_ok_and(|age| age > FRONT_AGE)
}

/// A socket in the folder, gone with this value.
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Waits for somebody of this user.
    ///
    /// # Errors
    ///
    /// The system's, such as too many open files.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.listener.accept().await?;
            if is_ours(&stream) {
                return Ok(stream);
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Connects to a socket of this user. A stale one is removed.
///
/// # Errors
///
/// The system's, or another user at the other end.
pub async fn connect(path: &Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) if is_ours(&stream) => return Ok(stream),
            Ok(_) => return Err(io::ErrorKind::PermissionDenied.into()),
            // So many are asking at once that the queue is full.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            Err(error) => {
                if error.kind() == io::ErrorKind::ConnectionRefused {
                    let _ = std::fs::remove_file(path);
                }
                return Err(error);
            }
        }
    }
}

fn is_ours(stream: &UnixStream) -> bool {
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == getuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn only_a_folder_of_ours_alone_is_taken() {
        let place = tempfile::tempdir().unwrap();
        let at = |name: &str| place.path().join(name);
        let refusal = |name: &str| Folder::at(at(name)).unwrap_err();
        assert!(Folder::at(at("new")).is_ok());
        assert!(Folder::at(at("new")).is_ok());
        std::fs::set_permissions(at("new"), std::fs::Permissions::from_mode(0o750)).unwrap();
        assert!(refusal("new").ends_with("/new can be entered by others"));
        std::fs::set_permissions(at("new"), std::fs::Permissions::from_mode(0o700)).unwrap();
        symlink(at("new"), at("link")).unwrap();
        assert!(refusal("link").ends_with("/link is no folder"));
        std::fs::write(at("file"), "").unwrap();
        assert!(refusal("file").ends_with("/file is no folder"));
        assert!(refusal("none/below").contains("can't be made"));
    }

    #[tokio::test]
    async fn a_stale_socket_is_removed_by_who_meets_it() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::at(place.path().join("new")).unwrap();
        let path = place.path().join("new/1.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert_eq!(folder.keepers(), std::slice::from_ref(&path));
        let error = connect(&path).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(folder.keepers().is_empty());
    }

    #[tokio::test]
    async fn a_socket_goes_with_its_owner() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::at(place.path().join("new")).unwrap();
        let socket = folder.keeper().unwrap();
        let (asking, answering) = tokio::join!(connect(socket.path()), socket.accept());
        asking.unwrap();
        answering.unwrap();
        drop(socket);
        assert_eq!(
            std::fs::read_dir(place.path().join("new")).unwrap().count(),
            0
        );
    }
}
