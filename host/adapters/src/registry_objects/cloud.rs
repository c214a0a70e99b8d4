//! A bucket or container in a cloud, or in whatever speaks as one, through the crate `object_store`.
//!
//! That crate signs, pages and reads; it is told to try nothing again, since what may be tried again is for this one to say.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cap_std::fs::Dir;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{
    Error, ObjectMeta, ObjectStore, ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions,
    PutPayload, UpdateVersion,
};
use ripcord_core::digest::Digest;
use ripcord_core::target::ArtefactFile;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::{ErrorKind, PortError, Retry, waiting};

use super::client::{Odd, Refused};
use super::store::{Expecting, Listed, OBJECTS_MAX, Object, Read, Stamp, Store};
use crate::checkpoints::shown;
use crate::download::{self, Pieces, Place};
use crate::file_work::FileWork;
use crate::folder::{local, open_file};
use crate::http::{Patience, patiently};

/// Pages of one list. A store may give empty ones, and says itself whether there is another.
const PAGES_MAX: usize = 1_000;
/// Names that no file can have, as many of them as are kept.
const ODD_MAX: usize = 100;
/// A file that is larger is written in parts of this size. Ten thousand of them, which is what stores take, are 320 GB.
const PART_BYTES: u64 = 32 << 20;
const RETRY_AFTER_MAX_S: u64 = 3_600;
/// What is sent may take a second more for so many bytes.
const BYTES_IN_A_SECOND: u64 = 128 << 10;

/// Both that a store can do.
pub(super) trait Both: ObjectStore + PaginatedListStore {}

impl<S: ObjectStore + PaginatedListStore> Both for S {}

/// How a store is spoken of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    /// As its users call it.
    pub(super) system: &'static str,
    /// Where objects are: the key of the configuration.
    pub(super) bucket: &'static str,
    /// What to look at when it knows nobody.
    pub(super) credentials: &'static str,
    /// The rights to list, to read and to write.
    pub(super) rights: [&'static str; 3],
}

/// What a call was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Right {
    List,
    Read,
    Write,
}

/// Forgets credentials that somebody did not take.
pub(super) type Forget = Arc<dyn Fn(&str) -> futures_util::future::BoxFuture<'static, ()> + Send + Sync>;

/// A place of objects in a cloud.
pub(super) struct Cloud {
    pub(super) store: Arc<dyn Both>,
    pub(super) words: Words,
    pub(super) forget: Option<Forget>,
    /// As people know it: `s3://bucket/prefix`.
    pub(super) shown: String,
    /// The store's address and region.
    pub(super) store_at: String,
    /// What names begin with, without a slash at its end.
    pub(super) prefix: String,
    /// Of a call, and of each piece of a file.
    pub(super) deadline: Duration,
    pub(super) patience: Millis,
    pub(super) files: FileWork,
}

impl fmt::Debug for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloud").field("shown", &self.shown).finish_non_exhaustive()
    }
}

impl Cloud {
    fn patience(&self) -> Patience {
        Patience(self.patience)
    }

