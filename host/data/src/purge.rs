//! A new revision of a data set without some of its rows. Files without such a row stay where they are, and the new manifest refers to them.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ripcord_core::canonical;
use ripcord_core::digest::Digest;
use ripcord_core::target::Exclusion;
use ripcord_core::time::UnixMillis;
use serde::{Deserialize, Serialize};

use crate::error::{DataError, shown};
use crate::exclusions::{Counted, Exclusions};
use crate::file;
use crate::folder::{Unfinished, parent, way};
use crate::manifest::{DataFile, MANIFEST, Manifest, ManifestAt, revision};
use crate::{PROGRESS_ROWS, Progress, Step, times};

/// What a purge says of itself, beside the manifest that it has made.
pub const RECEIPT: &str = "purge.json";
const RECEIPT_FORMAT: u32 = 1;
const RECEIPT_BYTES_MAX: u64 = 256 << 20;

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct PurgeOrder<'a> {
    /// The set as it is.
    pub manifest: &'a ManifestAt,
    /// What is left out of it.
    pub exclude: &'a [Exclusion],
    /// The folder that is to hold the new manifest. It is not there yet, or holds what this very order has made.
    pub out: &'a Path,
    /// Who asks: the same key again makes nothing and tells what it made; another one does not touch it. Default: a digest of what is asked for.
    pub key: Option<&'a str>,
    /// The moment of asking.
    pub at: UnixMillis,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Purged {
    format: u32,
    /// Who asked.
    pub key: String,
    /// Of the revision and what was to be left out of it.
    order: Digest,
    /// The data set.
    pub dataset: String,
    /// As it was.
    pub before: Side,
    /// As it is in the new folder.
    pub after: Side,
    /// Rows that were left out.
    pub rows_left_out: u64,
    /// By what.
    pub excluded: Vec<Counted>,
    /// Rows without a time, which no window has left out; none where no window was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_without_time: Option<u64>,
    /// Files that were written anew.
    pub files_written: u64,
    /// Files that stay as they are, and where they are.
    pub files_referred_to: u64,
    /// Files of which no row is left.
    pub files_left_out: u64,
    /// It was there: nothing was done.
    #[serde(skip)]
    pub was_there: bool,
}

/// A data set before or after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Side {
    /// Of the files.
    pub revision: String,
    /// In all of them.
    pub rows: u64,
    /// The manifest's own digest.
    pub manifest_sha256: Digest,
}

/// Makes the revision, or tells what the same order has made before. Nothing is written where anything about the order or the data is wrong.
pub fn purge(order: &PurgeOrder<'_>, progress: &mut dyn FnMut(Progress)) -> Result<Purged, DataError> {
    let mut exclusions = Exclusions::new(order.exclude, &order.manifest.manifest.columns)?;
    let digest = digest(order)?;
    let key = order.key.map_or_else(|| digest.to_string(), str::to_owned);
    if key.is_empty() || key.chars().count() > 200 {
        return Err(DataError::Asked("the key of a purge has 1 to 200 characters".to_owned()));
    }
    if let Some(purged) = made_before(order.out, &key, digest)? {
        return Ok(purged);
    }
    let left_out = count(order, &mut exclusions, progress)?;
    let folder = Unfinished::begin(order.out)?;
    // Somebody else may have made it while the rows were counted.
    if let Some(purged) = made_before(order.out, &key, digest)? {
        return Ok(purged);
    }
    let written = write(order, &left_out, &folder, progress)?;
    let rows_without_time = exclusions.judges_time().then(|| exclusions.rows_without_time());
    let (manifest, purged) = purged(order, (key, digest), exclusions.counted()?, rows_without_time, written)?;
    put(&folder, MANIFEST, &manifest)?;
    put(&folder, RECEIPT, &pretty(&purged)?)?;
    folder.finish()?;
    Ok(purged)
}

