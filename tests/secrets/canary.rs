//! A secret from each source goes every way that one can take, and appears nowhere that it should not.

use crate::nest::{Canary, Nest, files};
use crate::support::shell::toml;
use crate::support::site::{Site, User};
use crate::support::sshd;
use crate::support::terminal;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

const NAMES: [&str; 4] = ["by_env", "by_command", "by_prompt", "by_file"];

/// Tasks that print a secret in every way.
fn loud(name: &str) -> Vec<String> {
    let secret = format!("{{{{ {name} }}}}");
    let say = |script: &str, more: &str| {
        format!(
            "name = \"{name}\"\nshell = {{ cmd = '''{script}''' }}\nenv = {{ S = \"{secret}\" }}\nignore_errors = true\n{more}"
        )
    };
    let mut tasks = vec![
        say(
            "printf '%s\\n' \"$S\"; printf '%s\\n' \"$S\" >&2; exit 3",
            "",
        ),
        say(
            "for p in '' x xy; do printf '%s%s~~~' \"$p\" \"$S\" | base64 -w0; echo; printf '%s%s' \"$p\" \"$S\" | base64 -w 16; done",
            "register = \"coded\"\n",
        ),
        // In two writes, each of which is sent on its way alone.
        say(
            "a=${S%????????}; printf %s \"$a\"; sleep 0.3; printf '%s\\n' \"${S#\"$a\"}\"; sleep 0.3; echo",
            "",
        ),
        say("exit 1", "failed_when = \"'x' in '' or result.rc == 1\"\n"),
    ];
    tasks.push(format!(
        "name = \"shown {secret}\"\ndebug = {{ msg = '''{secret} {{{{ {name} | b64encode }}}} {{{{ {name} | urlencode }}}} {{{{ {name} | quote }}}} {{{{ {name} | to_json }}}} {{{{ ('xy' ~ {name}) | b64encode }}}}''' }}"
    ));
    tasks.push(format!(
        "name = \"file\"\nfile = {{ path = \"HOST/{name}\", content = \"<{secret}>\", mode = \"0600\" }}"
    ));
    tasks.push(format!(
        "name = \"copied\"\ncopy = {{ dest = \"HOST/copied-{name}\", content = \"<{secret}>\", mode = \"0600\" }}"
    ));
    tasks.push(format!(
        "name = \"argument\"\ncommand = [\"echo\", \"{secret}\"]\nloop = [\"{secret}\"]\nregister = \"said\""
    ));
    tasks.push(format!(
        "name = \"stdin\"\ncommand = {{ argv = [\"cat\"], stdin = \"{secret}\" }}"
    ));
    tasks.push(format!(
        "name = \"wrong\"\nassert = {{ that = [\"{name} == ''\"], msg = \"it is {secret}\" }}\nignore_errors = true"
    ));
    let late = "name = \"late\"\nfile = { path = \"{{ said.results[0].stdout }}\", content = \"\" }\nignore_errors = true";
    tasks.push(late.to_string());
    tasks
}

fn all_tasks() -> Vec<String> {
    let mut tasks: Vec<String> = NAMES.iter().flat_map(|name| loud(name)).collect();
    tasks.push("name = \"template\"\ntemplate = { src = \"all.j2\", dest = \"HOST/all\", mode = \"0600\" }".to_string());
    tasks
}

#[test]
fn no_secret_is_shown_or_kept() {
    let Some(nest) = Nest::new(&all_tasks()) else {
        return;
    };
    for options in [
        &["--output", "plain", "--check", "--diff", "-vv"][..],
        &[
            "--output", "plain", "--diff", "-vv", "--log", "log.txt", "--timing",
        ],
        &["--output", "json", "-vv", "--diff", "--log", "log.json"],
        &["-v"],
    ] {
        let Some((shown, code)) = nest.play(options) else {
            return;
        };
        assert_eq!(code, 0, "{options:?}: {shown}");
        for canary in nest.canaries() {
            canary.absent("what is shown", shown.as_bytes());
            if !options.contains(&"-v") {
                let marker = format!("[secret {}]", canary.name);
                assert!(shown.contains(&marker), "{marker} in {shown}");
            }
        }
        nest.nothing_is_left();
    }
    // They have arrived.
    let all = std::fs::read_to_string(nest.host.path().join("all")).unwrap();
    let wanted: String = nest
        .canaries()
        .iter()
        .map(|canary| format!("{}\n", canary.value))
        .collect();
    assert_eq!(all, wanted);
    for canary in nest.canaries() {
        let file = std::fs::read_to_string(nest.host.path().join(canary.name)).unwrap();
        assert_eq!(file, format!("<{}>", canary.value));
        let copied = nest.host.path().join(format!("copied-{}", canary.name));
        assert_eq!(std::fs::read_to_string(copied).unwrap(), file);
    }
    let log = std::fs::read_to_string(nest.site.bench.path("log.txt")).unwrap();
    assert!(log.contains("TRACE"), "the log has no traces");
}

