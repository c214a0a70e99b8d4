//! Input signatures: as servers tell them, as registries keep them, and in what two of them differ.

use ripcord_ports::endpoint::SignatureCheck;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// An input as a server tells it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct TensorSpec {
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) name: String,
    /// Empty where it is not told.
    #[serde(default, deserialize_with = "or_default")]
    pub(crate) datatype: String,
    /// Empty where it is not told.
    #[serde(default, deserialize_with = "lengths")]
    pub(crate) shape: Vec<i64>,
}

/// What is `null` is left out.
fn or_default<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(from)?.unwrap_or_default())
}

/// Gateways from gRPC write numbers of 64 bits as texts.
fn lengths<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<i64>, D::Error> {
    let length = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let values = Option::<Vec<Value>>::deserialize(from)?.unwrap_or_default();
    Ok(values.iter().map(length).collect::<Option<Vec<i64>>>().unwrap_or_default())
}

/// An input as a registry keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    /// None where the model takes one tensor without a name, or columns without.
    name: Option<String>,
    /// None where the registry's kind has no single counterpart in the protocol.
    datatype: Option<String>,
    shape: WantedShape,
    optional: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum WantedShape {
    /// In the protocol's own words; none is left open.
    Input(Option<Vec<i64>>),
    /// One tensor of the model's. The server may call it otherwise.
    Tensor(Vec<i64>),
    /// A column of a table. The server chooses its shape, and whether several are one tensor.
    Column,
}

/// What was found, and whether it makes requests impossible or only cannot be compared.
#[derive(Debug, Default)]
struct Found {
    impossible: Vec<String>,
    unclear: Vec<String>,
}

/// Compares by meaning what a registry keeps, as the protocol's or MLflow's JSON, with what a server tells: in any order, with columns as inputs of
/// their own or as one tensor. What cannot be compared is no difference.
pub(crate) fn compare(kept: &str, told: &[TensorSpec]) -> SignatureCheck {
    let wanted = match read(kept) {
        Ok(wanted) => wanted,
        Err(why) => return SignatureCheck::Unknown(why),
    };
    if told.is_empty() {
        return SignatureCheck::Unknown("the server does not tell which inputs the model takes".to_owned());
    }
    let mut found = differences(&wanted, told);
    if !found.impossible.is_empty() {
        found.impossible.append(&mut found.unclear);
        SignatureCheck::Differs(found.impossible)
    } else if found.unclear.is_empty() {
        SignatureCheck::Same
    } else {
        SignatureCheck::Unknown(found.unclear.join("; "))
    }
}

fn differences(wanted: &[Wanted], told: &[TensorSpec]) -> Found {
    let mut found = Found::default();
    let are_columns = wanted.iter().all(|one| one.shape == WantedShape::Column);
    let names_it = |told: &TensorSpec| wanted.iter().any(|one| one.name.as_ref() == Some(&told.name));
    match (wanted, told) {
        ([one], [told]) if one.shape != WantedShape::Column && one.name.is_none() => {
            found.difference(one, told)
        }
        ([one @ Wanted { shape: WantedShape::Tensor(_), name: Some(name), .. }], [told])
            if *name != told.name =>
        {
            found.difference(one, told);
            found.unclear.push(format!(
                "the version calls its one tensor `{name}`, and the server calls its one `{}`",
                told.name
            ));
        }
        (columns, [told]) if are_columns && !names_it(told) => found.columns_as_tensor(columns, told),
        ([Wanted { name: None, shape: WantedShape::Tensor(shape), datatype, .. }], columns)
            if columns.len() > 1 && columns.iter().all(is_column) =>
        {
            found.tensor_as_columns(shape, datatype.as_deref(), columns);
        }
        (columns, told) if are_columns && columns.iter().all(|one| one.name.is_none()) => {
            if columns.len() == told.len() {
                columns.iter().zip(told).for_each(|(one, told)| found.difference(one, told));
            } else {
                found.impossible.push(format!(
                    "the version takes {} columns, and the server tells of {} inputs",
                    columns.len(),
                    told.len()
                ));
            }
        }
        (tensors, told) if names_are_places(tensors, told) => found.unclear.push(format!(
            "the version takes {}, and the server numbers its inputs: {}",
            listed(tensors.iter().filter_map(|one| one.name.as_deref())),
            listed(told.iter().map(|told| told.name.as_str()))
        )),
        _ => found.by_name(wanted, told),
    }
    found
}

