//! `remove`: no file and no directory there, with guards.

use super::files::answered;
use super::files::path::{self, word};
use super::files::state::{self, FileKind};
use super::{Arg, Args, Changes, Done, Failure, Found, Kind, Module, Script, Spec};
use crate::diagnostic::Problem;
use serde_json::{Map, Value};

/// No file and no directory there.
pub static SPEC: Spec = Spec {
    name: "remove",
    summary: "No file and no directory there",
    about: "Removes what is named: a file, a link (never what it leads to), a directory with all that is in it. What is \
            missing already is fine.\n\n\
            Guards refuse what nobody can have meant, and the run ends with exit code 9: `/`, a path of one part such as `/mnt`, a \
            relative path, `.` or `..` in a path, a `/` at its end (an empty variable looks like that), home directories, \
            well-known system directories, a mount point or a directory with one inside, and a path that leads through a symbolic \
            link. All but the last two are refused before any connection.\n\n\
            Registers `paths`.",
    args: &[
        Arg {
            name: "path",
            kind: Kind::Strings,
            required: true,
            default: "",
            doc: "What to remove: absolute paths.",
        },
        Arg {
            name: "recursive",
            kind: Kind::Boolean,
            required: false,
            default: "true",
            doc: "Whether a directory goes with all that is in it. `false`: only if it is empty.",
        },
    ],
    bare: "path",
    open: false,
    unseen: &[],
    example: r#"[[play.task]]
name = "no old data"
remove = { path = ["/tmp/zookeeper/data", "/tmp/zookeeper/logs"] }
"#,
    build,
};

/// Directories that are never removed as a whole.
const SYSTEM: &[&str] = &[
    "/boot/efi",
    "/etc/ssh",
    "/etc/systemd",
    "/opt/containerd",
    "/run/docker",
    "/run/systemd",
    "/usr/bin",
    "/usr/include",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/local",
    "/usr/local/bin",
    "/usr/local/lib",
    "/usr/local/sbin",
    "/usr/sbin",
    "/usr/share",
    "/usr/src",
    "/var/cache",
    "/var/lib",
    "/var/lib/containerd",
    "/var/lib/docker",
    "/var/lib/dpkg",
    "/var/lib/rpm",
    "/var/lib/systemd",
    "/var/log",
    "/var/mail",
    "/var/run",
    "/var/spool",
    "/var/tmp",
];

/// Trees in which nothing is removed, except in shared memory.
const KERNEL: &[&str] = &["/dev", "/proc", "/sys"];

/// Directories whose direct children are home directories.
const HOMES: &[&str] = &["/home", "/Users", "/export/home"];

/// The exit code of a script in which a guard refuses.
const REFUSED: i32 = 95;

#[derive(Debug)]
struct Remove {
    paths: Vec<String>,
    recursive: bool,
}

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    use crate::document::Data;
    let paths = args.strings("path")?;
    for (index, path) in paths.iter().enumerate() {
        let place = match args.get("path").map(|node| &node.data) {
            Some(Data::Array(items)) => items.get(index).map(|item| item.place.clone()),
            _ => None,
        };
        refuse(path).map_err(|problem| problem.at(place.unwrap_or_else(|| args.place("path"))))?;
    }
    if paths.is_empty() {
        return Err(args.problem("path", "`path` names no path"));
    }
    Ok(Box::new(Remove {
        paths: paths.iter().map(|path| normal(path)).collect(),
        recursive: args.boolean("recursive", true)?,
    }))
}

/// Without empty parts: `/a//b` is `/a/b`.
fn normal(path: &str) -> String {
    path.split('/')
        .filter(|part| !part.is_empty())
        .fold(String::new(), |whole, part| whole + "/" + part)
}

/// The guards that need no host.
fn refuse(path: &str) -> Result<(), Problem> {
    let refused = |why: &str| Problem::new(format!("refusing to remove `{path}`: {why}")).guard();
    if path.is_empty() {
        return Err(refused("the path is empty").help("is a variable in it empty?"));
    }
    path::check(path).map_err(Problem::guard)?;
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return Err(refused("it is the root of the file system"));
    }
    if path.ends_with('/') {
        return Err(refused("it ends in `/`")
            .help("is a variable at its end empty? if not, write it without the slash"));
    }
    if parts.iter().any(|part| matches!(*part, "." | "..")) {
        return Err(refused("it has `.` or `..` in it").help("write the path that is meant"));
    }
    if parts.len() < 2 {
        return Err(refused("it is a directory at the top").help("name what is to go inside it"));
    }
    let path = normal(path);
    let below = |tree: &str| path.starts_with(&format!("{tree}/"));
    if KERNEL.iter().any(|tree| below(tree)) && !below("/dev/shm") {
        return Err(refused("it belongs to the kernel"));
    }
    if SYSTEM.contains(&path.as_str()) {
        return Err(refused("it is a system directory").help("name what is to go inside it"));
    }
    if HOMES.contains(&path::parent(&path)) || HOMES.contains(&path.as_str()) {
        return Err(refused("it is a home directory").help("name what is to go inside it"));
    }
    Ok(())
}

/// As the kernel writes a mount point in its table: blanks and backslashes in octal.
fn mount_word(path: &str) -> String {
    let escaped = path
        .replace('\\', "\\134")
        .replace(' ', "\\040")
        .replace('\t', "\\011")
        .replace('\n', "\\012");
    word(&escaped)
}

