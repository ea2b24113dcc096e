//! What the configuration takes from the machine and the user that it is read on.

use rustix::process::getuid;
use rustix::system::uname;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The local user and machine.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// The home folder, from `HOME`.
    pub home: PathBuf,
    /// The login name.
    pub user: String,
    /// The user's number.
    pub uid: u32,
    /// The machine's name.
    pub host_name: String,
    /// Where the configuration for everyone on this machine is.
    pub system_folder: PathBuf,
    /// The environment variables.
    pub variables: HashMap<String, String>,
}

/// A line of `/etc/passwd`.
struct Account {
    name: String,
    uid: u32,
    home: PathBuf,
}

impl Environment {
    /// The environment of this process.
    pub fn current() -> Self {
        let variables: HashMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let uid = getuid().as_raw();
        let account = accounts().into_iter().find(|account| account.uid == uid);
        let variable = |name: &str| variables.get(name).filter(|value| !value.is_empty());
        // Accounts from a directory service are not in the file.
        let user = match &account {
            Some(account) => account.name.clone(),
            None => variable("LOGNAME")
                .or_else(|| variable("USER"))
                .cloned()
                .unwrap_or_default(),
        };
        let home = match variable("HOME") {
            Some(home) => PathBuf::from(home),
            None => account.map(|account| account.home).unwrap_or_default(),
        };
        Self {
            home,
            user,
            uid,
            host_name: uname().nodename().to_string_lossy().into_owned(),
            system_folder: PathBuf::from("/etc/ssh"),
            variables,
        }
    }

    /// A path with `~` and `~user` replaced by the home folders. `None` for a user that nobody knows.
    pub fn expand_tilde(&self, path: &str) -> Option<String> {
        let Some(rest) = path.strip_prefix('~') else {
            return Some(path.to_string());
        };
        let (user, rest) = match rest.split_once('/') {
            Some((user, rest)) => (user, Some(rest)),
            None => (rest, None),
        };
        let home = if user.is_empty() {
            self.home.clone()
        } else {
            let mut accounts = accounts().into_iter();
            accounts.find(|account| account.name == user)?.home
        };
        let home = home.to_string_lossy().into_owned();
        Some(match rest {
            Some(rest) => format!("{}/{rest}", home.trim_end_matches('/')),
            None => home,
        })
    }

    /// The folder `~/.ssh`.
    pub fn user_folder(&self) -> PathBuf {
        self.home.join(".ssh")
    }
}

fn accounts() -> Vec<Account> {
    let text = std::fs::read(Path::new("/etc/passwd")).unwrap_or_default();
    String::from_utf8_lossy(&text)
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            Some(Account {
                name: fields.next()?.to_string(),
                uid: fields.nth(1)?.parse().ok()?,
                home: PathBuf::from(fields.nth(2)?),
            })
        })
        .collect()
}
