//! `runner demo`: 26 throw-away SSH hosts inside this process, and a playbook on them, twice.

use super::perform::Keeping;
use super::{Answer, Cli, Command, Refusal, play, print};
use crate::demo::server::Server;
use crate::diagnostic::{Problem, Source};
use crate::exit;
use crate::inventory::Inventory;
use clap::Parser;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};
use std::fmt::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What the program is shipped with, so that the demo works from the binary alone.
const INVENTORY: &str = include_str!("../../inventory/hosts.toml");
const PLAYBOOK: &str = include_str!("../../playbooks/quickstart.toml");
const TEMPLATE: &str = include_str!("../../playbooks/templates/quickstart.conf");

/// Play a small playbook on 26 throw-away hosts, twice
///
/// The hosts live inside this process, on loopback, each with a home of its own in a temporary folder: real
/// SSH and a real shell, but no root, no network and nothing to install.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Keep the folder with the hosts' files
    #[arg(long)]
    keep: bool,
    /// Options for `runner play`, such as --diff or --limit
    #[arg(value_name = "OPTION", last = true)]
    play: Vec<String>,
}

pub(super) fn run(options: &Options) -> Answer {
    let folder = tempfile::Builder::new()
        .prefix("runner-demo-")
        .tempdir()
        .map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(failed)?;
    let servers = runtime.block_on(lay_out(folder.path()))?;
    print(&format!(
        "{} SSH hosts on loopback, their files in {}\n",
        servers.len(),
        folder.path().display()
    ))?;
    print("\nThe first run:\n")?;
    let mut code = once(folder.path(), &options.play)?;
    if code == exit::OK {
        print("\nThe second run:\n")?;
        code = once(folder.path(), &options.play)?;
    }
    drop(servers);
    runtime.shutdown_background();
    if options.keep {
        print(&format!(
            "\nThe files are kept in {}\n",
            folder.keep().display()
        ))?;
    }
    Ok(code)
}

/// Starts the hosts and writes everything that `runner play` needs to know of them.
async fn lay_out(folder: &Path) -> Result<Vec<Server>, Refusal> {
    let shipped = Inventory::from_sources(&[Source::new("inventory/hosts.toml", INVENTORY)])?;
    let key = PrivateKey::random(&mut russh::keys::key::safe_rng(), Algorithm::Ed25519)
        .map_err(failed)?;
    let text = key.to_openssh(LineEnding::LF).map_err(failed)?;
    write(&folder.join("key"), &text, 0o600)?;
    let mut servers = Vec::new();
    let known_hosts = folder.join("known_hosts");
    let mut inventory = format!(
        "[connection]\nuser = \"demo\"\nuser_known_hosts_file = {}\n\n[hosts]\n",
        serde_json::json!(known_hosts)
    );
    let mut known = String::new();
    for host in shipped.hosts() {
        let home = folder.join("hosts").join(&host.name);
        std::fs::create_dir_all(&home).map_err(failed)?;
        let server = Server::start(&host.name, home, key.public_key().clone())
            .await
            .map_err(failed)?;
        // Writing to a string cannot fail.
        let _ = writeln!(
            inventory,
            "{} = {{ address = \"127.0.0.1\", port = {}, groups = {}, vars = {} }}",
            host.name,
            server.addr.port(),
            serde_json::json!(own_groups(&shipped, &host.name)),
            numbers(&shipped, &host.name),
        );
        let host_key = server.host_key.to_openssh().map_err(failed)?;
        let _ = writeln!(known, "[127.0.0.1]:{} {host_key}", server.addr.port());
        servers.push(server);
    }
    inventory.push_str("\n[groups]\n");
    for group in shipped
        .groups()
        .iter()
        .filter(|group| group.name != "all" && !group.children.is_empty())
    {
        let _ = writeln!(
            inventory,
            "{} = {{ children = {} }}",
            group.name,
            serde_json::json!(group.children)
        );
    }
    write(&folder.join("inventory.toml"), &inventory, 0o600)?;
    write(&known_hosts, &known, 0o600)?;
    write(&folder.join("ssh_config"), "", 0o600)?;
    write(&folder.join("quickstart.toml"), PLAYBOOK, 0o600)?;
    std::fs::create_dir(folder.join("templates")).map_err(failed)?;
    write(&folder.join("templates/quickstart.conf"), TEMPLATE, 0o600)?;
    Ok(servers)
}

fn own_groups(inventory: &Inventory, host: &str) -> Vec<String> {
    let owns =
        |group: &&crate::inventory::Group| group.own_hosts.iter().any(|own| own.name == host);
    let named = inventory
        .groups()
        .iter()
        .filter(|group| !["all", "ungrouped"].contains(&group.name.as_str()));
    named.filter(owns).map(|group| group.name.clone()).collect()
}

/// The whole numbers among a host's variables, such as `zk_id`, as a TOML table.
fn numbers(inventory: &Inventory, host: &str) -> String {
    let table = inventory.variable_table(host);
    let numbers = table.iter().filter_map(|entry| {
        let number = entry.value.integer().ok()?;
        Some(format!("{} = {number}", entry.key))
    });
    format!("{{ {} }}", numbers.collect::<Vec<_>>().join(", "))
}

fn once(folder: &Path, more: &[String]) -> Answer {
    let at = |name: &str| folder.join(name).display().to_string();
    let words = [
        "runner".to_string(),
        "play".to_string(),
        at("quickstart.toml"),
        format!("--inventory={}", at("inventory.toml")),
        format!("--key={}", at("key")),
        format!("--ssh-config={}", at("ssh_config")),
        format!(
            "--extra-vars=root={}/{{{{ inventory_hostname }}}}",
            at("hosts")
        ),
    ];
    let cli = Cli::try_parse_from(words.iter().chain(more))
        .map_err(|error| Problem::new(error.to_string().trim().to_string()))?;
    match cli.command {
        // Its hosts are gone with this process.
        Command::Play(mut options) => {
            options.unjournaled = true;
            play::run(&options, &Keeping::Off)
        }
        _ => Ok(exit::DEFECT),
    }
}

fn write(path: &PathBuf, text: &str, mode: u32) -> Result<(), Refusal> {
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(failed)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)?;
    file.set_permissions(std::fs::Permissions::from_mode(mode))
        .map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> Refusal {
    Refusal {
        problems: Problem::new(format!("the demo cannot start: {error}")).into(),
        code: exit::DEFECT,
    }
}
