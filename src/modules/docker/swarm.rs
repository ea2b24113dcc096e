//! `docker_swarm`: a host's membership in a swarm.

use super::super::shell::quote;
use super::super::{Arg, Args, Changes, Done, Failure, Found, Kind, Module, Script, Spec};
use super::{answered, json, last};
use crate::diagnostic::Problem;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The task type.
pub static SPEC: Spec = Spec {
    name: "docker_swarm",
    summary: "Make a host the first of a swarm, a member of one, or none",
    about: "`state = \"init\"` makes the host the first manager of a new swarm; a host that is a manager already is \
        left as it is. Registered: `cluster_id`, `node_id`, `address` (where others join), `worker_token`, \
        `manager_token`, and `nodes`, the ids of all members. The tokens let anyone join: set `no_log = true`.\n\n\
        `state = \"joined\"` makes the host a member of the swarm that such a task registered. A host that is a \
        member already is left as it is. One that sits in another swarm, or has the other role, is a failure: \
        nothing here leaves a swarm by the way. Let managers join one after the other (`serial = 1`); workers may \
        all join at once. docker takes the token as an argument only, so while a host joins, its process list \
        shows the token. Registered: `node_id`.\n\n\
        `state = \"left\"` leaves whatever swarm the host is in. A manager leaves with `force = true` only, \
        since the last one takes the whole swarm with it; where there are others it is made a worker first, so \
        that they keep their quorum.",
    args: &[
        Arg::new(
            "state",
            Kind::Choice(&["init", "joined", "left"]),
            "What is wanted.",
        )
        .required(),
        Arg::new(
            "advertise_addr",
            Kind::String,
            "The address, or the interface, under which other nodes reach this one.",
        )
        .default("docker finds it, where there is only one"),
        Arg::new(
            "listen_addr",
            Kind::String,
            "Where to listen for other nodes.",
        )
        .default("0.0.0.0:2377"),
        Arg::new(
            "role",
            Kind::Choice(&["worker", "manager"]),
            "As what to join.",
        )
        .default("worker"),
        Arg::new(
            "swarm",
            Kind::Any,
            "For `joined`: the registered result of the `init` task.",
        ),
        Arg::new(
            "force",
            Kind::Boolean,
            "For `left`: also when the host is a manager.",
        )
        .default("false"),
    ],
    bare: "",
    open: false,
    unseen: &[],
    example: r#"[[play.task]]
name = "a swarm of its own"
docker_swarm = { state = "init", advertise_addr = "{{ address }}" }
register = "swarm"
no_log = true

[[play.task]]
name = "a worker of the swarm that the first manager has registered"
docker_swarm = { state = "joined", swarm = "{{ hostvars[groups.managers[0]].swarm }}" }
no_log = true
"#,
    build,
};

/// Prints what the engine knows of its swarm. An engine that has just started first looks for its managers.
const INFO: &str = "rn_format='{{with .Swarm}}{\"NodeID\":{{json .NodeID}},\"NodeAddr\":{{json .NodeAddr}},\"LocalNodeState\":{{json .LocalNodeState}},\"ControlAvailable\":{{json .ControlAvailable}},\"Error\":{{json .Error}},\"RemoteManagers\":{{json .RemoteManagers}}{{if .Cluster}},\"Cluster\":{\"ID\":{{json .Cluster.ID}}}{{end}}}{{end}}'
rn_info() {
  rn_try=0
  while :; do
    rn_swarm=$(docker info --format \"$rn_format\") || return
    case $rn_swarm in *'\"LocalNodeState\":\"pending\"'*) ;; *) break ;; esac
    rn_try=$((rn_try + 1)); if [ $rn_try -ge 15 ]; then break; fi
    sleep 1
  done
  printf '%s\\n' \"$rn_swarm\"
}
rn_tokens() {
  case $rn_swarm in *'\"ControlAvailable\":true'*) ;; *) return 0 ;; esac
  rn_token=$(docker swarm join-token -q worker) || return; echo \"worker_token $rn_token\"
  rn_token=$(docker swarm join-token -q manager) || return; echo \"manager_token $rn_token\"
  rn_nodes=$(docker node ls -q) || return; printf '%s\\n' \"$rn_nodes\" | sed 's/^/node /'
}
";

