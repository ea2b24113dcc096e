//! What is refused, and with which words.

use crate::refused;

#[test]
fn every_problem_of_a_file_is_reported_at_once() {
    let text = r#"[connection]
usr = "dcos"
port = 70000
ProxyJump = "gate"

[hosts]
a = { adress = "10.0.0.1", groups = ["web"] }
b = { port = "22", proxy_jump = "gate" }
"c[03:01]" = {}
"d[1:" = {}
e = "10.0.0.5"
web1.example.com = { port = 22 }
f = { vars = { ansible_host = "10.0.0.6", zk-id = 1 } }
"fe80::1" = {}
g = { color = "red", connection = { forward = true } }

[groups]
site = { children = ["wbe"], hosts = ["aa"] }
one = { children = ["two"] }
two = { children = ["one"] }
"#;
    assert_eq!(
        refused(text),
        r#"error: unknown connection setting `usr`
  --> hosts.toml:2:1
   |
 2 | usr = "dcos"
   | ^^^
   = help: did you mean `user`?

error: 70000 is not a port
  --> hosts.toml:3:8
   |
 3 | port = 70000
   |        ^^^^^ 1 to 65535

error: unknown connection setting `ProxyJump`
  --> hosts.toml:4:1
   |
 4 | ProxyJump = "gate"
   | ^^^^^^^^^
   = help: did you mean `proxy_jump`?

error: unknown key `adress` in host `a`
  --> hosts.toml:7:7
   |
 7 | a = { adress = "10.0.0.1", groups = ["web"] }
   |       ^^^^^^
   = help: did you mean `address`?

error: expected an integer, found a string
  --> hosts.toml:8:14
   |
 8 | b = { port = "22", proxy_jump = "gate" }
   |              ^^^^

error: unknown key `proxy_jump` in host `b`
  --> hosts.toml:8:20
   |
 8 | b = { port = "22", proxy_jump = "gate" }
   |                    ^^^^^^^^^^
   = help: it stands in `connection`: `connection = { proxy_jump = ... }`

error: `[03:01]` is empty: it ends before it begins
  --> hosts.toml:9:3
   |
 9 | "c[03:01]" = {}
   |   ^^^^^^^

error: `[` without a `]` behind it
   --> hosts.toml:10:3
    |
 10 | "d[1:" = {}
    |   ^

error: expected a table, found a string
   --> hosts.toml:11:5
    |
 11 | e = "10.0.0.5"
    |     ^^^^^^^^^^
    = help: an address stands in a table: `{ address = "10.0.0.5" }`

error: unknown key `example` in host `web1`
   --> hosts.toml:12:6
    |
 12 | web1.example.com = { port = 22 }
    |      ^^^^^^^
    = help: a name with dots in it stands in quotes: `"web1.example.com" = { ... }`

error: `ansible_host` is a connection setting, not a variable
   --> hosts.toml:13:16
    |
 13 | f = { vars = { ansible_host = "10.0.0.6", zk-id = 1 } }
    |                ^^^^^^^^^^^^
    = help: write `address` beside `vars`, or in `connection`

error: "zk-id" cannot be the name of a variable
   --> hosts.toml:13:43
    |
 13 | f = { vars = { ansible_host = "10.0.0.6", zk-id = 1 } }
    |                                           ^^^^^
    = help: a name is made of letters, digits and `_`, and starts with no digit

error: "fe80::1" cannot be the name of a host: it has `:` in it
   --> hosts.toml:14:1
    |
 14 | "fe80::1" = {}
    | ^^^^^^^^^
    = help: give the host a plain name, and its address and port beside: `name = { address = "...", port = 22 }`

error: unknown key `color` in host `g`
   --> hosts.toml:15:7
    |
 15 | g = { color = "red", connection = { forward = true } }
    |       ^^^^^
    = help: a variable stands in `vars`: `vars = { color = ... }`

error: unknown connection setting `forward`
   --> hosts.toml:15:37
    |
 15 | g = { color = "red", connection = { forward = true } }
    |                                     ^^^^^^^
    = help: the settings are `address`, `port`, `user`, `identity_file`, `identities_only`, `identity_agent`, `proxy_jump`, `connect_timeout`, `user_known_hosts_file`, `global_known_hosts_file`, `host_key_alias`, `strict_host_key_checking`, `server_alive_interval`, `server_alive_count_max`, `transport`

error: groups are in each other in a circle: one > two > one
   --> hosts.toml:20:21
    |
 20 | two = { children = ["one"] }
    |                     ^^^^^
"#
    );
}

