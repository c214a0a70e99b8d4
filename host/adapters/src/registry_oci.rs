//! A repository of an OCI registry: its tags are versions, a tag says which of them is in production, and layers of a manifest are files.
//!
//! The registry's digests are checked on the way (of manifests, configs and layers) and not believed: what is pinned is ours, over the files that came. A change
//! is one manifest that is put, never twice where the first may have arrived, and counts as made when it was read back. `README.md` beside this module says
//! what to configure and what was tried.

mod api;
mod artefacts;
mod config_file;
mod credentials;
mod describe;
mod holds;
mod layers;
mod manifest;
mod names;
mod refusal;
mod tags;
mod unpack;
mod wire;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use cap_std::fs::Dir;
use futures_util::{StreamExt, TryStreamExt, stream};
use ripcord_core::digest::Digest;
use ripcord_core::fact::Lineage;
use ripcord_core::name::VersionName;
use ripcord_core::request::{Hole, Request};
use ripcord_core::signal::Label;
use ripcord_core::target::VersionTarget;
use ripcord_ports::registry::{Mark, RegistryVersion, Staged};
use ripcord_ports::{ErrorKind, PortError, Registry};
use serde::Deserialize;

use crate::adapter::{Adapter, SecretKey};
use crate::file_work::FileWork;
use crate::http;
use crate::registries::defaults;
use crate::settled::settled;
use crate::{Secret, Shared, artefact};
use api::{Api, Place};
use manifest::{Known, Remembered};
use names::Named;

pub use crate::registry_mlflow::CONDEMNED_TAG;

/// For the catalogue.
pub const ADAPTER: Adapter<OciRegistryConfig, dyn Registry> = Adapter {
    kind: "oci",
    system: "OCI registries",
    summary: "a repository of an OCI registry: ModelPack, KitOps and ORAS artefacts, tags as versions",
    page: "registry_oci/README.md",
    secret: SecretKey::TokenOrPassword,
    example: "url = \"https://registry.example\", repository = \"models/fraud\"",
    start: |_, _| {},
    says: |config| {
        let address = Label::new("registry-address", config.url.clone());
        let repository = Label::new("repository", config.repository.clone());
        let alias = config.alias.iter().map(|alias| Label::new("alias", alias.clone()));
        [address, repository].into_iter().chain(alias).collect()
    },
    make: |config, with| Ok(Arc::new(OciRegistry::new(config, with.secret, with.shared)?)),
};

/// Versions that are described at the same time.
const AT_ONCE: usize = 8;

/// Where the repository is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OciRegistryConfig {
    /// The registry's address, what stands before `/v2/`.
    pub url: String,
    /// The repository: a path without host and tag.
    pub repository: String,
    /// The tag that says which version is in production, such as `production`. Default: none, and nothing is promoted.
    #[serde(default)]
    pub alias: Option<String>,
    /// Other tags that move from version to version, such as `staging`: none of them is a version. `latest` is always one. Default: none.
    #[serde(default)]
    pub stages: Vec<String>,
    /// The account's name. Then the secret is its password, otherwise a bearer token. Default: none.
    #[serde(default)]
    pub user: Option<String>,
    /// Hosts, besides that of `url`, that may be asked for tokens with the password, such as `auth.docker.io`. Default: none.
    #[serde(default)]
    pub tokens_from: Vec<String>,
    /// Hosts, besides that of `url`, that files may be fetched from, without any credentials. Default: none.
    #[serde(default)]
    pub files_from: Vec<String>,
    /// For one call, and for a download to go on, in milliseconds. Default: 10000.
    #[serde(default = "defaults::deadline_ms")]
    pub deadline_ms: u64,
    /// How long a call that failed is tried again, in milliseconds. Default: 20000.
    #[serde(default = "defaults::patience_ms")]
    pub patience_ms: u64,
    /// How many versions are told at most, the newest. Default: 100.
    #[serde(default = "defaults::versions_max")]
    pub versions_max: u32,
    /// The largest artefact, in bytes, unpacked. Default: 68719476736, which is 64 GiB.
    #[serde(default = "defaults::artefact_bytes_max")]
    pub artefact_bytes_max: u64,
}

