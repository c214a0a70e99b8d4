//! A collection of artifacts in Weights & Biases, a model's own or one of the registry, through its GraphQL interface.
//!
//! No schema of that interface is public: what is sent are operations of W&B's own client, with fewer fields. W&B's digests are checked and not believed:
//! what is pinned is ours, over the files that were fetched. A change is made only where it is not there yet, is never sent twice where the first may
//! have arrived, and counts as made when it was read back. `README.md` beside this module says what to configure and what was tried.

mod api;
mod artefacts;
mod describe;
mod holds;
mod manifest;
mod operations;
mod pages;
mod refusal;
mod wire;

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
use crate::settled::settled;
use crate::{Secret, Shared, artefact};
use api::{Api, Collection, Place};
use describe::{Found, Remembered};
use wire::Artifact;

pub use crate::registry_mlflow::CONDEMNED_TAG;

/// Where W&B's own cloud answers.
pub const URL_DEFAULT: &str = "https://api.wandb.ai";

/// For the catalogue.
pub const ADAPTER: Adapter<WandbRegistryConfig, dyn Registry> = Adapter {
    kind: "wandb",
    system: "Weights & Biases",
    summary: "a collection of model artifacts in Weights & Biases, or in its registry",
    page: "registry_wandb/README.md",
    secret: SecretKey::ApiKey,
    example: "entity = \"acme\", project = \"fraud\"",
    start: |_, _| {},
    says: |config| {
        let address = Label::new("registry-address", config.url.clone());
        let collection = format!("{}/{}/{}", config.entity, config.project, config.model);
        let alias = config.alias.iter().map(|alias| Label::new("alias", alias.clone()));
        [address, Label::new("collection", collection)].into_iter().chain(alias).collect()
    },
    make: |config, with| Ok(Arc::new(WandbRegistry::new(config, with.secret, with.shared)?)),
};

/// Versions that are described at the same time.
const AT_ONCE: usize = 8;

/// Where the collection is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct WandbRegistryConfig {
    /// The server's address. Default: `https://api.wandb.ai`, W&B's own cloud.
    #[serde(default = "url_default")]
    pub url: String,
    /// The team or person that the project belongs to; for a registry, the organisation's entity.
    pub entity: String,
    /// The project, or the registry as W&B names its project: `wandb-registry-NAME`.
    pub project: String,
    /// The collection's name, without a version.
    pub model: String,
    /// The type of its artifacts. Default: `model`.
    #[serde(default = "type_default", rename = "type")]
    pub artifact_type: String,
    /// The alias that says which version is in production, such as `production`. Default: none, and nothing is promoted.
    #[serde(default)]
    pub alias: Option<String>,
    /// Hosts, besides that of `url`, that files may be fetched from. Default: `storage.googleapis.com`, where W&B's own cloud keeps them.
    #[serde(default = "files_from_default")]
    pub files_from: Vec<String>,
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

fn url_default() -> String {
    URL_DEFAULT.to_owned()
}

fn type_default() -> String {
    "model".to_owned()
}

fn files_from_default() -> Vec<String> {
    vec!["storage.googleapis.com".to_owned()]
}

/// The versions of one collection.
pub struct WandbRegistry {
    api: Api,
    alias: Option<String>,
    versions_max: u32,
    artefact_bytes_max: u64,
    remembered: Remembered,
    files: FileWork,
}

impl std::fmt::Debug for WandbRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WandbRegistry").field("api", &self.api).finish_non_exhaustive()
    }
}