/// Joins, and again where the managers were busy; then waits until the engine says that it is a member. A join
/// whose answer is late goes on in the background, so docker's own exit code decides nothing.
const JOIN: &str = "rn_tries=0; rn_waits=0; rn_said=
while :; do
  rn_info >/dev/null || exit
  case $rn_swarm in
    *'\"LocalNodeState\":\"active\"'*)
      case $rn_role:$rn_swarm in
        manager:*'\"ControlAvailable\":true'* | worker:*) break ;;
      esac ;;
    *'\"LocalNodeState\":\"inactive\"'* | *'\"LocalNodeState\":\"error\"'*)
      if [ $rn_tries -ge 5 ]; then printf '%s\\n' \"$rn_said\" >&2; exit 1; fi
      rn_tries=$((rn_tries + 1))
      rn_said=$(rn_join 2>&1) && continue
      printf '%s\\n' \"$rn_said\" | tail -n 1
      case $rn_said in *nvalid*) printf '%s\\n' \"$rn_said\" >&2; exit 1 ;; esac ;;
  esac
  rn_waits=$((rn_waits + 1))
  if [ $rn_waits -ge 60 ]; then
    printf '%s\\n' \"${rn_said:-the engine is still joining}\" >&2; exit 1
  fi
  sleep 1
done
printf '%s\\n' \"$rn_swarm\"
";

/// Makes a manager a worker first, so that the others keep their quorum. Where that is gone already, docker refuses
/// and the host leaves as it is.
const DEMOTE: &str = "rn_try=0
if docker node demote \"$rn_id\" >/dev/null; then
  while rn_info >/dev/null && [ $rn_try -lt 30 ]; do
    case $rn_swarm in *'\"ControlAvailable\":true'*) ;; *) break ;; esac
    rn_try=$((rn_try + 1)); sleep 1
  done
fi
";

/// What `docker info` says of the swarm.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Info {
    #[serde(rename = "NodeID")]
    node_id: String,
    node_addr: String,
    local_node_state: String,
    control_available: bool,
    error: String,
    remote_managers: Option<Vec<Remote>>,
    cluster: Option<Cluster>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Remote {
    #[serde(rename = "NodeID")]
    node_id: String,
    addr: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cluster {
    #[serde(rename = "ID")]
    id: String,
}

impl Info {
    fn read(said: &str) -> Result<Self, Failure> {
        // What docker printed while it joined stands before the answer.
        let line = said.lines().find(|line| line.starts_with('{'));
        json("the swarm", line.unwrap_or(said))
    }

    fn cluster_id(&self) -> &str {
        self.cluster.as_ref().map_or("", |cluster| &cluster.id)
    }

    fn managers(&self) -> &[Remote] {
        self.remote_managers.as_deref().unwrap_or_default()
    }

    /// Where others reach this manager, or else its first manager.
    fn address(&self) -> String {
        let own = |remote: &&Remote| remote.node_id == self.node_id;
        let managers = self.managers();
        match managers.iter().find(own).or(managers.first()) {
            Some(remote) => remote.addr.clone(),
            None => format!("{}:2377", self.node_addr),
        }
    }

    /// Refuses the states between member and none.
    fn settled(&self) -> Result<bool, Failure> {
        match self.local_node_state.as_str() {
            "active" => Ok(true),
            "inactive" | "" => Ok(false),
            "locked" => Err(Failure::new("this host's swarm is locked")
                .help("unlock it on this host with its key: `docker swarm unlock`")),
            "pending" => Err(Failure::new(
                "this host is still looking for the managers of its swarm",
            )
            .help(format!("it knows these: {}", self.names()))
            .help("if they are gone for good, leave on this host: `docker swarm leave --force`")),
            state => Err(Failure::new(format!(
                "this host's swarm is in state {state}: {}",
                self.error
            ))
            .help("if it cannot be mended, leave on this host: `docker swarm leave --force`")),
        }
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self
            .managers()
            .iter()
            .map(|remote| remote.addr.as_str())
            .collect();
        if names.is_empty() {
            "none".into()
        } else {
            names.join(", ")
        }
    }
}

#[derive(Debug)]
enum Swarm {
    Init {
        options: String,
        advertise: Option<String>,
    },
    Joined {
        options: String,
        manager: bool,
        swarm: Target,
    },
    Left {
        force: bool,
    },
}

/// The swarm to join, as another host's `init` registered it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Target {
    cluster_id: String,
    address: String,
    worker_token: String,
    manager_token: String,
    nodes: Vec<String>,
}

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    let advertise = args.string_opt("advertise_addr")?;
    let mut options = String::new();
    for (option, value) in [
        ("--advertise-addr", advertise.clone()),
        ("--listen-addr", args.string_opt("listen_addr")?),
    ] {
        if let Some(value) = value {
            options.push_str(&format!(" {option} {}", quote(&value)));
        }
    }
    let swarm: Swarm = match args.string("state")?.as_str() {
        "init" => Swarm::Init { options, advertise },
        "left" => Swarm::Left {
            force: args.boolean("force", false)?,
        },
        _ => Swarm::Joined {
            options,
            manager: args.string_opt("role")?.as_deref() == Some("manager"),
            swarm: target(args)?,
        },
    };
    Ok(Box::new(swarm))
}