/// The versions of one repository.
pub struct OciRegistry {
    api: Api,
    alias: Option<String>,
    stages: Vec<String>,
    versions_max: u32,
    artefact_bytes_max: u64,
    remembered: Remembered,
    /// What each version's tag pointed at when it was last told.
    told: Mutex<HashMap<VersionName, Digest>>,
    files: FileWork,
}

impl std::fmt::Debug for OciRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OciRegistry").field("api", &self.api).finish_non_exhaustive()
    }
}

impl OciRegistry {
    /// Checks the configuration; the registry is not asked. `secret` is the password of `user` where there is one, else a bearer token.
    pub fn new(
        config: OciRegistryConfig,
        secret: Option<Secret>,
        shared: &Shared,
    ) -> Result<Self, PortError> {
        let of_key =
            [("alias", &config.alias)].into_iter().filter_map(|(key, tag)| Some((key, tag.as_ref()?)));
        for (key, tag) in of_key.chain(config.stages.iter().map(|tag| ("stages", tag))) {
            if !names::is_tag(tag) || names::is_reserved(tag) {
                let text = format!(
                    "`{}` cannot be a tag of `{key}`: write letters, digits, `.`, `_` and `-`, at most 128, and no name that is kept for holds and signatures",
                    tag.escape_debug()
                );
                return Err(PortError::not_applied(ErrorKind::Configuration, text));
            }
        }
        let place = Place {
            url: config.url,
            repository: config.repository,
            user: config.user,
            tokens_from: config.tokens_from,
            files_from: config.files_from,
            deadline_ms: config.deadline_ms,
            patience_ms: config.patience_ms,
        };
        Ok(Self {
            api: Api::new(place, secret, shared)?,
            alias: config.alias,
            stages: config.stages,
            versions_max: config.versions_max,
            artefact_bytes_max: config.artefact_bytes_max,
            remembered: Remembered::default(),
            told: Mutex::default(),
            files: FileWork::new("the staging folder"),
        })
    }

    fn alias(&self) -> Result<&str, PortError> {
        self.alias.as_deref().ok_or_else(|| {
            PortError::not_applied(
                ErrorKind::Unsupported,
                "no tag says which version is in production: configure `alias`",
            )
        })
    }

    /// What each tag points at, but for those that are kept for marks and signatures; a tag that went away meanwhile is left out.
    async fn pointing(&self, tags: &[String]) -> Result<Vec<(String, Digest)>, PortError> {
        let wanted: Vec<String> = tags.iter().filter(|tag| !names::is_reserved(tag)).cloned().collect();
        let found = stream::iter(wanted).map(|tag| async move {
            let found = manifest::resolve(&self.api, &tag).await?;
            Ok::<_, PortError>(found.map(|found| (tag, found)))
        });
        let found: Vec<Option<(String, Digest)>> = found.buffered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// The version at a digest, by what was told last and looked at again: most of the time no other tag has to be asked for.
    async fn told_at(&self, digest: Digest) -> Result<Option<VersionName>, PortError> {
        let told: Vec<(String, Digest)> = {
            let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            let here = told.iter().filter(|(_, at)| **at == digest);
            here.map(|(version, at)| (version.to_string(), *at)).collect()
        };
        let Some(named) = self.named(&told).into_iter().next() else { return Ok(None) };
        let now = manifest::resolve(&self.api, named.version.as_str()).await?;
        Ok((now == Some(digest)).then_some(named.version))
    }

    fn named(&self, pointing: &[(String, Digest)]) -> Vec<Named> {
        let moves = |tag: &str| {
            self.alias.as_deref() == Some(tag)
                || self.stages.iter().any(|stage| stage == tag)
                || tag == names::LATEST
        };
        names::versions(pointing, moves)
    }

    fn tell(&self, version: &VersionName, digest: Digest) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() >= names::TAGS_MAX {
            told.clear();
        }
        told.insert(version.clone(), digest);
    }

