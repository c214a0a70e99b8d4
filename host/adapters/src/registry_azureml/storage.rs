//! Artefacts in Blob Storage: the blobs of a file or folder, streamed to disk each as it was listed, and hashed on the way, as Blob Storage does and as is
//! pinned.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cap_std::fs::Dir;
use md5::{Digest as _, Md5};
use reqwest::{Method, Url};
use ripcord_core::target::ArtefactFile;
use ripcord_ports::{ErrorKind, PortError, Retry};
use serde::Deserialize;

use super::api::{ACCOUNT, Api, Home};
use super::place::{self, Place, Uri};
use super::refusal::rephrased;
use super::wire::{References, Version};
use crate::artefact;
use crate::azure::own_address;
use crate::download::{self, Arrived, check_announced, side_by_side};
use crate::file_work::FileWork;
use crate::http::{self, Call};
use crate::secret::Secret;

/// What a token for Blob Storage is good for, in every cloud.
pub(super) const AUDIENCE: &str = "https://storage.azure.com";
/// The version of Blob Storage's interface.
const INTERFACE: &str = "2021-12-02";
/// Blobs that one answer may hold.
const PAGE: usize = 1_000;
const PAGES_MAX: usize = artefact::FILES_MAX / PAGE;

/// How the blobs of a version are reached.
#[derive(Debug)]
pub(super) struct Way {
    place: Place,
    /// Of the container.
    url: Url,
    /// What the registry gave, in the place of a token.
    sas: Option<Secret>,
}

/// A file of an artefact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    path: String,
    /// Of the blob.
    name: String,
    bytes: u64,
    etag: String,
    md5: Option<[u8; 16]>,
}

/// `EnumerationResults`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Enumeration {
    blobs: Blobs,
    #[serde(default)]
    next_marker: String,
}

#[derive(Debug, Default, Deserialize)]
struct Blobs {
    #[serde(default, rename = "Blob")]
    all: Vec<Blob>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Blob {
    name: Name,
    properties: Properties,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Debug, Deserialize)]
struct Name {
    /// `true` where it is written with the escapes of an address, since XML has no place for it.
    #[serde(default, rename = "@Encoded")]
    encoded: String,
    #[serde(default, rename = "$text")]
    text: String,
}

#[derive(Debug, Deserialize)]
struct Properties {
    #[serde(rename = "Content-Length")]
    length: u64,
    /// Base 64; none where it was uploaded in parts.
    #[serde(default, rename = "Content-MD5")]
    md5: String,
    #[serde(rename = "Etag")]
    etag: String,
    /// `directory` for a folder of an account with folders.
    #[serde(default, rename = "ResourceType")]
    kind: String,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    /// What stands for a folder says so.
    #[serde(default, alias = "Hdi_isfolder")]
    hdi_isfolder: String,
}

/// How the files of the version are reached; the inner error is the end of a sentence that begins with the version.
pub(super) async fn way(api: &Api, version: &Version) -> Result<Result<Way, String>, PortError> {
    let uri = &version.properties.model_uri;
    let place = match place::of(uri, &api.home, (&api.subscription, &api.group)) {
        Ok(Uri::Blobs(place)) => Ok(place),
        Ok(Uri::Datastore { name, path }) => in_datastore(api, &name, &path).await?,
        Err(why) => Err(why),
    };
    let place = match place {
        Ok(place) => place,
        Err(why) => return Ok(Err(why)),
    };
    let account = own_address("storage-endpoint", &api.blobs.replace(ACCOUNT, &place.account))?;
    let url = http::under(&account, &[&place.container]);
    let sas = match api.home {
        Home::Workspace(_) => None,
        Home::Registry(_) => {
            given(&place, &api.references(&version.name, uri).await?).map_err(|part| api.without(part))?
        }
    };
    Ok(Ok(Way { place, url, sas }))
}

