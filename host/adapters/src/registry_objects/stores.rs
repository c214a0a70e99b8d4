//! The stores that can be configured, and how each is spoken to.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

#[cfg(any(feature = "aws", feature = "google"))]
use futures_util::FutureExt as _;
use object_store::aws::AmazonS3Builder;
use object_store::{BackoffConfig, RetryConfig};
use reqwest::Url;
use ripcord_core::time::Millis;
use ripcord_ports::PortError;
use serde::Deserialize;

use super::client::Client;
use super::cloud::{Both, Cloud, Forget, Words};
use super::folder::Folder;
use super::store::Store;
use crate::adapter::Start;
use crate::checkpoints::shown;
use crate::file_work::FileWork;
use crate::near::is_in_the_clear;
use crate::restoring::wrong;
use crate::{Secret, Shared, artefact, http};

/// A place of objects.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreConfig {
    /// A bucket of an S3-compatible store.
    S3(S3StoreConfig),
    /// A bucket of Google Cloud Storage.
    Gcs(GcsStoreConfig),
    /// A container of Azure Blob Storage.
    Azure(AzureStoreConfig),
    /// A folder on a disk or a share.
    Folder(FolderStoreConfig),
}

/// A bucket of an S3-compatible store.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct S3StoreConfig {
    /// The bucket.
    pub bucket: String,
    /// What lies before the model's folder, as in `registry`. Default: nothing.
    #[serde(default)]
    pub prefix: String,
    /// The store's address, such as `http://127.0.0.1:9000`. Default: that of AWS in `region`, over TLS.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Default: `us-east-1`.
    #[serde(default = "region_default")]
    pub region: String,
    /// The id of the key whose secret is configured. Default: the key of `profile`, else what this host finds as AWS's own programs do.
    #[serde(default)]
    pub access_key_id: Option<String>,
    /// A profile of the shared files of AWS.
    #[serde(default)]
    pub profile: Option<String>,
}

fn region_default() -> String {
    "us-east-1".to_owned()
}

/// A bucket of Google Cloud Storage.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GcsStoreConfig {
    /// The bucket.
    pub bucket: String,
    /// What lies before the model's folder. Default: nothing.
    #[serde(default)]
    pub prefix: String,
    /// The address of Cloud Storage. Default: `https://storage.googleapis.com`.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// A file of Google credentials. Default: what Google's own tools find on this machine.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
}

/// A container of Azure Blob Storage.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AzureStoreConfig {
    /// The storage account.
    pub account: String,
    /// The container.
    pub container: String,
    /// What lies before the model's folder. Default: nothing.
    #[serde(default)]
    pub prefix: String,
    /// The address of the account's blobs, as for another cloud. Default: `https://ACCOUNT.blob.core.windows.net`.
    #[serde(default)]
    pub endpoint: Option<String>,
}

/// A folder on a disk or a share.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FolderStoreConfig {
    /// The folder that holds the model's.
    pub root: PathBuf,
}

impl StoreConfig {
    pub(super) fn start(&mut self, start: &Start<'_>) {
        match self {
            Self::Folder(folder) => start.path(&mut folder.root),
            Self::Gcs(GcsStoreConfig { credentials_file: Some(file), .. }) => start.path(file),
            Self::S3(_) | Self::Gcs(_) | Self::Azure(_) => {}
        }
    }

    /// As people know it.
    pub(super) fn shown(&self) -> String {
        let at = |scheme: &str, bucket: &str, prefix: &str| {
            format!("{scheme}://{bucket}/{prefix}").trim_end_matches('/').to_owned()
        };
        match self {
            Self::S3(of) => at("s3", &of.bucket, &of.prefix),
            Self::Gcs(of) => at("gs", &of.bucket, &of.prefix),
            Self::Azure(of) => at("az", &format!("{}/{}", of.account, of.container), &of.prefix),
            Self::Folder(of) => of.root.display().to_string(),
        }
    }
}

/// What all stores are made with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) deadline: Millis,
    pub(super) patience: Millis,
}

