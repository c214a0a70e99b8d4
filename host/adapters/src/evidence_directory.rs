//! Evidence in a folder, each object under its own sha-256: `<root>/<first two digits>/<all digits>`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use cap_std::fs::Dir;
use ripcord_core::digest::Digest;
use ripcord_ports::{ErrorKind, Objects, PortError};
use serde::Deserialize;

use crate::adapter::{Adapter, SecretKey};
use crate::file_work::{FileWork, GivenUp};
use crate::folder;

/// For the catalogue.
pub const ADAPTER: Adapter<DirectoryEvidenceConfig, dyn Objects> = Adapter {
    kind: "directory",
    system: "a folder of the host's own",
    summary: "evidence, each object under its own sha-256; below `data`, so nothing is to be configured",
    page: "evidence_directory/README.md",
    secret: SecretKey::None,
    example: "",
    start: |config, start| start.path(&mut config.root),
    says: |_| (),
    make: |config, _| Ok(Arc::new(DirectoryEvidence::new(config)?)),
};

/// Where evidence is kept. The host says it; a configuration has no key for it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DirectoryEvidenceConfig {
    /// The folder, which must be there.
    #[serde(skip)]
    pub root: PathBuf,
    /// The largest object, in bytes. Default: 268435456.
    #[serde(skip, default = "bytes_max_default")]
    pub bytes_max: u64,
}

fn bytes_max_default() -> u64 {
    256 << 20
}

/// Evidence in a folder.
#[derive(Debug, Clone)]
pub struct DirectoryEvidence {
    config: DirectoryEvidenceConfig,
    files: FileWork,
}

impl DirectoryEvidence {
    /// Takes the configuration. Whether the folder is there shows at each call.
    pub fn new(config: DirectoryEvidenceConfig) -> Result<Self, PortError> {
        Ok(Self { files: FileWork::new("the evidence folder"), config })
    }
}

fn place(digest: &Digest) -> (String, String) {
    let name = digest.to_string();
    (name[..2].to_owned(), name)
}

/// The object, if it is there; one with other content is damaged.
fn read(root: &Dir, digest: &Digest, bytes_max: u64) -> Result<Option<Vec<u8>>, PortError> {
    let (shelf, name) = place(digest);
    let bytes = match folder::read(root, &format!("{shelf}/{name}"), bytes_max) {
        Ok(bytes) => bytes,
        Err(error) if error.kind == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let found = Digest::of(&bytes);
    if found != *digest {
        return Err(PortError::not_applied(
            ErrorKind::WrongDigest,
            format!(
                "the evidence `{shelf}/{name}` was changed or damaged: its content has the digest {found}"
            ),
        ));
    }
    Ok(Some(bytes))
}

/// Puts an object in its place, where it is not there yet, and notes what is to be flushed of it.
fn write(
    root: &Dir,
    bytes: &[u8],
    bytes_max: u64,
    unflushed: &mut BTreeSet<String>,
) -> Result<Digest, PortError> {
    if bytes.len() as u64 > bytes_max {
        return Err(PortError::not_applied(
            ErrorKind::TooLarge,
            format!("evidence of {} bytes is more than the limit of {bytes_max}", bytes.len()),
        ));
    }
    let digest = Digest::of(bytes);
    let (shelf, name) = place(&digest);
    let failed = |error| folder::local(error, format_args!("cannot write the evidence `{shelf}/{name}`"));
    match read(root, &digest, bytes_max) {
        Ok(Some(_)) => return Ok(digest),
        Ok(None) => {}
        // A power cut may leave a name without its content.
        Err(error) if error.kind == ErrorKind::WrongDigest => {
            tracing::warn!(%error, "it is written again");
        }
        Err(error) => return Err(error),
    }
    root.create_dir_all(&shelf).map_err(failed)?;
    folder::write_beside_unflushed(&root.open_dir(&shelf).map_err(failed)?, &name, bytes).map_err(failed)?;
    unflushed.extend([".".to_owned(), format!("{shelf}/{name}"), shelf]);
    Ok(digest)
}

#[async_trait]
impl Objects for DirectoryEvidence {
    async fn put(&self, all: Vec<Vec<u8>>) -> Result<Vec<Result<Digest, PortError>>, PortError> {
        let config = self.config.clone();
        let work = move |_: &GivenUp| {
            let root = folder::open(&config.root)?;
            let mut unflushed = BTreeSet::new();
            let kept =
                all.iter().map(|bytes| write(&root, bytes, config.bytes_max, &mut unflushed)).collect();
            folder::flush(&root, &unflushed.into_iter().collect::<Vec<_>>())
                .map_err(|error| folder::local(error, "cannot write evidence"))?;
            Ok(kept)
        };
        self.files.run(work).await
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, PortError> {
        let (config, digest) = (self.config.clone(), *digest);
        self.files.run(move |_| read(&folder::open(&config.root)?, &digest, config.bytes_max)).await
    }

    async fn remove(&self, digest: &Digest) -> Result<(), PortError> {
        let (config, (shelf, name)) = (self.config.clone(), place(digest));
        let work = move |_: &GivenUp| {
            let root = folder::open(&config.root)?;
            let removed = root.open_dir(&shelf).and_then(|shelf| shelf.remove_file(&name));
            match removed {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(folder::local(error, format_args!("cannot remove the evidence `{shelf}/{name}`")))
                }
                _ => Ok(()),
            }
        };
        self.files.run(work).await
    }
}
