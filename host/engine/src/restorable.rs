//! What keeps a revision from being gone back to. Plans, pulls, facts and the list of targets say it from here: none of them promises what another refuses.

use ripcord_core::digest::Digest;
use ripcord_core::facet::{Facet, Revision};
use ripcord_core::service::Service;
use ripcord_core::standing::Standing;
use ripcord_core::target::{ConfigurationTarget, FallbackTarget, Target, VersionTarget};
use ripcord_core::terms::{PreflightRule, Terms};
use ripcord_core::time::UnixMillis;
use ripcord_ports::registry::RegistryVersion;
use ripcord_ports::restorer::HistoryEntry;
use ripcord_ports::{ErrorKind, PortError};

use crate::facets;
use crate::setup::ServicePorts;

/// What everyone who may read is told where an error names files of this machine.
pub const IN_THE_LOG: &str = "a file or program that the host needs for this cannot be used, and its log says which: mend that, then try again";

/// An error, for everyone who may read.
pub(crate) fn told(error: &PortError) -> String {
    match error.kind {
        ErrorKind::Local | ErrorKind::Place | ErrorKind::Configuration => {
            tracing::error!(%error, "an adapter failed");
            IN_THE_LOG.to_owned()
        }
        _ => error.to_string(),
    }
}

/// What a registry or a history says of one revision's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Of its content, where known without fetching it.
    pub digest: Option<Digest>,
    /// Why it cannot be restored, as far as can be told without trying.
    pub broken: Option<String>,
}

impl From<&RegistryVersion> for Listed {
    fn from(version: &RegistryVersion) -> Self {
        Self { digest: version.version.digest, broken: version.broken.clone() }
    }
}

impl From<&HistoryEntry> for Listed {
    fn from(entry: &HistoryEntry) -> Self {
        Self { digest: entry.digest, broken: entry.broken.clone() }
    }
}

/// The digest that the content must have. What a safe mode stands for is configured, and may be configured anew.
pub(crate) fn pin(service: &Service, revision: &Revision) -> Option<Digest> {
    match revision.facet {
        Facet::Fallback => None,
        Facet::Model | Facet::Configuration(_) => service.known_of(revision)?.digest,
    }
}

/// The digest that was pinned and the one that is listed now, where they differ.
pub(crate) fn other_content(
    service: &Service,
    revision: &Revision,
    listed: &Listed,
) -> Option<(Digest, Digest)> {
    pin(service, revision).zip(listed.digest).filter(|(pinned, now)| pinned != now)
}

/// Whether its content is there and is what was pinned, as far as can be told without fetching it.
pub(crate) fn has_content(service: &Service, revision: &Revision, listed: &Listed) -> bool {
    listed.broken.is_none() && other_content(service, revision, listed).is_none()
}

/// The revision as it is planned, with the digest that was pinned, else the one that is listed.
pub(crate) fn target(service: &Service, revision: &Revision, listed: &Listed) -> Target {
    let (name, digest) = (revision.name.clone(), pin(service, revision).or(listed.digest));
    match &revision.facet {
        Facet::Model => Target::Version(VersionTarget { version: name, digest }),
        Facet::Configuration(configuration) => {
            Target::Configuration(ConfigurationTarget { name: configuration.clone(), revision: name, digest })
        }
        Facet::Fallback => Target::Fallback(FallbackTarget { mode: name, digest }),
    }
}

/// That nothing configured can read back whether the target is in force.
pub(crate) fn not_shown(ports: &ServicePorts, target: &Target) -> Option<String> {
    if target.revision().is_some() && facets::shows(ports, target) {
        return None;
    }
    let of = match target.facet() {
        None | Some(Facet::Model) => {
            format!("`{}` cannot show whether it is served", ports.deployer.name())
        }
        Some(facet) => format!("nothing is configured that puts `{facet}` back and shows what is in force"),
    };
    Some(format!(
        "{of}, so nobody would know whether the service is back; bring it about by hand, or configure what shows it"
    ))
}

/// That a hold stands on it.
pub(crate) fn held(service: &Service, revision: &Revision) -> Option<String> {
    if !service.is_held(revision) {
        return None;
    }
    let by = service.hold_on(revision).map(|hold| format!(" by `{}`", hold.incident)).unwrap_or_default();
    Some(format!(
        "`{revision}` is held: it was condemned{by}; `ripcord hold lift {} {} --reason TEXT` lets it come back",
        service.name,
        revision.as_text()
    ))
}

