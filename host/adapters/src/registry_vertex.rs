//! A model in the model registry of Vertex AI, through its REST interface, with its files in Cloud Storage.
//!
//! What is sent is held against Google's own description of the interface (its discovery document). Digests of Cloud Storage are checked and not believed:
//! what is pinned is ours, over the files that were fetched. Aliases are merged and never written as a whole; a change is made only where it is not there
//! yet, is never sent twice where the first may have arrived, and counts as made when it was read back. `README.md` beside this module says what to
//! configure and what was tried.

pub(crate) mod api;
mod describe;
pub(crate) mod holds;
mod lineage;
pub(crate) mod pages;
pub(crate) mod refusal;
mod storage;
pub(crate) mod wire;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use cap_std::fs::Dir;
use futures_util::{StreamExt, TryStreamExt, stream};
use reqsign_core::OsEnv;
use ripcord_core::fact::Lineage;
use ripcord_core::name::VersionName;
use ripcord_core::request::Request;
use ripcord_core::signal::Label;
use ripcord_core::target::VersionTarget;
use ripcord_ports::registry::{Mark, RegistryVersion, Staged};
use ripcord_ports::{ErrorKind, PortError, Registry};
use serde::Deserialize;

use crate::adapter::{Adapter, SecretKey, Start};
use crate::file_work::FileWork;
use crate::http;
use crate::registries::{defaults, move_name};
use crate::settled::settled;
use crate::{Shared, artefact};
use api::Api;
use describe::Remembered;

pub use crate::registry_mlflow::CONDEMNED_TAG;

/// For the catalogue.
pub const ADAPTER: Adapter<VertexRegistryConfig, dyn Registry> = Adapter {
    kind: "vertex",
    system: "Vertex AI Model Registry",
    summary: "a model in Google's Vertex AI, its files in Cloud Storage",
    page: "registry_vertex/README.md",
    secret: SecretKey::None,
    example: "project = \"acme-ml\", location = \"europe-west4\"",
    start: |config, start| config.start(start),
    says: |config| {
        let endpoint = config.endpoint.clone().unwrap_or_else(|| api::endpoint(&config.location));
        let model =
            format!("projects/{}/locations/{}/models/{}", config.project, config.location, config.model);
        let alias = config.alias.iter().map(|alias| Label::new("alias", alias.clone()));
        let said = [Label::new("registry-address", endpoint), Label::new("model", model)];
        said.into_iter().chain(alias).collect()
    },
    make: |config, with| Ok(Arc::new(VertexRegistry::new(config, with.shared)?)),
};

/// Versions that are described at the same time.
const AT_ONCE: usize = 8;

/// Where the model is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct VertexRegistryConfig {
    /// The project's id or number.
    pub project: String,
    /// The region that the model is in, such as `europe-west4`.
    pub location: String,
    /// The model's id: the last part of its resource name.
    pub model: String,
    /// The alias that says which version is in production, such as `default`. Default: none, and nothing is promoted.
    #[serde(default)]
    pub alias: Option<String>,
    /// A file of Google credentials. Default: what Google's own tools find on this machine.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
    /// The project whose quota calls count against. Default: what the environment or the credentials say, else the account's own.
    #[serde(default)]
    pub quota_project: Option<String>,
    /// The address of Vertex AI, where it is another than `https://LOCATION-aiplatform.googleapis.com`, as with Private Service Connect.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The address of Cloud Storage. Default: `https://storage.googleapis.com`.
    #[serde(default = "storage_default")]
    pub storage_endpoint: String,
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

fn storage_default() -> String {
    "https://storage.googleapis.com".to_owned()
}

impl VertexRegistryConfig {
    fn start(&mut self, start: &Start<'_>) {
        if let Some(file) = &mut self.credentials_file {
            start.path(file);
        }
    }
}

/// The versions of one model.
pub struct VertexRegistry {
    api: Api,
    alias: Option<String>,
    versions_max: u32,
    artefact_bytes_max: u64,
    remembered: Remembered,
    files: FileWork,
}

impl std::fmt::Debug for VertexRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VertexRegistry").field("api", &self.api).finish_non_exhaustive()
    }
}

impl VertexRegistry {
    /// Checks the configuration and finds the credentials; Google is not asked.
    pub fn new(config: VertexRegistryConfig, shared: &Shared) -> Result<Self, PortError> {
        if let Some(alias) = config.alias.as_deref()
            && !holds::is_alias(alias)
        {
            let text = format!(
                "`{}` cannot be `alias`: Vertex AI takes letters, digits and `-`, the first a small letter and the last a small letter or a digit, and Ripcord keeps what begins with `ripcord-`; choose another, such as `default`",
                alias.escape_debug()
            );
            return Err(PortError::not_applied(ErrorKind::Configuration, text));
        }
        let (alias, versions_max) = (config.alias.clone(), config.versions_max);
        let artefact_bytes_max = config.artefact_bytes_max;
        Ok(Self {
            api: Api::new(config, shared, OsEnv)?,
            alias,
            versions_max,
            artefact_bytes_max,
            remembered: Remembered::default(),
            files: FileWork::new("the staging folder"),
        })
    }

