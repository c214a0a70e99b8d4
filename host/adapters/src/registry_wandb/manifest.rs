//! An artifact's manifest: its files, each with size and digest. `wandb_manifest.json`, version 1, as W&B's own client reads it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::artefact;

/// The largest that is read: a hundred thousand files have some twenty megabytes.
pub(super) const BYTES_MAX: u64 = 64 << 20;

/// A file of an artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) path: String,
    pub(super) bytes: Option<u64>,
    /// None where W&B made it by another algorithm.
    pub(super) md5: Option<[u8; 16]>,
}

#[derive(Deserialize)]
struct File {
    version: u64,
    contents: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    digest: String,
    #[serde(default, rename = "ref")]
    reference: Option<String>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    extra: Option<BTreeMap<String, serde_json::Value>>,
}

/// Why a manifest gives no files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unusable {
    /// It is no manifest; the rest of a sentence that begins with it.
    NoManifest(String),
    /// The artifact cannot be had from W&B; the rest of a sentence that begins with the artifact.
    NoArtefact(String),
}

/// Reads it: all files, sorted by path.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Listed>, Unusable> {
    let no_manifest = |why: String| Unusable::NoManifest(why);
    let file: File = serde_json::from_slice(bytes)
        .map_err(|error| no_manifest(format!("is not the JSON of a manifest: {error}")))?;
    if file.version != 1 {
        return Err(no_manifest(format!("is of version {}, and 1 is known here", file.version)));
    }
    if file.contents.is_empty() {
        return Err(Unusable::NoArtefact("has no file".to_owned()));
    }
    if file.contents.len() > artefact::FILES_MAX {
        let text = format!("has more than {} files: it is no model's artefact", artefact::FILES_MAX);
        return Err(Unusable::NoArtefact(text));
    }
    file.contents.into_iter().map(|(path, entry)| listed(path, &entry)).collect()
}

fn listed(path: String, entry: &Entry) -> Result<Listed, Unusable> {
    artefact::check_path(&path)
        .map_err(|why| Unusable::NoArtefact(format!("holds a file that no artefact can hold: {why}")))?;
    if let Some(reference) = &entry.reference {
        let shown: String = reference.chars().take(200).collect();
        return Err(Unusable::NoArtefact(format!(
            "refers to `{}` for its file `{path}`, which W&B does not keep: log the file itself",
            shown.escape_debug()
        )));
    }
    // Only what is not MD5 says what it is.
    let other = entry.extra.as_ref().and_then(|extra| extra.get("alg")).is_some_and(|alg| alg != "MD5");
    let md5 = if other {
        None
    } else {
        let digest = STANDARD.decode(&entry.digest).ok().and_then(|bytes| bytes.try_into().ok());
        Some(digest.ok_or_else(|| {
            Unusable::NoManifest(format!("has no MD5 digest in base 64 for its file `{path}`"))
        })?)
    };
    Ok(Listed { path, bytes: entry.size, md5 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(contents: &str) -> Result<Vec<Listed>, Unusable> {
        parse(
            format!(
                "{{\"version\":1,\"storagePolicy\":\"wandb-storage-policy-v1\",\"contents\":{contents}}}"
            )
            .as_bytes(),
        )
    }

    #[test]
    fn files_with_their_digests_are_read() {
        let listed = read(
            r#"{"w/0.bin":{"digest":"1B2M2Y8AsgTpgAmY7PhCfg==","birthArtifactID":"QQ==","size":0},
                "a.txt":{"digest":"AAAAAAAAAAAAAAAAAAAAAA==","size":7,"extra":{"alg":"XXH128"}}}"#,
        )
        .unwrap();
        let shape: Vec<_> =
            listed.iter().map(|file| (file.path.as_str(), file.bytes, file.md5.is_some())).collect();
        assert_eq!(shape, [("a.txt", Some(7), false), ("w/0.bin", Some(0), true)]);
        assert_eq!(listed[1].md5.unwrap()[..4], [0xd4, 0x1d, 0x8c, 0xd9], "of nothing");
    }

    #[test]
    fn what_w_and_b_does_not_keep_is_no_artefact_of_its() {
        let of = |contents: &str| match read(contents).unwrap_err() {
            Unusable::NoArtefact(why) => why,
            other => panic!("{contents}: {other:?}"),
        };
        assert!(of(r#"{"m":{"digest":"etag","ref":"s3://models/m","size":4}}"#).contains("`s3://models/m`"));
        assert!(of(r#"{"../m":{"digest":"AAAAAAAAAAAAAAAAAAAAAA==","size":4}}"#).contains("`../m`"));
        assert_eq!(of("{}"), "has no file");
    }

    #[test]
    fn what_is_no_manifest_is_told() {
        for text in
            ["", "[]", "{}", "<html>", "{\"version\":2,\"contents\":{}}", "{\"version\":1,\"contents\":[]}"]
        {
            assert!(matches!(parse(text.as_bytes()), Err(Unusable::NoManifest(_))), "{text}");
        }
        for digest in ["", "AAAA", "not base 64", "AAAAAAAAAAAAAAAAAAAAAAAA"] {
            let read = read(&format!("{{\"m\":{{\"digest\":\"{digest}\",\"size\":4}}}}"));
            assert!(matches!(read, Err(Unusable::NoManifest(_))), "{digest}");
        }
    }
}
