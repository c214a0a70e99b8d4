//! What a manifest is made of: ModelPack and KitOps, which say what each layer is by its media type, and what ORAS and others push, where a title names the file.

use std::collections::{BTreeMap, BTreeSet};

use ripcord_core::digest::Digest;
use ripcord_core::fact::Dataset;

use super::config_file;
use super::manifest::digest_of;
use super::wire::{DOCKER_LIST, Descriptor, EMPTY, IMAGE_INDEX, Manifest};
use crate::artefact;

const TITLE: &str = "org.opencontainers.image.title";
const PATHS: [&str; 3] = ["org.cncf.model.filepath", "org.cnai.model.filepath", TITLE];
/// ORAS packs a folder, and says so.
const UNPACK: &str = "io.deis.oras.content.unpack";
/// What media types of models begin with: ModelPack, the same under its first name, and KitOps.
const MODELS: [&str; 3] =
    ["application/vnd.cncf.model.", "application/vnd.cnai.model.", "application/vnd.kitops.modelkit."];
/// Of folders, where the layer has a title; without one it is of a container image.
const FOLDERS: [&str; 2] =
    ["application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.oci.image.layer.v1.tar+zstd"];
const IMAGES: [&str; 2] = ["application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs."];

/// A layer that is fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layer {
    pub(super) digest: Digest,
    pub(super) bytes: u64,
    pub(super) form: Form,
}

/// What its bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// Of the file with this path.
    File(String),
    /// Of a tar archive of files.
    Archive(Compression),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

/// What was read of a manifest.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) annotations: BTreeMap<String, String>,
    /// None where nothing in it is read.
    pub(super) config: Option<Descriptor>,
    /// As in [`super::manifest::Known`].
    pub(super) layers: Result<Vec<Layer>, String>,
    pub(super) datasets: Vec<Dataset>,
}

/// Reads a manifest. What is none of an artefact is told in `layers`.
pub(super) fn read(content_type: &str, body: &[u8]) -> Read {
    let bare = |why: String| Read {
        annotations: BTreeMap::new(),
        config: None,
        layers: Err(why),
        datasets: Vec::new(),
    };
    let manifest: Manifest = match serde_json::from_slice(body) {
        Ok(manifest) => manifest,
        Err(error) => return bare(format!("has a manifest that does not read: {error}")),
    };
    let kind = manifest.media_type.as_deref().unwrap_or(content_type);
    let layers = if manifest.manifests.is_some() || [IMAGE_INDEX, DOCKER_LIST].contains(&kind) {
        Err("is an index of several manifests, and nothing says which of them is the model: give the model's own manifest a tag".to_owned())
    } else {
        match &manifest.layers {
            Some(layers) => planned(layers),
            None => Err("has a manifest without layers: push the model's files as layers of one".to_owned()),
        }
    };
    let datasets = manifest.layers.iter().flatten().filter(|layer| is_dataset(layer)).map(|layer| Dataset {
        name: path(layer).unwrap_or(&layer.digest).to_owned(),
        revision: Some(layer.digest.clone()),
        context: None,
    });
    let datasets = datasets.collect();
    let config = manifest.config.filter(|config| config_file::is_read(&config.media_type));
    Read { annotations: manifest.annotations, config, layers, datasets }
}

fn planned(all: &[Descriptor]) -> Result<Vec<Layer>, String> {
    let mut paths = BTreeSet::new();
    let mut planned = Vec::new();
    for layer in all.iter().filter(|layer| layer.media_type != EMPTY && !is_dataset(layer)) {
        let form = form(layer)?;
        if let Form::File(path) = &form
            && !paths.insert(path.clone())
        {
            return Err(format!("has two layers of the name `{path}`: push it with one of each"));
        }
        let digest = digest_of(&layer.digest).ok_or_else(|| {
            format!(
                "has a layer with the digest `{}`, and only those of SHA-256 are checked: push it with that",
                shown(&layer.digest)
            )
        })?;
        planned.push(Layer { digest, bytes: layer.size, form });
    }
    if planned.is_empty() {
        return Err("has no layer that is a file of the model: push the model's files as layers".to_owned());
    }
    Ok(planned)
}

fn form(layer: &Descriptor) -> Result<Form, String> {
    let kind = layer.media_type.as_str();
    let is_model = MODELS.iter().any(|prefix| kind.starts_with(prefix));
    // ORAS for Python says nothing but this of a folder; a file has it only where somebody asked for it.
    let is_folder = FOLDERS.contains(&kind) && path(layer).is_some();
    if is_model || is_folder || layer.annotations.get(UNPACK).is_some_and(|unpack| unpack == "true") {
        match kind.rsplit('.').next().unwrap_or_default() {
            "tar" => return Ok(Form::Archive(Compression::None)),
            "tar+gzip" => return Ok(Form::Archive(Compression::Gzip)),
            "tar+zstd" => return Ok(Form::Archive(Compression::Zstd)),
            other if other.contains('+') || !is_model => {
                return Err(format!(
                    "has a layer of the media type `{}`, which is packed in a way that is not read here: pack it as tar, gzip or zstd, or not at all",
                    shown(kind)
                ));
            }
            _ => {}
        }
    }
    let Some(path) = path(layer) else {
        let why = if IMAGES.iter().any(|prefix| kind.starts_with(prefix)) {
            "is a container image, whose layers are no files of a model: push the model as an artefact (ModelPack, KitOps, ORAS)".to_owned()
        } else {
            format!(
                "has a layer of the media type `{}` without a title, so nothing says its file's name: push it with the annotation `{TITLE}`",
                shown(kind)
            )
        };
        return Err(why);
    };
    artefact::check_path(path).map_err(|why| format!("has a layer that no artefact can hold: {why}"))?;
    Ok(Form::File(path.to_owned()))
}

