//! How checkpoints of each kind describe themselves. Every error is the end of a sentence that begins with the checkpoint's path.

use std::collections::BTreeMap;

use ripcord_core::digest::Digest;
use ripcord_core::fact::Measure;
use ripcord_core::name::VersionName;
use ripcord_core::target::ArtefactFile;
use ripcord_core::time::UnixMillis;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::lenient;
use crate::{artefact, text_time};

/// The file of the plain kind.
pub(super) const PLAIN: &str = "checkpoint.json";
/// The file of Hugging Face's trainer.
pub(super) const TRAINER_STATE: &str = "trainer_state.json";
/// The end of the names that Lightning gives.
pub(super) const LIGHTNING: &str = ".ckpt";

const METRICS_MAX: usize = 256;

/// What a checkpoint says of itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Description {
    pub(crate) step: u64,
    pub(crate) at: UnixMillis,
    /// As logged: also what is no finite number, since a loss that was lost tells more than none.
    pub(crate) measures: Vec<Measure>,
    /// What its files answer as, once they are served.
    pub(crate) version: Option<VersionName>,
    /// What it was trained from.
    pub(crate) parent: Option<VersionName>,
    pub(crate) code: Option<String>,
    pub(crate) data: Option<Data>,
    /// The files that make the version, where it says that not all do.
    pub(crate) files: Option<Vec<ArtefactFile>>,
}

/// The data that it has learnt from.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Data {
    pub(crate) dataset: String,
    #[serde(default)]
    pub(crate) revision: Option<String>,
    #[serde(default)]
    pub(crate) sha256: Option<Digest>,
    #[serde(default)]
    pub(crate) rows: Option<u64>,
}

#[derive(Deserialize)]
struct Plain {
    step: u64,
    time: Value,
    #[serde(default)]
    metrics: Map<String, Value>,
    #[serde(default)]
    version: Option<VersionName>,
    #[serde(default)]
    parent: Option<VersionName>,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    files: Option<Vec<PlainFile>>,
}

/// As an artefact's file, and whatever else is said of it.
#[derive(Deserialize)]
struct PlainFile {
    path: String,
    sha256: Digest,
    bytes: u64,
}

/// `checkpoint.json`.
pub(super) fn plain(bytes: &[u8]) -> Result<Description, String> {
    let wrong = |error: serde_json::Error| {
        format!("has a `{PLAIN}` that does not read, as one that is cut or half-written: {error}")
    };
    let plain: Plain = lenient::values(bytes).and_then(serde_json::from_value).map_err(wrong)?;
    let at = match &plain.time {
        Value::String(text) => text_time::parse(text).map_err(|why| format!("has a bad `time`: {why}"))?,
        Value::Number(ms) => ms.as_u64().map(UnixMillis).ok_or_else(|| {
            format!("has the `time` {ms}: write RFC 3339, or whole milliseconds since 1970")
        })?,
        _ => return Err("has a `time` that is neither a text nor a number: write RFC 3339".to_owned()),
    };
    let mut measures = BTreeMap::new();
    for (name, value) in plain.metrics {
        let Some(number) = lenient::number(&value) else {
            return Err(format!(
                "has the metric `{}` that is no number: have its trainer write numbers, and `null` for one that was lost",
                name.escape_debug()
            ));
        };
        measures.insert(name, number);
    }
    let files = plain.files.map(|files| {
        let file = |file: PlainFile| ArtefactFile { path: file.path, sha256: file.sha256, bytes: file.bytes };
        let mut files: Vec<_> = files.into_iter().map(file).collect();
        files.sort();
        files
    });
    for file in files.iter().flatten() {
        artefact::check_path(&file.path).map_err(|why| format!("lists a file with a bad path: {why}"))?;
    }
    if files.as_ref().is_some_and(|files| files.windows(2).any(|two| two[0].path == two[1].path)) {
        return Err("lists a file twice".to_owned());
    }
    Ok(Description {
        step: plain.step,
        at,
        measures: listed(measures)?,
        version: plain.version,
        parent: plain.parent,
        code: plain.code,
        data: plain.data,
        files: files.filter(|files| !files.is_empty()),
    })
}

#[derive(Deserialize)]
struct TrainerState {
    global_step: u64,
    #[serde(default)]
    log_history: Vec<Map<String, Value>>,
}