    fn key(&self, name: &str, doing: &str) -> Result<Path, PortError> {
        let key = if self.prefix.is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) };
        Path::parse(key).map_err(|error| {
            let text = format!("cannot {doing}: there is no object of such a name ({error}); rename it");
            PortError::not_applied(ErrorKind::Unsupported, shown(&text))
        })
    }

    /// Ends what does not end by itself.
    async fn within<T>(
        &self,
        right: Right,
        doing: &str,
        call: impl Future<Output = object_store::Result<T>> + Send,
    ) -> Result<T, PortError> {
        self.ended(right, doing, self.deadline, call).await
    }

    /// The same of a call that sends so many bytes.
    async fn within_sending<T>(
        &self,
        bytes: usize,
        doing: &str,
        call: impl Future<Output = object_store::Result<T>> + Send,
    ) -> Result<T, PortError> {
        let more = Duration::from_secs(bytes as u64 / BYTES_IN_A_SECOND);
        self.ended(Right::Write, doing, self.deadline.saturating_add(more), call).await
    }

    async fn ended<T>(
        &self,
        right: Right,
        doing: &str,
        deadline: Duration,
        call: impl Future<Output = object_store::Result<T>> + Send,
    ) -> Result<T, PortError> {
        let system = self.words.system;
        let answer = waiting::for_system(&self.shown, tokio::time::timeout(deadline, call)).await;
        let error = match answer {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => failed(&error, self.words, right, doing),
            Err(_) => {
                let text = format!(
                    "{system} did not answer within {deadline:?} (`deadline-ms`, and a second for each 128 KiB that are sent): cannot {doing}"
                );
                let late = PortError::not_applied(ErrorKind::TimedOut, text);
                if right == Right::Write { late.outcome_unknown() } else { late }
            }
        };
        if error.kind == ErrorKind::Denied
            && let Some(forget) = &self.forget
        {
            forget(&error.to_string()).await;
        }
        Err(error)
    }

    /// A call that may be made again, whatever came of it.
    async fn again<T: Send, F: Future<Output = Result<T, PortError>> + Send>(
        &self,
        mut call: impl FnMut() -> F + Send,
    ) -> Result<T, PortError> {
        patiently(self.patience(), || {
            let call = call();
            async { call.await.map_err(super::without_effect) }
        })
        .await
    }

    fn in_it(&self, what: &str, name: &str) -> String {
        format!("{what} `{}` in `{}`", shown(name), self.shown)
    }

    async fn upload_parts(&self, key: &Path, source: Source, doing: &str) -> Result<(), PortError> {
        let options = PutMultipartOptions::default();
        let begun = self.within(Right::Write, doing, self.store.put_multipart_opts(key, options)).await;
        let mut upload = begun?;
        let sent = async {
            let mut source = source;
            loop {
                let (rest, part) = self.files.run(move |_| source.next_part()).await?;
                source = rest;
                if part.is_empty() {
                    break;
                }
                let bytes = part.len();
                self.within_sending(bytes, doing, upload.put_part(PutPayload::from(part))).await?;
            }
            self.within(Right::Write, doing, upload.complete()).await.map(drop)
        }
        .await;
        if sent.is_err() {
            // The error that is reported is the first one; what is left over is the store's to clear away.
            let _ = self.within(Right::Write, doing, upload.abort()).await;
        }
        sent
    }
}

/// A file that is sent part by part.
struct Source {
    file: cap_std::fs::File,
    what: String,
}

impl Source {
    fn next_part(mut self) -> Result<(Self, Vec<u8>), PortError> {
        let mut part = Vec::new();
        (&mut self.file)
            .take(PART_BYTES)
            .read_to_end(&mut part)
            .map_err(|error| local(error, format_args!("cannot read `{}`", self.what)))?;
        Ok((self, part))
    }
}

#[async_trait]
impl Store for Cloud {
    fn shown(&self) -> &str {
        &self.shown
    }

    fn place(&self) -> String {
        format!("{} of {}", self.shown, self.store_at)
    }