/// Checks the configuration and finds credentials; the store is not asked.
pub(super) fn store(
    config: StoreConfig,
    secret: Option<Secret>,
    shared: &Shared,
    terms: Terms,
) -> Result<Box<dyn Store>, PortError> {
    let as_shown = config.shown();
    let is_secret = secret.is_some();
    let no_secret = |what: &str| {
        if is_secret {
            return Err(wrong(format!(
                "{what} takes no secret: take `secret-access-key-file` or `-env` out"
            )));
        }
        Ok(())
    };
    match config {
        StoreConfig::Folder(folder) => {
            no_secret("a folder")?;
            if folder.root.as_os_str().is_empty() {
                return Err(wrong("`root` is empty: name the folder that holds the model's"));
            }
            let files = FileWork::new(format!("the registry's folder `{as_shown}`"));
            Ok(Box::new(Folder { root: folder.root, shown: as_shown, files }))
        }
        StoreConfig::S3(config) => {
            check_bucket("bucket", &config.bucket)?;
            let url = config.endpoint.as_deref().map(|text| address(text, InTheClear::Signed)).transpose()?;
            let store_at = format!(
                "{}, {}",
                url.as_ref().map_or("AWS".to_owned(), |url| url.as_str().trim_end_matches('/').to_owned()),
                config.region
            );
            let mut builder = AmazonS3Builder::new()
                .with_bucket_name(&config.bucket)
                .with_region(&config.region)
                .with_http_connector(client(shared, url.as_ref()))
                .with_retry(once(terms));
            if let Some(url) = &url {
                let plain = url.scheme() == "http";
                builder = builder.with_endpoint(url.as_str().trim_end_matches('/')).with_allow_http(plain);
            }
            let prefix = config.prefix.clone();
            let (builder, forget) = signed(builder, config, secret, shared, terms)?;
            let store: Arc<dyn Both> = Arc::new(builder.build().map_err(cannot)?);
            cloud(store, S3, forget, (as_shown, store_at, prefix), terms)
        }
        StoreConfig::Gcs(config) => {
            no_secret("Google Cloud Storage")?;
            check_bucket("bucket", &config.bucket)?;
            gcs(config, as_shown, shared, terms)
        }
        StoreConfig::Azure(config) => {
            check_bucket("container", &config.container)?;
            check_bucket("account", &config.account)?;
            azure(config, secret, as_shown, shared, terms)
        }
    }
}

const S3: Words = Words {
    system: "the S3-compatible store",
    bucket: "bucket",
    credentials: "check the key and its secret, and this machine's time",
    rights: ["s3:ListBucket", "s3:GetObject", "s3:PutObject"],
};

#[cfg(feature = "google")]
const GCS: Words = Words {
    system: "Google Cloud Storage",
    bucket: "bucket",
    credentials: "check the credentials of Google that this host finds",
    rights: [
        "storage.objects.list",
        "storage.objects.get",
        "storage.objects.create` and `storage.objects.delete",
    ],
};

#[cfg(feature = "azure")]
const AZURE: Words = Words {
    system: "Azure Blob Storage",
    bucket: "container",
    credentials: "check the account's key, its SAS or the identity of this host, and this machine's time",
    rights: [
        "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
        "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read",
        "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write",
    ],
};

fn cannot(error: object_store::Error) -> PortError {
    wrong(format!("the store cannot be spoken to so: {}", shown(&error.to_string())))
}

fn cloud(
    store: Arc<dyn Both>,
    words: Words,
    forget: Option<Forget>,
    (as_shown, store_at, prefix): (String, String, String),
    terms: Terms,
) -> Result<Box<dyn Store>, PortError> {
    let prefix = prefix.trim_matches('/').to_owned();
    if !prefix.is_empty() && artefact::check_path(&prefix).is_err() {
        let text = format!("`{}` cannot be a prefix: write it without empty parts and dots", shown(&prefix));
        return Err(wrong(text));
    }
    Ok(Box::new(Cloud {
        store,
        words,
        forget,
        shown: as_shown,
        store_at,
        prefix,
        deadline: Duration::from_millis(terms.deadline.0),
        patience: terms.patience,
        files: FileWork::new("the files of a version"),
    }))
}

