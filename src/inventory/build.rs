//! Puts an inventory together: checks what refers to what, and works out what each host inherits.

use super::draft::{Draft, GroupDraft, HostDraft, Layer, Reference, table};
use super::{ConnectionSettings, Group, Host, Inventory};
use crate::diagnostic::{Place, Problem, Problems, closest};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// The group of every host.
const ALL: &str = "all";
/// The group of every host that is in no other.
const UNGROUPED: &str = "ungrouped";

/// A group while its relations are worked out.
struct Knot {
    name: String,
    children: Vec<(usize, Place)>,
    /// Positions of the hosts that are in it themselves.
    hosts: BTreeSet<usize>,
    layer: Layer,
    depth: usize,
    /// All groups above it, `all` not among them.
    above: BTreeSet<usize>,
}

impl Inventory {
    /// Puts together what the files said; `problems` are those of reading them.
    ///
    /// # Errors
    ///
    /// These problems, and unknown names and circles among the groups.
    pub fn build(draft: Draft, mut problems: Problems) -> Result<Inventory, Problems> {
        let mut web = Web::new(&draft, &mut problems);
        web.order(&mut problems);
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(web.finish(draft.connection, draft.hosts))
    }
}

/// All groups, `all` first and `ungrouped` last.
struct Web {
    knots: Vec<Knot>,
    index: HashMap<String, usize>,
}

impl Web {
    fn new(draft: &Draft, problems: &mut Problems) -> Self {
        let mut web = Self {
            knots: Vec::new(),
            index: HashMap::new(),
        };
        web.knot(ALL);
        // The order is that of the described groups, and behind them those that only hosts name.
        for group in draft.groups.iter().filter(|group| group.name != UNGROUPED) {
            web.knot(&group.name);
        }
        for host in &draft.hosts {
            for group in host.groups.iter().filter(|group| group.name != UNGROUPED) {
                web.knot(&group.name);
            }
        }
        let loose = draft.groups.iter().flat_map(|group| &group.children);
        for child in loose.filter(|child| !child.strict && child.name != UNGROUPED) {
            web.knot(&child.name);
        }
        web.knot(UNGROUPED);
        for (at, host) in draft.hosts.iter().enumerate() {
            for group in &host.groups {
                let knot = web.knot(&group.name);
                web.knots[knot].hosts.insert(at);
            }
        }
        for group in &draft.groups {
            web.describe(group, draft, problems);
        }
        web
    }

    /// The position of a group, which is made if it is new.
    fn knot(&mut self, name: &str) -> usize {
        if let Some(&index) = self.index.get(name) {
            return index;
        }
        self.index.insert(name.to_string(), self.knots.len());
        self.knots.push(Knot {
            name: name.to_string(),
            children: Vec::new(),
            hosts: BTreeSet::new(),
            layer: Layer::default(),
            depth: 1,
            above: BTreeSet::new(),
        });
        self.knots.len() - 1
    }

    fn describe(&mut self, group: &GroupDraft, draft: &Draft, problems: &mut Problems) {
        let at = self.knot(&group.name);
        self.knots[at].layer = group.layer.clone();
        for child in &group.children {
            match self.index.get(&child.name) {
                // `all` has every group in it anyway.
                Some(_) if at == 0 => {}
                Some(0) => problems.push(
                    Problem::new("`all` has every group in it and cannot be in one")
                        .at(child.place.clone()),
                ),
                Some(&found) => {
                    let children = &mut self.knots[at].children;
                    if children.iter().all(|(known, _)| *known != found) {
                        children.push((found, child.place.clone()));
                    }
                }
                None if draft.incomplete => {}
                None => problems.push(self.unknown_group(child)),
            }
        }
        for host in &group.hosts {
            match draft.host(&host.name) {
                Some(found) => {
                    self.knots[at].hosts.insert(found);
                }
                None if draft.incomplete => {}
                None => problems.push(unknown_host(host, draft)),
            }
        }
    }

