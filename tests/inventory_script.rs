//! Dynamic inventories: scripts that speak Ansible's protocol.

#![allow(clippy::panic, clippy::unwrap_used)]

use runner::inventory::Inventory;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Writes a script. Another process does it: a file that this one had open for writing could still be held by a
/// child that another test is just starting, and then the system refuses to run it.
fn script(folder: &TempDir, name: &str, body: &str) -> PathBuf {
    let path = folder.path().join(name);
    let made = Command::new("sh")
        .args(["-c", r#"printf '#!/bin/sh\n%s\n' "$1" >"$0""#])
        .arg(&path)
        .arg(body)
        .status()
        .unwrap();
    assert!(made.success());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn load(path: &Path) -> Inventory {
    Inventory::load(&[path.to_path_buf()]).unwrap_or_else(|problems| panic!("{problems}"))
}

/// The problems, with the folder's name taken out.
fn refused(folder: &TempDir, path: &Path) -> String {
    match Inventory::load(&[path.to_path_buf()]) {
        Ok(_) => panic!("this was taken: {}", path.display()),
        Err(problems) => problems
            .to_string()
            .replace(&format!("{}/", folder.path().display()), ""),
    }
}

fn vars(inventory: &Inventory, host: &str) -> String {
    let vars = inventory.variables(host);
    let vars = vars.iter().map(|variable| {
        let value = variable.value.to_value();
        format!("{}={value} ({})", variable.name, variable.origin)
    });
    vars.collect::<Vec<_>>().join(" ")
}

#[test]
fn groups_as_tables_and_lists_with_meta() {
    let folder = tempfile::tempdir().unwrap();
    let path = script(
        &folder,
        "cloud",
        r#"[ "$1" = --list ] || exit 9
cat <<'EOF'
{
  "_meta": { "hostvars": { "w1": { "ansible_host": "10.0.0.1", "ansible_port": "2222", "ansible_user": "ops",
    "ansible_ssh_private_key_file": "keys/id", "rack": 7 } } },
  "all": { "children": ["ungrouped", "web"], "vars": { "zone": "a" } },
  "web": ["w1", "w2"],
  "site": { "children": ["web", "cache"], "vars": { "ansible_port": 22, "tier": "front" } },
  "cache": { "hosts": ["c1"] },
  "empty": {}
}
EOF"#,
    );
    let inventory = load(&path);
    let names: Vec<&str> = inventory
        .hosts()
        .iter()
        .map(|host| host.name.as_str())
        .collect();
    assert_eq!(names, ["w1", "w2", "c1"]);
    let w1 = inventory.host("w1").unwrap();
    assert_eq!(w1.groups, ["web", "site"]);
    assert_eq!(w1.connection.address.as_deref(), Some("10.0.0.1"));
    assert_eq!(w1.connection.port, Some(2222));
    assert_eq!(w1.connection.user.as_deref(), Some("ops"));
    assert_eq!(
        w1.connection.identity_file,
        Some(vec![folder.path().join("keys/id")])
    );
    assert_eq!(inventory.host("c1").unwrap().connection.port, Some(22));
    assert_eq!(
        vars(&inventory, "w1"),
        r#"zone="a" (group all) tier="front" (group site) rack=7 (host w1)"#
    );
    assert!(inventory.group("empty").unwrap().hosts.is_empty());
}

#[test]
fn without_meta_each_host_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = script(
        &folder,
        "old",
        r#"case "$1" in
--list) echo '{ "web": { "hosts": ["w1", "w2"] }, "lone": { "color": "red" } }' ;;
--host) [ "$2" = w1 ] && echo '{ "rack": 1 }'; exit 0 ;;
esac"#,
    );
    let inventory = load(&path);
    assert_eq!(vars(&inventory, "w1"), "rack=1 (host w1)");
    assert_eq!(vars(&inventory, "w2"), "");
    assert_eq!(vars(&inventory, "lone"), r#"color="red" (group lone)"#);
}

#[test]
fn a_folder_of_files_and_scripts_is_one_inventory() {
    let folder = tempfile::tempdir().unwrap();
    script(
        &folder,
        "20-cloud",
        r#"echo '{ "web": ["w1", "w2"], "_meta": {} }'"#,
    );
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "10-hosts.toml",
        "[hosts]\nw1 = { groups = [\"blue\"], vars = { rack = 3 } }\n",
    );
    write(
        "30-groups.toml",
        "[groups]\nsite = { children = [\"web\"] }\nred = { hosts = [\"w2\"] }\n",
    );
    write("README.md", "not an inventory");
    write(".hidden.toml", "nonsense");
    let inventory = load(folder.path());
    assert_eq!(inventory.group_names("w1"), ["web", "site", "blue"]);
    assert_eq!(inventory.group_names("w2"), ["web", "site", "red"]);
    assert_eq!(vars(&inventory, "w1"), "rack=3 (host w1)");
}

