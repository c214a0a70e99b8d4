//! Holds. A version is a tag, and a tag has nothing that hangs on it: a hold is a small manifest of ours under a tag beside it, `ripcord.hold.VERSION`.
//!
//! It names what it is about as its subject, so that a registry that lists referrers lists it. Lifting a hold puts another manifest under the same tag: few
//! registries let their users delete.

use reqwest::Method;
use ripcord_core::digest::Digest;
use ripcord_core::name::VersionName;
use ripcord_ports::registry;
use ripcord_ports::{ErrorKind, PortError};
use serde::Deserialize;
use serde_json::json;

use super::api::Api;
use super::refusal::{self, Asked};
use super::wire::{Descriptor, EMPTY, IMAGE_MANIFEST, left_out};
use super::{CONDEMNED_TAG, manifest, names};
use crate::http;
use crate::registry_directory::HOLD_TAG;
use crate::settled::settled;

/// What our manifests say that they are.
const KIND: &str = "application/vnd.ripcord.hold.v1";
/// The content of a manifest that is all annotations.
const NOTHING: &[u8] = b"{}";

/// What stands under the tag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// By which incident.
    pub(super) held: Option<String>,
    /// By which incident, also when the hold is lifted.
    pub(super) condemned: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(default, deserialize_with = "left_out")]
    artifact_type: String,
    #[serde(default, deserialize_with = "left_out")]
    annotations: std::collections::BTreeMap<String, String>,
}

/// The tag of a version's mark; none where it would be too long for a tag.
pub(super) fn tag(version: &VersionName) -> Option<String> {
    Some(format!("{}hold.{version}", names::OWN)).filter(|tag| names::is_tag(tag))
}

/// The version's mark, if there is one.
pub(super) async fn read(api: &Api, version: &VersionName) -> Result<Option<Mark>, PortError> {
    let Some(tag) = tag(version) else { return Ok(None) };
    http::patiently(api.patience, || async {
        let answer = api.ask_manifest(Method::GET, &tag).await?;
        if refusal::is_unknown(&answer) {
            return Ok(None);
        }
        let answer = api.judge(answer, Asked::Manifest(&tag))?;
        let mut written: Written = answer.json()?;
        if written.artifact_type != KIND {
            let text = format!(
                "the tag `{tag}` of `{}` is kept for marks of holds, and something else is there: delete it",
                api.repository
            );
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
        }
        let mut take = |key: &str| written.annotations.remove(key);
        Ok(Some(Mark { held: take(HOLD_TAG), condemned: take(CONDEMNED_TAG) }))
    })
    .await
}

/// Writes a mark and reads it back.
pub(super) async fn write(
    api: &Api,
    version: &VersionName,
    at: &Digest,
    mark: registry::Mark<'_>,
) -> Result<(), PortError> {
    let tag = tag(version).ok_or_else(|| {
        let text = format!(
            "the name `{version}` is too long for a mark: its tag would have more than 128 characters"
        );
        PortError::not_applied(ErrorKind::Unsupported, text)
    })?;
    let now = read(api, version).await?.unwrap_or_default();
    let wanted = match mark {
        registry::Mark::Held { incident } => {
            Mark { held: Some(incident.to_owned()), condemned: Some(incident.to_owned()) }
        }
        registry::Mark::Lifted => Mark { held: None, condemned: now.condemned.clone() },
    };
    if wanted == now {
        return Ok(());
    }
    let about = manifest::get(api, at).await?;
    let nothing = Descriptor {
        media_type: EMPTY.to_owned(),
        digest: format!("sha256:{}", Digest::of(NOTHING)),
        size: NOTHING.len() as u64,
        annotations: Default::default(),
    };
    let subject = Descriptor {
        media_type: manifest::media_type(&about).to_owned(),
        digest: format!("sha256:{at}"),
        size: about.body.len() as u64,
        annotations: Default::default(),
    };
    let said = [(HOLD_TAG, &wanted.held), (CONDEMNED_TAG, &wanted.condemned)];
    let said = said.into_iter().filter_map(|(key, incident)| Some((key, incident.clone()?)));
    let annotations: std::collections::BTreeMap<&str, String> =
        said.chain([("ripcord.version", version.to_string())]).collect();
    let body = json!({
        "schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "artifactType": KIND, "config": nothing,
        "layers": [nothing], "subject": subject, "annotations": annotations,
    });
    api.put_blob(NOTHING).await?;
    let changed = api.put_manifest(&tag, IMAGE_MANIFEST, body.to_string().into_bytes()).await;
    let what = format!("the tag `{tag}` of `{}`", api.repository);
    settled("the registry", changed, &what, async { Ok(read(api, version).await? == Some(wanted)) }).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_has_a_tag_where_one_fits() {
        let of = |text: &str| tag(&VersionName::new(text).unwrap());
        assert_eq!(of("1.2.3").as_deref(), Some("ripcord.hold.1.2.3"));
        assert!(of(&"x".repeat(115)).is_some());
        assert_eq!(of(&"x".repeat(116)), None);
        assert!(names::is_reserved(&of("1").unwrap()), "it is no version");
    }
}
