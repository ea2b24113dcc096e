//! `docker_image`: an image on a host, from a tar of this machine.

use super::super::shell::quote;
use super::super::{Action, Arg, Args, Changes, Done, Failure, Found, Kind, Module, Script, Spec};
use super::archive::{self, Archive};
use super::compose::with_tag;
use super::{answered, last};
use crate::diagnostic::Problem;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::sync::Arc;

/// The task type.
pub static SPEC: Spec = Spec {
    name: "docker_image",
    summary: "Load an image from a tar of this machine",
    about: "Sees to it that the host's Docker Engine has an image under a name, and that it is the image in the tar: \
        ids are compared, not names. The tar is what `docker save` writes, gzipped or not. Its id is read on this \
        machine, so a host that has the image costs no transfer. Where the image is there under another name, it is \
        just tagged; else the tar is sent, loaded, tagged and checked. A whole tar that is at `dest` already, \
        from a run that was interrupted or by other means, is not sent again.\n\n\
        The tar is large, so what has arrived is not given up: when the connection breaks, it goes on over a new \
        one; when the run ends, what has arrived stays beside `dest` as `.runner-SUM/part`, named after the tar's SHA-256, and \
        the next run goes on from there. It is checked as a whole before it is used, and removed then. Over a link \
        that is slow it travels compressed, if it gets smaller and the host has `gzip`.\n\n\
        An engine with the containerd image store gives images other ids than the tar names. There the layers and \
        the time of making decide.\n\n\
        Registered: `image_id`.",
    args: &[
        Arg::new("name", Kind::String, "The image's name and tag.").required(),
        Arg::new(
            "tar",
            Kind::String,
            "The tar on this machine, as given or in the playbook's `files/`.",
        )
        .required(),
        Arg::new(
            "dest",
            Kind::String,
            "Where the tar lies on the host while it is loaded.",
        )
        .default("the tar's own name in the login folder"),
        Arg::new("keep", Kind::Boolean, "Whether the tar stays on the host.").default("false"),
    ],
    bare: "",
    open: false,
    unseen: &["tar"],
    example: r#"[[play.task]]
name = "the Pulsar image"
docker_image = { name = "pulsar:v3.1.0", tar = "pulsar-v3.1.0.tar" }
"#,
    build,
};

/// `rn_image` prints what the engine has under the name: its id, time of making and layers, and its store.
const LOOK: &str = "rn_image() {
  if rn_said=$(docker image inspect --format 'image {{.ID}} {{.Created}} {{join .RootFS.Layers \",\"}}' \"$rn_name\" 2>/dev/null)
  then printf '%s\\n' \"$rn_said\"; fi
  rn_store=$(docker info --format '{{json .DriverStatus}}') || return
  case $rn_store in *io.containerd.snapshotter*) echo containerd ;; esac
}
";

#[derive(Debug)]
struct Image {
    name: String,
    tar: PathBuf,
    archive: Arc<Archive>,
    dest: String,
    keep: bool,
}

fn build(args: &Args) -> Result<Box<dyn Module>, Problem> {
    let name = args.string("name")?;
    if name.is_empty() || name.starts_with('-') || name.contains(char::is_whitespace) {
        return Err(args.problem("name", format!("`{name}` cannot be the name of an image")));
    }
    let tar = args
        .local
        .find(&args.string("tar")?, "files")
        .map_err(|message| args.problem("tar", message))?;
    let archive = archive::read(&tar, &with_tag(&name)).map_err(|message| {
        args.problem("tar", message)
            .help("make the tar with `docker save -o FILE NAME`")
    })?;
    let dest = match args.string_opt("dest")? {
        Some(dest) if dest.ends_with('/') => {
            return Err(args.problem("dest", "`dest` is a file, not a folder"));
        }
        Some(dest) => dest,
        None => tar.file_name().map_or_else(
            || "image.tar".into(),
            |name| name.to_string_lossy().into_owned(),
        ),
    };
    Ok(Box::new(Image {
        name,
        tar,
        archive,
        dest: if dest.starts_with('/') {
            dest
        } else {
            format!("./{dest}")
        },
        keep: args.boolean("keep", false)?,
    }))
}

impl Image {
    /// Whether the engine's answer describes the image of the tar.
    fn is_same(&self, said: &str) -> bool {
        let Some(line) = said.lines().find_map(|line| line.strip_prefix("image ")) else {
            return false;
        };
        let mut words = line.split(' ');
        let (id, created, layers) = (words.next(), words.next(), words.next());
        if self
            .archive
            .ids
            .iter()
            .any(|known| Some(known.as_str()) == id)
        {
            return true;
        }
        let same_layers = layers == Some(self.archive.layers.join(",").as_str());
        said.lines().any(|line| line == "containerd")
            && same_layers
            && created == Some(self.archive.created.as_str())
    }