/// `rn_guard` prints why the path may not go, or `ok`. `p` is the path, `d` its directory, `n` its name as `./NAME`, `m` its
/// name in the table of mounts.
const GUARD: &str = r#"rn_guard() {
  cd -P -- "$d" || return 1
  r=$(pwd -P; printf x); r=${r%??}
  [ "$r" = "$d" ] || { echo "link $r"; return 0; }
  # The parts of a line are only cut apart here; names in it have no blanks.
  if [ -r /proc/self/mountinfo ]; then
    while read -r _ _ _ _ at _; do
      case $at in "$m") echo "mount $p"; return 0 ;; "$m"/*) echo "mount $at"; return 0 ;; esac
    done </proc/self/mountinfo
  elif [ ! -L "$n" ] && df -P -- "$n" 2>/dev/null | grep -qF -- "% $p"; then echo "mount $p"; return 0; fi
  h=$(cd -P -- "${HOME:-/}" 2>/dev/null && pwd -P)
  if [ "$h" = "$p" ]; then echo "home $p"; return 0; fi
  echo ok
}
"#;

impl Remove {
    fn names(path: &str) -> String {
        format!(
            "p={}\nd={}\nn={}\nm={}\n",
            word(path),
            word(path::parent(path)),
            word(&format!("./{}", path::name(path))),
            mount_word(path)
        )
    }
}

impl Module for Remove {
    fn probe(&self) -> Option<Script> {
        let mut text = String::from(GUARD);
        for path in &self.paths {
            text.push_str(&Self::names(path));
            text.push_str(
                "s=$(rn_stat \"$p\") || exit 1\nprintf '%s\\n' \"$s\"\n\
                 case $s in missing|denied) ;; *) g=$(rn_guard) || exit 1; printf '%s' \"$g\"; printf '\\0' ;; esac\n",
            );
        }
        Some(Script::new(text))
    }

    fn changes(&self, found: &Found) -> Result<Changes, Failure> {
        answered(found, &self.paths[0])?;
        let mut rest = found.stdout.as_slice();
        let mut script = String::from(GUARD);
        let mut because = Vec::new();
        for path in &self.paths {
            let Some(status) = state::state(&mut rest)?.status(path)? else {
                continue;
            };
            let end = rest
                .iter()
                .position(|&byte| byte == 0)
                .unwrap_or(rest.len());
            judge(path, &String::from_utf8_lossy(&rest[..end]))?;
            rest = rest.get(end + 1..).unwrap_or_default();
            script.push_str(&Self::names(path));
            script.push_str(&self.command(status.kind));
            because.push(format!("{path} is {}", status.kind.words()));
        }
        if because.is_empty() {
            return Ok(Changes::none());
        }
        Ok(Changes::script(Script::new(script), because.join(", ")))
    }

    fn refusal(&self, done: &Done) -> Option<Failure> {
        if done.code != REFUSED {
            return None;
        }
        let said = String::from_utf8_lossy(&done.stderr);
        Some(Failure::guard(said.lines().last().unwrap_or_default()))
    }

    fn result(&self, _: &Found, _: &[Done]) -> Result<Map<String, Value>, Failure> {
        let paths = Value::from(self.paths.clone());
        Ok(Map::from_iter([("paths".to_string(), paths)]))
    }
}

impl Remove {
    /// Guards once more, then goes into the real parent, so that nobody can swap a directory above for a link. An
    /// earlier path may have taken this one along.
    fn command(&self, kind: FileKind) -> String {
        let remove = match kind {
            FileKind::Directory if self.recursive => "rm -rf -- \"$n\"",
            FileKind::Directory => "rmdir -- \"$n\"",
            _ => "rm -f -- \"$n\"",
        };
        format!(
            "( case $(rn_stat \"$p\") in missing) exit 0 ;; esac\n\
             g=$(rn_guard) || exit 1\n\
             [ \"$g\" = ok ] || {{ echo \"refusing to remove $p: it became a mount point or leads through a link\" >&2; exit {REFUSED}; }}\n\
             cd -P -- \"$d\" && r=$(pwd -P; printf x) && [ \"${{r%??}}\" = \"$d\" ] && {remove}\n) || exit\n"
        )
    }
}

/// What the guard on the host said.
fn judge(path: &str, said: &str) -> Result<(), Failure> {
    let refused = |why: String| Failure::guard(format!("refusing to remove {path}: {why}"));
    match said.split_once(' ') {
        None if said == "ok" => Ok(()),
        Some(("link", real)) => {
            let real = path::join(real, path::name(path));
            Err(
                refused(format!("it leads through a symbolic link to {real}"))
                    .help(format!("if that is meant, write {real}")),
            )
        }
        Some(("mount", at)) if at == path => Err(refused("it is a mount point".into())
            .help("unmount it first, or name what is to go inside it")),
        Some(("mount", at)) => {
            Err(refused(format!("{at} is mounted inside it")).help("unmount it first"))
        }
        Some(("home", _)) => {
            Err(refused("it is a home directory".into()).help("name what is to go inside it"))
        }
        _ => Err(Failure::new(format!(
            "the host answered `{}` where a guard's word was expected",
            said.escape_debug()
        ))),
    }
}
