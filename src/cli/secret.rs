//! `runner secret`: files of secrets.

use super::secrets::{self, Operator};
use super::{Answer, Refusal, editor, hidden, print};
use crate::diagnostic::{Problem, Problems, cause};
use crate::exit;
use crate::secret::sealed::{self, Lock, Opened};
use crate::secret::{Ask, Identities};
use crate::ui::words::Count;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Make and change files of secrets, which are TOML encrypted with age
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Edit a file of secrets with $VISUAL or $EDITOR; makes it if it is not there
    Edit(Edit),
    /// Print your public key, by which others can encrypt for you; makes a key if you have none
    Key(Key),
}

#[derive(Debug, clap::Args)]
struct Key {
    /// Your key; can be repeated
    #[arg(long, value_name = "FILE", env = "RUNNER_AGE_IDENTITY")]
    age_identity: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Edit {
    /// The encrypted file, such as secrets.toml.age
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Key that a new file is encrypted for; can be repeated. By default your own
    #[arg(short, long, value_name = "AGE1...")]
    recipient: Vec<String>,
    /// Encrypt a new file with a passphrase instead
    #[arg(long, conflicts_with = "recipient")]
    passphrase: bool,
    /// Your key; can be repeated
    #[arg(long, value_name = "FILE", env = "RUNNER_AGE_IDENTITY")]
    age_identity: Vec<PathBuf>,
}

pub(super) fn run(options: &Options) -> Answer {
    match &options.command {
        Command::Edit(options) => edit(options),
        Command::Key(options) => key(options),
    }
}

fn key(options: &Key) -> Answer {
    let identities = secrets::identities(&options.age_identity);
    let own = match identities.is_there() {
        true => identities.load(hidden::redactor(), &Operator)?,
        false => {
            let (path, made) = identities.make()?;
            let path = path.display();
            writeln!(
                std::io::stderr(),
                "a new key is in {path}: keep a copy, nothing else reads what is encrypted for it"
            )
            .ok();
            vec![made]
        }
    };
    let own = own.iter().map(|own| format!("{}\n", own.to_public()));
    print(&own.collect::<String>())
}

fn edit(options: &Edit) -> Answer {
    let identities = secrets::identities(&options.age_identity);
    // What a link leads to is replaced, and not the link.
    let path = match std::fs::canonicalize(&options.file) {
        Ok(path) => path,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => options.file.clone(),
        Err(error) => {
            let text = format!("cannot read {}: {}", options.file.display(), cause(&error));
            return Err(Problem::new(text).into());
        }
    };
    let before = match path.exists() {
        true => Some(sealed::open(
            &path,
            &identities,
            hidden::redactor(),
            &Operator,
        )?),
        false => None,
    };
    let page = Page {
        shown: options.file.display().to_string(),
        lock: lock(options, before.as_ref(), &identities)?,
        armored: before.as_ref().is_none_or(|before| before.armored),
        identities,
        path,
    };
    let text = match &before {
        Some(before) if sealed::recipients(&before.text)?.is_empty() => {
            page.comments() + &before.text
        }
        Some(before) => before.text.clone(),
        None => page.comments() + "# name = \"value\"\n",
    };
    page.edit(&text, before.is_none())
}

/// For whom the file is to be encrypted, unless the text says otherwise.
fn lock(
    options: &Edit,
    before: Option<&Opened>,
    identities: &Identities,
) -> Result<Lock, Problems> {
    let file = options.file.display();
    let mut problems = Problems::new();
    let mut named = Vec::new();
    for text in &options.recipient {
        named.extend(problems.note(sealed::recipient(text)));
    }
    problems.or(())?;
    match before {
        Some(Opened {
            passphrase: Some(passphrase),
            ..
        }) => match named.is_empty() && !options.passphrase {
            true => Ok(Lock::Passphrase(passphrase.clone())),
            false => Err(Problem::new(format!(
                "{file} is encrypted with a passphrase, and stays so"
            ))
            .help("--recipient and --passphrase are for new files")
            .into()),
        },
        Some(before) => match (sealed::recipients(&before.text)?, named) {
            (inside, named) if named.is_empty() && !options.passphrase && !inside.is_empty() => {
                Ok(Lock::Keys(inside))
            }
            (inside, named) if inside.is_empty() && !named.is_empty() => Ok(Lock::Keys(named)),
            (inside, _) if inside.is_empty() => Err(Problem::new(format!(
                "{file} does not say for whom it is encrypted"
            ))
            .help("name every key that shall read it: --recipient age1...; the file will keep them")
            .into()),
            _ => Err(
                Problem::new(format!("{file} says itself for whom it is encrypted"))
                    .help("each line `# recipient: age1...` in it names a key: edit these")
                    .into(),
            ),
        },
        None if options.passphrase => Ok(Lock::Passphrase(new_passphrase(&options.file)?)),
        None if !named.is_empty() => Ok(Lock::Keys(named)),
        None => {
            let own = identities.load(hidden::redactor(), &Operator)?;
            if own.is_empty() {
                let none = Problem::new(format!("there is no key to encrypt {file} for"));
                return Err(identities
                    .help(none)
                    .help("or make one with `runner secret key`, name keys with --recipient, or take --passphrase")
                    .into());
            }
            Ok(Lock::Keys(own.iter().map(|own| own.to_public()).collect()))
        }
    }
}

fn new_passphrase(file: &Path) -> Result<String, Problem> {
    let file = file.display();
    let ask = |question: String| {
        (Operator.ask(&question))
            .map_err(|why| Problem::new(format!("cannot ask for the passphrase of {file}: {why}")))
    };
    let passphrase = ask(format!("New passphrase for {file}: "))?;
    if passphrase.is_empty() {
        return Err(Problem::new("the passphrase is empty"));
    }
    match ask("The same again: ".to_string())? == passphrase {
        true => Ok(passphrase),
        false => Err(Problem::new("the two passphrases differ")),
    }
}

/// A file that is being edited.
struct Page {
    path: PathBuf,
    /// As the operator named it.
    shown: String,
    lock: Lock,
    armored: bool,
    identities: Identities,
}

impl Page {
    fn comments(&self) -> String {
        match &self.lock {
            Lock::Keys(keys) => sealed::comments(keys),
            Lock::Passphrase(_) => String::new(),
        }
    }

