//! A secret from each source goes every way that one can take, and appears nowhere that it should not.

use crate::keys::{encrypted, identity};
use crate::support::shell::toml;
use crate::support::site::{Site, User};
use crate::support::sshd;
use crate::support::terminal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// One secret, with the signs that encodings care for.
struct Canary {
    name: &'static str,
    value: String,
}

impl Canary {
    fn new(name: &'static str) -> Self {
        // No other test's, which may be shown right now.
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let id = std::process::id();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self {
            name,
            value: format!("c4n'ary-{name}/{id}.{count} \"%2x\\n+ü"),
        }
    }

    /// The ways in which it could be read, found without the program's own eyes.
    fn forms(&self) -> Vec<Vec<u8>> {
        let value = &self.value;
        let json = serde_json::to_string(value).unwrap();
        let mut forms: Vec<Vec<u8>> = vec![
            value.clone().into(),
            json.trim_matches('"').into(),
            value.replace('\'', r"'\''").into(),
            format!("{value:?}").trim_matches('"').into(),
            value
                .bytes()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
                .into(),
            value
                .bytes()
                .map(|byte| format!("%{byte:02X}"))
                .collect::<String>()
                .into(),
            url(value, "%20").into(),
            url(value, "+").into(),
        ];
        let list: Vec<String> = value.bytes().map(|byte| byte.to_string()).collect();
        forms.push(list.join(", ").into());
        for before in ["", "x", "xy"] {
            // What does not depend on what stands around it.
            let [one, other] = ["~~~", "   "]
                .map(|after| STANDARD_NO_PAD.encode(format!("{before}{value}{after}")));
            let same = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b);
            let same: Vec<u8> = same.map(|(a, _)| a).collect();
            forms.push(same[(before.len() * 8).div_ceil(6)..].to_vec());
        }
        forms
    }

    #[track_caller]
    fn absent(&self, place: &str, text: &[u8]) {
        for form in self.forms() {
            assert!(
                memchr::memmem::find(text, &form).is_none(),
                "{} is in {place} as {}:\n{}",
                self.name,
                String::from_utf8_lossy(&form),
                String::from_utf8_lossy(text)
            );
        }
    }
}

fn url(text: &str, blank: &str) -> String {
    let each = text.bytes().map(|byte| match byte {
        b' ' => blank.to_string(),
        byte if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    });
    each.collect()
}

/// All four sources.
struct Nest {
    site: Site,
    /// The folder that tasks work in.
    host: tempfile::TempDir,
    env: Canary,
    command: Canary,
    prompt: Canary,
    file: Canary,
}

impl Nest {
    fn new(tasks: &[String]) -> Option<Self> {
        let host = tempfile::tempdir().unwrap();
        let [env, command, prompt, file] =
            ["by_env", "by_command", "by_prompt", "by_file"].map(Canary::new);
        let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
        let playbook = crate::support::bench::play(&tasks)
            .replace("HOST", host.path().to_str().unwrap())
            .replacen(
                "hosts = \"all\"\n",
                "hosts = \"all\"\nsecrets.by_env = { env = \"CANARY\" }\nsecrets.by_prompt = { prompt = \"The prompted\" }\n",
                1,
            );
        let mut site = Site::here(&playbook)?;
        let root = site.bench.root().to_path_buf();
        let inventory = std::fs::read_to_string(root.join("inventory/hosts.toml")).unwrap();
        let key = identity(&root.join(".config/runner/age.txt"));
        let sealed = encrypted(&format!("db.password = {}\n", toml(&file.value)), &key);
        site.bench = site
            .bench
            .file(
                "inventory/hosts.toml",
                format!(
                    "{inventory}two = {{ connection = {{ transport = \"local\" }} }}\n[secrets]\n\
                     by_command = {{ command = [\"cat\", \"the-secret\"] }}\n\
                     by_file = {{ file = \"../secrets.toml.age\", key = \"db.password\" }}\n"
                ),
            )
            .file("the-secret", format!("{}\n", command.value))
            .file("secrets.toml.age", sealed)
            .file(
                "templates/all.j2",
                "{{ by_env }}\n{{ by_command }}\n{{ by_prompt }}\n{{ by_file }}\n",
            )
            .file("tmp/.keep", "");
        Some(Self {
            site,
            host,
            env,
            command,
            prompt,
            file,
        })
    }

    fn canaries(&self) -> [&Canary; 4] {
        [&self.env, &self.command, &self.prompt, &self.file]
    }

    /// Plays on a terminal; what it showed, and the exit code.
    fn play(&self, options: &[&str]) -> Option<(String, i32)> {
        let mut command = self
            .site
            .command(&[&["--color", "never"], options].concat());
        command
            .env("CANARY", &self.env.value)
            .env("TMPDIR", self.site.bench.path("tmp"))
            .env("RUNNER_LOG", "trace");
        let shown = terminal::answered(&command, &[("The prompted: ", &self.prompt.value)])?;
        Some((shown.text, shown.code))
    }

