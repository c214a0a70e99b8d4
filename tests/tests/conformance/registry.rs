//! A registry in memory, sound unless it is given a flaw.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use cap_std::fs::Dir;
use ripcord_core::digest::Digest;
use ripcord_core::event::Alias;
use ripcord_core::fact::Lineage;
use ripcord_core::name::VersionName;
use ripcord_core::target::{ArtefactFile, VersionTarget, artefact_digest};
use ripcord_core::time::UnixMillis;
use ripcord_ports::registry::{Mark, RegistryVersion, Staged};
use ripcord_ports::{ErrorKind, PortError, Registry};

const NAMES: [&str; 2] = ["2", "1"];
const FILE: &str = "model.bin";

/// A way to break a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    OldestFirst,
    TooMany,
    ManifestOfTheMoment,
    OneFileMore,
    AnyDigest,
    UnknownHasFailed,
    MarksOnce,
    PromotesFromAnywhere,
    MovesAnything,
    MarksByName,
    NoProductionName,
    NamesProductionTwice,
}

pub(crate) struct InMemoryRegistry {
    flaw: Option<Flaw>,
    can_change: bool,
    promoted: Mutex<Option<VersionName>>,
    held: Mutex<Vec<VersionName>>,
    asked: AtomicU32,
}

fn content(name: &str) -> String {
    format!("the weights of {name}")
}

fn files(name: &str) -> Vec<ArtefactFile> {
    let content = content(name);
    vec![ArtefactFile { path: FILE.into(), sha256: Digest::of(&content), bytes: content.len() as u64 }]
}

pub(crate) fn target(name: &str) -> VersionTarget {
    VersionTarget { version: VersionName::new(name).unwrap(), digest: Some(artefact_digest(&files(name))) }
}

impl InMemoryRegistry {
    pub(crate) fn sound() -> Self {
        Self {
            flaw: None,
            can_change: true,
            promoted: Mutex::default(),
            held: Mutex::default(),
            asked: AtomicU32::new(0),
        }
    }

    pub(crate) fn read_only() -> Self {
        Self { can_change: false, ..Self::sound() }
    }

    pub(crate) fn with(flaw: Flaw) -> Self {
        Self { flaw: Some(flaw), ..Self::sound() }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn known(&self, version: &VersionName) -> Result<&'static str, PortError> {
        let found = NAMES.into_iter().find(|name| *name == version.as_str());
        let kind = if self.has(Flaw::UnknownHasFailed) { ErrorKind::Failed } else { ErrorKind::NotFound };
        found.ok_or_else(|| PortError::not_applied(kind, format!("there is no version `{version}`")))
    }

    fn changes(&self) -> Result<(), PortError> {
        let refusal = || PortError::not_applied(ErrorKind::Unsupported, "this registry is read only");
        self.can_change.then_some(()).ok_or_else(refusal)
    }
}

fn described(name: &str) -> RegistryVersion {
    RegistryVersion {
        version: target(name),
        created_at: UnixMillis(name.parse().unwrap()),
        aliases: Vec::new(),
        tags: Vec::new(),
        measures: Vec::new(),
        signature: None,
        runtime: None,
        broken: None,
    }
}

#[async_trait]
impl Registry for InMemoryRegistry {
    fn name(&self) -> &str {
        "registry_in_memory"
    }

    async fn versions(&self, limit: u32) -> Result<Vec<RegistryVersion>, PortError> {
        let mut all: Vec<_> = NAMES.into_iter().map(described).collect();
        if self.has(Flaw::OldestFirst) {
            all.reverse();
        }
        if !self.has(Flaw::TooMany) {
            all.truncate(limit as usize);
        }
        Ok(all)
    }

    async fn version(&self, version: &VersionName) -> Result<RegistryVersion, PortError> {
        let mut told = described(self.known(version)?);
        if self.has(Flaw::MarksByName) && self.held.lock().unwrap().contains(version) {
            told.aliases.push("ripcord-held".to_owned());
        }
        Ok(told)
    }

    async fn lineage(&self, version: &VersionName) -> Result<Lineage, PortError> {
        self.known(version)?;
        Err(PortError::not_applied(ErrorKind::Unsupported, "this registry knows no lineage"))
    }

    async fn manifest(&self, version: &VersionName) -> Result<Vec<u8>, PortError> {
        let name = self.known(version)?;
        let number =
            if self.has(Flaw::ManifestOfTheMoment) { self.asked.fetch_add(1, Ordering::Relaxed) } else { 0 };
        Ok(format!("version {name}, answer {number}").into_bytes())
    }

    async fn fetch(&self, version: &VersionTarget, into: Arc<Dir>) -> Result<Staged, PortError> {
        let name = self.known(&version.version)?;
        let (files, digest) = (files(name), artefact_digest(&files(name)));
        if version.digest.is_some_and(|pinned| pinned != digest) && !self.has(Flaw::AnyDigest) {
            return Err(PortError::not_applied(
                ErrorKind::WrongDigest,
                format!("version `{name}` has the digest {digest}"),
            ));
        }
        into.write(FILE, content(name)).unwrap();
        if self.has(Flaw::OneFileMore) {
            into.write("download.log", "done").unwrap();
        }
        Ok(Staged { dir: into, files, digest })
    }

    fn request_to_register(&self) -> Option<ripcord_core::request::Request> {
        None
    }

    fn production_name(&self) -> Option<&str> {
        (self.can_change && !self.has(Flaw::NoProductionName)).then_some("production")
    }

    async fn aliases(&self) -> Result<Vec<Alias>, PortError> {
        let name = if self.has(Flaw::NamesProductionTwice) { "production" } else { "staging" };
        Ok(vec![Alias { name: name.to_owned(), versions: vec![VersionName::new("1").unwrap()] }])
    }

    fn request_to_promote(&self, version: &VersionName) -> Option<ripcord_core::request::Request> {
        let words = format!("move the name to `{version}`");
        let request = ripcord_core::request::Request::new(self.name(), &words);
        let known = if self.has(Flaw::MovesAnything) { String::new() } else { version.to_string() };
        self.can_change.then(|| request.with("version", known))
    }

    async fn mark(&self, version: &VersionName, mark: Mark<'_>) -> Result<(), PortError> {
        self.changes()?;
        self.known(version)?;
        let mut held = self.held.lock().unwrap();
        let is_held = held.contains(version);
        match mark {
            Mark::Held { .. } if is_held && self.has(Flaw::MarksOnce) => Err(PortError::not_applied(
                ErrorKind::Conflict,
                format!("version `{version}` is held already"),
            )),
            Mark::Held { .. } => {
                held.push(version.clone());
                Ok(())
            }
            Mark::Lifted => {
                held.retain(|held| held != version);
                Ok(())
            }
        }
    }

    async fn promoted(&self) -> Result<Option<VersionName>, PortError> {
        self.changes()?;
        Ok(self.promoted.lock().unwrap().clone())
    }

    async fn promote(&self, version: &VersionName, expecting: Option<&VersionName>) -> Result<(), PortError> {
        self.changes()?;
        self.known(version)?;
        let mut promoted = self.promoted.lock().unwrap();
        let is_expected = promoted.as_ref() == expecting || promoted.as_ref() == Some(version);
        if !is_expected && !self.has(Flaw::PromotesFromAnywhere) {
            return Err(PortError::not_applied(
                ErrorKind::Conflict,
                "another version is in production than expected",
            ));
        }
        *promoted = Some(version.clone());
        Ok(())
    }
}
