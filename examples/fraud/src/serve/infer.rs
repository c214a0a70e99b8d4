use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::refusal::Refusal;
use super::repository::Loaded;
use crate::decision::{Decision, InForce};
use crate::model::Verdict;
use crate::protocol::{
    DECISION, INPUT, InferRequest, InferResponse, InputTensor, OutputTensor, PROBABILITY, ROWS_MAX,
    RequestTensor,
};
use crate::rules;
use crate::transaction::WIDTH;

/// Ids are remembered until the truth comes, so they must not be of any length.
const ID_BYTES_MAX: usize = 256;

/// A question that can be answered.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) id: String,
    pub(super) input: InputTensor,
    rows: Vec<[f64; WIDTH]>,
    outputs: Vec<&'static str>,
}

impl Question {
    /// Reads and checks a request body.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        let request: InferRequest = serde_json::from_slice(body)
            .map_err(|error| Refusal::bad(format!("the body is not an inference request: {error}")))?;
        let outputs = wanted(&request)?;
        let Ok([tensor]) = <[RequestTensor; 1]>::try_from(request.inputs) else {
            return Err(Refusal::bad(format!("send exactly one input, `{INPUT}`")));
        };
        let input = flattened(tensor)?;
        let rows = input.data.as_chunks::<WIDTH>().0.to_vec();
        let id = request.id.unwrap_or_else(fresh_id);
        if id.len() > ID_BYTES_MAX {
            return Err(Refusal::bad(format!("the id has {} bytes: use at most {ID_BYTES_MAX}", id.len())));
        }
        Ok(Self { id, input, rows, outputs })
    }

    /// What one version decides about each row, under the configuration in force or, without one, by its own threshold.
    pub(super) fn decided_by_model(&self, loaded: &Loaded, in_force: Option<&InForce>) -> Vec<Decision> {
        let decide = |row: &[f64; WIDTH]| match in_force {
            Some(in_force) => in_force.config.decide(&loaded.model, row),
            None => {
                let probability = loaded.model.probability(row);
                Decision { probability, verdict: loaded.model.verdict(probability), review: false }
            }
        };
        self.rows.iter().map(decide).collect()
    }

    /// What the safe mode decides about each row: it is certain, rightly or not.
    pub(super) fn decided_by_rules(&self) -> Vec<Decision> {
        let decide = |row: &[f64; WIDTH]| {
            let verdict = rules::verdict(row);
            let probability = if verdict == Verdict::Decline { 1.0 } else { 0.0 };
            Decision { probability, verdict, review: false }
        };
        self.rows.iter().map(decide).collect()
    }

    /// The answer that tells the decisions.
    pub(super) fn answer(&self, model: &str, version: &str, decisions: &[Decision]) -> InferResponse {
        let output = |name: &&'static str| {
            let of_each = |value: fn(&Decision) -> Value| decisions.iter().map(value).collect();
            let (datatype, data) = match *name {
                PROBABILITY => ("FP64", of_each(|decision| Value::from(decision.probability))),
                _ => ("BYTES", of_each(|decision| Value::from(decision.verdict.name()))),
            };
            OutputTensor {
                name: (*name).to_owned(),
                shape: vec![self.rows.len() as u64, 1],
                datatype: datatype.to_owned(),
                data,
            }
        };
        InferResponse {
            model_name: model.to_owned(),
            model_version: version.to_owned(),
            id: self.id.clone(),
            parameters: serde_json::Map::new(),
            outputs: self.outputs.iter().map(output).collect(),
        }
    }
}

fn wanted(request: &InferRequest) -> Result<Vec<&'static str>, Refusal> {
    const ALL: [&str; 2] = [PROBABILITY, DECISION];
    if request.outputs.is_empty() {
        return Ok(ALL.to_vec());
    }
    for output in &request.outputs {
        if !ALL.contains(&output.name.as_str()) {
            return Err(Refusal::bad(format!(
                "there is no output `{}`: ask for `{PROBABILITY}` or `{DECISION}`",
                output.name
            )));
        }
    }
    Ok(ALL.into_iter().filter(|name| request.outputs.iter().any(|output| output.name == *name)).collect())
}