    async fn list(&self, folder: &str) -> Result<Listed, PortError> {
        let doing = self.in_it("list", folder);
        let below = format!("{}/", self.key(folder, &doing)?);
        let mut listed = Listed::default();
        let mut tokens = BTreeSet::new();
        let mut token: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let page = self
                .again(|| {
                    let options =
                        PaginatedListOptions { page_token: token.clone(), ..PaginatedListOptions::default() };
                    self.within(Right::List, &doing, self.store.list_paginated(Some(&below), options))
                })
                .await?;
            if let Some(Odd(odd)) = page.result.extensions.get::<Odd>() {
                let names = odd.iter().map(|key| key.strip_prefix(below.as_str()).unwrap_or(key).to_owned());
                listed.odd.extend(names.take(ODD_MAX.saturating_sub(listed.odd.len())));
            }
            for object in page.result.objects {
                let key = object.location.as_ref();
                let Some(name) = key.strip_prefix(below.as_str()) else {
                    // What a console leaves to show the folder itself.
                    if format!("{key}/") == below {
                        continue;
                    }
                    let text = format!(
                        "cannot {doing}: it was answered with `{}`, which lies elsewhere; check `endpoint`",
                        shown(key)
                    );
                    return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
                };
                listed.objects.push(of_meta(name.to_owned(), &object));
            }
            if listed.objects.len() > OBJECTS_MAX {
                return Err(self.too_many(&doing, &format!("{OBJECTS_MAX} objects")));
            }
            token = page.page_token.filter(|token| !token.is_empty());
            let Some(next) = &token else {
                listed.objects.sort_by(|a, b| a.name.cmp(&b.name));
                // Also what a console leaves for folders below.
                let folders: BTreeSet<String> =
                    listed.objects.iter().flat_map(|object| folders_above(&object.name)).collect();
                listed.objects.retain(|object| object.bytes > 0 || !folders.contains(&object.name));
                return Ok(listed);
            };
            if !tokens.insert(next.clone()) {
                let text = format!(
                    "cannot {doing}: {} says that there is more, and gives a place to go on from that was read already; nothing of it is used",
                    self.words.system
                );
                return Err(PortError::not_applied(ErrorKind::BadAnswer, text));
            }
        }
        Err(self.too_many(&doing, &format!("{PAGES_MAX} pages of objects")))
    }

    async fn read(&self, name: &str, bytes_max: u64) -> Result<Option<Read>, PortError> {
        let doing = self.in_it("read", name);
        let key = self.key(name, &doing)?;
        let read = self
            .again(|| async {
                let found = self.within(Right::Read, &doing, self.store.get(&key)).await?;
                if found.meta.size > bytes_max {
                    let text = format!(
                        "cannot {doing}: it has more than {bytes_max} bytes and is not what it should be"
                    );
                    return Err(PortError::not_applied(ErrorKind::TooLarge, text));
                }
                let meta = of_meta(name.to_owned(), &found.meta);
                let bytes = self.within(Right::Read, &doing, found.bytes()).await?.to_vec();
                if bytes.len() as u64 != meta.bytes {
                    return Err(cut(&doing));
                }
                Ok(Read { bytes, changed: meta.changed, stamp: meta.stamp })
            })
            .await;
        match read {
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    async fn take(&self, name: &str, bytes: u64, to: Place<'_>) -> Result<(Digest, u64), PortError> {
        let doing = self.in_it("read", name);
        let key = self.key(name, &doing)?;
        let Place { dir, path, what, work } = to;
        self.again(|| async {
            let found = self.within(Right::Read, &doing, self.store.get(&key)).await?;
            let announced = found.meta.size;
            let body = Body { cloud: self, stream: found.into_stream(), doing: &doing };
            let place = Place { dir, path, what, work };
            let arrived = download::to_disk(body, bytes, place, std::io::sink()).await?;
            if arrived.read != announced && arrived.read <= bytes {
                return Err(cut(&doing));
            }
            Ok((arrived.sha256, arrived.read))
        })
        .await
    }

    async fn put(&self, name: &str, bytes: Vec<u8>, expecting: &Expecting) -> Result<(), PortError> {
        let doing = self.in_it("write", name);
        let key = self.key(name, &doing)?;
        let mode = match expecting {
            Expecting::Nothing => PutMode::Create,
            Expecting::Content(Stamp { e_tag, version }) => {
                PutMode::Update(UpdateVersion { e_tag: e_tag.clone(), version: version.clone() })
            }
        };
        patiently(self.patience(), || {
            let options = PutOptions { mode: mode.clone(), ..PutOptions::default() };
            let payload = PutPayload::from(bytes.clone());
            self.within_sending(bytes.len(), &doing, self.store.put_opts(&key, payload, options))
        })
        .await
        .map(drop)
    }

    async fn upload(&self, name: &str, from: &Arc<Dir>, file: &ArtefactFile) -> Result<(), PortError> {
        let doing = self.in_it("write", name);
        let key = self.key(name, &doing)?;
        self.again(|| async {
            let (dir, path) = (Arc::clone(from), file.path.clone());
            let opened = self.files.run(move |_| {
                open_file(&dir, &path)
                    .map(|file| Source { file, what: path.clone() })
                    .map_err(|error| local(error, format_args!("cannot read `{path}`")))
            });
            let source = opened.await?;
            if file.bytes > PART_BYTES {
                return self.upload_parts(&key, source, &doing).await;
            }
            let (_, bytes) = self.files.run(move |_| source.next_part()).await?;
            let sent = bytes.len();
            let put = self.store.put_opts(&key, PutPayload::from(bytes), PutOptions::default());
            self.within_sending(sent, &doing, put).await.map(drop)
        })
        .await
    }
}

impl Cloud {
    fn too_many(&self, doing: &str, than: &str) -> PortError {
        let text = format!("cannot {doing}: there are more than {than}; move old versions away");
        PortError::not_applied(ErrorKind::TooLarge, text)
    }
}

/// An object on its way.
struct Body<'a> {
    cloud: &'a Cloud,
    stream: BoxStream<'static, object_store::Result<bytes::Bytes>>,
    doing: &'a str,
}