impl WandbRegistry {
    /// Checks the configuration; W&B is not asked. `secret` is the API key.
    pub fn new(
        config: WandbRegistryConfig,
        secret: Option<Secret>,
        shared: &Shared,
    ) -> Result<Self, PortError> {
        if let Some(alias) = config.alias.as_deref() {
            let kept = alias.eq_ignore_ascii_case("latest") || api::number(alias).is_some();
            if kept || alias.is_empty() || alias.len() > 128 || alias.contains(['/', ':']) {
                let text = format!(
                    "`{}` cannot be `alias`: W&B moves `latest` and the numbers of versions itself, and takes no `/` and `:`; choose another, such as `production`",
                    alias.escape_debug()
                );
                return Err(PortError::not_applied(ErrorKind::Configuration, text));
            }
        }
        let at = Collection {
            entity: config.entity,
            project: config.project,
            name: config.model,
            kind: config.artifact_type,
        };
        let place = Place {
            url: config.url,
            files_from: config.files_from,
            deadline_ms: config.deadline_ms,
            patience_ms: config.patience_ms,
        };
        Ok(Self {
            api: Api::new(place, at, secret, shared)?,
            alias: config.alias,
            versions_max: config.versions_max,
            artefact_bytes_max: config.artefact_bytes_max,
            remembered: Remembered::default(),
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

    /// The artifact that a version is.
    async fn artifact(&self, version: &VersionName) -> Result<Artifact, PortError> {
        let (member, _) = self.api.version(version).await?;
        member.artifact.ok_or_else(|| {
            let text = format!(
                "W&B does not show the artifact of version `{version}` of `{}`: it was deleted, or lies in a project that the account of the API key may not see",
                self.api.at
            );
            PortError::not_applied(ErrorKind::Denied, text)
        })
    }
}

#[async_trait]
impl Registry for WandbRegistry {
    fn name(&self) -> &str {
        "registry_wandb"
    }

    fn kept_at(&self) -> Option<String> {
        Some(format!("`{}` of {}", self.api.at, http::compared(&self.api.url)))
    }

    async fn versions(&self, limit: u32) -> Result<Vec<RegistryVersion>, PortError> {
        let limit = limit.min(self.versions_max) as usize;
        let listed = self.api.versions().await?;
        let mut found = Vec::with_capacity(listed.edges.len());
        for edge in listed.edges {
            let index = api::number(&edge.version);
            let name = VersionName::new(edge.version).ok().zip(index).ok_or_else(|| {
                let text = format!("W&B lists a version of `{}` without a number", self.api.at);
                PortError::not_applied(ErrorKind::BadAnswer, text)
            })?;
            found.push((name.1, name.0, edge.node));
        }
        // Their numbers are the order in which they came into the collection.
        found.sort_by_key(|(index, ..)| std::cmp::Reverse(*index));
        if let Some(pair) = found.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let text =
                format!("W&B lists version `{}` of `{}` twice: its list is not used", pair[0].1, self.api.at);
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
        }
        found.truncate(limit);
        let described = stream::iter(found).map(|(_, name, artifact)| async {
            let found = if listed.linked {
                // When it was linked stands in no list.
                Found::of_member(name.clone(), self.api.version(&name).await?.0)
            } else {
                Found::of_list(name, artifact, &self.api.at)
            };
            describe::version(&self.api, &self.remembered, found).await
        });
        let mut versions: Vec<RegistryVersion> = described.buffered(AT_ONCE).try_collect().await?;
        // What is not shown has no time of its own, and stays in its place.
        let mut before =
            versions.iter().map(|version| version.created_at).find(|at| at.0 != 0).unwrap_or_default();
        for version in &mut versions {
            if version.created_at.0 == 0 {
                version.created_at = before;
            }
            before = version.created_at;
        }
        versions.sort_by_key(|version| std::cmp::Reverse(version.created_at));
        Ok(versions)
    }

    async fn version(&self, version: &VersionName) -> Result<RegistryVersion, PortError> {
        let (member, _) = self.api.version(version).await?;
        describe::version(&self.api, &self.remembered, Found::of_member(version.clone(), member)).await
    }

    async fn lineage(&self, version: &VersionName) -> Result<Lineage, PortError> {
        let artifact = self.artifact(version).await?;
        describe::lineage(&self.api, &artifact).await
    }

    async fn manifest(&self, version: &VersionName) -> Result<Vec<u8>, PortError> {
        Ok(self.api.version(version).await?.1.body)
    }

    async fn fetch(&self, version: &VersionTarget, into: Arc<Dir>) -> Result<Staged, PortError> {
        let what = format!("version `{}` of `{}`", version.version, self.api.at);
        let artifact = self.artifact(&version.version).await?;
        let listed = artefacts::list(&self.api, &artifact.id, &what).await?.map_err(|why| {
            PortError::not_applied(ErrorKind::NotFound, format!("{what} {why}; choose another version"))
        })?;
        let into_folder = (&into, &self.files);
        let files = artefacts::fetch(
            &self.api,
            &version.version,
            listed,
            into_folder,
            self.artefact_bytes_max,
            &what,
        )
        .await?;
        let digest = artefact::pinned(&files, version.digest.as_ref(), &what)?;
        Ok(Staged { dir: into, files, digest })
    }

    async fn mark(&self, version: &VersionName, mark: Mark<'_>) -> Result<(), PortError> {
        let artifact = self.artifact(version).await?;
        let now: Vec<&str> = artifact.tags.iter().map(|tag| tag.name.as_str()).collect();
        let wanted: Vec<String> = match mark {
            Mark::Held { incident } => holds::of(incident).into(),
            Mark::Lifted => Vec::new(),
        };
        let is_other_hold = |tag: &str| holds::is_held(tag) && !wanted.iter().any(|wanted| wanted == tag);
        let add: Vec<String> = wanted.iter().filter(|tag| !now.contains(&tag.as_str())).cloned().collect();
        let take: Vec<String> =
            now.iter().filter(|tag| is_other_hold(tag)).map(|tag| (*tag).to_owned()).collect();
        if add.is_empty() && take.is_empty() {
            return Ok(());
        }
        let changed = self.api.set_tags(&artifact.id, &add, &take).await;
        let what = format!("the tags of version `{version}` of `{}`", self.api.at);
        settled("W&B", changed, &what, async {
            let tags = self.artifact(version).await?.tags;
            let has = |wanted: &String| tags.iter().any(|tag| tag.name == *wanted);
            Ok(wanted.iter().all(has) && !tags.iter().any(|tag| is_other_hold(&tag.name)))
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
        let Some(index) = self.api.alias(self.alias()?).await? else { return Ok(None) };
        VersionName::new(format!("v{index}")).map(Some).map_err(|error| {
            PortError::not_applied(ErrorKind::BadAnswer, format!("W&B's alias points at no version: {error}"))
        })
    }

    async fn promote(&self, version: &VersionName, expecting: Option<&VersionName>) -> Result<(), PortError> {
        let alias = self.alias()?;
        let what = format!("the alias `{alias}` of `{}`", self.api.at);
        let change = async {
            let artifact = self.artifact(version).await?;
            self.api.set_alias(alias, &artifact.id).await
        };
        move_name(self, ("W&B", &what), (version, expecting), change).await
    }
}
