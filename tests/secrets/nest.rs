//! Secrets that are easily found again, and a site whose playbook has one from each source.

use crate::keys::{encrypted, identity};
use crate::support::shell::toml;
use crate::support::site::Site;
use crate::support::terminal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// One secret, with the signs that encodings care for.
pub struct Canary {
    pub name: &'static str,
    pub value: String,
}

impl Canary {
    pub fn new(name: &'static str) -> Self {
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
    pub fn forms(&self) -> Vec<Vec<u8>> {
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
    pub fn absent(&self, place: &str, text: &[u8]) {
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
pub struct Nest {
    pub site: Site,
    /// The folder that tasks work in.
    pub host: tempfile::TempDir,
    pub env: Canary,
    command: Canary,
    prompt: Canary,
    file: Canary,
}

impl Nest {
    pub fn new(tasks: &[String]) -> Option<Self> {
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

    pub fn canaries(&self) -> [&Canary; 4] {
        [&self.env, &self.command, &self.prompt, &self.file]
    }

    /// Plays on a terminal; what it showed, and the exit code.
    pub fn play(&self, options: &[&str]) -> Option<(String, i32)> {
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
    pub fn nothing_is_left(&self) {
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

pub fn files(folder: &Path) -> Vec<PathBuf> {
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
