//! Commands: output, input, exit.

use super::{Ended, connect, finish, printed, run, start, target, within};
use crate::support::sshd::Sshd;
use runner::transport::{Chunk, Ending, Exit};

#[tokio::test]
async fn both_streams_and_the_exit_code_arrive() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    let connection = connect(target(&sshd)).await;
    let ended = run(&connection, "echo out; echo err >&2; exit 3").await;
    assert_eq!(
        ended,
        Ended {
            stdout: "out\n".into(),
            stderr: "err\n".into(),
            exit: Some(Exit::Code(3)),
        }
    );
    for code in [0, 1, 126, 127, 255] {
        let ended = run(&connection, &format!("exit {code}")).await;
        assert_eq!(ended.exit, Some(Exit::Code(code)));
    }
    let ended = run(&connection, "kill -KILL $$").await;
    assert_eq!(ended.exit, Some(Exit::Signal("KILL".into())));
    connection.close().await;
    let again = connection.start("true").await.map(drop).unwrap_err();
    assert_eq!(again.0, "the connection was closed");
}

#[tokio::test]
async fn big_output_is_complete_and_in_order() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    let connection = connect(target(&sshd)).await;
    // Eight million numbered lines of eight bytes.
    let ended = run(&connection, "seq -w 1 8000000; echo last >&2").await;
    assert_eq!(ended.exit, Some(Exit::Code(0)));
    assert_eq!(ended.stderr, b"last\n");
    assert_eq!(ended.stdout.len(), 64_000_000);
    let in_order = ended
        .stdout
        .chunks(8)
        .zip(1..)
        .all(|(line, number)| line == format!("{number:07}\n").as_bytes());
    assert!(in_order);
}

#[tokio::test]
async fn big_input_is_complete() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    let connection = connect(target(&sshd)).await;
    let mut process = start(&connection, "sha256sum").await;
    let piece = vec![b'x'; 1024 * 1024];
    for _ in 0..64 {
        within(process.input.write(&piece)).await.unwrap();
    }
    within(process.input.end()).await.unwrap();
    let ended = finish(&mut *process.output).await;
    let expected = {
        use sha2::Digest;
        let mut sum = sha2::Sha256::new();
        for _ in 0..64 {
            sum.update(&piece);
        }
        let sum: String = sum
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        format!("{sum}  -\n")
    };
    assert_eq!(ended, printed(&expected));
}

#[tokio::test]
async fn writing_to_a_command_that_has_ended_does_not_hang() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    let connection = connect(target(&sshd)).await;
    let mut process = start(&connection, "exec <&-; echo done").await;
    let ended = finish(&mut *process.output).await;
    assert_eq!(ended, printed("done\n"));
    let piece = vec![0; 1024 * 1024];
    let lost = within(async {
        loop {
            if let Err(lost) = process.input.write(&piece).await {
                return lost;
            }
        }
    })
    .await;
    assert_eq!(lost.0, "the command closed its input");
}

#[tokio::test]
async fn many_commands_run_at_once_on_one_connection() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    let connection = connect(target(&sshd)).await;
    let mut running = tokio::task::JoinSet::new();
    for number in 0..30 {
        let connection = connection.clone();
        running.spawn(async move {
            // What a login shell's own files complain about is not the transport's.
            let ended = run(&connection, &format!("echo {number}")).await;
            assert_eq!(ended.stdout, format!("{number}\n").into_bytes());
            assert_eq!(ended.exit, Some(Exit::Code(0)));
        });
    }
    within(running.join_all()).await;
}

#[tokio::test]
async fn what_a_command_leaves_running_does_not_hold_up_its_end() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    let connection = connect(target(&sshd)).await;
    let ended = run(&connection, "sleep 1000 & echo $!").await;
    assert_eq!(ended.exit, Some(Exit::Code(0)));
    let pid = String::from_utf8(ended.stdout).unwrap();
    run(&connection, &format!("kill {}", pid.trim())).await;
}

#[tokio::test]
async fn a_server_killed_in_mid_command_leaves_it_unknown() {
    let Some(sshd) = Sshd::start(&[]) else { return };
    let connection = connect(target(&sshd)).await;
    let mut process = start(&connection, "echo $PPID; exec cat").await;
    let Some(Chunk::Stdout(pid)) = within(process.output.next()).await else {
        panic!("no output");
    };
    let pid = String::from_utf8(pid).unwrap();
    let killed = std::process::Command::new("kill")
        .args(["-KILL", pid.trim()])
        .status()
        .unwrap();
    assert!(killed.success());
    assert_eq!(finish(&mut *process.output).await, Ended::default());
    let ending = process.output.ending();
    assert!(
        ending == Ending::Lost("the server closed the connection".into())
            || ending == Ending::Lost("the server reset the connection".into()),
        "{ending:?}"
    );
    assert!(connection.start("true").await.is_err());
}

#[tokio::test]
async fn a_refused_command_has_certainly_not_started() {
    let Some(sshd) = Sshd::start(&["ForceCommand internal-sftp", "ChrootDirectory /nowhere"])
    else {
        return;
    };
    // The login succeeds, and then the server gives up.
    let connection = connect(target(&sshd)).await;
    let mut process = start(&connection, "true").await;
    let ended = finish(&mut *process.output).await;
    assert_eq!(ended.exit.filter(|exit| *exit == Exit::Code(0)), None);
}
