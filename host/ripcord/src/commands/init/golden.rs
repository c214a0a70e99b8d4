//! The first row of a golden data set: a harmless request, and what kind of answer it has.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::find::FoundModel;

/// A longer row is not for this.
const ROW_BYTES_MAX: u64 = 64 << 10;

/// What is taken from the row.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct FirstRow {
    /// The protocol's `inputs`.
    pub(super) inputs: Value,
    expected: Value,
}

impl FirstRow {
    /// None where the file cannot be read, or begins with something else.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let file = std::fs::File::open(path).ok()?;
        let mut line = String::new();
        BufReader::new(file.take(ROW_BYTES_MAX)).read_line(&mut line).ok()?;
        let row: Self = serde_json::from_str(&line).ok()?;
        row.inputs.is_array().then_some(row)
    }

    /// The output of the model that has the kind of the expected answer.
    pub(super) fn output<'m>(&self, model: &'m FoundModel) -> Option<&'m str> {
        let first = match &self.expected {
            Value::Array(all) => all.first().unwrap_or(&Value::Null),
            one => one,
        };
        let fits = |datatype: &str| match first {
            Value::String(_) => datatype == "BYTES",
            Value::Bool(_) => datatype == "BOOL",
            Value::Number(_) => !matches!(datatype, "BYTES" | "BOOL"),
            _ => false,
        };
        match model.outputs.as_slice() {
            [(only, _)] => Some(only),
            several => several.iter().find(|(_, datatype)| fits(datatype)).map(|(name, _)| name.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_output_has_the_kind_of_the_answer() {
        let output = |name: &str, datatype: &str| (name.to_owned(), datatype.to_owned());
        let model = |outputs: &[(String, String)]| FoundModel {
            url: String::new(),
            name: String::new(),
            outputs: outputs.to_vec(),
        };
        let all = [output("score", "FP64"), output("decision", "BYTES"), output("flag", "BOOL")];
        let row = |expected| FirstRow { inputs: json!([]), expected };
        for (expected, wanted) in [
            (json!("decline"), Some("decision")),
            (json!(["a", "b"]), Some("decision")),
            (json!(0.5), Some("score")),
            (json!([0.1, 0.9]), Some("score")),
            (json!(true), Some("flag")),
            (json!(null), None),
        ] {
            assert_eq!(row(expected.clone()).output(&model(&all)), wanted, "{expected}");
            assert_eq!(row(expected).output(&model(&all[..1])), Some("score"), "one output is the one");
        }
        assert_eq!(row(json!(1)).output(&model(&[])), None);
    }
}
