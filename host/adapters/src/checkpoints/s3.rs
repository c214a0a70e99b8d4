//! A bucket of an S3-compatible store, or what lies below a prefix in it. Its folders are common beginnings of keys.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cap_std::fs::Dir;
use futures_util::StreamExt;
use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path;
use object_store::{Error, GetResult, ListResult, ObjectStoreExt as _};
use ripcord_core::digest::Digest;
use ripcord_core::time::UnixMillis;
use ripcord_ports::{ErrorKind, PortError, waiting};
use tokio::sync::mpsc;

use super::place::{Entry, Kind, Place, Placed, below, changed_meanwhile};
use super::served::shown;
use super::taken::opened_for_writing;
use crate::artefact::{self, Hashing};
use crate::checkpoints_s3::Refused;
use crate::file_work::{FileWork, GivenUp};
use crate::folder;

/// Pieces of a file that wait for the disk.
const PIECES: usize = 16;
/// Pages of one list, of a thousand keys each. A store may give empty pages, and says itself whether there is another.
const PAGES_MAX: usize = 1_000;

#[derive(Debug)]
pub(crate) struct S3Place {
    pub(crate) store: AmazonS3,
    /// As people know it: `s3://bucket/prefix`.
    pub(crate) shown: String,
    /// The store's address and region.
    pub(crate) store_at: String,
    /// What keys begin with, without a slash at its end.
    pub(crate) prefix: String,
    /// Of a call, and of each piece of a file.
    pub(crate) deadline: Duration,
    pub(crate) files: FileWork,
}

impl S3Place {
    fn failed(&self, error: &Error, doing: &str) -> PortError {
        let doing = format!("cannot {doing} in `{}`", self.shown);
        if let Some(refused) = Refused::beneath(error) {
            return refused.told(&doing);
        }
        let (kind, advice) = match error {
            Error::NotFound { .. } => (ErrorKind::NotFound, "check `bucket` and `prefix`"),
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => (
                ErrorKind::Denied,
                "check the key and its secret, this machine's time, and that the key may list and read the bucket",
            ),
            Error::InvalidPath { .. } => (
                ErrorKind::Local,
                "such a key cannot be read: rename it, without empty parts, parts of dots, and control characters",
            ),
            _ => (ErrorKind::Unreachable, "check `endpoint` and `region`, and that the store runs"),
        };
        PortError::not_applied(kind, format!("{doing}: {}; {advice}", shown(&error.to_string())))
    }