impl Pieces for Body<'_> {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, PortError> {
        let stream = &mut self.stream;
        let next = async { stream.next().await.transpose() };
        Ok(self.cloud.within(Right::Read, self.doing, next).await?.map(|piece| piece.to_vec()))
    }
}

fn of_meta(name: String, meta: &ObjectMeta) -> Object {
    Object {
        name,
        bytes: meta.size,
        changed: UnixMillis(u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or(0)),
        stamp: Stamp { e_tag: meta.e_tag.clone(), version: meta.version.clone() },
    }
}

/// All folders that a name lies in.
fn folders_above(name: &str) -> impl Iterator<Item = String> {
    name.match_indices('/').map(|(at, _)| name[..at].to_owned())
}

fn cut(doing: &str) -> PortError {
    let text = format!("cannot {doing}: it was cut on its way, or is being written");
    PortError::not_applied(ErrorKind::BadAnswer, text).retry(Retry::Later)
}

/// The code of a store's own error.
fn code(said: &str) -> &str {
    let rest = said.split_once("<Code>").map_or("", |(_, rest)| rest);
    rest.split_once("</Code>").map_or("", |(code, _)| code)
}

/// Whether what is not there is the bucket itself: then nothing is known of what lies in it.
fn is_of_bucket(code: &str) -> bool {
    matches!(code, "NoSuchBucket" | "ContainerNotFound" | "AccountNotFound")
}

/// Whether it is the object. Any other that answers 404 in the store's place knows nothing of it.
fn is_of_object(code: &str) -> bool {
    matches!(code, "NoSuchKey" | "BlobNotFound")
}

/// Whether it has to be brought back from where it is cheap to keep.
fn is_archived(code: &str) -> bool {
    matches!(code, "InvalidObjectState" | "BlobArchived" | "BlobBeingRehydrated")
}

/// The cause that an adapter of ours gave.
fn ours(error: &Error) -> Option<&PortError> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = std::error::Error::source(error);
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        next = cause.source();
    }
    None
}

