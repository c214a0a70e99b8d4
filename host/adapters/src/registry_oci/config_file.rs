//! The config of a manifest, where it is of a kind that says something of a model: ModelPack's, and KitOps' Kitfile.

use std::collections::BTreeMap;

use ripcord_core::digest::Digest;
use ripcord_core::fact::Dataset;
use ripcord_core::signal::Label;
use ripcord_ports::{ErrorKind, PortError, Retry};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::api::Api;
use super::manifest::digest_of;
use super::wire::{Descriptor, left_out};
use crate::http;

const MODEL_PACK: [&str; 2] =
    ["application/vnd.cncf.model.config.v1+json", "application/vnd.cnai.model.config.v1+json"];
const KITFILE: &str = "application/vnd.kitops.modelkit.config.v1+json";
/// Where KitOps writes the Kitfile beside a config of ModelPack.
pub(super) const KITFILE_ANNOTATION: &str = "ml.kitops.modelkit.kitfile";
const BYTES_MAX: u64 = 1 << 20;
/// Data sets, and parameters, of one model. Who has more names them somewhere else.
const ENTRIES_MAX: usize = 1_000;

/// What a config says of where a model comes from.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// In the form of RFC 3339.
    pub(super) created_at: Option<String>,
    pub(super) code: Option<String>,
    pub(super) source: Option<String>,
    /// Sorted by name.
    pub(super) parameters: Vec<Label>,
    pub(super) datasets: Vec<Dataset>,
    /// The model that it began with, as somebody wrote it.
    pub(super) base: Option<String>,
}

impl Facts {
    /// These, and what only the others say.
    pub(super) fn or(mut self, other: Self) -> Self {
        self.created_at = self.created_at.or(other.created_at);
        self.code = self.code.or(other.code);
        self.source = self.source.or(other.source);
        self.base = self.base.or(other.base);
        self.parameters.extend(other.parameters);
        self.parameters.sort();
        self.parameters.dedup();
        self.datasets.extend(other.datasets);
        self
    }
}

/// Whether a config of this media type is read.
pub(super) fn is_read(media_type: &str) -> bool {
    media_type == KITFILE || MODEL_PACK.contains(&media_type)
}

/// Fetches a config and reads it. One that leaves all of it out has no facts; one that cannot be read may name data that are condemned.
pub(super) async fn fetch(api: &Api, config: &Descriptor) -> Result<Facts, PortError> {
    if config.size > BYTES_MAX {
        let text = format!("has a config of {} bytes, more than the {BYTES_MAX} that are read", config.size);
        return Err(PortError::not_applied(ErrorKind::TooLarge, text));
    }
    let digest =
        digest_of(&config.digest).ok_or_else(|| unread("its digest is of another algorithm than SHA-256"))?;
    let bytes = http::patiently(api.patience, || async {
        let mut body = api.blob(&digest, "the config of a manifest").await?;
        let mut bytes = Vec::new();
        while let Some(piece) = body.next().await? {
            bytes.extend_from_slice(&piece);
            if bytes.len() as u64 > config.size {
                break;
            }
        }
        if Digest::of(&bytes) == digest {
            return Ok(bytes);
        }
        let text = format!("the config sha256:{digest} of a manifest came with other bytes than those of its digest: it was changed or damaged on its way, or where the registry keeps it");
        Err(PortError::not_applied(ErrorKind::BadAnswer, text).retry(Retry::Later))
    })
    .await?;
    let read = if config.media_type == KITFILE { of_kitfile(&bytes) } else { of_model_pack(&bytes) };
    bounded(read.map_err(|error| unread(&error.to_string()))?)
}

fn unread(why: &str) -> PortError {
    let text =
        format!("the config that should say what the model was made of cannot be read: {why}; push it anew");
    PortError::not_applied(ErrorKind::BadAnswer, text)
}

fn bounded(facts: Facts) -> Result<Facts, PortError> {
    if facts.datasets.len() > ENTRIES_MAX || facts.parameters.len() > ENTRIES_MAX {
        let text = format!("the config names more than {ENTRIES_MAX} data sets or parameters");
        return Err(PortError::not_applied(ErrorKind::TooLarge, text));
    }
    Ok(facts)
}

/// What a manifest's annotations say in the place of a config.
pub(super) fn of_annotations(annotations: &BTreeMap<String, String>) -> Result<Facts, PortError> {
    let Some(text) = annotations.get(KITFILE_ANNOTATION) else { return Ok(Facts::default()) };
    match of_kitfile(text.as_bytes()) {
        Ok(facts) => bounded(facts),
        // Not the form that KitOps writes: somebody's own text.
        Err(error) if !error.is_data() => Ok(Facts::default()),
        Err(error) => Err(unread(&error.to_string())),
    }
}

