//! The names that a template sees: variables, and those of other hosts.

use super::HostVariables;
use super::render::{Lookup, Missing};
use minijinja::Value;
use minijinja::value::{Enumerator, Object};
use std::fmt;
use std::sync::Arc;

/// The names of a scope, as the template engine asks for them.
pub(super) struct Context(pub(super) Lookup);

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "variables of {}", self.0.scope().host.name)
    }
}

impl Object for Context {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let value = self.0.value(key);
        if value.is_none() {
            self.0.state().missing.push(Missing::variable(key));
        }
        value
    }
}

/// `hostvars`: every host by name.
pub(super) struct AllHosts(pub(super) Lookup);

impl fmt::Debug for AllHosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hostvars")
    }
}

impl Object for AllHosts {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let Some(host) = self.0.scope().world.hosts.get(name) else {
            self.0.state().missing.push(Missing {
                name: name.to_string(),
                message: format!("there is no host `{name}` in the inventory"),
            });
            return None;
        };
        Some(Value::from_object(OneHost {
            from: self.0.clone(),
            host: host.clone(),
        }))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let hosts = self.0.scope().world.hosts.keys();
        Enumerator::Values(hosts.map(|name| Value::from(name.clone())).collect())
    }
}

/// `hostvars[name]`: what the inventory says of a host, and what tasks have set on it.
struct OneHost {
    from: Lookup,
    host: Arc<HostVariables>,
}

impl fmt::Debug for OneHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hostvars of {}", self.host.name)
    }
}

impl Object for OneHost {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let scope = self.from.scope();
        if self.host.name == scope.host.name {
            let value = self.from.value(name);
            if value.is_none() {
                self.from.state().missing.push(self.missing(name));
            }
            return value;
        }
        let mut scope = scope.clone();
        scope.host = self.host.clone();
        scope.play = Arc::default();
        scope.task = Arc::default();
        scope.locals.clear();
        let other = Lookup::new(scope);
        other.state().stack.clone_from(&self.from.state().stack);
        let value = other.value(name);
        // What the other host's lookup noted belongs to this rendering.
        let mut theirs = other.state();
        let mut ours = self.from.state();
        if let Some(later) = theirs.later.take() {
            ours.later.get_or_insert(later);
        }
        if let Some(problem) = theirs.problem.take() {
            ours.problem.get_or_insert(problem);
        }
        if value.is_none() {
            ours.missing.push(self.missing(name));
        }
        value
    }
}

impl OneHost {
    fn missing(&self, name: &str) -> Missing {
        Missing {
            name: name.to_string(),
            message: format!("`{name}` is undefined for host {}", self.host.name),
        }
    }
}
