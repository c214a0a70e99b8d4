//! Artefacts in Cloud Storage: the objects below a prefix, streamed to disk each in the generation that was listed, and hashed on the way, as Cloud Storage
//! does and as is pinned.

use std::io::{self, Write};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cap_std::fs::Dir;
use crc_fast::CrcAlgorithm;
use md5::{Digest as _, Md5};
use reqwest::{Method, Url};
use ripcord_core::target::ArtefactFile;
use ripcord_ports::{ErrorKind, PortError, Retry};

use super::api::Api;
use super::pages::Pages;
use super::refusal::{Right, rephrased};
use super::wire::{Object, Objects};
use crate::artefact;
use crate::download::{self, Arrived, check_announced, side_by_side};
use crate::file_work::FileWork;
use crate::http;

/// Objects that one answer may hold.
const PAGE: &str = "1000";
const PAGES_MAX: usize = artefact::FILES_MAX / 1_000;

/// A folder in Cloud Storage.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Place {
    bucket: String,
    /// Empty, or ends with `/`: what is called alike and longer lies elsewhere.
    prefix: String,
}

impl Place {
    /// From `gs://BUCKET/PATH`; else the end of a sentence that begins with the version.
    pub(super) fn of(uri: &str) -> Result<Self, String> {
        let rest = uri.strip_prefix("gs://").ok_or_else(|| {
            format!(
                "lies at {}, which is not in Cloud Storage: upload it with an `artifactUri` as `gs://BUCKET/PATH`",
                http::excerpt(uri.as_bytes())
            )
        })?;
        let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_end_matches('/');
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if bucket.is_empty() || !bucket.chars().all(plain) || matches!(bucket, "." | "..") {
            return Err(format!("lies at {}, which names no bucket", http::excerpt(uri.as_bytes())));
        }
        let prefix = if path.is_empty() { String::new() } else { format!("{path}/") };
        Ok(Self { bucket: bucket.to_owned(), prefix })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", http::excerpt(format!("gs://{}/{}", self.bucket, self.prefix).as_bytes()))
    }
}

/// A file of an artefact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    path: String,
    /// Of the object.
    name: String,
    bytes: u64,
    generation: u64,
    md5: Option<[u8; 16]>,
    crc32c: Option<[u8; 4]>,
}