    /// Ends what does not end by itself.
    async fn within<T>(
        &self,
        doing: &str,
        call: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, PortError> {
        match waiting::for_system(&self.shown, tokio::time::timeout(self.deadline, call)).await {
            Ok(answer) => answer.map_err(|error| self.failed(&error, doing)),
            Err(_) => {
                let text =
                    format!("`{}` did not answer within {:?}: cannot {doing}", self.shown, self.deadline);
                Err(PortError::not_applied(ErrorKind::TimedOut, text))
            }
        }
    }

    fn key(&self, path: &str) -> Result<Path, PortError> {
        let key = if path.is_empty() { self.prefix.clone() } else { below(&self.prefix, path) };
        Path::parse(key).map_err(|error| {
            let text = format!("`{}` is the key of nothing: {}", shown(path), shown(&error.to_string()));
            PortError::not_applied(ErrorKind::NotFound, text)
        })
    }

    /// Pages of keys below the folder, until there are no more or `page` has enough.
    async fn pages(
        &self,
        path: &str,
        delimiter: Option<&'static str>,
        mut page: impl FnMut(ListResult) -> Result<(), PortError>,
    ) -> Result<(), PortError> {
        let folder = self.key(path)?;
        let prefix = if folder.as_ref().is_empty() { None } else { Some(format!("{folder}/")) };
        let doing = format!("list `{}`", shown(path));
        let mut token = None;
        for _ in 0..PAGES_MAX {
            let options = PaginatedListOptions {
                delimiter: delimiter.map(Into::into),
                page_token: token.take(),
                ..PaginatedListOptions::default()
            };
            let listed = self.within(&doing, self.store.list_paginated(prefix.as_deref(), options)).await?;
            page(listed.result)?;
            token = listed.page_token;
            if token.is_none() {
                return Ok(());
            }
        }
        Err(self.too_large(path, &format!("{PAGES_MAX} pages of keys")))
    }

    fn too_large(&self, path: &str, than: &str) -> PortError {
        let text =
            format!("`{}` in `{}` holds more than {than}: move old ones away", shown(path), self.shown);
        PortError::not_applied(ErrorKind::TooLarge, text)
    }

    async fn get(&self, file: &str) -> Result<GetResult, PortError> {
        let key = self.key(file)?;
        self.within(&format!("read `{}`", shown(file)), self.store.get(&key)).await
    }
}

fn at(time: i64) -> Option<UnixMillis> {
    u64::try_from(time).ok().map(UnixMillis)
}

/// All folders that a path lies in.
fn folders_above(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

#[async_trait]
impl Place for S3Place {
    fn shown(&self) -> String {
        self.shown.clone()
    }

    fn compared(&self) -> String {
        format!("{} of {}", self.shown, self.store_at)
    }

    async fn entries(&self, folder: &str, max: usize) -> Result<Vec<Entry>, PortError> {
        let own = self.key(folder)?;
        let mut entries = Vec::new();
        let mut folders = BTreeSet::new();
        self.pages(folder, Some("/"), |page| {
            for found in page.common_prefixes {
                folders.extend(found.filename().map(str::to_owned));
            }
            for object in page.objects {
                // What a console leaves to show a folder is no file.
                let Some(name) = object.location.filename().filter(|_| object.location != own) else {
                    continue;
                };
                let kind =
                    Kind::File { bytes: object.size, changed: at(object.last_modified.timestamp_millis()) };
                entries.push(Entry { name: name.to_owned(), kind });
            }
            if entries.len() + folders.len() > max {
                return Err(self.too_large(folder, &format!("{max} files and folders")));
            }
            Ok(())
        })
        .await?;
        let is_mark = |entry: &Entry| {
            matches!(entry.kind, Kind::File { bytes: 0, .. }) && folders.contains(&entry.name)
        };
        entries.retain(|entry| !is_mark(entry));
        entries.extend(folders.into_iter().map(|name| Entry { name, kind: Kind::Folder }));
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    async fn read(&self, file: &str, bytes_max: u64) -> Result<Vec<u8>, PortError> {
        let found = self.get(file).await?;
        if found.meta.size > bytes_max {
            let text = format!(
                "`{}` in `{}` has more than {bytes_max} bytes: it is not what it should be",
                shown(file),
                self.shown
            );
            return Err(PortError::not_applied(ErrorKind::TooLarge, text));
        }
        Ok(self.within(&format!("read `{}`", shown(file)), found.bytes()).await?.to_vec())
    }

    async fn files(&self, folder: &str) -> Result<Vec<Placed>, PortError> {
        let own = self.key(folder)?;
        let mut files = Vec::new();
        self.pages(folder, None, |page| {
            for object in page.objects {
                let path = object.location.as_ref().strip_prefix(own.as_ref()).unwrap_or_default();
                let path = path.trim_start_matches('/');
                if !path.is_empty() {
                    let stamp = object.e_tag;
                    files.push(Placed { path: path.to_owned(), bytes: object.size, stamp });
                }
            }
            if files.len() > artefact::FILES_MAX {
                return Err(self.too_large(folder, &format!("{} files", artefact::FILES_MAX)));
            }
            Ok(())
        })
        .await?;
        // What a console leaves to show a folder lies beside what is in it.
        let folders: BTreeSet<String> =
            files.iter().flat_map(|file| folders_above(&file.path)).map(str::to_owned).collect();
        files.retain(|file| file.bytes > 0 || !folders.contains(&file.path));
        files.sort();
        Ok(files)
    }

    /// One answer is of one content: where a connection breaks, the rest is asked for by the object's tag.
    async fn take(&self, file: &str, into: Option<(&Arc<Dir>, &str)>) -> Result<(Digest, u64), PortError> {
        let found = self.get(file).await?;
        let wanted = found.meta.size;
        let mut body = found.into_stream();
        let (pieces, taken) = mpsc::channel(PIECES);
        let (into, of) = (into.map(|(dir, name)| (Arc::clone(dir), name.to_owned())), file.to_owned());
        let writing = self.files.run(move |given_up| write(into.as_ref(), taken, &of, given_up));
        let doing = format!("read `{}`", shown(file));
        let reading = async move {
            loop {
                let next = async { body.next().await.transpose() };
                let Some(piece) = self.within(&doing, next).await? else { return Ok(()) };
                // A writer that is gone says why itself.
                if pieces.send(piece.to_vec()).await.is_err() {
                    return Ok(());
                }
            }
        };
        let (read, written): (Result<(), PortError>, _) = tokio::join!(reading, writing);
        read?;
        let (sha256, bytes) = written?;
        if bytes != wanted {
            return Err(changed_meanwhile(&format!("`{}` in `{}`", shown(file), self.shown)));
        }
        Ok((sha256, bytes))
    }
}

/// Writes and hashes the pieces as they come; ends with them.
fn write(
    into: Option<&(Arc<Dir>, String)>,
    mut pieces: mpsc::Receiver<Vec<u8>>,
    of: &str,
    given_up: &GivenUp,
) -> Result<(Digest, u64), PortError> {
    let failed = |error: io::Error| folder::local(error, format_args!("cannot write `{}`", shown(of)));
    let mut to = given_up.fence(opened_for_writing(into).map_err(failed)?);
    let mut hashing = Hashing::new(&mut to);
    while let Some(piece) = pieces.blocking_recv() {
        hashing.write(&piece).map_err(failed)?;
    }
    Ok(hashing.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_lies_in_each_folder_above_it() {
        assert_eq!(folders_above("a/b/c").collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(folders_above("a").count(), 0);
    }
}