    fn told(&self, version: &VersionName) -> Option<Digest> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).get(version).copied()
    }

    /// What a version's tag points at, if there is one. A name that no tag can have is no version.
    async fn at(&self, version: &VersionName) -> Result<Option<Digest>, PortError> {
        if !names::is_tag(version.as_str()) || names::is_reserved(version.as_str()) {
            return Ok(None);
        }
        manifest::resolve(&self.api, version.as_str()).await
    }

    async fn digest(&self, version: &VersionName) -> Result<Digest, PortError> {
        self.at(version).await?.ok_or_else(|| self.api.unknown(version))
    }

    /// What stands in the way of moving the tag of production.
    async fn conflict(&self, alias: &str, expecting: Option<&VersionName>) -> PortError {
        let shown =
            |at: Option<&VersionName>| at.map_or("nothing".to_owned(), |at| format!("version `{at}`"));
        let now = match self.promoted().await {
            Ok(now) => shown(now.as_ref()),
            Err(_) => "something else".to_owned(),
        };
        PortError::not_applied(
            ErrorKind::Conflict,
            format!(
                "the tag `{alias}` of `{}` points at {now} where {} was expected: someone else moved it, and it was left there",
                self.api.repository,
                shown(expecting)
            ),
        )
    }

    async fn described(&self, named: Named, held: Option<bool>) -> Result<RegistryVersion, PortError> {
        let known = match manifest::known(&self.api, &self.remembered, &named.digest).await {
            // A manifest that its registry has lost, or gives to nobody, hides no other version.
            Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::BadAnswer) => {
                Arc::new(Known::unread(format!("has a manifest that cannot be read: {error}")))
            }
            known => known?,
        };
        // Where the list of tags has no mark for it, none is asked for.
        let (mark, spoilt) = match held {
            Some(false) => (None, None),
            _ => match holds::read(&self.api, &named.version).await {
                Ok(mark) => (mark, None),
                // Somebody wrote over this one's mark, which hides no other. Whether it is held nobody knows, so nobody goes back to it.
                Err(error) if matches!(error.kind, ErrorKind::BadAnswer | ErrorKind::TooLarge) => {
                    (None, Some(error.to_string()))
                }
                Err(error) => return Err(error),
            },
        };
        let mut described = describe::version(named, &known, mark);
        described.broken = described.broken.or(spoilt);
        Ok(described)
    }
}

#[async_trait]
impl Registry for OciRegistry {
    fn name(&self) -> &str {
        "registry_oci"
    }

    fn kept_at(&self) -> Option<String> {
        Some(format!("`{}` of {}", self.api.repository, http::compared(&self.api.url)))
    }

    async fn versions(&self, limit: u32) -> Result<Vec<RegistryVersion>, PortError> {
        let limit = limit.min(self.versions_max) as usize;
        let tags = self.api.tags().await?;
        let pointing = self.pointing(&tags).await?;
        let named = self.named(&pointing);
        let told = named.iter().map(|named| (named.version.clone(), named.digest)).collect();
        let described = stream::iter(named).map(|named| {
            let held = holds::tag(&named.version).is_some_and(|mark| tags.binary_search(&mark).is_ok());
            self.described(named, Some(held))
        });
        let mut versions: Vec<RegistryVersion> = described.buffered(AT_ONCE).try_collect().await?;
        // Whoever gives a list up half-way was told nothing.
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = told;
        versions.sort_by(|a, b| {
            let by_name = || names::natural(b.version.version.as_str(), a.version.version.as_str());
            b.created_at.cmp(&a.created_at).then_with(by_name)
        });
        versions.truncate(limit);
        Ok(versions)
    }

    async fn version(&self, version: &VersionName) -> Result<RegistryVersion, PortError> {
        let digest = self.digest(version).await?;
        let tags = self.api.tags().await?;
        let here = self.pointing(&tags).await?.into_iter();
        let here = here.filter(|(tag, at)| *at == digest && tag != version.as_str());
        let mut aliases: Vec<String> = here.map(|(tag, _)| tag).collect();
        aliases.sort();
        let described = self.described(Named { version: version.clone(), digest, aliases }, None).await?;
        self.tell(version, digest);
        Ok(described)
    }

    async fn lineage(&self, version: &VersionName) -> Result<Lineage, PortError> {
        let digest = self.digest(version).await?;
        let known = manifest::known(&self.api, &self.remembered, &digest).await?;
        describe::lineage(&self.api, &known)
    }

    async fn manifest(&self, version: &VersionName) -> Result<Vec<u8>, PortError> {
        let digest = self.digest(version).await?;
        Ok(manifest::get(&self.api, &digest).await?.body)
    }