/// What may be tried again is for this crate to say.
fn once(terms: Terms) -> RetryConfig {
    let retry_timeout = Duration::from_millis(terms.deadline.0);
    RetryConfig { backoff: BackoffConfig::default(), max_retries: 0, retry_timeout }
}

fn check_bucket(key: &str, name: &str) -> Result<(), PortError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '$');
    if !name.is_empty() && name.len() <= 222 && name.chars().all(plain) && !matches!(name, "." | "..") {
        return Ok(());
    }
    Err(wrong(format!("`{}` cannot be the `{key}`: write its name alone", shown(name))))
}

/// What a call carries.
#[derive(Clone, Copy, PartialEq, Eq)]
enum InTheClear {
    /// A signature, which lets nobody else in.
    Signed,
    /// What lets its holder in.
    Tokens,
}

fn address(text: &str, carried: InTheClear) -> Result<Url, PortError> {
    let url = http::address(text)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("`endpoint` holds a user or a password: take it out, and see the adapter's page"));
    }
    http::is_shown_whole("endpoint", &url)?;
    if carried == InTheClear::Tokens && is_in_the_clear(&url, |_| false) {
        return Err(wrong(format!(
            "`endpoint` is `{}`, and tokens would go there in the clear: write it with `https`",
            http::shown(&url)
        )));
    }
    Ok(url)
}

fn client(shared: &Shared, store: Option<&Url>) -> Client {
    let authority = store.map(|url| url.authority().to_owned()).unwrap_or_default();
    Client { client: shared.http.client(), store: authority.into() }
}

/// Signs with what AWS's own programs would find.
#[cfg(feature = "aws")]
fn signed(
    builder: AmazonS3Builder,
    config: S3StoreConfig,
    secret: Option<Secret>,
    shared: &Shared,
    terms: Terms,
) -> Result<(AmazonS3Builder, Option<Forget>), PortError> {
    use crate::aws::{Credentials, S3Credentials, Way, is_about_credentials};
    let way = Way::of(config.access_key_id, config.profile, secret)?;
    let credentials = Arc::new(Credentials::new(way, &config.region, &shared.http, terms.deadline)?);
    let builder = builder.with_credentials(Arc::new(S3Credentials(Arc::clone(&credentials))));
    let forget: Forget = Arc::new(move |said: &str| {
        let (credentials, is_theirs) = (Arc::clone(&credentials), is_about_credentials(said));
        let forgets = async move {
            if is_theirs {
                credentials.forget().await;
            }
        };
        forgets.boxed()
    });
    Ok((builder, Some(forget)))
}

/// Signs with a key that is configured, one of a profile, or one of the environment.
#[cfg(not(feature = "aws"))]
fn signed(
    builder: AmazonS3Builder,
    config: S3StoreConfig,
    secret: Option<Secret>,
    _: &Shared,
    terms: Terms,
) -> Result<(AmazonS3Builder, Option<Forget>), PortError> {
    use crate::checkpoints_s3::{Credentials, S3CheckpointsConfig};
    let config = S3CheckpointsConfig {
        bucket: config.bucket,
        prefix: String::new(),
        endpoint: None,
        region: config.region,
        access_key_id: config.access_key_id,
        profile: config.profile,
        credentials_file: None,
        unsigned: false,
        run: None,
        files: Vec::new(),
        deadline_ms: terms.deadline.0,
    };
    let credentials = Credentials::of(&config, secret)?;
    Ok((credentials.into_iter().fold(builder, |builder, of| builder.with_credentials(Arc::new(of))), None))
}

#[cfg(not(all(feature = "google", feature = "azure")))]
fn left_out(store: &str, feature: &'static str) -> PortError {
    let left_out = crate::adapter::LeftOut { port: "registry", kind: "objects", feature };
    wrong(format!(
        "`{store}` is not in this program, which was built without the feature `{feature}`: {}",
        left_out.help()
    ))
}

