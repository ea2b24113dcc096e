//! Configuration files as lines, with what they include.

use super::environment::Environment;
use super::glob::glob;
use super::keywords::{self, Keyword};
use super::words::{self, Word, WordsError};
use crate::diagnostic::{Place, Problem, Source};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How deep files may include each other, as in OpenSSH.
const DEEPEST: usize = 16;

/// How many files are read at most: files that include each other twice would make it 65,536.
const MOST_FILES: usize = 1000;

/// A file.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// Whether it is the user's own, and not that of everyone on this machine.
    pub of_user: bool,
    /// Its lines, without those that say nothing.
    pub lines: Vec<Line>,
}

/// A line that says something.
#[derive(Debug, Clone)]
pub struct Line {
    /// The file's text.
    source: Source,
    /// Where the line starts in it.
    offset: usize,
    /// The keyword as written.
    pub keyword: Word,
    /// What it means; `None` if nobody knows it.
    pub meaning: Option<Keyword>,
    /// All that follows, with quotes and comments.
    pub rest: Word,
    /// What follows, in words.
    pub arguments: Vec<Word>,
    /// The files that it includes.
    pub included: Vec<ConfigFile>,
}

impl Line {
    /// Where a word of this line stands.
    pub fn place(&self, word: &Word) -> Place {
        let span = &word.span;
        self.source
            .place(self.offset + span.start..self.offset + span.end)
    }

    /// The only argument.
    ///
    /// # Errors
    ///
    /// None, an empty one, or more than one.
    pub fn argument(&self) -> Result<&Word, Problem> {
        match self.arguments.as_slice() {
            [word] if !word.text.is_empty() => Ok(word),
            [_, more, ..] => Err(Problem::new(format!(
                "`{}` takes one argument",
                self.keyword.text
            ))
            .at(self.place(more))
            .help("quote a value with blanks in it")),
            _ => Err(
                Problem::new(format!("`{}` has no argument", self.keyword.text))
                    .at(self.place(&self.keyword)),
            ),
        }
    }
}

/// Reads files, and counts them.
pub struct Reader<'a> {
    environment: &'a Environment,
    /// Whether owner and permissions of the files matter.
    checked: bool,
    of_user: bool,
    count: usize,
}

impl<'a> Reader<'a> {
    /// Reads the file that the user named.
    pub fn of_named_file(environment: &'a Environment) -> Self {
        Self {
            environment,
            checked: false,
            of_user: true,
            count: 0,
        }
    }

    /// Reads `~/.ssh/config`, which nobody else may be able to change.
    pub fn of_user_file(environment: &'a Environment) -> Self {
        Self {
            checked: true,
            ..Self::of_named_file(environment)
        }
    }

    /// Reads the configuration for everyone on the machine.
    pub fn of_system_file(environment: &'a Environment) -> Self {
        Self {
            of_user: false,
            ..Self::of_named_file(environment)
        }
    }

    /// Reads a file and all that it includes. `None` if it does not exist.
    ///
    /// # Errors
    ///
    /// A file that can't be read or that others can change, a line that can't be taken apart.
    pub fn read(&mut self, path: &Path) -> Result<Option<ConfigFile>, Problem> {
        self.read_at(path, 0)
    }

    fn read_at(&mut self, path: &Path, depth: usize) -> Result<Option<ConfigFile>, Problem> {
        let name = path.display();
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // To OpenSSH an included folder is an empty file.
            Err(error) if error.kind() == io::ErrorKind::IsADirectory && depth > 0 => {
                return Ok(None);
            }
            Err(error) => {
                return Err(Problem::new(format!(
                    "can't read the SSH configuration {name}: {}",
                    crate::diagnostic::cause(&error)
                )));
            }
        };
        self.count += 1;
        if self.count > MOST_FILES {
            return Err(Problem::new(format!(
                "the SSH configuration includes more than {MOST_FILES} files"
            ))
            .help("look for files that include each other"));
        }
        self.check(path)?;
        let source = Source::new(name.to_string(), String::from_utf8_lossy(&bytes));
        let mut lines = Vec::new();
        let mut offset = 0;
        for text in source.text().split_inclusive('\n') {
            lines.extend(self.line(&source, offset, text, depth)?);
            offset += text.len();
        }
        Ok(Some(ConfigFile {
            of_user: self.of_user,
            lines,
        }))
    }

    fn check(&self, path: &Path) -> Result<(), Problem> {
        if !self.checked {
            return Ok(());
        }
        let Ok(metadata) = std::fs::metadata(path) else {
            return Ok(());
        };
        let name = path.display();
        let owned = [0, self.environment.uid].contains(&metadata.uid());
        if !owned {
            return Err(Problem::new(format!(
                "the SSH configuration {name} belongs to somebody else"
            ))
            .help(format!(
                "OpenSSH refuses it too: chown {} {name}",
                self.environment.user
            )));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(Problem::new(format!(
                "the SSH configuration {name} can be changed by others"
            ))
            .help(format!("OpenSSH refuses it too: chmod go-w {name}")));
        }
        Ok(())
    }

    fn line(
        &mut self,
        source: &Source,
        offset: usize,
        text: &str,
        depth: usize,
    ) -> Result<Option<Line>, Problem> {
        let place =
            |span: std::ops::Range<usize>| source.place(offset + span.start..offset + span.end);
        let words = match words::split(text) {
            Ok(Some(words)) => words,
            Ok(None) => return Ok(None),
            Err(WordsError::NoArgument(keyword)) => {
                return Err(Problem::new(format!("`{}` has no argument", keyword.text))
                    .at(place(keyword.span)));
            }
            Err(WordsError::Quote(span)) => {
                return Err(Problem::new("the quote has no end").at(place(span)));
            }
        };
        let mut line = Line {
            source: source.clone(),
            offset,
            meaning: keywords::find(&words.keyword.text),
            keyword: words.keyword,
            rest: Word {
                text: text[words.rest.clone()].to_string(),
                span: words.rest,
            },
            arguments: words.arguments,
            included: Vec::new(),
        };
        if line.meaning == Some(Keyword::Include) {
            line.included = self.include(&line, depth)?;
        }
        Ok(Some(line))
    }

    fn include(&mut self, line: &Line, depth: usize) -> Result<Vec<ConfigFile>, Problem> {
        let mut files = Vec::new();
        for pattern in &line.arguments {
            let at = |problem: Problem| problem.at(line.place(pattern));
            if pattern.text.is_empty() {
                return Err(at(Problem::new("the path to include is empty")));
            }
            for path in glob(&self.pattern(&pattern.text).map_err(at)?) {
                if depth == DEEPEST {
                    return Err(at(Problem::new(format!(
                        "files include each other more than {DEEPEST} deep"
                    ))));
                }
                files.extend(self.read_at(&path, depth + 1)?);
            }
        }
        Ok(files)
    }

    /// The pattern with home folder and the folder that relative paths start in.
    fn pattern(&self, text: &str) -> Result<PathBuf, Problem> {
        if text.starts_with('~') {
            if !self.of_user {
                return Err(Problem::new(
                    "the configuration for everyone can't include from a home folder",
                ));
            }
            let path = self.environment.expand_tilde(text);
            return path
                .map(PathBuf::from)
                .ok_or_else(|| Problem::new(format!("nobody has the home folder of `{text}`")));
        }
        Ok(if self.of_user {
            self.environment.user_folder().join(text)
        } else {
            self.environment.system_folder.join(text)
        })
    }
}
