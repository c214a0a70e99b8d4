use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::fit::{ALPHA, ITERATIONS_MAX};
use super::{Layout, Measures, Recipe, Trained};
use crate::files::{create, write};
use crate::golden::Row;
use crate::hex::hex;
use crate::protocol::{ModelSettings, input_signature};
use crate::{Error, MODEL};

/// What the registry says about a version.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Manifest<'a> {
    model: &'a str,
    version: &'a str,
    created_at: String,
    runtime: &'a str,
    aliases: Vec<String>,
    /// The input signature as JSON, just as the server's model metadata gives it.
    signature: String,
    tags: BTreeMap<&'a str, &'a str>,
    measures: Measures,
    lineage: Lineage<'a>,
    artefacts: Vec<Artefact>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Lineage<'a> {
    code: &'a str,
    dataset: &'a str,
    dataset_revision: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<&'a str>,
    parameters: Parameters<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Parameters<'a> {
    alpha: f64,
    iterations_max: u64,
    rows: usize,
    seed: u64,
    labels: &'a str,
}

#[derive(Serialize)]
struct Artefact {
    path: String,
    sha256: String,
    bytes: usize,
}

/// Writes one version into the registry.
pub(super) fn version(
    layout: &Layout,
    recipe: &Recipe,
    trained: &Trained,
    now: Timestamp,
) -> Result<(), Error> {
    let files = [
        (
            "model-settings.json",
            ModelSettings::of(MODEL, recipe.version)
                .to_json()
                .map_err(Error::encode("the model settings"))?,
        ),
        ("model.json", trained.model.to_json().map_err(Error::encode("the model"))?),
    ];
    let folder = layout.files(recipe.version);
    create(&folder)?;
    let mut artefacts = Vec::new();
    for (name, bytes) in &files {
        write(&folder.join(name), bytes)?;
        artefacts.push(Artefact {
            path: (*name).to_owned(),
            sha256: hex(&Sha256::digest(bytes)),
            bytes: bytes.len(),
        });
    }

    let manifest = Manifest {
        model: MODEL,
        version: recipe.version,
        created_at: recipe.created_at(now).to_string(),
        runtime: "fraud-serve",
        aliases: Vec::new(),
        signature: input_signature().map_err(Error::encode("the input signature"))?,
        tags: BTreeMap::from([("team", "payments"), ("kind", "logistic-regression")]),
        measures: trained.measures,
        lineage: Lineage {
            code: concat!("fraud ", env!("CARGO_PKG_VERSION")),
            dataset: "card-transactions",
            dataset_revision: format!("sha256:{}", trained.dataset_sha256),
            parent: recipe.parent,
            parameters: Parameters {
                alpha: ALPHA,
                iterations_max: ITERATIONS_MAX,
                rows: recipe.rows,
                seed: recipe.seed,
                labels: recipe.labels.source(),
            },
        },
        artefacts,
    };
    let text = toml::to_string(&manifest).map_err(Error::encode("the manifest"))?;
    write(&layout.registry.join(MODEL).join(recipe.version).join("manifest.toml"), text.as_bytes())
}

/// Writes the golden set, one row a line.
pub(super) fn golden_set(layout: &Layout, rows: &[Row]) -> Result<(), Error> {
    let mut lines = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut lines, row).map_err(Error::encode("a golden row"))?;
        lines.push(b'\n');
    }
    if let Some(folder) = layout.golden.parent() {
        create(folder)?;
    }
    write(&layout.golden, &lines)
}

/// Makes the model folder, if it is not there; leaves what it holds.
pub(super) fn model_folder(layout: &Layout) -> Result<(), Error> {
    create(&layout.models.join(MODEL))
}

/// Replaces the model folder by the artefact files of one version.
pub(super) fn deploy(layout: &Layout, version: &str) -> Result<(), Error> {
    let from = layout.files(version);
    let entries = fs::read_dir(&from).map_err(Error::read(&from))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(Error::read(&from))?.path();
        let bytes = fs::read(&path).map_err(Error::read(&path))?;
        files.push((path, bytes));
    }
    let folder = layout.models.join(MODEL);
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::write(&folder)(error)),
        _ => create(&folder)?,
    }
    for (path, bytes) in files {
        if let Some(name) = path.file_name() {
            write(&folder.join(name), &bytes)?;
        }
    }
    Ok(())
}
