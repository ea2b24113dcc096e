//! `wait_for`: wait for a port, a path or a command.

use super::shell::{join, quote};
use super::{Action, Arg, Args, Changes, Done, Failure, Found, Kind, Module, Script, Spec};
use crate::diagnostic::Problem;
use serde_json::{Map, Value};
use std::time::Duration;

/// The task type.
pub static SPEC: Spec = Spec {
    name: "wait_for",
    summary: "Wait for a port, a path or a command",
    about: "Waits until something is so, and fails when the time is over. What is given must hold all at once. The \
        waiting happens on the host, in one round trip, and counts as ok, never as changed.\n\n\
        `port` alone asks the host's own kernel whether a program listens there, on any address: no tool is \
        needed and no connection is made. With `host` a connection is tried from the host, by `bash` or else \
        `nc`. A port that Docker publishes without its userland proxy has no listener: give `host` for it.\n\n\
        A `command` is run again and again, so it must only look; it waits for exit code 0.\n\n\
        Registered: `elapsed`, in seconds.",
    args: &[
        Arg::new("port", Kind::Integer, "A TCP port."),
        Arg::new(
            "host",
            Kind::String,
            "Where the port is: a name or an address, tried from the host.",
        )
        .default("the host itself, without a connection"),
        Arg::new("path", Kind::String, "A path."),
        Arg::new("command", Kind::Command, "A command, run without a shell."),
        Arg::new(
            "state",
            Kind::Choice(&["present", "absent"]),
            "Whether to wait for the port to open and the path to appear, or for the port to close and the \
             path to go.",
        )
        .default("present"),
        Arg::new("timeout", Kind::Duration, "How long to wait.").default("5m"),
        Arg::new("delay", Kind::Duration, "How long to sleep between tries.").default("1s"),
    ],
    bare: "",
    open: false,
    unseen: &["path", "command"],
    example: r#"[[play.task]]
name = "sshd listens"
wait_for = { port = 22, timeout = "10s" }

[[play.task]]
name = "the broker answers"
wait_for = { command = ["docker", "info"], timeout = "2m", delay = "2s" }
"#,
    build,
};

#[derive(Debug)]
struct WaitFor {
    port: Option<u16>,
    host: Option<String>,
    path: Option<String>,
    command: Vec<String>,
    absent: bool,
    timeout: Duration,
    delay: Duration,
}

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    let port = match args.integer_opt("port")? {
        None => None,
        Some(port) => match u16::try_from(port) {
            Ok(port) if port > 0 => Some(port),
            _ => return Err(args.problem("port", format!("{port} is not a port: 1 to 65535"))),
        },
    };
    let module = WaitFor {
        port,
        host: args.string_opt("host")?,
        path: args.string_opt("path")?,
        command: args.command("command")?,
        absent: args.string_opt("state")?.as_deref() == Some("absent"),
        timeout: args.duration("timeout", Duration::from_secs(300))?,
        delay: args.duration("delay", Duration::from_secs(1))?,
    };
    if module.port.is_none() && module.path.is_none() && module.command.is_empty() {
        return Err(Problem::new("`wait_for` needs `port`, `path` or `command`")
            .at(args.node.place.clone()));
    }
    if module.host.is_some() && module.port.is_none() {
        return Err(args.problem("host", "`host` is nothing to wait for without `port`"));
    }
    if module.absent && !module.command.is_empty() {
        return Err(args
            .problem("state", "`state = \"absent\"` says nothing about a command")
            .help("wait for the opposite: command = [\"sh\", \"-c\", \"! ...\"]"));
    }
    Ok(Box::new(module))
}

