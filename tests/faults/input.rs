//! What hosts say is data, guards hold on the host as well, and hosts that are missing count.

use crate::harness::{Case, MARK};
use crate::support::place::set_mode;
use crate::support::proxy::{At, Fault, to_client};
use crate::world::{Bad, World};
use std::fs;
use std::time::Duration;

/// How long a host may take to come as far as a case needs it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the homes of the hosts are, as a variable.
fn place(world: &World) {
    let vars = format!("hosts = \"{}/hosts\"\n", world.folder().display());
    fs::write(world.path("etc/place.toml"), vars).unwrap();
}

const PLACE: [&str; 2] = ["-e", "@etc/place.toml"];

/// What a host says so that somebody evaluates it.
const EVIL: &str = "{{ 7 * 6 }} {% for x in [1] %}x{% endfor %} {# gone #} $(id) `id` \"; id; '";

#[test]
fn what_a_host_says_is_never_evaluated() {
    let home = "{{ hosts }}/{{ inventory_hostname }}";
    let ran = Case::new([Bad::Host])
        .patient()
        .options(&PLACE)
        .prepare(|world| {
            place(world);
            for host in world.hosts() {
                fs::write(host.home.join("evil"), EVIL).unwrap();
            }
        })
        .tasks(&[
            "name = \"says\"\nshell = \"cat ~/evil\"\nregister = \"said\"\nchanged_when = false",
            "name = \"fact\"\nset_fact = { fact = \"{{ said.stdout }}\", list = [\"{{ said.stdout }}\"] }",
            &format!("name = \"file\"\nfile = {{ path = \"{home}/file\", content = \"{{{{ fact }}}}\" }}"),
            "name = \"words\"\ncommand = [\"sh\", \"-c\", 'printf %s \"$1\" >~/words', \"sh\", \"{{ fact }}\"]",
            "name = \"variable\"\nshell = 'printf %s \"$WORD\" >~/variable'\nenv = { WORD = \"{{ said.stdout }}\" }",
            "name = \"loop\"\nshell = 'printf %s \"$WORD\" >~/loop'\nenv = { WORD = \"{{ item }}\" }\nloop = \"{{ list }}\"",
            "name = \"compared\"\nassert = { that = [\"said.stdout == fact\", \"'7 * 6' in fact\", \"'42' not in fact\"] }",
        ])
        .within(PATIENCE)
        .run();
    let Some(ran) = ran else { return };
    for host in ran.world.hosts() {
        for name in ["file", "words", "variable", "loop"] {
            let text = fs::read_to_string(host.home.join(name)).unwrap();
            assert_eq!(text, EVIL, "{}: {name}", host.name);
        }
    }
}

/// A folder is swapped for a link behind the question's back: by the tool that the guard itself calls.
const STAT: &str = "#!/bin/sh\n\
    if [ -e \"$HOME/asked\" ] && [ ! -L \"$HOME/dir\" ]; then mv \"$HOME/dir\" \"$HOME/was\"; ln -s \"$HOME/decoy\" \"$HOME/dir\"; fi\n\
    : >\"$HOME/asked\"\n\
    exec /usr/bin/stat \"$@\"\n";

#[test]
fn a_path_that_is_swapped_for_a_link_is_refused() {
    let task = "name = \"fault\"\nwhen = \"'bad' in group_names\"\n\
        remove = \"{{ hosts }}/{{ inventory_hostname }}/dir/data\"\n\
        env = { PATH = \"{{ hosts }}/bad/bin:/usr/bin:/bin\" }";
    let ran = Case::new([Bad::Host])
        .patient()
        .options(&PLACE)
        .tasks(&[MARK, task])
        .prepare(|world| {
            place(world);
            let home = &world.bad[0].home;
            for folder in ["dir/data", "decoy/data", "bin"] {
                fs::create_dir_all(home.join(folder)).unwrap();
            }
            for folder in ["dir", "decoy"] {
                fs::write(home.join(folder).join("data/file"), "").unwrap();
            }
            fs::write(home.join("bin/stat"), STAT).unwrap();
            set_mode(&home.join("bin/stat"), 0o755);
        })
        .exits(9)
        .marks(1..=1)
        .says("refusing to remove FOLDER/hosts/bad/dir/data: it became a mount point or leads through a link")
        .within(PATIENCE)
        .run();
    let Some(ran) = ran else { return };
    let home = &ran.world.bad[0].home;
    assert!(home.join("dir").is_symlink(), "nothing was swapped");
    assert!(home.join("was/data/file").exists());
    assert!(home.join("decoy/data/file").exists());
}

/// Whether the second of two plays is begun when a host was lost in the first.
fn second(bad: Bad, fault: &str, exit: i32, promise: &str, begins: bool) {
    let fault = format!("name = \"fault\"\nwhen = \"'bad' in group_names\"\n{fault}");
    let next = "name = \"last\"\ndebug = \"x\"\n\n[[play]]\nhosts = \"all\"\n\n[[play.task]]\n\
                name = \"second\"\nshell = \"echo >~/second\"";
    let ran = Case::new([bad])
        .patient()
        .play(promise)
        .tasks(&[&fault, next])
        .exits(exit)
        .within(PATIENCE)
        .run();
    let Some(ran) = ran else { return };
    for host in &ran.world.good {
        let begun = host.home.join("second").exists();
        assert_eq!(
            begun,
            begins,
            "{}: {promise}\n{}",
            host.name,
            ran.out.text()
        );
    }
    assert!(!ran.world.bad[0].home.join("second").exists());
}

#[test]
fn failed_unknown_and_unreachable_hosts_count() {
    let loud = "shell = \"printf %65536s x\"";
    let cut = || Bad::link(vec![to_client(At::Byte(32 * 1024), Fault::Reset)]);
    let closed = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        Bad::At("127.0.0.1".into(), listener.local_addr().unwrap().port())
    };
    // One of 26 is 3.8 percent.
    for (promise, begins) in [
        ("any_errors_fatal = true", false),
        ("max_fail_percentage = 3", false),
        ("max_fail_percentage = 4", true),
        ("", true),
    ] {
        second(Bad::Host, "shell = \"exit 3\"", 2, promise, begins);
        second(cut(), loud, 16, promise, begins);
        second(closed(), loud, 4, promise, begins);
    }
}
