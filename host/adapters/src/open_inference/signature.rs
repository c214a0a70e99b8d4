//! Input signatures: as servers tell them, as registries keep them, and in what two of them differ.

use ripcord_ports::endpoint::SignatureCheck;
use serde::Deserialize;
use serde_json::Value;

/// An input as a server tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct TensorSpec {
    pub(crate) name: String,
    pub(crate) datatype: String,
    #[serde(default)]
    pub(crate) shape: Vec<i64>,
}

/// An input as a registry keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    /// None where the model takes one tensor without a name.
    name: Option<String>,
    /// None where the registry's kind has no single counterpart in the protocol.
    datatype: Option<String>,
    /// None where the registry keeps columns, whose shape the server chooses.
    shape: Option<Vec<i64>>,
    optional: bool,
}

/// Compares what a registry keeps, as the protocol's or MLflow's JSON, with what a server tells.
pub(crate) fn compare(kept: &str, told: &[TensorSpec]) -> SignatureCheck {
    let wanted = match read(kept) {
        Ok(wanted) => wanted,
        Err(why) => return SignatureCheck::Unknown(why),
    };
    if told.is_empty() {
        return SignatureCheck::Unknown("the server does not tell which inputs the model takes".to_owned());
    }
    let differences = differences(&wanted, told);
    if differences.is_empty() { SignatureCheck::Same } else { SignatureCheck::Differs(differences) }
}

fn differences(wanted: &[Wanted], told: &[TensorSpec]) -> Vec<String> {
    if let ([Wanted { name: None, .. }], [told]) = (wanted, told) {
        return difference(&wanted[0], told);
    }
    let mut found = Vec::new();
    for one in wanted {
        let name = one.name.as_deref().unwrap_or_default();
        match told.iter().find(|told| told.name == name) {
            Some(told) => found.extend(difference(one, told)),
            None if one.optional => {}
            None if name.is_empty() => {
                found.push(format!("the version takes one tensor, and the server tells {}", told.len()));
            }
            None => found.push(format!("the version takes `{name}`, of which the server does not tell")),
        }
    }
    let unknown = told
        .iter()
        .filter(|told| !wanted.iter().any(|one| one.name.as_ref().is_none_or(|name| *name == told.name)));
    found.extend(
        unknown.map(|told| format!("the server tells of `{}`, which the version does not take", told.name)),
    );
    found
}

fn difference(wanted: &Wanted, told: &TensorSpec) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(datatype) = wanted.datatype.as_ref().filter(|datatype| **datatype != told.datatype) {
        found.push(format!(
            "`{}` is {datatype} in the registry and {} on the server",
            told.name, told.datatype
        ));
    }
    // Shorter than zero stands for any length.
    let fits = |shape: &[i64]| {
        shape.len() == told.shape.len()
            && shape.iter().zip(&told.shape).all(|(one, two)| *one < 0 || *two < 0 || one == two)
    };
    if let Some(shape) = wanted.shape.as_ref().filter(|shape| !told.shape.is_empty() && !fits(shape)) {
        found.push(format!(
            "`{}` has the shape {shape:?} in the registry and {:?} on the server",
            told.name, told.shape
        ));
    }
    found
}

/// Reads the protocol's list of tensors, MLflow's tensors or MLflow's columns.
fn read(kept: &str) -> Result<Vec<Wanted>, String> {
    let unread = || "the registry's signature is neither the protocol's nor MLflow's".to_owned();
    let Ok(Value::Array(items)) = serde_json::from_str::<Value>(kept) else { return Err(unread()) };
    if items.is_empty() {
        return Err("the registry keeps no input in the signature".to_owned());
    }
    items.iter().map(|item| one(item).ok_or_else(unread)).collect()
}

fn one(item: &Value) -> Option<Wanted> {
    let name = item.get("name").and_then(Value::as_str).map(str::to_owned);
    let shape = |value: &Value| value.as_array()?.iter().map(Value::as_i64).collect::<Option<Vec<_>>>();
    if let Some(datatype) = item.get("datatype") {
        let shape = item.get("shape").map(shape);
        return Some(Wanted {
            name: Some(name?),
            datatype: Some(datatype.as_str()?.to_owned()),
            shape: match shape {
                Some(shape) => Some(shape?),
                None => None,
            },
            optional: false,
        });
    }
    if let Some(tensor) = item.get("tensor-spec") {
        return Some(Wanted {
            name,
            datatype: of_numpy(tensor.get("dtype")?.as_str()?),
            shape: Some(shape(tensor.get("shape")?)?),
            optional: false,
        });
    }
    Some(Wanted {
        name,
        datatype: of_column(item.get("type")?.as_str()?),
        shape: None,
        optional: item.get("required").and_then(Value::as_bool) == Some(false),
    })
}