#[test]
fn no_secret_is_in_a_report_of_mistakes() {
    let tasks = all_tasks();
    let Some(mut nest) = Nest::new(&tasks) else {
        return;
    };
    nest.site.bench = nest.site.bench.file(
        "templates/all.j2",
        "{{ by_env }} {{ by_command }} {{ by_prompt }} {{ by_file }}\n{{ by_envv ~ by_file }}\n",
    );
    let Some((shown, code)) = nest.play(&[]) else {
        return;
    };
    assert_eq!(code, 5, "{shown}");
    assert!(shown.contains("`by_envv` is undefined"), "{shown}");
    for canary in nest.canaries() {
        canary.absent("what is shown", shown.as_bytes());
    }
    nest.nothing_is_left();
}

/// What the operator types is a secret, too.
#[test]
fn no_password_and_no_passphrase_is_shown() {
    let Some(user) = User::new("s", Path::new("/bin/sh")) else {
        return;
    };
    let (Some(_), Some(chpasswd)) = (sshd::program("sudo"), sshd::program("chpasswd")) else {
        return sshd::skip("sudo is not installed");
    };
    let [password, passphrase] = ["pass-w0rd", "pass-phr4se"].map(|name| Canary {
        name,
        value: format!("c4n'ary {name} {}", std::process::id()),
    });
    pipe(
        &mut Command::new(chpasswd),
        &format!("{}:{}\n", user.name, password.value),
    );
    let rule = Path::new("/etc/sudoers.d").join(&user.name);
    std::fs::write(&rule, format!("{} ALL=(ALL) ALL\n", user.name)).unwrap();
    std::fs::set_permissions(&rule, std::fs::Permissions::from_mode(0o440)).unwrap();
    let say = |canary: &Canary| {
        let text = toml(&format!("{}\n", canary.value));
        format!("shell = {{ cmd = \"cat; id -un\", stdin = {text} }}")
    };
    let playbook = crate::support::bench::play(&[&say(&password), &say(&passphrase)]);
    let site = Site::new(&user.name, &playbook.replacen("\n", "\nbecome = true\n", 1));
    let Some(site) = site else { return };
    let key = site.sshd.files.client_key();
    let changed = Command::new("ssh-keygen")
        .args(["-q", "-p", "-P", "", "-N", &passphrase.value, "-f"])
        .arg(&key)
        .stdout(Stdio::null())
        .status();
    assert!(changed.unwrap().success());
    let mut command = site.command(&["-K", "--output", "json", "--log", "log"]);
    command.env("RUNNER_LOG", "trace");
    let answers = [
        ("sudo password: ", password.value.as_str()),
        ("Passphrase for ", &passphrase.value),
    ];
    let shown = terminal::answered(&command, &answers);
    let _ = std::fs::remove_file(rule);
    let Some(shown) = shown else { return };
    assert_eq!(shown.code, 0, "{}", shown.text);
    assert!(
        shown.text.contains("[secret sudo password]"),
        "{}",
        shown.text
    );
    assert!(
        shown.text.contains("[secret passphrase of "),
        "{}",
        shown.text
    );
    assert!(shown.text.contains("root"), "{}", shown.text);
    for canary in [&password, &passphrase] {
        canary.absent("what is shown", shown.text.as_bytes());
        for path in files(site.bench.root()) {
            if path.file_name().is_some_and(|name| name != "play.toml") {
                canary.absent(&path.display().to_string(), &std::fs::read(&path).unwrap());
            }
        }
    }
}

fn pipe(command: &mut Command, text: &str) {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    assert!(child.wait().unwrap().success());
}
