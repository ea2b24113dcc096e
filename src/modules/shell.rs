//! Words and texts for a POSIX shell: quoting, and the functions that every script can use.

/// Contents up to this many bytes travel inside a script; larger files get a channel of their own.
pub const INLINE_LIMIT: usize = 64 * 1024;

/// Functions that every script can call. They use nothing beyond POSIX and what every Linux has.
///
/// `rn_sum FILE` prints the SHA-256 of a file in hex, and nothing when the host has no tool for it.
pub const PRELUDE: &str = r#"rn_sum() {
  if command -v sha256sum >/dev/null 2>&1; then set -- "$(sha256sum <"$1")"
  elif command -v openssl >/dev/null 2>&1; then set -- "$(openssl dgst -sha256 -r <"$1")"
  elif command -v shasum >/dev/null 2>&1; then set -- "$(shasum -a 256 <"$1")"
  else return 127; fi
  printf '%s\n' "${1%% *}"
}
"#;

/// Quotes a word so that any shell takes it as one literal argument.
///
/// # Examples
///
/// ```
/// use runner::modules::shell::quote;
/// assert_eq!(quote("bin/pulsar"), "bin/pulsar");
/// assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
/// assert_eq!(quote(""), "''");
/// ```
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Quotes and joins the words of a command.
pub fn join<S: AsRef<str>>(words: impl IntoIterator<Item = S>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| quote(word.as_ref())).collect();
    words.join(" ")
}

/// A `printf` command that prints exactly these bytes. NUL and other bytes that a shell cannot hold in a word
/// are written as octal escapes.
pub fn print_bytes(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.contains('\0')
    {
        return format!("printf %s {}", quote(text));
    }
    let mut escaped = String::with_capacity(bytes.len() + bytes.len() / 2);
    for &byte in bytes {
        match byte {
            b'\\' => escaped.push_str(r"\\"),
            b'\n' | b' '..=b'~' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("\\0{byte:03o}")),
        }
    }
    // A format of %b takes escapes in the argument and leaves `%` alone.
    format!("printf %b {}", quote(&escaped))
}
