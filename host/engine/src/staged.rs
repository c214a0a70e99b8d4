//! Artefacts on this machine: fetched once for an incident, gone when it is settled.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ripcord_core::name::ServiceName;
use ripcord_core::target::VersionTarget;
use ripcord_ports::registry::Staged;

use crate::staging::Staging;

#[derive(Debug)]
struct Kept {
    version: VersionTarget,
    folder: String,
    artefact: Staged,
}

/// What is staged, by service.
#[derive(Debug, Default)]
pub(crate) struct StagedArtefacts {
    services: Mutex<BTreeMap<ServiceName, Vec<Kept>>>,
}

impl StagedArtefacts {
    /// The artefact of `version`, if it was fetched and has the digest that is pinned.
    pub(crate) fn find(&self, service: &ServiceName, version: &VersionTarget) -> Option<Staged> {
        let services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |kept: &&Kept| {
            kept.version.version == version.version
                && version.digest.is_none_or(|pinned| pinned == kept.artefact.digest)
        };
        services.get(service)?.iter().find(same).map(|kept| kept.artefact.clone())
    }

    /// Remembers a checked artefact.
    pub(crate) fn keep(
        &self,
        service: &ServiceName,
        version: &VersionTarget,
        folder: String,
        artefact: Staged,
    ) {
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.entry(service.clone()).or_default().push(Kept {
            version: version.clone(),
            folder,
            artefact,
        });
    }

    /// Removes what the service no longer needs.
    pub(crate) fn clear(&self, service: &ServiceName, staging: &Staging) {
        let kept = self.services.lock().unwrap_or_else(PoisonError::into_inner).remove(service);
        kept.into_iter().flatten().for_each(|kept| staging.remove(kept.folder));
    }
}
