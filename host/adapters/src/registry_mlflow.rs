//! A registered model of MLflow, releases 2 and 3, through the REST interface of its tracking server.
//!
//! MLflow knows no digest of an artefact: it is ours, over the files that were fetched, and a version is listed without one. A change
//! is made only where it is not there yet, is never sent twice where the first may have arrived, and counts as made when it was read back.
//! `README.md` beside this module says what to configure and what was tried.

mod api;
mod artefacts;
mod describe;
mod mlmodel;
mod register;
pub mod sight;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use cap_std::fs::Dir;
use futures_util::{StreamExt, TryStreamExt, stream};
use ripcord_core::event::Alias;
use ripcord_core::fact::Lineage;
use ripcord_core::name::VersionName;
use ripcord_core::request::{Hole, Request};
use ripcord_core::signal::Label;
use ripcord_core::target::VersionTarget;
use ripcord_ports::registry::{Mark, NewVersion, RegistryVersion, Staged};
use ripcord_ports::{Clock, ErrorKind, PortError, Registry};
use serde::Deserialize;

use crate::adapter::{Adapter, SecretKey};
use crate::file_work::FileWork;
use crate::http;
use crate::registries::{defaults, move_name};
use crate::registry_directory::HOLD_TAG;
use crate::settled::settled;
use crate::{Secret, Shared, artefact};
pub(crate) use api::{Api, Place, Registered};
use artefacts::Root;
use describe::{Read, Remembered};
pub(crate) use wire::Version;

/// The tag that stays when a hold is lifted; its value is the incident that condemned the version last.
pub const CONDEMNED_TAG: &str = "ripcord.condemned";

/// For the catalogue.
pub const ADAPTER: Adapter<MlflowRegistryConfig, dyn Registry> = Adapter {
    kind: "mlflow",
    system: "MLflow 2 and 3",
    summary: "a registered model of MLflow's tracking server",
    page: "registry_mlflow/README.md",
    secret: SecretKey::TokenOrPassword,
    example: "url = \"http://127.0.0.1:5000\"",
    start: |_, _| {},
    says: |config| {
        let address = Label::new("registry-address", config.url.clone());
        let alias = config.alias.iter().map(|alias| Label::new("alias", alias.clone()));
        std::iter::once(address).chain(alias).collect()
    },
    make: |config, with| Ok(Arc::new(MlflowRegistry::new(config, with.secret, with.shared)?)),
};

/// What the tag of a hold says once it is lifted. To delete the tag would take the right to delete the whole version.
const LIFTED: &str = "lifted";

/// Versions that are described at the same time.
const AT_ONCE: usize = 8;

/// Where the model is registered.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MlflowRegistryConfig {
    /// The tracking server's address, such as `http://127.0.0.1:5000`.
    pub url: String,
    /// The registered model's name.
    pub model: String,
    /// The alias that says which version is in production, such as `champion`. Default: none, and nothing is promoted.
    #[serde(default)]
    pub alias: Option<String>,
    /// The number of the experiment among whose artefacts the files of registered versions are put. Default: 0, which every server has.
    #[serde(default)]
    pub experiment: u64,
    /// The account's name, where the server wants basic authentication. Default: none.
    #[serde(default)]
    pub user: Option<String>,
    /// For one call, and for a download to go on, in milliseconds. Default: 10000.
    #[serde(default = "defaults::deadline_ms")]
    pub deadline_ms: u64,
    /// How long a call that failed is tried again, in milliseconds. Default: 20000.
    #[serde(default = "defaults::patience_ms")]
    pub patience_ms: u64,
    /// How many versions are described at most, the newest. Default: 100.
    #[serde(default = "defaults::versions_max")]
    pub versions_max: u32,
    /// The largest artefact, in bytes. Default: 68719476736, which is 64 GiB.
    #[serde(default = "defaults::artefact_bytes_max")]
    pub artefact_bytes_max: u64,
}

/// The versions of one registered model.
pub struct MlflowRegistry {
    api: Api,
    alias: Option<String>,
    experiment: u64,
    versions_max: u32,
    artefact_bytes_max: u64,
    remembered: Remembered,
    clock: Arc<dyn Clock>,
    files: FileWork,
}

