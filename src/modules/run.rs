//! What `command`, `shell` and `script` share: the conditions under which they run, their folder and input.

use super::shell::{Unseen, print_bytes, quote};
use super::{Arg, Args, Changes, Failure, Found, Kind, Script};
use crate::diagnostic::Problem;

/// The argument `creates`.
pub const CREATES: Arg = Arg::new(
    "creates",
    Kind::String,
    "A path that the command makes. Where it exists, the command is not run.",
);
/// The argument `removes`.
pub const REMOVES: Arg = Arg::new(
    "removes",
    Kind::String,
    "A path that the command takes away. Where it is gone, the command is not run.",
);
/// The argument `unless`.
pub const UNLESS: Arg = Arg::new(
    "unless",
    Kind::String,
    "A shell text that only looks. Where it exits with 0, the command is not run.",
);
/// The argument `chdir`.
pub const CHDIR: Arg = Arg::new(
    "chdir",
    Kind::String,
    "The folder to run in. Relative paths count from it.",
)
.default("the login folder");
/// The argument `stdin`.
pub const STDIN: Arg = Arg::new("stdin", Kind::String, "A text for its standard input.")
    .default("nothing: end of file at once");

/// When, where and with what input something runs.
#[derive(Debug)]
pub struct Setting {
    creates: Option<String>,
    removes: Option<String>,
    unless: Option<Test>,
    chdir: Option<String>,
    stdin: Option<String>,
}

/// A text that only looks.
#[derive(Debug)]
struct Test {
    text: String,
    hidden: bool,
}

impl Setting {
    /// Takes the shared arguments.
    pub fn new(args: &Args) -> Result<Self, Problem> {
        Ok(Self {
            creates: args.string_opt("creates")?,
            removes: args.string_opt("removes")?,
            unless: args.string_opt("unless")?.map(|text| Test {
                hidden: args.local.hides(&text),
                text,
            }),
            chdir: args.string_opt("chdir")?,
            stdin: args.string_opt("stdin")?,
        })
    }

    /// Asks for all conditions at once; each that speaks against running prints its name.
    pub fn probe(&self) -> Option<Script> {
        let mut text = String::new();
        if let Some(path) = &self.creates {
            let path = self.path(path);
            text.push_str(&format!(
                "if [ -e {path} ] || [ -L {path} ]; then echo creates; fi\n"
            ));
        }
        if let Some(path) = &self.removes {
            let path = self.path(path);
            text.push_str(&format!(
                "if [ ! -e {path} ] && [ ! -L {path} ]; then echo removes; fi\n"
            ));
        }
        if let Some(test) = &self.unless {
            text.push_str(&format!(
                "if ( {}{} ) >/dev/null 2>&1; then echo unless; fi\n",
                self.enter("exit 1"),
                shell("sh", &test.text, test.hidden, None),
            ));
        }
        (!text.is_empty()).then(|| Script::new(text + "exit 0"))
    }

    /// The answers that speak against running: see [`Module::settled`](super::Module::settled).
    pub fn settled(&self) -> Option<String> {
        self.probe().map(|_| "[cru]*".to_string())
    }

    /// The change: a script, unless a condition speaks against it.
    pub fn changes(&self, found: &Found, script: Script) -> Result<Changes, Failure> {
        let said = found.stdout();
        let because = match said.lines().next() {
            None => return Ok(Changes::script(script, "")),
            Some("creates") => {
                format!("{} exists already", self.creates.as_deref().unwrap_or(""))
            }
            Some("removes") => {
                format!("{} is gone already", self.removes.as_deref().unwrap_or(""))
            }
            Some(_) => "`unless` holds already".to_string(),
        };
        Ok(Changes {
            because,
            ..Changes::none()
        })
    }

    /// The text that goes to the folder, or else ends with `otherwise`.
    pub fn enter(&self, otherwise: &str) -> String {
        match &self.chdir {
            None => String::new(),
            Some(folder) => format!("cd {} || {otherwise}\n", quote(&plain(folder))),
        }
    }

    /// The text before a command that feeds it its input. The exit code stays the command's.
    pub fn feed(&self) -> String {
        match &self.stdin {
            None => String::new(),
            // A command that does not read to the end is no reason for printf to complain.
            Some(text) => format!("{} 2>/dev/null | ", print_bytes(text.as_bytes())),
        }
    }

    /// The text that has a shell run a text with the input, in the place of the shell that reads it.
    pub fn shell(&self, executable: &str, text: &str, hidden: bool) -> String {
        let input = self.stdin.as_deref().map(str::as_bytes);
        match hidden {
            true => shell(executable, text, true, input),
            false => self.feed() + &shell(executable, text, false, None),
        }
    }

    fn path(&self, path: &str) -> String {
        match &self.chdir {
            Some(folder) if !path.starts_with('/') => {
                quote(&format!("{}/{path}", plain(folder).trim_end_matches('/')))
            }
            _ => quote(&plain(path)),
        }
    }
}

/// Has a shell run a text: as an argument, or so that nobody can read it.
fn shell(executable: &str, text: &str, hidden: bool, input: Option<&[u8]>) -> String {
    let executable = quote(executable);
    if !hidden {
        return format!("exec {executable} -c {}", quote(text));
    }
    let unseen = Unseen::new(text, input);
    format!(
        "{}exec {executable} -c {}",
        unseen.feed,
        quote(&unseen.script)
    )
}

/// A path that no command takes for an option, and `cd` not for an entry of CDPATH.
fn plain(path: &str) -> String {
    if path.starts_with('/') {
        path.to_string()
    } else {
        format!("./{path}")
    }
}
