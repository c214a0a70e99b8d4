//! A registry whose artefacts are one small file each.

use std::sync::Arc;

use async_trait::async_trait;
use cap_std::fs::Dir;
use ripcord_core::digest::Digest;
use ripcord_core::event::Alias;
use ripcord_core::fact::{Dataset, Lineage, Measure};
use ripcord_core::name::VersionName;
use ripcord_core::request::Request;
use ripcord_core::target::{ArtefactFile, VersionTarget, artefact_digest};
use ripcord_core::time::UnixMillis;
use ripcord_ports::registry::{Mark, Registry, RegistryVersion, Staged};
use ripcord_ports::{ErrorKind, PortError};

use super::Wire;
use crate::world::{Outside, PromotionFault};

/// The file of a version's artefact and the artefact's digest.
pub fn artefact(version: &str) -> (ArtefactFile, Digest) {
    let content = format!("the weights of {version}");
    let file =
        ArtefactFile { path: "model.bin".into(), sha256: Digest::of(&content), bytes: content.len() as u64 };
    let digest = artefact_digest(std::slice::from_ref(&file));
    (file, digest)
}

/// See [`crate::world::Outside`].
#[derive(Debug)]
pub struct FakeRegistry {
    /// Where it is.
    pub wire: Wire,
}

fn measures_of(outside: &Outside, version: &str) -> Vec<Measure> {
    let all = outside.measures.get(version).into_iter().flatten();
    all.map(|(name, value)| Measure { name: name.clone(), value: *value }).collect()
}

impl FakeRegistry {
    fn listed(&self) -> Result<Vec<RegistryVersion>, PortError> {
        let outside = self.wire.world.of(&self.wire.service);
        if outside.registry_down {
            return Err(PortError::not_applied(ErrorKind::Unreachable, "the fake registry does not answer"));
        }
        let all = outside.versions.iter().enumerate().map(|(index, version)| RegistryVersion {
            version: VersionTarget {
                version: VersionName::new(version.clone()).expect("a version"),
                digest: (!outside.no_digests).then(|| artefact(version).1),
            },
            created_at: UnixMillis(1_699_900_000_000 + index as u64 * 60_000),
            aliases: Vec::new(),
            tags: Vec::new(),
            measures: measures_of(&outside, version),
            signature: outside.holds_candidates.then(|| "four numbers".to_owned()),
            runtime: None,
            broken: outside.broken.contains(version).then(|| "its files are gone".to_owned()),
        });
        Ok(all.rev().collect())
    }
}

impl FakeRegistry {
    fn unknown(version: &VersionName) -> PortError {
        PortError::not_applied(ErrorKind::NotFound, format!("the fake registry has no version `{version}`"))
    }

    fn known(&self, version: &VersionName) -> Result<(), PortError> {
        let outside = self.wire.world.of(&self.wire.service);
        let is_known = outside.versions.iter().any(|known| known == version.as_str());
        is_known.then_some(()).ok_or_else(|| Self::unknown(version))
    }
}

#[async_trait]
impl Registry for FakeRegistry {
    fn name(&self) -> &str {
        "registry_fake"
    }

    fn kept_at(&self) -> Option<String> {
        Some(self.wire.world.of(&self.wire.service).model_at).filter(|place| !place.is_empty())
    }

    async fn versions(&self, limit: u32) -> Result<Vec<RegistryVersion>, PortError> {
        self.wire.fuse.call("versions").await?;
        self.wire.answers("versions").await;
        let mut listed = self.listed()?;
        listed.truncate(limit as usize);
        self.wire.fuse.point("after versions").await;
        Ok(listed)
    }

    async fn version(&self, version: &VersionName) -> Result<RegistryVersion, PortError> {
        self.wire.fuse.alive().await;
        let found = self.listed()?.into_iter().find(|listed| listed.version.version == *version);
        found.ok_or_else(|| Self::unknown(version))
    }

    async fn lineage(&self, version: &VersionName) -> Result<Lineage, PortError> {
        self.wire.answers("lineage").await;
        let outside = self.wire.world.of(&self.wire.service);
        if outside.lineages_down {
            return Err(PortError::not_applied(
                ErrorKind::Unreachable,
                "the fake registry tells no lineage now",
            ));
        }
        let parent = outside.parents.get(version.as_str()).map(|parent| VersionTarget {
            version: VersionName::new(parent.clone()).expect("a version"),
            digest: None,
        });
        let rows = outside.made_from.get(version.as_str()).map(|revision| {
            let revision = Some(revision.clone()).filter(|revision| !revision.is_empty());
            Dataset { name: "rows".into(), revision, context: Some("training".into()) }
        });
        if rows.is_none() && parent.is_none() {
            return Err(PortError::not_applied(ErrorKind::Unsupported, "the fake registry knows no lineage"));
        }
        Ok(Lineage { parent, ..Lineage::default() }.with_datasets(rows.into_iter().collect()))
    }

    async fn manifest(&self, version: &VersionName) -> Result<Vec<u8>, PortError> {
        self.wire.fuse.call("manifest").await?;
        self.wire.answers("manifest").await;
        self.known(version)?;
        let manifest = format!("{{\"version\":\"{version}\"}}").into_bytes();
        self.wire.fuse.point("after manifest").await;
        Ok(manifest)
    }

