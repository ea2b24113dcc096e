//! Secret variables: where they are declared, and how their values are found out.
//!
//! `secrets` stands beside `vars` wherever variables stand. [`declare`] reads such a table, and a [`Store`] finds the
//! values, each once and only if something uses it: in the environment, from a command, from the operator, or in a
//! TOML file that is encrypted with age ([`sealed`]). What it finds is told to the run's [`Redactor`] before anybody else
//! has it.
//!
//! [`Redactor`]: crate::redact::Redactor

mod command;
mod declare;
mod identity;
pub mod sealed;
mod store;

pub use declare::{declare, prompt, table};
pub use identity::{Identities, Identity};
pub use store::Store;

use crate::diagnostic::Problem;

/// Asks the operator.
pub trait Ask: Send + Sync {
    /// The answer to a question, typed without being shown.
    ///
    /// # Errors
    ///
    /// Why nobody can be asked, in a few words.
    fn ask(&self, question: &str) -> Result<String, String>;
}

/// Nobody can be asked; `what` is a passphrase or a secret.
fn unasked(what: String, why: &str) -> Problem {
    Problem::new(format!("cannot ask for {what}: {why}"))
}
