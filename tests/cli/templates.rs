//! Mistakes in templates and variables, found for every host before the first connection.

use crate::support::bench::{Bench, play, refused};

#[test]
fn syntax_of_expressions() {
    refused(
        play(&["debug = { msg = \"{{ a + }}\" }\nwhen = \"a ==\"\nname = \"x {% if %}\""]),
        r#"
error: template syntax: unexpected end of variable block
  --> play.toml:5:25
   |
 5 | debug = { msg = "{{ a + }}" }
   |                         ^^

error: template syntax: unexpected end of input, expected expression
  --> play.toml:6:11
   |
 6 | when = "a =="
   |           ^^

error: template syntax: unexpected end of block
  --> play.toml:7:17
   |
 7 | name = "x {% if %}"
   |                 ^^
"#,
    );
}

#[test]
fn undefined_names() {
    refused(
        play(&[
            "debug = { msg = \"{{ inventory_hostnam }}\" }",
            "command = \"uptime\"\nwhen = \"colour == 'red'\"",
            "command = \"echo {{ item }}\"\nloop = \"servers\"",
            "name = \"for {{ whom }}\"\ncommand = \"uptime\"",
            "command = \"uptime\"\nenv = { A = \"{{ nobody }}\" }",
            "debug = { msg = \"{{ item }}\" }",
        ]),
        r#"
error: `inventory_hostnam` is undefined
  --> play.toml:5:21
   |
 5 | debug = { msg = "{{ inventory_hostnam }}" }
   |                     ^^^^^^^^^^^^^^^^^ for host one
   = help: did you mean `inventory_hostname`?

error: `colour` is undefined
  --> play.toml:9:9
   |
 9 | when = "colour == 'red'"
   |         ^^^^^^ for host one

error: `servers` is undefined
   --> play.toml:13:9
    |
 13 | loop = "servers"
    |         ^^^^^^^ for host one

error: `whom` is undefined
   --> play.toml:16:16
    |
 16 | name = "for {{ whom }}"
    |                ^^^^ for host one

error: `nobody` is undefined
   --> play.toml:21:17
    |
 21 | env = { A = "{{ nobody }}" }
    |                 ^^^^^^ for host one

error: `item` is undefined
   --> play.toml:24:21
    |
 24 | debug = { msg = "{{ item }}" }
    |                     ^^^^ for host one
    = help: only a task with `loop` has it
"#,
    );
}

/// The place is in the file of the template, also where that is included by another.
#[test]
fn template_files() {
    let playbook = play(&[
        "template = { src = \"a.conf\", dest = \"/tmp/a\" }",
        "template = { src = \"syntax.conf\", dest = \"/tmp/b\" }",
        "template = { src = \"outer.conf\", dest = \"/tmp/c\" }",
        "template = { src = \"lost.conf\", dest = \"/tmp/d\" }",
    ]);
    Bench::with(playbook)
        .file("templates/a.conf", "first = 1\nsecond = {{ secnd }}\n")
        .file(
            "templates/syntax.conf",
            "first = 1\n{% for x in %}\n{% endfor %}\n",
        )
        .file(
            "templates/outer.conf",
            "first = 1\n{% include 'inner.conf' %}\n",
        )
        .file("templates/inner.conf", "x\n\n  y {{ nope }}\n")
        .file(
            "templates/lost.conf",
            "first = 1\n{% include 'none.conf' %}\n",
        )
        .refuses(
            &["play", "play.toml"],
            5,
            r#"
error: `secnd` is undefined
  --> templates/a.conf:2:13
   |
 2 | second = {{ secnd }}
   |             ^^^^^ for host one

error: template syntax: unexpected end of block
  --> templates/syntax.conf:2:13
   |
 2 | {% for x in %}
   |             ^^ for host one

error: `nope` is undefined
  --> templates/inner.conf:3:8
   |
 3 |   y {{ nope }}
   |        ^^^^ for host one

error: tried to include non-existing template 'none.conf'
  --> templates/lost.conf:2:4
   |
 2 | {% include 'none.conf' %}
   |    ^^^^^^^^^^^^^^^^^^^ for host one
"#,
        );
}