fn target(args: &Args) -> Result<Target, Problem> {
    let wrong = |message: &str| {
        args.problem("swarm", message).help(
            "register the result of `docker_swarm = { state = \"init\" }` and hand it over: \
             swarm = \"{{ hostvars[groups.managers[0]].swarm }}\"",
        )
    };
    let Some(node) = args.get("swarm") else {
        return Err(wrong("`state = \"joined\"` needs `swarm`"));
    };
    serde_json::from_value(node.to_value())
        .map_err(|_| wrong("`swarm` is not the registered result of an `init` task"))
}

impl Module for Swarm {
    /// The join tokens.
    fn secret(&self) -> bool {
        true
    }

    fn probe(&self) -> Option<Script> {
        let tokens = match self {
            Swarm::Init { .. } => "rn_info && rn_tokens",
            _ => "rn_info",
        };
        Some(Script::new(format!("{INFO}{tokens}")))
    }

    fn changes(&self, found: &Found) -> Result<Changes, Failure> {
        answered("look at the swarm", found)?;
        let info = Info::read(&found.stdout())?;
        match self {
            Swarm::Init { options, advertise } => init(&info, options, advertise.as_deref()),
            Swarm::Joined {
                options,
                manager,
                swarm,
            } => join(&info, options, *manager, swarm),
            Swarm::Left { force } => leave(&info, *force),
        }
    }

    fn result(&self, found: &Found, done: &[Done]) -> Result<Map<String, Value>, Failure> {
        let said = match done {
            [] => found.stdout(),
            _ => last(done),
        };
        let info = Info::read(&said)?;
        match self {
            Swarm::Init { .. } => {
                if !done.is_empty() && !info.control_available {
                    return Err(Failure::new(
                        "docker made a swarm, but this host does not manage it",
                    )
                    .help(info.error));
                }
                Ok(init_result(&info, &said))
            }
            Swarm::Joined { manager, swarm, .. } => {
                if !done.is_empty() {
                    same_swarm(&info, swarm)?;
                    same_role(&info, *manager)?;
                }
                Ok(Map::from_iter([(
                    "node_id".to_string(),
                    info.node_id.into(),
                )]))
            }
            Swarm::Left { .. } => {
                if !done.is_empty() && info.settled()? {
                    return Err(Failure::new("docker left the swarm, but is a member still"));
                }
                Ok(Map::new())
            }
        }
    }
}

fn init(info: &Info, options: &str, advertise: Option<&str>) -> Result<Changes, Failure> {
    if !info.settled()? {
        let text =
            format!("{INFO}docker swarm init{options} >/dev/null || exit\nrn_info && rn_tokens");
        return Ok(Changes::script(Script::new(text), "a new swarm"));
    }
    if !info.control_available {
        return Err(Failure::new(format!(
            "this host is a worker of the swarm of {}",
            info.names()
        ))
        .help("begin with one of its managers, or leave on this host: `docker swarm leave`"));
    }
    let is_address = |text: &str| text.parse::<std::net::IpAddr>().is_ok();
    if let Some(wanted) = advertise.filter(|wanted| is_address(wanted))
        && is_address(&info.node_addr)
        && wanted != info.node_addr
    {
        return Err(Failure::new(format!(
            "this host is in a swarm under the address {}, not {wanted}",
            info.node_addr
        ))
        .help("the address of a node changes only by leaving and joining again"));
    }
    Ok(Changes::none())
}