    async fn fetch(&self, version: &VersionTarget, into: Arc<Dir>) -> Result<Staged, PortError> {
        self.wire.fuse.call("fetch").await?;
        self.wire.answers("fetch").await;
        let name = version.version.as_str();
        let outside = self.wire.world.of(&self.wire.service);
        if outside.registry_down || outside.artefacts_away {
            return Err(PortError::not_applied(ErrorKind::Unreachable, "the fake registry does not answer"));
        }
        self.known(&version.version)?;
        let content =
            if outside.rewritten.contains(name) { format!("{name}, rewritten") } else { name.to_owned() };
        let (file, digest) = artefact(&content);
        into.write(&file.path, format!("the weights of {content}")).expect("writes");
        self.wire.world.at(&self.wire.service, |outside| outside.fetched += 1);
        self.wire.fuse.point("after fetch").await;
        if outside.changed.contains(name) {
            let text = format!("the artefact of `{name}` was changed");
            return Err(PortError::not_applied(ErrorKind::WrongDigest, text));
        }
        if version.digest.is_some_and(|pinned| pinned != digest) {
            let text = format!("the artefact of `{name}` is not the one that was pinned");
            return Err(PortError::not_applied(ErrorKind::WrongDigest, text));
        }
        Ok(Staged { dir: into, files: vec![file], digest })
    }

    async fn mark(&self, version: &VersionName, mark: Mark<'_>) -> Result<(), PortError> {
        self.wire.fuse.call("mark").await?;
        self.wire.answers("mark").await;
        self.wire.world.at(&self.wire.service, |outside| match mark {
            Mark::Held { incident } => {
                drop(outside.marks.insert(version.to_string(), incident.to_owned()));
            }
            Mark::Lifted => drop(outside.marks.remove(version.as_str())),
        });
        self.wire.fuse.point("after mark").await;
        Ok(())
    }

    fn request_to_register(&self) -> Option<Request> {
        None
    }

    fn production_name(&self) -> Option<&str> {
        Some("production")
    }

    fn request_to_promote(&self, version: &VersionName) -> Option<Request> {
        let request = Request::new(self.name(), &format!("move the production name to `{version}`"));
        let settings = self.wire.world.of(&self.wire.service).settings;
        Some(request.with("version", version.to_string()).with("settings", settings))
    }

    /// A registry that nobody gave other names tells none.
    async fn aliases(&self) -> Result<Vec<Alias>, PortError> {
        let outside = self.wire.world.of(&self.wire.service);
        if outside.aliases.is_empty() {
            return Err(PortError::not_applied(
                ErrorKind::Unsupported,
                "the fake registry has no other names",
            ));
        }
        let aliases = outside.aliases.into_iter().map(|(name, version)| Alias {
            name,
            versions: vec![VersionName::new(version).expect("a version")],
        });
        Ok(aliases.collect())
    }

    async fn promoted(&self) -> Result<Option<VersionName>, PortError> {
        self.wire.fuse.call("promoted").await?;
        self.wire.answers("promoted").await;
        let outside = self.wire.world.of(&self.wire.service);
        if outside.registry_down || outside.promotion_fault == Some(PromotionFault::Away) {
            return Err(PortError::not_applied(ErrorKind::Unreachable, "the fake registry does not answer"));
        }
        if outside.promotion_fault == Some(PromotionFault::Unsupported) {
            return Err(PortError::not_applied(ErrorKind::Unsupported, "the fake registry has no such name"));
        }
        Ok(outside.in_production.map(|version| VersionName::new(version).expect("a version")))
    }

    async fn promote(&self, version: &VersionName, expecting: Option<&VersionName>) -> Result<(), PortError> {
        self.wire.fuse.call("promote").await?;
        let fault = self.wire.world.of(&self.wire.service).promotion_fault;
        match fault {
            Some(PromotionFault::Denied) => {
                return Err(PortError::not_applied(ErrorKind::Denied, "the fake registry wants more rights"));
            }
            Some(PromotionFault::Hangs) => std::future::pending::<()>().await,
            Some(PromotionFault::Raced) => self.wire.world.at(&self.wire.service, |outside| {
                outside.in_production = Some("1.0".into());
            }),
            _ => {}
        }
        self.known(version)?;
        let moved = self.wire.world.at(&self.wire.service, |outside| {
            if outside.in_production.as_deref() == Some(version.as_str()) {
                return true;
            }
            if outside.in_production.as_deref() != expecting.map(VersionName::as_str) {
                return false;
            }
            outside.in_production = Some(version.to_string());
            outside.promotions.push(version.to_string());
            true
        });
        self.wire.fuse.answer("promote").await?;
        match (moved, fault) {
            (false, _) => Err(PortError::not_applied(ErrorKind::Conflict, "someone else moved the name")),
            (true, Some(PromotionFault::DoneAndBroken)) => {
                let broken = PortError::not_applied(ErrorKind::Unreachable, "the connection broke");
                Err(broken.outcome_unknown())
            }
            (true, _) => Ok(()),
        }
    }
}
