//! Hosts to jump through, as `ProxyJump` names them.

use crate::diagnostic::Problem;

/// One host to jump through: `[user@]host[:port]` or `ssh://[user@]host[:port]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jump {
    /// The user, if it is said.
    pub user: Option<String>,
    /// The name, to be looked up in the configuration.
    pub host: String,
    /// The port, if it is said.
    pub port: Option<u16>,
}

impl Jump {
    /// Reads a comma list, first host first.
    ///
    /// # Errors
    ///
    /// A part that names no host, or a port that is none.
    pub fn parse_list(text: &str) -> Result<Vec<Jump>, Problem> {
        text.split(',').map(Self::parse).collect()
    }

    fn parse(text: &str) -> Result<Jump, Problem> {
        let wrong = || {
            Problem::new(format!("`{text}` is no host to jump through"))
                .help("write `[user@]host[:port]`, several with commas")
        };
        let rest = match text.get(..6) {
            Some(scheme) if scheme.eq_ignore_ascii_case("ssh://") => {
                text[6..].trim_end_matches('/')
            }
            _ => text,
        };
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let (host, port) = match rest.strip_prefix('[') {
            Some(inner) => {
                let (host, after) = inner.split_once(']').ok_or_else(wrong)?;
                match after.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None if after.is_empty() => (host, None),
                    None => return Err(wrong()),
                }
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        if host.is_empty() || user == Some("") || host.contains([' ', '\t', '/']) {
            return Err(wrong());
        }
        let port = match port {
            Some(port) => Some(
                port.parse()
                    .ok()
                    .filter(|port| *port > 0)
                    .ok_or_else(wrong)?,
            ),
            None => None,
        };
        Ok(Jump {
            user: user.map(str::to_string),
            host: host.to_string(),
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_hosts() {
        let jump = |user: Option<&str>, host: &str, port| Jump {
            user: user.map(str::to_string),
            host: host.to_string(),
            port,
        };
        assert_eq!(
            Jump::parse_list("a,me@b:2222,ssh://c:22/,[2001:db8::1]:23,u@d@e").unwrap(),
            [
                jump(None, "a", None),
                jump(Some("me"), "b", Some(2222)),
                jump(None, "c", Some(22)),
                jump(None, "2001:db8::1", Some(23)),
                jump(Some("u@d"), "e", None),
            ]
        );
        for text in [
            "", "a,", "@a", "a:", "a:0", "a:x", ":22", "[a", "[a]x", "a b",
        ] {
            let problem = Jump::parse_list(text).unwrap_err();
            assert!(
                problem.message.ends_with("is no host to jump through"),
                "{text}"
            );
        }
    }
}
