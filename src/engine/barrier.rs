//! Where hosts wait for each other inside of a play: before a task that reads what others have set.

use crate::playbook::{Play, Task};
use crate::vars::World;

/// The end of each stretch of tasks. A task that reads another host's variables waits for the tasks before it that
/// produce any, on all hosts.
pub(super) fn segments(world: &World, play: &Play) -> Vec<usize> {
    let names = world.reading_other_hosts(&play.vars);
    let mut ends = Vec::new();
    let mut produced = false;
    for (index, task) in play.tasks.iter().enumerate() {
        if produced && mentions(task, play, &names) {
            ends.push(index);
            produced = false;
        }
        produced |= !task.produces().is_empty();
    }
    ends.push(play.tasks.len());
    ends
}

/// Whether a task mentions one of these names, itself or in the file of its template.
pub fn mentions(task: &Task, play: &Play, names: &[String]) -> bool {
    let nodes = [
        task.name.as_ref(),
        Some(&task.body),
        task.when.as_ref(),
        task.items.as_ref(),
        task.until.as_ref(),
        task.changed_when.as_ref(),
        task.failed_when.as_ref(),
    ];
    nodes.into_iter().flatten().any(|node| node.mentions(names))
        || [&task.vars, &task.env, &play.env]
            .iter()
            .any(|table| table.mentions(names))
        || task.spec.name == "template" && template_reads(task, play, names)
}

/// Whether the file of a `template` task mentions a name. One that cannot be known here, or that includes others, may.
fn template_reads(task: &Task, play: &Play, names: &[String]) -> bool {
    let src = task.body.table().ok().and_then(|body| body.get("src"));
    let Some(Ok(src)) = src.map(|src| src.string()) else {
        return true;
    };
    let folders = [play.dir.clone(), play.dir.join("templates")];
    let texts = folders
        .iter()
        .map(|folder| std::fs::read_to_string(folder.join(src)));
    let Some(text) = texts.flatten().next() else {
        return true;
    };
    let words = ["include", "import", "extends"];
    words.iter().any(|word| text.contains(&format!("{word} ")))
        || names.iter().any(|name| text.contains(name.as_str()))
}
