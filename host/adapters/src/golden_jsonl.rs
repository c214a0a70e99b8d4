//! Golden data sets in files of JSON lines: `{"id": "golden-001", "slices": ["country=de"], "inputs": […], "expected": "decline"}`.
//!
//! `inputs` are those of the Open Inference Protocol. `expected` is the true answer: a text is a class, a list of texts are classes, a number is a value,
//! anything else is a JSON document. It is compared by value with what is answered ([`ripcord_core::fact::answer`]).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use ripcord_core::fact::{Payload, Tensor};
use ripcord_ports::requests::{GoldenRow, TrialInput};
use ripcord_ports::{ErrorKind, GoldenData, PortError};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::adapter::{Adapter, SecretKey};
use crate::file_work::FileWork;
use crate::folder;
use crate::text_encoding::other_encoding;

const ROWS_MAX: usize = 1_000_000;

/// Where data sets usually are, below the folder of a configuration, and how their names end.
pub const USUAL_FILES: (&str, &str) = ("golden", ".jsonl");

/// For the catalogue.
pub const ADAPTER: Adapter<GoldenFiles, dyn GoldenData> = Adapter {
    kind: "jsonl",
    system: "a file of requests with known answers",
    summary: "files of JSON lines by name, each line a request and its true answer",
    page: "golden_jsonl/README.md",
    secret: SecretKey::None,
    example: "fraud = \"golden/fraud.jsonl\"",
    start: |config, start| config.0.values_mut().for_each(|file| start.path(file)),
    says: |config| config.0.keys().cloned().collect(),
    make: |config, _| {
        let config = JsonLinesGoldenConfig { datasets: config.0, bytes_max: bytes_max_default() };
        Ok(Arc::new(JsonLinesGolden::new(config)?))
    },
};

/// Files of data sets by name, as a service has them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct GoldenFiles(pub BTreeMap<String, PathBuf>);

/// Where the data sets are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct JsonLinesGoldenConfig {
    /// Each data set's file.
    pub datasets: BTreeMap<String, PathBuf>,
    /// The largest file, in bytes. Default: 67108864.
    #[serde(default = "bytes_max_default")]
    pub bytes_max: u64,
}

fn bytes_max_default() -> u64 {
    64 << 20
}

/// Golden data sets in files.
#[derive(Debug, Clone)]
pub struct JsonLinesGolden {
    config: JsonLinesGoldenConfig,
    files: FileWork,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    id: String,
    #[serde(default)]
    slices: Vec<String>,
    #[serde(borrow)]
    inputs: &'a RawValue,
    expected: Value,
}

impl JsonLinesGolden {
    /// Takes the configuration; files are read when their rows are asked for.
    pub fn new(config: JsonLinesGoldenConfig) -> Result<Self, PortError> {
        Ok(Self { files: FileWork::new("the folder of golden data"), config })
    }
}

fn read(path: &Path, bytes_max: u64) -> Result<Vec<GoldenRow>, PortError> {
    let bytes = folder::read_ambient(path, bytes_max)?;
    if let Some(why) = other_encoding(&bytes) {
        let text = format!("`{}` {why}", path.display());
        return Err(PortError::not_applied(ErrorKind::Configuration, text));
    }
    let mut rows = Vec::new();
    let mut ids = BTreeSet::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let wrong = |why: String| {
            let place = format!("`{}` line {}", path.display(), index + 1);
            PortError::not_applied(ErrorKind::Configuration, format!("{place} {why}"))
        };
        let row = row(line).map_err(wrong)?;
        if !ids.insert(row.input.id.clone()) {
            return Err(wrong(format!("has the id `{}`, which an earlier line has", row.input.id)));
        }
        if rows.len() == ROWS_MAX {
            return Err(wrong(format!("is beyond the {ROWS_MAX} rows that a golden data set may have")));
        }
        rows.push(row);
    }
    if rows.is_empty() {
        return Err(PortError::not_applied(
            ErrorKind::Configuration,
            format!(
                "the golden data set `{}` has no rows: a run over it would prove nothing",
                path.display()
            ),
        ));
    }
    Ok(rows)
}

fn row(line: &[u8]) -> Result<GoldenRow, String> {
    let line: Line<'_> =
        serde_json::from_slice(line).map_err(|error| format!("is no golden row: {error}"))?;
    if line.id.is_empty() {
        return Err("has an empty id".to_owned());
    }
    if !line.inputs.get().starts_with('[') {
        return Err("has `inputs` that are no list: write the protocol's `inputs`".to_owned());
    }
    let mut slices = line.slices;
    if let Some(slice) =
        slices.iter().find(|slice| slice.split_once('=').is_none_or(|(column, _)| column.is_empty()))
    {
        return Err(format!("has the slice `{slice}`: write it as `column=value`"));
    }
    slices.sort();
    slices.dedup();
    Ok(GoldenRow {
        input: TrialInput { id: line.id, body: line.inputs.get().to_owned() },
        slices,
        expected: expected(line.expected)?,
    })
}

fn expected(value: Value) -> Result<Payload, String> {
    Ok(match value {
        Value::Null => return Err("has no `expected`: a golden row needs its true answer".to_owned()),
        Value::String(class) => Payload::Classes(vec![class]),
        Value::Number(number) => {
            let number = number.as_f64().ok_or("has an `expected` that is too large for a number")?;
            Payload::Tensors(vec![Tensor { datatype: "FP64".to_owned(), shape: vec![1], data: vec![number] }])
        }
        Value::Array(values) if !values.is_empty() && values.iter().all(Value::is_string) => {
            Payload::Classes(values.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        }
        other => Payload::Json(other.to_string()),
    })
}

#[async_trait]
impl GoldenData for JsonLinesGolden {
    fn names(&self) -> Vec<String> {
        self.config.datasets.keys().cloned().collect()
    }

    async fn rows(&self, dataset: &str) -> Result<Vec<GoldenRow>, PortError> {
        let Some(path) = self.config.datasets.get(dataset).cloned() else {
            let names: Vec<_> = self.config.datasets.keys().map(|name| format!("`{name}`")).collect();
            let has = if names.is_empty() {
                "there is none".to_owned()
            } else {
                format!("there are {}", names.join(", "))
            };
            return Err(PortError::not_applied(
                ErrorKind::NotFound,
                format!("no golden data set `{dataset}` is configured: {has}"),
            ));
        };
        let bytes_max = self.config.bytes_max;
        self.files.run(move |_| read(&path, bytes_max)).await
    }
}