/// `rn_clock` sets `rn_up` to hundredths of a second since some moment; nobody sets that clock while we wait.
/// `rn_port HEX` asks the kernel for a listener; `rn_connect HOST PORT` tries a connection, 2 without a tool.
const TOOLS: &str = r#"rn_clock() {
  { read -r rn_up rn_x </proc/uptime; } 2>/dev/null && rn_up=${rn_up%.*}${rn_up#*.} || rn_up=$(date +%s)00
}
rn_port() {
  cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
    grep -Eiq "^ *[0-9]+: [0-9A-F]+:$1 [0-9A-F]+:[0-9A-F]+ 0A "
}
rn_connect() {
  if command -v bash >/dev/null 2>&1; then
    rn_limit 5 bash -c 'exec 3<>"/dev/tcp/$1/$2"' bash "$1" "$2" 2>/dev/null
  elif command -v nc >/dev/null 2>&1; then
    rn_limit 5 nc -z "$1" "$2" >/dev/null 2>&1 </dev/null
  else return 2; fi
}
"#;

impl WaitFor {
    /// Defines `rn_look SECONDS`, which sets `rn_lack` to what is still wrong, or to nothing.
    fn look(&self) -> String {
        let mut text = format!("{TOOLS}rn_look() {{\nrn_lack=\n");
        if let Some(port) = self.port {
            text.push_str(&self.look_at_port(port));
        }
        if let Some(path) = &self.path {
            let (test, lack) = if self.absent {
                ("[ ! -e \"$1\" ] && [ ! -L \"$1\" ]", "is still there")
            } else {
                ("[ -e \"$1\" ] || [ -L \"$1\" ]", "does not exist")
            };
            text.push_str(&format!(
                "rn_try() {{ {test}; }}\nrn_try {} || {{ rn_lack={}; return; }}\n",
                quote(&if path.starts_with('/') {
                    path.clone()
                } else {
                    format!("./{path}")
                }),
                quote(&format!("{path} {lack}")),
            ));
        }
        if !self.command.is_empty() {
            text.push_str(&format!(
                "rn_said=$(rn_limit \"$1\" {} 2>&1)\nrn_code=$?\n\
                 if [ $rn_code != 0 ]; then\n\
                 rn_lack={}\" exits with $rn_code\"\n\
                 rn_said=$(printf '%s\\n' \"$rn_said\" | tail -n 1)\n\
                 if [ -n \"$rn_said\" ]; then rn_lack=\"$rn_lack: $rn_said\"; fi\n\
                 return\nfi\n",
                join(&self.command),
                quote(&self.command[0]),
            ));
        }
        text.push_str("}\n");
        text
    }

    fn look_at_port(&self, port: u16) -> String {
        let (test, what) = match &self.host {
            None => (format!("rn_port {port:04X}"), format!("port {port}")),
            Some(host) => (
                format!("rn_connect {} {port}", quote(host)),
                format!("port {port} of {host}"),
            ),
        };
        let (yes, no) = match (&self.host, self.absent) {
            (None, false) => ("", format!("nothing listens on {what}")),
            (None, true) => ("! ", format!("something still listens on {what}")),
            (Some(_), false) => ("", format!("{what} takes no connection")),
            (Some(_), true) => ("! ", format!("{what} still takes connections")),
        };
        format!(
            "{test}; rn_code=$?\n\
             if [ $rn_code = 2 ]; then echo 'neither bash nor nc is here to try a connection with' >&2; exit 3; fi\n\
             {yes}[ $rn_code = 0 ] || {{ rn_lack={}; return; }}\n",
            quote(&no)
        )
    }
}

impl Module for WaitFor {
    fn visible(&self) -> Option<String> {
        Some(join(&self.command))
    }

    fn probe(&self) -> Option<Script> {
        Some(Script::new(format!(
            "{}rn_look 5\nif [ -n \"$rn_lack\" ]; then printf '%s\\n' \"$rn_lack\"; fi",
            self.look()
        )))
    }

    fn settled(&self) -> Option<String> {
        Some("''".into())
    }

