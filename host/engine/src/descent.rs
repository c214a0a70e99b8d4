//! What versions were trained on, held against the data that are condemned. Where nothing is, no registry is asked.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use ripcord_core::data::DataRevision;
use ripcord_core::facet::Revision;
use ripcord_core::name::VersionName;
use ripcord_core::service::{Service, TrainedOn};
use ripcord_core::target::{RetrainTarget, Target};
use ripcord_ports::{ErrorKind, PortError, Registry};

use crate::restorable::told;

/// Versions whose lineage is read for one answer: those that rules could go back to first.
const LOOKED_AT_MAX: usize = 64;
/// Of these so many at a time.
const AT_ONCE: usize = 8;

/// What is known of the data of some versions.
#[derive(Debug, Clone, Default)]
pub struct Descent {
    words: BTreeMap<VersionName, Result<TrainedOn, Untold>>,
}

/// Why a registry told no lineage.
#[derive(Debug, Clone)]
struct Untold {
    why: String,
    /// It may tell it later: it did not say that there is none.
    is_unread: bool,
}

impl Descent {
    /// Reads the lineages of these versions, where anything is condemned.
    pub async fn of(registry: &dyn Registry, service: &Service, versions: Vec<VersionName>) -> Self {
        if service.condemned_data.is_empty() {
            return Self::default();
        }
        let mut versions = versions;
        versions.sort_by_key(|version| !service.standing_of(version, service.at).is_good());
        versions.truncate(LOOKED_AT_MAX);
        let reads = versions.into_iter().map(|version| async move {
            if service.is_known_clean(&version) {
                return (version, Ok(TrainedOn::Uncondemned));
            }
            let lineage = registry.lineage(&version).await;
            let word = lineage.map(|lineage| service.trained_on(&version, &lineage));
            let untold = |error: PortError| Untold {
                why: told(&error),
                is_unread: !matches!(error.kind, ErrorKind::Unsupported | ErrorKind::NotFound),
            };
            (version, word.map_err(untold))
        });
        let reads: Vec<_> = reads.collect();
        Self { words: futures_util::stream::iter(reads).buffer_unordered(AT_ONCE).collect().await }
    }

    /// The same of the versions among these targets.
    pub(crate) async fn of_targets(registry: &dyn Registry, service: &Service, targets: &[Target]) -> Self {
        let versions = targets.iter().filter_map(Target::version).map(|version| version.version.clone());
        Self::of(registry, service, versions.collect()).await
    }

    /// The condemned data that a version was trained on.
    fn data(&self, revision: &Revision) -> Option<&DataRevision> {
        match self.words.get(revision.version()?) {
            Some(Ok(TrainedOn::Condemned(data))) => Some(data),
            _ => None,
        }
    }

    /// That it was trained on condemned data: nobody goes back to it.
    pub fn condemned(&self, service: &Service, revision: &Revision) -> Option<String> {
        let data = self.data(revision)?;
        Some(format!(
            "condemned: trained on `{data}`; {} gives back what was trained on it",
            lift(service, data)
        ))
    }

    /// That nobody knows whether it was: rules do not go back to it.
    pub fn not_known(&self, service: &Service, revision: &Revision) -> Option<String> {
        let (Some(version), false) = (revision.version(), service.condemned_data.is_empty()) else {
            return None;
        };
        let why = match self.words.get(version) {
            Some(Ok(TrainedOn::Uncondemned | TrainedOn::Condemned(_))) => return None,
            Some(Ok(TrainedOn::NotKnown)) => "its registry names no data of it, or no revision of them",
            Some(Err(untold)) => untold.why.as_str(),
            None => "its lineage was not read",
        };
        Some(format!(
            "what it was trained on is not known ({why}), and data are condemned: `ripcord hold list {}` shows which",
            service.name
        ))
    }

    /// Whatever keeps rules from going back to it.
    pub fn objection(&self, service: &Service, revision: &Revision) -> Option<String> {
        self.condemned(service, revision).or_else(|| self.not_known(service, revision))
    }

    /// The first version, by name, whose lineage could not be read now, and why. What a registry does not have is no such.
    pub(crate) fn unread(&self) -> Option<String> {
        self.words.keys().find_map(|version| self.unread_of(version))
    }

    /// The same of this version.
    pub(crate) fn unread_of(&self, version: &VersionName) -> Option<String> {
        let untold = self.words.get(version)?.as_ref().err().filter(|untold| untold.is_unread)?;
        Some(format!("what `{version}` was trained on cannot be read: {}", untold.why))
    }

    /// Whether it was trained on condemned data.
    pub fn is_condemned(&self, revision: &Revision) -> bool {
        self.data(revision).is_some()
    }
}

fn lift(service: &Service, data: &DataRevision) -> String {
    format!("`ripcord hold lift {} --data {} --reason TEXT`", service.name, data.typed())
}

/// That a training would take all of what is condemned.
pub(crate) fn trains_on_condemned(service: &Service, target: &Target) -> Option<String> {
    let Target::Retrain(RetrainTarget { dataset, revision, exclude }) = target else { return None };
    let data = service.condemned(dataset, revision).filter(|_| exclude.is_empty())?;
    Some(format!(
        "`{data}` is condemned, and nothing is left out of it: name what is (`--exclude source=NAME`), or another revision; {} where it is fine",
        lift(service, data)
    ))
}
