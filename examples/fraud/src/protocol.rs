//! The parts of the Open Inference Protocol, version 2, that the server and its clients exchange as JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::transaction::{INPUTS, Transaction, WIDTH};

/// The name of the one input tensor: a row a transaction, its columns in the order of [`INPUTS`].
pub const INPUT: &str = "transaction";
/// The output with the probability of fraud, FP64.
pub const PROBABILITY: &str = "probability";
/// The output with `approve` or `decline`, BYTES.
pub const DECISION: &str = "decision";
/// The parameter of an answer that names what decided where that is not the model.
pub const ANSWERED_BY: &str = "answered_by";
/// The most rows that one request may hold.
pub const ROWS_MAX: usize = 1_024;

/// An input tensor with its data laid out flat, row after row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InputTensor {
    /// The tensor's name.
    pub name: String,
    /// Rows and columns.
    pub shape: Vec<u64>,
    /// `FP64`; the server also takes `FP32`, `INT32` and `INT64`.
    pub datatype: String,
    /// The values.
    pub data: Vec<f64>,
}

/// A transaction as the tensor that asks about it.
#[must_use]
pub fn transaction_tensor(transaction: &Transaction) -> InputTensor {
    InputTensor {
        name: INPUT.to_owned(),
        shape: vec![1, WIDTH as u64],
        datatype: "FP64".to_owned(),
        data: transaction.row().to_vec(),
    }
}

/// An inference request.
#[derive(Debug, Deserialize)]
pub struct InferRequest {
    /// Given back in the answer; the server makes one up when it is absent.
    pub id: Option<String>,
    /// Exactly one.
    pub inputs: Vec<RequestTensor>,
    /// The outputs wanted; all when absent or empty.
    #[serde(default)]
    pub outputs: Vec<RequestedOutput>,
}

/// A tensor as a client may write it: flat or nested.
#[derive(Debug, Deserialize)]
pub struct RequestTensor {
    /// The tensor's name.
    pub name: String,
    /// Rows and columns.
    pub shape: Vec<u64>,
    /// The type of the values.
    pub datatype: String,
    /// The values, flat or nested.
    pub data: Value,
}

/// An output that a client asks for.
#[derive(Debug, Deserialize)]
pub struct RequestedOutput {
    /// The output's name.
    pub name: String,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InferResponse {
    /// The model that answered.
    pub model_name: String,
    /// Its version.
    pub model_version: String,
    /// The request's.
    pub id: String,
    /// `answered_by` where that is not the model, else empty.
    #[serde(default)]
    pub parameters: serde_json::Map<String, Value>,
    /// The outputs that were asked for.
    pub outputs: Vec<OutputTensor>,
}

/// An output tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputTensor {
    /// The tensor's name.
    pub name: String,
    /// Rows and columns.
    pub shape: Vec<u64>,
    /// The type of the values.
    pub datatype: String,
    /// The values, flat.
    pub data: Vec<Value>,
}

/// What a tensor looks like, without values; -1 stands for any number. Fields are in alphabetical order, so that the JSON is
/// the same however it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorMetadata {
    /// The type of the values.
    pub datatype: String,
    /// The tensor's name.
    pub name: String,
    /// Rows and columns.
    pub shape: Vec<i64>,
}

impl TensorMetadata {
    fn new(name: &str, datatype: &str, columns: i64) -> Self {
        Self { datatype: datatype.to_owned(), name: name.to_owned(), shape: vec![-1, columns] }
    }
}

/// What the server tells about a model.
#[derive(Debug, Serialize)]
pub struct ModelMetadata {
    /// The model.
    pub name: String,
    /// The versions that answer now, the default one first.
    pub versions: Vec<String>,
    /// What evaluates it.
    pub platform: String,
    /// What it takes.
    pub inputs: Vec<TensorMetadata>,
    /// What it gives.
    pub outputs: Vec<TensorMetadata>,
    /// Empty; other servers send it too.
    pub parameters: serde_json::Map<String, Value>,
}

/// `model-settings.json`, which makes a folder a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSettings {
    /// The model's name.
    pub name: String,
    /// What evaluates it.
    #[serde(default)]
    pub implementation: String,
    /// What it takes.
    #[serde(default)]
    pub inputs: Vec<TensorMetadata>,
    /// What it gives.
    #[serde(default)]
    pub outputs: Vec<TensorMetadata>,
    /// The version and the artefact's place.
    pub parameters: ModelParameters,
}

/// The `parameters` of `model-settings.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelParameters {
    /// The version that answers will carry.
    pub version: String,
    /// The artefact, beside the settings.
    #[serde(default = "default_uri")]
    pub uri: String,
}

fn default_uri() -> String {
    "./model.json".to_owned()
}

impl ModelSettings {
    /// The settings of a version of this crate's model.
    #[must_use]
    pub fn of(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            implementation: "fraud.LogisticRegression".to_owned(),
            inputs: vec![TensorMetadata::new(INPUT, "FP64", INPUTS.len() as i64)],
            outputs: vec![
                TensorMetadata::new(PROBABILITY, "FP64", 1),
                TensorMetadata::new(DECISION, "BYTES", 1),
            ],
            parameters: ModelParameters { version: version.to_owned(), uri: default_uri() },
        }
    }

    /// The bytes of `model-settings.json`.
    ///
    /// # Errors
    /// None in practice: every value has a JSON form.
    pub fn to_json(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec_pretty(self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

/// The `inputs` of the model's metadata as compact JSON.
///
/// # Errors
/// None in practice: every value has a JSON form.
pub fn input_signature() -> Result<String, serde_json::Error> {
    serde_json::to_string(&ModelSettings::of(crate::MODEL, "").inputs)
}
