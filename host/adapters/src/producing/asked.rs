//! An order in the words of pipelines: JSON.

use std::fmt;

use ripcord_core::request::{Hole, Request};
use ripcord_core::target::{Exclusion, RetrainTarget, Target};
use ripcord_core::time::UnixMillis;
use ripcord_ports::producer::ProduceOrder;
use ripcord_ports::{ErrorKind, PortError};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::text_time;

/// In which columns of the training data stands what exclusions name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ExclusionColumns {
    /// The source of a row. Default: `source`.
    #[serde(default = "source")]
    pub source: String,
    /// The time of a row. Default: `time`.
    #[serde(default = "time")]
    pub time: String,
    /// The id of a row. Default: `id`.
    #[serde(default = "id")]
    pub id: String,
}

fn source() -> String {
    "source".to_owned()
}

fn time() -> String {
    "time".to_owned()
}

fn id() -> String {
    "id".to_owned()
}

impl fmt::Display for ExclusionColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "source `{}`, time `{}`, id `{}`", self.source, self.time, self.id)
    }
}

impl Default for ExclusionColumns {
    fn default() -> Self {
        Self { source: source(), time: time(), id: id() }
    }
}

const KEY_CHARS_MAX: usize = 64;

/// A key stands in paths and addresses as it is.
pub(crate) fn check_key(key: &str) -> Result<(), PortError> {
    let is_key = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=KEY_CHARS_MAX).contains(&key.len()) && key.bytes().all(is_key) && !key.starts_with('-') {
        return Ok(());
    }
    let text =
        format!("`{}` is no key of a run: use 1 to {KEY_CHARS_MAX} of a-z, 0-9 and -", key.escape_debug());
    Err(PortError::not_applied(ErrorKind::Configuration, text))
}

/// Which rows are left out: a row that meets all conditions of one of the slices.
pub(crate) fn exclusion(retrain: &RetrainTarget, columns: &ExclusionColumns) -> Value {
    let slice = |exclusion: &Exclusion| match exclusion {
        Exclusion::Source(source) => json!({ &columns.source: { "equals": source } }),
        Exclusion::Window(window) => {
            // Both ends are left out; the form has the first instant that is not.
            let before = UnixMillis(window.end.0.saturating_add(1));
            let from = text_time::format(window.start);
            json!({ &columns.time: { "from": from, "before": text_time::format(before) } })
        }
        Exclusion::Rows(rows) => json!({ &columns.id: { "in": rows } }),
        Exclusion::Value(of) => json!({ &of.column: { "equals": of.value } }),
    };
    let exclude: Vec<Value> = retrain.exclude.iter().map(slice).collect();
    json!({ "data": retrain.revision, "exclude": exclude })
}

/// What a version is made of.
pub(crate) fn asked_for(target: &Target, columns: &ExclusionColumns) -> Value {
    match target {
        Target::Checkpoint(checkpoint) => {
            json!({ "kind": "checkpoint", "run": checkpoint.run, "step": checkpoint.step, "digest": checkpoint.digest })
        }
        Target::Retrain(retrain) => json!({
            "kind": "retrain",
            "dataset": retrain.dataset,
            "revision": retrain.revision,
            "exclusion": exclusion(retrain, columns),
        }),
        other => json!({ "kind": other.strategy().to_string() }),
    }
}

/// The whole order.
pub(crate) fn document(order: &ProduceOrder, columns: &ExclusionColumns) -> Value {
    json!({
        "key": order.key,
        "service": order.service,
        "incident": order.incident,
        "plan": order.plan,
        "target": asked_for(&order.target, columns),
    })
}

/// The request of a producer for a target; `registers` says how what is made is taken in where the producer does that.
pub(crate) fn request(
    adapter: &str,
    does: &str,
    (target, columns): (&Target, &ExclusionColumns),
    registers: Option<Request>,
) -> Request {
    let (words, digest) = match &registers {
        Some(registers) => {
            let digest = registers.digest().map(|digest| digest.to_string()).unwrap_or_default();
            (format!("{does} for {target}, and {}", registers.words()), digest)
        }
        None => (format!("{does} for {target}"), String::new()),
    };
    let request = Request::new(adapter, &words)
        .with("target", asked_for(target, columns).to_string())
        .with("registered by", digest);
    [Hole::Key, Hole::Incident, Hole::Plan].into_iter().fold(request, Request::hole)
}

#[cfg(test)]
mod tests {
    use ripcord_core::target::{ColumnValue, Window};

    use super::*;

    #[test]
    fn what_is_left_out_is_said_by_column_with_both_ends_of_a_window() {
        let retrain = RetrainTarget {
            dataset: "transactions".into(),
            revision: "sha256:7".into(),
            exclude: vec![
                Exclusion::Source("import".into()),
                Exclusion::Window(Window { start: UnixMillis(0), end: UnixMillis(999) }),
                Exclusion::Rows(vec!["a".into(), "b".into()]),
                Exclusion::Value(ColumnValue { column: "country".into(), value: "it's".into() }),
            ],
        };
        let columns = ExclusionColumns { id: "row".into(), ..ExclusionColumns::default() };
        let expected = json!({"data": "sha256:7", "exclude": [
            {"source": {"equals": "import"}},
            {"time": {"from": "1970-01-01T00:00:00.000Z", "before": "1970-01-01T00:00:01.000Z"}},
            {"row": {"in": ["a", "b"]}},
            {"country": {"equals": "it's"}},
        ]});
        assert_eq!(exclusion(&retrain, &columns), expected);
    }

    #[test]
    fn a_key_is_a_name_in_paths_and_addresses() {
        for key in ["a", "0-a", &"k".repeat(64)] {
            assert!(check_key(key).is_ok(), "{key}");
        }
        for key in ["", "-a", "A", "a/b", "a..b", "a b", &"k".repeat(65)] {
            assert!(check_key(key).is_err(), "{key}");
        }
    }
}
