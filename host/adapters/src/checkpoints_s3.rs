//! Checkpoints in an S3-compatible store. `checkpoints_s3/README.md` says what to configure; which kinds are read is as in a folder.

mod client;
mod credentials;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::aws::AmazonS3Builder;
use object_store::{BackoffConfig, RetryConfig};
use ripcord_ports::producer::CheckpointList;
use ripcord_ports::{Checkpoints, PortError};
use serde::Deserialize;

use crate::adapter::{Adapter, SecretKey, Start};
use crate::checkpoints::{Reader, S3Place, Served, shown};
use crate::file_work::FileWork;
use crate::restoring::wrong;
use crate::{Secret, Shared, http};
#[cfg(not(feature = "aws"))]
use client::OwnClient;

#[cfg(feature = "aws")]
pub(crate) use client::OwnClient;
pub(crate) use client::Refused;
pub(crate) use credentials::Credentials;

/// For the catalogue.
pub const ADAPTER: Adapter<S3CheckpointsConfig, dyn Checkpoints> = Adapter {
    kind: "s3",
    system: "training runs in an S3-compatible store",
    summary: "a folder for each run, below a prefix of a bucket",
    page: "checkpoints_s3/README.md",
    secret: SecretKey::SecretAccessKey,
    example: "bucket = \"training\"",
    start: |config, start| config.start(start),
    says: |_| (),
    make: |config, with| Ok(Arc::new(S3Checkpoints::new(config, with.secret, with.shared)?)),
};

/// Where the store is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct S3CheckpointsConfig {
    /// The bucket.
    pub bucket: String,
    /// What the keys of all runs begin with, as in `training/fraud`. Default: nothing.
    #[serde(default)]
    pub prefix: String,
    /// The store's address, such as `http://127.0.0.1:9000`. Default: that of AWS in `region`, over TLS.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Default: `us-east-1`.
    #[serde(default = "region_default")]
    pub region: String,
    /// The id of the key whose secret is configured. Default: the key of `profile`, else that of the host's environment.
    #[serde(default)]
    pub access_key_id: Option<String>,
    /// A profile of the credentials file.
    #[serde(default)]
    pub profile: Option<String>,
    /// The file that holds profiles. Default: `AWS_SHARED_CREDENTIALS_FILE`, else `~/.aws/credentials`.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
    /// Whether calls carry no signature at all, for what everybody may read.
    #[serde(default)]
    pub unsigned: bool,
    /// Where `prefix` is itself the folder of one run: its name. Default: it holds runs.
    #[serde(default)]
    pub run: Option<String>,
    /// Which of a checkpoint's files make a version. Default: those that `checkpoint.json` lists, else all.
    #[serde(default)]
    pub files: Vec<String>,
    /// For one call, and for a file to go on, in milliseconds. Default: 10000.
    #[serde(default = "deadline_default")]
    pub deadline_ms: u64,
}

fn region_default() -> String {
    "us-east-1".to_owned()
}

fn deadline_default() -> u64 {
    http::DEADLINE_DEFAULT.0
}

impl S3CheckpointsConfig {
    pub(crate) fn start(&mut self, start: &Start<'_>) {
        if let Some(file) = &mut self.credentials_file {
            start.path(file);
        }
    }
}

/// The checkpoints in a store.
#[derive(Debug)]
pub struct S3Checkpoints(Reader);

impl S3Checkpoints {
    /// Checks the configuration and finds the key; the store is not asked. `secret` is that of `access-key-id`.
    pub fn new(
        config: S3CheckpointsConfig,
        secret: Option<Secret>,
        shared: &Shared,
    ) -> Result<Self, PortError> {
        Ok(Self(reader(config, secret, shared)?))
    }
}

/// What lists them, and what a producer takes them from.
pub(crate) fn reader(
    config: S3CheckpointsConfig,
    secret: Option<Secret>,
    shared: &Shared,
) -> Result<Reader, PortError> {
    if config.bucket.is_empty() || config.bucket.contains(['/', ':']) {
        return Err(wrong(format!("`{}` cannot be a bucket: write its name alone", shown(&config.bucket))));
    }
    if config.deadline_ms == 0 {
        return Err(wrong("`deadline-ms` must be 1 or more"));
    }
    let prefix = config.prefix.trim_matches('/').to_owned();
    if object_store::path::Path::parse(&prefix).is_err() {
        let text = format!("`{}` cannot be a prefix: write it without empty parts and dots", shown(&prefix));
        return Err(wrong(text));
    }
    let deadline = Duration::from_millis(config.deadline_ms);
    let retry = RetryConfig { backoff: BackoffConfig::default(), max_retries: 2, retry_timeout: deadline };
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&config.bucket)
        .with_region(&config.region)
        .with_http_connector(OwnClient(shared.http.client()))
        .with_retry(retry);
    if let Some(endpoint) = &config.endpoint {
        let url = http::address(endpoint)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("`endpoint` holds a user or a password: take it out, and see `access-key-id`"));
        }
        // Only an address that says `http` is spoken to without TLS.
        let plain = url.scheme() == "http";
        builder = builder.with_endpoint(url.as_str().trim_end_matches('/')).with_allow_http(plain);
    }
    builder = match Credentials::of(&config, secret)? {
        Some(credentials) => builder.with_credentials(Arc::new(credentials)),
        None => builder.with_skip_signature(true),
    };
    let store = builder
        .build()
        .map_err(|error| wrong(format!("the store cannot be spoken to so: {}", shown(&error.to_string()))))?;
    let shown = format!("s3://{}/{prefix}", config.bucket).trim_end_matches('/').to_owned();
    let files = FileWork::new("the folder in which checkpoints are staged");
    let at = config.endpoint.as_deref().unwrap_or("AWS");
    let store_at = format!("{}, {}", at.trim_end_matches('/'), config.region);
    let place = S3Place { store, shown, store_at, prefix, deadline, files };
    Ok(Reader { place: Box::new(place), run: config.run, served: Served::new(config.files)? })
}

#[async_trait]
impl Checkpoints for S3Checkpoints {
    fn name(&self) -> &str {
        "checkpoints_s3"
    }

    async fn checkpoints(&self, run: Option<&str>, limit: u32) -> Result<CheckpointList, PortError> {
        self.0.list(run, limit).await
    }
}
