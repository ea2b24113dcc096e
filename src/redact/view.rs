//! Views of a text: as it is, or with an encoding undone, each byte with the place that it came from.

use std::borrow::Cow;

/// Which encoding is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// None.
    Raw,
    /// Quotes inside of single quotes of a shell.
    Quoted,
    /// The same, and escapes with `\`, as JSON, TOML, Rust, C and `printf` have them.
    Escaped,
    /// `%41`, as in a URL.
    Percent,
    /// Base64 and hex over several lines: single line ends are left out.
    Joined,
}

/// A text with an encoding undone.
pub(super) struct Seen<'t> {
    pub bytes: Cow<'t, [u8]>,
    /// Where each byte comes from: its start and end. Empty for the text as it is.
    places: Vec<(u32, u32)>,
    /// From here on the text may mean something else once more of it is known.
    pub sure: usize,
}

impl View {
    /// Whether the text looks otherwise in this view than as it is.
    pub fn differs(self, text: &[u8]) -> bool {
        match self {
            View::Raw => false,
            View::Quoted => memchr::memchr(b'\'', text).is_some(),
            View::Escaped => memchr::memchr2(b'\\', b'\'', text).is_some(),
            View::Percent => memchr::memchr(b'%', text).is_some(),
            View::Joined => memchr::memchr(b'\n', text).is_some(),
        }
    }

    /// The text in this view. `last`: nothing follows.
    pub fn see(self, text: &[u8], last: bool) -> Seen<'_> {
        let mut seen = Seen {
            bytes: Cow::Borrowed(text),
            places: Vec::new(),
            sure: text.len(),
        };
        if self == View::Raw {
            return seen;
        }
        // A text is looked at in pieces that are much smaller than this.
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(text.len());
        seen.places.reserve(text.len());
        let mut at = 0;
        let mut joined = false;
        while let Some(first) = text.get(at) {
            let (token, length) = match self.token(&text[at..], joined) {
                Token::Bytes(token, count, length) => (Some((token, count)), length),
                Token::Open if !last => {
                    seen.sure = at;
                    break;
                }
                Token::Plain | Token::Open => (None, 1),
            };
            let plain = [*first];
            let token = match &token {
                Some((token, count)) => &token[..*count],
                None => &plain,
            };
            joined = token.is_empty();
            bytes.extend_from_slice(token);
            let places = token.iter().map(|_| (place(at), place(at + length)));
            seen.places.extend(places);
            at += length;
        }
        seen.bytes = Cow::Owned(bytes);
        seen
    }

    fn token(self, rest: &[u8], joined: bool) -> Token {
        match self {
            View::Raw => Token::Plain,
            View::Quoted => quote(rest),
            View::Escaped => escape(rest),
            View::Percent => percent(rest),
            View::Joined => line_end(rest, joined),
        }
    }
}

impl Seen<'_> {
    /// Where in the text a byte starts; its end for the one behind the last.
    pub fn start(&self, at: usize) -> usize {
        match &self.bytes {
            Cow::Borrowed(_) => at,
            Cow::Owned(_) => (self.places.get(at)).map_or(self.sure, |(start, _)| *start as usize),
        }
    }

    /// Where in the text the byte before this one ends.
    pub fn end(&self, at: usize) -> usize {
        match &self.bytes {
            Cow::Borrowed(_) => at,
            Cow::Owned(_) => {
                let before = at.checked_sub(1).and_then(|at| self.places.get(at));
                before.map_or(0, |(_, end)| *end as usize)
            }
        }
    }

    /// Whether this byte stands right behind the one before it in the text, too.
    pub fn adjoins(&self, at: usize) -> bool {
        at > 0 && self.end(at) == self.start(at)
    }

    /// The last place up to this one that does not stand inside of what means one byte.
    pub fn whole(&self, place: usize) -> usize {
        let at = (self.places).partition_point(|(start, _)| (*start as usize) < place);
        match at.checked_sub(1).and_then(|at| self.places.get(at)) {
            Some((start, end)) if *end as usize > place => *start as usize,
            _ => place,
        }
    }
}

/// What a text begins with.
enum Token {
    /// A byte that means itself.
    Plain,
    /// So many of these bytes, written in so many.
    Bytes([u8; 4], usize, usize),
    /// That is not seen yet.
    Open,
}

impl Token {
    fn byte(byte: u8, length: usize) -> Self {
        Token::Bytes([byte, 0, 0, 0], 1, length)
    }

