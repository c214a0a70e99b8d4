use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::fit::{ALPHA, ITERATIONS_MAX};
use super::{Layout, Measures, Recipe, Trained};
use crate::data::DATASET;
use crate::files::{create, write};
use crate::golden::Row;
use crate::hex::hex;
use crate::model::Model;
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
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<&'a str>,
    dataset: &'a str,
    dataset_revision: &'a str,
    parameters: &'a serde_json::Value,
}

#[derive(Serialize)]
struct Artefact {
    path: String,
    sha256: String,
    bytes: usize,
}

/// All that the registry gets to know about a version.
pub(super) struct Publication<'a> {
    pub(super) version: &'a str,
    /// The training run, where there is more to it than the recipe.
    pub(super) run: Option<&'a str>,
    pub(super) created_at: Timestamp,
    pub(super) dataset: &'a str,
    pub(super) dataset_revision: String,
    /// An object of texts, numbers and booleans.
    pub(super) parameters: serde_json::Value,
    pub(super) measures: Measures,
    pub(super) files: Vec<(String, Vec<u8>)>,
}

/// The files of a version that can be served.
pub(super) fn files_of(model: &Model, version: &str) -> Result<Vec<(String, Vec<u8>)>, Error> {
    let settings =
        ModelSettings::of(MODEL, version).to_json().map_err(Error::encode("the model settings"))?;
    let model = model.to_json().map_err(Error::encode("the model"))?;
    Ok(vec![("model-settings.json".to_owned(), settings), ("model.json".to_owned(), model)])
}

/// Writes the version of a recipe into the registry, over one that is there.
pub(super) fn version(
    layout: &Layout,
    recipe: &Recipe,
    trained: &Trained,
    now: Timestamp,
) -> Result<(), Error> {
    let mut parameters = json!({
        "alpha": ALPHA,
        "iterations-max": ITERATIONS_MAX,
        "rows": recipe.rows,
        "seed": recipe.seed,
        "labels": recipe.labels.source(),
    });
    if let Some(replaces) = recipe.replaces {
        parameters["replaces"] = json!(replaces);
    }
    let publication = Publication {
        version: recipe.version,
        run: None,
        created_at: recipe.created_at(now),
        dataset: DATASET,
        dataset_revision: format!("sha256:{}", trained.dataset_sha256),
        parameters,
        measures: trained.measures,
        files: files_of(&trained.model, recipe.version)?,
    };
    write_into(&layout.registry.join(MODEL).join(recipe.version), &publication)
}

/// Writes a version that is not there yet; it is there as a whole or not at all.
pub(super) fn new_version(layout: &Layout, publication: &Publication<'_>) -> Result<(), Error> {
    let versions = layout.registry.join(MODEL);
    let folder = versions.join(publication.version);
    if folder.exists() {
        return Err(Error::Setting(format!(
            "version `{}` is in the registry already: choose another name",
            publication.version
        )));
    }
    let beside = versions.join(format!(".{}.new", publication.version));
    match fs::remove_dir_all(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(Error::write(&beside)(error)),
        _ => write_into(&beside, publication)?,
    }
    fs::rename(&beside, &folder).map_err(Error::write(&folder))
}

fn write_into(folder: &Path, publication: &Publication<'_>) -> Result<(), Error> {
    let files = folder.join("files");
    create(&files)?;
    let mut artefacts = Vec::new();
    for (name, bytes) in &publication.files {
        write(&files.join(name), bytes)?;
        let sha256 = hex(&Sha256::digest(bytes));
        artefacts.push(Artefact { path: name.clone(), sha256, bytes: bytes.len() });
    }
    let manifest = Manifest {
        model: MODEL,
        version: publication.version,
        created_at: publication.created_at.to_string(),
        runtime: "fraud-serve",
        aliases: Vec::new(),
        signature: input_signature().map_err(Error::encode("the input signature"))?,
        tags: BTreeMap::from([("team", "payments"), ("kind", "logistic-regression")]),
        measures: publication.measures,
        lineage: Lineage {
            code: concat!("fraud ", env!("CARGO_PKG_VERSION")),
            run: publication.run,
            dataset: publication.dataset,
            dataset_revision: &publication.dataset_revision,
            parameters: &publication.parameters,
        },
        artefacts,
    };
    let text = toml::to_string(&manifest).map_err(Error::encode("the manifest"))?;
    write(&folder.join("manifest.toml"), text.as_bytes())
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
