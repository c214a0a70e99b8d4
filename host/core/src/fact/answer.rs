//! Whether an answer is the expected one: compared by value, whatever it is written as. `true`, `1` and `"1"` are one thing, a list is what it lists,
//! whether it is nested or a tensor; `NaN` is what JSON has no word for but `null`.

use serde_json::Value;

use super::{Payload, Tensor};

/// What comparing an answer with what is expected gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Comparison {
    /// They are equal in value.
    Same,
    /// They are not.
    Differs,
    /// They are of kinds of which no answer is right and none is wrong, for this reason: a mistake in the data, or in which output is judged.
    Incomparable(String),
}

/// One value of a payload, in order.
#[derive(Debug, Clone, PartialEq)]
enum Scalar {
    Number { value: f64, tolerance: f64 },
    Text(String),
    Flag(bool),
    Nothing,
}

/// What a payload is, as far as answers are compared.
enum Form {
    List(Vec<Scalar>),
    Document(Value),
    Bytes(Vec<u8>),
}

/// Single numbers of a model in 32 bits differ by less.
const TOLERANCE: f64 = 1e-6;

/// Whole numbers from here on are not all kept apart: two that differ may look equal.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Probabilities of several classes add up to one, within this.
const SUM_TOLERANCE: f64 = 1e-2;

/// Compares by value.
pub fn compare(expected: &Payload, got: &Payload) -> Comparison {
    let forms = match (form(expected), form(got)) {
        // A server has no kind for a document: it answers with its text.
        (expected @ Form::Document(_), got) => (expected, written_out(got)),
        (expected, got @ Form::Document(_)) => (written_out(expected), got),
        alike => alike,
    };
    match forms {
        (Form::List(expected), Form::List(got)) => compare_lists(&expected, &got),
        (Form::Document(expected), Form::Document(got)) => same_if(is_same_document(&expected, &got)),
        (Form::Bytes(expected), Form::Bytes(got)) => same_if(expected == got),
        _ => Comparison::Incomparable(format!(
            "{} is expected, and the answer is {}",
            described(expected),
            described(got)
        )),
    }
}

/// The name of the class that the payload is: a text, a flag, or a whole number. None of anything else.
pub fn class(payload: &Payload) -> Option<String> {
    let Form::List(scalars) = form(payload) else { return None };
    match scalars.as_slice() {
        [Scalar::Text(text)] => Some(text.clone()),
        [Scalar::Flag(flag)] => Some(flag.to_string()),
        [Scalar::Number { value, .. }] if value.fract() == 0.0 => Some(format!("{value:.0}")),
        _ => None,
    }
}

fn same_if(same: bool) -> Comparison {
    if same { Comparison::Same } else { Comparison::Differs }
}

fn form(payload: &Payload) -> Form {
    match payload {
        Payload::Tensors(tensors) => Form::List(tensors.iter().flat_map(numbers).collect()),
        Payload::Classes(classes) => Form::List(classes.iter().cloned().map(Scalar::Text).collect()),
        Payload::Text(text) => Form::List(vec![Scalar::Text(text.clone())]),
        Payload::Bytes(bytes) => Form::Bytes(bytes.clone()),
        Payload::Json(text) => match serde_json::from_str(text) {
            Ok(document) => flat(&document).map_or(Form::Document(document), Form::List),
            Err(_) => Form::List(vec![Scalar::Text(text.clone())]),
        },
    }
}

/// The document that a single text is, or what it was.
fn written_out(form: Form) -> Form {
    let read = match &form {
        Form::List(scalars) => match scalars.as_slice() {
            [Scalar::Text(text)] => serde_json::from_str(text).ok().filter(Value::is_object),
            _ => None,
        },
        Form::Document(_) | Form::Bytes(_) => None,
    };
    read.map_or(form, Form::Document)
}

fn numbers(tensor: &Tensor) -> impl Iterator<Item = Scalar> + '_ {
    let tolerance = match tensor.datatype.as_str() {
        "FP16" => 1e-3,
        "BF16" => 8e-3,
        kind if kind.contains("INT") || kind == "BOOL" => 0.0,
        _ => TOLERANCE,
    };
    tensor.data.iter().map(move |value| Scalar::Number { value: *value, tolerance })
}

