//! Who runs this, and where.

use std::fs;

/// The operator's name and this machine's, as `name@machine`; under sudo the name of whoever has called it.
pub(super) fn who() -> String {
    let set = |name: &&str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let name = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(set);
    let name = name.unwrap_or_else(|| {
        let id = rustix::process::getuid().as_raw();
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        named(&users, id).unwrap_or_else(|| id.to_string())
    });
    let system = rustix::system::uname();
    format!("{name}@{}", system.nodename().to_string_lossy())
}

/// The name of a user in a list of users.
fn named(users: &str, id: u32) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::named;

    #[test]
    fn a_user_has_a_name() {
        let users = "root:x:0:0:root:/root:/bin/bash\n:x:5:\nodd\nweb:x:33:33::/var/www:/bin/sh\n";
        assert_eq!(named(users, 0).as_deref(), Some("root"));
        assert_eq!(named(users, 33).as_deref(), Some("web"));
        assert_eq!(named(users, 5), None);
        assert_eq!(named(users, 3), None);
    }
}
