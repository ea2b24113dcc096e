//! `docker_node`: labels and availability of a swarm node.

use super::super::shell::quote;
use super::super::{Arg, Args, Changes, Diff, Done, Failure, Found, Kind, Module, Script, Spec};
use super::{answered, failure, json, last, not_yet};
use crate::diagnostic::{Problem, closest};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The task type.
pub static SPEC: Spec = Spec {
    name: "docker_node",
    summary: "Set the labels and the availability of a swarm node",
    about: "Runs on a manager, for a node that is named by its hostname or id. Labels are read first, and only \
        those that differ are set. Labels that are not named stay, unless `exact = true`.\n\n\
        Where several nodes have the hostname, since one was set up anew, the one that is ready is meant.\n\n\
        Registered: `node_id`, `labels`, `availability`, and `node_state` (`ready`, `down`, ...).",
    args: &[
        Arg::new("node", Kind::String, "The node's hostname or id.").required(),
        Arg::new("labels", Kind::Map, "Labels and their values."),
        Arg::new("exact", Kind::Boolean, "Whether other labels are removed.").default("false"),
        Arg::new(
            "availability",
            Kind::Choice(&["active", "pause", "drain"]),
            "Whether the node takes tasks, keeps those it has, or gives them away.",
        )
        .default("left as it is"),
    ],
    bare: "",
    open: false,
    unseen: &[],
    example: r#"[[play.task]]
name = "labels of the first bookie"
docker_node = { node = "gp22aitppaphhq1", labels = { bookie1 = true }, exact = true }
"#,
    build,
};

/// What the probe prints: the node, or where its name alone is not enough, every node. Afterwards the same.
const INSPECT: &str = r#"rn_format='{"ID":{{json .ID}},"Spec":{{json .Spec}},"Description":{"Hostname":{{json .Description.Hostname}}},"Status":{{json .Status}}}'
rn_inspect() {
  docker node inspect --format "$rn_format" "$1" 2>/dev/null && return
  # A node that has just left and joined anew is there twice until the swarm misses the old one.
  rn_try=0
  while [ "$(docker node ls --format '{{.Hostname}} {{.Status}}' 2>/dev/null | grep -cFx "$1 Ready")" -gt 1 ]; do
    rn_try=$((rn_try + 1)); if [ $rn_try -gt 20 ]; then break; fi
    sleep 1
  done
  rn_ids=$(docker node ls -q) || return
  docker node inspect --format "$rn_format" $rn_ids
}
"#;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Node {
    #[serde(rename = "ID")]
    id: String,
    spec: NodeSpec,
    description: Description,
    #[serde(default)]
    status: State,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NodeSpec {
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    availability: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    #[serde(default)]
    hostname: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct State {
    state: String,
}

impl Node {
    fn labels(&self) -> BTreeMap<String, String> {
        self.spec.labels.clone().unwrap_or_default()
    }
}

#[derive(Debug)]
struct DockerNode {
    node: String,
    labels: BTreeMap<String, String>,
    exact: bool,
    availability: Option<String>,
}

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    let labels: BTreeMap<String, String> = args.map("labels")?.into_iter().collect();
    if let Some(key) = labels
        .keys()
        .find(|key| key.is_empty() || key.contains('='))
    {
        return Err(args.problem("labels", format!("`{key}` cannot be the name of a label")));
    }
    let node = args.string("node")?;
    if node.is_empty() {
        return Err(args.problem("node", "the node's name is empty"));
    }
    Ok(Box::new(DockerNode {
        node,
        labels,
        exact: args.boolean("exact", false)?,
        availability: args.string_opt("availability")?,
    }))
}

impl DockerNode {
    /// The node that is meant, among those that docker printed.
    fn pick(&self, said: &str) -> Result<Node, Failure> {
        // Where docker finds nothing it prints an empty line.
        let mut nodes = said
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| json("the node", line))
            .collect::<Result<Vec<Node>, _>>()?;
        let names: Vec<String> = nodes
            .iter()
            .map(|node| node.description.hostname.clone())
            .collect();
        if nodes.len() > 1 || nodes.iter().all(|node| !node.id.starts_with(&self.node)) {
            nodes.retain(|node| node.description.hostname == self.node || node.id == self.node);
        }
        if nodes.len() > 1 {
            let (ready, others): (Vec<Node>, Vec<Node>) = nodes
                .into_iter()
                .partition(|node| node.status.state == "ready");
            nodes = ready;
            if nodes.len() != 1 {
                let all: Vec<String> = nodes
                    .iter()
                    .chain(&others)
                    .map(|node| format!("{} ({})", node.id, node.status.state))
                    .collect();
                return Err(Failure::new(format!(
                    "several nodes are named {}: {}",
                    self.node,
                    all.join(", ")
                ))
                .help(
                    "name the one that is meant by its id, or remove the others: `docker node rm`",
                ));
            }
        }
        nodes.pop().ok_or_else(|| {
            let failure = Failure::new(format!("no node of the swarm is named {}", self.node));
            match closest(&self.node, names.iter().map(String::as_str)) {
                Some(near) => failure.help(format!("did you mean `{near}`?")),
                None => failure.help(format!("its nodes: {}", names.join(", "))),
            }
        })
    }

    /// The labels as they should be.
    fn wanted(&self, node: &Node) -> BTreeMap<String, String> {
        let mut labels = if self.exact {
            BTreeMap::new()
        } else {
            node.labels()
        };
        labels.extend(self.labels.clone());
        labels
    }
}