    fn alias(&self) -> Result<&str, PortError> {
        self.alias.as_deref().ok_or_else(|| {
            PortError::not_applied(
                ErrorKind::Unsupported,
                "no alias says which version is in production: configure `alias`, such as `default`",
            )
        })
    }
}

#[async_trait]
impl Registry for VertexRegistry {
    fn name(&self) -> &str {
        "registry_vertex"
    }

    fn kept_at(&self) -> Option<String> {
        Some(format!("`{}` of {}", self.api.model, http::compared(&self.api.url)))
    }

    async fn versions(&self, limit: u32) -> Result<Vec<RegistryVersion>, PortError> {
        let limit = limit.min(self.versions_max) as usize;
        let mut found = Vec::new();
        for model in self.api.versions().await? {
            let (name, number) = self.api.named(&model)?;
            found.push((describe::created_at(&self.api, &model)?, number, name, model));
        }
        found.sort_by_key(|(at, number, ..)| std::cmp::Reverse((*at, *number)));
        let mut numbers: Vec<u64> = found.iter().map(|(_, number, ..)| *number).collect();
        numbers.sort_unstable();
        if let Some(pair) = numbers.windows(2).find(|pair| pair[0] == pair[1]) {
            let text = format!(
                "Vertex AI lists version `{}` of `{}` twice: its list is not used",
                pair[0], self.api.model
            );
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
        }
        found.truncate(limit);
        let described = stream::iter(found)
            .map(|(_, _, name, model)| describe::version(&self.api, &self.remembered, name, model));
        described.buffered(AT_ONCE).try_collect().await
    }

    async fn version(&self, version: &VersionName) -> Result<RegistryVersion, PortError> {
        let (model, _) = self.api.version(version).await?;
        describe::version(&self.api, &self.remembered, version.clone(), model).await
    }

    async fn lineage(&self, version: &VersionName) -> Result<Lineage, PortError> {
        let (model, _) = self.api.version(version).await?;
        lineage::of(&self.api, &model).await
    }

    async fn manifest(&self, version: &VersionName) -> Result<Vec<u8>, PortError> {
        Ok(self.api.version(version).await?.1.body)
    }

    async fn fetch(&self, version: &VersionTarget, into: Arc<Dir>) -> Result<Staged, PortError> {
        let what = format!("version `{}` of `{}`", version.version, self.api.model);
        let (model, _) = self.api.version(&version.version).await?;
        let place = describe::place(&model).map_err(|why| {
            PortError::not_applied(ErrorKind::NotFound, format!("{what} {why}; choose another version"))
        })?;
        let listed = storage::list(&self.api, &place, &what).await?.map_err(|why| {
            PortError::not_applied(ErrorKind::NotFound, format!("{what} {why}; choose another version"))
        })?;
        let into_folder = (&into, &self.files);
        let files =
            storage::fetch(&self.api, &place, listed, into_folder, self.artefact_bytes_max, &what).await?;
        let digest = artefact::pinned(&files, version.digest.as_ref(), &what)?;
        Ok(Staged { dir: into, files, digest })
    }

    async fn mark(&self, version: &VersionName, mark: Mark<'_>) -> Result<(), PortError> {
        let (model, _) = self.api.version(version).await?;
        let wanted: Vec<String> = match mark {
            Mark::Held { incident } => holds::of(version, incident).into(),
            Mark::Lifted => Vec::new(),
        };
        let is_other_hold = |alias: &String| holds::is_held(alias) && !wanted.contains(alias);
        let add = wanted.iter().filter(|alias| !model.version_aliases.contains(alias)).cloned();
        let take = model
            .version_aliases
            .iter()
            .filter(|alias| is_other_hold(alias))
            .map(|alias| format!("-{alias}"));
        let changes: Vec<String> = add.chain(take).collect();
        if changes.is_empty() {
            return Ok(());
        }
        let changed = self.api.merge_aliases(version, &changes).await;
        let what = format!("the aliases of version `{version}` of `{}`", self.api.model);
        settled("Vertex AI", changed, &what, async {
            let now = self.api.version(version).await?.0.version_aliases;
            Ok(wanted.iter().all(|alias| now.contains(alias)) && !now.iter().any(is_other_hold))
        })
        .await
    }

    fn request_to_register(&self) -> Option<Request> {
        None
    }

    fn request_to_promote(&self, version: &VersionName) -> Option<Request> {
        let alias = self.alias.as_deref()?;
        let request = Request::new(self.name(), &self.api.alias_words(alias, version));
        Some(self.api.alias_request(alias, version, request))
    }

    fn production_name(&self) -> Option<&str> {
        self.alias.as_deref()
    }

    async fn promoted(&self) -> Result<Option<VersionName>, PortError> {
        let found = self.api.alias(self.alias()?).await?;
        found.map(|model| self.api.named(&model).map(|(name, _)| name)).transpose()
    }

    async fn promote(&self, version: &VersionName, expecting: Option<&VersionName>) -> Result<(), PortError> {
        let alias = self.alias()?;
        let what = format!("the alias `{alias}` of `{}`", self.api.model);
        let change = async {
            // A version that is not there is told as such, and nothing is sent.
            self.api.version(version).await?;
            self.api.merge_aliases(version, &[alias.to_owned()]).await
        };
        move_name(self, ("Vertex AI", &what), (version, expecting), change).await
    }
}