#[cfg(feature = "google")]
fn gcs(
    config: GcsStoreConfig,
    as_shown: String,
    shared: &Shared,
    terms: Terms,
) -> Result<Box<dyn Store>, PortError> {
    use object_store::gcp::GoogleCloudStorageBuilder;

    use crate::google::{BearerTokens, Tokens};
    let endpoint = config.endpoint.as_deref().unwrap_or("https://storage.googleapis.com");
    let url = address(endpoint, InTheClear::Tokens)?;
    let file = config.credentials_file.as_deref();
    let tokens = Tokens::find(&shared.http, terms.deadline, file, reqsign_core::OsEnv)?;
    let tokens = Arc::new(tokens);
    let store = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&config.bucket)
        .with_base_url(url.as_str().trim_end_matches('/'))
        .with_http_connector(client(shared, Some(&url)))
        .with_retry(once(terms))
        .with_credentials(Arc::new(BearerTokens(Arc::clone(&tokens))))
        .build()
        .map_err(cannot)?;
    let forget: Forget = Arc::new(move |said: &str| {
        if said.contains("status 401") {
            tokens.forget();
        }
        async {}.boxed()
    });
    let at = url.as_str().trim_end_matches('/').to_owned();
    cloud(Arc::new(store), GCS, Some(forget), (as_shown, at, config.prefix), terms)
}

#[cfg(not(feature = "google"))]
fn gcs(_: GcsStoreConfig, _: String, _: &Shared, _: Terms) -> Result<Box<dyn Store>, PortError> {
    Err(left_out("gcs", "google"))
}

#[cfg(feature = "azure")]
fn azure(
    config: AzureStoreConfig,
    secret: Option<Secret>,
    as_shown: String,
    shared: &Shared,
    terms: Terms,
) -> Result<Box<dyn Store>, PortError> {
    use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
    let own = format!("https://{}.blob.core.windows.net", config.account);
    let url = address(config.endpoint.as_deref().unwrap_or(&own), InTheClear::Tokens)?;
    let at = url.as_str().trim_end_matches('/').to_owned();
    let mut builder = MicrosoftAzureBuilder::new()
        .with_account(&config.account)
        .with_container_name(&config.container)
        .with_endpoint(at.clone())
        .with_allow_http(url.scheme() == "http")
        .with_http_connector(client(shared, Some(&url)))
        .with_retry(once(terms));
    let is_sas = |text: &str| text.split(['?', '&']).any(|part| part.starts_with("sig="));
    match secret {
        Some(secret) if is_sas(secret.expose()) => {
            let token = secret.expose().trim_start_matches('?');
            builder = builder.with_config(AzureConfigKey::SasKey, token);
        }
        Some(secret) => builder = builder.with_access_key(secret.expose()),
        // As the vendor's own libraries find who they are: a client's secret, a workload's identity, a machine's.
        None => {
            for (name, key) in [
                ("AZURE_TENANT_ID", AzureConfigKey::AuthorityId),
                ("AZURE_CLIENT_ID", AzureConfigKey::ClientId),
                ("AZURE_CLIENT_SECRET", AzureConfigKey::ClientSecret),
                ("AZURE_AUTHORITY_HOST", AzureConfigKey::AuthorityHost),
                ("AZURE_FEDERATED_TOKEN_FILE", AzureConfigKey::FederatedTokenFile),
                ("MSI_ENDPOINT", AzureConfigKey::MsiEndpoint),
            ] {
                if let Some(value) = std::env::var(name).ok().filter(|value| !value.is_empty()) {
                    builder = builder.with_config(key, value);
                }
            }
        }
    }
    let store = builder.build().map_err(cannot)?;
    cloud(Arc::new(store), AZURE, None, (as_shown, at, config.prefix), terms)
}

#[cfg(not(feature = "azure"))]
fn azure(
    _: AzureStoreConfig,
    _: Option<Secret>,
    _: String,
    _: &Shared,
    _: Terms,
) -> Result<Box<dyn Store>, PortError> {
    Err(left_out("azure", "azure"))
}