fn is_dataset(layer: &Descriptor) -> bool {
    let own = MODELS.iter().find_map(|prefix| layer.media_type.strip_prefix(prefix));
    own.is_some_and(|own| own.starts_with("dataset."))
}

fn path(layer: &Descriptor) -> Option<&str> {
    let path = PATHS.iter().find_map(|key| layer.annotations.get(*key))?;
    Some(path.strip_prefix("./").unwrap_or(path))
}

/// Text of a manifest within a sentence.
fn shown(text: &str) -> String {
    text.chars().take(200).collect::<String>().escape_debug().to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn layer(kind: &str, name: u8, annotations: Value) -> Value {
        json!({ "mediaType": kind, "digest": format!("sha256:{}", Digest::of([name])), "size": 7, "annotations": annotations })
    }

    fn of(layers: &[Value]) -> Read {
        let manifest = json!({
            "schemaVersion": 2, "config": { "mediaType": EMPTY, "digest": "sha256:0", "size": 2 }, "layers": layers,
            "annotations": null,
        });
        read("application/vnd.oci.image.manifest.v1+json", manifest.to_string().as_bytes())
    }

    fn forms(layers: &[Value]) -> Vec<Form> {
        of(layers).layers.unwrap().into_iter().map(|layer| layer.form).collect()
    }

    fn why(layers: &[Value]) -> String {
        of(layers).layers.unwrap_err()
    }

    #[test]
    fn layers_of_models_are_files_and_archives_and_data_sets_are_neither() {
        let title = |title: &str| json!({ TITLE: title });
        let file = |path: &str| Form::File(path.to_owned());
        let oras = [
            layer("application/vnd.oci.image.layer.v1.tar", 1, title("model.bin")),
            layer("application/x-pickle", 2, title("./weights/0.bin")),
            layer(
                "application/vnd.oci.image.layer.v1.tar+gzip",
                3,
                json!({ TITLE: "folder", UNPACK: "true" }),
            ),
            layer(EMPTY, 4, json!({})),
            layer("application/vnd.oci.image.layer.v1.tar+gzip", 5, title("of-python")),
        ];
        let archive = Form::Archive(Compression::Gzip);
        let wanted = [file("model.bin"), file("weights/0.bin"), archive.clone(), archive];
        assert_eq!(forms(&oras), wanted);
        let path = |path: &str| json!({ "org.cncf.model.filepath": path, TITLE: "other" });
        let pack = [
            layer("application/vnd.cncf.model.weight.v1.raw", 1, path("model.safetensors")),
            layer("application/vnd.cncf.model.weight.config.v1.tar", 2, path("tokenizer")),
            layer("application/vnd.cncf.model.code.v1.tar+zstd", 3, path("code")),
            layer("application/vnd.cncf.model.weight.v1.safetensors", 4, path("b.safetensors")),
            layer("application/vnd.cncf.model.dataset.v1.tar", 5, path("rows.csv")),
        ];
        let wanted = [
            file("model.safetensors"),
            Form::Archive(Compression::None),
            Form::Archive(Compression::Zstd),
            file("b.safetensors"),
        ];
        assert_eq!(forms(&pack), wanted);
        let set = Dataset {
            name: "rows.csv".into(),
            revision: Some(format!("sha256:{}", Digest::of([5]))),
            context: None,
        };
        assert_eq!(of(&pack).datasets, [set]);
        let kit = [layer("application/vnd.kitops.modelkit.model.v1.tar+gzip", 1, Value::Null)];
        assert_eq!(forms(&kit), [Form::Archive(Compression::Gzip)]);
    }

    #[test]
    fn what_is_no_artefact_is_told_with_what_to_do() {
        let titled = |title: &str| layer("application/x", 1, json!({ TITLE: title }));
        assert!(why(&[]).contains("no layer that is a file"));
        assert!(why(&[layer("application/x", 1, json!({}))]).contains("without a title"));
        assert!(why(&[titled("../x")]).contains("`../x` is not the path"));
        assert!(why(&[titled("/etc/passwd")]).contains("`/etc/passwd` is not the path"));
        assert!(why(&[titled("a\u{1b}[0m")]).contains("\\u{1b}"));
        assert!(why(&[titled("a"), titled("a")]).contains("two layers of the name `a`"));
        let image = layer("application/vnd.docker.image.rootfs.diff.tar.gzip", 1, json!({}));
        assert!(why(&[image]).contains("is a container image"));
        let raw = layer("application/vnd.kitops.modelkit.model.v1.raw+gzip", 1, json!({}));
        assert!(why(&[raw]).contains("not read here"));
        let mut other = titled("a");
        other["digest"] = json!(format!("sha512:{}", "0".repeat(128)));
        assert!(why(&[other]).contains("only those of SHA-256 are checked"));
        let index = br#"{"schemaVersion":2,"manifests":[{}]}"#;
        assert!(read(IMAGE_INDEX, index).layers.unwrap_err().contains("index of several manifests"));
        for text in ["", "7", "<html>", "{\"layers\":[{\"size\":-1}]}"] {
            let why = read("", text.as_bytes()).layers.unwrap_err();
            assert!(why.contains("does not read"), "{text}: {why}");
        }
    }
}