    /// The id that the engine names.
    fn id(said: &str) -> &str {
        said.lines()
            .find_map(|line| line.strip_prefix("image "))
            .and_then(|line| line.split(' ').next())
            .unwrap_or("")
    }

    fn head(&self) -> String {
        format!(
            "{LOOK}rn_name={}\nrn_id={}\nrn_tar={}\n",
            quote(&self.name),
            self.archive.ids.first().map_or("", String::as_str),
            quote(&self.dest),
        )
    }
}

impl Module for Image {
    fn probe(&self) -> Option<Script> {
        // Only where the image is missing does the tar on the host matter, and its sum is worth the reading.
        Some(Script::new(format!(
            "{}rn_image || exit\n\
             case $rn_said in 'image '\"$rn_id\"' '*) exit 0 ;; esac\n\
             if docker image inspect \"$rn_id\" >/dev/null 2>&1; then echo untagged; exit 0; fi\n\
             if [ -f \"$rn_tar\" ] && [ \"$(wc -c <\"$rn_tar\" | tr -d ' ')\" = {} ]; then\n\
             echo \"tar $(rn_sum \"$rn_tar\" large)\"\nfi\nexit 0",
            self.head(),
            self.archive.size,
        )))
    }

    fn changes(&self, found: &Found) -> Result<Changes, Failure> {
        answered("look at the images", found)?;
        let said = found.stdout();
        if self.is_same(&said) {
            return Ok(Changes::none());
        }
        let because = match Self::id(&said) {
            "" => format!("{} is missing", self.name),
            _ => format!("{} is another image", self.name),
        };
        if said.lines().any(|line| line == "untagged") {
            let text = format!(
                "{}docker tag \"$rn_id\" \"$rn_name\" && rn_image",
                self.head()
            );
            let because = format!("{because}; tagged, since it is there without the name");
            return Ok(Changes::script(Script::new(text), because));
        }
        let there = match said.lines().find_map(|line| line.strip_prefix("tar ")) {
            Some(sum) if !sum.is_empty() => sum == self.sum()?,
            _ => false,
        };
        let mut actions = Vec::new();
        let mut load = self.head();
        if !there {
            let sum = self.sum()?;
            let folder = match self.dest.rsplit_once('/') {
                Some(("", _)) | None => "/",
                Some((folder, _)) => folder,
            };
            let part = format!(
                "{}/.runner-{}/part",
                folder.trim_end_matches('/'),
                &sum[..16]
            );
            let quoted = quote(&part);
            actions.push(Action::Run(Script::new(format!(
                "{}mkdir -p {} || exit\n\
                 if [ -d \"$rn_tar\" ]; then echo \"$rn_tar is a folder\" >&2; exit 1; fi",
                self.head(),
                quote(folder)
            ))));
            actions.push(Action::Upload {
                from: self.tar.clone(),
                to: part,
                resume: true,
            });
            load.push_str(&format!(
                "rn_part={quoted}\n\
                 rn_s=$(rn_sum \"$rn_part\" large) || exit\n\
                 if [ \"$rn_s\" != {sum} ]; then\n\
                 rm -f \"$rn_part\"; rmdir \"${{rn_part%/*}}\"; echo 'what arrived is not what was to be sent; did the tar change?' >&2; exit 1; fi\n\
                 mv -f \"$rn_part\" \"$rn_tar\" && rmdir \"${{rn_part%/*}}\" || exit\n"
            ));
        }
        load.push_str(
            "rn_loaded=$(docker load -i \"$rn_tar\") || exit\n\
             rn_from=$(printf '%s\\n' \"$rn_loaded\" | sed -n 's/^Loaded image[^:]*: //p' | tail -n 1)\n\
             if docker image inspect \"$rn_id\" >/dev/null 2>&1; then rn_from=$rn_id; fi\n\
             docker tag \"$rn_from\" \"$rn_name\" || exit\n",
        );
        if !self.keep {
            load.push_str("rm -f \"$rn_tar\" || exit\n");
        }
        load.push_str("rn_image");
        actions.push(Action::Run(Script::new(load)));
        Ok(Changes {
            actions,
            because: if there {
                format!("{because}; its tar is there")
            } else {
                because
            },
            ..Changes::none()
        })
    }

    fn result(&self, found: &Found, done: &[Done]) -> Result<Map<String, Value>, Failure> {
        let said = match done {
            [] => found.stdout(),
            _ => last(done),
        };
        if !done.is_empty() && !self.is_same(&said) {
            return Err(Failure::new(format!(
                "docker reports success, but {} is {} and not {}",
                self.name,
                match Self::id(&said) {
                    "" => "missing",
                    id => id,
                },
                self.archive.ids.join(" or "),
            )));
        }
        Ok(Map::from_iter([(
            "image_id".to_string(),
            Self::id(&said).into(),
        )]))
    }
}

