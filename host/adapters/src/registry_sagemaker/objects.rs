//! Artefacts in S3: found by what a version says of its model data, and streamed to disk. One answer is of the content that was found, or none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cap_std::fs::Dir;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{BackoffConfig, Error, GetOptions, ObjectStore, ObjectStoreExt as _, RetryConfig};
use reqwest::Url;
use ripcord_core::target::ArtefactFile;
use ripcord_ports::{ErrorKind, PortError, Retry, waiting};

use super::wire::{Container, Package, S3Source, text};
use crate::artefact;
use crate::aws::{Credentials, S3Credentials, advice_on_credentials, is_about_credentials};
use crate::checkpoints::shown;
use crate::checkpoints_s3::{OwnClient, Refused};
use crate::download::{self, Pieces, Place, check_announced, side_by_side};
use crate::file_work::FileWork;
use crate::http::{self, Http, Patience};
use crate::restoring::wrong;

/// Places in which one version has model data: each is looked at in every list.
const PARTS_MAX: usize = 200;
/// Pages of one list, of a thousand keys each.
const PAGES_MAX: usize = 1_000;
const SYSTEM: &str = "S3";
const SCHEME: &str = "s3://";

/// What a version says of one part of its model data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// As SageMaker has it.
    pub(super) uri: String,
    bucket: String,
    /// Without a slash at its end.
    key: String,
    reach: Reach,
    /// What SageMaker saw of the object when the version was registered.
    etag: Option<String>,
    /// Where its files go in the artefact.
    below: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// One object.
    Object,
    /// All whose keys begin so.
    Folder,
}

impl Part {
    fn of(uri: String, reach: Option<Reach>, etag: Option<String>, below: String) -> Result<Self, String> {
        let refused = |why: &str| format!("its model data is at `{}`, {why}", uri.escape_debug());
        let rest = uri.strip_prefix(SCHEME).ok_or_else(|| {
            refused("which is no address that begins with `s3://`: it is not fetched from elsewhere")
        })?;
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let reach =
            reach.unwrap_or(if key.is_empty() || key.ends_with('/') { Reach::Folder } else { Reach::Object });
        let key = key.trim_end_matches('/');
        if bucket.is_empty() || key.is_empty() {
            return Err(refused("where no bucket or no key is named: a whole bucket is no artefact"));
        }
        if !bucket.chars().all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)) {
            return Err(refused(
                "whose bucket is no name of one: copy it to a bucket of AWS and register that",
            ));
        }
        if Path::parse(key).is_err() {
            return Err(refused(
                "a key with empty parts, parts of dots or control characters: copy it to another and register that",
            ));
        }
        Ok(Self { bucket: bucket.to_owned(), key: key.to_owned(), uri: uri.clone(), reach, etag, below })
    }
}

/// All parts of a version's model data; the error is a sentence about the version.
pub(super) fn parts(package: &Package) -> Result<Vec<Part>, String> {
    let containers = package.inference_specification.as_ref().and_then(|of| of.containers.as_deref());
    let containers = containers.unwrap_or_default();
    let mut parts = Vec::new();
    for (number, container) in containers.iter().enumerate() {
        // One container's files lie as they are; several would lie upon each other.
        let below = match containers.len() {
            1 => String::new(),
            _ => format!(
                "{}/",
                text(container.container_hostname.as_ref()).unwrap_or_else(|| format!("{}", number + 1))
            ),
        };
        parts.extend(of_container(container, &below)?);
    }
    if parts.len() > PARTS_MAX {
        return Err(format!("it names model data in {} places, more than {PARTS_MAX}", parts.len()));
    }
    if parts.is_empty() {
        return Err("it names no model data: its model lies in its image, or nowhere".to_owned());
    }
    Ok(parts)
}

fn of_container(container: &Container, below: &str) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let source = container.model_data_source.as_ref().and_then(|source| source.s3.as_ref());
    if let Some(part) = source.map(|source| of_source(source, below.to_owned())).transpose()?.flatten() {
        parts.push(part);
    } else if let Some(uri) = text(container.model_data_url.as_ref()) {
        let etag = text(container.model_data_etag.as_ref());
        parts.push(Part::of(uri, None, etag, below.to_owned())?);
    }
    let additional = container.additional.iter().map(|source| (source, format!("{below}additional/")));
    let channels = container.channels.iter().flatten().filter_map(|of| {
        let channel = of.channel.as_deref().unwrap_or_default();
        Some((of.s3.as_ref()?, format!("{below}additional/{channel}/")))
    });
    for (source, below) in additional.chain(channels) {
        parts.extend(of_source(source, below)?);
    }
    Ok(parts)
}