async fn in_datastore(api: &Api, name: &str, path: &str) -> Result<Result<Place, String>, PortError> {
    let properties = api.datastore(name).await?.properties;
    let container = match properties.datastore_type.as_str() {
        "AzureBlob" => &properties.container_name,
        "AzureDataLakeGen2" => &properties.filesystem,
        other => {
            return Ok(Err(format!(
                "lies in the datastore `{name}` of the type {}, which is not read: copy it into one of Blob Storage",
                http::excerpt(other.as_bytes())
            )));
        }
    };
    Ok(Place::new(&properties.account_name, container, path))
}

/// The query of the address that a registry gives, which is for the container of the version and no other; none where everybody may read it.
fn given(place: &Place, references: &References) -> Result<Option<Secret>, &'static str> {
    let credential = &references.blob_reference_for_consumption.credential;
    if credential.credential_type.eq_ignore_ascii_case("NoCredentials") {
        return Ok(Some(Secret::new("")));
    }
    let url = Url::parse(&credential.sas_uri).map_err(|_| "an address that can be read")?;
    let named = place::decoded(url.path()).unwrap_or_default();
    let mut parts = named.trim_start_matches('/').split('/');
    // Beside an emulator the account is a part of the path.
    let account = url.host_str().and_then(|host| host.split('.').next()).unwrap_or_default();
    let is_of = (account == place.account || parts.next() == Some(&place.account))
        && parts.next() == Some(&place.container);
    match url.query() {
        Some(query) if is_of => Ok(Some(Secret::new(query))),
        Some(_) => Err("an address of the container that the version lies in"),
        None => Err("an address that lets its holder in"),
    }
}

impl Way {
    /// A call about the container, or a blob in it. A token is sent only to the configured address.
    async fn call(&self, api: &Api, mut url: Url, query: &[(&str, &str)]) -> Result<Call, PortError> {
        let token = match &self.sas {
            Some(sas) => {
                url.set_query(Some(sas.expose()).filter(|sas| !sas.is_empty()));
                None
            }
            None => Some(api.tokens.token(AUDIENCE).await?),
        };
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let call = api.http.call(Method::GET, &url).of("Blob Storage").deadline(api.deadline);
        Ok(call.bearer(token.as_ref()).header("x-ms-version", INTERFACE))
    }

    /// The container, for people.
    fn container(&self) -> String {
        format!("the container `{}` of the account `{}`", self.place.container, self.place.account)
    }
}