    /// Has a text edited until it is right, and puts it into the file.
    fn edit(&self, text: &str, new: bool) -> Answer {
        let mut desk = editor::Desk::new(&self.path)?;
        let mut edited = text.to_string();
        loop {
            edited = match desk.edit(&edited)? {
                editor::End::Written(edited) => edited,
                editor::End::Stopped(code) => return Ok(code),
            };
            if edited == text {
                return print(&match new {
                    true => format!("nothing was written, so there is no {}\n", self.shown),
                    false => format!("{} is unchanged\n", self.shown),
                });
            }
            let problems = match self.keep(&edited) {
                Ok(how) => return print(&format!("{}: {how}\n", self.shown)),
                Err(problems) => problems,
            };
            match desk.ask_again(&problems) {
                editor::Again::Yes => {}
                editor::Again::No => {
                    return Err(Refusal {
                        problems: Problem::new(format!("{} is as it was before", self.shown))
                            .into(),
                        code: exit::BAD_INPUT,
                    });
                }
                editor::Again::Nobody => {
                    let mut problems = problems;
                    problems.push(Problem::new(format!("{} is as it was before", self.shown)));
                    return Err(problems.into());
                }
                editor::Again::Stopped(code) => return Ok(code),
            }
        }
    }

    /// Checks a text, encrypts it and puts it in place of the file; answers how it was encrypted.
    fn keep(&self, text: &str) -> Result<String, Problems> {
        sealed::parse(Path::new(&self.shown), text)?;
        let (lock, how) = match &self.lock {
            Lock::Passphrase(_) => (
                self.lock.clone(),
                "encrypted with the passphrase".to_string(),
            ),
            Lock::Keys(_) => {
                let keys = sealed::recipients(text)?;
                let own = self.identities.load(hidden::redactor(), &Operator)?;
                if keys.is_empty() {
                    return Err(Problem::new("the text names no key to encrypt it for")
                        .help("a line `# recipient: age1...` names one")
                        .into());
                }
                if !own.is_empty() && !sealed::reads(&own, &keys) {
                    return Err(Problem::new("none of the keys that the text names is yours: you could not read it again")
                        .help(format!("add the line `# recipient: {}`", own[0].to_public()))
                        .into());
                }
                let how = format!("encrypted for {}", Count(keys.len(), "key"));
                (Lock::Keys(keys), how)
            }
        };
        let bytes = sealed::seal(text, &lock, self.armored)?;
        self.replace(&bytes).map_err(|error| {
            Problem::new(format!("cannot write {}: {}", self.shown, cause(&error)))
        })?;
        Ok(how)
    }

    /// Puts bytes in place of the file, in one step.
    fn replace(&self, bytes: &[u8]) -> std::io::Result<()> {
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut file = tempfile::Builder::new()
            .prefix(".runner-")
            .tempfile_in(folder)?;
        file.write_all(bytes)?;
        if let Ok(before) = std::fs::metadata(&self.path) {
            let mode = before.permissions().mode() & 0o7777;
            file.as_file()
                .set_permissions(std::fs::Permissions::from_mode(mode))?;
        }
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        std::fs::File::open(folder)?.sync_all()
    }
}