/// The values of a document that is one value or a list of them, nested or not; none of one that names its values.
fn flat(document: &Value) -> Option<Vec<Scalar>> {
    let mut found = Vec::new();
    let mut left = vec![document];
    while let Some(value) = left.pop() {
        found.push(match value {
            Value::Array(inner) => {
                left.extend(inner.iter().rev());
                continue;
            }
            Value::Object(_) => return None,
            Value::Null => Scalar::Nothing,
            Value::Bool(flag) => Scalar::Flag(*flag),
            Value::String(text) => Scalar::Text(text.clone()),
            Value::Number(number) => Scalar::Number { value: number.as_f64()?, tolerance: TOLERANCE },
        });
    }
    Some(found)
}

fn compare_lists(expected: &[Scalar], got: &[Scalar]) -> Comparison {
    if let ([one], several) = (expected, got)
        && several.len() > 1
    {
        return compare_with_probabilities(one, several);
    }
    let is_text = |scalars: &[Scalar]| scalars.iter().all(|scalar| matches!(scalar, Scalar::Text(_)));
    // An answer without any value is not the expected one, whatever that is.
    if got.is_empty() && !expected.is_empty() {
        return Comparison::Differs;
    }
    if expected.len() != got.len() {
        // Labels may be as many as there are; numbers are as many as the model has outputs.
        if is_text(expected) && is_text(got) {
            return Comparison::Differs;
        }
        return Comparison::Incomparable(format!(
            "{} are expected, and the answer has {}",
            counted(expected.len()),
            counted(got.len())
        ));
    }
    let mut same = true;
    for (expected, got) in expected.iter().zip(got) {
        match compare_scalars(expected, got) {
            Comparison::Same => {}
            Comparison::Differs => same = false,
            incomparable @ Comparison::Incomparable(_) => return incomparable,
        }
    }
    same_if(same)
}

fn counted(number: usize) -> String {
    if number == 1 { "1 value".to_owned() } else { format!("{number} values") }
}

/// One class by its index, and an answer that gives each class its probability: the most probable one is the answer.
fn compare_with_probabilities(expected: &Scalar, got: &[Scalar]) -> Comparison {
    let index = match expected {
        Scalar::Flag(flag) => Some(f64::from(u8::from(*flag))),
        Scalar::Number { value, .. } => Some(*value),
        Scalar::Text(text) => number_of(text),
        Scalar::Nothing => None,
    };
    let values: Option<Vec<f64>> = got
        .iter()
        .map(|scalar| match scalar {
            Scalar::Number { value, .. } => Some(*value),
            _ => None,
        })
        .collect();
    let probabilities = values.filter(|values| {
        values.iter().all(|value| (0.0..=1.0).contains(value))
            && (values.iter().sum::<f64>() - 1.0).abs() < SUM_TOLERANCE
    });
    match (index, probabilities) {
        (Some(index), Some(values))
            if index.fract() == 0.0 && (0.0..values.len() as f64).contains(&index) =>
        {
            let best =
                values.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(best, _)| best as f64);
            same_if(best == Some(index))
        }
        (None, Some(_)) => Comparison::Incomparable(format!(
            "{} is expected, and the answer gives the probabilities of {} classes, which it does not name: write the class by its index, or name the output that is the class",
            described_scalar(expected),
            got.len()
        )),
        _ => Comparison::Incomparable(format!(
            "{} is expected, and the answer has {}: name the output that is judged",
            described_scalar(expected),
            counted(got.len())
        )),
    }
}