fn failed(error: &Error, words: Words, right: Right, doing: &str) -> PortError {
    let Words { system, bucket, credentials, rights } = words;
    let is_write = right == Right::Write;
    let no = |kind, why: &str, advice: &str| {
        PortError::not_applied(kind, format!("cannot {doing}: {why}; {advice}"))
    };
    let marked = |error: PortError| if is_write { error.outcome_unknown() } else { error };
    if let Some(ours) = ours(error) {
        // What is wrong with credentials says nothing of the object.
        let kind = if super::is_of_one(ours) { ErrorKind::Configuration } else { ours.kind };
        return no(kind, &ours.to_string(), "nothing was asked").retry(ours.retry);
    }
    let Some(refused) = Refused::beneath(error) else {
        let said = shown(&error.to_string());
        return marked(
            no(ErrorKind::BadAnswer, &said, &format!("it was cut on its way, or `endpoint` is not {system}"))
                .retry(Retry::Later),
        );
    };
    let why = refused.to_string();
    match refused {
        Refused::NoConnection => no(
            ErrorKind::Unreachable,
            &why,
            &format!("check `endpoint`, the network, and that {system} runs"),
        ),
        Refused::Broken { is_late } => {
            let kind = if *is_late { ErrorKind::TimedOut } else { ErrorKind::Unreachable };
            marked(no(kind, &why, "it may pass: try again"))
        }
        Refused::NoList { .. } => no(
            ErrorKind::BadAnswer,
            &why,
            "something before the store answers in its place, or it is none: check `endpoint`",
        )
        .retry(Retry::Later),
        Refused::TooLarge => no(ErrorKind::TooLarge, &why, "check `endpoint`"),
        Refused::InTheClear { .. } => no(ErrorKind::Configuration, &why, "write its address with `https`"),
        Refused::Status { status, wait, said } => {
            let code = code(said);
            let later = match wait {
                Some(seconds) => Retry::After(Millis((*seconds).min(RETRY_AFTER_MAX_S) * 1_000)),
                None => Retry::Later,
            };
            let needed = rights[right as usize];
            match *status {
                403 | 409 if is_archived(code) => {
                    no(ErrorKind::BadAnswer, &why, "it lies in an archive tier: restore it there first")
                }
                401 => no(ErrorKind::Denied, &why, credentials),
                403 => no(
                    ErrorKind::Denied,
                    &why,
                    &format!("{credentials}, and that who asks has the right `{needed}` there"),
                ),
                // S3 says so where what was to be written over is gone.
                404 if is_write && is_of_object(code) => {
                    no(ErrorKind::Conflict, &why, "somebody else has deleted it meanwhile")
                }
                404 if is_of_bucket(code) => {
                    no(ErrorKind::Configuration, &why, &format!("check `{bucket}`"))
                }
                404 if right == Right::Read && is_of_object(code) => {
                    no(ErrorKind::NotFound, &why, "it was deleted, or never written")
                }
                404 => no(
                    ErrorKind::BadAnswer,
                    &why,
                    &format!(
                        "that is not how {system} says that something is missing: check `endpoint`, the {bucket}, what stands before it, and who gives tokens"
                    ),
                )
                .retry(Retry::Later),
                409 | 412 => no(ErrorKind::Conflict, &why, "somebody else has written it meanwhile"),
                300..=399 => no(
                    ErrorKind::Configuration,
                    &why,
                    "redirects are not followed: check `region` and `endpoint`",
                ),
                408 | 425 | 429 => no(ErrorKind::Failed, &why, "it passes: too much is asked").retry(later),
                503 => marked(no(ErrorKind::Failed, &why, "it passes").retry(later)),
                500.. => marked(no(ErrorKind::Failed, &why, &format!("see the state of {system}"))),
                _ => no(ErrorKind::Failed, &why, "check the configuration").retry(Retry::No),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_that_are_not_there_are_no_missing_object() {
        let words = Words { system: "it", bucket: "bucket", credentials: "check", rights: ["l", "r", "w"] };
        let kind = |kind| {
            let source = Box::new(PortError::not_applied(kind, "of a service of tokens"));
            failed(&Error::Generic { store: "S3", source }, words, Right::Read, "read").kind
        };
        for of_one in [ErrorKind::NotFound, ErrorKind::TooLarge, ErrorKind::BadAnswer] {
            assert_eq!(kind(of_one), ErrorKind::Configuration);
        }
        assert_eq!(kind(ErrorKind::Unreachable), ErrorKind::Unreachable);
    }

    #[test]
    fn a_name_lies_in_each_folder_above_it() {
        assert_eq!(folders_above("a/b/c").collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(folders_above("a").count(), 0);
    }

    #[test]
    fn a_bucket_that_is_not_there_is_no_missing_object() {
        let of = |said: &str| (is_of_bucket(code(said)), is_of_object(code(said)));
        assert_eq!(of("`<Error><Code>NoSuchBucket</Code><Key>NoSuchKey</Key></Error>`"), (true, false));
        assert_eq!(of("`<Error><Code>NoSuchKey</Code><Key>NoSuchBucket</Key></Error>`"), (false, true));
        assert_eq!(of("`<Error><Code>BlobNotFound</Code>"), (false, true));
        assert_eq!(of("`no NoSuchKey in a page`"), (false, false));
        assert!(is_archived(code("<Code>BlobArchived</Code>")) && !is_archived(code("")));
    }
}