    async fn fetch(&self, version: &VersionTarget, into: Arc<Dir>) -> Result<Staged, PortError> {
        let what = format!("version `{}` of `{}`", version.version, self.api.repository);
        let digest = self.digest(&version.version).await?;
        let moved = self.told(&version.version).filter(|told| *told != digest).map(|told| {
            format!("the tag `{}` of `{}` pointed at sha256:{told} when it was listed, and points at sha256:{digest} now: it was moved", version.version, self.api.repository)
        });
        // What is pinned is held against the files themselves.
        if let (Some(moved), None) = (&moved, &version.digest) {
            let text = format!("{moved}; nothing was fetched: list the versions anew");
            return Err(PortError::not_applied(ErrorKind::WrongDigest, text));
        }
        let known = manifest::known(&self.api, &self.remembered, &digest).await?;
        let layers = known.layers.as_ref().map_err(|why| {
            PortError::not_applied(ErrorKind::NotFound, format!("{what} {why}; choose another version"))
        })?;
        let files =
            artefacts::fetch(&self.api, layers, (&into, &self.files), self.artefact_bytes_max, &what).await?;
        let pinned =
            artefact::pinned(&files, version.digest.as_ref(), &what).map_err(|error| match moved {
                Some(moved) => PortError::not_applied(error.kind, format!("{error}; {moved}")),
                None => error,
            })?;
        Ok(Staged { dir: into, files, digest: pinned })
    }

    async fn mark(&self, version: &VersionName, mark: Mark<'_>) -> Result<(), PortError> {
        let digest = self.digest(version).await?;
        holds::write(&self.api, version, &digest, mark).await
    }

    fn request_to_register(&self) -> Option<Request> {
        None
    }

    fn request_to_promote(&self, version: &VersionName) -> Option<Request> {
        let alias = self.alias.as_deref()?;
        let words = format!(
            "have the tag `{alias}` of `{}` at {} point at what the tag `{version}` points at",
            self.api.repository,
            http::shown(&self.api.url)
        );
        let request = Request::new(self.name(), &words)
            .with("url", http::shown(&self.api.url))
            .with("repository", self.api.repository.clone())
            .with("alias", alias)
            .with("version", version.to_string());
        Some(request.hole(Hole::Credentials))
    }

    fn production_name(&self) -> Option<&str> {
        self.alias.as_deref()
    }

    async fn promoted(&self) -> Result<Option<VersionName>, PortError> {
        let alias = self.alias()?;
        let Some(digest) = manifest::resolve(&self.api, alias).await? else {
            // A repository that is not there has no such tag either, and is no answer.
            self.api.tags().await?;
            return Ok(None);
        };
        if let Some(version) = self.told_at(digest).await? {
            return Ok(Some(version));
        }
        let pointing = self.pointing(&self.api.tags().await?).await?;
        match self.named(&pointing).into_iter().find(|named| named.digest == digest) {
            Some(named) => Ok(Some(named.version)),
            None => {
                let text = format!(
                    "the tag `{alias}` of `{}` points at sha256:{digest}, and no version has a tag there: give it a tag of its own",
                    self.api.repository
                );
                Err(PortError::not_applied(ErrorKind::Failed, text))
            }
        }
    }

    async fn promote(&self, version: &VersionName, expecting: Option<&VersionName>) -> Result<(), PortError> {
        let alias = self.alias()?;
        let digest = self.digest(version).await?;
        let now = manifest::resolve(&self.api, alias).await?;
        if now == Some(digest) {
            return Ok(());
        }
        // Two tags at one manifest are one version, whichever of them is asked for.
        let expected = match expecting {
            Some(expecting) => self.at(expecting).await?,
            None => None,
        };
        if now != expected || expecting.is_some() != expected.is_some() {
            return Err(self.conflict(alias, expecting).await);
        }
        let answer = manifest::get(&self.api, &digest).await?;
        let media_type = manifest::media_type(&answer).to_owned();
        let changed = self.api.put_manifest(alias, &media_type, answer.body).await;
        let what = format!("the tag `{alias}` of `{}`", self.api.repository);
        settled("the registry", changed, &what, async {
            Ok(manifest::resolve(&self.api, alias).await? == Some(digest))
        })
        .await
    }
}
