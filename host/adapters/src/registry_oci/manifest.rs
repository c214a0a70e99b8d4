//! Manifests: what a tag points at, and what is read once of what it points at.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Method;
use reqwest::header::HeaderName;
use ripcord_core::digest::Digest;
use ripcord_core::fact::Dataset;
use ripcord_ports::{ErrorKind, PortError, Retry};

use super::api::{Api, MANIFEST_BYTES_MAX};
use super::config_file::{self, Facts};
use super::layers::{self, Layer};
use super::refusal::{self, Asked};
use super::wire::IMAGE_MANIFEST;
use crate::http::{self, Answer};

static CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// Manifests beyond so many bytes together are forgotten and read again.
const REMEMBERED_BYTES_MAX: usize = 32 << 20;
/// A manifest that is remembered takes this beside its own bytes.
const REMEMBERED_EACH: usize = 1 << 10;

/// What a manifest says, which never changes: it is named by its digest.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) annotations: BTreeMap<String, String>,
    /// The files that it is made of; else why it is no artefact, as the end of a sentence that begins with it.
    pub(super) layers: Result<Vec<Layer>, String>,
    /// Data sets that are layers of it, and none of the files.
    pub(super) datasets: Vec<Dataset>,
    /// What its config says; else why that cannot be fetched.
    pub(super) facts: Result<Facts, (ErrorKind, String)>,
}

/// Manifests that were read, by their digests.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<(usize, HashMap<Digest, Arc<Known>>)>);

impl Remembered {
    fn get(&self, digest: &Digest) -> Option<Arc<Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1.get(digest).cloned()
    }

    fn put(&self, digest: Digest, bytes: usize, known: Arc<Known>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.0 + bytes > REMEMBERED_BYTES_MAX {
            *all = (0, HashMap::new());
        }
        all.0 += bytes;
        all.1.insert(digest, known);
    }
}

/// What a tag points at; none where there is no such tag.
pub(super) async fn resolve(api: &Api, tag: &str) -> Result<Option<Digest>, PortError> {
    http::patiently(api.patience, || async {
        // Registries that count what is pulled do not count this.
        let head = api.ask_manifest(Method::HEAD, tag).await?;
        let digest = head.header(&CONTENT_DIGEST).and_then(digest_of);
        if let Some(digest) = digest.filter(|_| head.status.is_success()) {
            return Ok(Some(digest));
        }
        // Only the answer to this one has a body, which says why, or has the digest of what it is.
        let answer = api.ask_manifest(Method::GET, tag).await?;
        if refusal::is_unknown(&answer) {
            return Ok(None);
        }
        let answer = whole(api.judge(answer, Asked::Manifest(tag))?)?;
        Ok(Some(Digest::of(&answer.body)))
    })
    .await
}

/// A manifest by its digest, verbatim.
pub(super) async fn get(api: &Api, digest: &Digest) -> Result<Answer, PortError> {
    let reference = format!("sha256:{digest}");
    http::patiently(api.patience, || async {
        let answer = api.ask_manifest(Method::GET, &reference).await?;
        let answer = whole(api.judge(answer, Asked::Manifest(&reference))?)?;
        if Digest::of(&answer.body) == *digest {
            return Ok(answer);
        }
        let text = format!(
            "{} gave other bytes than those of this digest: something answers in the registry's place, or the manifest is damaged",
            answer.what()
        );
        Err(PortError::not_applied(ErrorKind::BadAnswer, text).retry(Retry::Later))
    })
    .await
}

/// The answer, if it is a manifest of some kind.
fn whole(answer: Answer) -> Result<Answer, PortError> {
    if is_manifest(&answer) {
        return Ok(answer);
    }
    let kind = answer.content_type().unwrap_or("no content type");
    let text = format!(
        "{} answered with `{}` where a manifest was expected: {}; check `url`, what stands before `/v2/`",
        answer.what(),
        kind.escape_debug(),
        answer.excerpt()
    );
    Err(PortError::not_applied(ErrorKind::BadAnswer, text))
}

fn is_manifest(answer: &Answer) -> bool {
    let kind = answer.content_type().unwrap_or_default();
    kind.starts_with("application/") && (kind.contains(".manifest.") || kind.contains(".index."))
}

/// What a manifest is, without parameters.
pub(super) fn media_type(answer: &Answer) -> &str {
    let kind = answer.content_type().and_then(|kind| kind.split(';').next());
    kind.map_or(IMAGE_MANIFEST, str::trim)
}

/// A digest as registries write it, where it is of the one algorithm that is checked here.
pub(super) fn digest_of(text: &str) -> Option<Digest> {
    text.strip_prefix("sha256:")?.parse().ok()
}

impl Known {
    /// Of a manifest that nobody could read: nothing is known of what it was made of either.
    pub(super) fn unread(why: String) -> Self {
        Self {
            annotations: BTreeMap::new(),
            facts: Err((ErrorKind::NotFound, format!("it {why}"))),
            layers: Err(why),
            datasets: Vec::new(),
        }
    }
}

/// What a manifest says, read once.
pub(super) async fn known(
    api: &Api,
    remembered: &Remembered,
    digest: &Digest,
) -> Result<Arc<Known>, PortError> {
    if let Some(known) = remembered.get(digest) {
        return Ok(known);
    }
    let answer = match get(api, digest).await {
        Ok(answer) => answer,
        Err(error) if error.kind == ErrorKind::TooLarge => {
            let why = format!(
                "has a manifest of more than {} MiB, which no registry has to take: push it in fewer layers",
                MANIFEST_BYTES_MAX >> 20
            );
            return Ok(Arc::new(Known::unread(why)));
        }
        Err(error) => return Err(error),
    };
    let read = layers::read(media_type(&answer), &answer.body);
    let facts = match &read.config {
        Some(config) => match config_file::fetch(api, config).await {
            Ok(facts) => Ok(facts),
            // A property of this one, which hides no other. It may be another the next time.
            Err(error)
                if matches!(
                    error.kind,
                    ErrorKind::Denied
                        | ErrorKind::NotFound
                        | ErrorKind::Configuration
                        | ErrorKind::TooLarge
                        | ErrorKind::BadAnswer
                ) =>
            {
                Err((error.kind, error.to_string()))
            }
            Err(error) => return Err(error),
        },
        None => Ok(Facts::default()),
    };
    let facts = facts.and_then(|facts| match config_file::of_annotations(&read.annotations) {
        Ok(annotated) => Ok(facts.or(annotated)),
        Err(error) => Err((error.kind, error.to_string())),
    });
    // What is read of a config is about as large as it was.
    let config_bytes =
        read.config.as_ref().map_or(0, |config| usize::try_from(config.size).unwrap_or(usize::MAX));
    let known = Arc::new(Known {
        annotations: read.annotations,
        layers: read.layers,
        datasets: read.datasets,
        facts,
    });
    if known.facts.is_ok() {
        let bytes = answer.body.len().saturating_add(config_bytes.saturating_mul(2)) + REMEMBERED_EACH;
        remembered.put(*digest, bytes, Arc::clone(&known));
    }
    Ok(known)
}