fn lines(labels: &BTreeMap<String, String>, availability: &str) -> String {
    let labels: String = labels
        .iter()
        .map(|(key, value)| format!("{key}={value}\n"))
        .collect();
    format!("availability: {availability}\n{labels}")
}

impl Module for DockerNode {
    fn probe(&self) -> Option<Script> {
        Some(Script::new(format!(
            "{INSPECT}rn_inspect {}",
            quote(&self.node)
        )))
    }

    fn changes(&self, found: &Found) -> Result<Changes, Failure> {
        if let Some(changes) = not_yet("look at the node", found) {
            return Ok(changes);
        }
        answered("look at the node", found)?;
        let node = self.pick(&found.stdout())?;
        let (before, after) = (node.labels(), self.wanted(&node));
        let (mut options, mut because) = (String::new(), Vec::new());
        for (key, value) in &after {
            if before.get(key) != Some(value) {
                options.push_str(&format!(
                    " --label-add {}",
                    quote(&format!("{key}={value}"))
                ));
                because.push(format!("{key}={value}"));
            }
        }
        for key in before.keys().filter(|key| !after.contains_key(*key)) {
            options.push_str(&format!(" --label-rm {}", quote(key)));
            because.push(format!("without {key}"));
        }
        let availability = self
            .availability
            .as_deref()
            .unwrap_or(&node.spec.availability);
        if availability != node.spec.availability {
            options.push_str(&format!(" --availability {availability}"));
            because.push(format!("{} -> {availability}", node.spec.availability));
        }
        if options.is_empty() {
            return Ok(Changes::none());
        }
        // Another manager may have updated the node in between: then docker refuses, and is asked again.
        let text = format!(
            "{INSPECT}rn_try=0\n\
             until rn_said=$(docker node update{options} {id} 2>&1); do\n\
             rn_try=$((rn_try + 1))\n\
             case $rn_try:$rn_said in\n\
             [1-5]:*'out of sequence'*) sleep 1 ;;\n\
             *) printf '%s\\n' \"$rn_said\" >&2; exit 1 ;;\n\
             esac\ndone\nrn_inspect {id}",
            id = quote(&node.id),
        );
        Ok(Changes {
            diff: Some(Diff {
                name: format!("node {}", node.description.hostname),
                before: lines(&before, &node.spec.availability),
                after: lines(&after, availability),
            }),
            ..Changes::script(Script::new(text), because.join(", "))
        })
    }

