//! The commits of a branch that changed the file.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ripcord_core::digest::Digest;
use ripcord_core::name::VersionName;
use ripcord_core::time::UnixMillis;
use ripcord_ports::restorer::HistoryEntry;
use ripcord_ports::{ErrorKind, PortError};

use super::GitRestorer;
use super::program::Git;
use crate::restoring::{CONTENT_BYTES_MAX, no_revision, summary};

/// So many changes of the file are looked at, the newest.
const COMMITS_MAX: usize = 300;
const LFS: &[u8] = b"version https://git-lfs.github.com/spec/";

/// The newest changes of the file.
#[derive(Debug, Clone)]
pub(super) struct Revisions {
    pub(super) tip: String,
    newest_first: Vec<Commit>,
}

/// One change of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Commit {
    pub(super) name: VersionName,
    at: UnixMillis,
    by: String,
    subject: String,
    left: Left,
}

/// What it left.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Left {
    File { mode: String, blob: String },
    Other(&'static str),
}

/// What is known of a content.
#[derive(Debug, Clone, Default)]
pub(super) struct Described {
    pub(super) digest: Option<Digest>,
    broken: Option<String>,
}

/// What is known of the newest changes, and of no others.
#[derive(Debug, Default)]
pub(super) struct Known {
    contents: Mutex<BTreeMap<String, Described>>,
    last: Mutex<Option<Revisions>>,
}

impl Commit {
    pub(super) fn blob(&self) -> Option<&str> {
        match &self.left {
            Left::File { blob, .. } => Some(blob),
            Left::Other(_) => None,
        }
    }

    pub(super) fn mode(&self) -> Option<&str> {
        match &self.left {
            Left::File { mode, .. } => Some(mode),
            Left::Other(_) => None,
        }
    }

    /// Why it left nothing that could be restored.
    pub(super) fn broken(&self) -> Option<&'static str> {
        match &self.left {
            Left::File { .. } => None,
            Left::Other(why) => Some(why),
        }
    }
}

impl Revisions {
    pub(super) fn newest(&self) -> Option<&Commit> {
        self.newest_first.first()
    }

    pub(super) fn find(&self, name: &VersionName) -> Option<&Commit> {
        self.newest_first.iter().find(|commit| commit.name == *name)
    }

    /// The commit that names a content.
    pub(super) fn oldest_with(&self, blob: &str) -> Option<&Commit> {
        self.newest_first.iter().rev().find(|commit| commit.blob() == Some(blob))
    }

    /// Those that name a content, and those that left none; newest first.
    pub(super) fn named(&self) -> impl Iterator<Item = &Commit> {
        self.newest_first.iter().filter(|commit| {
            commit
                .blob()
                .is_none_or(|blob| self.oldest_with(blob).is_some_and(|first| first.name == commit.name))
        })
    }
}

impl Git {
    /// What a commit has at the path; none where it is no commit or has no such file.
    pub(super) async fn blob_at(&self, commit: &str, path: &str) -> Result<Option<String>, PortError> {
        // Shorter ones name too many, and anything else could be an expression.
        if !(7..=64).contains(&commit.len()) || !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let at = format!("{commit}:{path}");
        let ran = self.run(&["rev-parse", "--verify", "--quiet", &at]).await?;
        Ok((ran.code == 0).then(|| String::from_utf8_lossy(&ran.output).trim().to_owned()))
    }
}

