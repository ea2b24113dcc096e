//! `set_fact`: variables of a host, set while the play runs.

use super::{Args, Changes, Failure, Found, Module, Spec};
use crate::diagnostic::Problem;
use serde_json::{Map, Value};

/// The task type.
pub static SPEC: Spec = Spec {
    name: "set_fact",
    summary: "Set variables on the host",
    about: "Sets variables of this host for the rest of the run. They come before the variables of inventory and \
        play, and behind those of `-e`. Any key is taken. Nothing happens on the host.",
    args: &[],
    bare: "",
    open: true,
    unseen: &[],
    example: r#"[[play.task]]
set_fact = { zk_servers = "zk1:2181,zk2:2181,zk3:2181", zk_port = 2181 }
"#,
    build,
};

#[derive(Debug)]
struct SetFact(Map<String, Value>);

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    let table = args.table();
    if table.is_empty() {
        return Err(Problem::new("`set_fact` sets nothing")
            .at(args.node.place.clone())
            .help("give at least one variable: set_fact = { name = \"value\" }"));
    }
    let mut facts = Map::new();
    for entry in table.iter() {
        if !is_name(&entry.key) {
            return Err(
                Problem::new(format!("`{}` cannot be the name of a variable", entry.key))
                    .at(entry.key_place.clone())
                    .help("a name is made of letters, digits and `_`, and begins with no digit"),
            );
        }
        facts.insert(entry.key.clone(), entry.value.to_value());
    }
    Ok(Box::new(SetFact(facts)))
}

fn is_name(key: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    key.starts_with(|c: char| word(c) && !c.is_ascii_digit()) && key.chars().all(word)
}

impl Module for SetFact {
    fn changes(&self, _: &Found) -> Result<Changes, Failure> {
        Ok(Changes {
            facts: self.0.clone(),
            ..Changes::none()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::build;
    use crate::modules::Found;
    use serde_json::json;

    #[test]
    fn any_value_is_kept_with_its_type() {
        let module = build("set_fact = { a = 1, b_2 = ['x', true], c = { d = 'e' } }").unwrap();
        let changes = module.changes(&Found::default()).unwrap();
        assert_eq!(
            serde_json::Value::Object(changes.facts),
            json!({ "a": 1, "b_2": ["x", true], "c": { "d": "e" } })
        );
        assert!(changes.actions.is_empty());
    }

    #[test]
    fn what_no_template_can_name_is_refused() {
        let problem = build("set_fact = { \"a-b\" = 1 }").unwrap_err();
        assert!(
            problem.starts_with("error: `a-b` cannot be the name of a variable\n"),
            "{problem}"
        );
        let problem = build("set_fact = {}").unwrap_err();
        assert!(
            problem.starts_with("error: `set_fact` sets nothing\n"),
            "{problem}"
        );
    }
}