fn of_source(source: &S3Source, below: String) -> Result<Option<Part>, String> {
    let Some(uri) = text(source.uri.as_ref()) else { return Ok(None) };
    if text(source.manifest.as_ref()).is_some() {
        return Err(format!(
            "its model data at `{}` are listed by a manifest, which is not read",
            uri.escape_debug()
        ));
    }
    let reach = match source.kind.as_deref() {
        Some("S3Object") => Some(Reach::Object),
        Some("S3Prefix") => Some(Reach::Folder),
        _ => None,
    };
    Part::of(uri, reach, text(source.etag.as_ref()), below).map(Some)
}

/// A file that was found.
#[derive(Debug)]
struct Found {
    bucket: String,
    key: Path,
    /// In the artefact.
    path: String,
    bytes: u64,
    etag: String,
}

/// S3 in one region.
#[derive(Debug)]
pub(super) struct Objects {
    pub(super) http: Http,
    pub(super) url: Url,
    pub(super) region: String,
    pub(super) credentials: Arc<Credentials>,
    pub(super) deadline: Duration,
    pub(super) patience: Patience,
    pub(super) files: FileWork,
}

impl Objects {
    fn store(&self, bucket: &str) -> Result<AmazonS3, PortError> {
        let retry =
            RetryConfig { backoff: BackoffConfig::default(), max_retries: 2, retry_timeout: self.deadline };
        AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(&self.region)
            .with_endpoint(self.url.as_str().trim_end_matches('/'))
            // Only an address that says `http` is spoken to without TLS.
            .with_allow_http(self.url.scheme() == "http")
            .with_http_connector(OwnClient(self.http.client()))
            .with_credentials(Arc::new(S3Credentials(Arc::clone(&self.credentials))))
            .with_retry(retry)
            .build()
            .map_err(|error| wrong(format!("S3 cannot be spoken to so: {}", shown(&error.to_string()))))
    }