    fn changes(&self, found: &Found) -> Result<Changes, Failure> {
        if found.code != 0 {
            return Err(Failure::new(
                String::from_utf8_lossy(&found.stderr)
                    .trim_end()
                    .to_string(),
            )
            .help("wait for a port of the host itself with `port` alone, or use `command`"));
        }
        let lack = found.stdout();
        let lack = lack.trim_end();
        if lack.is_empty() {
            return Ok(Changes::none());
        }
        let timeout = self.timeout.as_secs_f64().ceil() as u64;
        let delay = self.delay.as_secs_f64().max(0.05);
        let text = format!(
            "{look}rn_clock; rn_start=$rn_up; rn_shown=-5\n\
             while :; do\n\
             rn_clock; rn_left=$(({timeout} - (rn_up - rn_start) / 100))\n\
             if [ $rn_left -lt 1 ]; then rn_left=1; fi\n\
             rn_look $rn_left\n\
             rn_clock; rn_now=$(((rn_up - rn_start) / 100))\n\
             if [ -z \"$rn_lack\" ]; then echo \"elapsed=$rn_now\"; exit 0; fi\n\
             if [ $rn_now -ge {timeout} ]; then\n\
             printf 'waited %s s: %s\\n' $rn_now \"$rn_lack\" >&2; exit 1\nfi\n\
             if [ $((rn_now - rn_shown)) -ge 5 ]; then rn_shown=$rn_now\n\
             printf '%s (%s s of {timeout} s)\\n' \"$rn_lack\" $rn_now\nfi\n\
             sleep {delay} 2>/dev/null || sleep {whole}\n\
             done",
            look = self.look(),
            whole = delay.ceil() as u64,
        );
        Ok(Changes {
            actions: vec![Action::Run(Script::new(text))],
            because: lack.to_string(),
            read_only: true,
            ..Changes::none()
        })
    }

