//! Training on a data set that others hand over, with rows left out that turned out to be wrong.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::fit::{self, ALPHA, ITERATIONS_MAX, THRESHOLD_SINCE};
use super::publish::{self, Publication};
use super::{Layout, Measures, check_name};
use crate::command::say;
use crate::data::{Manifest, Matched, Rows};
use crate::hex::hex;
use crate::model::{Model, TERMS};
use crate::transaction::WIDTH;
use crate::{Error, MODEL};

/// Every so many rows one is held out for the measures.
const HELD_OUT_EVERY: u64 = 5;

/// `fraud retrain`.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The data: a `manifest.json` with its CSV files beside it
    #[arg(long, value_name = "FILE")]
    pub data: PathBuf,
    /// Leave out the rows that this file describes, JSON
    #[arg(long, value_name = "FILE")]
    pub exclude: Option<PathBuf>,
    /// The folder whose `registry/` gets the version
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// The name of the version
    #[arg(long, value_name = "VERSION")]
    pub version: String,
    /// The version that it takes the place of, for its lineage. It is trained from scratch, so that one is no parent of it
    #[arg(long, value_name = "VERSION")]
    pub replaces: Option<String>,
    /// The name of the training run. The same one again trains nothing and tells what it made
    #[arg(long, value_name = "NAME")]
    pub run: Option<String>,
    /// Say in the registry that it was made then, RFC 3339, instead of now
    #[arg(long, value_name = "TIME")]
    pub at: Option<Timestamp>,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// What came of a training.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The version in the registry.
    pub version: String,
    /// The same run had made it before: nothing was trained.
    pub was_there: bool,
    /// Of the rows that it was trained on and measured by.
    pub dataset_revision: String,
    /// Rows of the data.
    pub rows: u64,
    /// Left out among them.
    pub rows_excluded: u64,
    /// By its own labels.
    pub measures: Measures,
}

/// Trains and prints the report.
///
/// # Errors
/// See [`retrain`].
pub fn run(args: &Args) -> Result<(), Error> {
    let report = retrain(args)?;
    if args.json {
        say(&serde_json::to_string(&report).map_err(Error::encode("the report"))?);
    } else if report.was_there {
        say(&format!("{MODEL} {} was made by this run before", report.version));
    } else {
        say(&format!(
            "trained {MODEL} {} on {} of {} rows, {} left out: accuracy {:.3} on its own labels, declines {:.3}",
            report.version,
            report.rows - report.rows_excluded,
            report.rows,
            report.rows_excluded,
            report.measures.accuracy,
            report.measures.decline_share
        ));
    }
    Ok(())
}

/// Trains a version and registers it. Nothing is written unless all of the data is what its manifest says.
///
/// # Errors
/// Data or an exclusion that cannot be used, nothing left to learn from, or a version that another run has made.
pub fn retrain(args: &Args) -> Result<Report, Error> {
    check_name("--version", &args.version)?;
    if let Some(run) = &args.run {
        check_name("--run", run)?;
    }
    let layout = Layout::new(&args.out);
    if let Some(report) = made_before(&layout, args)? {
        return Ok(report);
    }
    let manifest = Manifest::read(&args.data)?;
    let folder = args.data.parent().unwrap_or(Path::new(""));
    let exclusion = match &args.exclude {
        Some(path) => Some(Matched::read(path, &manifest.revision)?),
        None => None,
    };
    let taken = Taken::read(&manifest, folder, exclusion)?;
    let model = fit::fit(&args.version, &taken.examples, THRESHOLD_SINCE)?;
    let measures = fit::measure_rows(&model, &taken.held_out);

    let rows_excluded = manifest.rows - taken.rows;
    let mut parameters = json!({
        "alpha": ALPHA,
        "iterations-max": ITERATIONS_MAX,
        "rows": manifest.rows,
        "rows-excluded": rows_excluded,
        "rows-trained": taken.examples.len(),
        "rows-held-out": taken.held_out.len(),
    });
    let mut dataset_revision = manifest.revision.clone();
    if let Some(exclusion) = &taken.exclusion {
        // Without the rows it is another data set: what is wrong with the first one is not wrong with this one.
        dataset_revision = format!("sha256:{}", taken.sha256);
        parameters["purged-from"] = json!(manifest.revision);
        parameters["exclusion-sha256"] = json!(exclusion.sha256);
    } else if let Some(parent) = &manifest.parent {
        parameters["purged-from"] = json!(parent);
    }
    if let Some(replaces) = &args.replaces {
        parameters["replaces"] = json!(replaces);
    }
    let publication = Publication {
        version: &args.version,
        run: args.run.as_deref(),
        created_at: args.at.unwrap_or_else(Timestamp::now),
        dataset: &manifest.dataset,
        dataset_revision: dataset_revision.clone(),
        parameters,
        measures,
        files: publish::files_of(&model, &args.version)?,
    };
    publish::new_version(&layout, &publication)?;
    Ok(Report {
        version: args.version.clone(),
        was_there: false,
        dataset_revision,
        rows: manifest.rows,
        rows_excluded,
        measures,
    })
}

