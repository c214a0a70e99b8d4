//! JSON as trainers write it: Python's own writer puts `NaN` and `Infinity` where JSON has no word for them.

use serde_json::Value;

/// Reads JSON in which those words may stand for numbers; they come back as texts.
pub(crate) fn values(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice(&quoted(bytes))
}

/// A metric's value. None for what is no number; what a logger has made `null` was one that JSON cannot hold.
pub(crate) fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::Null => Some(f64::NAN),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        },
        _ => None,
    }
}

/// The same bytes with the words in quotes, outside of texts.
fn quoted(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let (mut at, mut in_text) = (0, false);
    while let Some(byte) = bytes.get(at) {
        if in_text {
            in_text = *byte != b'"';
            if *byte == b'\\' {
                out.push(*byte);
                at += 1;
            }
        } else if *byte == b'"' {
            in_text = true;
        } else if let Some(word) =
            [&b"NaN"[..], b"-Infinity", b"Infinity"].into_iter().find(|word| bytes[at..].starts_with(word))
        {
            out.push(b'"');
            out.extend_from_slice(word);
            out.push(b'"');
            at += word.len();
            continue;
        }
        out.extend(bytes.get(at));
        at += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_for_numbers_outside_of_texts_only() {
        let read =
            values(br#"{"a NaN": [NaN, -Infinity, Infinity, 1, null], "b": "NaN \" Infinity\\"}"#).unwrap();
        let list: Vec<_> = read["a NaN"].as_array().unwrap().iter().map(number).collect();
        assert!(list[0].unwrap().is_nan() && list[4].unwrap().is_nan());
        assert_eq!(list[1..4], [Some(f64::NEG_INFINITY), Some(f64::INFINITY), Some(1.0)]);
        assert_eq!(read["b"], "NaN \" Infinity\\");
        assert_eq!((number(&read["b"]), number(&Value::Bool(true))), (None, None));
    }

    #[test]
    fn what_is_cut_does_not_read() {
        for text in [r#"{"a": Na"#, r#"{"a": "b\"#, "", "{", r#"{"a": NaN"#] {
            assert!(values(text.as_bytes()).is_err(), "{text}");
        }
    }
}