#[derive(Debug, Default, Deserialize)]
struct ModelPack {
    #[serde(default, deserialize_with = "left_out")]
    descriptor: ModelPackDescriptor,
    #[serde(default, deserialize_with = "left_out")]
    config: Map<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ModelPackDescriptor {
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    family: Option<String>,
    #[serde(default)]
    revision: Option<String>,
    #[serde(default, rename = "sourceURL")]
    source_url: Option<String>,
    #[serde(default, rename = "datasetsURL", deserialize_with = "left_out")]
    datasets_url: Vec<String>,
}

fn of_model_pack(bytes: &[u8]) -> serde_json::Result<Facts> {
    let read: ModelPack = serde_json::from_slice(bytes)?;
    let said = read.descriptor;
    let family = said.family.map(|family| Label::new("family", family));
    let mut parameters: Vec<Label> = family.into_iter().chain(scalars(read.config)).collect();
    parameters.sort();
    let datasets = said.datasets_url.into_iter().map(|name| Dataset { name, revision: None, context: None });
    Ok(Facts {
        created_at: said.created_at,
        code: said.revision.filter(|revision| !revision.is_empty()),
        source: said.source_url.filter(|source| !source.is_empty()),
        parameters,
        datasets: datasets.collect(),
        base: None,
    })
}

#[derive(Debug, Default, Deserialize)]
struct Kitfile {
    #[serde(default, deserialize_with = "left_out")]
    model: KitfileModel,
    #[serde(default, deserialize_with = "left_out")]
    datasets: Vec<KitfileDataset>,
}

#[derive(Debug, Default, Deserialize)]
struct KitfileModel {
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    framework: Option<String>,
    #[serde(default)]
    format: Option<String>,
    #[serde(default)]
    parameters: Value,
}

#[derive(Debug, Deserialize)]
struct KitfileDataset {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    digest: Option<String>,
}

fn of_kitfile(bytes: &[u8]) -> serde_json::Result<Facts> {
    let read: Kitfile = serde_json::from_slice(bytes)?;
    let label = |name: &str, value: Option<String>| value.map(|value| Label::new(name, value));
    let own = match read.model.parameters {
        Value::Object(own) => own,
        _ => Map::new(),
    };
    let said = [label("framework", read.model.framework), label("format", read.model.format)];
    let mut parameters: Vec<Label> = said.into_iter().flatten().chain(scalars(own)).collect();
    parameters.sort();
    let datasets = read.datasets.into_iter().filter_map(|set| {
        let name = set.name.filter(|name| !name.is_empty()).or(set.path)?;
        Some(Dataset { name, revision: set.digest.filter(|digest| !digest.is_empty()), context: None })
    });
    Ok(Facts { parameters, datasets: datasets.collect(), base: read.model.path, ..Facts::default() })
}

/// Entries as labels, but for what is in tables.
fn scalars(all: Map<String, Value>) -> impl Iterator<Item = Label> {
    all.into_iter().filter_map(|(name, value)| match value {
        Value::String(text) => Some(Label::new(name, text)),
        Value::Bool(_) | Value::Number(_) => Some(Label::new(name, value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, revision: Option<&str>) -> Dataset {
        Dataset { name: name.into(), revision: revision.map(str::to_owned), context: None }
    }

    #[test]
    fn a_config_of_model_pack_tells_family_code_and_data_sets() {
        let facts = of_model_pack(
            br#"{"descriptor":{"createdAt":"2026-11-01T00:00:00Z","family":"fraud","revision":"abc123",
                "sourceURL":"https://git.example/fraud","datasetsURL":["https://data.example/rows"]},
                "config":{"architecture":"cnn","paramSize":"1b","capabilities":{"reasoning":false}},"modelfs":{}}"#,
        )
        .unwrap();
        assert_eq!(facts.created_at.as_deref(), Some("2026-11-01T00:00:00Z"));
        assert_eq!(
            (facts.code.as_deref(), facts.source.as_deref()),
            (Some("abc123"), Some("https://git.example/fraud"))
        );
        let wanted =
            [Label::new("architecture", "cnn"), Label::new("family", "fraud"), Label::new("paramSize", "1b")];
        assert_eq!(facts.parameters, wanted);
        assert_eq!(facts.datasets, [set("https://data.example/rows", None)]);
    }

    #[test]
    fn a_kitfile_tells_parameters_data_sets_and_the_base() {
        let facts = of_kitfile(
            br#"{"manifestVersion":"1.0.0","model":{"path":"r.example/models/fraud:1","framework":"sklearn",
                "parameters":{"depth":4,"loss":"mse","nested":{}}},
                "datasets":[{"name":"rows","path":"./rows.csv","digest":"sha256:00"},{"path":"./more.csv"},{}]}"#,
        )
        .unwrap();
        let wanted =
            [Label::new("depth", "4"), Label::new("framework", "sklearn"), Label::new("loss", "mse")];
        assert_eq!(facts.parameters, wanted);
        assert_eq!(facts.datasets, [set("rows", Some("sha256:00")), set("./more.csv", None)]);
        assert_eq!(facts.base.as_deref(), Some("r.example/models/fraud:1"));
    }

    #[test]
    fn what_says_nothing_of_a_model_has_no_facts() {
        for text in ["{}", "{\"descriptor\":null}", "{\"model\":null,\"datasets\":null}"] {
            assert_eq!(of_model_pack(text.as_bytes()).unwrap(), Facts::default(), "{text}");
            assert_eq!(of_kitfile(text.as_bytes()).unwrap(), Facts::default(), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_no_model_of_which_nothing_is_said() {
        for text in
            ["", "{\"descriptor\":7}", "{\"descriptor\":{\"revision\":7,\"datasetsURL\":[\"condemned\"]}}"]
        {
            assert!(of_model_pack(text.as_bytes()).is_err(), "{text}");
        }
        for text in ["", "{\"model\":7}", "{\"datasets\":[7]}"] {
            assert!(of_kitfile(text.as_bytes()).is_err(), "{text}");
        }
        let annotated =
            |text: &str| of_annotations(&[(KITFILE_ANNOTATION.to_owned(), text.to_owned())].into());
        assert_eq!(annotated("model: in YAML").unwrap(), Facts::default());
        assert_eq!(annotated("{\"datasets\":[7]}").unwrap_err().kind, ErrorKind::BadAnswer);
        let many = format!("{{\"descriptor\":{{\"datasetsURL\":[{}]}}}}", vec!["\"\""; 1_001].join(","));
        assert_eq!(bounded(of_model_pack(many.as_bytes()).unwrap()).unwrap_err().kind, ErrorKind::TooLarge);
    }
}