/// `trainer_state.json`: it has no time but that of its file. Of each metric the last value up to the step counts.
pub(super) fn trainer_state(bytes: &[u8], changed: Option<UnixMillis>) -> Result<Description, String> {
    let wrong = |error: serde_json::Error| {
        format!("has a `{TRAINER_STATE}` that does not read, as one that is cut or half-written: {error}")
    };
    let state: TrainerState = lenient::values(bytes).and_then(serde_json::from_value).map_err(wrong)?;
    let mut measures = BTreeMap::new();
    for entry in state.log_history {
        let step = entry.get("step").and_then(Value::as_u64);
        if step.is_some_and(|step| step > state.global_step) {
            continue;
        }
        // Texts and lists among them are no metrics.
        let numbers = entry.into_iter().filter(|(name, _)| name != "step");
        measures.extend(numbers.filter_map(|(name, value)| Some((name, lenient::number(&value)?))));
    }
    described(state.global_step, changed, measures)
}

/// A name that Lightning gave: `epoch=3-step=1200-val_loss=0.12.ckpt`.
pub(super) fn lightning(name: &str, changed: Option<UnixMillis>) -> Result<Description, String> {
    let mut measures = pairs(name.strip_suffix(LIGHTNING).unwrap_or(name));
    let Some(step) = measures.remove("step") else {
        return Err("names no step: have it saved with `{step}` in its file name".to_owned());
    };
    let whole =
        step.parse::<u64>().map_err(|_| format!("names the step `{step}`, which is no whole number"))?;
    let value = |text: String| text.parse::<f64>().unwrap_or(f64::NAN);
    described(whole, changed, measures.into_iter().map(|(name, text)| (name, value(text))).collect())
}

fn described(
    step: u64,
    changed: Option<UnixMillis>,
    measures: BTreeMap<String, f64>,
) -> Result<Description, String> {
    let at = changed.ok_or("lies where files have no time, and says none itself")?;
    let measures = listed(measures)?;
    Ok(Description { step, at, measures, version: None, parent: None, code: None, data: None, files: None })
}

fn listed(measures: BTreeMap<String, f64>) -> Result<Vec<Measure>, String> {
    if measures.len() > METRICS_MAX {
        return Err(format!("has {} metrics, more than {METRICS_MAX}: log fewer", measures.len()));
    }
    Ok(measures.into_iter().map(|(name, value)| Measure { name, value }).collect())
}

/// `key=number` wherever it stands in the name, whatever is between.
fn pairs(name: &str) -> BTreeMap<String, String> {
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/');
    let mut pairs = BTreeMap::new();
    for (at, _) in name.match_indices('=') {
        let (before, after) = (&name[..at], &name[at + 1..]);
        let key = before.rsplit(|c| !is_key(c)).next().unwrap_or_default();
        let value = number_of(after);
        if !key.is_empty() && !value.is_empty() {
            pairs.insert(key.to_owned(), value.to_owned());
        }
    }
    pairs
}

