//! What a host prints never steers the terminal, and what is clean is left as it is.

#![no_main]

use libfuzzer_sys::fuzz_target;
use runner::ui::escape::{escape, escape_str, lines};

fn steers(text: &str) -> bool {
    text.chars().any(|c| {
        c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    })
}

fuzz_target!(|input: &[u8]| {
    let shown = escape(input);
    assert!(!steers(&shown), "{shown:?}");
    assert_eq!(
        escape(shown.as_bytes()),
        shown,
        "what is safe is left alone"
    );
    for line in lines(input) {
        assert!(!steers(&line), "{line:?}");
    }
    if let Ok(text) = std::str::from_utf8(input) {
        assert_eq!(escape_str(text), shown);
    }
});
