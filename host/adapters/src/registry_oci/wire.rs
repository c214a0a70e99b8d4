//! What registries answer and keep, as far as it is read. Lenient where the specifications are: what is unknown is passed over.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

pub(super) const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const IMAGE_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(super) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(super) const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// A page of the list of tags.
#[derive(Debug, Deserialize)]
pub(super) struct Tags {
    #[serde(rename = "name")]
    _name: String,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) tags: Vec<String>,
}

/// Why a call was refused.
#[derive(Debug, Deserialize)]
pub(super) struct Refusals {
    pub(super) errors: Vec<Refusal>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    #[serde(default, deserialize_with = "left_out")]
    pub(super) code: String,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) message: String,
}

/// What a token endpoint gives: the one or the other.
#[derive(Deserialize)]
pub(super) struct Tokens {
    #[serde(default, deserialize_with = "left_out")]
    pub(super) token: String,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) access_token: String,
}

/// A manifest, or an index of several.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    #[serde(default)]
    pub(super) media_type: Option<String>,
    #[serde(default)]
    pub(super) config: Option<Descriptor>,
    #[serde(default)]
    pub(super) layers: Option<Vec<Descriptor>>,
    /// Of an index.
    #[serde(default)]
    pub(super) manifests: Option<Vec<IgnoredAny>>,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) annotations: BTreeMap<String, String>,
}

/// What a manifest says of a blob.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default, deserialize_with = "left_out", skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

/// `null` is as good as left out.
pub(super) fn left_out<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}
