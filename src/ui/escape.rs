//! What a host printed, made safe for a terminal.
//!
//! A host must not be able to move the cursor, set a title, hide text or reorder it. Control bytes, escape
//! sequences, bytes that are not UTF-8 and characters that are invisible or change the direction of text are
//! shown by their code: `\x1b`, `\u{202e}`.

use std::borrow::Cow;
use std::fmt::Write;

/// Columns between tab stops.
const TAB: usize = 8;

/// One line from a host. A tab becomes blanks up to the next multiple of eight columns.
pub fn escape(line: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(line) {
        Ok(text) => escape_str(text),
        Err(_) => {
            let mut out = String::with_capacity(line.len() + 16);
            for chunk in line.utf8_chunks() {
                push(&mut out, chunk.valid());
                for byte in chunk.invalid() {
                    let _ = write!(out, "\\x{byte:02x}");
                }
            }
            Cow::Owned(out)
        }
    }
}

/// One line of text whose origin may be a host: a message, a name that was rendered.
pub fn escape_str(text: &str) -> Cow<'_, str> {
    let clean = |byte: u8| (0x20..0x7f).contains(&byte);
    if text.bytes().all(clean) || text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    push(&mut out, text);
    Cow::Owned(out)
}

/// The lines of an output, each made safe. A carriage return before a line's end is dropped.
pub fn lines(output: &[u8]) -> impl DoubleEndedIterator<Item = Cow<'_, str>> {
    let output = output.strip_suffix(b"\n").unwrap_or(output);
    let mut lines: Vec<&[u8]> = Vec::new();
    if !output.is_empty() {
        lines.extend(output.split(|byte| *byte == b'\n'));
    }
    lines
        .into_iter()
        .map(|line| escape(line.strip_suffix(b"\r").unwrap_or(line)))
}

fn push(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '\t' => {
                let column = unicode_width::UnicodeWidthStr::width(out.as_str());
                out.extend(std::iter::repeat_n(' ', TAB - column % TAB));
            }
            _ if harmless(character) => out.push(character),
            '\0'..='\x7f' => {
                let _ = write!(out, "\\x{:02x}", u32::from(character));
            }
            _ => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
            }
        }
    }
}

/// Whether a character shows itself and changes nothing else on the screen.
fn harmless(character: char) -> bool {
    !character.is_control()
        && !matches!(
            character,
            '\u{ad}'                            // soft hyphen
            | '\u{61c}'                         // Arabic letter mark
            | '\u{180e}'                        // Mongolian vowel separator
            | '\u{200b}'..='\u{200f}'           // zero width, and marks of direction
            | '\u{2028}'..='\u{202e}'           // separators of lines, overrides of direction
            | '\u{2060}'..='\u{206f}'           // invisible operators, isolates
            | '\u{feff}'                        // byte order mark
            | '\u{fff9}'..='\u{fffb}'           // annotations
            | '\u{e0000}'..='\u{e007f}'         // tags
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn clean_text_is_not_copied() {
        assert!(matches!(escape(b"up 3 days"), Cow::Borrowed(_)));
        assert!(matches!(escape("größe 日本".as_bytes()), Cow::Borrowed(_)));
    }

    #[test]
    fn what_would_steer_the_terminal_is_shown_by_its_code() {
        assert_eq!(escape(b"\x1b[2Jgone"), "\\x1b[2Jgone");
        assert_eq!(escape(b"bell\x07 del\x7f"), "bell\\x07 del\\x7f");
        assert_eq!(escape(b"10%\r20%"), "10%\\x0d20%");
        assert_eq!(escape("a\u{202e}b".as_bytes()), "a\\u{202e}b");
        assert_eq!(escape("c1 \u{9b}31m".as_bytes()), "c1 \\u{9b}31m");
        assert_eq!(escape(b"\xff\xfeok"), "\\xff\\xfeok");
        assert_eq!(escape(b"cut \xe2\x82"), "cut \\xe2\\x82");
    }

    #[test]
    fn tabs_reach_the_next_stop() {
        assert_eq!(escape(b"a\tb"), "a       b");
        assert_eq!(escape(b"12345678\tb"), "12345678        b");
    }

    #[test]
    fn an_output_is_cut_into_lines() {
        let all = |output: &[u8]| lines(output).map(Cow::into_owned).collect::<Vec<_>>();
        assert_eq!(all(b""), Vec::<String>::new());
        assert_eq!(all(b"a\r\nb\n"), ["a", "b"]);
        assert_eq!(all(b"a\n\nb"), ["a", "", "b"]);
    }

    proptest! {
        #[test]
        fn no_control_character_ever_passes(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let shown = escape(&line);
            prop_assert!(shown.chars().all(harmless), "{shown:?}");
        }

        #[test]
        fn no_control_character_in_text_ever_passes(text in any::<String>()) {
            let shown = escape_str(&text);
            prop_assert!(shown.chars().all(|c| !c.is_control()), "{shown:?}");
        }
    }
}