/// Of what is asked for, whoever asks.
fn digest(order: &PurgeOrder<'_>) -> Result<Digest, DataError> {
    let asked = (&order.manifest.manifest.dataset, &order.manifest.manifest.revision, order.exclude);
    canonical::json_digest("ripcord purge 1", &asked)
        .map_err(|error| DataError::Asked(format!("the exclusions have no canonical form: {error}")))
}

fn made_before(out: &Path, key: &str, digest: Digest) -> Result<Option<Purged>, DataError> {
    let there = match fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(DataError::read(out)(error)),
    };
    if !there {
        return Ok(None);
    }
    let path = out.join(RECEIPT);
    let other = || DataError::unusable(out, "holds something else: name a new folder");
    let size = fs::metadata(&path).map_err(|_| other())?.len();
    if size > RECEIPT_BYTES_MAX {
        return Err(other());
    }
    let bytes = fs::read(&path).map_err(DataError::read(&path))?;
    let purged: Purged = serde_json::from_slice(&bytes).map_err(|_| other())?;
    if purged.format != RECEIPT_FORMAT || purged.key != key || purged.order != digest {
        return Err(DataError::unusable(
            out,
            format!("holds the purge `{}`, and this is another one: name a new folder", shown(&purged.key)),
        ));
    }
    let manifest = out.join(MANIFEST);
    let sha256 = fs::read(&manifest).map(Digest::of).map_err(DataError::read(&manifest))?;
    if sha256 != purged.after.manifest_sha256 {
        return Err(DataError::unusable(&manifest, "was changed after the purge: name a new folder"));
    }
    Ok(Some(Purged { was_there: true, ..purged }))
}

