//! One model package group of Amazon SageMaker, with its artefacts in S3.
//!
//! SageMaker keeps no digest of what a version is: what is pinned is ours, over the files that were fetched. A change is made only where it is not there
//! yet, is never sent twice where the first may have arrived, and counts as made when it was read back. `README.md` beside this module says what to
//! configure and what was tried.

pub(crate) mod api;
mod describe;
mod holds;
mod objects;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cap_std::fs::Dir;
use futures_util::{StreamExt, TryStreamExt, stream};
use ripcord_core::fact::Lineage;
use ripcord_core::name::VersionName;
use ripcord_core::request::Request;
use ripcord_core::signal::Label;
use ripcord_core::target::VersionTarget;
use ripcord_core::time::Millis;
use ripcord_ports::registry::{Mark, RegistryVersion, Staged};
use ripcord_ports::{ErrorKind, PortError, Registry};
use serde::Deserialize;

use crate::adapter::{Adapter, SecretKey};
use crate::aws::{self, Credentials, Json, Way};
use crate::file_work::FileWork;
use crate::http::{self, Patience};
use crate::registries::{defaults, move_name};
use crate::restoring::wrong;
use crate::settled::settled;
use crate::{Secret, Shared, artefact};
use api::{Api, Described};
use objects::{Objects, parts};

pub use crate::registry_mlflow::CONDEMNED_TAG;

/// For the catalogue.
pub const ADAPTER: Adapter<SageMakerRegistryConfig, dyn Registry> = Adapter {
    kind: "sagemaker",
    system: "Amazon SageMaker",
    summary: "a model package group of SageMaker's registry, with its artefacts in S3",
    page: "registry_sagemaker/README.md",
    secret: SecretKey::SecretAccessKey,
    example: "region = \"eu-west-1\"",
    start: |_, _| {},
    says: |config| {
        let address = config.endpoint.clone().unwrap_or_else(|| "AWS".to_owned());
        let own = [
            Label::new("registry-address", address),
            Label::new("region", config.region.clone()),
            Label::new("model-package-group", config.model.clone()),
        ];
        let tag = config.production_tag.iter().map(|tag| Label::new("production-tag", tag.clone()));
        own.into_iter().chain(tag).collect()
    },
    make: |config, with| Ok(Arc::new(SageMakerRegistry::new(config, with.secret, with.shared)?)),
};

/// Versions that are described at the same time. SageMaker lets an account ask for few a second.
const AT_ONCE: usize = 4;

/// Where the group is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SageMakerRegistryConfig {
    /// The region, such as `eu-west-1`.
    pub region: String,
    /// The model package group: its name, or its ARN where it is another account's.
    pub model: String,
    /// The tag of the group that says which version is in production, such as `production`. Default: none, and nothing is promoted.
    #[serde(default)]
    pub production_tag: Option<String>,
    /// The id of the key whose secret is configured. Default: the key of `profile`, else what this host finds as AWS's own programs do.
    #[serde(default)]
    pub access_key_id: Option<String>,
    /// A profile of the shared files of AWS that has a key.
    #[serde(default)]
    pub profile: Option<String>,
    /// SageMaker's address, such as that of a VPC endpoint. Default: AWS's own in `region`.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The address of S3. Default: AWS's own in `region`.
    #[serde(default)]
    pub s3_endpoint: Option<String>,
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

/// The versions of one model package group.
#[derive(Debug)]
pub struct SageMakerRegistry {
    api: Api,
    objects: Objects,
    /// Who asks, as far as the configuration tells it: groups of two accounts may have one name.
    asked_as: String,
    production_tag: Option<String>,
    versions_max: u32,
    artefact_bytes_max: u64,
}

