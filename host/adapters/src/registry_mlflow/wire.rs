//! What MLflow answers, as far as it is read. Fields that hold nothing are left out by the server; what stands before it, or speaks its interface, writes `null`.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};

/// `registered-models/get`.
#[derive(Debug, Deserialize)]
pub(super) struct ModelAnswer {
    pub(super) registered_model: Model,
}

#[derive(Debug, Deserialize)]
pub(super) struct Model {
    #[serde(default, deserialize_with = "left_out")]
    pub(super) name: String,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) aliases: Vec<Alias>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Alias {
    pub(super) alias: String,
    #[serde(deserialize_with = "text")]
    pub(super) version: String,
}

/// `model-versions/search`.
#[derive(Debug, Deserialize)]
pub(super) struct SearchAnswer {
    #[serde(default, deserialize_with = "left_out")]
    pub(super) model_versions: Vec<Version>,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) next_page_token: Option<String>,
}

/// `model-versions/get` and `registered-models/alias`.
#[derive(Debug, Deserialize)]
pub(super) struct VersionAnswer {
    pub(super) model_version: Version,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Version {
    #[serde(default, deserialize_with = "left_out")]
    pub(crate) name: String,
    #[serde(deserialize_with = "text")]
    pub(crate) version: String,
    /// Unix milliseconds.
    #[serde(deserialize_with = "whole")]
    pub(crate) creation_timestamp: u64,
    /// What its author says of it.
    #[serde(default, deserialize_with = "left_out")]
    pub(crate) description: String,
    #[serde(default, deserialize_with = "left_out")]
    pub(crate) status: String,
    #[serde(default, deserialize_with = "left_out")]
    pub(crate) status_message: String,
    #[serde(default, deserialize_with = "left_out")]
    pub(crate) source: String,
    /// Empty where the version was not registered from a run.
    #[serde(default, deserialize_with = "left_out")]
    pub(crate) run_id: String,
    #[serde(default, deserialize_with = "left_out")]
    pub(crate) tags: Vec<Pair>,
    #[serde(default, deserialize_with = "left_out")]
    pub(crate) aliases: Vec<String>,
}

/// A tag or a parameter.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Pair {
    pub(crate) key: String,
    #[serde(default, deserialize_with = "left_out")]
    pub(crate) value: String,
}

/// `model-versions/get-download-uri`.
#[derive(Debug, Deserialize)]
pub(super) struct DownloadAnswer {
    #[serde(default, deserialize_with = "left_out")]
    pub(super) artifact_uri: String,
}

/// `runs/get`.
#[derive(Debug, Deserialize)]
pub(super) struct RunAnswer {
    pub(super) run: Run,
}

#[derive(Debug, Deserialize)]
pub(super) struct Run {
    #[serde(default, deserialize_with = "left_out")]
    pub(super) data: RunData,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) inputs: Inputs,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct RunData {
    /// The last value of each.
    #[serde(default, deserialize_with = "left_out")]
    pub(super) metrics: Vec<Metric>,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) params: Vec<Pair>,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) tags: Vec<Pair>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Metric {
    pub(super) key: String,
    #[serde(deserialize_with = "float")]
    pub(super) value: f64,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Inputs {
    #[serde(default, deserialize_with = "left_out")]
    pub(super) dataset_inputs: Vec<DatasetInput>,
}

#[derive(Debug, Deserialize)]
pub(super) struct DatasetInput {
    #[serde(default, deserialize_with = "left_out")]
    pub(super) tags: Vec<Pair>,
    pub(super) dataset: Dataset,
}

#[derive(Debug, Deserialize)]
pub(super) struct Dataset {
    #[serde(default, deserialize_with = "left_out")]
    pub(super) name: String,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) digest: String,
}

/// The list of proxied artefacts.
#[derive(Debug, Deserialize)]
pub(super) struct ListAnswer {
    #[serde(default, deserialize_with = "left_out")]
    pub(super) files: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Entry {
    pub(super) path: String,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) is_dir: bool,
    #[serde(default, deserialize_with = "maybe_whole")]
    pub(super) file_size: Option<u64>,
}

/// An error in MLflow's own form. Some are plain text or a page instead.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    pub(super) error_code: String,
    #[serde(default, deserialize_with = "left_out")]
    pub(super) message: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Loose {
    Whole(u64),
    Float(f64),
    Text(String),
}

