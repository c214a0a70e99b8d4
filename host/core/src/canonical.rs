//! The two canonical encodings: RFC 8785 JSON for what people sign, deterministic CBOR (RFC 8949 §4.2) for facts and decisions.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::digest::Digest;

/// A value that has no canonical form.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// Non-finite numbers and maps with keys that are not text have no JSON form.
    #[error("the value has no canonical JSON form")]
    Json(#[source] serde_json::Error),
    /// The CBOR writer refused.
    #[error("the value has no CBOR form: {0}")]
    Cbor(String),
}

/// Bytes that do not decode to the value that is asked for.
#[derive(Debug, thiserror::Error)]
#[error("the stored bytes do not decode: {0}; the store may be damaged or written by a newer release")]
pub struct DecodeError(String);

/// The RFC 8785 form of `value`. 64-bit integers must already be text (see [`crate::time::text_u64`]).
pub fn json(value: &impl Serialize) -> Result<Vec<u8>, EncodeError> {
    serde_json_canonicalizer::to_vec(value).map_err(EncodeError::Json)
}

/// The digest of `domain` and the RFC 8785 form of `value`.
pub fn json_digest(domain: &str, value: &impl Serialize) -> Result<Digest, EncodeError> {
    Ok(Digest::tagged(domain, &[&json(value)?]))
}

/// The CBOR form of `value`: shortest integers and floats, definite lengths, map keys in the order of the type's fields.
/// Types encoded here hold no hash maps, so the same value always gives the same bytes.
pub fn cbor(value: &impl Serialize) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|error| EncodeError::Cbor(error.to_string()))?;
    Ok(bytes)
}

/// Reads what [`cbor`] wrote.
pub fn from_cbor<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    ciborium::from_reader(bytes).map_err(|error| DecodeError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_sorted_and_shortest() {
        let value = serde_json::json!({"b": 1.0, "a": [1e21, 0.1, "é\u{7}"]});
        let text = String::from_utf8(json(&value).expect("finite")).expect("utf-8");
        assert_eq!(text, "{\"a\":[1e+21,0.1,\"é\\u0007\"],\"b\":1}");
    }

    #[test]
    fn cbor_round_trips() {
        let value = vec![(1_u64, Some(0.5_f64)), (u64::MAX, None)];
        assert_eq!(from_cbor::<Vec<(u64, Option<f64>)>>(&cbor(&value).expect("cbor")).expect("same"), value);
        assert!(from_cbor::<u64>(&[0xff]).is_err());
    }
}
