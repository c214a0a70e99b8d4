//! Where versions are kept.

use std::sync::Arc;

use async_trait::async_trait;
use cap_std::fs::Dir;
use ripcord_core::fact::{Dataset, Lineage};
use ripcord_core::name::VersionName;
use ripcord_core::request::Request;
use ripcord_core::target::VersionTarget;
use ripcord_core::time::UnixMillis;
use ripcord_ports::registry::{Mark, Registry, RegistryVersion, Staged};
use ripcord_ports::{ErrorKind, PortError};

use super::{REGISTRY, Wire};
use crate::world::{artefact, version, version_target};

/// See [`crate::world::Outside`].
#[derive(Debug)]
pub struct PretendRegistry {
    /// Where it is.
    pub wire: Wire,
}

impl PretendRegistry {
    fn listed(&self) -> Vec<RegistryVersion> {
        let versions = self.wire.world.at(&self.wire.service, |outside| outside.versions.clone());
        let listed = versions.iter().enumerate().map(|(index, name)| RegistryVersion {
            version: version_target(name),
            created_at: UnixMillis(1_699_000_000_000 + index as u64 * 60_000),
            aliases: Vec::new(),
            tags: Vec::new(),
            measures: Vec::new(),
            signature: None,
            runtime: None,
            broken: None,
        });
        listed.rev().collect()
    }

    fn find(&self, wanted: &VersionName) -> Result<RegistryVersion, PortError> {
        self.listed().into_iter().find(|listed| listed.version.version == *wanted).ok_or_else(|| {
            PortError::not_applied(ErrorKind::NotFound, format!("the registry has no version `{wanted}`"))
        })
    }
}

#[async_trait]
impl Registry for PretendRegistry {
    fn name(&self) -> &str {
        "registry_pretend"
    }

    async fn versions(&self, limit: u32) -> Result<Vec<RegistryVersion>, PortError> {
        self.wire.reach(REGISTRY).await?;
        let mut listed = self.listed();
        listed.truncate(limit as usize);
        self.wire.comes_back(REGISTRY).await;
        Ok(listed)
    }

    async fn version(&self, version: &VersionName) -> Result<RegistryVersion, PortError> {
        self.wire.reach(REGISTRY).await?;
        let found = self.find(version);
        self.wire.comes_back(REGISTRY).await;
        found
    }

    /// Each version was trained on data of its own.
    async fn lineage(&self, version: &VersionName) -> Result<Lineage, PortError> {
        let rows = Dataset {
            name: "rows".to_owned(),
            revision: Some(format!("of-{version}")),
            context: Some("training".to_owned()),
        };
        Ok(Lineage::default().with_datasets(vec![rows]))
    }

    async fn manifest(&self, version: &VersionName) -> Result<Vec<u8>, PortError> {
        self.wire.reach(REGISTRY).await?;
        self.find(version).map(|found| found.version.version.to_string().into_bytes())
    }

    async fn fetch(&self, version: &VersionTarget, into: Arc<Dir>) -> Result<Staged, PortError> {
        self.wire.reach(REGISTRY).await?;
        self.find(&version.version)?;
        let (file, digest) = artefact(version.version.as_str());
        self.wire.comes_back(REGISTRY).await;
        Ok(Staged { dir: into, files: vec![file], digest })
    }

    async fn mark(&self, version: &VersionName, mark: Mark<'_>) -> Result<(), PortError> {
        self.wire.reach(REGISTRY).await?;
        self.wire.world.at(&self.wire.service, |outside| match mark {
            Mark::Held { incident } => drop(outside.marks.insert(version.to_string(), incident.to_owned())),
            Mark::Lifted => drop(outside.marks.remove(version.as_str())),
        });
        self.wire.comes_back(REGISTRY).await;
        Ok(())
    }

    fn request_to_register(&self) -> Option<Request> {
        None
    }

    fn production_name(&self) -> Option<&str> {
        Some("production")
    }

    fn request_to_promote(&self, version: &VersionName) -> Option<Request> {
        let words = format!("move the production name to `{version}`");
        Some(Request::new(self.name(), &words).with("version", version.to_string()))
    }

    async fn promoted(&self) -> Result<Option<VersionName>, PortError> {
        self.wire.reach(REGISTRY).await?;
        let now = self.wire.world.at(&self.wire.service, |outside| outside.in_production.clone());
        self.wire.comes_back(REGISTRY).await;
        Ok(now.as_deref().map(version))
    }

    async fn promote(&self, version: &VersionName, expecting: Option<&VersionName>) -> Result<(), PortError> {
        let wire = &self.wire;
        wire.life.may_end().await;
        wire.checker.promote_called(&wire.service, version, &wire.terms);
        wire.reach(REGISTRY).await?;
        self.find(version)?;
        let moved = wire.world.at(&wire.service, |outside| {
            let now = outside.in_production.clone();
            let may = now.as_deref() == Some(version.as_str())
                || now.as_deref() == expecting.map(VersionName::as_str);
            if may {
                outside.in_production = Some(version.to_string());
            }
            may
        });
        wire.comes_back(REGISTRY).await;
        if !moved {
            return Err(PortError::not_applied(
                ErrorKind::Conflict,
                "someone else moved the production name",
            ));
        }
        if wire.dice.chance(wire.weather.now().fails) {
            let broken =
                PortError::not_applied(ErrorKind::Unreachable, "the connection to the registry broke");
            return Err(broken.outcome_unknown());
        }
        Ok(())
    }
}