impl GitRestorer {
    pub(super) async fn revisions(&self, tip: String) -> Result<Revisions, PortError> {
        let last = self.known.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(last) = last.filter(|last| last.tip == tip) {
            return Ok(last);
        }
        let count = format!("--max-count={COMMITS_MAX}");
        let format = "--format=%x00%H%x00%ct%x00%<(100,trunc)%an%x00%<(200,trunc)%s%x00";
        let ran = self
            .git
            .run(&[
                "log",
                "--first-parent",
                "--diff-merges=first-parent",
                "--raw",
                "--no-abbrev",
                "--no-renames",
                &count,
                format,
                &tip,
                "--",
                &self.path,
            ])
            .await?;
        if ran.code != 0 {
            return Err(self.git.failed(&ran));
        }
        let newest_first = read(&String::from_utf8_lossy(&ran.output)).map_err(|why| {
            PortError::not_applied(ErrorKind::BadAnswer, format!("`git log` of {} {why}", self.git.branch()))
        })?;
        let mut known = self.known.contents.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|blob, _| newest_first.iter().any(|commit| commit.blob() == Some(blob)));
        let revisions = Revisions { tip, newest_first };
        *self.known.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(revisions.clone());
        Ok(revisions)
    }

    /// What is known of a content.
    pub(super) async fn described(&self, blob: &str) -> Result<Described, PortError> {
        let known = self.known.contents.lock().unwrap_or_else(PoisonError::into_inner).get(blob).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let described = match self.read_blob(blob).await {
            Ok(content) => Described {
                digest: Some(Digest::of(&content)),
                broken: content.starts_with(LFS).then(|| {
                    "it is a pointer of Git LFS: the content itself is not in the repository".to_owned()
                }),
            },
            Err(error) if error.kind == ErrorKind::TooLarge => Described {
                digest: None,
                broken: Some(format!("it has more than {CONTENT_BYTES_MAX} bytes")),
            },
            Err(error) => return Err(error),
        };
        let mut all = self.known.contents.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(blob.to_owned(), described.clone());
        Ok(described)
    }

    async fn read_blob(&self, blob: &str) -> Result<Vec<u8>, PortError> {
        // Its size first: what is printed is cut off without a word of whose it is.
        let size = self.git.word(&["cat-file", "-s", blob]).await?;
        if size.parse::<u64>().is_ok_and(|size| size >= CONTENT_BYTES_MAX) {
            let text = format!("`{}` has more than {CONTENT_BYTES_MAX} bytes", self.path);
            return Err(PortError::not_applied(ErrorKind::TooLarge, text));
        }
        let ran = self.git.run(&["cat-file", "blob", blob]).await?;
        if ran.code == 0 { Ok(ran.output) } else { Err(self.git.failed(&ran)) }
    }

    pub(super) async fn entry(&self, commit: &Commit) -> Result<HistoryEntry, PortError> {
        let described = match commit.blob() {
            Some(blob) => self.described(blob).await?,
            None => Described { digest: None, broken: commit.broken().map(str::to_owned) },
        };
        Ok(HistoryEntry {
            revision: commit.name.clone(),
            digest: described.digest,
            made_at: Some(commit.at),
            made_by: (!commit.by.is_empty()).then(|| commit.by.clone()),
            summary: commit.subject.clone(),
            broken: described.broken,
        })
    }

    /// One revision and its content, which is empty where there is none.
    pub(super) async fn one(
        &self,
        revisions: &Revisions,
        name: &VersionName,
    ) -> Result<(HistoryEntry, Vec<u8>), PortError> {
        let Some(commit) = revisions.find(name) else { return Err(self.why_not(revisions, name).await?) };
        let mut entry = self.entry(commit).await?;
        let content = match (commit.blob(), &entry.digest) {
            (Some(blob), Some(_)) => self.read_blob(blob).await?,
            _ => Vec::new(),
        };
        let first = commit.blob().and_then(|blob| revisions.oldest_with(blob));
        if let Some(first) = first.filter(|first| first.name != commit.name) {
            entry.broken =
                Some(format!("its content is that of the older revision `{}`: restore that one", first.name));
        }
        Ok((entry, content))
    }

    async fn why_not(&self, revisions: &Revisions, name: &VersionName) -> Result<PortError, PortError> {
        let place = format!("the history of `{}` on {}", self.path, self.git.branch());
        let unknown = no_revision(name, &place);
        let is_commit =
            name.as_str().len() >= 40 && name.as_str().bytes().all(|byte| byte.is_ascii_hexdigit());
        let commit = format!("{name}^{{commit}}");
        if !is_commit || self.git.run(&["rev-parse", "--verify", "--quiet", &commit]).await?.code != 0 {
            return Ok(unknown);
        }
        let why = if self.git.is_within(name.as_str(), &revisions.tip).await? {
            format!("it changed something else, or is older than the newest {COMMITS_MAX} changes")
        } else {
            "it was part of it, and the history was rewritten since: take a revision that is listed now, or have somebody bring the old commit back into the branch"
                .to_owned()
        };
        Ok(PortError::not_applied(ErrorKind::NotFound, format!("{unknown}: {why}")))
    }
}

fn read(text: &str) -> Result<Vec<Commit>, String> {
    let mut parts = text.split('\0');
    parts.next();
    let mut commits = Vec::new();
    while let Some(name) = parts.next() {
        let (Some(at), Some(by), Some(subject), Some(raw)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("was cut off".to_owned());
        };
        let odd = |what: &str| format!("has {what} that is none: `{}`", summary(name));
        let seconds: u64 = at.parse().map_err(|_| odd("a time"))?;
        commits.push(Commit {
            name: VersionName::new(name).map_err(|_| odd("a commit"))?,
            at: UnixMillis(seconds.saturating_mul(1_000)),
            by: summary(by),
            subject: summary(subject),
            left: left(raw).ok_or_else(|| odd("a change"))?,
        });
    }
    Ok(commits)
}

/// What a line as `:100644 100644 OLD NEW M<tab>path` leaves.
fn left(raw: &str) -> Option<Left> {
    let line = raw.lines().find(|line| line.starts_with(':'))?;
    let mut words = line.split_whitespace();
    let (_, mode, _, blob) = (words.next()?, words.next()?, words.next()?, words.next()?);
    Some(match mode {
        "100644" | "100755" => Left::File { mode: mode.to_owned(), blob: blob.to_owned() },
        "000000" => Left::Other("the file was deleted"),
        "120000" => Left::Other("it is a symbolic link, which is not restored"),
        "160000" => Left::Other("it is a submodule, which is not restored"),
        _ => Left::Other("it is no file"),
    })
}
