//! `assert`: fail unless conditions hold.

use super::{Arg, Args, Changes, Failure, Found, Kind, Module, Spec};
use crate::diagnostic::Problem;
use serde_json::Value;

/// The task type.
pub static SPEC: Spec = Spec {
    name: "assert",
    summary: "Fail unless conditions hold",
    about: "Evaluates conditions, written as in `when` without `{{ }}`, and fails with the first that does not \
        hold. Nothing happens on the host.",
    args: &[
        Arg::new("that", Kind::Conditions, "The conditions.").required(),
        Arg::new(
            "msg",
            Kind::String,
            "What to say when one does not hold: the way out.",
        ),
        Arg::new("success_msg", Kind::String, "What to show when all hold."),
    ],
    bare: "",
    open: false,
    unseen: &["that", "msg", "success_msg"],
    example: r#"[[play.task]]
name = "an odd number of managers keeps a quorum"
assert = { that = ["groups.managers | length is odd"], msg = "add a manager or remove one" }
"#,
    build,
};

#[derive(Debug)]
struct Assert {
    conditions: Vec<(String, Value)>,
    message: Option<String>,
    success: Option<String>,
}

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    Ok(Box::new(Assert {
        conditions: args.expressions("that")?,
        message: args.string_opt("msg")?,
        success: args.string_opt("success_msg")?,
    }))
}

/// What counts as true in a template's `if`.
fn holds(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty() && text != "false",
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

impl Module for Assert {
    fn changes(&self, _: &Found) -> Result<Changes, Failure> {
        match self.conditions.iter().find(|(_, value)| !holds(value)) {
            None => Ok(Changes {
                message: self.success.clone(),
                ..Changes::none()
            }),
            Some((expr, _)) => {
                let failure = Failure::new(format!("`{expr}` does not hold"));
                Err(match &self.message {
                    Some(message) => failure.help(message.clone()),
                    None => failure,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::build;
    use crate::modules::{Failure, Found};

    fn checked(task: &str) -> Result<Option<String>, Failure> {
        let changes = build(task).unwrap().changes(&Found::default())?;
        assert!(changes.actions.is_empty());
        Ok(changes.message)
    }

    #[test]
    fn the_first_condition_that_does_not_hold_is_named() {
        let yes = "{ expr = 'a == 1', value = true }";
        let no = "{ expr = 'b == 2', value = false }";
        assert_eq!(checked(&format!("assert = {{ that = [{yes}] }}")), Ok(None));
        assert_eq!(
            checked(&format!(
                "assert = {{ that = {yes}, success_msg = 'fine' }}"
            )),
            Ok(Some("fine".into()))
        );
        assert_eq!(
            checked(&format!(
                "assert = {{ that = [{yes}, {no}], msg = 'set b' }}"
            )),
            Err(Failure::new("`b == 2` does not hold").help("set b"))
        );
    }

    #[test]
    fn emptiness_is_false() {
        for value in ["''", "[]", "{}", "0", "0.0", "'false'"] {
            let task = format!("assert = {{ that = {{ expr = 'x', value = {value} }} }}");
            assert_eq!(
                checked(&task),
                Err(Failure::new("`x` does not hold")),
                "{value}"
            );
        }
        for value in ["'no'", "[0]", "3"] {
            assert_eq!(
                checked(&format!(
                    "assert = {{ that = {{ expr = 'x', value = {value} }} }}"
                )),
                Ok(None)
            );
        }
    }
}
