//! Artefacts through the tracking server's own artefact interface: folders are listed, files are streamed to disk and hashed on the way.
//!
//! The server's names are not trusted: each must be one part of a path, whole paths must be an artefact's and differ, and files are
//! created, never overwritten, below the folder that was opened.

use std::collections::BTreeSet;
use std::sync::Arc;

use cap_std::fs::Dir;
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::{Method, Url};
use ripcord_core::target::ArtefactFile;
use ripcord_ports::{ErrorKind, PortError, Retry};

use super::api::{Api, Right};
use super::mlmodel;
use super::wire::{Entry, ListAnswer};
use crate::download::{self, Arrived, Place, check_announced, too_large};
use crate::file_work::FileWork;
use crate::{artefact, http};

/// Calls that are under way together.
const AT_ONCE: usize = 8;

/// A file or a folder below an artefact's root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: String,
    /// None for a folder, and for stores that do not tell.
    pub(super) bytes: Option<u64>,
    is_folder: bool,
    /// An empty file with the name of the folder that it lies in: most likely the mark by which consoles and sync tools show a folder in an object
    /// store, which is no file and cannot be fetched.
    may_be_mark: bool,
}

/// Where an artefact lies among those that the server hands out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Root(Vec<String>);

impl Root {
    /// Reads what `get-download-uri` gives; the error is the end of a sentence that begins with the artefact.
    pub(super) fn parse(uri: &str, server: &Url) -> Result<Self, String> {
        let unserved = || {
            let shown: String = uri.chars().take(200).collect();
            format!(
                "lies at `{}`, which the tracking server does not hand out: run it with `--serve-artifacts` and `--artifacts-destination`, and log models through it",
                shown.escape_debug()
            )
        };
        let rest = uri.strip_prefix("mlflow-artifacts:").ok_or_else(unserved)?;
        let path = match rest.strip_prefix("//") {
            None => rest,
            Some(rest) => {
                let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
                let mine = server.host_str().map(|host| match server.port_or_known_default() {
                    Some(port) => format!("{host}:{port}"),
                    None => host.to_owned(),
                });
                if !place.is_empty() && Some(place) != mine.as_deref() && Some(place) != server.host_str() {
                    return Err(format!(
                        "lies on `{}`, which is not the configured tracking server: no credentials are sent there",
                        place.escape_debug()
                    ));
                }
                path
            }
        };
        let path = path.trim_matches('/');
        artefact::check_path(path).map_err(|why| format!("has no usable place: {why}"))?;
        Ok(Self(path.split('/').map(str::to_owned).collect()))
    }

    fn listing(&self, api: &Api, below: &str) -> Url {
        let mut path = self.0.join("/");
        if !below.is_empty() {
            path = format!("{path}/{below}");
        }
        let mut url = http::under(&api.url, &["api", "2.0", "mlflow-artifacts", "artifacts"]);
        url.query_pairs_mut().append_pair("path", &path);
        url
    }

    pub(super) fn file(&self, api: &Api, path: &str) -> Url {
        let parts = ["api", "2.0", "mlflow-artifacts", "artifacts"].into_iter();
        let parts: Vec<&str> =
            parts.chain(self.0.iter().map(String::as_str)).chain(path.split('/')).collect();
        http::under(&api.url, &parts)
    }
}

/// One folder, as the server lists it.
pub(super) async fn list(api: &Api, root: &Root, below: &str, what: &str) -> Result<Vec<Found>, PortError> {
    let url = root.listing(api, below);
    let answer = api
        .patiently(|| async {
            api.judge(api.call(Method::GET, &url).exchange().await?, Right::ReadExperiment)
        })
        .await?;
    let listed: ListAnswer = answer.json()?;
    if listed.files.len() > artefact::FILES_MAX {
        return Err(too_many(what));
    }
    let folder = below.rsplit('/').next().filter(|name| !name.is_empty());
    let folder = folder.or(root.0.last().map(String::as_str)).unwrap_or_default();
    // A mark without a name, or with that of a folder and a slash, is nothing that could be asked for.
    let is_nameless = |entry: &Entry| {
        !entry.is_dir && entry.file_size == Some(0) && (entry.path.is_empty() || entry.path.ends_with('/'))
    };
    let entries = listed.files.into_iter().filter(|entry| !is_nameless(entry));
    let listed: Vec<Found> =
        entries.map(|entry| found(entry, (below, folder), what)).collect::<Result<_, _>>()?;
    // Some stores have an empty file beside each folder, with the same name.
    let folders: BTreeSet<String> =
        listed.iter().filter(|found| found.is_folder).map(|found| found.path.clone()).collect();
    let is_twin = |found: &Found| !found.is_folder && found.bytes == Some(0) && folders.contains(&found.path);
    Ok(listed.into_iter().filter(|found| !is_twin(found)).collect())
}

fn found(entry: Entry, (below, folder): (&str, &str), what: &str) -> Result<Found, PortError> {
    let path = if below.is_empty() { entry.path.clone() } else { format!("{below}/{}", entry.path) };
    let checked = if entry.path.contains('/') {
        Err(format!("`{}` is more than one name", entry.path.escape_debug()))
    } else {
        artefact::check_path(&path)
    };
    checked.map_err(|why| {
        PortError::not_applied(
            ErrorKind::BadAnswer,
            format!("mlflow lists a file of {what} that no artefact can hold, and nothing of it was written: {why}"),
        )
    })?;
    let may_be_mark = !entry.is_dir && entry.file_size == Some(0) && entry.path == folder;
    let bytes = entry.file_size.filter(|_| !entry.is_dir);
    Ok(Found { path, bytes, is_folder: entry.is_dir, may_be_mark })
}