fn flattened(tensor: RequestTensor) -> Result<InputTensor, Refusal> {
    let RequestTensor { name, shape, datatype, data } = tensor;
    if name != INPUT {
        return Err(Refusal::bad(format!("there is no input `{name}`: send `{INPUT}`")));
    }
    if !matches!(datatype.as_str(), "FP64" | "FP32" | "INT64" | "INT32") {
        return Err(Refusal::bad(format!("input `{INPUT}` cannot be of datatype `{datatype}`: send `FP64`")));
    }
    let rows = match shape[..] {
        [rows, columns] if columns == WIDTH as u64 && (1..=ROWS_MAX as u64).contains(&rows) => rows as usize,
        _ => {
            return Err(Refusal::bad(format!(
                "input `{INPUT}` cannot be of shape {shape:?}: send [rows, {WIDTH}], 1 to {ROWS_MAX} rows"
            )));
        }
    };
    let mut flat = Vec::with_capacity(rows * WIDTH);
    flatten(&data, &mut flat)?;
    if flat.len() != rows * WIDTH {
        return Err(Refusal::bad(format!(
            "input `{INPUT}` has {} values where shape {shape:?} asks for {}",
            flat.len(),
            rows * WIDTH
        )));
    }
    Ok(InputTensor { name, shape, datatype, data: flat })
}

/// The numbers of a nested array, in order. The JSON reader bounds the depth.
fn flatten(value: &Value, into: &mut Vec<f64>) -> Result<(), Refusal> {
    match value {
        Value::Array(values) => values.iter().try_for_each(|value| flatten(value, into)),
        Value::Number(number) => {
            into.push(
                number
                    .as_f64()
                    .filter(|number| number.is_finite())
                    .ok_or_else(|| Refusal::bad(format!("`{number}` is not a finite number")))?,
            );
            Ok(())
        }
        other => Err(Refusal::bad(format!("input `{INPUT}` holds `{other}` where a number is expected"))),
    }
}

/// An id that no other request of this process has.
fn fresh_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("fraud-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Question;

    fn refusal(body: &str, expected: &str) {
        let message = Question::parse(body.as_bytes()).unwrap_err().to_string();
        assert!(message.contains(expected), "`{body}` gave `{message}`");
    }

    #[test]
    fn refuses_what_it_cannot_answer() {
        let tensor = |name: &str, shape: &str, datatype: &str, data: &str| {
            format!(
                r#"{{"inputs":[{{"name":"{name}","shape":{shape},"datatype":"{datatype}","data":{data}}}]}}"#
            )
        };
        let row = "[1,2,3,4,5,6,0]";
        refusal("", "not an inference request");
        refusal("[]", "not an inference request");
        refusal("{}", "missing field `inputs`");
        refusal(r#"{"inputs":[]}"#, "exactly one input");
        refusal(&tensor("input-0", "[1,7]", "FP64", row), "no input `input-0`");
        refusal(&tensor("transaction", "[1,7]", "BYTES", row), "datatype `BYTES`");
        refusal(&tensor("transaction", "[1,2]", "FP64", "[1,2]"), "shape [1, 2]");
        refusal(&tensor("transaction", "[7]", "FP64", row), "shape [7]");
        refusal(&tensor("transaction", "[0,7]", "FP64", "[]"), "shape [0, 7]");
        refusal(&tensor("transaction", "[-1,7]", "FP64", row), "not an inference request");
        refusal(&tensor("transaction", "[1025,7]", "FP64", "[]"), "1 to 1024 rows");
        refusal(&tensor("transaction", "[18446744073709551615,7]", "FP64", row), "1 to 1024 rows");
        refusal(&tensor("transaction", "[2,7]", "FP64", row), "7 values where shape [2, 7] asks for 14");
        refusal(&tensor("transaction", "[1,7]", "FP64", "[1,2,3,4,5,6,null]"), "holds `null`");
        refusal(&tensor("transaction", "[1,7]", "FP64", "\"abc\""), "holds `\"abc\"`");
        refusal(&tensor("transaction", "[1,7]", "FP64", "[1,2,3,4,5,6,1e999]"), "not an inference request");
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        refusal(&tensor("transaction", "[1,7]", "FP64", &deep), "not an inference request");
        let outputs =
            tensor("transaction", "[1,7]", "FP64", row).replacen('{', r#"{"outputs":[{"name":"class"}],"#, 1);
        refusal(&outputs, "no output `class`");
        let long = tensor("transaction", "[1,7]", "FP64", row).replacen(
            '{',
            &format!(r#"{{"id":"{}","#, "x".repeat(257)),
            1,
        );
        refusal(&long, "the id has 257 bytes: use at most 256");
    }

    #[test]
    fn takes_flat_and_nested_rows() {
        let ask = |data: &str| {
            let body = format!(
                r#"{{"id":"a","inputs":[{{"name":"transaction","shape":[2,7],"datatype":"FP64","data":{data}}}]}}"#
            );
            Question::parse(body.as_bytes()).unwrap()
        };
        let (flat, nested) = (ask("[1,2,3,4,5,6,0,1,2,3,4,5,6,1]"), ask("[[1,2,3,4,5,6,0],[1,2,3,4,5,6,1]]"));
        assert_eq!(flat.input, nested.input);
        assert_eq!(flat.rows, nested.rows);
        assert_eq!((flat.id.as_str(), flat.rows.len()), ("a", 2));
    }
}
