//! Artefacts by their layers: streamed to disk, held against the manifest's digests, unpacked where they are archives, and hashed as they are pinned.

use std::io;
use std::sync::Arc;

use cap_std::fs::Dir;
use futures_util::{StreamExt, TryStreamExt, stream};
use ripcord_core::target::ArtefactFile;
use ripcord_ports::{ErrorKind, PortError, Retry};

use super::api::Api;
use super::layers::{Compression, Form, Layer};
use super::unpack::{self, Room};
use crate::artefact;
use crate::download::{self, Arrived, Place, check_announced};
use crate::file_work::FileWork;
use crate::http;

/// Layers that are under way together.
const AT_ONCE: usize = 8;

/// Fetches the layers into the empty folder `into`; sorted by path when this returns.
pub(super) async fn fetch(
    api: &Api,
    layers: &[Layer],
    into: (&Arc<Dir>, &FileWork),
    bytes_max: u64,
    what: &str,
) -> Result<Vec<ArtefactFile>, PortError> {
    check_announced(layers.iter().map(|layer| layer.bytes), bytes_max, what)?;
    let files = layers.iter().filter(|layer| matches!(layer.form, Form::File(_)));
    let plain: u64 = files.map(|layer| layer.bytes).sum();
    let room = Arc::new(Room::of(bytes_max - plain));
    let fetched = stream::iter(layers.to_vec()).map(|layer| {
        let room = Arc::clone(&room);
        async move {
            match &layer.form {
                Form::File(path) => fetch_one(api, &layer, path, into, what).await.map(|file| vec![file]),
                Form::Archive(compression) => {
                    archive(api, &layer, *compression, into, (room, bytes_max), what).await
                }
            }
        }
    });
    let fetched: Vec<Vec<ArtefactFile>> = fetched.buffer_unordered(AT_ONCE).try_collect().await?;
    let mut files: Vec<ArtefactFile> = fetched.into_iter().flatten().collect();
    files.sort();
    if let Some(pair) = files.windows(2).find(|pair| pair[0].path == pair[1].path) {
        return Err(unpack::unusable(what, &format!("holds `{}` in two of its layers", pair[0].path)));
    }
    if files.len() > artefact::FILES_MAX {
        return Err(unpack::unusable(what, &format!("holds more than {} files", artefact::FILES_MAX)));
    }
    if files.is_empty() {
        return Err(unpack::unusable(what, "holds no file"));
    }
    Ok(files)
}

async fn fetch_one(
    api: &Api,
    layer: &Layer,
    path: &str,
    (into, work): (&Arc<Dir>, &FileWork),
    what: &str,
) -> Result<ArtefactFile, PortError> {
    let Layer { digest, bytes: listed, .. } = layer;
    let named = format!("the layer sha256:{digest} of {what}");
    http::patiently(api.patience, || async {
        let body = api.blob(digest, &named).await?;
        let place = Place { dir: into, path, what, work };
        let Arrived { read, bytes, sha256, .. } = download::to_disk(body, *listed, place, io::sink()).await?;
        let how = if read > *listed {
            format!("with more than the {listed} bytes that its manifest lists")
        } else if read < *listed {
            format!("with {read} of the {listed} bytes that its manifest lists")
        } else if sha256 != *digest {
            "with another SHA-256 digest".to_owned()
        } else {
            return Ok(ArtefactFile { path: path.to_owned(), sha256, bytes });
        };
        // Something between may have put another answer in the place of this one.
        let text = format!(
            "{named} came {how}: it was changed or damaged where the registry keeps it, or its manifest lies"
        );
        Err(PortError::not_applied(ErrorKind::BadAnswer, text).retry(Retry::Later))
    })
    .await
}

/// Brings an archive to the disk, checks it, and only then looks into it.
async fn archive(
    api: &Api,
    layer: &Layer,
    compression: Compression,
    into: (&Arc<Dir>, &FileWork),
    (room, bytes_max): (Arc<Room>, u64),
    what: &str,
) -> Result<Vec<ArtefactFile>, PortError> {
    let packed = format!(".{}.layer", layer.digest);
    fetch_one(api, layer, &packed, into, what).await?;
    let (dir, what) = (Arc::clone(into.0), what.to_owned());
    into.1
        .run(move |given_up| unpack::unpack(&dir, &packed, compression, (&room, bytes_max), &what, given_up))
        .await
}