    fn result(&self, _: &Found, done: &[Done]) -> Result<Map<String, Value>, Failure> {
        let said = done.first().map(Done::stdout).unwrap_or_default();
        let elapsed = said
            .lines()
            .filter_map(|line| line.strip_prefix("elapsed="))
            .filter_map(|seconds| seconds.parse::<u64>().ok())
            .next_back()
            .unwrap_or(0);
        Ok(Map::from_iter([("elapsed".to_string(), elapsed.into())]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{SHELLS, action, build, probe, run, run_in};
    use crate::modules::{Failure, Found};
    use std::net::TcpListener;
    use std::time::{Duration, Instant};

    /// What the probe says is lacking.
    fn lack(task: &str) -> String {
        let module = build(&format!("wait_for = {task}")).unwrap();
        let found = probe(module.as_ref());
        let changes = module.changes(&found).unwrap();
        assert_eq!(changes.actions.is_empty(), changes.because.is_empty());
        changes.because
    }

    #[test]
    fn a_listener_is_seen_without_and_with_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(lack(&format!("{{ port = {port} }}")), "");
        assert_eq!(
            lack(&format!("{{ port = {port}, host = '127.0.0.1' }}")),
            ""
        );
        assert_eq!(
            lack(&format!("{{ port = {port}, state = 'absent' }}")),
            format!("something still listens on port {port}")
        );
        drop(listener);
        assert_eq!(
            lack(&format!("{{ port = {port} }}")),
            format!("nothing listens on port {port}")
        );
        assert_eq!(
            lack(&format!("{{ port = {port}, host = '127.0.0.1' }}")),
            format!("port {port} of 127.0.0.1 takes no connection")
        );
        assert_eq!(lack(&format!("{{ port = {port}, state = 'absent' }}")), "");
        assert_eq!(
            lack(&format!(
                "{{ port = {port}, host = '127.0.0.1', state = 'absent' }}"
            )),
            ""
        );
    }

    #[test]
    fn a_path_may_come_or_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("it's $here").display().to_string();
        assert_eq!(
            lack(&format!("{{ path = \"{path}\" }}")),
            format!("{path} does not exist")
        );
        assert_eq!(
            lack(&format!("{{ path = \"{path}\", state = 'absent' }}")),
            ""
        );
        std::fs::write(&path, "").unwrap();
        assert_eq!(lack(&format!("{{ path = \"{path}\" }}")), "");
        assert_eq!(
            lack(&format!("{{ path = \"{path}\", state = 'absent' }}")),
            format!("{path} is still there")
        );
    }

    #[test]
    fn a_command_must_exit_with_0() {
        assert_eq!(lack("{ command = 'true' }"), "");
        assert_eq!(
            lack(r#"{ command = ["sh", "-c", "echo one; echo 'two $x'; exit 4"] }"#),
            "sh exits with 4: two $x"
        );
        // What is given must hold all at once.
        assert_eq!(
            lack("{ command = 'true', path = '/gone' }"),
            "/gone does not exist"
        );
    }

    #[test]
    fn the_wait_ends_when_it_is_so() {
        let folder = tempfile::tempdir().unwrap();
        let flag = folder.path().join("flag");
        // The command itself makes true what it looks for, at its second try.
        let task = format!(
            "wait_for = {{ command = ['sh', '-c', 'test -e {0} || {{ touch {0}; exit 1; }}'], delay = '50ms' }}",
            flag.display()
        );
        let module = build(&task).unwrap();
        let found = Found {
            stdout: b"not yet\n".to_vec(),
            ..Found::default()
        };
        let script = action(module.as_ref(), &found).unwrap();
        for shell in SHELLS {
            let done = run_in(shell, &script, &[]);
            assert_eq!(done.code, 0, "{shell:?}");
            let said = done.stdout();
            assert!(
                said.starts_with("sh exits with 1 (") && said.contains(" s of 300 s)\n"),
                "{said}"
            );
            assert!(module.result(&found, &[done]).unwrap()["elapsed"].as_u64() < Some(60));
            std::fs::remove_file(&flag).unwrap();
        }
    }

    #[test]
    fn the_failure_says_what_was_wrong_and_how_long_it_waited() {
        let module =
            build("wait_for = { path = '/gone', timeout = '1s', delay = '100ms' }").unwrap();
        let script = action(module.as_ref(), &probe(module.as_ref())).unwrap();
        for shell in SHELLS {
            let begun = Instant::now();
            // What it says meanwhile depends on how often it has looked.
            let done = run_in(shell, &script, &[]);
            assert_eq!(done.code, 1, "{shell:?}");
            let said = String::from_utf8(done.stderr).unwrap();
            assert!(
                said.starts_with("waited ") && said.ends_with(" s: /gone does not exist\n"),
                "{said}"
            );
            let took = begun.elapsed();
            assert!(took >= Duration::from_secs(1), "{shell:?}: {took:?}");
        }
    }

    #[test]
    fn a_command_that_hangs_ends_with_the_time() {
        let module = build("wait_for = { command = 'sleep 60', timeout = '1s' }").unwrap();
        let found = Found {
            stdout: b"not yet\n".to_vec(),
            ..Found::default()
        };
        let done = run(&action(module.as_ref(), &found).unwrap());
        assert_eq!(done.code, 1);
    }

    #[test]
    fn a_host_without_tools_says_so() {
        let module = build("wait_for = { port = 22, host = 'db' }").unwrap();
        let found = Found {
            code: 3,
            stderr: b"neither bash nor nc is here to try a connection with\n".to_vec(),
            ..Found::default()
        };
        assert_eq!(
            module.changes(&found).unwrap_err(),
            Failure::new("neither bash nor nc is here to try a connection with")
                .help("wait for a port of the host itself with `port` alone, or use `command`")
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (task, message) in [
            ("{}", "`wait_for` needs `port`, `path` or `command`"),
            ("{ port = 70000 }", "70000 is not a port: 1 to 65535"),
            (
                "{ path = '/', host = 'a' }",
                "`host` is nothing to wait for without `port`",
            ),
            (
                "{ command = 'true', state = 'absent' }",
                "`state = \"absent\"` says nothing about a command",
            ),
        ] {
            let problem = build(&format!("wait_for = {task}")).unwrap_err();
            assert!(
                problem.starts_with(&format!("error: {message}\n")),
                "{problem}"
            );
        }
    }
}