fn of_numpy(dtype: &str) -> Option<String> {
    let (kind, bits) = dtype.split_at(dtype.find(|c: char| c.is_ascii_digit()).unwrap_or(dtype.len()));
    match kind {
        "bool" => Some("BOOL".to_owned()),
        "int" | "uint" => Some(format!("{}{bits}", kind.to_uppercase())),
        "float" => Some(format!("FP{bits}")),
        "str" | "object" | "bytes" => Some("BYTES".to_owned()),
        _ => None,
    }
}

fn of_column(kind: &str) -> Option<String> {
    let datatype = match kind {
        "boolean" => "BOOL",
        "integer" => "INT32",
        "long" => "INT64",
        "float" => "FP32",
        "double" => "FP64",
        "string" | "binary" => "BYTES",
        _ => return None,
    };
    Some(datatype.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(inputs: &[(&str, &str, &[i64])]) -> Vec<TensorSpec> {
        let spec = |(name, datatype, shape): &(&str, &str, &[i64])| TensorSpec {
            name: (*name).to_owned(),
            datatype: (*datatype).to_owned(),
            shape: shape.to_vec(),
        };
        inputs.iter().map(spec).collect()
    }

    const COLUMNS: &str = r#"[{"type":"double","name":"amount","required":true},{"type":"string","name":"country"},
        {"type":"datetime","name":"at","required":false}]"#;
    const TENSOR: &str = r#"[{"type":"tensor","tensor-spec":{"dtype":"float64","shape":[-1,4]}}]"#;
    const PROTOCOL: &str = r#"[{"name":"x","datatype":"FP64","shape":[-1,4]}]"#;

    #[test]
    fn the_same_inputs_are_the_same_in_every_notation() {
        let columns = told(&[("amount", "FP64", &[-1, 1]), ("country", "BYTES", &[-1, 1])]);
        let with_time = [columns.clone(), told(&[("at", "BYTES", &[-1, 1])])].concat();
        for (kept, told) in [
            (COLUMNS, columns),
            (COLUMNS, with_time),
            (TENSOR, told(&[("input-0", "FP64", &[-1, 4])])),
            (TENSOR, told(&[("input-0", "FP64", &[])])),
            (PROTOCOL, told(&[("x", "FP64", &[8, 4])])),
        ] {
            assert_eq!(compare(kept, &told), SignatureCheck::Same, "{kept}");
        }
    }

    #[test]
    fn every_difference_is_told() {
        let check = |kept: &str, told: &[TensorSpec], expected: &[&str]| {
            let SignatureCheck::Differs(found) = compare(kept, told) else { panic!("{kept}") };
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (one, expected) in found.iter().zip(expected) {
                assert!(one.contains(expected), "{one}");
            }
        };
        let other = told(&[("amount", "FP32", &[-1, 1]), ("city", "BYTES", &[-1, 1])]);
        check(
            COLUMNS,
            &other,
            &["`amount` is FP64 in the registry and FP32", "takes `country`", "tells of `city`"],
        );
        check(TENSOR, &told(&[("i", "INT64", &[-1, 5])]), &["FP64", "[-1, 4] in the registry and [-1, 5]"]);
        check(
            TENSOR,
            &told(&[("a", "FP64", &[-1, 4]), ("b", "FP64", &[-1, 4])]),
            &["takes one tensor, and the server tells 2"],
        );
        check(PROTOCOL, &told(&[("x", "FP64", &[-1])]), &["shape"]);
        check(PROTOCOL, &told(&[("y", "FP64", &[-1, 4])]), &["takes `x`", "tells of `y`"]);
    }

    #[test]
    fn what_is_not_known_is_not_called_the_same() {
        let some = told(&[("x", "FP64", &[-1, 4])]);
        let read = [PROTOCOL, TENSOR, COLUMNS].map(|kept| (kept, Vec::new()));
        let unread = [
            "",
            "[]",
            "{}",
            "[1]",
            r#"[{"name":"x"}]"#,
            r#"[{"datatype":"FP64"}]"#,
            "[{\"tensor-spec\":{}}]",
        ];
        for (kept, told) in read.into_iter().chain(unread.map(|kept| (kept, some.clone()))) {
            assert!(matches!(compare(kept, &told), SignatureCheck::Unknown(_)), "{kept}");
        }
    }
}
