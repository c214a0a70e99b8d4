//! From W&B's words to the port's.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use ripcord_core::fact::{Dataset, Lineage, Measure};
use ripcord_core::name::VersionName;
use ripcord_core::signal::Label;
use ripcord_core::target::VersionTarget;
use ripcord_core::time::UnixMillis;
use ripcord_ports::registry::RegistryVersion;
use ripcord_ports::{ErrorKind, PortError};
use serde_json::{Map, Value};

use super::api::{self, Api, Collection};
use super::wire::{self, Alias, Artifact, Membership, Run};
use super::{artefacts, holds};
use crate::text_time;

const COMMITTED: &str = "COMMITTED";
/// Keys of a run's configuration that are the client's own.
const INTERNAL: [&str; 2] = ["_wandb", "wandb_version"];
/// More are no measures that anybody compares.
const MEASURES_MAX: usize = 200;

/// What cannot change of an artifact once it is committed, so that it is read once: what keeps its files from being fetched, if anything does.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<HashMap<String, Option<String>>>);

/// Beyond so many everything is forgotten and read again.
const REMEMBERED_MAX: usize = 10_000;

impl Remembered {
    fn get(&self, artifact: &str) -> Option<Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(artifact).cloned()
    }

    fn put(&self, artifact: String, hindered: Option<String>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REMEMBERED_MAX {
            all.clear();
        }
        all.insert(artifact, hindered);
    }
}

/// One version, as far as it is known before its manifest is looked at.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) name: VersionName,
    /// In the form of RFC 3339.
    pub(super) created_at: String,
    pub(super) aliases: Vec<String>,
    /// None where the account may not see it.
    pub(super) artifact: Option<Artifact>,
}

impl Found {
    /// Of a version that was asked for by its name. What was linked was registered when it was linked.
    pub(super) fn of_member(name: VersionName, member: Membership) -> Self {
        let linked = member.artifact_collection.as_ref().is_some_and(|at| api::is_linked(&at.kind));
        let created = member.artifact.as_ref().map(|artifact| artifact.created_at.clone());
        let created_at = if linked { member.created_at } else { created.unwrap_or(member.created_at) };
        let aliases = member.aliases.into_iter().map(|alias| alias.alias).collect();
        Self { name, created_at, aliases, artifact: member.artifact }
    }

    /// Of a version in a list. The artifact's aliases in other collections are none of this one's.
    pub(super) fn of_list(name: VersionName, artifact: Option<Artifact>, at: &Collection) -> Self {
        let is_here =
            |alias: &&Alias| alias.artifact_collection.as_ref().is_some_and(|other| is_at(other, at));
        let here = artifact.iter().flat_map(|artifact| &artifact.aliases).filter(is_here);
        let aliases = here.map(|alias| alias.alias.clone()).collect();
        let created_at = artifact.as_ref().map(|artifact| artifact.created_at.clone()).unwrap_or_default();
        Self { name, created_at, aliases, artifact }
    }
}

fn is_at(other: &wire::Collection, at: &Collection) -> bool {
    let project = other.project.as_ref();
    other.name == at.name
        && project.is_some_and(|project| project.name == at.project && project.entity.name == at.entity)
}

/// One version with what hangs on it. What hinders a later fetch makes it broken; what hinders knowing is an error.
pub(super) async fn version(
    api: &Api,
    remembered: &Remembered,
    found: Found,
) -> Result<RegistryVersion, PortError> {
    let Found { name, created_at, mut aliases, artifact } = found;
    aliases.sort();
    let bare = |created_at, broken: Option<String>| RegistryVersion {
        version: VersionTarget { version: name.clone(), digest: None },
        created_at,
        aliases: aliases.clone(),
        tags: Vec::new(),
        measures: Vec::new(),
        signature: None,
        runtime: None,
        broken,
    };
    let Some(artifact) = artifact else {
        let text = "W&B does not show its artifact to the account of the API key: it was deleted, or lies in a project that the account may not see";
        return Ok(bare(text_time::parse(&created_at).unwrap_or(UnixMillis(0)), Some(text.to_owned())));
    };
    let created_at = text_time::parse(&created_at).map_err(|why| {
        let text = format!("W&B says of version `{name}` of `{}` that it was made at {why}", api.at);
        PortError::not_applied(ErrorKind::BadAnswer, text)
    })?;
    let hindered = match artifact.state.as_str() {
        COMMITTED => hindered(api, remembered, &artifact, &name).await?,
        "DELETED" => Some("W&B calls it `DELETED`: its files are gone".to_owned()),
        state => Some(format!("W&B calls it `{}`: it was never uploaded whole", state.escape_debug())),
    };
    let tags = artifact.tags.iter().map(|tag| holds::label(&tag.name));
    let mut tags: Vec<Label> = tags.collect();
    tags.sort();
    Ok(RegistryVersion {
        tags,
        measures: measures(artifact.metadata.as_deref()),
        ..bare(created_at, hindered)
    })
}