    fn result(&self, found: &Found, done: &[Done]) -> Result<Map<String, Value>, Failure> {
        if found.code != 0 {
            return Ok(Map::new());
        }
        let before = self.pick(&found.stdout())?;
        let node = match done {
            [] => before,
            _ => {
                let wanted = self.wanted(&before);
                let after: Node = json("the node", last(done).trim_end())?;
                if after.labels() != wanted {
                    let says = lines(&after.labels(), &after.spec.availability);
                    return Err(
                        failure("set the labels", 1, b"docker did not keep them").help(says)
                    );
                }
                after
            }
        };
        let labels: Map<String, Value> = node
            .labels()
            .into_iter()
            .map(|(key, value)| (key, value.into()))
            .collect();
        Ok(Map::from_iter([
            ("node_id".to_string(), node.id.into()),
            ("labels".to_string(), labels.into()),
            ("availability".to_string(), node.spec.availability.into()),
            ("node_state".to_string(), node.status.state.into()),
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{action, build};
    use crate::modules::{Action, Done, Failure, Found};
    use serde_json::json;

    fn node(id: &str, hostname: &str, state: &str, labels: serde_json::Value) -> String {
        json!({
            "ID": id,
            "Version": { "Index": 9 },
            "Spec": { "Labels": labels, "Role": "worker", "Availability": "active" },
            "Description": { "Hostname": hostname, "Resources": {} },
            "Status": { "State": state, "Addr": "10.0.0.1" },
        })
        .to_string()
            + "\n"
    }

    fn found(stdout: impl Into<String>) -> Found {
        Found {
            stdout: stdout.into().into_bytes(),
            ..Found::default()
        }
    }

    #[test]
    fn only_what_differs_is_set() {
        let module =
            build("docker_node = { node = 'web1', labels = { a = true, b = 'x y' } }").unwrap();
        let before = found(node(
            "idw",
            "web1",
            "ready",
            json!({ "a": "true", "c": "1" }),
        ));
        let changes = module.changes(&before).unwrap();
        assert_eq!(changes.because, "b=x y");
        let [Action::Run(script)] = &changes.actions[..] else {
            panic!()
        };
        assert!(
            script
                .text
                .contains("docker node update --label-add 'b=x y' idw 2>&1")
        );
        let diff = changes.diff.unwrap();
        assert_eq!(diff.before, "availability: active\na=true\nc=1\n");
        assert_eq!(diff.after, "availability: active\na=true\nb=x y\nc=1\n");

        let after = node(
            "idw",
            "web1",
            "ready",
            json!({ "a": "true", "b": "x y", "c": "1" }),
        );
        assert!(
            module
                .changes(&found(after.clone()))
                .unwrap()
                .actions
                .is_empty()
        );
        let done = Done {
            stdout: after.into_bytes(),
            ..Done::default()
        };
        let result = module.result(&before, &[done]).unwrap();
        assert_eq!(
            result["labels"],
            json!({ "a": "true", "b": "x y", "c": "1" })
        );
        assert_eq!(result["node_id"], "idw");
    }

    #[test]
    fn exact_removes_the_others() {
        let module = build(
            "docker_node = { node = 'web1', labels = { a = 1 }, exact = true, availability = 'drain' }",
        )
        .unwrap();
        let before = found(node("idw", "web1", "ready", json!({ "a": "1", "c": "1" })));
        let changes = module.changes(&before).unwrap();
        assert_eq!(changes.because, "without c, active -> drain");
        let none = found(node("idw", "web1", "ready", json!(null)));
        assert_eq!(
            module.changes(&none).unwrap().because,
            "a=1, active -> drain"
        );
    }

    #[test]
    fn a_label_that_docker_did_not_keep_is_a_failure() {
        let module = build("docker_node = { node = 'web1', labels = { a = 1 } }").unwrap();
        let before = node("idw", "web1", "ready", json!({}));
        let done = Done {
            stdout: before.clone().into_bytes(),
            ..Done::default()
        };
        assert_eq!(
            module.result(&found(before), &[done]).unwrap_err(),
            Failure::new("cannot set the labels: docker did not keep them")
                .help("availability: active\n")
        );
    }

    #[test]
    fn of_several_with_the_name_the_ready_one_is_meant() {
        let module = build("docker_node = { node = 'web1', labels = { a = 1 } }").unwrap();
        let two = String::from("\n")
            + &node("old", "web1", "down", json!({}))
            + &node("new", "web1", "ready", json!({ "a": "1" }))
            + &node("oth", "web2", "ready", json!({}));
        assert!(module.changes(&found(two)).unwrap().actions.is_empty());
        let both = node("old", "web1", "down", json!({})) + &node("new", "web1", "down", json!({}));
        assert_eq!(
            module.changes(&found(both)).unwrap_err(),
            Failure::new("several nodes are named web1: old (down), new (down)").help(
                "name the one that is meant by its id, or remove the others: `docker node rm`"
            )
        );
    }

    #[test]
    fn a_name_that_nobody_has_is_a_failure() {
        let module = build("docker_node = { node = 'wb1' }").unwrap();
        let nodes = node("a", "web1", "ready", json!({})) + &node("b", "web22", "ready", json!({}));
        assert_eq!(
            module.changes(&found(nodes)).unwrap_err(),
            Failure::new("no node of the swarm is named wb1").help("did you mean `web1`?")
        );
        let worker = Found {
            code: 1,
            stderr:
                b"Error response from daemon: This node is not a swarm manager. Worker nodes ..."
                    .to_vec(),
            ..Found::default()
        };
        // Under --check it may become one; in earnest this fails.
        let changes = module.changes(&worker).unwrap();
        assert_eq!(changes.because, "once this host is a swarm manager");
        let done = super::super::super::testing::run(&action(module.as_ref(), &worker).unwrap());
        assert_eq!(done.code, 1);
        assert_eq!(
            String::from_utf8(done.stderr).unwrap(),
            "cannot look at the node: this host is not a swarm manager\n\
             run the task on a manager, such as the first host of the group `managers`\n"
        );
        assert!(module.result(&worker, &[]).unwrap().is_empty());
    }
}
