//! What a manifest says.

use std::collections::{BTreeMap, BTreeSet};

use ripcord_core::digest::Digest;
use ripcord_core::fact::{Dataset, Lineage, Measure};
use ripcord_core::name::VersionName;
use ripcord_core::signal::Label;
use ripcord_core::target::{ArtefactFile, VersionTarget};
use ripcord_core::time::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::{artefact, text_time};

/// The content of `manifest.toml`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Manifest {
    /// The model's name, as its folder says.
    pub model: String,
    /// The version's name, as its folder says.
    pub version: VersionName,
    /// When it was registered, RFC 3339.
    pub created_at: String,
    /// The serving image or runtime.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// Names that point at it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    /// The input signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Free tags.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Of the training run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub measures: BTreeMap<String, f64>,
    /// What it was made of.
    #[serde(default)]
    pub lineage: ManifestLineage,
    /// The files under `files/`.
    #[serde(default)]
    pub artefacts: Vec<Artefact>,
}

/// What a version was made of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ManifestLineage {
    /// Revision of the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The training run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Where the artefact was taken from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The training data set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// Its revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_revision: Option<String>,
    /// The version that this one was trained from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<VersionName>,
    /// Training parameters: texts, numbers, booleans.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, toml::Value>,
    /// Further data sets, such as the one that it was evaluated with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<ManifestDataset>,
}

/// A data set that went into a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ManifestDataset {
    /// Its name.
    pub name: String,
    /// Its revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// What it was used for, such as `eval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
}

/// One file of the artefact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Artefact {
    /// Below `files/`, with `/` between its parts.
    pub path: String,
    /// Of its content.
    pub sha256: Digest,
    /// Its size.
    pub bytes: u64,
}

impl Manifest {
    /// Reads and checks a manifest; the error is the end of a sentence that begins with the manifest's place.
    pub(crate) fn parse(
        bytes: &[u8],
        model: &str,
        version: &VersionName,
    ) -> Result<(Self, UnixMillis), String> {
        let manifest: Self = toml::from_slice(bytes)
            .map_err(|error| format!("does not read: {}", error.to_string().trim_end().replace('\n', " ")))?;
        if manifest.model != model {
            return Err(format!("names the model `{}` and lies in the folder of `{model}`", manifest.model));
        }
        if manifest.version != *version {
            return Err(format!("names the version `{}`", manifest.version));
        }
        if manifest.artefacts.is_empty() {
            return Err("lists no file under `[[artefacts]]`".to_owned());
        }
        if manifest.artefacts.len() > artefact::FILES_MAX {
            return Err(format!("lists more than {} files", artefact::FILES_MAX));
        }
        let mut paths = BTreeSet::new();
        for file in &manifest.artefacts {
            artefact::check_path(&file.path).map_err(|why| format!("lists a file with a bad path: {why}"))?;
            if !paths.insert(file.path.as_str()) {
                return Err(format!("lists the file `{}` twice", file.path));
            }
        }
        let created_at =
            text_time::parse(&manifest.created_at).map_err(|why| format!("has a bad `created-at`: {why}"))?;
        Ok((manifest, created_at))
    }

    /// The files, as they count for the artefact's digest.
    pub fn files(&self) -> Vec<ArtefactFile> {
        let file = |listed: &Artefact| ArtefactFile {
            path: listed.path.clone(),
            sha256: listed.sha256,
            bytes: listed.bytes,
        };
        self.artefacts.iter().map(file).collect()
    }

    pub(crate) fn tags(&self) -> Vec<Label> {
        self.tags.iter().map(|(name, value)| Label::new(name, value)).collect()
    }

    pub(crate) fn measures(&self) -> Vec<Measure> {
        // A measure that is no number says nothing, and compares with nothing, not even itself.
        let finite = self.measures.iter().filter(|(_, value)| value.is_finite());
        finite.map(|(name, value)| Measure { name: name.clone(), value: *value }).collect()
    }

    pub(crate) fn lineage(&self) -> Lineage {
        let text = |value: &toml::Value| match value {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let lineage = &self.lineage;
        let trained_on = lineage.dataset.clone().map(|name| Dataset {
            name,
            revision: lineage.dataset_revision.clone(),
            context: Some("training".to_owned()),
        });
        let further = lineage.datasets.iter().map(|set| Dataset {
            name: set.name.clone(),
            revision: set.revision.clone(),
            context: set.context.clone(),
        });
        Lineage {
            code: lineage.code.clone(),
            run: lineage.run.clone(),
            source: lineage.source.clone(),
            datasets: trained_on.into_iter().chain(further).collect(),
            parameters: lineage
                .parameters
                .iter()
                .map(|(name, value)| Label::new(name, text(value)))
                .collect(),
            dataset: lineage.dataset.clone(),
            dataset_revision: lineage.dataset_revision.clone(),
            parent: lineage.parent.clone().map(|version| VersionTarget { version, digest: None }),
        }
    }
}