async fn hindered(
    api: &Api,
    remembered: &Remembered,
    artifact: &Artifact,
    name: &VersionName,
) -> Result<Option<String>, PortError> {
    if let Some(known) = remembered.get(&artifact.id) {
        return Ok(known);
    }
    let what = format!("version `{name}` of `{}`", api.at);
    match artefacts::list(api, &artifact.id, &what).await {
        Ok(listed) => {
            let why = listed.err().map(|why| format!("its artifact {why}"));
            remembered.put(artifact.id.clone(), why.clone());
            Ok(why)
        }
        // A property of this version, which hides no other. It may be another the next time.
        Err(error)
            if matches!(
                error.kind,
                ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::Configuration | ErrorKind::TooLarge
            ) =>
        {
            Ok(Some(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

/// The numbers among the artifact's metadata, sorted by name. Metadata that does not read has none.
fn measures(metadata: Option<&str>) -> Vec<Measure> {
    let read: Map<String, Value> =
        metadata.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let numbers = read.into_iter().filter_map(|(name, value)| {
        let value = value.as_f64().filter(|value| value.is_finite())?;
        Some(Measure { name, value })
    });
    let mut measures: Vec<Measure> = numbers.take(MEASURES_MAX).collect();
    measures.sort_by(|a, b| a.name.cmp(&b.name));
    measures
}

/// What the run that logged the artifact, and what it used, say of the origin.
pub(super) async fn lineage(api: &Api, artifact: &Artifact) -> Result<Lineage, PortError> {
    let source = artifact.artifact_sequence.as_ref().map(|sequence| full(sequence, artifact.version_index));
    let own = Lineage { source, ..Lineage::default() };
    let Some(creator) = api.created_by(&artifact.id).await? else { return Ok(own) };
    let (Some(run), Some(project)) = (creator.name, creator.project) else { return Ok(own) };
    let at = (project.entity.name.as_str(), project.name.as_str(), run.as_str());
    let own = Lineage { run: Some(format!("{}/{}/{run}", at.0, at.1)), ..own };
    let Some(read) = api.run(at).await? else { return Ok(own) };
    let used = api.used(at).await?;
    let is_model = |used: &&Artifact| used.artifact_type.as_ref().is_some_and(|of| of.name == api.at.kind);
    let parent = used.iter().filter(is_model).find_map(|used| parent(used, &api.at));
    let sets = used.iter().filter(|used| !is_model(used)).filter_map(|used| {
        let sequence = used.artifact_sequence.as_ref()?;
        let here = sequence.project.as_ref().is_none_or(|of| *of == project);
        Some(Dataset {
            name: if here { sequence.name.clone() } else { full(sequence, None) },
            revision: used.version_index.map(|index| format!("v{index}")),
            context: used.artifact_type.as_ref().map(|of| of.name.clone()),
        })
    });
    let mut sets: Vec<Dataset> = sets.collect();
    // Of several, what is called a data set before what is called anything else.
    sets.sort_by_key(|set| set.context.as_deref() != Some("dataset"));
    let code = read.commit.clone().filter(|commit| !commit.is_empty());
    let lineage = Lineage { code, parameters: parameters(&read)?, parent, ..own };
    Ok(lineage.with_datasets(sets))
}

/// An artifact's own collection, as W&B writes it, with its version.
fn full(sequence: &wire::Collection, index: Option<u64>) -> String {
    let place = sequence.project.as_ref().map(|of| format!("{}/{}/", of.entity.name, of.name));
    let version = index.map(|index| format!(":v{index}"));
    format!("{}{}{}", place.unwrap_or_default(), sequence.name, version.unwrap_or_default())
}

/// The version that this one began with, where it is of the same collection: what was linked has other numbers.
fn parent(used: &Artifact, at: &Collection) -> Option<VersionTarget> {
    used.artifact_sequence.as_ref().filter(|sequence| is_at(sequence, at))?;
    let version = VersionName::new(format!("v{}", used.version_index?)).ok()?;
    Some(VersionTarget { version, digest: None })
}

/// The run's configuration, sorted by name: `{"depth": {"value": 4}}`.
fn parameters(run: &Run) -> Result<Vec<Label>, PortError> {
    let text = run.config.as_deref().filter(|text| !text.is_empty()).unwrap_or("{}");
    let read: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        PortError::not_applied(ErrorKind::BadAnswer, "W&B gave a run's configuration that does not read")
            .caused_by(error)
    })?;
    let own = read.into_iter().filter(|(name, _)| !INTERNAL.contains(&name.as_str()));
    let parameters = own.map(|(name, value)| {
        let value = match value {
            Value::Object(mut wrapped) if wrapped.contains_key("value") => {
                wrapped.remove("value").unwrap_or(Value::Null)
            }
            bare => bare,
        };
        let value = match value {
            Value::String(text) => text,
            other => other.to_string(),
        };
        Label { name, value }
    });
    let mut parameters: Vec<Label> = parameters.collect();
    parameters.sort();
    Ok(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_metadata_are_measures() {
        let read = |text: &str| -> Vec<(String, f64)> {
            measures(Some(text)).into_iter().map(|measure| (measure.name, measure.value)).collect()
        };
        let all =
            read(r#"{"loss": 1, "accuracy": 0.97, "framework": "x", "layers": [1], "nested": {"a": 1}}"#);
        assert_eq!(all, [("accuracy".to_owned(), 0.97), ("loss".to_owned(), 1.0)]);
        for text in ["", "null", "[]", "{"] {
            assert_eq!(read(text), [], "{text}");
        }
        assert!(measures(None).is_empty());
    }

    #[test]
    fn parameters_are_unwrapped_and_the_clients_own_left_out() {
        let of = |config: &str| parameters(&Run { config: Some(config.to_owned()), commit: None });
        let read =
            of(r#"{"_wandb":{"value":{}},"depth":{"value":4},"loss":{"value":"mse"},"bare":[1]}"#).unwrap();
        assert_eq!(read, [Label::new("bare", "[1]"), Label::new("depth", "4"), Label::new("loss", "mse")]);
        assert!(of("").unwrap().is_empty());
        assert!(of("[]").is_err());
    }
}