fn too_many(what: &str) -> PortError {
    PortError::not_applied(
        ErrorKind::TooLarge,
        format!("{what} has more than {} files: it is no model's artefact", artefact::FILES_MAX),
    )
}

/// All files, sorted by path.
pub(super) async fn list_all(api: &Api, root: &Root, what: &str) -> Result<Vec<Found>, PortError> {
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    let mut seen = BTreeSet::new();
    while !folders.is_empty() {
        let level: Vec<Vec<Found>> = stream::iter(std::mem::take(&mut folders))
            .map(|below| async move { list(api, root, &below, what).await })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        for found in level.into_iter().flatten() {
            if !seen.insert(found.path.clone()) {
                return Err(PortError::not_applied(
                    ErrorKind::BadAnswer,
                    format!("mlflow lists `{}` of {what} twice: nothing of it was written", found.path),
                ));
            }
            if seen.len() > artefact::FILES_MAX {
                return Err(too_many(what));
            }
            if found.is_folder { folders.push(found.path) } else { files.push(found) }
        }
    }
    if files.iter().all(|file| file.may_be_mark) {
        return Err(PortError::not_applied(
            ErrorKind::NotFound,
            format!(
                "{what} has no file in mlflow: it was deleted, or never uploaded; choose another version"
            ),
        ));
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Fetches the listed files into the empty folder `into`. They are on disk when this returns, sorted by path.
pub(super) async fn fetch(
    api: &Api,
    root: &Root,
    files: Vec<Found>,
    into: (&Arc<Dir>, &FileWork),
    bytes_max: u64,
    what: &str,
) -> Result<Vec<ArtefactFile>, PortError> {
    check_announced(files.iter().filter_map(|file| file.bytes), bytes_max, what)?;
    let fetched: Vec<Option<ArtefactFile>> = stream::iter(files)
        .map(|file| async move {
            if !file.may_be_mark {
                let fetching = api.patiently(|| fetch_one(api, root, &file, into, bytes_max, what));
                return fetching.await.map(Some);
            }
            // Asked for once: a mark is answered with "not there", by some releases with an error of their own.
            match fetch_one(api, root, &file, into, bytes_max, what).await {
                Ok(fetched) => Ok(Some(fetched)),
                Err(error) if matches!(error.kind, ErrorKind::NotFound | ErrorKind::Failed | ErrorKind::BadAnswer) => {
                    tracing::warn!(file = %file.path, artefact = %what, %error, "an empty entry with its folder's own name cannot be fetched, as the mark of a folder in an object store: it is passed over, and can be removed there");
                    Ok(None)
                }
                Err(error) => Err(error),
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    let mut fetched: Vec<ArtefactFile> = fetched.into_iter().flatten().collect();
    // Stores that do not announce sizes are judged by what came.
    if fetched.iter().map(|file| file.bytes).fold(0, u64::saturating_add) > bytes_max {
        return Err(too_large(bytes_max, what));
    }
    fetched.sort();
    Ok(fetched)
}

async fn fetch_one(
    api: &Api,
    root: &Root,
    file: &Found,
    (into, work): (&Arc<Dir>, &FileWork),
    bytes_max: u64,
    what: &str,
) -> Result<ArtefactFile, PortError> {
    let url = root.file(api, &file.path);
    let body = match api.call(Method::GET, &url).stream(api.deadline).await? {
        Ok(body) => body,
        Err(answer) => return Err(api.refusal(&answer, Right::ReadExperiment)),
    };
    let place = Place { dir: into, path: &file.path, what, work };
    let limit = file.bytes.unwrap_or(bytes_max);
    let Arrived { read, bytes, sha256, .. } = download::to_disk(body, limit, place, std::io::sink()).await?;
    match file.bytes {
        Some(announced) if read != announced => Err(PortError::not_applied(
            ErrorKind::BadAnswer,
            format!(
                "the file `{}` of {what} came with {} {announced} bytes that mlflow lists: it was changed meanwhile, or something between rewrites answers",
                file.path,
                if read > announced { "more than the" } else { "fewer than the" }
            ),
        )
        .retry(Retry::Later)),
        None if read > bytes_max => Err(too_large(bytes_max, what)),
        _ => Ok(ArtefactFile { path: file.path.clone(), sha256, bytes }),
    }
}

/// What `MLmodel` says of the artefact. The error is the end of a sentence that begins with the version.
pub(super) async fn about(
    api: &Api,
    root: &Root,
    listed: &[Found],
    what: &str,
) -> Result<Result<mlmodel::About, String>, PortError> {
    let Some(file) = listed.iter().find(|found| found.path == mlmodel::NAME && !found.is_folder) else {
        return Ok(Ok(mlmodel::About::default()));
    };
    let url = root.file(api, &file.path);
    let answer = api
        .patiently(|| async {
            let call = api.call(Method::GET, &url).answer_bytes_max(mlmodel::BYTES_MAX);
            api.judge(call.exchange().await?, Right::ReadExperiment)
        })
        .await;
    match answer {
        Ok(answer) if file.bytes.is_some_and(|bytes| bytes != answer.body.len() as u64) => {
            Ok(Err(format!("its file `{}` came with another size than listed", mlmodel::NAME)))
        }
        Ok(answer) => {
            Ok(mlmodel::parse(&answer.body).map_err(|why| format!("its file `{}` {why}", mlmodel::NAME)))
        }
        Err(error) if error.kind == ErrorKind::TooLarge => {
            Ok(Err(format!("its file `{}` has more than {} bytes", mlmodel::NAME, mlmodel::BYTES_MAX)))
        }
        Err(error) => Err(PortError::not_applied(error.kind, format!("{what}: {error}")).retry(error.retry)),
    }
}