    fn character(number: u32, length: usize) -> Self {
        let mut bytes = [0; 4];
        match char::from_u32(number) {
            Some(c) => {
                let count = c.encode_utf8(&mut bytes).len();
                Token::Bytes(bytes, count, length)
            }
            None => Token::Plain,
        }
    }
}

fn percent(rest: &[u8]) -> Token {
    if rest[0] != b'%' {
        return Token::Plain;
    }
    number(&rest[1..], 2, 2, 16).byte(1)
}

/// Leaves out one line end, but not a second one behind it.
fn line_end(rest: &[u8], joined: bool) -> Token {
    match rest {
        [b'\n', ..] if !joined => Token::Bytes([0; 4], 0, 1),
        [b'\r', b'\n', ..] if !joined => Token::Bytes([0; 4], 0, 2),
        [b'\r'] if !joined => Token::Open,
        _ => Token::Plain,
    }
}

/// Single quotes that end, a quote outside of them, and single quotes that begin again. While that is not seen in full,
/// it begins with a quote anyway.
fn quote(rest: &[u8]) -> Token {
    match rest {
        [b'\'', b'\\', b'\'', b'\'', ..] => Token::byte(b'\'', 4),
        [b'\'', b'"', b'\'', b'"', b'\'', ..] => Token::byte(b'\'', 5),
        [b'\'', b'\\'] | [b'\'', b'\\', b'\''] => Token::Open,
        [b'\'', b'"'] | [b'\'', b'"', b'\''] | [b'\'', b'"', b'\'', b'"'] => Token::Open,
        _ => Token::Plain,
    }
}

fn escape(rest: &[u8]) -> Token {
    if rest[0] != b'\\' {
        return quote(rest);
    }
    let Some(&letter) = rest.get(1) else {
        return Token::Open;
    };
    let simple = match letter {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'b' => 8,
        b'f' => 12,
        b'a' => 7,
        b'v' => 11,
        b'e' => 27,
        b'x' => return number(&rest[2..], 2, 2, 16).byte(2),
        b'u' if rest.get(2) == Some(&b'{') => return braced(rest),
        b'u' => return unicode(rest),
        b'U' => return number(&rest[2..], 8, 8, 16).character(2),
        // At most three digits behind a zero, or three without.
        b'0' => return number(&rest[2..], 0, 3, 8).byte(2),
        b'1'..=b'7' => return number(&rest[1..], 3, 3, 8).byte(1),
        other => other,
    };
    Token::byte(simple, 2)
}

/// `\u0041`, or two of them for one character.
fn unicode(rest: &[u8]) -> Token {
    match number(&rest[2..], 4, 4, 16) {
        Number::Of(high @ 0xd800..0xdc00, _) => match rest.get(6..8) {
            Some(b"\\u") => match number(&rest[8..], 4, 4, 16) {
                Number::Of(low @ 0xdc00..0xe000, _) => {
                    Token::character(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00), 12)
                }
                Number::Open => Token::Open,
                _ => Token::Plain,
            },
            None if b"\\u".starts_with(&rest[6..]) => Token::Open,
            _ => Token::Plain,
        },
        number => number.character(2),
    }
}

/// `\u{41}`.
fn braced(rest: &[u8]) -> Token {
    match number(&rest[3..], 1, 6, 16) {
        Number::Of(value, digits) => match rest.get(3 + digits) {
            Some(b'}') => Token::character(value, digits + 4),
            Some(_) => Token::Plain,
            None => Token::Open,
        },
        Number::Open => Token::Open,
        Number::None => Token::Plain,
    }
}

/// Digits at the start of a text.
enum Number {
    None,
    Open,
    /// The value, and how many digits.
    Of(u32, usize),
}

fn number(text: &[u8], least: usize, most: usize, base: u32) -> Number {
    let mut value = 0;
    let mut digits = 0;
    while digits < most {
        match text
            .get(digits)
            .map(|byte| char::from(*byte).to_digit(base))
        {
            Some(Some(digit)) => value = value * base + digit,
            None => return Number::Open,
            Some(None) => break,
        }
        digits += 1;
    }
    match digits >= least {
        true => Number::Of(value, digits),
        false => Number::None,
    }
}

impl Number {
    fn byte(self, before: usize) -> Token {
        match self {
            Number::Of(value, digits) => match u8::try_from(value) {
                Ok(byte) => Token::byte(byte, before + digits),
                Err(_) => Token::Plain,
            },
            Number::Open => Token::Open,
            Number::None => Token::Plain,
        }
    }

    fn character(self, before: usize) -> Token {
        match self {
            Number::Of(value, digits) => Token::character(value, before + digits),
            Number::Open => Token::Open,
            Number::None => Token::Plain,
        }
    }
}
