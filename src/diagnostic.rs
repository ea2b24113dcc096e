//! A problem in what the operator wrote: what is wrong, where, and the way out.
//!
//! Everything that can be refused before the first connection is collected here, so that one run
//! reports all of it. A problem knows its place in the source and draws it with a caret.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A text that the operator wrote: a file, an option, a variable on the command line.
#[derive(Clone)]
pub struct Source(Arc<SourceText>);

struct SourceText {
    name: String,
    text: String,
}

impl Source {
    /// Names a text; `name` is what the operator would call it, usually a path.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self(Arc::new(SourceText {
            name: name.into(),
            text: text.into(),
        }))
    }

    /// The path or option that the text came from.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The place of a byte range in this text.
    pub fn place(&self, span: Range<usize>) -> Place {
        Place {
            source: self.clone(),
            span,
        }
    }

    /// Line and column (in characters) of a byte offset, both from 1.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let before = self.before(offset);
        let line = before.matches('\n').count() + 1;
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        (line, before[start..].chars().count() + 1)
    }

    fn before(&self, offset: usize) -> &str {
        let text = self.text();
        let mut end = offset.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        &text[..end]
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({})", self.name())
    }
}

/// A byte range in a source.
#[derive(Clone)]
pub struct Place {
    /// The text.
    pub source: Source,
    /// The bytes meant.
    pub span: Range<usize>,
}

impl Place {
    /// `file:line:column`, as editors and terminals understand it.
    pub fn line_column(&self) -> (usize, usize) {
        self.source.line_column(self.span.start)
    }

    /// A part of this place; `inner` counts from the place's own start.
    pub fn within(&self, inner: Range<usize>) -> Place {
        let start = (self.span.start + inner.start).min(self.span.end);
        let end = (self.span.start + inner.end).clamp(start, self.span.end.max(start));
        self.source.place(start..end)
    }

    /// The text at this place.
    pub fn text(&self) -> &str {
        self.source.text().get(self.span.clone()).unwrap_or("")
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.span == other.span && self.source.name() == other.source.name()
    }
}

impl Eq for Place {}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (line, column) = self.line_column();
        write!(f, "{}:{line}:{column}", self.source.name())
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// One problem: what, where, why, and the way out.
///
/// # Examples
///
/// ```
/// use runner::diagnostic::{Problem, Source};
/// let source = Source::new("play.toml", "hots = \"all\"\n");
/// let problem = Problem::new("unknown key `hots` in a play")
///     .at(source.place(0..4))
///     .help("did you mean `hosts`?");
/// assert_eq!(
///     problem.to_string(),
///     "error: unknown key `hots` in a play
///   --> play.toml:1:1
///    |
///  1 | hots = \"all\"
///    | ^^^^
///    = help: did you mean `hosts`?
/// "
/// );
/// ```
#[derive(Debug, Clone)]
pub struct Problem {
    /// What is wrong, in one line without a trailing period.
    pub message: String,
    /// Where, when it has a place.
    pub place: Option<Place>,
    /// A few words behind the caret: what was expected there.
    pub label: String,
    /// The way out, a line each.
    pub help: Vec<String>,
    /// A safety guard refused: the run ends with exit code 9.
    pub guard: bool,
}

