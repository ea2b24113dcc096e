//! What patterns name.

use crate::{INVENTORY, names, refused};
use runner::diagnostic::{Problem, Source};
use runner::inventory::{Pattern, SelectError};

#[test]
fn what_terms_name() {
    assert_eq!(names("all").split(' ').count(), 10);
    assert_eq!(names("*").split(' ').count(), 10);
    assert_eq!(
        names("db"),
        "db-a.example.com db-b.example.com db-c.example.com"
    );
    assert_eq!(names("cache"), "cache");
    assert_eq!(names("web0[12]"), "web01 web02");
    assert_eq!(names("web0[!1-4]"), "web05 web06");
    assert_eq!(
        names("*.example.com:!db-b*"),
        "db-a.example.com db-c.example.com"
    );
}

#[test]
fn slices_include_both_ends() {
    assert_eq!(names("web[0]"), "web01");
    assert_eq!(names("web[-1]"), "web06");
    assert_eq!(names("web[0:2]"), "web01 web02 web03");
    assert_eq!(names("web[4:]"), "web05 web06");
    assert_eq!(names("web[:1]"), "web01 web02");
    assert_eq!(names("web[-2:-1]"), "web05 web06");
    assert_eq!(names("web[4:100]"), "web05 web06");
    assert_eq!(names("*.example.com[1]"), "db-b.example.com");
    assert_eq!(names("web[01:05][-1]"), "web05");
}

#[test]
fn ranges_where_the_name_before_them_is_no_group() {
    assert_eq!(names("web[01:02]"), "web01 web02");
    assert_eq!(names("web0[1:3]"), "web01 web02 web03");
    assert_eq!(
        names("db-[a:c:2].example.com"),
        "db-a.example.com db-c.example.com"
    );
    assert_eq!(names("web0[1:3][0]"), "web01");
}

#[test]
fn unions_first_then_intersections_then_exclusions() {
    assert_eq!(names("front:cache"), "web01 web02 cache");
    assert_eq!(names("cache,web01"), "cache web01");
    assert_eq!(names("!web:&front:all"), "cache");
    assert_eq!(names("!site"), "cache");
    assert_eq!(names("&front"), "web01 web02 cache");
    assert_eq!(names(" web[0] , db[0], "), "web01 db-a.example.com");
    assert_eq!(names("all:!none:!web:!db"), "cache");
}

#[test]
fn regular_expressions() {
    assert_eq!(names(r"~web\d[2-3]"), "web02 web03");
    assert_eq!(names(r"~web0{1,2}(?:5|6):!web06"), "web05");
    assert_eq!(names(r"~.*-[ac]\."), "db-a.example.com db-c.example.com");
}

#[test]
fn lists_of_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hosts.txt");
    std::fs::write(
        &path,
        "# the first ones\nweb01\n\n  web[1:2]  # two more\ncache\n",
    )
    .unwrap();
    let list = format!("@{}", path.display());
    assert_eq!(names(&list), "web01 web02 web03 cache");
    assert_eq!(names(&format!("front:!{list}:web06")), "web06");
    std::fs::write(&path, "web01\nweb1x:!db\n@other\n").unwrap();
    let said = refused(&list).replace(&format!("{}/", folder.path().display()), "");
    insta::assert_snapshot!(said, @r#"
exit 5
error: a list of hosts cannot name another list
  --> hosts.txt:3:1
   |
 3 | @other
   | ^^^^^^

error: there is no host or group `web1x`
  --> hosts.txt:2:1
   |
 2 | web1x:!db
   | ^^^^^
   = help: `runner inventory` lists all hosts and groups
"#);
}

#[test]
fn a_list_with_a_meaning_of_its_own() {
    let pattern = Pattern::option("--limit", "@failed").unwrap();
    let lookup = |name: &str| match name {
        "failed" => Ok(Some(Source::new("@failed", "web02\ncache\n"))),
        _ => Ok(None),
    };
    let hosts = INVENTORY.select_with(&pattern, &lookup).unwrap();
    let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(names, ["web02", "cache"]);
    let none = |_: &str| Err(Problem::new("there is no last run"));
    match INVENTORY.select_with(&pattern, &none) {
        Err(SelectError::Bad(problems)) => insta::assert_snapshot!(problems, @r#"
error: there is no last run
  --> --limit:1:1
   |
 1 | @failed
   | ^^^^^^^
"#),
        other => panic!("{other:?}"),
    }
}