impl std::fmt::Debug for MlflowRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MlflowRegistry").field("api", &self.api).finish_non_exhaustive()
    }
}

impl MlflowRegistry {
    /// Checks the configuration; the server is not asked. `secret` is the password of `user` where there is one, else a bearer token.
    pub fn new(
        config: MlflowRegistryConfig,
        secret: Option<Secret>,
        shared: &Shared,
    ) -> Result<Self, PortError> {
        if let Some(alias) = config.alias.as_deref()
            && (alias.is_empty() || alias.eq_ignore_ascii_case("latest"))
        {
            let text = format!("`{alias}` cannot be an alias: mlflow keeps the name to itself");
            return Err(PortError::not_applied(ErrorKind::Configuration, text));
        }
        let place = Place {
            url: config.url,
            name: config.model,
            user: config.user,
            deadline_ms: config.deadline_ms,
            patience_ms: config.patience_ms,
        };
        let api = Api::new(place, Registered::Model, secret, shared)?;
        Ok(Self {
            api,
            alias: config.alias,
            experiment: config.experiment,
            versions_max: config.versions_max,
            artefact_bytes_max: config.artefact_bytes_max,
            remembered: Remembered::default(),
            clock: shared.clock.clone(),
            files: FileWork::new("the staging folder"),
        })
    }

    fn alias(&self) -> Result<&str, PortError> {
        self.alias.as_deref().ok_or_else(|| {
            PortError::not_applied(
                ErrorKind::Unsupported,
                "no alias says which version is in production: configure `alias`",
            )
        })
    }

    /// Where the artefact lies, and its files. Where a description was read before, the list is asked for at the same time as the place.
    async fn listed(
        &self,
        version: &VersionName,
        what: &str,
    ) -> Result<(Root, Vec<artefacts::Found>), PortError> {
        let guess = self.remembered.root(version);
        let early = async {
            match &guess {
                Some(root) => Some(artefacts::list_all(&self.api, root, what).await),
                None => None,
            }
        };
        let (root, early) = tokio::join!(describe::root(&self.api, version), early);
        let root = root?;
        let listed = match early {
            Some(listed) if guess.as_ref() == Some(&root) => listed?,
            _ => artefacts::list_all(&self.api, &root, what).await?,
        };
        Ok((root, listed))
    }

    /// The version's tag, if it is set.
    async fn tag(&self, version: &VersionName, key: &str) -> Result<Option<String>, PortError> {
        let read = self.api.version(version).await?;
        Ok(read.tags.into_iter().find(|tag| tag.key == key).map(|tag| tag.value))
    }

    /// Sets a tag and reads it back.
    async fn put_tag(&self, version: &VersionName, key: &str, value: &str) -> Result<(), PortError> {
        let changed = self.api.set_tag(version, key, value).await;
        let what = format!("the tag `{key}` of version `{version}`");
        settled("mlflow", changed, &what, async {
            Ok(self.tag(version, key).await?.as_deref() == Some(value))
        })
        .await
    }
}

#[async_trait]
impl Registry for MlflowRegistry {
    fn name(&self) -> &str {
        "registry_mlflow"
    }

    fn kept_at(&self) -> Option<String> {
        Some(format!("`{}` of {}", self.api.model, http::compared(&self.api.url)))
    }

    async fn versions(&self, limit: u32) -> Result<Vec<RegistryVersion>, PortError> {
        let limit = limit.min(self.versions_max);
        // The search is silent about a model that does not exist, and about aliases; the model itself tells both.
        let (found, aliases) = tokio::try_join!(self.api.search(limit), self.api.aliases())?;
        let read = Read::Lately(self.clock.steady());
        let described = stream::iter(found).map(|version| {
            let pointing = aliases.iter().filter(|(_, pointed)| *pointed == version.version);
            let pointing = pointing.map(|(alias, _)| alias.clone()).collect();
            describe::version(&self.api, &self.remembered, version, pointing, read)
        });
        let mut versions: Vec<RegistryVersion> = described.buffered(AT_ONCE).try_collect().await?;
        // Stable: versions of one millisecond stay in the order of their numbers.
        versions.sort_by_key(|version| std::cmp::Reverse(version.created_at));
        Ok(versions)
    }