#[test]
fn what_is_given_twice_and_circles() {
    assert_eq!(
        refused(
            r#"[hosts]
web01 = { port = 22, connection = { port = 23 } }
"web[01:03]" = { address = "10.0.0.[1:2]" }

[groups]
a = { children = ["a"] }
b = { children = ["c", "all"] }
c = { children = ["d"] }
d = { children = ["b", "e"] }
e = { user = "x", childs = [] }
"bad name" = {}
f = ["web[01:03]"]
"#
        ),
        r#"error: connection setting `port` stands here twice
  --> hosts.toml:2:37
   |
 2 | web01 = { port = 22, connection = { port = 23 } }
   |                                     ^^^^

error: `10.0.0.[1:2]` stands for 2 addresses and `web[01:03]` for 3 hosts
  --> hosts.toml:3:28
   |
 3 | "web[01:03]" = { address = "10.0.0.[1:2]" }
   |                            ^^^^^^^^^^^^^^

error: host `web01` is given twice
  --> hosts.toml:3:1
   |
 3 | "web[01:03]" = { address = "10.0.0.[1:2]" }
   | ^^^^^^^^^^^^
   = help: it is given first at hosts.toml:2:1

error: unknown key `user` in group `e`
   --> hosts.toml:10:7
    |
 10 | e = { user = "x", childs = [] }
    |       ^^^^
    = help: it stands in `connection`: `connection = { user = ... }`

error: unknown key `childs` in group `e`
   --> hosts.toml:10:19
    |
 10 | e = { user = "x", childs = [] }
    |                   ^^^^^^

error: "bad name" cannot be the name of a group: it has ' ' in it
   --> hosts.toml:11:1
    |
 11 | "bad name" = {}
    | ^^^^^^^^^^

error: expected a table, found a list
   --> hosts.toml:12:5
    |
 12 | f = ["web[01:03]"]
    |     ^^^^^^^^^^^^^^
    = help: write `f = { hosts = [...] }`

error: `all` has every group in it and cannot be in one
  --> hosts.toml:7:24
   |
 7 | b = { children = ["c", "all"] }
   |                        ^^^^^

error: group `a` is in itself
  --> hosts.toml:6:19
   |
 6 | a = { children = ["a"] }
   |                   ^^^

error: groups are in each other in a circle: b > c > d > b
  --> hosts.toml:9:19
   |
 9 | d = { children = ["b", "e"] }
   |                   ^^^
"#
    );
}

#[test]
fn a_syntax_error_brings_no_errors_in_its_train() {
    let said =
        refused("[hosts]\na = { groups = \"web }\n[groups]\nsite = { children = [\"web\"] }\n");
    assert!(said.contains("error: invalid basic string"), "{said}");
    assert!(!said.contains("no group"), "{said}");
}

#[test]
fn settings_that_are_wrong() {
    assert_eq!(
        refused(
            r#"[connection]
connect_timeout = "soon"
strict_host_key_checking = "maybe"
transport = "telnet"
identity_file = 3
server_alive_count_max = -1

[hosts]
a = { address = "10.0.0.1:22" }
b = { address = "root@b" }
c = { address = "" }
d = { address = "[::1]", user = "a b" }
"#
        ),
        r#"error: a duration is a number with a unit, such as "500ms", "30s", "5m" or "1h"
  --> hosts.toml:2:19
   |
 2 | connect_timeout = "soon"
   |                   ^^^^^^

error: `maybe` is not one of `yes`, `accept-new`, `no`, `ask`
  --> hosts.toml:3:28
   |
 3 | strict_host_key_checking = "maybe"
   |                            ^^^^^^^

error: `telnet` is not one of `ssh`, `local`
  --> hosts.toml:4:13
   |
 4 | transport = "telnet"
   |             ^^^^^^^^

error: expected a string or a list of strings, found an integer
  --> hosts.toml:5:17
   |
 5 | identity_file = 3
   |                 ^

error: -1 is not a count
  --> hosts.toml:6:26
   |
 6 | server_alive_count_max = -1
   |                          ^^ 0 or more

error: `10.0.0.1:22` is not a name or an address
  --> hosts.toml:9:17
   |
 9 | a = { address = "10.0.0.1:22" }
   |                 ^^^^^^^^^^^^^
   = help: a port stands apart: `port = 2222`

error: `root@b` is not a name or an address
   --> hosts.toml:10:17
    |
 10 | b = { address = "root@b" }
    |                 ^^^^^^^^
    = help: the user stands apart: `user = "..."`

error: "" is not a name or an address
   --> hosts.toml:11:17
    |
 11 | c = { address = "" }
    |                 ^^

error: "a b" is not a user name
   --> hosts.toml:12:33
    |
 12 | d = { address = "[::1]", user = "a b" }
    |                                 ^^^^^
"#
    );
}