fn compare_scalars(expected: &Scalar, got: &Scalar) -> Comparison {
    let numbers = |one: f64, two: f64, tolerance: f64| {
        let near = (one - two).abs() <= tolerance * one.abs().max(two.abs()).max(1.0);
        if one == two && tolerance == 0.0 && one.abs() >= EXACT_MAX {
            return not_kept_apart(one);
        }
        if one == two || near || (one.is_nan() && two.is_nan()) {
            return Comparison::Same;
        }
        if is_class_and_score(one, two) { unlike(expected, got) } else { Comparison::Differs }
    };
    match (expected, got) {
        (Scalar::Number { value: one, tolerance: a }, Scalar::Number { value: two, tolerance: b }) => {
            // What is expected is written as text; the kind of the answer says how exact it is.
            numbers(*one, *two, if *b == 0.0 { 0.0 } else { a.max(*b) })
        }
        (Scalar::Text(one), Scalar::Text(two)) => {
            let is_number =
                |one: f64, two: f64| (one == two && one.abs() < EXACT_MAX) || (one.is_nan() && two.is_nan());
            let equal = one == two
                || number_of(one).zip(number_of(two)).is_some_and(|(one, two)| is_number(one, two))
                || flag_of(one).zip(flag_of(two)).is_some_and(|(one, two)| one == two);
            if !equal && one.trim().to_lowercase() == two.trim().to_lowercase() {
                return otherwise_written(one, two);
            }
            same_if(equal)
        }
        (Scalar::Flag(one), Scalar::Flag(two)) => same_if(one == two),
        (Scalar::Nothing, Scalar::Nothing) => Comparison::Same,
        (Scalar::Nothing, Scalar::Number { value, .. }) | (Scalar::Number { value, .. }, Scalar::Nothing) => {
            same_if(value.is_nan())
        }
        (Scalar::Nothing, _) | (_, Scalar::Nothing) => Comparison::Differs,
        (Scalar::Text(text), Scalar::Number { value, tolerance })
        | (Scalar::Number { value, tolerance }, Scalar::Text(text)) => {
            match number_of(text).or(flag_of(text).map(|flag| f64::from(u8::from(flag)))) {
                Some(number) => numbers(number, *value, *tolerance),
                None => unlike(expected, got),
            }
        }
        (Scalar::Flag(flag), Scalar::Number { value, .. })
        | (Scalar::Number { value, .. }, Scalar::Flag(flag)) => {
            if *value == 0.0 || *value == 1.0 {
                same_if(*flag == (*value == 1.0))
            } else {
                unlike(expected, got)
            }
        }
        (Scalar::Flag(flag), Scalar::Text(text)) | (Scalar::Text(text), Scalar::Flag(flag)) => {
            match flag_of(text).or(number_of(text).filter(|n| *n == 0.0 || *n == 1.0).map(|n| n == 1.0)) {
                Some(other) => same_if(*flag == other),
                None => unlike(expected, got),
            }
        }
    }
}

/// A class by its number, and the score of one class: no rounding of ours says which class that is.
fn is_class_and_score(expected: f64, got: f64) -> bool {
    (expected == 0.0 || expected == 1.0) && got > 0.0 && got < 1.0
}

fn not_kept_apart(value: f64) -> Comparison {
    Comparison::Incomparable(format!(
        "the whole number {value} is expected, and so large ones are not told apart from the next: have them answered, and write them, as text"
    ))
}

fn otherwise_written(expected: &str, got: &str) -> Comparison {
    Comparison::Incomparable(format!(
        "the text `{}` is expected, and the answer is `{}`, which is written otherwise (upper and lower case, or spaces)",
        short(expected).escape_debug(),
        short(got).escape_debug()
    ))
}

fn unlike(expected: &Scalar, got: &Scalar) -> Comparison {
    Comparison::Incomparable(format!(
        "{} is expected, and the answer is {}",
        described_scalar(expected),
        described_scalar(got)
    ))
}

/// A number that is written as people write one: `007` is a name.
fn number_of(text: &str) -> Option<f64> {
    let text = text.trim();
    let digits = text.trim_start_matches('-');
    let padded = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    text.parse().ok().filter(|_| !padded && !text.starts_with('+'))
}

fn flag_of(text: &str) -> Option<bool> {
    [("true", true), ("false", false)]
        .into_iter()
        .find(|(word, _)| text.trim().eq_ignore_ascii_case(word))
        .map(|(_, flag)| flag)
}

