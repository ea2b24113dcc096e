//! `debug`: show a text or a value.

use super::{Arg, Args, Changes, Failure, Found, Kind, Module, Spec};
use crate::diagnostic::Problem;
use serde_json::Value;

/// The task type.
pub static SPEC: Spec = Spec {
    name: "debug",
    summary: "Show a text or the value of a variable",
    about: "Shows a text, or an expression with its value. Nothing happens on the host.",
    args: &[
        Arg::new(
            "msg",
            Kind::Any,
            "The text. Lists and tables are shown as JSON.",
        ),
        Arg::new(
            "var",
            Kind::Conditions,
            "A variable or another expression, or a list of them, written without `{{ }}`.",
        ),
    ],
    bare: "msg",
    open: false,
    unseen: &["msg", "var"],
    example: r#"[[play.task]]
debug = "{{ inventory_hostname }} is in {{ group_names | join(', ') }}"

[[play.task]]
debug = { var = "groups.all | length" }
"#,
    build,
};

#[derive(Debug)]
struct Debug(String);

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    let values = args.expressions("var")?;
    let message = match args.get("msg") {
        Some(_) if !values.is_empty() => {
            return Err(args.problem("var", "give either `msg` or `var`, not both"));
        }
        Some(node) => shown(&node.to_value()),
        None if values.is_empty() => {
            return Err(Problem::new("`debug` needs `msg` or `var`").at(args.node.place.clone()));
        }
        None => values
            .iter()
            .map(|(expr, value)| format!("{expr} = {}", shown(value)))
            .collect::<Vec<_>>()
            .join("\n"),
    };
    Ok(Box::new(Debug(message)))
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        _ => serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string()),
    }
}

impl Module for Debug {
    fn changes(&self, _: &Found) -> Result<Changes, Failure> {
        Ok(Changes {
            message: Some(self.0.clone()),
            ..Changes::none()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::build;
    use crate::modules::Found;

    fn shown(task: &str) -> String {
        let changes = build(task).unwrap().changes(&Found::default()).unwrap();
        assert!(changes.actions.is_empty());
        changes.message.unwrap()
    }

    #[test]
    fn texts_are_shown_as_they_are_and_values_as_json() {
        assert_eq!(shown("debug = 'a \"b\"'"), "a \"b\"");
        assert_eq!(shown("debug = { msg = [1, 'a'] }"), "[\n  1,\n  \"a\"\n]");
        assert_eq!(
            shown("debug = { var = { expr = 'groups.all | length', value = 26 } }"),
            "groups.all | length = 26"
        );
    }

    #[test]
    fn one_of_the_two_must_be_given() {
        let both = build("debug = { msg = 'a', var = 'b' }").unwrap_err();
        assert!(
            both.starts_with("error: give either `msg` or `var`, not both\n"),
            "{both}"
        );
        let none = build("debug = {}").unwrap_err();
        assert!(
            none.starts_with("error: `debug` needs `msg` or `var`\n"),
            "{none}"
        );
    }
}