/// What is left of the data.
struct Taken {
    examples: Vec<([f64; TERMS.len()], bool)>,
    held_out: Vec<([f64; WIDTH], bool)>,
    exclusion: Option<Matched>,
    /// Of the inputs and labels, lower-case hex.
    sha256: String,
    rows: u64,
}

impl Taken {
    fn read(manifest: &Manifest, folder: &Path, mut exclusion: Option<Matched>) -> Result<Self, Error> {
        let (mut examples, mut held_out, mut hash, mut rows) = (Vec::new(), Vec::new(), Sha256::new(), 0);
        for row in Rows::of(manifest, folder) {
            let row = row?;
            if let Some(exclusion) = &mut exclusion
                && exclusion.matches(&row)?
            {
                continue;
            }
            rows += 1;
            for value in row.inputs {
                hash.update(value.to_le_bytes());
            }
            hash.update([u8::from(row.fraud)]);
            if rows % HELD_OUT_EVERY == 0 {
                held_out.push((row.inputs, row.fraud));
            } else {
                examples.push((Model::terms(&row.inputs), row.fraud));
            }
        }
        if let Some(exclusion) = &exclusion {
            exclusion.check()?;
        }
        let frauds = examples.iter().filter(|(_, fraud)| *fraud).count();
        if frauds == 0 || frauds == examples.len() {
            let of =
                if examples.is_empty() { "no row is left" } else { "all rows that are left have one label" };
            return Err(Error::Data(format!(
                "nothing can be learnt: {of}, of {} in the data",
                manifest.rows
            )));
        }
        Ok(Self { examples, held_out, exclusion, sha256: hex(&hash.finalize()), rows })
    }
}

/// What the same run made before. A version that is there and was made by another run is left alone.
fn made_before(layout: &Layout, args: &Args) -> Result<Option<Report>, Error> {
    let path = layout.registry.join(MODEL).join(&args.version).join("manifest.toml");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::read(&path)(error)),
    };
    let broken = |why: String| Error::Data(format!("`{}` is no version's manifest: {why}", path.display()));
    let manifest: toml::Table = text.parse().map_err(|error| broken(format!("{error}")))?;
    let lineage = |name: &str| manifest.get("lineage").and_then(|lineage| lineage.get(name));
    let run = lineage("run").and_then(toml::Value::as_str);
    if args.run.is_none() || run != args.run.as_deref() {
        return Err(Error::Setting(format!(
            "version `{}` is in the registry already{}: choose another name",
            args.version,
            run.map(|run| format!(", made by the run `{run}`")).unwrap_or_default()
        )));
    }
    let rows = |name: &str| {
        let value = lineage("parameters").and_then(|parameters| parameters.get(name)?.as_integer());
        value.and_then(|rows| u64::try_from(rows).ok()).ok_or_else(|| broken(format!("it says no `{name}`")))
    };
    let measures = manifest.get("measures").cloned().unwrap_or_else(|| toml::Table::new().into());
    Ok(Some(Report {
        version: args.version.clone(),
        was_there: true,
        dataset_revision: lineage("dataset-revision")
            .and_then(toml::Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        rows: rows("rows")?,
        rows_excluded: rows("rows-excluded")?,
        measures: measures.try_into().map_err(|error: toml::de::Error| broken(error.to_string()))?,
    }))
}
