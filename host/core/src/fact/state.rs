//! What can be gone back to, and what is live.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::facet::{Facet, FacetRead};
use crate::live::LiveState;
use crate::name::{IncidentId, ServiceName, VersionName};
use crate::signal::Label;
use crate::standing::Standing;
use crate::target::{ConfigurationTarget, VersionTarget};
use crate::time::UnixMillis;

use super::Measure;

/// A version of the registry, with what Ripcord knows of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The version; its digest is the pinned one, else the registry's.
    pub version: VersionTarget,
    /// When it was registered.
    pub created_at: UnixMillis,
    /// Names that the registry points at it.
    pub aliases: Vec<String>,
    /// The registry's tags.
    pub tags: Vec<Label>,
    /// Measures of its training run.
    pub measures: Vec<Measure>,
    /// For this service.
    pub standing: Standing,
    /// When it was last verified or attested.
    pub verified_at: Option<UnixMillis>,
    /// When its standing ends by age.
    pub expires_at: Option<UnixMillis>,
    /// Other services of this host for which it, or the same bytes under another name, is known good now: other stages, other regions. The last verified
    /// is first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verified_in: Vec<VerifiedIn>,
    /// Incidents that condemned it.
    pub condemned_by: Vec<IncidentId>,
    /// The input signature, as the registry has it.
    pub signature: Option<String>,
    /// The serving image or runtime.
    pub runtime: Option<String>,
    /// False if the artefact is missing or its digest differs.
    pub restorable: bool,
}

/// Where else a version was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifiedIn {
    /// The service.
    pub service: ServiceName,
    /// Its environment, such as `staging`.
    pub environment: String,
    /// When it was verified there last.
    pub at: UnixMillis,
}

/// What is served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// As observed.
    pub state: LiveState,
    /// What is in force of the other facets, as far as it was read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facets: Vec<FacetRead<String>>,
    /// Since when, where known.
    pub since: Option<UnixMillis>,
    /// When it was observed.
    pub observed_at: UnixMillis,
}

/// A checkpoint of a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The training run.
    pub run: String,
    /// Optimiser steps since its start.
    #[serde(with = "crate::time::text_u64")]
    pub step: u64,
    /// When it was written.
    pub at: UnixMillis,
    /// Of its artefact.
    pub digest: Option<crate::digest::Digest>,
    /// Such as the validation loss.
    pub measures: Vec<Measure>,
}

/// A revision of one of the service's configurations, with what Ripcord knows of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Which configuration, revision and digest.
    pub target: ConfigurationTarget,
    /// When it was made, where known.
    pub at: Option<UnixMillis>,
    /// Who made it, where known.
    pub author: Option<String>,
    /// What it says of itself.
    pub summary: String,
    /// For this service.
    pub standing: Standing,
    /// When it was last verified or attested.
    pub verified_at: Option<UnixMillis>,
    /// Incidents that condemned it.
    pub condemned_by: Vec<IncidentId>,
    /// False if its content is missing or its digest differs.
    pub restorable: bool,
}

/// What has moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Changed {
    /// A facet of the service.
    Facet(Facet),
    /// The data, by the data set's name, that what is in force was made from. It is no facet: it is not put back by itself.
    Data(String),
}

impl Changed {
    /// Of the model's versions.
    pub const MODEL: Self = Self::Facet(Facet::Model);

    /// The facet, where it is one.
    pub fn facet(&self) -> Option<&Facet> {
        match self {
            Self::Facet(facet) => Some(facet),
            Self::Data(_) => None,
        }
    }
}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Facet(facet) => facet.fmt(f),
            Self::Data(name) => write!(f, "data {name}"),
        }
    }
}

/// Something that moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What.
    pub what: Changed,
    /// What was in force before: versions that shared the traffic, or one revision; empty if unknown.
    pub was: Vec<VersionName>,
    /// What is in force since, or was registered; empty if unknown.
    pub became: Vec<VersionName>,
    /// When, as whoever noticed it says.
    pub at: UnixMillis,
    /// When the host looked last and did not see it yet.
    #[serde(default)]
    pub not_before: Option<UnixMillis>,
    /// Who moved it, where known.
    pub by: Option<String>,
    /// How it was noticed.
    pub noticed: Noticed,
    /// When what it became was last verified or attested.
    pub verified_at: Option<UnixMillis>,
    /// The one place where it moved; none if it moved everywhere, or nobody knows where.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Other services of the host that use what moved: the same configuration, that version of the same model, the same data. At
    /// most 64, the first by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touches: Vec<ServiceName>,
}

/// How a change was noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Noticed {
    /// It was seen live.
    Production,
    /// The facet's own history has it.
    History,
    /// The registry's production name was seen to have moved. Nothing says that it is in force.
    Registry,
    /// The registry says that it was registered then. Nothing says that it is in force.
    Registered,
    /// The lineages of the versions that were in force before and since name other data.
    Lineage,
    /// A rollback made it.
    Ripcord,
}

impl Noticed {
    /// The word that the contract uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::History => "history",
            Self::Registry => "registry",
            Self::Registered => "registered",
            Self::Lineage => "lineage",
            Self::Ripcord => "ripcord",
        }
    }
}

/// What a version was made of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// Revision of the code.
    pub code: Option<String>,
    /// The training run, as the registry names it.
    #[serde(default)]
    pub run: Option<String>,
    /// Where the registry took the artefact from.
    #[serde(default)]
    pub source: Option<String>,
    /// Training parameters.
    pub parameters: Vec<Label>,
    /// The training data set.
    pub dataset: Option<String>,
    /// Its revision.
    pub dataset_revision: Option<String>,
    /// Every data set that is known to have gone into it, the training one among them and first.
    #[serde(default)]
    pub datasets: Vec<Dataset>,
    /// The version that this one was trained on from: whose weights it began with. None if from scratch or unknown.
    pub parent: Option<VersionTarget>,
}

/// A data set that went into a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// As the registry has it.
    pub name: String,
    /// Its revision.
    pub revision: Option<String>,
    /// What it was used for, such as `training` or `eval`.
    pub context: Option<String>,
}

/// What a data set was used for, in lower case, where the version was only measured with it. Whatever else a registry calls it, it was trained on.
const NOT_TRAINED_ON: [&str; 7] = ["eval", "evaluation", "valid", "validation", "test", "testing", "holdout"];

impl Lineage {
    /// The data sets that the version was trained on, each with its revision where that is known. What it was only measured with is none of them.
    pub fn trained_on(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let is_trained_on = |context: Option<&str>| {
            context.is_none_or(|context| !NOT_TRAINED_ON.contains(&context.to_ascii_lowercase().as_str()))
        };
        let sets = self.datasets.iter().filter(move |set| is_trained_on(set.context.as_deref()));
        let sets = sets.map(|set| (set.name.as_str(), set.revision.as_deref()));
        // A registry that lists no sets may still name the one.
        let single = self.dataset.as_deref().filter(|_| self.datasets.is_empty());
        sets.chain(single.map(|name| (name, self.dataset_revision.as_deref())))
    }

    /// With these data sets, what was trained on first; the first is the training data set.
    pub fn with_datasets(self, datasets: Vec<Dataset>) -> Self {
        let first = datasets.first();
        Self {
            dataset: first.map(|set| set.name.clone()),
            dataset_revision: first.and_then(|set| set.revision.clone()),
            datasets,
            ..self
        }
    }
}