/// Whether the server's names are numbers of places, as those of servers that run a program without names for its inputs (`INPUT__0`, `input_1`), and as
/// many as the version has tensors.
fn names_are_places(wanted: &[Wanted], told: &[TensorSpec]) -> bool {
    let is_place = |told: &TensorSpec| {
        let word = told.name.trim_end_matches(|c: char| c.is_ascii_digit());
        let word_alone = word.trim_end_matches(['_', '-', ':', '.']).to_ascii_lowercase();
        word.len() < told.name.len()
            && matches!(word_alone.as_str(), "" | "input" | "inputs" | "arg" | "args")
    };
    let is_tensor = |one: &Wanted| matches!(one.shape, WantedShape::Tensor(_));
    wanted.len() == told.len()
        && wanted.iter().all(is_tensor)
        && told.iter().all(is_place)
        && !told.iter().any(|told| wanted.iter().any(|one| one.name.as_ref() == Some(&told.name)))
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// Whether the server may mean a column by it: one value a row.
fn is_column(told: &TensorSpec) -> bool {
    matches!(told.shape.as_slice(), [] | [_] | [_, 1])
}

/// Kinds of numbers that differ in size alone: servers convert one to the other.
fn family(datatype: &str) -> &str {
    let name = datatype.trim_end_matches(|c: char| c.is_ascii_digit());
    match name {
        "BF" => "FP",
        "UINT" => "INT",
        name => name,
    }
}

impl Found {
    fn by_name(&mut self, wanted: &[Wanted], told: &[TensorSpec]) {
        for one in wanted {
            let name = one.name.as_deref().unwrap_or_default();
            match told.iter().find(|told| told.name == name) {
                Some(told) => self.difference(one, told),
                None if one.optional => {}
                None if name.is_empty() => {
                    self.impossible
                        .push(format!("the version takes one tensor, and the server tells {}", told.len()));
                }
                None => self
                    .impossible
                    .push(format!("the version takes `{name}`, of which the server does not tell")),
            }
        }
        let unknown = told
            .iter()
            .filter(|told| !wanted.iter().any(|one| one.name.as_ref().is_none_or(|name| *name == told.name)));
        self.impossible.extend(
            unknown
                .map(|told| format!("the server tells of `{}`, which the version does not take", told.name)),
        );
    }

    /// A model that was logged with a table, behind a server for arrays: the last dimension is the number of columns.
    fn columns_as_tensor(&mut self, columns: &[Wanted], told: &TensorSpec) {
        let required = columns.iter().filter(|column| !column.optional).count();
        match told.shape.last().map(|width| usize::try_from(*width)) {
            Some(Ok(width)) if !(required..=columns.len()).contains(&width) => self.impossible.push(format!(
                "the version takes {} columns, and the server's `{}` has {width} ({:?})",
                columns.len(),
                told.name,
                told.shape
            )),
            Some(Ok(_)) => {}
            // Any width: a dynamic one, or none that is told.
            Some(Err(_)) | None => self.unclear.push(format!(
                "the version takes {} columns, and the server does not tell how many its `{}` has",
                columns.len(),
                told.name
            )),
        }
        let numeric = told.datatype != "BYTES" && !told.datatype.is_empty();
        for column in columns {
            let name = column.name.as_deref().unwrap_or("without a name");
            match column.datatype.as_deref() {
                Some("BYTES") if numeric && !column.optional => self.impossible.push(format!(
                    "the version takes the text `{name}`, and the server one tensor of {}",
                    told.datatype
                )),
                Some(datatype) if datatype == told.datatype => {}
                _ => self.unclear.push(format!(
                    "the column `{name}` is no {}, of which the server's one tensor is",
                    told.datatype
                )),
            }
        }
    }

    /// The other way round.
    fn tensor_as_columns(&mut self, shape: &[i64], datatype: Option<&str>, columns: &[TensorSpec]) {
        match shape.last().map(|width| usize::try_from(*width)) {
            Some(Ok(width)) if width != columns.len() => self.impossible.push(format!(
                "the version takes one tensor of {width} columns, and the server tells {} inputs",
                columns.len()
            )),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => self.unclear.push("the version takes one tensor of any width".to_owned()),
        }
        let other = columns.iter().filter(|told| Some(told.datatype.as_str()) != datatype);
        self.unclear.extend(other.map(|told| {
            let kept = datatype.unwrap_or("another kind");
            format!(
                "the version's one tensor is {kept}, and `{}` on the server is {}",
                told.name, told.datatype
            )
        }));
    }

    fn difference(&mut self, wanted: &Wanted, told: &TensorSpec) {
        let datatype = wanted.datatype.as_ref().filter(|_| !told.datatype.is_empty());
        if let Some(datatype) = datatype.filter(|datatype| **datatype != told.datatype) {
            let text =
                format!("`{}` is {datatype} in the registry and {} on the server", told.name, told.datatype);
            let same_family = family(datatype) == family(&told.datatype);
            let into = if same_family { &mut self.unclear } else { &mut self.impossible };
            into.push(text);
        }
        let (WantedShape::Input(Some(shape)) | WantedShape::Tensor(shape)) = &wanted.shape else { return };
        if !told.shape.is_empty() && !fits(shape, &told.shape) {
            self.impossible.push(format!(
                "`{}` has the shape {shape:?} in the registry and {:?} on the server",
                told.name, told.shape
            ));
        }
    }
}

/// Less than zero stands for any length. One of the two may leave out the dimension of the batch.
fn fits(one: &[i64], two: &[i64]) -> bool {
    let alike = |one: &[i64], two: &[i64]| {
        one.len() == two.len() && one.iter().zip(two).all(|(one, two)| *one < 0 || *two < 0 || one == two)
    };
    let batched = |one: &[i64], two: &[i64]| {
        !one.is_empty()
            && one.iter().all(|length| *length >= 0)
            && two.first().is_some_and(|batch| *batch < 0 || *batch == 1)
            && alike(one, &two[1..])
    };
    alike(one, two) || batched(one, two) || batched(two, one)
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
            shape: WantedShape::Input(match shape {
                Some(shape) => Some(shape?),
                None => None,
            }),
            optional: false,
        });
    }
    if let Some(tensor) = item.get("tensor-spec") {
        return Some(Wanted {
            name,
            datatype: of_numpy(tensor.get("dtype")?.as_str()?),
            shape: WantedShape::Tensor(shape(tensor.get("shape")?)?),
            optional: false,
        });
    }
    Some(Wanted {
        name,
        datatype: of_column(item.get("type")?.as_str()?),
        shape: WantedShape::Column,
        optional: item.get("required").and_then(Value::as_bool) == Some(false)
            || item.get("optional").and_then(Value::as_bool) == Some(true),
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
            &["takes `country`", "tells of `city`", "`amount` is FP64 in the registry and FP32"],
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

    /// Four columns of one kind, as a table is logged.
    const TABLE: &str = r#"[{"type":"double","name":"amount"},{"type":"double","name":"age"},
        {"type":"double","name":"risk"},{"type":"double","name":"speed","required":false}]"#;

    #[test]
    fn a_table_and_an_array_of_its_columns_are_the_same() {
        let unnamed = r#"[{"type":"double"},{"type":"double"}]"#;
        let columns: Vec<_> = ["a", "b", "c", "d"].map(|name| (name, "FP64", [-1, 1].as_slice())).to_vec();
        let reordered = told(&[("country", "BYTES", &[-1]), ("amount", "FP64", &[-1])]);
        for (kept, told) in [
            (TABLE, told(&[("predict", "FP64", &[-1, 4])])),
            (TABLE, told(&[("predict", "FP64", &[-1, 3])])),
            (TENSOR, told(&columns)),
            (unnamed, told(&[("x", "FP64", &[-1, 2])])),
            (unnamed, told(&[("x", "FP64", &[-1, 1]), ("y", "FP64", &[-1, 1])])),
            (COLUMNS, reordered),
            (PROTOCOL, told(&[("x", "FP64", &[4])])),
        ] {
            assert_eq!(compare(kept, &told), SignatureCheck::Same, "{kept} {told:?}");
        }
        let check = |kept: &str, told: &[TensorSpec], expected: &str| match compare(kept, told) {
            SignatureCheck::Differs(found) => assert!(found.join("; ").contains(expected), "{found:?}"),
            other => panic!("{kept}: {other:?}"),
        };
        check(
            TABLE,
            &told(&[("predict", "FP64", &[-1, 5])]),
            "takes 4 columns, and the server's `predict` has 5",
        );
        check(TABLE, &told(&[("predict", "FP64", &[-1, 2])]), "has 2");
        check(TENSOR, &told(&columns[..3]), "one tensor of 4 columns, and the server tells 3 inputs");
        check(COLUMNS, &told(&[("predict", "FP64", &[-1, 2])]), "the text `country`");
        check(
            unnamed,
            &told(&[("x", "FP64", &[-1]), ("y", "FP64", &[-1]), ("z", "FP64", &[-1])]),
            "2 columns",
        );
    }

    const PAIR: &str = r#"[{"type":"tensor","name":"ids","tensor-spec":{"dtype":"int64","shape":[-1,8]}},
        {"type":"tensor","name":"mask","tensor-spec":{"dtype":"int64","shape":[-1,8]}}]"#;

    #[test]
    fn names_that_are_no_numbers_of_places_are_compared() {
        for inputs in [
            [("ids", "INT64", [-1, 8].as_slice()), ("INPUT__1", "INT64", &[-1, 8])],
            [("tokens", "INT64", &[-1, 8]), ("weights", "INT64", &[-1, 8])],
            [("layer1", "INT64", &[-1, 8]), ("layer2", "INT64", &[-1, 8])],
        ] {
            let checked = compare(PAIR, &told(&inputs));
            assert!(matches!(checked, SignatureCheck::Differs(_)), "{inputs:?}: {checked:?}");
        }
        let three =
            told(&[("INPUT__0", "INT64", &[]), ("INPUT__1", "INT64", &[]), ("INPUT__2", "INT64", &[])]);
        assert!(matches!(compare(PAIR, &three), SignatureCheck::Differs(_)));
    }

    #[test]
    fn what_cannot_be_compared_is_no_difference() {
        let mixed =
            r#"[{"type":"double","name":"a"},{"type":"long","name":"b"},{"type":"boolean","name":"c"}]"#;
        let named =
            r#"[{"type":"tensor","name":"input_1","tensor-spec":{"dtype":"float32","shape":[-1,4]}}]"#;
        for (kept, told, expected) in [
            (mixed, told(&[("predict", "FP64", &[-1, 3])]), "`b` is no FP64"),
            (TABLE, told(&[("predict", "FP64", &[-1, -1])]), "does not tell how many"),
            (TABLE, told(&[("predict", "FP64", &[])]), "does not tell how many"),
            (TABLE, told(&[("predict", "FP32", &[-1, 4])]), "`amount` is no FP32"),
            (named, told(&[("predict", "FP32", &[-1, 4])]), "calls its one tensor `input_1`"),
            (PROTOCOL, told(&[("x", "FP32", &[-1, 4])]), "`x` is FP64 in the registry and FP32"),
            (
                PAIR,
                told(&[("INPUT__0", "INT64", &[-1, 8]), ("INPUT__1", "INT64", &[-1, 8])]),
                "the version takes `ids`, `mask`, and the server numbers its inputs: `INPUT__0`, `INPUT__1`",
            ),
            (
                PAIR,
                told(&[("input_2", "INT64", &[-1, 8]), ("input_1", "INT64", &[-1, 8])]),
                "numbers its inputs",
            ),
            (PAIR, told(&[("0", "INT64", &[8]), ("1", "INT64", &[8])]), "numbers its inputs"),
        ] {
            match compare(kept, &told) {
                SignatureCheck::Unknown(why) => assert!(why.contains(expected), "{why}"),
                other => panic!("{kept} {told:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn servers_leave_out_what_they_do_not_know() {
        let spec = |text: &str| serde_json::from_str::<TensorSpec>(text).expect("an input");
        let whole = spec(r#"{"name":"x","datatype":"FP64","shape":["-1","4"]}"#);
        assert_eq!(whole.shape, [-1, 4]);
        for text in [r#"{"name":"x","datatype":"FP64","shape":null}"#, r#"{"name":"x","datatype":null}"#] {
            assert_eq!(compare(PROTOCOL, &[spec(text)]), SignatureCheck::Same, "{text}");
        }
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
