//! A model in the model registry of Azure Machine Learning, in a workspace or in a registry that several share, through its REST interface, with its files
//! in Blob Storage.
//!
//! What is sent is held against Microsoft's own client. Which version is in production is a tag of the model, so that it is moved by one write. Digests of
//! Blob Storage are checked and not believed: what is pinned is ours, over the files that were fetched. A change writes back what was read with it, is made
//! only where it is not there yet, is never sent twice where the first may have arrived, is read anew before it is sent again, and counts as made when it was read back. `README.md` beside this
//! module says what to configure and what was tried.

pub(crate) mod api;
mod describe;
mod lineage;
mod place;
pub(crate) mod refusal;
mod storage;
pub(crate) mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use cap_std::fs::Dir;
use futures_util::{StreamExt, TryStreamExt, stream};
use ripcord_core::fact::Lineage;
use ripcord_core::name::VersionName;
use ripcord_core::request::Request;
use ripcord_core::signal::Label;
use ripcord_core::target::VersionTarget;
use ripcord_ports::registry::{Mark, RegistryVersion, Staged};
use ripcord_ports::{ErrorKind, PortError, Registry};
use serde::Deserialize;

use crate::adapter::{Adapter, SecretKey};
use crate::file_work::FileWork;
use crate::http;
use crate::registries::{defaults, move_name};
use crate::registry_directory::HOLD_TAG;
use crate::secret::Secret;
use crate::settled::settled;
use crate::{Shared, artefact};
use api::Api;
use describe::{Entry, Names, Remembered};

pub use crate::azure::{AzureCloud, AzureCredentials};
pub use crate::registry_mlflow::CONDEMNED_TAG;

/// For the catalogue.
pub const ADAPTER: Adapter<AzureMlRegistryConfig, dyn Registry> = Adapter {
    kind: "azureml",
    system: "Azure Machine Learning",
    summary: "a model in an Azure ML workspace or registry, its files in Blob Storage",
    page: "registry_azureml/README.md",
    secret: SecretKey::ClientSecret,
    example: "subscription = \"00000000-0000-0000-0000-000000000000\", resource-group = \"acme-ml\"",
    start: |_, _| {},
    says: |config| {
        let manager = config.resource_manager.clone().unwrap_or_else(|| config.cloud.manager().to_owned());
        let home = config.workspace.as_ref().map(|name| format!("workspaces/{name}"));
        let home = home.or_else(|| config.registry.as_ref().map(|name| format!("registries/{name}")));
        let model = format!(
            "subscriptions/{}/resourceGroups/{}/{}/models/{}",
            config.subscription,
            config.resource_group,
            home.unwrap_or_default(),
            config.model
        );
        let tag = config.production_tag.iter().map(|tag| Label::new("production-tag", tag.clone()));
        let said = [Label::new("registry-address", manager), Label::new("model", model)];
        said.into_iter().chain(tag).collect()
    },
    make: |config, with| Ok(Arc::new(AzureMlRegistry::new(config, with.secret, with.shared)?)),
};

/// Versions that are described at the same time.
const AT_ONCE: usize = 8;
/// The longest name of a tag.
const TAG_CHARS_MAX: usize = 256;

/// Where the model is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AzureMlRegistryConfig {
    /// The subscription's id.
    pub subscription: String,
    /// The resource group that the workspace or registry is in.
    pub resource_group: String,
    /// The workspace that the model is in; else `registry`.
    #[serde(default)]
    pub workspace: Option<String>,
    /// The registry that the model is in, where several workspaces share it; else `workspace`.
    #[serde(default)]
    pub registry: Option<String>,
    /// The model's name.
    pub model: String,
    /// The tag of the model that says which version is in production, such as `production`. Default: none, and nothing is promoted.
    #[serde(default)]
    pub production_tag: Option<String>,
    /// Whose credentials are used. Default: the first that are found, see the page.
    #[serde(default)]
    pub credentials: Option<AzureCredentials>,
    /// The tenant of the application whose secret or token is used. Default: `AZURE_TENANT_ID`.
    #[serde(default)]
    pub tenant_id: Option<String>,
    /// The application, or the managed identity where the machine has several. Default: `AZURE_CLIENT_ID`.
    #[serde(default)]
    pub client_id: Option<String>,
    /// Which of Azure's clouds: `public`, `china` or `us-government`. Default: `public`.
    #[serde(default)]
    pub cloud: AzureCloud,
    /// Where tokens are had. Default: `AZURE_AUTHORITY_HOST`, else that of the cloud.
    #[serde(default)]
    pub authority: Option<String>,
    /// The address of Azure Resource Manager. Default: that of the cloud.
    #[serde(default)]
    pub resource_manager: Option<String>,
    /// The address of Blob Storage, with `{account}` where the account stands. Default: `https://{account}.blob.core.windows.net`, or that of the cloud.
    #[serde(default)]
    pub storage_endpoint: Option<String>,
    /// The version of Azure ML's interface. Default: `2025-12-01`.
    #[serde(default = "api_version_default")]
    pub api_version: String,
    /// For one call, and for a download to go on, in milliseconds. Default: 10000.
    #[serde(default = "defaults::deadline_ms")]
    pub deadline_ms: u64,
    /// How long a call that failed is tried again, and a change is waited for, in milliseconds. Default: 20000.
    #[serde(default = "defaults::patience_ms")]
    pub patience_ms: u64,
    /// How many versions are described at most, the newest. Default: 100.
    #[serde(default = "defaults::versions_max")]
    pub versions_max: u32,
    /// The largest artefact, in bytes. Default: 68719476736, which is 64 GiB.
    #[serde(default = "defaults::artefact_bytes_max")]
    pub artefact_bytes_max: u64,
}

