//! A whole output, in memory or not, read in pieces: so it is shown without being held.

use super::escape::escape;
use crate::diagnostic::cause;
use crate::spool::Rest;
use std::fmt;
use std::io::{BufRead, BufReader, Read};

/// A longer line is shown in pieces of this many bytes.
const PIECE: usize = 64 * 1024;

/// What a command said on one stream.
#[derive(Clone, Copy)]
pub(super) struct Said<'a> {
    pub start: &'a [u8],
    pub rest: &'a Rest,
}

impl Said<'_> {
    fn reader(&self) -> impl BufRead + '_ {
        BufReader::with_capacity(PIECE, self.start.chain(self.rest.reader()))
    }

    /// Writes its lines, each made safe and with a text before it. Blanks at a line's end are left out, unless it is long.
    pub(super) fn lines(&self, before: &str, write: &mut dyn FnMut(&str)) {
        let mut reader = self.reader();
        let mut line = Vec::new();
        // Whether the line goes on that was written last.
        let mut goes_on = false;
        loop {
            match (&mut reader)
                .take((PIECE - line.len()) as u64)
                .read_until(b'\n', &mut line)
            {
                Ok(0) if line.is_empty() => break,
                Ok(_) => {}
                Err(error) => {
                    let cause = cause(&error);
                    write(&format!(
                        "{before}(what follows can't be read back: {cause})\n"
                    ));
                    return;
                }
            }
            let begin = if goes_on { "" } else { before };
            if line.len() < PIECE || line.ends_with(b"\n") {
                let whole = line.strip_suffix(b"\n").unwrap_or(&line);
                let whole = whole.strip_suffix(b"\r").unwrap_or(whole);
                let text = format!("{begin}{}", escape(whole));
                write(text.trim_end());
                write("\n");
                line.clear();
                goes_on = false;
            } else {
                let late = line.split_off(line.len() - unfinished(&line));
                write(&format!("{begin}{}", escape(&line)));
                line = late;
                goes_on = true;
            }
        }
        if goes_on {
            write("\n");
        }
    }

    /// Reads it as text, in pieces. False: it is none, which may show late.
    fn text(&self, mut each: impl FnMut(&str) -> fmt::Result) -> Result<bool, fmt::Error> {
        let mut reader = self.reader();
        let mut piece = Vec::new();
        loop {
            let room = (PIECE - piece.len()) as u64;
            let read = (&mut reader).take(room).read_to_end(&mut piece);
            if read.map_err(|_| fmt::Error)? == 0 {
                return Ok(piece.is_empty());
            }
            let late = match std::str::from_utf8(&piece) {
                Ok(_) => 0,
                Err(error) if error.error_len().is_none() => piece.len() - error.valid_up_to(),
                Err(_) => return Ok(false),
            };
            let late = piece.split_off(piece.len() - late);
            each(std::str::from_utf8(&piece).map_err(|_| fmt::Error)?)?;
            piece = late;
        }
    }

    /// Whether it is UTF-8.
    pub(super) fn is_text(&self) -> bool {
        match self.rest.is_empty() {
            true => std::str::from_utf8(self.start).is_ok(),
            false => self.text(|_| Ok(())).unwrap_or(false),
        }
    }
}

/// So much at the end of a piece belongs to what follows: half of a character, or of a line's end.
fn unfinished(piece: &[u8]) -> usize {
    if piece.ends_with(b"\r") {
        return 1;
    }
    let last = piece.utf8_chunks().last();
    let half = last.map_or(&[][..], |chunk| chunk.invalid());
    match std::str::from_utf8(half) {
        Err(error) if error.error_len().is_none() => half.len(),
        _ => 0,
    }
}

/// An output as text: it has to be one.
pub(super) struct Text<'a>(pub Said<'a>);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.text(|piece| f.write_str(piece))?;
        Ok(())
    }
}

/// Any output, in base64.
pub(super) struct Base64<'a>(pub Said<'a>);

impl fmt::Display for Base64<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use base64::Engine;
        use base64::engine::general_purpose::STANDARD;
        let mut reader = self.0.reader();
        let mut piece = Vec::new();
        loop {
            piece.clear();
            // Three bytes are four characters.
            let read = (&mut reader).take(3 * PIECE as u64).read_to_end(&mut piece);
            if read.map_err(|_| fmt::Error)? == 0 {
                return Ok(());
            }
            f.write_str(&STANDARD.encode(&piece))?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::Spool;
    use proptest::prelude::*;

    fn rest(bytes: &[u8]) -> Rest {
        let mut spool = Spool::new().unwrap();
        spool.append(bytes).unwrap();
        Rest::new(Some(spool), None)
    }

    fn lines(start: &[u8], rest: &Rest) -> String {
        let mut all = String::new();
        Said { start, rest }.lines("h  ", &mut |text| all.push_str(text));
        all
    }

    #[test]
    fn lines_are_the_same_wherever_an_output_is_cut() {
        let text = "one\r\n\n  two \ngr\u{f6}\u{df}e \u{1b}[2J";
        let expected = "h  one\nh\nh    two\nh  gr\u{f6}\u{df}e \\x1b[2J\n";
        for at in 0..=text.len() {
            let (start, end) = text.as_bytes().split_at(at);
            assert_eq!(lines(start, &rest(end)), expected, "{at}");
        }
    }

    #[test]
    fn a_long_line_is_one_line() {
        for (blanks, end) in [(0, "\n"), (1, "\r\n"), (2, ""), (3, "\nx")] {
            // The pieces end inside of characters.
            let long = " ".repeat(blanks) + &"\u{20ac}".repeat(PIECE);
            let mut expected = format!("h  {long}\n");
            if end.ends_with('x') {
                expected.push_str("h  x\n");
            }
            let text = long + end;
            assert!(lines(&text.as_bytes()[..7], &rest(&text.as_bytes()[7..])) == expected);
        }
        let exact = "x".repeat(PIECE);
        assert!(lines(b"", &rest(exact.as_bytes())) == format!("h  {exact}\n"));
        let almost = "x".repeat(PIECE - 1) + "\r\ny";
        assert!(lines(b"", &rest(almost.as_bytes())) == format!("h  {}\nh  y\n", &exact[1..]));
    }

    #[test]
    fn half_a_character_at_the_end_is_no_text() {
        let half = rest(b"\xe2\x82");
        assert!(
            !Said {
                start: b"x",
                rest: &half
            }
            .is_text()
        );
        let whole = rest(b"\x82\xac");
        assert!(
            Said {
                start: b"x\xe2",
                rest: &whole
            }
            .is_text()
        );
    }

    proptest! {
        #[test]
        fn bytes_come_back(start in proptest::collection::vec(any::<u8>(), 0..9), end in proptest::collection::vec(any::<u8>(), 0..9)) {
            use base64::Engine;
            let rest = rest(&end);
            let said = Said { start: &start, rest: &rest };
            let whole = [start.clone(), end].concat();
            prop_assert_eq!(said.is_text(), std::str::from_utf8(&whole).is_ok());
            if said.is_text() {
                prop_assert_eq!(Text(said).to_string().into_bytes(), whole.clone());
            }
            let decoded = base64::engine::general_purpose::STANDARD.decode(Base64(said).to_string());
            prop_assert_eq!(decoded.unwrap(), whole);
        }
    }
}