    /// Nothing in the folder that the program runs in has a secret, but where the test has put it.
    #[track_caller]
    fn nothing_is_left(&self) {
        for path in files(self.site.bench.root()) {
            if path.file_name().is_some_and(|name| name != "the-secret") {
                let content = std::fs::read(&path).unwrap();
                for canary in self.canaries() {
                    canary.absent(&path.display().to_string(), &content);
                }
            }
        }
        assert_eq!(
            files(&self.site.bench.path("tmp")).len(),
            1,
            "a temporary file is left"
        );
        for path in files(self.host.path()) {
            assert!(!path.to_string_lossy().contains(".runner-"), "{path:?}");
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if path.is_file() {
            all.push(path);
        }
    }
    all
}

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

/// Tells that it has come to its place, and goes on when somebody has looked at all processes.
fn stand(number: usize) -> String {
    format!(
        "touch HOST/here-{number}-{{{{ inventory_hostname }}}}; until [ -e HOST/go-{number}-{{{{ inventory_hostname }}}} ]; do sleep 0.02; done"
    )
}

#[test]
fn no_secret_is_in_the_list_of_processes() {
    let all = "{{ by_env }}{{ by_command }}{{ by_prompt }}{{ by_file }}";
    let text = "{{ (by_env ~ by_command ~ by_prompt ~ by_file) | quote }}";
    let task = |number: usize, body: &str| {
        format!("name = \"{number}\"\n{body}").replace("STAND", &stand(number))
    };
    let mut bodies = vec![
        format!("file = {{ path = \"HOST/{{{{ inventory_hostname }}}}\", content = \"{all}\" }}"),
        "template = { src = \"all.j2\", dest = \"HOST/all-{{ inventory_hostname }}\" }".to_string(),
        format!("line = {{ path = \"HOST/{{{{ inventory_hostname }}}}\", line = \"more {all}\" }}"),
        format!("shell = {{ cmd = \"cat >/dev/null; STAND\", stdin = \"{all}\" }}"),
    ];
    for more in [
        "",
        ", executable = \"bash\"",
        ", executable = \"/bin/dash\"",
        ", stdin = \"x\", chdir = \"/\"",
    ] {
        let shell = format!("shell = {{ cmd = \"S={text}; STAND; [ -n \\\"$S\\\" ]\"{more} }}");
        bodies.push(shell.clone());
        bodies.push(format!("become = true\n{shell}"));
    }
    bodies.push(format!(
        "command = {{ cmd = \"true\", unless = \": {text}; STAND\" }}"
    ));
    bodies.push(format!(
        "become = true\nscript = {{ src = \"say\", unless = \": {text}; STAND; exit 1\" }}"
    ));
    let tasks: Vec<String> = (bodies.iter().enumerate())
        .map(|(number, body)| task(number, body))
        .collect();
    let stands = tasks.iter().filter(|task| task.contains("touch")).count();
    let Some(mut nest) = Nest::new(&tasks) else {
        return;
    };
    if sshd::program("sudo").is_none() {
        return sshd::skip("sudo is not installed");
    }
    nest.site.bench = nest.site.bench.file("files/say", "echo hello\n");
    let host = nest.host.path().to_path_buf();
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut seen = Vec::new();
            let mut looks = 0;
            while !over.load(Ordering::SeqCst) {
                let standing: Vec<String> = std::fs::read_dir(&host)
                    .unwrap()
                    .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
                    .filter_map(|name| Some(format!("go{}", name.strip_prefix("here")?)))
                    .filter(|go| !host.join(go).exists())
                    .collect();
                seen.extend(processes(&nest));
                for go in standing {
                    std::fs::write(host.join(go), "").unwrap();
                    looks += 1;
                }
            }
            (seen, looks)
        });
        let played = nest.play(&[]);
        over.store(true, Ordering::SeqCst);
        let (seen, looks) = looking.join().unwrap();
        let Some((shown, code)) = played else { return };
        assert_eq!(code, 0, "{shown}");
        assert_eq!(seen, Vec::<String>::new());
        assert_eq!(looks, 2 * stands, "{shown}");
        assert!(!shown.contains("list of processes"), "{shown}");
    });
}

/// Where in the list of processes a secret stands; the one in the environment of the program itself was given to it.
fn processes(nest: &Nest) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path();
        let Ok(line) = std::fs::read(path.join("cmdline")) else {
            continue;
        };
        let ours = ["script", "/runner", "runner:"].iter().any(|name| {
            let line = String::from_utf8_lossy(&line);
            line.split('\0').next().unwrap_or("").contains(name)
                || line.starts_with("sh\0-c\0") && line.contains("/runner")
        });
        let environ = std::fs::read(path.join("environ")).unwrap_or_default();
        for canary in nest.canaries() {
            for form in canary.forms() {
                let holds = |text: &[u8]| memchr::memmem::find(text, &form).is_some();
                if holds(&line) || holds(&environ) && !(ours && canary.name == "by_env") {
                    found.push(format!(
                        "{}: {} with {}",
                        canary.name,
                        String::from_utf8_lossy(&line),
                        String::from_utf8_lossy(&environ)
                    ));
                }
            }
        }
    }
    found
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

#[test]
fn an_argument_is_warned_of_once() {
    let tasks = [
        "command = [\"true\", \"{{ by_env }}\"]\nloop = [1, 2]",
        "command = { argv = [\"cat\"], stdin = \"{{ by_env }}\" }",
    ];
    let Some(nest) = Nest::new(&tasks.map(String::from)) else {
        return;
    };
    let ran = nest
        .site
        .command(&[])
        .env("CANARY", &nest.env.value)
        .output()
        .unwrap();
    let err = String::from_utf8(ran.stderr).unwrap();
    let out = String::from_utf8(ran.stdout).unwrap();
    let warning = "play.toml:7:1: the command has a secret in it, which the host's list of processes shows: hand it over with `env` or `stdin`";
    assert_eq!(
        format!("{out}{err}").matches(warning).count(),
        1,
        "{out}{err}"
    );
}
