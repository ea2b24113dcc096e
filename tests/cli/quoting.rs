//! Any text but NUL reaches a program on the host as it is: as an argument, an environment variable, standard input, a
//! quoted word in a shell's text and a file's content and path, through every login shell and `sudo`.

use crate::support::bench::play;
use crate::support::site::{Site, User};
use crate::support::sshd;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::Cell;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Loops over the values; every task appends what arrived to a file of its own, each behind its predecessor's NUL.
const TASKS: &[(&str, &str)] = &[
    (
        "argument",
        r#"command = ["sh", "-c", "printf '%s\\0' \"$1\" >>{{ folder }}/argument", "sh", "{{ item }}"]"#,
    ),
    (
        "environment",
        "shell = \"printf '%s\\\\0' \\\"$V\\\" >>{{ folder }}/environment\"\nenv = { V = \"{{ item }}\" }",
    ),
    (
        "input",
        r#"shell = { cmd = "{ cat; printf '\\0'; } >>{{ folder }}/input", stdin = "{{ item }}" }"#,
    ),
    (
        "word",
        r#"shell = "printf '%s\\0' {{ item | quote }} >>{{ folder }}/word""#,
    ),
];

/// How many values each run takes.
const VALUES: usize = 24;

fn value() -> impl Strategy<Value = String> {
    let hostile = prop::sample::select(vec![
        "'",
        "\"",
        "\\",
        "$",
        "`",
        "\n",
        "\r",
        "\t",
        " ",
        "!",
        "*",
        "~",
        "-",
        "%",
        "&",
        ";",
        "|",
        "<",
        ">",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        "#",
        "=",
        "^",
        "?",
        "$(id)",
        "${HOME}",
        "\\'",
        "'\\''",
        "EOF\n",
        "\u{1b}[2J",
        "\u{7f}",
        "\u{80}",
        "é",
        "\u{202e}",
        "\u{feff}",
        "日",
        "a",
    ]);
    let text = prop_oneof![
        prop::collection::vec(hostile, 0..12).prop_map(|parts| parts.concat()),
        prop::collection::vec(any::<char>(), 0..40).prop_map(String::from_iter),
        prop::collection::vec(1u8..128, 0..40).prop_map(|bytes| String::from_utf8(bytes).unwrap()),
    ];
    // What looks like a template is one: that is for the tests of templates.
    text.prop_filter("no NUL and no template", |text| {
        !text.contains('\0') && !["{{", "{%", "{#"].iter().any(|open| text.contains(open))
    })
}

fn playbook(folder: &Path, values: &[String], become_: bool) -> String {
    let tasks: Vec<String> = TASKS
        .iter()
        .map(|(name, task)| format!("name = \"{name}\"\n{task}\nloop = \"{{{{ values }}}}\""))
        .chain([
            "name = \"content\"\nfile = { path = \"{{ folder }}/content{{ n }}\", content = \"{{ values[n | int] }}\" }\n\
             loop = \"{{ range(values | length) | list }}\"\nvars = { n = \"{{ item }}\" }"
                .to_string(),
        ])
        .collect();
    let tasks: Vec<&str> = tasks.iter().map(String::as_str).collect();
    let vars = toml::to_string(&serde_json::json!({
        "vars": { "folder": folder, "values": values },
    }));
    let head = format!("hosts = \"all\"\nbecome = {become_}\n");
    let vars = vars.unwrap().replace("[vars]", "[play.vars]");
    play(&tasks).replacen("hosts = \"all\"\n", &format!("{head}\n{vars}"), 1)
}

fn shell(name: &str, folder: &Path) -> Option<PathBuf> {
    let Some(program) = sshd::program(name) else {
        sshd::skip(&format!("{name} is not installed"));
        return None;
    };
    // One program with many names must be called by the right one.
    let path = folder.join("sh");
    std::os::unix::fs::symlink(program, &path).unwrap();
    Some(path)
}

fn survives(tag: &str, name: &str, become_: bool) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let Some(shell) = shell(name, folder.path()) else {
        return;
    };
    let Some(user) = User::new(tag, &shell) else {
        return;
    };
    let rule = become_.then(|| {
        let rule = format!("{} ALL=(ALL) NOPASSWD: ALL", user.name);
        crate::rights::Rule::new(&user, &rule)
    });
    let Some(site) = Site::new(&user.name, "") else {
        return;
    };
    let round = Cell::new(0);
    let config = Config {
        cases: 4,
        max_shrink_iters: 40,
        failure_persistence: None,
        ..Config::default()
    };
    let values = prop::collection::vec(value(), VALUES..=VALUES);
    let result = TestRunner::new(config).run(&values, |values| {
        round.set(round.get() + 1);
        let here = folder.path().join(format!("{}", round.get()));
        std::fs::create_dir(&here).unwrap();
        std::fs::set_permissions(&here, std::fs::Permissions::from_mode(0o777)).unwrap();
        std::fs::write(
            site.bench.path("play.toml"),
            playbook(&here, &values, become_),
        )
        .unwrap();
        let ran = site.play(&[]);
        prop_assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
        for (name, _) in TASKS {
            let found = std::fs::read(here.join(name)).unwrap();
            let wanted: Vec<u8> = values
                .iter()
                .flat_map(|value| [value.as_bytes(), b"\0"].concat())
                .collect();
            prop_assert_eq!(
                String::from_utf8_lossy(&found),
                String::from_utf8_lossy(&wanted),
                "as {}",
                name
            );
        }
        for (index, value) in values.iter().enumerate() {
            let found = std::fs::read(here.join(format!("content{index}"))).unwrap();
            prop_assert_eq!(String::from_utf8_lossy(&found), value.as_str());
        }
        Ok(())
    });
    drop(rule);
    if let Err(error) = result {
        panic!("{error}");
    }
}

#[test]
fn through_dash() {
    survives("qd", "dash", false);
}

#[test]
fn through_bash() {
    survives("qb", "bash", false);
}

#[test]
fn through_busybox() {
    survives("qx", "busybox", false);
}

#[test]
fn through_sudo() {
    if sshd::program("sudo").is_none() {
        return sshd::skip("sudo is not installed");
    }
    survives("qs", "bash", true);
}