    fn unknown_group(&self, child: &Reference) -> Problem {
        let known = self.knots.iter().map(|knot| knot.name.as_str());
        let problem =
            Problem::new(format!("there is no group `{}`", child.name)).at(child.place.clone());
        match closest(&child.name, known) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help(format!(
                "a group exists when a host names it in its `groups`, or when it stands in [groups]: `{} = {{}}`",
                child.name
            )),
        }
    }

    /// Works out the depth of each group and all groups above it, from the top down; notes circles.
    fn order(&mut self, problems: &mut Problems) {
        let mut parents = vec![0usize; self.knots.len()];
        for knot in &self.knots {
            for (child, _) in &knot.children {
                parents[*child] += 1;
            }
        }
        let mut ready: Vec<usize> = (0..self.knots.len())
            .filter(|&at| parents[at] == 0)
            .collect();
        while let Some(at) = ready.pop() {
            let mut above = self.knots[at].above.clone();
            above.insert(at);
            let depth = self.knots[at].depth + 1;
            for position in 0..self.knots[at].children.len() {
                let child = self.knots[at].children[position].0;
                let knot = &mut self.knots[child];
                knot.above.extend(&above);
                knot.depth = knot.depth.max(depth);
                parents[child] -= 1;
                if parents[child] == 0 {
                    ready.push(child);
                }
            }
        }
        self.knots[0].depth = 0;
        // What was never ready is in a circle or below one.
        let mut left: BTreeSet<usize> = (0..parents.len()).filter(|&at| parents[at] > 0).collect();
        while let Some(&start) = left.first() {
            let (circle, place) = self.circle(start, &left);
            let names: Vec<&str> = circle
                .iter()
                .map(|&at| self.knots[at].name.as_str())
                .collect();
            let mut problem = Problem::new(format!(
                "groups are in each other in a circle: {}",
                names.join(" > ")
            ));
            if names.len() == 2 {
                problem = Problem::new(format!("group `{}` is in itself", names[0]));
            }
            problems.push(match place {
                Some(place) => problem.at(place),
                None => problem,
            });
            // One report for each knot of circles is enough.
            let mut below = circle;
            while let Some(at) = below.pop() {
                left.remove(&at);
                let children = self.knots[at].children.iter().map(|(child, _)| *child);
                below.extend(children.filter(|child| left.contains(child)));
            }
        }
    }

    /// A circle that is met by going up from a group that is in one or below one, top first, its first group
    /// repeated at the end; and the place that closes it.
    fn circle(&self, start: usize, left: &BTreeSet<usize>) -> (Vec<usize>, Option<Place>) {
        let mut path = vec![start];
        loop {
            let last = path[path.len() - 1];
            let parent = left.iter().copied().find(|&at| {
                let mut children = self.knots[at].children.iter();
                children.any(|(child, _)| *child == last)
            });
            let Some(parent) = parent else {
                // Not reached: each group that is left has a parent that is left.
                return (path, None);
            };
            if let Some(from) = path.iter().position(|&at| at == parent) {
                let mut circle = path.split_off(from);
                circle.push(parent);
                circle.reverse();
                let closing = circle[circle.len() - 2];
                let children = &self.knots[closing].children;
                let place = children
                    .iter()
                    .find(|(child, _)| *child == parent)
                    .map(|(_, place)| place.clone());
                return (circle, place);
            }
            path.push(parent);
        }
    }

    fn finish(mut self, connection: Layer, drafts: Vec<HostDraft>) -> Inventory {
        // The groups of each host, from the groups that it is in itself and those above them.
        let mut member: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); drafts.len()];
        let ungrouped = self.knots.len() - 1;
        for (at, knot) in self.knots.iter().enumerate().skip(1) {
            for &host in &knot.hosts {
                member[host].insert(at);
                member[host].extend(&knot.above);
            }
        }
        for (host, groups) in member.iter_mut().enumerate() {
            if groups.is_empty() {
                groups.insert(ungrouped);
                self.knots[ungrouped].hosts.insert(host);
            }
        }
        let mut common = connection.connection.clone();
        common.overlay(&self.knots[0].layer.connection);
        let mut hosts = Vec::with_capacity(drafts.len());
        let mut own = Vec::with_capacity(drafts.len());
        for (draft, groups) in drafts.into_iter().zip(&member) {
            let mut layers: Vec<usize> = groups.iter().copied().collect();
            layers.sort_by_key(|&at| (self.knots[at].depth, at));
            layers.insert(0, 0);
            hosts.push(Arc::new(Host {
                connection: self.connection(&common, &layers, &draft.layer),
                groups: groups
                    .iter()
                    .map(|&at| self.knots[at].name.clone())
                    .collect(),
                vars: table(&draft.layer.vars),
                name: draft.name,
            }));
            own.push((draft.layer, layers));
        }
        let names = |(at, host): (usize, &Arc<Host>)| (host.name.clone(), at);
        Inventory {
            host_index: hosts.iter().enumerate().map(names).collect(),
            groups: self.groups(&hosts, &member),
            group_index: self.index,
            connection,
            hosts,
            own,
        }
    }

    fn connection(
        &self,
        common: &ConnectionSettings,
        layers: &[usize],
        own: &Layer,
    ) -> ConnectionSettings {
        let mut settings = common.clone();
        for &at in &layers[1..] {
            settings.overlay(&self.knots[at].layer.connection);
        }
        settings.overlay(&own.connection);
        settings
    }

    fn groups(&mut self, hosts: &[Arc<Host>], member: &[BTreeSet<usize>]) -> Vec<Group> {
        let names: Vec<String> = self.knots.iter().map(|knot| knot.name.clone()).collect();
        let mut groups: Vec<Group> = self
            .knots
            .iter_mut()
            .map(|knot| Group {
                name: knot.name.clone(),
                children: knot
                    .children
                    .iter()
                    .map(|(at, _)| names[*at].clone())
                    .collect(),
                hosts: Vec::new(),
                own_hosts: knot.hosts.iter().map(|&at| hosts[at].clone()).collect(),
                depth: knot.depth,
                layer: std::mem::take(&mut knot.layer),
            })
            .collect();
        groups[0].hosts = hosts.to_vec();
        for (host, member) in hosts.iter().zip(member) {
            for &at in member {
                groups[at].hosts.push(host.clone());
            }
        }
        groups
    }
}

fn unknown_host(host: &Reference, draft: &Draft) -> Problem {
    let known = draft.hosts.iter().map(|host| host.name.as_str());
    let near = closest(&host.name, known)
        .filter(|near| strsim::damerau_levenshtein(&host.name, near) <= 2);
    let problem = Problem::new(format!("there is no host `{}`", host.name)).at(host.place.clone());
    match near {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None => problem.help("a host stands in [hosts]"),
    }
}
