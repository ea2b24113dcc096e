//! How commands end, and how they are ended.

use crate::harness::{Case, MARK};
use crate::support::hostile::{Server, Ssh};
use crate::support::proxy::{At, Fault, to_client};
use crate::watch::in_time;
use crate::world::{Bad, World};
use std::io;
use std::process::{Child, Command};
use std::time::Duration;

/// How long hosts may take to come as far as a case needs them.
const PATIENCE: Duration = Duration::from_secs(60);

/// The message of a command whose end nobody has told.
const UNKNOWN: &str = "while it ran: it may have run to its end, or not";

/// A task for the bad hosts only.
pub fn bad(task: &str) -> String {
    format!("name = \"fault\"\nwhen = \"'bad' in group_names\"\n{task}")
}

#[test]
fn ends_are_told_apart() {
    let faults = [
        ("exit 7", "exit code 7"),
        ("exit 255", "exit code 255"),
        ("no-such-tool", "exit code 127: command not found"),
        ("exec /", "exit code 126: it cannot be executed"),
        ("kill -SEGV $$; true", "killed by signal 11 (exit code 139)"),
        (
            "kill -KILL $PPID $$",
            "the shell was killed by signal 9 before the task was done",
        ),
        (
            "echo last words; kill -TERM $$; true",
            "killed by signal 15 (exit code 143)",
        ),
    ];
    let table: Vec<String> = (1..)
        .zip(faults)
        .map(|(number, (text, _))| format!("bad{number} = '{text}'"))
        .collect();
    let play = format!("vars = {{ faults = {{ {} }} }}", table.join(", "));
    let fault = bad("shell = \"{{ faults[inventory_hostname] }}\"");
    let mut case = Case::new(faults.map(|_| Bad::Host))
        .good(19)
        .patient()
        .play(&play)
        .tasks(&[MARK, &fault])
        .exits(2)
        .within(Duration::from_secs(10))
        .marks(1..=1);
    for (_, message) in faults {
        case = case.says(message);
    }
    case.says("| last words").run();
}

/// What a server makes of a command that it has run.
type Tells = fn(&mut Ssh, std::process::Output) -> Told<'_>;
type Told<'s> = std::pin::Pin<Box<dyn Future<Output = io::Result<()>> + Send + 's>>;

fn server(tells: Tells) -> Bad {
    Bad::server(Server::start(move |wire| async move {
        let (mut ssh, command) = Ssh::run(wire).await?;
        let output = Ssh::perform(&command).await;
        tells(&mut ssh, output).await?;
        ssh.wire.silence().await
    }))
}

/// The word that marks the ends of steps, as whoever reads the command knows it.
fn word(output: &[u8]) -> Vec<u8> {
    let start = memchr::memmem::find(output, b"rn-").unwrap();
    let end = memchr::memchr(b' ', &output[start..]).unwrap();
    output[start..start + end].to_vec()
}

/// Servers that tell of the end in their own way: the others are done, the outputs are complete, and nobody waits.
#[test]
fn servers_have_their_own_order() {
    let unknown = format!(
        "unknown: the server closed the channel without saying how the command ended {UNKNOWN}"
    );
    let table: Vec<(&str, Tells)> = vec![
        // The status comes last, and the channel is never closed.
        ("done", |ssh, output| {
            Box::pin(async move {
                ssh.stdout(output.stdout).await?;
                ssh.stderr(output.stderr).await?;
                ssh.status(0).await
            })
        }),
        // The status comes first.
        ("done", |ssh, output| {
            Box::pin(async move {
                ssh.status(0).await?;
                ssh.eof().await?;
                ssh.stderr(output.stderr).await?;
                ssh.stdout(output.stdout).await?;
                ssh.close().await
            })
        }),
        // One byte at a time, the status in the middle, and twice.
        ("done", |ssh, output| {
            Box::pin(async move {
                let half = output.stdout.len() / 2;
                for (at, byte) in output.stdout.iter().enumerate() {
                    ssh.stdout([*byte]).await?;
                    if at == half {
                        ssh.status(0).await?;
                        ssh.status(3).await?;
                    }
                }
                ssh.stderr(output.stderr).await
            })
        }),
        // No status at all, and not all of the output.
        (&unknown, |ssh, output| {
            Box::pin(async move {
                let half = output.stdout.len() / 2;
                ssh.stdout(&output.stdout[..half]).await?;
                ssh.eof().await?;
                ssh.close().await
            })
        }),
        // It ends well without a word of the command.
        (
            "failed: there is no shell to run it: the login shell ended at once",
            |ssh, _| {
                Box::pin(async move {
                    ssh.status(0).await?;
                    ssh.eof().await?;
                    ssh.close().await
                })
            },
        ),
        // It goes on talking when everything is said.
        ("done", |ssh, output| {
            Box::pin(async move {
                ssh.stderr(output.stderr).await?;
                ssh.stdout(output.stdout).await?;
                ssh.status(0).await?;
                for _ in 0..64 {
                    ssh.stdout([b'x'; 16 * 1024]).await?;
                }
                Ok(())
            })
        }),
        // It answers more than was asked.
        ("done", |ssh, output| {
            Box::pin(async move {
                let mark = [b"\n", &word(&output.stdout)[..], b" 0 0\n"].concat();
                let more = mark.repeat(1000);
                ssh.stderr([&output.stderr[..], &more].concat()).await?;
                ssh.stdout([&output.stdout[..], &more].concat()).await?;
                ssh.status(0).await
            })
        }),
    ];
    let servers: Vec<Bad> = table.iter().map(|(_, tells)| server(*tells)).collect();
    let mut case = Case::new(servers)
        .good(19)
        .patient()
        .exec("echo done")
        .exits(2 + 16)
        .within(Duration::from_secs(10));
    for (number, (line, _)) in (1..).zip(&table) {
        case = case.says(&format!("bad{number}    {line}"));
    }
    case.run();
}