impl SageMakerRegistry {
    /// Checks the configuration; AWS is not asked. `secret` is that of `access-key-id`.
    pub fn new(
        config: SageMakerRegistryConfig,
        secret: Option<Secret>,
        shared: &Shared,
    ) -> Result<Self, PortError> {
        aws::check_region(&config.region)?;
        check_group(&config.model)?;
        if let Some(tag) = &config.production_tag {
            check_tag("production-tag", tag)?;
        }
        if config.deadline_ms == 0 {
            return Err(wrong("`deadline-ms` must be 1 or more"));
        }
        let region = config.region;
        let url = aws::endpoint("endpoint", config.endpoint.as_deref(), "api.sagemaker", &region)?;
        let s3_url = aws::endpoint("s3-endpoint", config.s3_endpoint.as_deref(), "s3", &region)?;
        let asked_as = match (&config.access_key_id, &config.profile) {
            (Some(id), _) => format!("the key {id}"),
            (None, Some(profile)) => format!("the profile {profile}"),
            (None, None) => "this host".to_owned(),
        };
        let way = Way::of(config.access_key_id, config.profile, secret)?;
        let deadline = Millis(config.deadline_ms);
        let patience = Patience(Millis(config.patience_ms));
        let credentials = Arc::new(Credentials::new(way, &region, &shared.http, deadline)?);
        let objects = Objects {
            http: shared.http.clone(),
            url: s3_url,
            region: region.clone(),
            credentials: Arc::clone(&credentials),
            deadline: Duration::from_millis(config.deadline_ms),
            patience,
            files: FileWork::new("the staging folder"),
        };
        let json = Json {
            http: shared.http.clone(),
            url,
            region,
            system: "SageMaker",
            service: "sagemaker",
            credentials,
            deadline,
            patience,
        };
        Ok(Self {
            api: Api::new(json, config.model),
            objects,
            asked_as,
            production_tag: config.production_tag,
            versions_max: config.versions_max,
            artefact_bytes_max: config.artefact_bytes_max,
        })
    }

    fn production_tag(&self) -> Result<&str, PortError> {
        self.production_tag.as_deref().ok_or_else(|| {
            PortError::not_applied(
                ErrorKind::Unsupported,
                "SageMaker has no name for the version in production: configure `production-tag`, a tag of the group that says it",
            )
        })
    }

    /// What the group's tag points at, where one is configured.
    async fn pointed_at(&self) -> Result<Option<(&str, String)>, PortError> {
        let Some(tag) = self.production_tag.as_deref() else { return Ok(None) };
        Ok(self.api.tags().await?.remove(tag).map(|version| (tag, version)))
    }

    async fn described(
        &self,
        name: &VersionName,
        pointed: Option<&(&str, String)>,
    ) -> Result<RegistryVersion, PortError> {
        let Described { package, .. } = self.api.describe(name).await?;
        let aliases = pointed.filter(|(_, version)| version == name.as_str());
        let aliases = aliases.map(|(tag, _)| (*tag).to_owned()).into_iter().collect();
        describe::version(&self.objects, name, &package, aliases, &self.api.group).await
    }

    fn what(&self, version: &VersionName) -> String {
        format!("version `{version}` of `{}`", self.api.group)
    }
}

