//! From a result to a candidate: the registry has the version that was named, or takes in the files that were made.

use ripcord_core::fact::Lineage;
use ripcord_core::target::VersionTarget;
use ripcord_ports::producer::{Candidate, ProduceOrder, Progress};
use ripcord_ports::registry::{NewVersion, Staged};
use ripcord_ports::{ErrorKind, PortError, Registry};

use super::Told;

/// A version that the pipeline says it has registered by itself.
pub(crate) async fn registered(registry: &dyn Registry, told: Told) -> Result<Progress, PortError> {
    let Some(name) = told.version else {
        return Ok(Progress::Failed(
            "the run has ended and names no version: have its result name the one that it registered"
                .to_owned(),
        ));
    };
    let listed = match registry.version(&name).await {
        Ok(listed) => listed,
        Err(error) if error.kind == ErrorKind::NotFound => {
            let text = format!(
                "the run says that it has registered the version `{name}`, and `{}` has none of that name: check that it registers where `registry` looks",
                registry.name()
            );
            return Ok(Progress::Failed(text));
        }
        Err(error) => return Err(error),
    };
    if let Some(why) = listed.broken {
        return Ok(Progress::Failed(format!(
            "the run has registered the version `{name}`, which cannot be used: {why}"
        )));
    }
    let digest = match (told.digest, listed.version.digest) {
        (Some(told), Some(listed)) if told != listed => {
            let text = format!(
                "the run says that the version `{name}` has the digest {told}, and `{}` says {listed}: it is another artefact",
                registry.name()
            );
            return Ok(Progress::Failed(text));
        }
        (told, listed) => listed.or(told),
    };
    let version = VersionTarget { version: name, digest };
    let measures = if told.measures.is_empty() { listed.measures } else { told.measures };
    Ok(Progress::Made(Candidate { version, made_of: told.made_of, measures }))
}

/// Files that are to become a version.
#[derive(Debug)]
pub(crate) struct Registered<'a> {
    pub(crate) order: &'a ProduceOrder,
    pub(crate) told: Told,
    pub(crate) lineage: Lineage,
    pub(crate) artefact: Staged,
}

impl Registered<'_> {
    /// Registers them. A version of the wanted name that has the very same files is the result: another plan made it before.
    pub(crate) async fn in_registry(self, registry: &dyn Registry) -> Result<Progress, PortError> {
        let digest = self.artefact.digest;
        let new = NewVersion {
            key: self.order.key.clone(),
            name: self.told.version.clone(),
            artefact: self.artefact,
            signature: None,
            lineage: self.lineage,
            measures: self.told.measures.clone(),
        };
        let made = |version: VersionTarget| Candidate {
            version,
            made_of: self.told.made_of.clone(),
            measures: self.told.measures.clone(),
        };
        match (registry.register(&new).await, new.name) {
            (Ok(version), _) => Ok(Progress::Made(made(version))),
            (Err(error), Some(name)) if error.kind == ErrorKind::Conflict => {
                let there = registry.version(&name).await?;
                if there.version.digest == Some(digest) && there.broken.is_none() {
                    return Ok(Progress::Made(made(there.version)));
                }
                let text = format!(
                    "the version `{name}` is there already with other files, so what was made is not registered: {error}"
                );
                Ok(Progress::Failed(text))
            }
            (Err(error), _) if error.kind == ErrorKind::Unsupported => {
                Ok(Progress::Failed(format!("what was made cannot be registered: {error}")))
            }
            (Err(error), _) => Err(error),
        }
    }
}
