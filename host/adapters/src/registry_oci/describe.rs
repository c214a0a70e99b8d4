//! From a registry's words to the port's.

use ripcord_core::fact::Lineage;
use ripcord_core::name::VersionName;
use ripcord_core::signal::Label;
use ripcord_core::target::VersionTarget;
use ripcord_core::time::UnixMillis;
use ripcord_ports::PortError;
use ripcord_ports::registry::RegistryVersion;

use super::api::Api;
use super::config_file::KITFILE_ANNOTATION;
use super::credentials;
use super::holds::Mark;
use super::manifest::Known;
use super::names::{self, Named};
use crate::registry_directory::HOLD_TAG;
use crate::text_time;

const CREATED: &str = "org.opencontainers.image.created";
const REVISION: &str = "org.opencontainers.image.revision";
const SOURCE: &str = "org.opencontainers.image.source";
const BASE: &str = "org.opencontainers.image.base.name";
/// Longer annotations are documents, and more of them no labels.
const LABEL_BYTES_MAX: usize = 1_024;
const LABELS_MAX: usize = 200;

/// One version with what hangs on it.
pub(super) fn version(named: Named, known: &Known, mark: Option<Mark>) -> RegistryVersion {
    let is_label = |(name, value): &(&String, &String)| {
        !name.starts_with(names::OWN)
            && *name != KITFILE_ANNOTATION
            && name.len() <= LABEL_BYTES_MAX
            && value.len() <= LABEL_BYTES_MAX
    };
    let own = known.annotations.iter().filter(is_label).take(LABELS_MAX);
    let mut tags: Vec<Label> = own.map(|(name, value)| Label::new(name.clone(), value.clone())).collect();
    if let Some(mark) = mark {
        tags.extend(mark.held.map(|incident| Label::new(HOLD_TAG, incident)));
        tags.extend(mark.condemned.map(|incident| Label::new(super::CONDEMNED_TAG, incident)));
    }
    tags.sort();
    let broken = match (&known.layers, &known.facts) {
        (Err(why), _) => Some(format!("it {why}")),
        (Ok(_), Err((_, why))) => Some(why.clone()),
        (Ok(_), Ok(_)) => None,
    };
    RegistryVersion {
        version: VersionTarget { version: named.version, digest: None },
        created_at: created_at(known),
        aliases: named.aliases,
        tags,
        measures: Vec::new(),
        signature: None,
        runtime: None,
        broken,
    }
}

/// When whoever pushed it says that it was made: a registry says nothing of it. What is not said is the beginning of all time, so that what is dated is newer.
fn created_at(known: &Known) -> UnixMillis {
    let annotated = known.annotations.get(CREATED).map(String::as_str);
    let in_config = known.facts.as_ref().ok().and_then(|facts| facts.created_at.as_deref());
    let read = [annotated, in_config].into_iter().flatten().find_map(|text| text_time::parse(text).ok());
    read.unwrap_or(UnixMillis(0))
}

/// What annotations and config say of the origin.
pub(super) fn lineage(api: &Api, known: &Known) -> Result<Lineage, PortError> {
    // A data set that nobody sees may be condemned: half a lineage is none.
    let facts = known.facts.as_ref().map_err(|(kind, why)| PortError::not_applied(*kind, why.clone()))?;
    let annotated = |key: &str| known.annotations.get(key).filter(|text| !text.is_empty()).cloned();
    let base = [annotated(BASE), facts.base.clone()].into_iter().flatten();
    let here = format!("{}/{}:", credentials::authority(&api.url), api.repository);
    let parent = base.into_iter().find_map(|base| {
        let tag = base.strip_prefix(&here)?.split('@').next()?;
        let version = VersionName::new(tag).ok()?;
        Some(VersionTarget { version, digest: None })
    });
    let mut datasets = facts.datasets.clone();
    // A layer that the config names as well is one data set.
    let is_named = |layer: &Option<String>| facts.datasets.iter().any(|set| set.revision == *layer);
    datasets.extend(known.datasets.iter().filter(|layer| !is_named(&layer.revision)).cloned());
    let lineage = Lineage {
        code: annotated(REVISION).or_else(|| facts.code.clone()),
        source: annotated(SOURCE).or_else(|| facts.source.clone()),
        parameters: facts.parameters.clone(),
        parent,
        ..Lineage::default()
    };
    Ok(lineage.with_datasets(datasets))
}