/// The files that lie there, sorted by path; the inner error is the end of a sentence that begins with the version.
pub(super) async fn list(
    api: &Api,
    place: &Place,
    what: &str,
) -> Result<Result<Vec<Listed>, String>, PortError> {
    let right = Right::Objects(&place.bucket);
    let mut pages = Pages::of(format!("the objects below {place}"), PAGES_MAX);
    loop {
        let mut url = http::under(&api.storage, &["storage", "v1", "b", &place.bucket, "o"]);
        url.query_pairs_mut()
            .append_pair("prefix", &place.prefix)
            .append_pair("maxResults", PAGE)
            .append_pair("fields", "kind,nextPageToken,items(name,size,generation,md5Hash,crc32c)");
        if let Some(token) = pages.token() {
            url.query_pairs_mut().append_pair("pageToken", token);
        }
        let page: Objects = http::patiently(api.patience, || async {
            let call = api.call(Method::GET, &url, "Cloud Storage").await?;
            api.judge(call.exchange().await?, right)?.json()
        })
        .await
        .map_err(|error| {
            let text = format!("the files of {what} cannot be listed below {place}: {error}");
            rephrased(error.kind, text, &error)
        })?;
        if page.kind != "storage#objects" {
            let text =
                format!("Cloud Storage answered about {place} with something that is no list of objects");
            return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
        }
        let is_last = pages.is_last(page.items, page.next_page_token)?;
        if pages.all.len() > artefact::FILES_MAX {
            let text = format!("{what} has more than {} files below {place}", artefact::FILES_MAX);
            return Err(PortError::not_applied(ErrorKind::TooLarge, text));
        }
        if is_last {
            break;
        }
    }
    // An object that stands for a folder in the console holds nothing.
    let objects = pages.all.into_iter().filter(|object| !(object.name.ends_with('/') && object.size == "0"));
    let mut files = Vec::new();
    for object in objects {
        match listed(object, place, what)? {
            Ok(file) => files.push(file),
            Err(why) => return Ok(Err(why)),
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    if files.is_empty() {
        return Ok(Err(format!("has no file below {place}: its artefact was moved or deleted")));
    }
    if let Some(pair) = files.windows(2).find(|pair| pair[0].path == pair[1].path) {
        let text = format!("Cloud Storage lists `{}` of {what} twice: its list is not used", pair[0].path);
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

/// The outer error is of an answer that makes no sense, the inner one of a version that has no artefact.
fn listed(object: Object, place: &Place, what: &str) -> Result<Result<Listed, String>, PortError> {
    let senseless = |part: &str| {
        let text = format!(
            "Cloud Storage lists {} of {what} without {part} that can be read",
            http::excerpt(object.name.as_bytes())
        );
        PortError::not_applied(ErrorKind::BadAnswer, text)
    };
    let path = object.name.strip_prefix(&place.prefix).ok_or_else(|| senseless("the prefix"))?.to_owned();
    if let Err(why) = artefact::check_path(&path) {
        return Ok(Err(format!("holds an object that no artefact can hold: {why}")));
    }
    let decoded = |text: &Option<String>, part| {
        text.as_ref().map(|text| STANDARD.decode(text).map_err(|_| senseless(part))).transpose()
    };
    let md5 = decoded(&object.md5_hash, "an MD5 digest")?;
    let crc32c = decoded(&object.crc32c, "a CRC32C checksum")?;
    let md5 = md5.map(|bytes| bytes.try_into().map_err(|_| senseless("an MD5 digest"))).transpose()?;
    let crc32c =
        crc32c.map(|bytes| bytes.try_into().map_err(|_| senseless("a CRC32C checksum"))).transpose()?;
    let bytes = object.size.parse().map_err(|_| senseless("a size"))?;
    let generation = object.generation.parse().map_err(|_| senseless("a generation"))?;
    Ok(Ok(Listed { path, name: object.name, bytes, generation, md5, crc32c }))
}

/// Fetches the listed files into the empty folder `into`; sorted by path when this returns.
pub(super) async fn fetch(
    api: &Api,
    place: &Place,
    files: Vec<Listed>,
    into: (&Arc<Dir>, &FileWork),
    bytes_max: u64,
    what: &str,
) -> Result<Vec<ArtefactFile>, PortError> {
    check_announced(files.iter().map(|file| file.bytes), bytes_max, what)?;
    let fetch = |file: Listed| async move {
        http::patiently(api.patience, || fetch_one(api, place, &file, into, what)).await
    };
    side_by_side(files.into_iter().map(fetch).collect()).await
}

async fn fetch_one(
    api: &Api,
    place: &Place,
    file: &Listed,
    (into, work): (&Arc<Dir>, &FileWork),
    what: &str,
) -> Result<ArtefactFile, PortError> {
    let named = format!("`{}`", file.path);
    let url = object_url(api, place, file);
    // What was compressed when it was uploaded is taken as it lies there, as its digests are.
    let call = api.call(Method::GET, &url, "Cloud Storage").await?.header("accept-encoding", "gzip");
    let body = match call.stream(api.deadline).await? {
        Ok(body) => body,
        Err(answer) => {
            let Err(error) = api.judge(answer, Right::Objects(&place.bucket)) else {
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
        download::to_disk(body, file.bytes, to, Checks::default()).await?;
    let (md5, crc32c) = beside.finish();
    let differs = if read != file.bytes {
        let how = if read > file.bytes { "more" } else { "fewer" };
        Some(format!("with {how} than the {} bytes that are listed", file.bytes))
    } else if file.md5.is_some_and(|listed| listed != md5) {
        Some("with another MD5 digest than is listed".to_owned())
    } else if file.crc32c.is_some_and(|listed| listed != crc32c) {
        Some("with another CRC32C checksum than is listed".to_owned())
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

fn object_url(api: &Api, place: &Place, file: &Listed) -> Url {
    let mut url = http::under(&api.storage, &["storage", "v1", "b", &place.bucket, "o", &file.name]);
    url.query_pairs_mut().append_pair("alt", "media").append_pair("generation", &file.generation.to_string());
    url
}

/// Cloud Storage's digests of what is written.
struct Checks {
    md5: Md5,
    crc32c: crc_fast::Digest,
}

impl Default for Checks {
    fn default() -> Self {
        // CRC32C is the polynomial of iSCSI.
        Self { md5: Md5::default(), crc32c: crc_fast::Digest::new(CrcAlgorithm::Crc32Iscsi) }
    }
}

impl Checks {
    fn finish(self) -> ([u8; 16], [u8; 4]) {
        (self.md5.finalize().into(), (self.crc32c.finalize() as u32).to_be_bytes())
    }
}

impl Write for Checks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.md5.update(bytes);
        self.crc32c.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_read_from_its_address() {
        let of = |uri: &str| Place::of(uri).map(|place| (place.bucket, place.prefix));
        let is = |bucket: &str, prefix: &str| Ok((bucket.to_owned(), prefix.to_owned()));
        assert_eq!(of("gs://models/fraud/1"), is("models", "fraud/1/"));
        assert_eq!(of("gs://models/fraud/1//"), is("models", "fraud/1/"));
        assert_eq!(of("gs://models"), is("models", ""));
        for (uri, wanted) in
            [("s3://a/b", "not in Cloud Storage"), ("gs:///a", "no bucket"), ("gs://a b/c", "no bucket")]
        {
            assert!(of(uri).unwrap_err().contains(wanted), "{uri}");
        }
    }

    #[test]
    fn the_checksum_is_that_of_cloud_storage() {
        let mut checks = Checks::default();
        checks.write_all(b"123456789").unwrap();
        // The check value of CRC-32C, as its catalogues have it.
        assert_eq!(checks.finish().1, 0xe306_9283_u32.to_be_bytes());
    }
}