/// The files that lie there, sorted by path; the inner error is the end of a sentence that begins with the version.
pub(super) async fn list(api: &Api, way: &Way, what: &str) -> Result<Result<Vec<Listed>, String>, PortError> {
    let path = &way.place.path;
    let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
    let mut found = blobs(api, way, &prefix, what).await?;
    if found.is_empty() && !path.is_empty() {
        // It may be a file. What is called alike and longer comes after it.
        found =
            first(api, way, path, what).await?.into_iter().filter(|blob| blob.name.text == *path).collect();
    }
    let mut files = Vec::new();
    for blob in found {
        match listed(blob, &prefix, what)? {
            Ok(file) => files.push(file),
            Err(why) => return Ok(Err(why)),
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    if files.is_empty() {
        return Ok(Err(format!("has no file below {}: its artefact was moved or deleted", way.place)));
    }
    if let Some(pair) = files.windows(2).find(|pair| pair[0].path == pair[1].path) {
        let text = format!("Blob Storage lists `{}` of {what} twice: its list is not used", pair[0].path);
        return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
    }
    let twice = files.iter().find(|file| {
        let folder = format!("{}/", file.path);
        let at = files.partition_point(|other| other.path < folder);
        files.get(at).is_some_and(|other| other.path.starts_with(&folder))
    });
    Ok(match twice {
        Some(file) => {
            Err(format!("holds both a file `{}` and files below it, which no folder can", file.path))
        }
        None => Ok(files),
    })
}

/// All blobs whose names begin so, but for those that stand for folders.
async fn blobs(api: &Api, way: &Way, prefix: &str, what: &str) -> Result<Vec<Blob>, PortError> {
    let (mut all, mut read) = (Vec::new(), Pages::default());
    loop {
        let page = page(api, way, prefix, (&read.marker, PAGE), what).await?;
        all.extend(page.blobs.all.into_iter().filter(|blob| !is_folder(blob)));
        if all.len() > artefact::FILES_MAX {
            return Err(too_many(way, what));
        }
        if !read.go_on(page.next_marker, way, what)? {
            return Ok(all);
        }
    }
}

/// The first blob whose name begins so. A page may be empty and not the last.
async fn first(api: &Api, way: &Way, prefix: &str, what: &str) -> Result<Option<Blob>, PortError> {
    let mut read = Pages::default();
    loop {
        let page = page(api, way, prefix, (&read.marker, 1), what).await?;
        if let Some(blob) = page.blobs.all.into_iter().next() {
            return Ok(Some(blob).filter(|blob| !is_folder(blob)));
        }
        if !read.go_on(page.next_marker, way, what)? {
            return Ok(None);
        }
    }
}

fn too_many(way: &Way, what: &str) -> PortError {
    let text = format!("{what} has more than {} files below {}", artefact::FILES_MAX, way.place);
    PortError::not_applied(ErrorKind::TooLarge, text)
}

/// The pages of a list that were read.
#[derive(Default)]
struct Pages {
    /// Where the next one begins; empty for the first.
    marker: String,
    seen: BTreeSet<String>,
}

impl Pages {
    /// Whether there is another page, after one that gave this marker.
    fn go_on(&mut self, marker: String, way: &Way, what: &str) -> Result<bool, PortError> {
        if self.seen.len() >= PAGES_MAX {
            return Err(too_many(way, what));
        }
        if marker.is_empty() {
            return Ok(false);
        }
        if !self.seen.insert(marker.clone()) {
            let text = format!(
                "Blob Storage says that there are more files of {what}, and gives a place to go on from that was read already: nothing of it is used"
            );
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
        }
        self.marker = marker;
        Ok(true)
    }
}

async fn page(
    api: &Api,
    way: &Way,
    prefix: &str,
    (marker, most): (&str, usize),
    what: &str,
) -> Result<Enumeration, PortError> {
    let most = most.to_string();
    let query = [("restype", "container"), ("comp", "list"), ("include", "metadata"), ("maxresults", &most)];
    let more = [("prefix", prefix), ("marker", marker)];
    let query: Vec<(&str, &str)> =
        query.into_iter().chain(more.into_iter().filter(|(_, text)| !text.is_empty())).collect();
    let listed = http::patiently(api.patience, || async {
        let answer = way.call(api, way.url.clone(), &query).await?.exchange().await?;
        api.judge_blobs(answer, &way.container())
    })
    .await
    .map_err(|error| {
        rephrased(
            error.kind,
            format!("the files of {what} cannot be listed below {}: {error}", way.place),
            &error,
        )
    })?;
    let text = String::from_utf8_lossy(&listed.body);
    quick_xml::de::from_str(text.trim_start_matches('\u{feff}')).map_err(|error| {
        let text = format!(
            "Blob Storage answered about {} with what is no list of blobs: {}",
            way.place,
            http::excerpt(error.to_string().as_bytes())
        );
        PortError::not_applied(ErrorKind::BadAnswer, text)
    })
}

fn is_folder(blob: &Blob) -> bool {
    // Whoever uploads a blob writes its metadata: one with content is a file, whatever they say.
    let says_so = blob.metadata.hdi_isfolder.eq_ignore_ascii_case("true") || blob.name.text.ends_with('/');
    blob.properties.kind == "directory" || (says_so && blob.properties.length == 0)
}

/// The outer error is of an answer that makes no sense, the inner one of a version that has no artefact.
fn listed(blob: Blob, prefix: &str, what: &str) -> Result<Result<Listed, String>, PortError> {
    let shown = http::excerpt(blob.name.text.as_bytes());
    let senseless = |part: &str| {
        let text = format!("Blob Storage lists {shown} of {what} without {part} that can be read");
        PortError::not_applied(ErrorKind::BadAnswer, text)
    };
    if blob.name.encoded == "true" {
        return Ok(Err(format!("holds the blob {shown}, whose name no artefact can hold")));
    }
    let path = match blob.name.text.strip_prefix(prefix) {
        Some(path) => path.to_owned(),
        // A file by itself has its own name.
        None if prefix.strip_suffix('/') == Some(&blob.name.text) => {
            blob.name.text.rsplit('/').next().unwrap_or_default().to_owned()
        }
        None => return Err(senseless("the prefix")),
    };
    if let Err(why) = artefact::check_path(&path) {
        return Ok(Err(format!("holds a blob that no artefact can hold: {why}")));
    }
    let md5 = Some(&blob.properties.md5).filter(|text| !text.is_empty());
    let md5 = md5.map(|text| {
        let bytes = STANDARD.decode(text).ok()?;
        bytes.try_into().ok()
    });
    let md5 = md5.map(|read: Option<[u8; 16]>| read.ok_or_else(|| senseless("an MD5 digest"))).transpose()?;
    if blob.properties.etag.is_empty() || !blob.properties.etag.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(senseless("an entity tag"));
    }
    // The list has it without its quotes, which the header wants.
    let etag = format!("\"{}\"", blob.properties.etag.trim_matches('"'));
    Ok(Ok(Listed { path, name: blob.name.text, bytes: blob.properties.length, etag, md5 }))
}

/// Fetches the listed files into the empty folder `into`; sorted by path when this returns.
pub(super) async fn fetch(
    api: &Api,
    way: &Way,
    files: Vec<Listed>,
    into: (&Arc<Dir>, &FileWork),
    bytes_max: u64,
    what: &str,
) -> Result<Vec<ArtefactFile>, PortError> {
    check_announced(files.iter().map(|file| file.bytes), bytes_max, what)?;
    let fetch = |file: Listed| async move {
        http::patiently(api.patience, || fetch_one(api, way, &file, into, what)).await
    };
    side_by_side(files.into_iter().map(fetch).collect()).await
}

async fn fetch_one(
    api: &Api,
    way: &Way,
    file: &Listed,
    (into, work): (&Arc<Dir>, &FileWork),
    what: &str,
) -> Result<ArtefactFile, PortError> {
    let named = format!("`{}`", file.path);
    let url = http::under(&way.url, &file.name.split('/').collect::<Vec<_>>());
    let call = way.call(api, url, &[]).await?.header("if-match", &file.etag);
    let body = match call.stream(api.deadline).await? {
        Ok(body) => body,
        Err(answer) => {
            let Err(error) = api.judge_blobs(answer, &way.container()) else {
                return Err(api.without("the file that it was asked for"));
            };
            return Err(match error.kind {
                ErrorKind::NotFound => rephrased(
                    ErrorKind::NotFound,
                    format!(
                        "the file {named} of {what} was overwritten or deleted after it was listed: {error}; fetch it again, or choose another version"
                    ),
                    &error,
                ),
                _ => error,
            });
        }
    };
    let to = download::Place { dir: into, path: &file.path, what, work };
    let Arrived { read, bytes, sha256, beside } =
        download::to_disk(body, file.bytes, to, Check::default()).await?;
    let differs = if read != file.bytes {
        let how = if read > file.bytes { "more" } else { "fewer" };
        Some(format!("with {how} than the {} bytes that are listed", file.bytes))
    } else if file.md5.is_some_and(|listed| listed != beside.finish()) {
        Some("with another MD5 digest than is listed".to_owned())
    } else {
        None
    };
    match differs {
        // Something between may have put another answer in the place of this one.
        Some(how) => Err(PortError::not_applied(
            ErrorKind::BadAnswer,
            format!("the file {named} of {what} came {how}: it was changed or damaged on its way"),
        )
        .retry(Retry::Later)),
        None => Ok(ArtefactFile { path: file.path.clone(), sha256, bytes }),
    }
}

/// Blob Storage's digest of what is written.
#[derive(Default)]
struct Check(Md5);

impl Check {
    fn finish(self) -> [u8; 16] {
        self.0.finalize().into()
    }
}

impl Write for Check {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
