//! The little that must be known of a compose file: its services, and how many of which image.
//!
//! Everything else in it is docker's business. The YAML parser is saphyr: written in safe Rust, kept up, and
//! complete where a hand-written look would be wrong (anchors, flow style, quoting).

use saphyr::{LoadableYamlNode, Yaml};

/// A compose file.
#[derive(Debug, PartialEq, Eq)]
pub struct Compose {
    /// Its format, which every file of one deployment must share.
    pub version: String,
    /// In the order of the file.
    pub services: Vec<Service>,
}

/// A service of a compose file. What the file leaves to docker's variables is not known.
#[derive(Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name, without the stack's.
    pub name: String,
    /// Its image as docker writes it down, with a tag.
    pub image: Option<String>,
    /// How many, or `global`.
    pub replicas: Option<String>,
}

/// Reads a compose file.
///
/// # Errors
///
/// The cause in one line.
pub fn read(text: &str) -> Result<Compose, String> {
    let documents = Yaml::load_from_str(text).map_err(|error| format!("is not YAML: {error}"))?;
    let root = match &documents[..] {
        [root] => root,
        [] => return Err("is empty".into()),
        _ => return Err("holds several documents".into()),
    };
    let version = get(root, "version").map(scalar);
    let Some(Some(version)) = version else {
        return Err("names no version: docker stack takes \"3.0\" to \"3.7\" everywhere".into());
    };
    let services = get(root, "services").and_then(Yaml::as_mapping);
    let Some(services) = services.filter(|services| !services.is_empty()) else {
        return Err("has no services".into());
    };
    let services = services
        .iter()
        .map(|(name, body)| {
            let name = name.as_str().unwrap_or("");
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            if name.is_empty() || !name.chars().all(plain) {
                return Err(format!(
                    "has a service with the name {name:?}, which docker refuses"
                ));
            }
            Ok(service(name, body))
        })
        .collect::<Result<_, _>>()?;
    Ok(Compose { version, services })
}

fn service(name: &str, body: &Yaml) -> Service {
    let known = |value: Option<String>| value.filter(|value| !value.contains('$'));
    let deploy = get(body, "deploy");
    let in_deploy = |key: &str| deploy.and_then(|deploy| get(deploy, key)).and_then(scalar);
    Service {
        name: name.to_string(),
        image: known(get(body, "image").and_then(scalar)).map(|image| with_tag(&image)),
        replicas: known(match in_deploy("mode").as_deref() {
            Some("global") => Some("global".into()),
            _ => in_deploy("replicas").or(Some("1".into())),
        }),
    }
}

/// The name of an image as docker writes it down.
pub fn with_tag(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or(image);
    if last.contains(':') || image.contains('@') {
        image.to_string()
    } else {
        format!("{image}:latest")
    }
}

/// The value of a key, also where it comes in through a merge key.
fn get<'y>(node: &'y Yaml<'y>, key: &str) -> Option<&'y Yaml<'y>> {
    if let Some(value) = node.as_mapping_get(key) {
        return Some(value);
    }
    match node.as_mapping_get("<<")? {
        Yaml::Sequence(merged) => merged.iter().find_map(|merged| get(merged, key)),
        merged => get(merged, key),
    }
}

fn scalar(node: &Yaml) -> Option<String> {
    node.as_str()
        .map(str::to_string)
        .or_else(|| node.as_integer().map(|value| value.to_string()))
        .or_else(|| node.as_floating_point().map(|value| value.to_string()))
}

#[cfg(test)]
mod tests {
    use super::{Service, read};

    fn service(name: &str, image: Option<&str>, replicas: Option<&str>) -> Service {
        Service {
            name: name.into(),
            image: image.map(str::to_string),
            replicas: replicas.map(str::to_string),
        }
    }

    #[test]
    fn services_are_read_through_anchors_and_merges() {
        let text = r#"
version: "3.7"
x-base: &base
  image: registry:5000/app
  deploy: &deploy { replicas: 3 }
services:
  a: { image: 'app:1' }
  b:
    <<: *base
  c:
    <<: [ { image: "x:2" }, *base ]
    deploy: { <<: *deploy, mode: global }
  d.e:
    image: "${IMAGE}"
    deploy: { replicas: "${COUNT}" }
"#;
        let compose = read(text).unwrap();
        assert_eq!(compose.version, "3.7");
        assert_eq!(
            compose.services,
            [
                service("a", Some("app:1"), Some("1")),
                service("b", Some("registry:5000/app:latest"), Some("3")),
                service("c", Some("x:2"), Some("global")),
                service("d.e", None, None),
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let wrong = |text: &str| read(text).unwrap_err();
        assert_eq!(wrong(""), "is empty");
        assert_eq!(wrong("services: {}\nversion: '3.7'"), "has no services");
        assert_eq!(wrong("version: '3.7'\nservices: []"), "has no services");
        assert_eq!(
            wrong("services: { a: {} }"),
            "names no version: docker stack takes \"3.0\" to \"3.7\" everywhere"
        );
        assert_eq!(
            wrong("version: '3.7'\nservices: { 'a b': {} }"),
            "has a service with the name \"a b\", which docker refuses"
        );
        let syntax = wrong("version: '3.7'\nservices:\n  a: [\n");
        assert!(
            syntax.starts_with("is not YAML: ") && syntax.contains("line"),
            "{syntax}"
        );
    }
}
