//! What is in an image's tar, read on this machine: `docker save` of any version, and plain OCI layouts.

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::SystemTime;

/// No manifest or image configuration is larger; layers are, and are passed over.
const SMALL: u64 = 1024 * 1024;

/// An image in a tar.
#[derive(Debug, Default)]
pub struct Archive {
    /// The ids that an engine may give it, with `sha256:`. The first is that of its configuration, which is the id
    /// in every engine but those with the containerd image store.
    pub ids: Vec<String>,
    /// When the image was made, as written in its configuration.
    pub created: String,
    /// The digests of its layers, unpacked.
    pub layers: Vec<String>,
    /// The size of the tar in bytes.
    pub size: u64,
    sum: Mutex<Option<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
}

type Key = (PathBuf, Option<SystemTime>, u64, String);
type Known = HashMap<Key, Result<Arc<Archive>, String>>;

/// Reads what a tar says of the image of this name, once per run however many hosts ask.
///
/// # Errors
///
/// The cause in one line.
pub fn read(path: &Path, name: &str) -> Result<Arc<Archive>, String> {
    static KNOWN: OnceLock<Mutex<Known>> = OnceLock::new();
    let shown = path.display();
    let meta = std::fs::metadata(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    if !meta.is_file() {
        return Err(format!("{shown} is not a file"));
    }
    let key = (
        path.to_path_buf(),
        meta.modified().ok(),
        meta.len(),
        name.to_string(),
    );
    // Held while reading, so that the other hosts wait for the one reader.
    let mut known = KNOWN
        .get_or_init(Mutex::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    known
        .entry(key)
        .or_insert_with(|| {
            let files =
                small_files(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
            let mut archive = find(&files, name).map_err(|cause| format!("{shown} {cause}"))?;
            archive.size = meta.len();
            Ok(Arc::new(archive))
        })
        .clone()
}

/// The SHA-256 of the whole tar in hex, computed once per run.
///
/// # Errors
///
/// When the tar cannot be read.
pub fn sum(path: &Path, archive: &Archive) -> io::Result<String> {
    let mut known = archive.sum.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sum) = &*known {
        return Ok(sum.clone());
    }
    let (mut file, mut hasher) = (File::open(path)?, Sha256::new());
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    Ok(known.insert(hex(hasher)).clone())
}

fn hex(hasher: Sha256) -> String {
    hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The files of a tar that are small enough to be about the image, by name.
fn small_files(path: &Path) -> io::Result<HashMap<String, Vec<u8>>> {
    let mut file = File::open(path)?;
    let mut magic = [0; 2];
    let zipped = file.read(&mut magic)? == 2 && magic == [0x1f, 0x8b];
    let file = BufReader::new(File::open(path)?);
    if zipped {
        let mut tar = tar::Archive::new(flate2::bufread::GzDecoder::new(file));
        collect(tar.entries()?)
    } else {
        let mut tar = tar::Archive::new(file);
        collect(tar.entries_with_seek()?)
    }
}

fn collect<R: Read>(entries: tar::Entries<'_, R>) -> io::Result<HashMap<String, Vec<u8>>> {
    let mut files = HashMap::new();
    for entry in entries {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() || entry.size() > SMALL {
            continue;
        }
        let name = entry
            .path()?
            .to_string_lossy()
            .trim_start_matches("./")
            .to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.insert(name, content);
    }
    Ok(files)
}

/// Finds the image's configuration, and what the engine will call the image.
fn find(files: &HashMap<String, Vec<u8>>, name: &str) -> Result<Archive, String> {
    let json = |file: &str| -> Result<Value, String> {
        let content = files
            .get(file)
            .ok_or(format!("has no {file}, which it refers to"))?;
        serde_json::from_slice(content).map_err(|error| format!("has a broken {file}: {error}"))
    };
    let (config, manifest) = if files.contains_key("manifest.json") {
        let entries: Vec<Entry> = serde_json::from_value(json("manifest.json")?)
            .map_err(|error| format!("has a broken manifest.json: {error}"))?;
        (choose(&entries, name)?, None)
    } else if files.contains_key("index.json") {
        let digest = json("index.json")?["manifests"][0]["digest"].clone();
        let digest = digest
            .as_str()
            .ok_or("names no image in its index.json")?
            .to_string();
        let config = json(&blob(&digest))?["config"]["digest"].clone();
        let config = config
            .as_str()
            .ok_or("holds images for several platforms, and no manifest.json")?;
        (blob(config), Some(digest))
    } else {
        return Err("is not an image: it has no manifest.json".into());
    };
    let content = files
        .get(&config)
        .ok_or(format!("has no {config}, which it refers to"))?;
    let mut ids = vec![format!("sha256:{}", hex(Sha256::new_with_prefix(content)))];
    let described = json(&config)?;
    let from_index = json("index.json").ok().and_then(|index| {
        let manifests = index["manifests"].as_array()?.clone();
        let refers = |manifest: &Value| {
            json(&blob(manifest["digest"].as_str()?)).ok()?["config"]["digest"]
                .as_str()
                .map(|digest| digest == ids[0])
        };
        let found = manifests
            .iter()
            .find(|manifest| refers(manifest) == Some(true))?;
        found["digest"].as_str().map(str::to_string)
    });
    ids.extend(manifest.or(from_index));
    let layers = described["rootfs"]["diff_ids"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    Ok(Archive {
        ids,
        created: described["created"].as_str().unwrap_or("").to_string(),
        layers: layers
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_string)
            .collect(),
        ..Archive::default()
    })
}

fn blob(digest: &str) -> String {
    format!("blobs/{}", digest.replacen(':', "/", 1))
}

/// Of several images the one with the name; a single one under any name.
fn choose(entries: &[Entry], name: &str) -> Result<String, String> {
    let tags = |entry: &Entry| entry.repo_tags.clone().unwrap_or_default();
    if let Some(entry) = entries
        .iter()
        .find(|entry| tags(entry).iter().any(|tag| tag == name))
    {
        return Ok(entry.config.clone());
    }
    match entries {
        [] => Err("holds no image".into()),
        [entry] => Ok(entry.config.clone()),
        _ => Err(format!(
            "holds several images, and none is {name}: {}",
            entries.iter().flat_map(tags).collect::<Vec<_>>().join(", ")
        )),
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use serde_json::json;
    use std::io::Write;

    /// The bytes of a tar with these files.
    pub fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, name, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn digest(content: &[u8]) -> String {
        hex(Sha256::new_with_prefix(content))
    }

    const CONFIG: &[u8] =
        br#"{"created":"2024-05-06T07:08:09Z","rootfs":{"type":"layers","diff_ids":["sha256:aa","sha256:bb"]}}"#;

    fn read_bytes(bytes: &[u8], name: &str) -> Result<Arc<Archive>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image.tar");
        std::fs::write(&path, bytes).unwrap();
        read(&path, name)
            .map_err(|message| message.replace(&path.display().to_string(), "image.tar"))
    }

    #[test]
    fn every_layout_that_docker_save_had_is_read() {
        let id = digest(CONFIG);
        let layer = vec![7; 2 * SMALL as usize];
        let old = json!([{ "Config": format!("{id}.json"), "RepoTags": ["a:1"], "Layers": ["x/layer.tar"] }]);
        let old = tar_of(&[
            ("x/layer.tar", &layer),
            (&format!("{id}.json"), CONFIG),
            ("manifest.json", old.to_string().as_bytes()),
        ]);
        let archive = read_bytes(&old, "a:1").unwrap();
        assert_eq!(archive.ids, [format!("sha256:{id}")]);
        assert_eq!(archive.created, "2024-05-06T07:08:09Z");
        assert_eq!(archive.layers, ["sha256:aa", "sha256:bb"]);
        assert_eq!(archive.size, old.len() as u64);

        let manifest = json!({ "config": { "digest": format!("sha256:{id}") } }).to_string();
        let manifest_id = digest(manifest.as_bytes());
        let index =
            json!({ "manifests": [{ "digest": format!("sha256:{manifest_id}") }] }).to_string();
        let (config_blob, manifest_blob) = (
            format!("blobs/sha256/{id}"),
            format!("blobs/sha256/{manifest_id}"),
        );
        let both = format!("[{{\"Config\":\"{config_blob}\",\"RepoTags\":null}}]");
        let oci: Vec<(&str, &[u8])> = vec![
            ("index.json", index.as_bytes()),
            (&config_blob, CONFIG),
            (&manifest_blob, manifest.as_bytes()),
            ("manifest.json", both.as_bytes()),
        ];
        let expected = [format!("sha256:{id}"), format!("sha256:{manifest_id}")];
        assert_eq!(read_bytes(&tar_of(&oci), "b:1").unwrap().ids, expected);
        assert_eq!(read_bytes(&tar_of(&oci[..3]), "b:1").unwrap().ids, expected);

        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zip.write_all(&old).unwrap();
        assert_eq!(
            read_bytes(&zip.finish().unwrap(), "a:1").unwrap().ids,
            archive.ids
        );
    }

    #[test]
    fn of_several_images_the_named_one_is_taken() {
        let other = b"{}";
        let manifest = json!([
            { "Config": "one.json", "RepoTags": ["a:1"] },
            { "Config": "two.json", "RepoTags": ["b:1"] },
        ])
        .to_string();
        let tar = tar_of(&[
            ("one.json", other),
            ("two.json", CONFIG),
            ("manifest.json", manifest.as_bytes()),
        ]);
        assert_eq!(
            read_bytes(&tar, "b:1").unwrap().ids,
            [format!("sha256:{}", digest(CONFIG))]
        );
        assert_eq!(
            read_bytes(&tar, "c:1").unwrap_err(),
            "image.tar holds several images, and none is c:1: a:1, b:1"
        );
    }

    #[test]
    fn what_is_no_image_is_named() {
        assert_eq!(
            read_bytes(&tar_of(&[("readme", b"x")]), "a:1").unwrap_err(),
            "image.tar is not an image: it has no manifest.json"
        );
        assert_eq!(
            read_bytes(
                &tar_of(&[("manifest.json", br#"[{"Config":"c.json"}]"#)]),
                "a:1"
            )
            .unwrap_err(),
            "image.tar has no c.json, which it refers to"
        );
        assert!(
            read_bytes(&[b'x'; 2000], "a:1")
                .unwrap_err()
                .starts_with("cannot read image.tar: ")
        );
    }

    #[test]
    fn the_sum_is_that_of_the_whole_tar() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(
            sum(&path, &Archive::default()).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