fn api_version_default() -> String {
    "2025-12-01".to_owned()
}

/// The versions of one model.
pub struct AzureMlRegistry {
    api: Api,
    production_tag: Option<String>,
    versions_max: u32,
    artefact_bytes_max: u64,
    remembered: Remembered,
    files: FileWork,
}

impl std::fmt::Debug for AzureMlRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AzureMlRegistry").field("api", &self.api).finish_non_exhaustive()
    }
}

impl AzureMlRegistry {
    /// Checks the configuration and finds the credentials; Azure is not asked. `secret` is that of the application that is configured, if one is.
    pub fn new(
        config: AzureMlRegistryConfig,
        secret: Option<Secret>,
        shared: &Shared,
    ) -> Result<Self, PortError> {
        if let Some(tag) = config.production_tag.as_deref()
            && (tag.is_empty()
                || tag.chars().count() > TAG_CHARS_MAX
                || tag.chars().any(char::is_control)
                || matches!(tag, HOLD_TAG | CONDEMNED_TAG))
        {
            let text = format!(
                "`{}` cannot be `production-tag`: write the name of a tag of the model, such as `production`; Ripcord keeps `{HOLD_TAG}` and `{CONDEMNED_TAG}`",
                tag.escape_debug()
            );
            return Err(PortError::not_applied(ErrorKind::Configuration, text));
        }
        let (production_tag, versions_max) = (config.production_tag.clone(), config.versions_max);
        let artefact_bytes_max = config.artefact_bytes_max;
        Ok(Self {
            api: Api::new(config, secret, shared, |name| std::env::var(name).ok())?,
            production_tag,
            versions_max,
            artefact_bytes_max,
            remembered: Remembered::default(),
            files: FileWork::new("the staging folder"),
        })
    }

    fn tag(&self) -> Result<&str, PortError> {
        self.production_tag.as_deref().ok_or_else(|| {
            PortError::not_applied(
                ErrorKind::Unsupported,
                "Azure ML has no name for the version in production: configure `production-tag`, a tag of the model that says it, such as `production`",
            )
        })
    }

    async fn names(&self) -> Result<Names, PortError> {
        Ok(Names::of(&self.api.container().await?.read, self.production_tag.as_deref()))
    }

    fn what(&self, version: &VersionName) -> String {
        format!("version `{version}` of `{}`", self.api.what())
    }
}

#[async_trait]
impl Registry for AzureMlRegistry {
    fn name(&self) -> &str {
        "registry_azureml"
    }

    fn kept_at(&self) -> Option<String> {
        Some(format!("`{}/models/{}` of {}", self.api.scope(), self.api.model, http::compared(&self.api.url)))
    }

    async fn versions(&self, limit: u32) -> Result<Vec<RegistryVersion>, PortError> {
        let limit = limit.min(self.versions_max) as usize;
        let (listed, names) = tokio::try_join!(self.api.versions(), self.names())?;
        let all = listed.len();
        let mut found: Vec<Entry> = listed.iter().filter_map(describe::entry).collect();
        if found.len() < all {
            let left_out = all - found.len();
            tracing::warn!(model = %self.api.what(), left_out, "Azure ML lists versions without a name that can be read; they are left out");
        }
        let mut seen: Vec<VersionName> = found.iter().map(|entry| entry.name.clone()).collect();
        seen.sort();
        if let Some(pair) = seen.windows(2).find(|pair| pair[0] == pair[1]) {
            let text = format!(
                "Azure ML lists version `{}` of `{}` twice: its list is not used",
                pair[0],
                self.api.what()
            );
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
        }
        // Their numbers tell apart what was made in one moment.
        let number = |entry: &Entry| entry.name.as_str().parse::<u64>().ok();
        found.sort_by_key(|entry| std::cmp::Reverse((entry.created_at, number(entry), entry.name.clone())));
        found.truncate(limit);
        let described =
            stream::iter(found).map(|entry| describe::version(&self.api, &self.remembered, &names, entry));
        described.buffered(AT_ONCE).try_collect().await
    }

