//! `ping`: does the host answer, and has it a shell?

use super::{Args, Changes, Done, Failure, Found, Module, Script, Spec};
use crate::diagnostic::Problem;
use serde_json::{Map, Value};

/// The task type.
pub static SPEC: Spec = Spec {
    name: "ping",
    summary: "See whether the host answers",
    about: "Logs in and runs a shell, nothing else. Registered: `ping`, which is `pong`.",
    args: &[],
    bare: "",
    open: false,
    unseen: &[],
    example: "[[play.task]]\nping = {}\n",
    build,
};

#[derive(Debug)]
struct Ping;

fn build(_: &Args) -> Result<Box<dyn Module>, Problem> {
    Ok(Box::new(Ping))
}

impl Module for Ping {
    fn probe(&self) -> Option<Script> {
        Some(Script::new("echo pong"))
    }

    fn settled(&self) -> Option<String> {
        Some("pong".into())
    }

    fn changes(&self, found: &Found) -> Result<Changes, Failure> {
        if found.code == 0 && found.stdout == b"pong\n" {
            return Ok(Changes::none());
        }
        Err(Failure::new(format!(
            "the host's shell answered {:?} and not \"pong\"",
            found.stdout().trim_end()
        )))
    }

    fn result(&self, _: &Found, _: &[Done]) -> Result<Map<String, Value>, Failure> {
        Ok(Map::from_iter([("ping".to_string(), "pong".into())]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{build, probe};
    use crate::modules::{Failure, Found};

    #[test]
    fn a_host_that_answers_is_ok() {
        let module = build("ping = {}").unwrap();
        let found = probe(module.as_ref());
        assert!(module.changes(&found).unwrap().actions.is_empty());
        assert_eq!(module.result(&found, &[]).unwrap()["ping"], "pong");
    }

    #[test]
    fn another_answer_is_a_failure() {
        let module = build("ping = {}").unwrap();
        let found = Found {
            stdout: b"Welcome\n".to_vec(),
            ..Found::default()
        };
        assert_eq!(
            module.changes(&found).unwrap_err(),
            Failure::new("the host's shell answered \"Welcome\" and not \"pong\"")
        );
    }
}