    async fn version(&self, version: &VersionName) -> Result<RegistryVersion, PortError> {
        let mut read = self.api.version(version).await?;
        let aliases = std::mem::take(&mut read.aliases);
        describe::version(&self.api, &self.remembered, read, aliases, Read::Now(self.clock.steady())).await
    }

    async fn lineage(&self, version: &VersionName) -> Result<Lineage, PortError> {
        let read = self.api.version(version).await?;
        let run = if read.run_id.is_empty() { None } else { self.api.run(&read.run_id).await? };
        Ok(describe::lineage(&read, run))
    }

    async fn manifest(&self, version: &VersionName) -> Result<Vec<u8>, PortError> {
        self.api.version_bytes(version).await
    }

    async fn fetch(&self, version: &VersionTarget, into: Arc<Dir>) -> Result<Staged, PortError> {
        let what = format!("version `{}` of `{}`", version.version, self.api.model);
        let (root, listed) = self.listed(&version.version, &what).await?;
        let files =
            artefacts::fetch(&self.api, &root, listed, (&into, &self.files), self.artefact_bytes_max, &what)
                .await?;
        let digest = artefact::pinned(&files, version.digest.as_ref(), &what)?;
        Ok(Staged { dir: into, files, digest })
    }

    async fn register(&self, new: &NewVersion) -> Result<VersionTarget, PortError> {
        register::register(self, new).await
    }

    async fn mark(&self, version: &VersionName, mark: Mark<'_>) -> Result<(), PortError> {
        let tags = self.api.version(version).await?.tags;
        let now = |key: &str| tags.iter().find(|tag| tag.key == key).map(|tag| tag.value.as_str());
        match mark {
            Mark::Held { incident } => {
                for key in [CONDEMNED_TAG, HOLD_TAG] {
                    if now(key) != Some(incident) {
                        self.put_tag(version, key, incident).await?;
                    }
                }
                Ok(())
            }
            Mark::Lifted if now(HOLD_TAG).is_none_or(|value| value == LIFTED) => Ok(()),
            Mark::Lifted => self.put_tag(version, HOLD_TAG, LIFTED).await,
        }
    }

    fn request_to_register(&self) -> Option<Request> {
        let words = format!(
            "register it as a version of `{}` at {}, with its files in experiment {}",
            self.api.model,
            http::shown(&self.api.url),
            self.experiment
        );
        let request = Request::new(self.name(), &words)
            .with("url", http::shown(&self.api.url))
            .with("model", self.api.model.clone())
            .with("experiment", self.experiment.to_string());
        Some(request.hole(Hole::Key).hole(Hole::Credentials))
    }

    fn request_to_promote(&self, version: &VersionName) -> Option<Request> {
        let alias = self.alias.as_deref()?;
        let request = Request::new(self.name(), &self.api.alias_words(alias, version));
        Some(self.api.alias_request(alias, version, request))
    }

    fn production_name(&self) -> Option<&str> {
        self.alias.as_deref()
    }

    async fn aliases(&self) -> Result<Vec<Alias>, PortError> {
        let all = self.api.aliases().await?;
        let others = all.into_iter().filter(|(name, _)| Some(name) != self.alias.as_ref());
        others
            .map(|(name, version)| {
                let version = VersionName::new(version).map_err(|error| {
                    let text =
                        format!("mlflow's alias `{}` points at no version: {error}", name.escape_debug());
                    PortError::not_applied(ErrorKind::BadAnswer, text)
                })?;
                Ok(Alias { name, versions: vec![version] })
            })
            .collect()
    }

    async fn promoted(&self) -> Result<Option<VersionName>, PortError> {
        let Some(version) = self.api.alias(self.alias()?).await? else { return Ok(None) };
        VersionName::new(version).map(Some).map_err(|error| {
            PortError::not_applied(
                ErrorKind::BadAnswer,
                format!("mlflow's alias points at no version: {error}"),
            )
        })
    }

    async fn promote(&self, version: &VersionName, expecting: Option<&VersionName>) -> Result<(), PortError> {
        let alias = self.alias()?;
        let what = format!("the alias `{alias}` of `{}`", self.api.model);
        let change = self.api.set_alias(alias, version);
        move_name(self, ("mlflow", &what), (version, expecting), change).await
    }
}