    async fn version(&self, version: &VersionName) -> Result<RegistryVersion, PortError> {
        let read = self.api.version(version).await?.read;
        let names = self.names().await?;
        describe::version(&self.api, &self.remembered, &names, Entry::of(version, read)).await
    }

    async fn lineage(&self, version: &VersionName) -> Result<Lineage, PortError> {
        lineage::of(&self.api, &self.api.version(version).await?.read).await
    }

    async fn manifest(&self, version: &VersionName) -> Result<Vec<u8>, PortError> {
        Ok(self.api.version(version).await?.body)
    }

    async fn fetch(&self, version: &VersionTarget, into: Arc<Dir>) -> Result<Staged, PortError> {
        let what = self.what(&version.version);
        let read = self.api.version(&version.version).await?.read;
        let none = |why| {
            let text = format!("{what} {why}; choose another version");
            PortError::not_applied(ErrorKind::NotFound, text)
        };
        let way = storage::way(&self.api, &read).await?.map_err(none)?;
        let listed = storage::list(&self.api, &way, &what).await?.map_err(none)?;
        let into_folder = (&into, &self.files);
        let files =
            storage::fetch(&self.api, &way, listed, into_folder, self.artefact_bytes_max, &what).await?;
        let digest = artefact::pinned(&files, version.digest.as_ref(), &what)?;
        Ok(Staged { dir: into, files, digest })
    }

    async fn mark(&self, version: &VersionName, mark: Mark<'_>) -> Result<(), PortError> {
        let wanted = match mark {
            Mark::Held { incident } => vec![(HOLD_TAG, Some(incident)), (CONDEMNED_TAG, Some(incident))],
            Mark::Lifted => vec![(HOLD_TAG, None)],
        };
        let is_so = |tags: &wire::Dictionary| {
            wanted.iter().all(|(name, value)| tags.get(*name).map(Option::as_deref) == value.map(Some))
        };
        // Each time with what stands there then: a call that was refused may have met somebody else's change.
        let changed = http::patiently(self.api.patience, || async {
            let read = self.api.version(version).await?;
            if is_so(&read.read.properties.tags) {
                return Ok(());
            }
            self.api.tag_version(version, &read, &wanted).await
        })
        .await;
        let what = format!("the tags of {}", self.what(version));
        settled("Azure ML", changed, &what, async {
            Ok(is_so(&self.api.version(version).await?.read.properties.tags))
        })
        .await
    }

    fn request_to_register(&self) -> Option<Request> {
        None
    }

    fn request_to_promote(&self, version: &VersionName) -> Option<Request> {
        let tag = self.production_tag.as_deref()?;
        let request = Request::new(self.name(), &self.api.tag_words(tag, version));
        Some(self.api.tag_request(tag, version, request))
    }

    fn production_name(&self) -> Option<&str> {
        self.production_tag.as_deref()
    }

    async fn promoted(&self) -> Result<Option<VersionName>, PortError> {
        let tag = self.tag()?;
        let tags = self.api.container().await?.read.properties.tags;
        let Some(value) = tags.get(tag).cloned().flatten().filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let named = Some(&value).filter(|value| api::is_name(value));
        named.and_then(|value| VersionName::new(value.clone()).ok()).map(Some).ok_or_else(|| {
            let text = format!(
                "the tag `{tag}` of `{}` says {}, which is no name of a version: correct it, or take it away",
                self.api.what(),
                http::excerpt(value.as_bytes())
            );
            PortError::not_applied(ErrorKind::BadAnswer, text)
        })
    }

    async fn promote(&self, version: &VersionName, expecting: Option<&VersionName>) -> Result<(), PortError> {
        let tag = self.tag()?;
        let what = format!("the tag `{tag}` of `{}`", self.api.what());
        // Each time with what stands there then: a call that was refused may have met somebody else's change.
        let change = http::patiently(self.api.patience, || async {
            // A tag takes any text: that there is such a version is not Azure's to check.
            self.api.version(version).await?;
            let read = self.api.container().await?;
            self.still(&read.read, tag, expecting, &what)?;
            self.api.tag_container(&read, &[(tag, Some(version.as_str()))]).await
        });
        move_name(self, ("Azure ML", &what), (version, expecting), change).await
    }
}

impl AzureMlRegistry {
    /// Refuses to write over what somebody else has written since it was looked at: what is written is the whole of what was read here.
    fn still(
        &self,
        container: &wire::Container,
        tag: &str,
        expecting: Option<&VersionName>,
        what: &str,
    ) -> Result<(), PortError> {
        let now = container.properties.tags.get(tag).and_then(Option::as_deref).filter(|now| !now.is_empty());
        if now == expecting.map(VersionName::as_str) {
            return Ok(());
        }
        let text = format!("{what} was moved by someone else at this moment, and it was left there");
        Err(PortError::not_applied(ErrorKind::Conflict, text))
    }
}