impl Image {
    fn sum(&self) -> Result<String, Failure> {
        archive::sum(&self.tar, &self.archive)
            .map_err(|error| Failure::new(format!("cannot read {}: {error}", self.tar.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::build_in;
    use super::super::archive::{self, tests::tar_of};
    use crate::modules::{Action, Done, Found, Module};
    use tempfile::TempDir;

    const CONFIG: &[u8] =
        br#"{"created":"2024-05-06T07:08:09Z","rootfs":{"diff_ids":["sha256:aa"]}}"#;

    fn image(more: &str) -> (TempDir, Box<dyn Module>, String) {
        let folder = tempfile::tempdir().unwrap();
        let manifest = br#"[{"Config":"c.json","RepoTags":["app:1"]}]"#;
        std::fs::write(
            folder.path().join("app.tar"),
            tar_of(&[("c.json", CONFIG), ("manifest.json", manifest)]),
        )
        .unwrap();
        let task = format!("docker_image = {{ name = 'app:1', tar = 'app.tar'{more} }}");
        let module = build_in(folder.path(), &task).unwrap();
        let id = archive::read(&folder.path().join("app.tar"), "app:1")
            .unwrap()
            .ids[0]
            .clone();
        (folder, module, id)
    }

    fn found(stdout: &str) -> Found {
        Found {
            stdout: stdout.as_bytes().to_vec(),
            ..Found::default()
        }
    }

    #[test]
    fn an_image_that_is_there_is_left_alone() {
        let (_folder, module, id) = image("");
        let found = found(&format!("image {id} 2024-05-06T07:08:09Z sha256:aa\n"));
        assert!(module.changes(&found).unwrap().actions.is_empty());
        assert_eq!(module.result(&found, &[]).unwrap()["image_id"], id);
    }

    #[test]
    fn with_the_containerd_store_layers_and_time_decide() {
        let (_folder, module, _) = image("");
        let said = "image sha256:other 2024-05-06T07:08:09Z sha256:aa\n";
        assert!(!module.changes(&found(said)).unwrap().actions.is_empty());
        let said = format!("{said}containerd\n");
        assert!(module.changes(&found(&said)).unwrap().actions.is_empty());
    }

    #[test]
    fn an_image_under_another_name_is_only_tagged() {
        let (_folder, module, _) = image("");
        let changes = module.changes(&found("untagged\n")).unwrap();
        assert_eq!(
            changes.because,
            "app:1 is missing; tagged, since it is there without the name"
        );
        assert!(matches!(&changes.actions[..], [Action::Run(_)]));
    }

    #[test]
    fn a_missing_image_is_sent_loaded_and_checked() {
        let (folder, module, id) = image("");
        let changes = module.changes(&found("")).unwrap();
        assert_eq!(changes.because, "app:1 is missing");
        let [
            Action::Run(before),
            Action::Upload {
                from,
                to,
                resume: true,
            },
            Action::Run(after),
        ] = &changes.actions[..]
        else {
            panic!("{changes:?}")
        };
        assert!(before.text.contains("mkdir -p . || exit"));
        let path = folder.path().join("app.tar");
        let sum = archive::sum(&path, &archive::Archive::default()).unwrap();
        assert_eq!(from, &path);
        assert_eq!(*to, format!("./.runner-{}/part", &sum[..16]));
        assert!(after.text.contains(&sum));
        assert!(after.text.contains("docker load -i \"$rn_tar\""));
        assert!(after.text.contains("rm -f \"$rn_tar\""));
        let done = |stdout: &str| {
            [
                Done::default(),
                Done {
                    stdout: stdout.as_bytes().to_vec(),
                    ..Done::default()
                },
            ]
        };
        let said = format!("image {id} 2024-05-06T07:08:09Z sha256:aa\n");
        assert!(module.result(&found(""), &done(&said)).is_ok());
        let lie = module
            .result(&found(""), &done("image sha256:1 - -\n"))
            .unwrap_err();
        assert_eq!(
            lie.message,
            format!("docker reports success, but app:1 is sha256:1 and not {id}")
        );
    }

    #[test]
    fn a_tar_that_is_there_is_not_sent_again() {
        let (folder, module, _) = image(", dest = '/data/app.tar', keep = true");
        let path = folder.path().join("app.tar");
        let sum = archive::sum(&path, &archive::Archive::default()).unwrap();
        let said = format!("image sha256:old - -\ntar {sum}\n");
        let changes = module.changes(&found(&said)).unwrap();
        assert_eq!(changes.because, "app:1 is another image; its tar is there");
        let [Action::Run(load)] = &changes.actions[..] else {
            panic!("{changes:?}")
        };
        assert!(!load.text.contains("rm -f"));
        assert_eq!(module.changes(&found("tar 00\n")).unwrap().actions.len(), 3);
    }
}