/// A command with children that ignore what asks them to end, one of them in another process group and one in another
/// session. It tells when all of them run.
pub const STUBBORN: &str = "name = \"hang\"\nshell = '''
trap \"\" TERM INT HUP
timeout 1000 sh -c \"trap '' TERM; sleep 1000; :\" &
setsid sh -c \"trap '' TERM; sleep 1000; :\" &
echo up >~/up
while :; do sleep 1000; done
'''";

fn up(world: &World) {
    let up = || world.hosts().all(|host| host.home.join("up").exists());
    assert!(in_time(PATIENCE, up), "in vain: the commands run");
}

pub fn signal(name: &str, process: u32) {
    let mut command = Command::new("kill");
    let status = command.args(["-s", name, &process.to_string()]).status();
    assert!(status.unwrap().success());
}

/// The runner is ended in some way while hosts work, and the harness looks for what is left of that work.
fn ended(exit: i32, how: impl Fn(&World, &Child) + 'static) -> Case {
    // All of them are this machine, which looks through its processes for each: a few are enough.
    Case::new([Bad::Host])
        .good(3)
        .patient()
        .tasks(&[STUBBORN])
        .meanwhile(move |world, child| {
            up(world);
            how(world, child);
        })
        .exits(exit)
        .within(PATIENCE)
}

#[test]
fn a_first_signal_ends_the_trees_and_the_recap_is_written() {
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let ran = ended(code, move |_, child| signal(name, child.id())).run();
        let Some(ran) = ran else { return };
        let last = format!("stopped by SIG{name} after");
        let text = ran.out.text() + &ran.err.text();
        assert!(text.lines().any(|line| line.starts_with(&last)), "{text}");
        assert!(text.contains("4 of 4 hosts not finished"), "{text}");
    }
}

#[test]
fn a_second_signal_ends_at_once_and_the_trees_end_by_themselves() {
    ended(130, |_, child| {
        // The first is only counted when it has arrived.
        let status = format!("/proc/{}/status", child.id());
        for _ in 0..2 {
            signal("INT", child.id());
            let taken = || {
                let text = std::fs::read_to_string(&status).unwrap_or_default();
                let pending = text.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
                pending.is_none_or(|set| set.trim() == "0000000000000000")
            };
            assert!(in_time(PATIENCE, taken), "in vain: the signal is taken");
        }
    })
    .run();
}

#[test]
fn a_killed_runner_takes_the_trees_along() {
    ended(-1, |_, child| signal("KILL", child.id())).run();
}

#[test]
fn a_reader_that_leaves_ends_the_trees_and_the_recap_is_written() {
    let reader = "read -r line; echo \"$line\"; until [ -e etc/over ]; do sleep 0.1; done";
    let leaves = |world: &World, _: &Child| std::fs::write(world.path("etc/over"), "").unwrap();
    let case = ended(141, leaves).through(&format!(
        "\"$@\" | {{ {reader}; }}; exit ${{PIPESTATUS[0]}}"
    ));
    let Some(ran) = case.run() else { return };
    assert_eq!(ran.out.text(), "all (4 hosts)\n");
    let err = ran.err.text();
    let last = |line: &str| line.starts_with("stopped by SIGPIPE after");
    assert!(err.lines().any(last), "{err}");
}

#[test]
fn a_link_that_is_cut_ends_the_tree() {
    let loud = STUBBORN.replace("echo up >~/up", "printf %65536s x");
    let loud = bad(&loud.replace("name = \"hang\"\n", ""));
    for fault in [Fault::Reset, Fault::Close] {
        let cut = to_client(At::Byte(32 * 1024), fault);
        Case::new([Bad::link(vec![cut])])
            .patient()
            .tasks(&[MARK, &loud])
            .exits(16)
            .says("unknown: bad: fault")
            .marks(1..=1)
            .run();
    }
}

/// The deadline of a task ends all that it has started, also with the rights of another user.
#[test]
fn a_deadline_ends_the_tree() {
    for rights in ["", "become = true\n"] {
        if !rights.is_empty() && crate::support::sshd::program("sudo").is_none() {
            crate::support::sshd::skip("sudo is not installed");
            continue;
        }
        let stubborn = STUBBORN.replace("name = \"hang\"", "name = \"hang\"\ntimeout = \"1s\"");
        // `sudo -H` has a home of its own.
        let stubborn = stubborn.replace(" >~/up", "") + "\n" + rights;
        Case::new([Bad::Host])
            .good(3)
            .patient()
            .tasks(&[MARK, &bad(&stubborn.replace("name = \"hang\"\n", ""))])
            .exits(2)
            .says("failed: bad: fault")
            .says("it took longer than its timeout and was ended")
            .marks(1..=1)
            .within(Duration::from_secs(1 + 5))
            .run();
    }
}
