//! How OpenSSH takes a line apart: keyword, `=` or blanks, words with quotes, a comment.

use std::ops::Range;

/// A word and the bytes of the line that it was written with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The text without quotes and escapes.
    pub text: String,
    /// Where it stands in the line.
    pub span: Range<usize>,
}

/// A line that says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    /// The keyword as written.
    pub keyword: Word,
    /// Where the rest of the line stands, without blanks at both ends.
    pub rest: Range<usize>,
    /// The rest in words, without a comment.
    pub arguments: Vec<Word>,
}

/// Why a line can't be taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WordsError {
    /// Nothing follows the keyword.
    NoArgument(Word),
    /// A quote has no end.
    Quote(Range<usize>),
}

const BLANKS: [u8; 4] = [b' ', b'\t', b'\r', b'\n'];

/// Takes a line apart. `None` for blank lines and comments.
pub fn split(line: &str) -> Result<Option<Words>, WordsError> {
    let bytes = line.as_bytes();
    let blank_at_end = |byte: &u8| BLANKS.contains(byte) || *byte == 0x0c;
    let end = bytes
        .iter()
        .rposition(|byte| !blank_at_end(byte))
        .map_or(0, |at| at + 1);
    let line = &line[..end];
    let mut cursor = Cursor { line, at: 0 };
    let mut keyword = cursor.next_token();
    if keyword.as_ref().is_some_and(|word| word.text.is_empty()) {
        keyword = cursor.next_token();
    }
    let Some(keyword) = keyword else {
        return match line.find('"') {
            Some(at) => Err(WordsError::Quote(at..line.len())),
            None => Ok(None),
        };
    };
    if keyword.text.is_empty() || keyword.text.starts_with('#') {
        return Ok(None);
    }
    cursor.skip_blanks();
    let rest = cursor.at..line.len();
    if rest.is_empty() {
        return Err(WordsError::NoArgument(keyword));
    }
    let arguments = arguments(line, rest.start)?;
    Ok(Some(Words {
        keyword,
        rest,
        arguments,
    }))
}

/// The tokens of a text that is split at blanks and single `=`, as `Match` wants it.
pub fn tokens(text: &str) -> Result<Vec<Word>, Range<usize>> {
    let mut cursor = Cursor { line: text, at: 0 };
    let mut tokens = Vec::new();
    while cursor.at < text.len() {
        let start = cursor.at;
        match cursor.next_token() {
            Some(token) if token.text.is_empty() => return Ok(tokens),
            Some(token) => tokens.push(token),
            None => return Err(start..text.len()),
        }
    }
    Ok(tokens)
}

struct Cursor<'a> {
    line: &'a str,
    at: usize,
}

impl Cursor<'_> {
    /// The text up to a blank or `=`, or the end of a quoted part. `None` if a quote has no end, or nothing is left.
    fn next_token(&mut self) -> Option<Word> {
        let start = self.at;
        let rest = self.line.get(start..)?;
        if rest.is_empty() {
            return None;
        }
        let Some(length) = rest.find([' ', '\t', '\r', '\n', '"', '=']) else {
            self.at = self.line.len();
            return Some(Word {
                text: rest.to_string(),
                span: start..self.line.len(),
            });
        };
        let end = start + length;
        match self.line.as_bytes()[end] {
            b'"' => {
                let inner = &self.line[end + 1..];
                let closing = inner.find('"')?;
                let span = start..end + closing + 2;
                self.at = span.end;
                self.skip_blanks();
                Some(Word {
                    text: format!("{}{}", &rest[..length], &inner[..closing]),
                    span,
                })
            }
            delimiter => {
                self.at = end + 1;
                self.skip_blanks();
                // Only one `=` is passed over.
                if delimiter != b'=' && self.line.as_bytes().get(self.at) == Some(&b'=') {
                    self.at += 1;
                    self.skip_blanks();
                }
                Some(Word {
                    text: rest[..length].to_string(),
                    span: start..end,
                })
            }
        }
    }

    fn skip_blanks(&mut self) {
        while BLANKS.contains(self.line.as_bytes().get(self.at).unwrap_or(&0)) {
            self.at += 1;
        }
    }
}

/// Words behind the keyword: quotes of both kinds, backslash before quotes, backslash and blank, and a comment.
fn arguments(line: &str, from: usize) -> Result<Vec<Word>, WordsError> {
    let bytes = line.as_bytes();
    let mut words = Vec::new();
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b' ' | b'\t' => at += 1,
            b'#' => break,
            _ => {
                let word = argument(line, at)?;
                at = word.span.end;
                words.push(word);
            }
        }
    }
    Ok(words)
}

fn argument(line: &str, start: usize) -> Result<Word, WordsError> {
    let mut text = String::new();
    let mut quote = None;
    let mut chars = line[start..].char_indices().peekable();
    let mut end = line.len();
    while let Some((offset, c)) = chars.next() {
        match (c, quote) {
            ('\\', _) => {
                let escaped = chars.peek().map(|(_, next)| *next).filter(|next| {
                    matches!(next, '\'' | '"' | '\\') || (quote.is_none() && *next == ' ')
                });
                if escaped.is_some() {
                    chars.next();
                }
                text.push(escaped.unwrap_or('\\'));
            }
            (' ' | '\t', None) => {
                end = start + offset;
                break;
            }
            ('"' | '\'', None) => quote = Some((c, start + offset)),
            (c, Some((open, _))) if c == open => quote = None,
            (c, _) => text.push(c),
        }
    }
    match quote {
        Some((_, at)) => Err(WordsError::Quote(at..line.len())),
        None => Ok(Word {
            text,
            span: start..end,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<String> {
        let words = split(line).unwrap().unwrap();
        std::iter::once(words.keyword)
            .chain(words.arguments)
            .map(|word| word.text)
            .collect()
    }

    #[test]
    fn keywords_and_arguments() {
        assert_eq!(texts("Port 22"), ["Port", "22"]);
        assert_eq!(texts("  Port\t=  22 \r"), ["Port", "22"]);
        assert_eq!(texts("Port=22"), ["Port", "22"]);
        assert_eq!(texts("Host a 'b c' \"d\"e # f"), ["Host", "a", "b c", "de"]);
        assert_eq!(texts("Host a#b"), ["Host", "a#b"]);
        assert_eq!(
            texts(r#"File a\ b "c\"d" e\f"#),
            ["File", "a b", "c\"d", "e\\f"]
        );
        assert_eq!(texts("\"Port\" 22"), ["Port", "22"]);
    }

    #[test]
    fn lines_that_say_nothing_or_too_little() {
        for line in ["", "   ", "# Port 22", "  # x", "\r\n"] {
            assert_eq!(split(line), Ok(None), "{line:?}");
        }
        assert_eq!(
            split("Port "),
            Err(WordsError::NoArgument(Word {
                text: "Port".to_string(),
                span: 0..4
            }))
        );
        assert_eq!(split("User \"me"), Err(WordsError::Quote(5..8)));
        assert_eq!(split("User 'me"), Err(WordsError::Quote(5..8)));
    }
}
