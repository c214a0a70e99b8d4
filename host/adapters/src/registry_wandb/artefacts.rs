//! Artefacts by their manifest: files are streamed to disk from where W&B says that they lie, and hashed on the way, once as W&B does and once as is
//! pinned.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use cap_std::fs::Dir;
use md5::{Digest as _, Md5};
use ripcord_core::name::VersionName;
use ripcord_core::target::ArtefactFile;
use ripcord_ports::{ErrorKind, PortError, Retry};

use super::api::Api;
use super::manifest::{self, Listed, Unusable};
use crate::download::{self, Arrived, Place, check_announced, side_by_side, too_large};
use crate::file_work::FileWork;
use crate::http;

/// The files that the manifest of an artifact lists; the inner error is the end of a sentence that begins with the artifact.
pub(super) async fn list(
    api: &Api,
    artifact: &str,
    what: &str,
) -> Result<Result<Vec<Listed>, String>, PortError> {
    let Some(url) = api.manifest_url(artifact).await? else {
        return Ok(Err("has no manifest in W&B: it was deleted, or never uploaded".to_owned()));
    };
    let read = http::patiently(api.patience, || async {
        let call = api.file(&url, &format!("the manifest of {what}"))?.answer_bytes_max(manifest::BYTES_MAX);
        call.send().await.map_err(|error| of_storage(error, "the manifest", what))
    })
    .await?;
    match manifest::parse(&read.body) {
        Ok(listed) => Ok(Ok(listed)),
        Err(Unusable::NoArtefact(why)) => Ok(Err(why)),
        Err(Unusable::NoManifest(why)) => Err(PortError::not_applied(
            ErrorKind::BadAnswer,
            format!("the manifest of {what} {why}: {}", read.excerpt()),
        )),
    }
}

/// What a refusal of the file storage means: the addresses that W&B signs are good for a while.
fn of_storage(error: PortError, file: &str, what: &str) -> PortError {
    let text = match error.kind {
        ErrorKind::Denied => format!(
            "the file storage refuses the address that W&B signed for {file} of {what}: {error}; the address may have grown old, or the storage may not be open to this machine"
        ),
        ErrorKind::NotFound => format!(
            "W&B lists {file} of {what}, and its file storage does not have it: {error}; choose another version"
        ),
        _ => return error,
    };
    PortError::not_applied(error.kind, text).retry(error.retry)
}

/// Fetches the listed files into the empty folder `into`; sorted by path when this returns.
pub(super) async fn fetch(
    api: &Api,
    version: &VersionName,
    files: Vec<Listed>,
    into: (&Arc<Dir>, &FileWork),
    bytes_max: u64,
    what: &str,
) -> Result<Vec<ArtefactFile>, PortError> {
    check_announced(files.iter().filter_map(|file| file.bytes), bytes_max, what)?;
    let urls = api.file_urls(version).await?;
    let mut urls: BTreeMap<String, String> =
        urls.into_iter().map(|file| (file.name, file.direct_url)).collect();
    let placed: Vec<(Listed, String)> = files
        .into_iter()
        .map(|file| match urls.remove(&file.path) {
            Some(url) => Ok((file, url)),
            None => Err(PortError::not_applied(
                ErrorKind::BadAnswer,
                format!(
                    "the manifest of {what} lists `{}`, and W&B does not say where it lies: nothing of it was written",
                    file.path
                ),
            )),
        })
        .collect::<Result<_, _>>()?;
    let fetch = |(file, url): (Listed, String)| async move {
        http::patiently(api.patience, || fetch_one(api, &url, &file, into, bytes_max, what)).await
    };
    let fetched = side_by_side(placed.into_iter().map(fetch).collect()).await?;
    // A manifest without sizes is judged by what came.
    if fetched.iter().map(|file| file.bytes).fold(0, u64::saturating_add) > bytes_max {
        return Err(too_large(bytes_max, what));
    }
    Ok(fetched)
}

async fn fetch_one(
    api: &Api,
    url: &str,
    file: &Listed,
    (into, work): (&Arc<Dir>, &FileWork),
    bytes_max: u64,
    what: &str,
) -> Result<ArtefactFile, PortError> {
    let named = format!("`{}`", file.path);
    let call = api.file(url, &format!("{named} of {what}"))?;
    let body = match call.stream(api.deadline).await? {
        Ok(body) => body,
        Err(answer) => return Err(of_storage(answer.error(), &named, what)),
    };
    let place = Place { dir: into, path: &file.path, what, work };
    let limit = file.bytes.unwrap_or(bytes_max);
    let Arrived { read, bytes, sha256, beside } =
        download::to_disk(body, limit, place, Md5Of::default()).await?;
    let came: [u8; 16] = beside.0.finalize().into();
    let differs = match (file.bytes, file.md5) {
        (Some(listed), _) if read != listed => Some(format!(
            "with {} {listed} bytes that its manifest lists",
            if read > listed { "more than the" } else { "fewer than the" }
        )),
        (None, _) if read > bytes_max => return Err(too_large(bytes_max, what)),
        (_, Some(md5)) if md5 != came => Some("with another MD5 digest than its manifest has".to_owned()),
        _ => None,
    };
    match differs {
        // Something between may have put another answer in the place of this one.
        Some(how) => Err(PortError::not_applied(
            ErrorKind::BadAnswer,
            format!("the file {named} of {what} came {how}: it was changed or damaged where W&B keeps it"),
        )
        .retry(Retry::Later)),
        None => Ok(ArtefactFile { path: file.path.clone(), sha256, bytes }),
    }
}

/// W&B's digest of what is written to it.
#[derive(Default)]
struct Md5Of(Md5);

impl Write for Md5Of {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