/// That the artefact could not be fetched when it was tried last.
pub fn unfetchable(service: &Service, revision: &Revision) -> Option<String> {
    let version = revision.version().filter(|version| service.is_unfetchable(version))?;
    Some(format!(
        "the artefact of `{version}` could not be fetched when it was tried last, and the log says why; mend the registry, or `ripcord pull {} --to {version}` tries it all the same",
        service.name
    ))
}

/// That its content is not there, or is not what was pinned.
pub fn without_content(service: &Service, revision: &Revision, listed: &Listed) -> Option<String> {
    if let Some(why) = &listed.broken {
        return Some(format!("it cannot be restored: {why}"));
    }
    let (pinned, now) = other_content(service, revision, listed)?;
    Some(format!(
        "its content was changed: it has digest {} where it is kept, and {} was pinned",
        now.short(),
        pinned.short()
    ))
}

/// That nobody has found it well, or too long ago. A safe mode needs nobody's word: it is configured for the case that nothing is good.
pub fn by_standing(service: &Service, revision: &Revision, now: UnixMillis) -> Option<String> {
    let vouch = format!("`ripcord adopt {} {} --reason TEXT`", service.name, revision.as_text());
    match service.standing_of(revision, now) {
        Standing::KnownGood | Standing::Attested => None,
        Standing::Held => held(service, revision),
        Standing::Unproven | Standing::Expired if revision.facet == Facet::Fallback => None,
        Standing::Expired => {
            let known = service.known_of(revision);
            let ago = known.map(|known| format!(", {} ago", now.since(known.since))).unwrap_or_default();
            Some(format!(
                "it was good too long ago{ago}, so its standing expired: {vouch} vouches for it again"
            ))
        }
        Standing::Unproven => {
            Some(format!("it was never verified here and nobody vouched for it: {vouch} does"))
        }
        other => Some(format!("it is {other}")),
    }
}

/// Why a plan leaves out what it cannot pin.
pub(crate) fn unpinnable(why: impl std::fmt::Display) -> String {
    format!("its content cannot be pinned: {why}")
}

/// What makes every shift of the facet impossible.
pub(crate) async fn obstacle(ports: &ServicePorts, terms: &Terms, facet: &Facet) -> Option<String> {
    if *facet != Facet::Model {
        return ports.restorers.get(facet)?.obstacle().await;
    }
    let beside = || ports.deployer.beside_obstacle().filter(|_| terms.preflight == PreflightRule::Required);
    ports.deployer.obstacle().await.or_else(beside)
}

/// The target with its digest: the one that was pinned here, else that of the registry or of the facet's history.
pub(crate) async fn pinned(
    ports: &ServicePorts,
    service: &Service,
    target: Target,
) -> Result<Target, PortError> {
    let revision = target.revision();
    let known = target.digest().or_else(|| pin(service, revision.as_ref()?));
    match (target, revision) {
        (Target::Version(version), _) => match known {
            Some(_) => Ok(Target::Version(VersionTarget { digest: known, ..version })),
            None => Ok(Target::Version(ports.registry.version(&version.version).await?.version)),
        },
        (Target::Configuration(configuration), Some(revision)) => {
            let digest = Some(facets::digest(ports, &revision, known).await?);
            Ok(Target::Configuration(ConfigurationTarget { digest, ..configuration }))
        }
        (Target::Fallback(fallback), Some(revision)) => {
            // What is agreed to is what the safe mode stands for when the plan is made.
            let digest = Some(facets::digest(ports, &revision, known).await?);
            Ok(Target::Fallback(FallbackTarget { digest, ..fallback }))
        }
        (made @ (Target::Checkpoint(_) | Target::Retrain(_)), _) => made_of(ports, made).await,
        (other, _) => Ok(other),
    }
}

/// What a version is made of, with everything pinned that was open.
async fn made_of(ports: &ServicePorts, target: Target) -> Result<Target, PortError> {
    let Some(producer) = &ports.producer else { return Ok(target) };
    let pinned = producer.pinned(&target).await?;
    if pinned.strategy() == target.strategy() {
        return Ok(pinned);
    }
    let text = format!("`{}` was to pin {target}, and answered {pinned}", producer.name());
    Err(PortError::not_applied(ErrorKind::BadAnswer, text))
}