/// Documents that name their values: numbers within the tolerance, everything else as it is.
fn is_same_document(expected: &Value, got: &Value) -> bool {
    match (expected, got) {
        (Value::Object(one), Value::Object(two)) => {
            one.len() == two.len()
                && one
                    .iter()
                    .all(|(name, value)| two.get(name).is_some_and(|other| is_same_document(value, other)))
        }
        (Value::Array(one), Value::Array(two)) => {
            one.len() == two.len() && one.iter().zip(two).all(|(one, two)| is_same_document(one, two))
        }
        (one, two) => match (flat(one), flat(two)) {
            (Some(one), Some(two)) => compare_lists(&one, &two) == Comparison::Same,
            _ => one == two,
        },
    }
}

fn described(payload: &Payload) -> String {
    match payload {
        Payload::Tensors(tensors) => {
            let kinds: Vec<&str> = tensors.iter().map(|tensor| tensor.datatype.as_str()).collect();
            format!("numbers ({})", kinds.join(", "))
        }
        Payload::Classes(_) | Payload::Text(_) => "text".to_owned(),
        Payload::Bytes(_) => "bytes".to_owned(),
        Payload::Json(text) => format!("the document `{}`", short(text)),
    }
}

fn described_scalar(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Number { value, .. } => format!("the number {value}"),
        Scalar::Text(text) => format!("the text `{}`", short(text)),
        Scalar::Flag(flag) => format!("`{flag}`"),
        Scalar::Nothing => "`null`".to_owned(),
    }
}