#[test]
fn variables_in_a_circle() {
    refused(
        "[[play]]\nhosts = \"all\"\nvars = { a = \"{{ b }}\", b = \"{{ c }}\", c = \"x{{ a }}\" }\n\n\
         [[play.task]]\ndebug = { msg = \"{{ a }}\" }\n",
        r#"
error: `a` refers to itself: a -> b -> c -> a
  --> play.toml:3:14
   |
 3 | vars = { a = "{{ b }}", b = "{{ c }}", c = "x{{ a }}" }
   |              ^^^^^^^^^ for host one
"#,
    );
    Bench::with(play(&["debug = { msg = \"{{ x }}\" }"]))
        .file(
            "inventory/hosts.toml",
            "[hosts]\none = { vars = { x = \"{{ hostvars.two.x }}\" } }\n\
             two = { vars = { x = \"{{ hostvars.one.x }}\" } }\n",
        )
        .refuses(
            &["play", "play.toml", "--limit", "one"],
            5,
            r#"
error: `x` refers to itself: hostvars.one.x -> hostvars.two.x -> hostvars.one.x
  --> inventory/hosts.toml:2:22
   |
 2 | one = { vars = { x = "{{ hostvars.two.x }}" } }
   |                      ^^^^^^^^^^^^^^^^^^^^^^ for host one
"#,
        );
}

#[test]
fn variables_without_end() {
    let chain: String = (0..5000)
        .map(|n| format!("v{n} = \"{{{{ v{} }}}}\"\n", n + 1))
        .collect();
    refused(
        format!(
            "[[play]]\nhosts = \"all\"\n[play.vars]\n{chain}v5000 = 1\n[[play.task]]\ndebug = {{ msg = \"{{{{ v0 }}}}\" }}\n"
        ),
        r#"
error: `v0` refers to `v1` and so on, more than 50 variables deep
   --> play.toml:54:7
    |
 54 | v50 = "{{ v51 }}"
    |       ^^^^^^^^^^^ for host one
"#,
    );
}

#[test]
fn variables_of_other_hosts() {
    refused(
        play(&[
            "debug = { msg = \"{{ hostvars['one'].colour }}\" }",
            "debug = { msg = \"{{ hostvars.two.address }}\" }",
            "debug = { msg = \"{{ hostvars['on'].address }}\" }",
        ]),
        r#"
error: `colour` is undefined for host one
  --> play.toml:5:37
   |
 5 | debug = { msg = "{{ hostvars['one'].colour }}" }
   |                                     ^^^^^^ for host one

error: there is no host `two` in the inventory
  --> play.toml:8:30
   |
 8 | debug = { msg = "{{ hostvars.two.address }}" }
   |                              ^^^ for host one

error: there is no host `on` in the inventory
   --> play.toml:11:31
    |
 11 | debug = { msg = "{{ hostvars['on'].address }}" }
    |                               ^^ for host one
"#,
    );
}

#[test]
fn loops_need_lists() {
    refused(
        play(&["command = \"echo {{ item }}\"\nloop = \"address\""]),
        r#"
error: `loop` needs a list
  --> play.toml:6:8
   |
 6 | loop = "address"
   |        ^^^^^^^^^ for host one
   = help: an expression such as "groups.all" or a list of values
"#,
    );
}

/// A name that is tested before it is used is no mistake.
#[test]
fn what_may_be_missing_is_no_mistake() {
    let playbook = play(&[
        "debug = { msg = \"{{ colour | default('red') }}\" }",
        "debug = { msg = \"{{ colour }}\" }\nwhen = \"colour is defined\"",
        "debug = { msg = \"{{ hostvars.two.x | default(1) }}\" }\nwhen = \"hostvars.two is defined\"",
    ]);
    let bench = Bench::with(playbook);
    let ran = bench.run(&["validate", "play.toml"]);
    assert_eq!(ran.err, "");
    assert_eq!(ran.out, "1 playbook and 1 host are as they should be\n");
    assert_eq!(ran.code, 0);
}