    /// Ends what does not end by itself.
    async fn within<T>(
        &self,
        doing: &str,
        call: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, PortError> {
        let answer = within(self.deadline, doing, call).await;
        // What may not be seen says nothing of the key: SageMaker was asked with it a moment before.
        let is_of_the_key = |error: &PortError| {
            let said = error.to_string();
            error.kind == ErrorKind::Denied && (is_about_credentials(&said) || said.contains(NO_REASON))
        };
        if answer.as_ref().is_err_and(is_of_the_key) {
            self.credentials.forget().await;
        }
        answer
    }

    /// Whether there is something at each part.
    pub(super) async fn are_there(&self, parts: &[Part], what: &str) -> Result<(), PortError> {
        for part in parts {
            http::patiently(self.patience, || async {
                match part.reach {
                    Reach::Object => self.head(part, what).await.map(|_| ()),
                    Reach::Folder => self.list(part, what, Some(1)).await.map(|_| ()),
                }
            })
            .await?;
        }
        Ok(())
    }

    async fn find(&self, part: &Part, what: &str) -> Result<Vec<Found>, PortError> {
        http::patiently(self.patience, || async {
            match part.reach {
                Reach::Object => Ok(vec![self.head(part, what).await?]),
                Reach::Folder => self.list(part, what, None).await,
            }
        })
        .await
    }

    async fn head(&self, part: &Part, what: &str) -> Result<Found, PortError> {
        // Why there are none is told in their own words.
        self.credentials.get().await?;
        let doing = format!("look at `{}` of {what}", part.uri.escape_debug());
        let key = key(&part.key, &doing)?;
        let meta = self.within(&doing, self.store(&part.bucket)?.head(&key)).await?;
        let etag = meta.e_tag.ok_or_else(|| without_etag(&doing))?;
        if let Some(registered) = part.etag.as_deref().filter(|registered| bare(registered) != bare(&etag)) {
            let text = format!(
                "`{}` of {what} was replaced since it was registered: its ETag was {} and is {}; choose another version, or restore the object's earlier version in S3",
                part.uri.escape_debug(),
                registered.escape_debug(),
                etag.escape_debug()
            );
            return Err(PortError::not_applied(ErrorKind::WrongDigest, text));
        }
        let name = part.key.rsplit('/').next().unwrap_or(&part.key);
        let path = format!("{}{name}", part.below);
        artefact::check_path(&path).map_err(|why| unfit(&doing, &why))?;
        Ok(Found { bucket: part.bucket.clone(), key, path, bytes: meta.size, etag })
    }

    /// Files below a prefix; one page is enough to know that there are some.
    async fn list(&self, part: &Part, what: &str, pages: Option<usize>) -> Result<Vec<Found>, PortError> {
        self.credentials.get().await?;
        let doing = format!("list `{}` of {what}", part.uri.escape_debug());
        let store = self.store(&part.bucket)?;
        let prefix = format!("{}/", part.key);
        let mut found = Vec::new();
        let mut token = None;
        for page in 0.. {
            if page == pages.unwrap_or(PAGES_MAX) {
                break;
            }
            let options =
                PaginatedListOptions { page_token: token.take(), ..PaginatedListOptions::default() };
            let listed = self.within(&doing, store.list_paginated(Some(&prefix), options)).await?;
            for object in listed.result.objects {
                let name = object.location.as_ref().strip_prefix(&prefix).unwrap_or_default().to_owned();
                if name.is_empty() {
                    continue;
                }
                let path = format!("{}{name}", part.below);
                artefact::check_path(&path).map_err(|why| unfit(&doing, &why))?;
                let etag = object.e_tag.ok_or_else(|| without_etag(&doing))?;
                let bucket = part.bucket.clone();
                found.push(Found { bucket, key: object.location, path, bytes: object.size, etag });
            }
            token = listed.page_token;
            if found.len() > artefact::FILES_MAX || (token.is_some() && page + 1 == PAGES_MAX) {
                let text = format!(
                    "cannot {doing}: there are more than {} files below it; a version's model data is a folder of its own",
                    artefact::FILES_MAX
                );
                return Err(PortError::not_applied(ErrorKind::TooLarge, text));
            }
            if token.is_none() {
                break;
            }
        }
        // What a console leaves to show a folder lies beside what is in it.
        let folders: BTreeSet<String> = found
            .iter()
            .flat_map(|file| file.path.match_indices('/').map(|(at, _)| file.path[..at].to_owned()))
            .collect();
        found.retain(|file| file.bytes > 0 || !folders.contains(&file.path));
        if found.is_empty() {
            let text =
                format!("cannot {doing}: there is no file below it; it was deleted, or never uploaded");
            return Err(PortError::not_applied(ErrorKind::NotFound, text));
        }
        Ok(found)
    }

    /// Fetches all parts into the empty folder `into`; sorted by path when this returns.
    pub(super) async fn fetch(
        &self,
        parts: &[Part],
        into: &Arc<Dir>,
        bytes_max: u64,
        what: &str,
    ) -> Result<Vec<ArtefactFile>, PortError> {
        let mut all: BTreeMap<String, Found> = BTreeMap::new();
        for part in parts {
            for found in self.find(part, what).await? {
                if let Some(other) = all.insert(found.path.clone(), found) {
                    let text = format!(
                        "two parts of {what} have the file `{}`: it is not known which is meant",
                        shown(&other.path)
                    );
                    return Err(PortError::not_applied(ErrorKind::Unsupported, text));
                }
            }
            if all.len() > artefact::FILES_MAX {
                let text = format!("{what} has more than {} files", artefact::FILES_MAX);
                return Err(PortError::not_applied(ErrorKind::TooLarge, text));
            }
        }
        check_announced(all.values().map(|found| found.bytes), bytes_max, what)?;
        let fetch = |found: Found| async move {
            http::patiently(self.patience, || self.fetch_one(&found, into, what)).await
        };
        side_by_side(all.into_values().map(fetch).collect()).await
    }

    async fn fetch_one(&self, found: &Found, into: &Arc<Dir>, what: &str) -> Result<ArtefactFile, PortError> {
        self.credentials.get().await?;
        let doing =
            format!("read `{SCHEME}{}/{}` of {what}", shown(&found.bucket), shown(found.key.as_ref()));
        let options = GetOptions { if_match: Some(found.etag.clone()), ..GetOptions::default() };
        let store = self.store(&found.bucket)?;
        let answer = self.within(&doing, store.get_opts(&found.key, options)).await?;
        let is_the_one = answer.meta.e_tag.as_deref() == Some(&found.etag) && answer.meta.size == found.bytes;
        if !is_the_one {
            return Err(changed(&doing));
        }
        let body = Body { stream: answer.into_stream(), deadline: self.deadline, doing: doing.clone() };
        let place = Place { dir: into, path: &found.path, what, work: &self.files };
        let arrived = download::to_disk(body, found.bytes, place, std::io::sink()).await?;
        if arrived.read != found.bytes {
            return Err(changed(&doing));
        }
        Ok(ArtefactFile { path: found.path.clone(), sha256: arrived.sha256, bytes: arrived.bytes })
    }
}

/// An object on its way.
struct Body {
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    deadline: Duration,
    doing: String,
}

impl Pieces for Body {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, PortError> {
        let next = async { self.stream.next().await.transpose() };
        Ok(within(self.deadline, &self.doing, next).await?.map(|piece| piece.to_vec()))
    }
}

async fn within<T>(
    deadline: Duration,
    doing: &str,
    call: impl Future<Output = object_store::Result<T>>,
) -> Result<T, PortError> {
    match waiting::for_system(SYSTEM, tokio::time::timeout(deadline, call)).await {
        Ok(answer) => answer.map_err(|error| failed(&error, doing)),
        Err(_) => {
            let text = format!("S3 did not answer within {deadline:?}: cannot {doing}");
            Err(PortError::not_applied(ErrorKind::TimedOut, text))
        }
    }
}

fn key(text: &str, doing: &str) -> Result<Path, PortError> {
    Path::parse(text).map_err(|error| unfit(doing, &error.to_string()))
}

/// A tag without the quotes that some answers have.
fn bare(etag: &str) -> &str {
    etag.trim_matches('"')
}

fn unfit(doing: &str, why: &str) -> PortError {
    PortError::not_applied(ErrorKind::Unsupported, format!("cannot {doing}: {}", shown(why)))
}

fn without_etag(doing: &str) -> PortError {
    let text = format!("cannot {doing}: what answered gave no ETag, so it is not S3; check `s3-endpoint`");
    PortError::not_applied(ErrorKind::BadAnswer, text).retry(Retry::Later)
}

fn changed(doing: &str) -> PortError {
    let text = format!(
        "cannot {doing}: what came is not what was found a moment before; it is being written, or something between answers in S3's place"
    );
    PortError::not_applied(ErrorKind::BadAnswer, text).retry(Retry::Later)
}

const NO_REASON: &str =
    "S3 gave no reason: check that the credentials are not at their end, `region`, and this machine's clock";

fn failed(error: &Error, doing: &str) -> PortError {
    let said = error.to_string();
    let refused = Refused::beneath(error);
    let is_status = |status: &str| said.contains(status);
    let (kind, retry, advice) = if is_about_credentials(&said) {
        (ErrorKind::Denied, Retry::No, advice_on_credentials("", &said))
    } else if ["PermanentRedirect", "AuthorizationHeaderMalformed", "without LOCATION"]
        .iter()
        .any(|text| said.contains(text))
    {
        let advice = "the bucket is of another region than `region`: register a version whose model data is in it, or write `s3-endpoint`";
        (ErrorKind::Configuration, Retry::No, advice)
    } else if is_status("400 Bad Request: ") {
        // A question without a body is refused without a reason.
        (ErrorKind::Denied, Retry::No, NO_REASON)
    } else {
        match (error, refused.map(Refused::kind)) {
            (Error::NotFound { .. }, _) | (_, Some(ErrorKind::NotFound)) => {
                (ErrorKind::NotFound, Retry::No, "it was deleted, or never uploaded; choose another version")
            }
            (Error::PermissionDenied { .. } | Error::Unauthenticated { .. }, _)
            | (_, Some(ErrorKind::Denied)) => (
                ErrorKind::Denied,
                Retry::No,
                "allow `s3:GetObject` there, and `s3:ListBucket` of the bucket to who asks: without the latter S3 says of what is not there, too, that it may not be seen",
            ),
            (Error::Precondition { .. }, _) => return changed(doing),
            (Error::InvalidPath { .. }, _) => (
                ErrorKind::Unsupported,
                Retry::No,
                "a key below it has empty parts, parts of dots or control characters: delete it, or register a copy without it",
            ),
            (_, Some(ErrorKind::BadAnswer)) => (
                ErrorKind::BadAnswer,
                Retry::Later,
                "something before S3 answers in its place, or it is none: check `s3-endpoint`",
            ),
            (_, Some(kind)) => (kind, Retry::No, "check `s3-endpoint`"),
            _ if is_status("429") || is_status("503") || is_status("SlowDown") => {
                (ErrorKind::Failed, Retry::Later, "it passes: too much is asked of the bucket")
            }
            _ => (ErrorKind::Unreachable, Retry::Later, "check `s3-endpoint` and `region`, and the network"),
        }
    };
    PortError::not_applied(kind, format!("cannot {doing}: {}; {advice}", shown(&said))).retry(retry)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(containers: Value) -> Result<Vec<Part>, String> {
        let package: Package = serde_json::from_value(json!({
            "ModelPackageArn": "arn", "CreationTime": 1.0, "ModelPackageStatus": "Completed",
            "InferenceSpecification": { "Containers": containers },
        }))
        .unwrap();
        parts(&package)
    }

    #[test]
    fn model_data_is_an_object_or_a_folder() {
        let read = |containers| {
            let parts = of(containers).unwrap();
            let part = |part: Part| (part.bucket, part.key, part.reach, part.below);
            parts.into_iter().map(part).collect::<Vec<_>>()
        };
        let part = |key: &str, reach, below: &str| ("m".to_owned(), key.to_owned(), reach, below.to_owned());
        let tar = json!({ "ModelDataUrl": "s3://m/a/model.tar.gz" });
        assert_eq!(read(json!([tar])), [part("a/model.tar.gz", Reach::Object, "")]);
        assert_eq!(read(json!([{ "ModelDataUrl": "s3://m/a/" }])), [part("a", Reach::Folder, "")]);
        let source = |kind: &str| {
            json!([{
                "ModelDataUrl": "s3://m/never", "ModelDataSource": { "S3DataSource": { "S3Uri": "s3://m/a", "S3DataType": kind } },
            }])
        };
        assert_eq!(read(source("S3Prefix")), [part("a", Reach::Folder, "")]);
        assert_eq!(read(source("S3Object")), [part("a", Reach::Object, "")]);
        let several = json!([
            { "ContainerHostname": "pre", "ModelDataUrl": "s3://m/p" },
            { "Image": "only" },
            {
                "ModelDataUrl": "s3://m/q", "AdditionalS3DataSource": { "S3Uri": "s3://m/w/" },
                "AdditionalModelDataSources": [{ "ChannelName": "draft", "S3DataSource": { "S3Uri": "s3://m/d/" } }],
            },
        ]);
        let wanted = [
            part("p", Reach::Object, "pre/"),
            part("q", Reach::Object, "3/"),
            part("w", Reach::Folder, "3/additional/"),
            part("d", Reach::Folder, "3/additional/draft/"),
        ];
        assert_eq!(read(several), wanted);
    }

    #[test]
    fn what_is_no_place_in_s3_is_told() {
        for (containers, expected) in [
            (json!([]), "names no model data"),
            (json!([{ "Image": "x", "ModelDataUrl": null }]), "names no model data"),
            (json!([{ "ModelDataUrl": "https://s3.amazonaws.com/m/a" }]), "begins with `s3://`"),
            (json!([{ "ModelDataUrl": "s3://m" }]), "a whole bucket is no artefact"),
            (json!([{ "ModelDataUrl": "s3:///a" }]), "no bucket"),
            (json!([{ "ModelDataUrl": "s3://my models/a" }]), "whose bucket is no name of one"),
            (json!([{ "ModelDataUrl": "s3://m?acl/a" }]), "whose bucket is no name of one"),
            (json!(vec![json!({ "ModelDataUrl": "s3://m/a" }); 201]), "in 201 places, more than 200"),
            (json!([{ "ModelDataUrl": "s3://m/a//b" }]), "empty parts"),
            (json!([{ "ModelDataUrl": "s3://m/../b" }]), "parts of dots"),
            (
                json!([{ "ModelDataSource": { "S3DataSource": { "S3Uri": "s3://m/a/", "ManifestS3Uri": "s3://m/list" } } }]),
                "listed by a manifest",
            ),
        ] {
            let why = of(containers).unwrap_err();
            assert!(why.contains(expected), "{why}");
        }
    }
}