/// The longest beginning that is a number.
fn number_of(text: &str) -> &str {
    let digits = |from: usize| text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let signed = usize::from(text.starts_with(['-', '+']));
    let unsigned = text[signed..].to_ascii_lowercase();
    if let Some(word) = ["nan", "infinity", "inf"].into_iter().find(|word| unsigned.starts_with(word)) {
        return &text[..signed + word.len()];
    }
    let mut end = signed + digits(signed);
    if end == signed {
        return "";
    }
    if text[end..].starts_with('.') && digits(end + 1) > 0 {
        end += 1 + digits(end + 1);
    }
    if text[end..].starts_with(['e', 'E']) {
        let sign = usize::from(text[end + 1..].starts_with(['-', '+']));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(described: &Description) -> (u64, Vec<(&str, f64)>) {
        (described.step, described.measures.iter().map(|m| (m.name.as_str(), m.value)).collect())
    }

    #[test]
    fn lightning_s_names_are_read_with_their_metrics() {
        let at = Some(UnixMillis(7));
        for (name, step, measures) in [
            ("epoch=3-step=1200.ckpt", 1_200, vec![("epoch", 3.0)]),
            ("epoch=03-step=1200-v1.ckpt", 1_200, vec![("epoch", 3.0)]),
            ("fraud-step=7-val_loss=-0.25-lr=1e-05.ckpt", 7, vec![("lr", 1e-5), ("val_loss", -0.25)]),
            ("step=7-a.b=1.5.ckpt", 7, vec![("a.b", 1.5)]),
            ("step=7-val_loss=inf.ckpt", 7, vec![("val_loss", f64::INFINITY)]),
        ] {
            assert_eq!(told(&lightning(name, at).unwrap()), (step, measures), "{name}");
        }
        let lost = lightning("step=7-val_loss=nan.ckpt", at).unwrap();
        assert!(lost.measures[0].value.is_nan());
        for (name, why) in [
            ("last.ckpt", "names no step"),
            ("epoch=3.ckpt", "names no step"),
            ("step=1.5.ckpt", "no whole number"),
            ("step=-4.ckpt", "no whole number"),
            ("step=.ckpt", "names no step"),
        ] {
            assert!(lightning(name, at).unwrap_err().contains(why), "{name}");
        }
        assert!(lightning("step=7.ckpt", None).unwrap_err().contains("no time"));
    }

    #[test]
    fn the_last_value_of_each_metric_up_to_the_step_counts() {
        let text = br#"{"best_metric": 0.1, "global_step": 200, "log_history": [
            {"epoch": 0.5, "loss": 0.7, "learning_rate": 5e-5, "step": 100}, {"eval_loss": 0.6, "eval_note": "x", "step": 100},
            {"loss": NaN, "step": 200}, {"loss": 0.1, "step": 300}]}"#;
        let read = trainer_state(text, Some(UnixMillis(7))).unwrap();
        let (step, measures) = told(&read);
        assert_eq!(step, 200);
        assert_eq!(measures[..3], [("epoch", 0.5), ("eval_loss", 0.6), ("learning_rate", 5e-5)]);
        assert!(measures[3].0 == "loss" && measures[3].1.is_nan() && measures.len() == 4);
        assert!(trainer_state(&text[..150], Some(UnixMillis(7))).unwrap_err().contains("half-written"));
        assert!(trainer_state(b"{\"global_step\": -1}", Some(UnixMillis(7))).is_err());
    }

    #[test]
    fn a_plain_one_says_what_it_is_and_what_is_wrong_with_it_is_said() {
        let read = plain(br#"{"step": 3, "time": "2026-11-27T12:00:00Z"}"#).unwrap();
        assert_eq!((read.step, read.at, read.measures.len()), (3, UnixMillis(1_795_780_800_000), 0));
        assert_eq!(plain(br#"{"step": 3, "time": 5, "files": []}"#).unwrap().files, None);
        let sha = "a".repeat(64);
        let file = format!(r#"{{"path": "a", "sha256": "{sha}", "bytes": 1}}"#);
        for (text, why) in [
            (r#"{"step": 3"#.to_owned(), "half-written"),
            (r#"{"time": 5}"#.to_owned(), "`step`"),
            (r#"{"step": 1.5, "time": 5}"#.to_owned(), "1.5"),
            (r#"{"step": 3, "time": "soon"}"#.to_owned(), "`soon`"),
            (r#"{"step": 3, "time": -1}"#.to_owned(), "whole milliseconds"),
            (r#"{"step": 3, "time": null}"#.to_owned(), "neither"),
            (r#"{"step": 3, "time": 5, "metrics": {"loss": "low"}}"#.to_owned(), "`loss` that is no number"),
            (r#"{"step": 3, "time": 5, "version": "a b"}"#.to_owned(), "`a b`"),
            (format!(r#"{{"step": 3, "time": 5, "files": [{file}, {file}]}}"#), "twice"),
            (
                format!(r#"{{"step": 3, "time": 5, "files": [{}]}}"#, file.replace("\"a\"", "\"../a\"")),
                "bad path",
            ),
        ] {
            let error = plain(text.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        let many: Vec<_> = (0..300).map(|number| format!("\"m{number}\": 1")).collect();
        let text = format!(r#"{{"step": 3, "time": 5, "metrics": {{{}}}}}"#, many.join(","));
        assert!(plain(text.as_bytes()).unwrap_err().contains("300 metrics"));
    }
}