impl Problem {
    /// A problem with no place yet.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            place: None,
            label: String::new(),
            help: Vec::new(),
            guard: false,
        }
    }

    /// Marks a refusal to do something that destroys what nobody named.
    pub fn guard(mut self) -> Self {
        self.guard = true;
        self
    }

    /// Sets the place, unless an inner one is known already.
    pub fn at(mut self, place: Place) -> Self {
        self.place.get_or_insert(place);
        self
    }

    /// Sets the words behind the caret.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds a line that names the way out.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Adds `did you mean ...?` if one of the known names is close.
    pub fn did_you_mean<'a>(self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match closest(name, known) {
            Some(near) => self.help(format!("did you mean `{near}`?")),
            None => self,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.message)?;
        let mut gutter = 2;
        if let Some(place) = &self.place {
            let (line, column) = place.line_column();
            gutter = line.to_string().len() + 1;
            writeln!(f, "{:gutter$}--> {place}", "")?;
            writeln!(f, "{:gutter$} |", "")?;
            let text = place.source.text().lines().nth(line - 1).unwrap_or("");
            let width = place.text().lines().next().unwrap_or("");
            let width = width.trim_end().chars().count().max(1);
            let cut = Cut::new(text.trim_end(), column - 1, width);
            writeln!(f, " {line} | {}", cut.text)?;
            let label = if self.label.is_empty() {
                String::new()
            } else {
                format!(" {}", self.label)
            };
            let (blank, carets) = (" ".repeat(cut.start), "^".repeat(cut.width));
            writeln!(f, "{:gutter$} | {blank}{carets}{label}", "")?;
        }
        for line in &self.help {
            writeln!(f, "{:gutter$} = help: {line}", "")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// Source lines longer than this are cut around the caret.
const LONGEST: usize = 200;

/// So much of a cut line is shown on each side of the caret.
const AROUND: usize = 60;

/// What of a source line is shown, and where the carets stand below it, in characters.
struct Cut {
    text: String,
    start: usize,
    width: usize,
}

impl Cut {
    fn new(line: &str, start: usize, width: usize) -> Self {
        // Tabs would move the carets: each is drawn as one blank.
        let characters = line.chars().map(|c| if c == '\t' { ' ' } else { c });
        let length = line.chars().count();
        if length <= LONGEST {
            return Self {
                text: characters.collect(),
                start,
                width,
            };
        }
        let width = width.min(AROUND);
        let (from, to) = (start.saturating_sub(AROUND), start + width + AROUND);
        let (before, after) = (from > 0, to < length);
        let mut text: String = characters.skip(from).take(to - from).collect();
        if before {
            text.insert_str(0, "...");
        }
        if after {
            text.push_str("...");
        }
        Self {
            text,
            start: start - from + if before { 3 } else { 0 },
            width,
        }
    }
}

/// Every problem of one look at the input.
#[derive(Debug, Default, Clone)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// No problem yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a problem; the same one at the same place is noted once.
    pub fn push(&mut self, problem: Problem) {
        let same = |known: &Problem| {
            known.message == problem.message
                && known.place.as_ref().map(|place| place.to_string())
                    == problem.place.as_ref().map(|place| place.to_string())
        };
        if !self.0.iter().any(same) {
            self.0.push(problem);
        }
    }

    /// Takes all problems of another look.
    pub fn extend(&mut self, other: Problems) {
        for problem in other.0 {
            self.push(problem);
        }
    }

    /// Keeps the value and notes the problem.
    pub fn note<T>(&mut self, result: Result<T, Problem>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(problem) => {
                self.push(problem);
                None
            }
        }
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// In the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }

    /// Puts them in the order in which one reads: file by file, from top to bottom.
    pub fn sort(&mut self) {
        let file = |problem: &Problem| {
            let place = problem.place.as_ref();
            place.map(|place| place.source.name().to_string())
        };
        let mut files = Vec::new();
        for problem in &self.0 {
            let name = file(problem);
            if !files.contains(&name) {
                files.push(name);
            }
        }
        self.0.sort_by_key(|problem| {
            let start = problem.place.as_ref().map_or(0, |place| place.span.start);
            let file = files.iter().position(|name| *name == file(problem));
            (file, start)
        });
    }

    /// The value if nothing is wrong, else the problems.
    pub fn or<T>(self, value: T) -> Result<T, Problems> {
        if self.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// The known name nearest to a misspelt one, if any is near enough to be meant.
pub fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= (name.chars().count().max(candidate.chars().count()) / 3).max(1)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Why a file operation failed, in the system's words but without its number.
pub fn cause(error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::InvalidData {
        return "it is not UTF-8 text".to_string();
    }
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = words.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => text,
    }
}
