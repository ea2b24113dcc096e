//! What must not leave this process.

use crate::redact::Redactor;
use std::io::Write;
use std::sync::LazyLock;

static REDACTOR: LazyLock<Redactor> = LazyLock::new(Redactor::default);

/// Knows every secret of this process.
pub(super) fn redactor() -> &'static Redactor {
    &REDACTOR
}

/// A defect's last words go to standard error without secrets.
pub(super) fn hide_in_panics() {
    std::panic::set_hook(Box::new(|defect| {
        let text = format!("{defect}\n");
        let text = redactor().text(&text);
        std::io::stderr().write_all(text.as_bytes()).ok();
    }));
}