/// How many rows of each file are left out.
fn count(
    order: &PurgeOrder<'_>,
    exclusions: &mut Exclusions<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Vec<u64>, DataError> {
    let manifest = &order.manifest.manifest;
    let judged = exclusions.judged();
    let mut told = Told::new(Step::Count, manifest.rows, progress);
    let mut counts = Vec::new();
    for listed in &manifest.files {
        let path = order.manifest.path_of(listed);
        let mut count = 0;
        file::read(&path, listed, &judged.names(), &mut |row, cells| {
            count += u64::from(exclusions.leaves_out(&path, row, cells)?);
            told.row();
            Ok(())
        })?;
        counts.push(count);
    }
    exclusions.counted()?;
    if counts.iter().sum::<u64>() == manifest.rows {
        return Err(DataError::Asked(format!(
            "nothing is left of the {} rows: exclude less, or train on other data",
            manifest.rows
        )));
    }
    Ok(counts)
}

/// The files of the new revision.
#[derive(Default)]
struct Written {
    files: Vec<DataFile>,
    anew: u64,
    referred_to: u64,
    left_out: u64,
}

fn write(
    order: &PurgeOrder<'_>,
    left_out: &[u64],
    folder: &Unfinished,
    progress: &mut dyn FnMut(Progress),
) -> Result<Written, DataError> {
    let manifest = &order.manifest.manifest;
    // Judges anew: a file that has changed since it was counted is refused by its digest.
    let mut exclusions = Exclusions::new(order.exclude, &manifest.columns)?;
    let judged = exclusions.judged();
    let changed = manifest.files.iter().zip(left_out).filter(|(_, count)| **count > 0);
    let mut told = Told::new(Step::Write, changed.map(|(listed, _)| listed.rows).sum(), progress);
    let mut written = Written::default();
    // Both ends are looked up as they are, so that the way between them does not lead through a symbolic link.
    let parent_of_out = parent(order.out);
    let home = fs::canonicalize(&parent_of_out).map_err(DataError::read(&parent_of_out))?;
    let home = home.join(order.out.file_name().unwrap_or_default());
    for (listed, count) in manifest.files.iter().zip(left_out) {
        let path = order.manifest.path_of(listed);
        if *count == listed.rows && listed.rows > 0 {
            written.left_out += 1;
            continue;
        }
        if *count == 0 {
            written.files.push(DataFile { path: reference(&home, &path)?, ..listed.clone() });
            written.referred_to += 1;
            continue;
        }
        let name = free_name(listed.name(), &written.files);
        let (to, file) = folder.create(&name)?;
        let counts = file::copy(
            &path,
            listed,
            &judged.names(),
            &mut |row, cells| {
                told.row();
                Ok(!exclusions.leaves_out(&path, row, cells)?)
            },
            (&to, file),
        )?;
        if counts.rows != listed.rows - count {
            return Err(DataError::unusable(&path, "changed while it was read: begin again"));
        }
        written.anew += 1;
        let (sha256, bytes) = (counts.passed.sha256, counts.passed.bytes);
        written.files.push(DataFile { path: name, sha256, bytes, rows: counts.rows });
    }
    Ok(written)
}

/// The way to a file that stays where it is.
fn reference(home: &Path, path: &Path) -> Result<String, DataError> {
    let real: PathBuf = fs::canonicalize(path).map_err(DataError::read(path))?;
    way(home, &real)
        .ok_or_else(|| DataError::unusable(path, "has a path that is not UTF-8, and cannot be referred to"))
}

/// Files of several folders may have the same name.
fn free_name(name: &str, files: &[DataFile]) -> String {
    let is_taken =
        |name: &str| files.iter().any(|file| file.path == name) || [MANIFEST, RECEIPT].contains(&name);
    let mut free = name.to_owned();
    let mut number = 1;
    while is_taken(&free) {
        number += 1;
        free = format!("{number}-{name}");
    }
    free
}

fn purged(
    order: &PurgeOrder<'_>,
    (key, digest): (String, Digest),
    excluded: Vec<Counted>,
    rows_without_time: Option<u64>,
    written: Written,
) -> Result<(Vec<u8>, Purged), DataError> {
    let old = &order.manifest.manifest;
    let rows = written.files.iter().map(|file| file.rows).sum();
    let created_at = times::text(order.at).ok_or_else(|| {
        DataError::Asked("the moment of asking is in no calendar: set the clock".to_owned())
    })?;
    let manifest = Manifest {
        revision: revision(&written.files),
        parent: Some(old.revision.clone()),
        created_at,
        rows,
        files: written.files,
        ..old.clone()
    };
    let bytes = pretty(&manifest)?;
    let before =
        Side { revision: old.revision.clone(), rows: old.rows, manifest_sha256: order.manifest.sha256 };
    let after = Side { revision: manifest.revision, rows, manifest_sha256: Digest::of(&bytes) };
    let purged = Purged {
        format: RECEIPT_FORMAT,
        key,
        order: digest,
        dataset: old.dataset.clone(),
        before,
        after,
        rows_left_out: old.rows - rows,
        excluded,
        rows_without_time,
        files_written: written.anew,
        files_referred_to: written.referred_to,
        files_left_out: written.left_out,
        was_there: false,
    };
    Ok((bytes, purged))
}

fn pretty(value: &impl Serialize) -> Result<Vec<u8>, DataError> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| DataError::Asked(format!("the result cannot be written as JSON: {error}")))?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn put(folder: &Unfinished, name: &str, bytes: &[u8]) -> Result<(), DataError> {
    let (path, mut file) = folder.create(name)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(DataError::write(&path))
}

/// Tells of progress every so many rows.
pub(crate) struct Told<'a> {
    progress: Progress,
    tell: &'a mut dyn FnMut(Progress),
}

impl<'a> Told<'a> {
    pub(crate) fn new(step: Step, of: u64, tell: &'a mut dyn FnMut(Progress)) -> Self {
        let progress = Progress { step, rows: 0, of };
        tell(progress);
        Self { progress, tell }
    }

    pub(crate) fn row(&mut self) {
        self.progress.rows += 1;
        if self.progress.rows.is_multiple_of(PROGRESS_ROWS) || self.progress.rows == self.progress.of {
            (self.tell)(self.progress);
        }
    }
}
