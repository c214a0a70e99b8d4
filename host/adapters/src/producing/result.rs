//! What a pipeline tells of what it has made.

use std::collections::BTreeMap;

use ripcord_core::data::PURGED_FROM;
use ripcord_core::digest::Digest;
use ripcord_core::fact::{Dataset, Lineage, Measure};
use ripcord_core::foreign::Foreign;
use ripcord_core::name::VersionName;
use ripcord_core::signal::Label;
use ripcord_core::target::{Target, VersionTarget};
use ripcord_ports::producer::ProduceOrder;
use serde_json::{Map, Value};

use crate::checkpoints::lenient;
use crate::http::on_one_line;

const LABELS_MAX: usize = 64;
const VALUE_CHARS_MAX: usize = 500;

/// `{"version": "1.5.1", "digest": "…", "measures": {"accuracy": 0.9}, …}`; what else there is says what it was made of.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Told {
    /// As the registry names it; where the pipeline gives files, what it should be called.
    pub(crate) version: Option<VersionName>,
    pub(crate) digest: Option<Digest>,
    pub(crate) measures: Vec<Measure>,
    pub(crate) made_of: Vec<Label>,
}

impl Told {
    /// Reads JSON: an object, or a text that is the version. The error is the end of a sentence that begins with the result.
    pub(crate) fn of(value: &Value) -> Result<Self, String> {
        let fields = match value {
            Value::String(version) => {
                return Ok(Self { version: Some(version_of(version)?), ..Self::default() });
            }
            Value::Object(fields) => fields,
            other => {
                return Err(format!(
                    "is `{}`, which is neither an object nor the name of a version",
                    line(&other.to_string())
                ));
            }
        };
        let mut told = Self::default();
        let mut others = Map::new();
        for (name, value) in fields {
            match (name.as_str(), value) {
                ("version", Value::String(version)) => told.version = Some(version_of(version)?),
                // MLflow counts its versions, and some write them as numbers.
                ("version", Value::Number(number)) => told.version = Some(version_of(&number.to_string())?),
                ("version" | "digest" | "measures", Value::Null) => {}
                ("digest", Value::String(text)) => {
                    let bare = text.strip_prefix("sha256:").unwrap_or(text);
                    told.digest = Some(bare.parse().map_err(|error| format!("has a bad `digest`: {error}"))?);
                }
                ("measures", Value::Object(measures)) => told.take_measures(measures),
                ("version" | "digest" | "measures", _) => {
                    return Err(format!("has a `{name}` of another kind than expected"));
                }
                _ => {
                    others.insert(name.clone(), value.clone());
                }
            }
        }
        told.made_of.extend(labels(&others));
        told.made_of.sort();
        Ok(told)
    }

    /// A measure that is no finite number compares with nothing: it is told as what it was made of.
    fn take_measures(&mut self, measures: &Map<String, Value>) {
        for (name, value) in measures {
            match lenient::number(value) {
                Some(number) if number.is_finite() => {
                    self.measures.push(Measure { name: name.clone(), value: number });
                }
                _ => {
                    self.made_of.push(Label::new(format!("measure {}", line(name)), line(&value.to_string())))
                }
            }
        }
    }

    /// What a version that is registered from here was made of.
    pub(crate) fn lineage(&self, order: &ProduceOrder) -> Lineage {
        let mut parameters: Vec<Label> = self.made_of.clone();
        parameters.push(Label::new("ripcord:incident", order.incident.as_str()));
        parameters.push(Label::new("ripcord:plan", order.plan.to_string()));
        let find = |name: &str| {
            self.made_of.iter().find(|label| label.name == name).map(|label| label.value.clone())
        };
        let parent = find("parent").and_then(|name| VersionName::new(name).ok());
        let (dataset, revision) = match &order.target {
            Target::Retrain(retrain) => {
                let named = find("dataset-revision").or_else(|| find("dataset_revision"));
                let revision = if retrain.exclude.is_empty() {
                    named.or_else(|| Some(retrain.revision.clone()))
                } else {
                    // Without some of its rows it is another revision, which the pipeline alone can name.
                    parameters.push(Label::new(PURGED_FROM, retrain.revision.clone()));
                    named
                };
                (Some(retrain.dataset.clone()), revision)
            }
            _ => (find("dataset"), find("dataset-revision")),
        };
        parameters.sort();
        let trained_on = dataset.map(|name| Dataset { name, revision, context: Some("training".to_owned()) });
        let lineage = Lineage {
            code: find("code"),
            run: find("run").or_else(|| Some(order.key.clone())),
            parameters,
            parent: parent.map(|version| VersionTarget { version, digest: None }),
            ..Lineage::default()
        };
        lineage.with_datasets(trained_on.into_iter().collect())
    }
}

fn version_of(text: &str) -> Result<VersionName, String> {
    VersionName::new(text).map_err(|error| format!("names no version: {error}"))
}

/// Fields as labels, sorted, with a bound.
fn labels(fields: &Map<String, Value>) -> Vec<Label> {
    let text = |value: &Value| match value {
        Value::String(text) => line(text),
        other => line(&other.to_string()),
    };
    let sorted: BTreeMap<String, String> =
        fields.iter().map(|(name, value)| (line(name), text(value))).collect();
    let more = sorted.len().saturating_sub(LABELS_MAX);
    let mut labels: Vec<Label> =
        sorted.into_iter().take(LABELS_MAX).map(|(name, value)| Label { name, value }).collect();
    if more > 0 {
        labels.push(Label::new("~", format!("{more} more that are not kept")));
    }
    labels
}

/// Text of others, on one line.
pub(crate) fn line(text: &str) -> String {
    Foreign::new(&on_one_line(text)).at_most(VALUE_CHARS_MAX).to_string()
}

/// The same of what is longer than a line shows, so that any change of it is another text.
pub(crate) fn line_and_digest(text: &str) -> String {
    format!("{} (sha256 {})", line(text), Digest::of(text).short())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_result_is_a_name_or_says_more() {
        assert_eq!(Told::of(&json!("1.5.1")).unwrap().version.unwrap().as_str(), "1.5.1");
        let told = Told::of(
            &json!({"version": 7, "digest": format!("sha256:{}", "a".repeat(64)), "rows": 12, "note": "a\nb",
            "measures": {"accuracy": 0.9, "loss": "NaN", "odd": []}}),
        )
        .unwrap();
        assert_eq!(told.version.unwrap().as_str(), "7");
        assert!(told.digest.is_some() && told.measures.len() == 1);
        let made_of: Vec<_> =
            told.made_of.iter().map(|label| (label.name.as_str(), label.value.as_str())).collect();
        assert_eq!(
            made_of,
            [("measure loss", "\"NaN\""), ("measure odd", "[]"), ("note", "a b"), ("rows", "12")]
        );
        let many: Map<String, Value> = (0..100).map(|number| (format!("k{number}"), json!(1))).collect();
        assert!(labels(&many).last().unwrap().value.starts_with("36 more"));
    }

    #[test]
    fn what_is_no_result_says_why() {
        for (value, why) in [
            (json!(null), "neither an object"),
            (json!(["1"]), "neither an object"),
            (json!("a b"), "names no version"),
            (json!({"version": "a b"}), "names no version"),
            (json!({"version": {}}), "`version` of another kind"),
            (json!({"version": "1", "digest": "x"}), "bad `digest`"),
        ] {
            let error = Told::of(&value).unwrap_err();
            assert!(error.contains(why), "{value}: {error}");
        }
    }
}