#[test]
fn what_a_failing_script_said_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = script(
        &folder,
        "cloud",
        "echo 'no \u{1b}[31mcredentials' >&2; exit 3",
    );
    assert_eq!(
        refused(&folder, &path),
        "\
error: cloud: `--list` failed with exit code 3
   = help: it said: no  [31mcredentials
"
    );
}

#[test]
fn what_is_not_json_is_shown_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = script(&folder, "cloud", r#"printf '{\n  "web": [w1]\n}\n'"#);
    assert_eq!(
        refused(&folder, &path),
        "\
error: what `--list` printed is not JSON: expected value
  --> cloud:2:11
   |
 2 |   \"web\": [w1]
   |           ^
"
    );
}

#[test]
fn every_problem_of_a_script_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let path = script(
        &folder,
        "cloud",
        r#"cat <<'EOF'
{ "web": { "hosts": "w1" }, "db": { "hosts": ["d1", "../x"], "vars": [1] }, "n": 4,
  "_meta": { "hostvars": { "d1": { "ansible_port": 0 } } } }
EOF"#,
    );
    assert_eq!(
        refused(&folder, &path),
        "\
error: cloud: the hosts of group `web` are not a list of names

error: cloud: the variables of group db are not an object

error: cloud: group `n` is neither a list of hosts nor an object

error: 0 is not a port
  --> cloud:1:25
   |
 1 | host d1: ansible_port = 0
   |                         ^ 1 to 65535

error: cloud: \"../x\" cannot be the name of a host: it starts with `.`
"
    );
}

#[test]
fn a_script_that_cannot_be_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = script(&folder, "cloud", "");
    std::fs::write(&path, "no program\n").unwrap();
    assert_eq!(
        refused(&folder, &path),
        "\
error: cloud: cannot run it: exec format error
   = help: a script begins with a line such as `#!/bin/sh`
"
    );
}

#[test]
fn paths_that_are_no_inventory() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let ini = write("hosts.ini", "[web]\nw1\n");
    assert_eq!(
        refused(&folder, &ini),
        "\
error: hosts.ini is no inventory: `.ini` files are not read
   = help: an inventory is a `.toml` file, or an executable file that prints JSON when run with `--list`
"
    );
    let script = write("script", "#!/bin/sh\n");
    assert_eq!(
        refused(&folder, &script),
        "error: script is a script but not executable\n   = help: chmod +x script\n"
    );
    assert_eq!(
        refused(&folder, &folder.path().join("gone.toml")),
        "\
error: cannot read the inventory gone.toml: no such file or directory
   = help: name one with `-i FILE` or `-i FOLDER`
"
    );
    let empty = tempfile::tempdir().unwrap();
    let said = refused(&empty, empty.path());
    assert!(
        said.starts_with("error: there is no inventory in /"),
        "{said}"
    );
}

#[test]
fn hosts_named_on_the_command_line() {
    let inventory = load(Path::new("web[1:2],db1,"));
    let names: Vec<&str> = inventory
        .hosts()
        .iter()
        .map(|host| host.name.as_str())
        .collect();
    assert_eq!(names, ["web1", "web2", "db1"]);
}