/// Checks what is written as a model package group.
pub(crate) fn check_group(group: &str) -> Result<(), PortError> {
    let name = match group.strip_prefix("arn:") {
        Some(_) => group.split_once(":model-package-group/").map_or("", |(_, name)| name),
        None => group,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !name.is_empty() && name.len() <= 63 && name.chars().all(plain) {
        return Ok(());
    }
    Err(wrong(format!(
        "`{}` cannot be a model package group: write its name, of letters, digits and `-`, or its whole ARN",
        group.escape_debug()
    )))
}

/// Checks the name of a tag, which is the value of the setting `key`.
pub(crate) fn check_tag(key: &str, tag: &str) -> Result<(), PortError> {
    let taken = |c: char| c.is_alphanumeric() || " _.:/=+-@".contains(c);
    let is_awss = tag.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"));
    if !tag.is_empty() && tag.chars().count() <= 128 && tag.chars().all(taken) && !is_awss {
        return Ok(());
    }
    Err(wrong(format!(
        "`{}` cannot be `{key}`: AWS takes letters, digits, spaces and `_.:/=+-@`, and keeps what begins with `aws:` to itself; choose another, such as `production`",
        tag.escape_debug()
    )))
}

#[async_trait]
impl Registry for SageMakerRegistry {
    fn name(&self) -> &str {
        "registry_sagemaker"
    }

    fn kept_at(&self) -> Option<String> {
        let (group, region) = (&self.api.group, &self.api.json.region);
        Some(format!("`{group}` in {region} of {}, as {}", http::compared(self.api.url()), self.asked_as))
    }

    async fn versions(&self, limit: u32) -> Result<Vec<RegistryVersion>, PortError> {
        let limit = limit.min(self.versions_max) as usize;
        let (listed, pointed) = tokio::try_join!(self.api.versions(limit), self.pointed_at())?;
        let pointed = pointed.as_ref();
        let described = stream::iter(listed).map(|name| async move { self.described(&name, pointed).await });
        let mut versions: Vec<RegistryVersion> = described.buffered(AT_ONCE).try_collect().await?;
        // Their numbers tell apart what was made in one moment.
        let number = |version: &RegistryVersion| version.version.version.as_str().parse::<u64>().ok();
        versions.sort_by_key(|version| std::cmp::Reverse((version.created_at, number(version))));
        Ok(versions)
    }

    async fn version(&self, version: &VersionName) -> Result<RegistryVersion, PortError> {
        let pointed = self.pointed_at().await?;
        self.described(version, pointed.as_ref()).await
    }

    async fn lineage(&self, version: &VersionName) -> Result<Lineage, PortError> {
        let Described { package, .. } = self.api.describe(version).await?;
        describe::lineage(&self.api, &package).await
    }

    async fn manifest(&self, version: &VersionName) -> Result<Vec<u8>, PortError> {
        Ok(self.api.describe(version).await?.body)
    }

    async fn fetch(&self, version: &VersionTarget, into: Arc<Dir>) -> Result<Staged, PortError> {
        let what = self.what(&version.version);
        let Described { package, .. } = self.api.describe(&version.version).await?;
        let parts = parts(&package).map_err(|why| {
            let text = format!("{what} cannot be fetched: {why}; choose another version");
            PortError::not_applied(ErrorKind::NotFound, text)
        })?;
        let files = self.objects.fetch(&parts, &into, self.artefact_bytes_max, &what).await?;
        let digest = artefact::pinned(&files, version.digest.as_ref(), &what)?;
        Ok(Staged { dir: into, files, digest })
    }

    async fn mark(&self, version: &VersionName, mark: Mark<'_>) -> Result<(), PortError> {
        let Described { package, .. } = self.api.describe(version).await?;
        let wanted = match mark {
            Mark::Held { incident } => holds::held(&package, incident),
            Mark::Lifted => holds::lifted(&package),
        };
        let Some(wanted) = wanted else { return Ok(()) };
        let changed = self.api.update(&package.model_package_arn, &wanted).await;
        let what = format!("the approval of {}", self.what(version));
        settled("SageMaker", changed, &what, async {
            Ok(holds::is_so(&self.api.describe(version).await?.package, &wanted))
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
        let tag = self.production_tag()?;
        let Some(value) = self.api.tags().await?.remove(tag).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
        let named = is_number.then(|| VersionName::new(value.clone()).ok()).flatten();
        named.map(Some).ok_or_else(|| {
            let text = format!(
                "the tag `{tag}` of `{}` says `{}`, which is no number of a version: correct it, or take it away",
                self.api.group,
                value.escape_debug()
            );
            PortError::not_applied(ErrorKind::BadAnswer, text)
        })
    }

    async fn promote(&self, version: &VersionName, expecting: Option<&VersionName>) -> Result<(), PortError> {
        let tag = self.production_tag()?;
        let what = format!("the tag `{tag}` of `{}`", self.api.group);
        let change = async {
            // A tag takes any text: that there is such a version is not AWS's to check.
            self.api.describe(version).await?;
            self.api.set_tag(tag, version).await
        };
        move_name(self, ("SageMaker", &what), (version, expecting), change).await
    }
}