fn short(text: &str) -> String {
    let mut shown: String = text.chars().take(40).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Payload {
        Payload::Json(text.into())
    }

    fn tensor(datatype: &str, data: &[f64]) -> Payload {
        let shape = vec![data.len() as u64];
        Payload::Tensors(vec![Tensor { datatype: datatype.into(), shape, data: data.to_vec() }])
    }

    fn text(text: &str) -> Payload {
        Payload::Classes(vec![text.into()])
    }

    #[test]
    fn equal_values_are_the_same_whatever_they_are_written_as() {
        for (expected, got) in [
            (json("true"), tensor("BOOL", &[1.0])),
            (json("false"), tensor("INT64", &[0.0])),
            (json("true"), text("True")),
            (json("[true, false]"), tensor("BOOL", &[1.0, 0.0])),
            (text("1"), tensor("INT64", &[1.0])),
            (tensor("FP64", &[1.0]), text("1")),
            (text("1.0"), text("1")),
            (text("TRUE"), text("true")),
            (json("[0.98, 0.02]"), tensor("FP64", &[0.98, 0.02])),
            (json("[[0.98, 0.02]]"), tensor("FP32", &[f64::from(0.98_f32), f64::from(0.02_f32)])),
            (json("[[0.98], [0.02]]"), tensor("FP16", &[0.979_980_468_75, 0.020_004_272_460_937_5])),
            (json("[\"a\", [\"b\"]]"), Payload::Classes(vec!["a".into(), "b".into()])),
            (json("[0.5, null]"), tensor("FP64", &[0.5, f64::NAN])),
            (text("NaN"), tensor("FP64", &[f64::NAN])),
            (json("1"), Payload::Text("1".into())),
            (json("{\"a\":1,\"b\":[2]}"), json("{\"b\":[2.0000001],\"a\":1}")),
            (json("{\"a\":1,\"b\":\"x\"}"), text("{ \"b\": \"x\", \"a\": 1.0 }")),
            (text("{\"a\":[1,2]}"), json("{\"a\":[1,2]}")),
            (text("12345678901234567890"), text("12345678901234567890")),
            (text("nan"), text("NaN")),
            (tensor("FP64", &[1.0]), tensor("FP32", &[0.999_999_5])),
        ] {
            assert_eq!(compare(&expected, &got), Comparison::Same, "{expected:?} {got:?}");
        }
    }

    #[test]
    fn other_values_differ() {
        for (expected, got) in [
            (json("true"), tensor("BOOL", &[0.0])),
            (text("1"), tensor("INT64", &[2.0])),
            (tensor("FP64", &[1_000_001.0]), tensor("INT64", &[1_000_000.0])),
            (json("[0.98, 0.02]"), tensor("FP64", &[0.97, 0.03])),
            (json("[0.5, null]"), tensor("FP64", &[0.5, 0.5])),
            (text("007"), text("7")),
            (text("approve"), text("decline")),
            (text("12345678901234567890"), text("12345678901234567891")),
            (text("9007199254740993"), text("9007199254740992")),
            (tensor("FP64", &[1.0]), tensor("FP64", &[1.2])),
            (tensor("FP64", &[0.25]), tensor("FP32", &[0.5])),
            (json("{\"a\":1}"), text("{\"a\": 2}")),
            (Payload::Classes(vec!["a".into(), "b".into()]), text("a")),
            (json("{\"a\":1}"), json("{\"a\":2}")),
            (json("{\"a\":1}"), json("{\"a\":1,\"b\":1}")),
        ] {
            assert_eq!(compare(&expected, &got), Comparison::Differs, "{expected:?} {got:?}");
        }
    }

    #[test]
    fn the_most_probable_class_is_the_answer_where_a_class_is_expected_by_its_index() {
        let probabilities = tensor("FP32", &[0.1, 0.7, 0.2]);
        assert_eq!(compare(&tensor("FP64", &[1.0]), &probabilities), Comparison::Same);
        assert_eq!(compare(&text("1"), &probabilities), Comparison::Same);
        assert_eq!(compare(&tensor("FP64", &[2.0]), &probabilities), Comparison::Differs);
        assert_eq!(compare(&json("true"), &tensor("FP64", &[0.4, 0.6])), Comparison::Same);
    }

    #[test]
    fn what_no_answer_can_match_is_no_wrong_answer() {
        for (expected, got, why) in [
            (text("decline"), tensor("INT64", &[1.0]), "the text `decline` is expected"),
            (text("decline"), tensor("FP32", &[0.1, 0.9]), "write the class by its index"),
            (tensor("FP64", &[7.0]), tensor("FP32", &[0.1, 0.9]), "name the output"),
            (tensor("FP64", &[0.25]), text("decline"), "the number 0.25 is expected"),
            (
                json("[0.1, 0.2, 0.7]"),
                tensor("FP64", &[0.1, 0.9]),
                "3 values are expected, and the answer has 2 values",
            ),
            (
                json("{\"decision\":\"decline\"}"),
                text("decline"),
                "the document `{\"decision\":\"decline\"}`",
            ),
            (json("true"), text("decline"), "`true` is expected"),
            (json("true"), tensor("FP64", &[0.93]), "the number 0.93"),
            // The score of a class is no class.
            (tensor("FP64", &[1.0]), tensor("FP64", &[0.93]), "the number 0.93"),
            (tensor("FP64", &[0.0]), tensor("FP32", &[0.07]), "the number 0.07"),
            (text("1"), tensor("FP64", &[0.93]), "the text `1` is expected"),
            (json("[1, 0]"), tensor("FP64", &[0.93, 0.07]), "the number 0.93"),
            // The same words, written otherwise.
            (text("Approve"), text("approve"), "upper and lower case, or spaces"),
            (text("decline "), text("decline"), "`decline ` is expected"),
            (text("decline"), text("decline\n"), "`decline\\n`"),
            // Whole numbers that JSON and 64 bits of a float do not keep apart.
            (
                tensor("FP64", &[9_007_199_254_740_992.0]),
                tensor("INT64", &[9_007_199_254_740_992.0]),
                "as text",
            ),
            (text("12345678901234567890"), tensor("UINT64", &[12_345_678_901_234_567_890.0]), "as text"),
            (json("[\"a\", \"b\"]"), tensor("INT64", &[1.0, 2.0]), "the text `a`"),
        ] {
            match compare(&expected, &got) {
                Comparison::Incomparable(said) => assert!(said.contains(why), "{said}"),
                other => unreachable!("{expected:?} {got:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn a_class_is_a_text_a_flag_or_a_whole_number() {
        for (payload, name) in [
            (text("decline"), Some("decline")),
            (json("true"), Some("true")),
            (tensor("INT64", &[3.0]), Some("3")),
            (tensor("FP64", &[0.25]), None),
            (json("[1, 2]"), None),
        ] {
            assert_eq!(class(&payload).as_deref(), name, "{payload:?}");
        }
    }
}
