//! `pause`: wait a while.

use super::{Action, Arg, Args, Changes, Failure, Found, Kind, Module, Spec};
use crate::diagnostic::Problem;
use std::time::Duration;

/// The task type.
pub static SPEC: Spec = Spec {
    name: "pause",
    summary: "Wait a while",
    about: "Waits on this machine, for each host by itself. Where something can be waited for, `wait_for` is \
        shorter and surer. Counts as ok, and is skipped under `--check`.",
    args: &[Arg::new(
        "seconds",
        Kind::Duration,
        "How long, as seconds or with a unit such as `\"5m\"`.",
    )
    .required()],
    bare: "seconds",
    open: false,
    unseen: &[],
    example: r#"[[play.task]]
name = "let the elections settle"
pause = "10s"
"#,
    build,
};

#[derive(Debug)]
struct Pause(Duration);

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    Ok(Box::new(Pause(args.duration("seconds", Duration::ZERO)?)))
}

impl Module for Pause {
    fn changes(&self, _: &Found) -> Result<Changes, Failure> {
        Ok(Changes {
            actions: vec![Action::Pause(self.0)],
            read_only: true,
            ..Changes::none()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::build;
    use crate::modules::{Action, Found};
    use std::time::Duration;

    #[test]
    fn it_only_waits() {
        for (task, duration) in [("2", 2), ("{ seconds = 3 }", 3), ("'2m'", 120)] {
            let module = build(&format!("pause = {task}")).unwrap();
            let changes = module.changes(&Found::default()).unwrap();
            assert_eq!(
                changes.actions,
                [Action::Pause(Duration::from_secs(duration))]
            );
            assert!(changes.read_only);
        }
    }
}