/// Protocol buffers as JSON write 64-bit integers as text in some releases and as numbers in others.
fn whole<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    whole_number(Loose::deserialize(from)?)
}

fn whole_number<E: Error>(number: Loose) -> Result<u64, E> {
    match number {
        Loose::Whole(value) => Ok(value),
        Loose::Text(text) => {
            text.parse().map_err(|_| E::invalid_value(Unexpected::Str(&text), &"a whole number"))
        }
        Loose::Float(value) => Err(E::invalid_value(Unexpected::Float(value), &"a whole number")),
    }
}

fn maybe_whole<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Option::<Loose>::deserialize(from)?.map(whole_number).transpose()
}

/// `null` is as good as left out.
fn left_out<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// They write `NaN` and the infinities as text.
fn float<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    match Loose::deserialize(from)? {
        Loose::Whole(value) => Ok(value as f64),
        Loose::Float(value) => Ok(value),
        Loose::Text(text) => match text.as_str() {
            "NaN" => Ok(f64::NAN),
            "Infinity" => Ok(f64::INFINITY),
            "-Infinity" => Ok(f64::NEG_INFINITY),
            other => other.parse().map_err(|_| D::Error::invalid_value(Unexpected::Str(other), &"a number")),
        },
    }
}

fn text<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    match Loose::deserialize(from)? {
        Loose::Text(text) => Ok(text),
        Loose::Whole(value) => Ok(value.to_string()),
        Loose::Float(value) => Err(D::Error::invalid_type(Unexpected::Float(value), &"a text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_in_all_their_forms() {
        let value = |json: &str| {
            let metric: Result<Metric, _> =
                serde_json::from_str(&format!("{{\"key\":\"k\",\"value\":{json}}}"));
            metric.map(|metric| metric.value)
        };
        assert_eq!(value("0.5").unwrap(), 0.5);
        assert_eq!(value("-3").unwrap(), -3.0);
        assert_eq!(value("1").unwrap(), 1.0);
        assert_eq!(value("\"-Infinity\"").unwrap(), f64::NEG_INFINITY);
        assert_eq!(value("\"1e3\"").unwrap(), 1_000.0);
        assert!(value("\"NaN\"").unwrap().is_nan());
        assert!(value("\"much\"").is_err() && value("null").is_err());

        let size = |json: &str| {
            let entry: Result<Entry, _> =
                serde_json::from_str(&format!("{{\"path\":\"p\",\"file_size\":{json}}}"));
            entry.map(|entry| entry.file_size)
        };
        assert_eq!((size("7").unwrap(), size("\"8\"").unwrap()), (Some(7), Some(8)));
        assert!(size("-1").is_err() && size("1.5").is_err());
        let without: Entry = serde_json::from_str("{\"path\":\"p\"}").unwrap();
        assert_eq!((without.file_size, without.is_dir), (None, false));
    }

    #[test]
    fn null_is_as_good_as_left_out() {
        let without: SearchAnswer = serde_json::from_str("{}").unwrap();
        let null: SearchAnswer =
            serde_json::from_str(r#"{"model_versions":null,"next_page_token":null}"#).unwrap();
        assert!(without.model_versions.is_empty() && null.model_versions.is_empty());
        let version: Version = serde_json::from_str(
            r#"{"name":null,"version":"4","creation_timestamp":1,"status":null,"status_message":null,"source":null,
                "run_id":null,"tags":null,"aliases":null}"#,
        )
        .unwrap();
        assert!(version.run_id.is_empty() && version.tags.is_empty() && version.aliases.is_empty());
        let model: Model = serde_json::from_str(r#"{"name":"fraud","aliases":null}"#).unwrap();
        assert!(model.aliases.is_empty());
        let entry: Entry = serde_json::from_str(r#"{"path":"p","is_dir":null,"file_size":null}"#).unwrap();
        assert_eq!((entry.file_size, entry.is_dir), (None, false));
        let run: Run =
            serde_json::from_str(r#"{"data":{"metrics":null,"tags":null},"inputs":null}"#).unwrap();
        assert!(run.data.metrics.is_empty() && run.inputs.dataset_inputs.is_empty());
        // What is no list is not left out.
        assert!(serde_json::from_str::<ListAnswer>(r#"{"files":{}}"#).is_err());
    }
}
