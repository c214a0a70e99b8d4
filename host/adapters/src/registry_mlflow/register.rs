//! Taking a version in: its files go to where the server keeps artefacts, and then the version is made, with all that says what it is among its tags.
//!
//! MLflow makes a version each time it is asked for one. So it is asked once, and looked for by its tag before and after.

use std::io::Read;
use std::sync::Arc;

use cap_std::fs::Dir;
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::Method;
use ripcord_core::digest::Digest;
use ripcord_core::fact::{Lineage, Measure};
use ripcord_core::name::VersionName;
use ripcord_core::target::{ArtefactFile, VersionTarget};
use ripcord_core::time::Millis;
use ripcord_ports::registry::NewVersion;
use ripcord_ports::{Applied, ErrorKind, PortError, Retry};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::mpsc;

use super::MlflowRegistry;
use super::api::{Api, Right};
use super::artefacts::{self, Root};
use super::wire::{Pair, Version};
use crate::artefact::{self, Hashing};
use crate::download::PIECES;
use crate::file_work::{FileWork, GivenUp};
use crate::folder;
use crate::registry_directory::KEY_TAG;

/// The digest that a registered version was uploaded with.
const DIGEST_TAG: &str = "ripcord.digest";
/// What the version was made of, in parts: a tag has a bound.
const MADE_TAG: &str = "ripcord.made.";
/// Of a tag's value, in characters. Releases before 3 take 5,000.
const PART_CHARS: usize = 4_000;
const PARTS_MAX: usize = 16;

/// Files that are uploaded together.
const AT_ONCE: usize = 4;
/// No upload that gets on is slower.
const BYTES_PER_SECOND_MIN: u64 = 256 << 10;
const PIECE_BYTES: usize = 256 << 10;
/// Versions with one key that are looked at: a network that repeats requests can have made more than one.
const WITH_ONE_KEY_MAX: u32 = 100;

/// What a registered version says of its making.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Made {
    pub(super) lineage: Lineage,
    pub(super) measures: Vec<Measure>,
    pub(super) signature: Option<String>,
}

/// See [`MADE_TAG`].
pub(super) fn is_part(tag: &Pair) -> bool {
    tag.key.starts_with(MADE_TAG)
}

/// What the tags of a version that was registered from here say of its making.
pub(super) fn made(tags: &[Pair]) -> Option<Made> {
    let part = |number: usize| {
        let key = format!("{MADE_TAG}{number}");
        tags.iter().find(|tag| tag.key == key).map(|tag| tag.value.as_str())
    };
    let text: String = (0..PARTS_MAX).map_while(part).collect();
    if text.is_empty() {
        return None;
    }
    let read = serde_json::from_str(&text);
    if let Err(error) = &read {
        tracing::warn!(%error, "the tags `{MADE_TAG}0` and following of a version do not read: its lineage is left out");
    }
    read.ok()
}

pub(super) async fn register(
    registry: &MlflowRegistry,
    new: &NewVersion,
) -> Result<VersionTarget, PortError> {
    let api = &registry.api;
    let what = format!("the version that run `{}` has made", new.key);
    let is_key = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if new.key.is_empty() || !new.key.bytes().all(is_key) {
        let text = format!("`{}` is no key of a run: use a-z, 0-9 and -", new.key.escape_debug());
        return Err(PortError::not_applied(ErrorKind::Configuration, text));
    }
    let digest = artefact::pinned(&new.artefact.files, Some(&new.artefact.digest), &what)?;
    if let Some(there) = made_by(api, &new.key).await? {
        return Ok(there);
    }
    let made = parts(new, &what)?;
    // The digest is part of the place: an attempt that was given up half-way with other files leaves nothing among these.
    let source = format!("mlflow-artifacts:/{}/ripcord/{}/{}", registry.experiment, new.key, digest.short());
    let root = Root::parse(&source, &api.url)
        .map_err(|why| PortError::not_applied(ErrorKind::Configuration, format!("{what} {why}")))?;
    upload(api, &root, (&new.artefact.dir, &registry.files), &new.artefact.files, &what).await?;

    let own = [(KEY_TAG.to_owned(), new.key.clone()), (DIGEST_TAG.to_owned(), digest.to_string())];
    let tags: Vec<_> =
        own.into_iter().chain(made).map(|(key, value)| json!({"key": key, "value": value})).collect();
    let body = json!({ "name": api.model, "source": source, "tags": tags });
    let created = match api.create_version(&body).await {
        Err(error) if error.applied == Applied::No => return Err(error),
        created => created,
    };
    settled(created, made_by(api, &new.key).await, &what)
}

/// What came of it, by looking for it.
fn settled(
    created: Result<(), PortError>,
    found: Result<Option<VersionTarget>, PortError>,
    what: &str,
) -> Result<VersionTarget, PortError> {
    match (found, created) {
        (Ok(Some(there)), _) => Ok(there),
        (Ok(None) | Err(_), Err(error)) => Err(error),
        (Ok(None), Ok(())) => Err(PortError::unknown(
            ErrorKind::Failed,
            format!(
                "mlflow answered that {what} is registered, and it is not to be found: check for a cache or a read-only proxy before the server"
            ),
        )),
        (Err(unread), Ok(())) => Err(PortError::unknown(
            unread.kind,
            format!("mlflow answered that {what} is registered, and it could not be looked for: {unread}"),
        )
        .retry(unread.retry)),
    }
}