fn init_result(info: &Info, said: &str) -> Map<String, Value> {
    let values = |key: &str| -> Vec<&str> {
        said.lines()
            .filter_map(|line| line.split_once(' '))
            .filter(|(word, _)| *word == key)
            .map(|(_, value)| value)
            .collect()
    };
    let token = |key: &str| Value::from(values(key).first().copied().unwrap_or(""));
    // Under --check there may be no swarm yet: then all is empty.
    let address = if info.node_id.is_empty() {
        String::new()
    } else {
        info.address()
    };
    Map::from_iter([
        ("cluster_id".to_string(), info.cluster_id().into()),
        ("node_id".to_string(), info.node_id.as_str().into()),
        ("address".to_string(), address.into()),
        ("worker_token".to_string(), token("worker_token")),
        ("manager_token".to_string(), token("manager_token")),
        ("nodes".to_string(), values("node").into()),
    ])
}

fn join(info: &Info, options: &str, manager: bool, swarm: &Target) -> Result<Changes, Failure> {
    if info.settled()? {
        same_swarm(info, swarm)?;
        same_role(info, manager)?;
        return Ok(Changes::none());
    }
    let (role, token) = if manager {
        ("manager", &swarm.manager_token)
    } else {
        ("worker", &swarm.worker_token)
    };
    let text = format!(
        "{INFO}rn_role={role}\nrn_join() {{ docker swarm join --token {}{options} {}; }}\n{JOIN}",
        quote(token),
        quote(&swarm.address),
    );
    Ok(Changes::script(
        Script::new(text),
        format!("joins as {role}"),
    ))
}

/// Whether the host is in the swarm meant. Only a manager knows its swarm's id; a worker knows its own node id
/// and those of managers, and one of them must be a known member.
fn same_swarm(info: &Info, swarm: &Target) -> Result<(), Failure> {
    let member = |id: &str| swarm.nodes.iter().any(|node| node == id);
    let same = if info.cluster_id().is_empty() {
        member(&info.node_id) || info.managers().iter().any(|remote| member(&remote.node_id))
    } else {
        info.cluster_id() == swarm.cluster_id
    };
    if same {
        return Ok(());
    }
    let which = match info.cluster_id() {
        "" => String::new(),
        id => format!(" {id}"),
    };
    Err(Failure::new(format!(
        "this host is in another swarm{which}, managed by {}, and not in {} of {}",
        info.names(),
        swarm.cluster_id,
        swarm.address
    ))
    .help("if that other swarm needs it no more, leave on this host: `docker swarm leave`, which stops its services here"))
}

fn same_role(info: &Info, manager: bool) -> Result<(), Failure> {
    match (info.control_available, manager) {
        (false, true) => Err(
            Failure::new("this host is a worker of the swarm, not a manager").help(format!(
                "on a manager: `docker node promote {}`",
                info.node_id
            )),
        ),
        (true, false) => Err(
            Failure::new("this host is a manager of the swarm, not a worker").help(format!(
                "on a manager: `docker node demote {}`",
                info.node_id
            )),
        ),
        _ => Ok(()),
    }
}

fn leave(info: &Info, force: bool) -> Result<Changes, Failure> {
    if matches!(info.local_node_state.as_str(), "inactive" | "") {
        return Ok(Changes::none());
    }
    if info.control_available && !force {
        return Err(Failure::guard(
            "this host manages its swarm, and leaving takes part of the swarm along",
        )
        .help(
            "set `force = true` to leave all the same, or demote it first: `docker node demote`",
        ));
    }
    let others = info
        .managers()
        .iter()
        .any(|remote| remote.node_id != info.node_id);
    let demote = if info.control_available && others {
        DEMOTE
    } else {
        ""
    };
    let force = if force { " --force" } else { "" };
    let text = format!(
        "{INFO}rn_id={}\n{demote}docker swarm leave{force} >/dev/null || exit\nrn_info",
        quote(&info.node_id)
    );
    Ok(Changes::script(Script::new(text), "leaves its swarm"))
}

#[cfg(test)]
mod tests;