/// The version with this key. Of several, the first that was made.
async fn made_by(api: &Api, key: &str) -> Result<Option<VersionTarget>, PortError> {
    let also = format!(" AND tags.`{KEY_TAG}` = '{key}'");
    let found = api.search_for(&also, WITH_ONE_KEY_MAX).await?;
    let value = |version: &Version, name: &str| {
        version.tags.iter().find(|tag| tag.key == name).map(|tag| tag.value.clone())
    };
    let with_key = found.into_iter().filter(|version| value(version, KEY_TAG).as_deref() == Some(key));
    let first = with_key.min_by_key(|version| version.version.parse::<u64>().unwrap_or(u64::MAX));
    let Some(first) = first else { return Ok(None) };
    let version = VersionName::new(first.version.as_str()).map_err(|error| {
        let text = format!("mlflow lists a version with a name of another kind: {error}");
        PortError::not_applied(ErrorKind::BadAnswer, text)
    })?;
    let digest = value(&first, DIGEST_TAG).and_then(|text| text.parse::<Digest>().ok());
    Ok(Some(VersionTarget { version, digest }))
}

fn parts(new: &NewVersion, what: &str) -> Result<Vec<(String, String)>, PortError> {
    let finite = new.measures.iter().filter(|measure| measure.value.is_finite());
    let made = Made {
        lineage: new.lineage.clone(),
        measures: finite.cloned().collect(),
        signature: new.signature.clone(),
    };
    let text = serde_json::to_string(&made).map_err(|error| {
        PortError::not_applied(ErrorKind::Local, format!("what {what} was made of has no JSON form"))
            .caused_by(error)
    })?;
    let characters: Vec<char> = text.chars().collect();
    let parts = characters.chunks(PART_CHARS);
    if parts.len() > PARTS_MAX {
        let text = format!(
            "what {what} was made of takes more than {} characters: log less of it with the run",
            PARTS_MAX * PART_CHARS
        );
        return Err(PortError::not_applied(ErrorKind::TooLarge, text));
    }
    let named =
        parts.enumerate().map(|(number, part)| (format!("{MADE_TAG}{number}"), part.iter().collect()));
    Ok(named.collect())
}

/// All files, and then a look at what is there: nobody can see the version before.
async fn upload(
    api: &Api,
    root: &Root,
    from: (&Arc<Dir>, &FileWork),
    files: &[ArtefactFile],
    what: &str,
) -> Result<(), PortError> {
    let uploads = stream::iter(files.to_vec()).map(|file| async move {
        let file = &file;
        api.patiently(|| upload_one(api, root, file, from, what)).await
    });
    uploads.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
    let listed = artefacts::list_all(api, root, what).await?;
    let mut there: Vec<_> = listed.iter().map(|found| (found.path.as_str(), found.bytes)).collect();
    there.sort_unstable();
    let as_listed = |file: &ArtefactFile, bytes: Option<u64>| bytes.is_none_or(|bytes| bytes == file.bytes);
    let mut wanted: Vec<_> = files.iter().collect();
    wanted.sort_unstable();
    let same = there.len() == wanted.len()
        && there
            .iter()
            .zip(&wanted)
            .all(|((path, bytes), file)| *path == file.path && as_listed(file, *bytes));
    if same {
        return Ok(());
    }
    let text = format!(
        "mlflow took the {} files of {what} and lists {} that are not the same: check its artefact store; no version was made",
        wanted.len(),
        there.len()
    );
    Err(PortError::not_applied(ErrorKind::BadAnswer, text).retry(Retry::Later))
}

async fn upload_one(
    api: &Api,
    root: &Root,
    file: &ArtefactFile,
    (dir, work): (&Arc<Dir>, &FileWork),
    what: &str,
) -> Result<(), PortError> {
    let url = root.file(api, &file.path);
    let (pieces, taken) = mpsc::channel(PIECES);
    let (dir, path, of) = (Arc::clone(dir), file.path.clone(), what.to_owned());
    let reading = work.run(move |given_up| read(&dir, &path, &pieces, (&of, given_up)));
    let body = stream::unfold(taken, |mut taken: mpsc::Receiver<Vec<u8>>| async {
        taken.recv().await.map(|piece| (Ok::<_, std::io::Error>(piece), taken))
    });
    let deadline = Millis(api.deadline.0.saturating_add(file.bytes / (BYTES_PER_SECOND_MIN / 1_000)));
    // Nobody sees the file before the version is made, and putting it there again changes nothing.
    let call = api.call(Method::PUT, &url).only_reads().deadline(deadline);
    let call = call.header("content-length", &file.bytes.to_string()).body(reqwest::Body::wrap_stream(body));
    let (read, answer) = tokio::join!(reading, call.exchange());
    if let Some((sha256, bytes)) = read?
        && (sha256, bytes) != (file.sha256, file.bytes)
    {
        let text = format!("the file `{}` of {what} was changed while it was uploaded", file.path);
        return Err(PortError::not_applied(ErrorKind::WrongDigest, text));
    }
    api.judge(answer?, Right::EditExperiment).map(drop)
}

/// Reads the file into the channel; none where nobody takes it any more, who then says why.
fn read(
    dir: &Dir,
    path: &str,
    pieces: &mpsc::Sender<Vec<u8>>,
    (what, given_up): (&str, &GivenUp),
) -> Result<Option<(Digest, u64)>, PortError> {
    let failed = |error| folder::local(error, format_args!("cannot read `{path}` of {what}"));
    let mut file = folder::open_file(dir, path).map_err(failed)?;
    let mut sink = std::io::sink();
    let mut hashing = Hashing::new(&mut sink);
    loop {
        given_up.check().map_err(failed)?;
        let mut piece = vec![0; PIECE_BYTES];
        let read = file.read(&mut piece).map_err(failed)?;
        if read == 0 {
            return Ok(Some(hashing.finish()));
        }
        piece.truncate(read);
        hashing.write(&piece).map_err(failed)?;
        if pieces.blocking_send(piece).is_err() {
            return Ok(None);
        }
    }
}
