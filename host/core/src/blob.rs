//! Free content is kept beside the journal, which holds only a salted commitment to it.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::canonical::EncodeError;
use crate::digest::Digest;

/// Random bytes, drawn for one blob, stored beside it and erased with it: without them the commitment tells nothing of the content.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Salt(pub [u8; 32]);

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// What a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlobKind {
    /// A group of signals with labels and annotations (JSON list of [`crate::signal::Signal`]).
    Signals,
    /// A recorded decision (CBOR).
    Decision,
    /// The value of a fact that recordings and facts of evidence refer to (CBOR).
    Fact,
    /// A policy's memo (raw bytes).
    Memo,
    /// A plan (RFC 8785 JSON of [`crate::plan::Plan`]).
    Plan,
    /// A text that a person or a policy wrote (UTF-8).
    Text,
    /// The state that was live (JSON of [`crate::live::LiveState`]).
    Live,
    /// The result of a trial (JSON of [`crate::fact::Trial`]).
    Trial,
    /// A piece of preserved evidence.
    Evidence,
    /// The effective configuration (JSON).
    Configuration,
    /// What a planner suspects (JSON list of [`crate::role::Suspect`]).
    Suspects,
    /// What a version was made of (JSON of [`crate::event::MadeOf`]).
    Candidate,
    /// What versions have made (JSON of [`crate::outputs::Outputs`]).
    Outputs,
}

impl BlobKind {
    /// The name that is stored and committed to.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Signals => "signals",
            Self::Decision => "decision",
            Self::Fact => "fact",
            Self::Memo => "memo",
            Self::Plan => "plan",
            Self::Text => "text",
            Self::Live => "live",
            Self::Trial => "trial",
            Self::Evidence => "evidence",
            Self::Configuration => "configuration",
            Self::Suspects => "suspects",
            Self::Candidate => "candidate",
            Self::Outputs => "outputs",
        }
    }
}

/// A reference from an event to a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobRef {
    /// See [`commit`].
    pub commitment: Digest,
    /// What the content is.
    pub kind: BlobKind,
    /// The content's size in bytes.
    pub bytes: u32,
}

/// The commitment to `content`: sha-256 over a domain tag, the salt, the kind's name and the content.
pub fn commit(kind: BlobKind, salt: &Salt, content: &[u8]) -> BlobRef {
    BlobRef {
        commitment: Digest::tagged("ripcord blob 1", &[&salt.0, kind.as_str().as_bytes(), content]),
        kind,
        bytes: u32::try_from(content.len()).unwrap_or(u32::MAX),
    }
}

/// Every blob that `value` refers to, however deep, in the order of its fields.
pub fn blobs_of(value: &impl Serialize) -> Result<Vec<BlobRef>, EncodeError> {
    let value = ciborium::Value::serialized(value).map_err(|error| EncodeError::Cbor(error.to_string()))?;
    let mut found = Vec::new();
    collect(&value, &mut found);
    Ok(found)
}

/// The same value with other references where `other` has one for its own.
pub fn with_blobs<T: Serialize + DeserializeOwned>(
    value: &T,
    other: &BTreeMap<BlobRef, BlobRef>,
) -> Result<T, EncodeError> {
    let failed = |error: &dyn std::fmt::Display| EncodeError::Cbor(error.to_string());
    let mut value = ciborium::Value::serialized(value).map_err(|error| failed(&error))?;
    replace(&mut value, other).map_err(|error| failed(&error))?;
    value.deserialized().map_err(|error| failed(&error))
}

fn replace(
    value: &mut ciborium::Value,
    other: &BTreeMap<BlobRef, BlobRef>,
) -> Result<(), ciborium::value::Error> {
    match value {
        ciborium::Value::Array(items) => items.iter_mut().try_for_each(|item| replace(item, other)),
        ciborium::Value::Map(entries) => {
            // No other type has these three fields and no more.
            let reference = (entries.len() == 3).then(|| ciborium::Value::Map(entries.clone()));
            match reference.and_then(|value| value.deserialized::<BlobRef>().ok()) {
                Some(old) => {
                    if let Some(new) = other.get(&old) {
                        *value = ciborium::Value::serialized(new)?;
                    }
                    Ok(())
                }
                None => entries.iter_mut().try_for_each(|(_, value)| replace(value, other)),
            }
        }
        _ => Ok(()),
    }
}

fn collect(value: &ciborium::Value, found: &mut Vec<BlobRef>) {
    match value {
        ciborium::Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        ciborium::Value::Map(entries) => {
            // No other type has these three fields and no more.
            match (entries.len() == 3).then(|| value.deserialized::<BlobRef>()) {
                Some(Ok(reference)) => found.push(reference),
                _ => entries.iter().for_each(|(key, value)| {
                    collect(key, found);
                    collect(value, found);
                }),
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_however_deep() {
        let one = commit(BlobKind::Text, &Salt([1; 32]), b"one");
        let two = commit(BlobKind::Memo, &Salt([2; 32]), b"two");
        let value =
            (vec![Some(one), None], std::collections::BTreeMap::from([((1, "key"), Ok::<_, u8>(two))]));
        assert_eq!(blobs_of(&value).expect("encodes"), [one, two]);
        assert_eq!(blobs_of(&("none", 7)).expect("encodes"), []);
    }

    #[test]
    fn references_are_replaced_however_deep() {
        let [one, two, three] =
            [b"one", b"two", b"new"].map(|text| commit(BlobKind::Text, &Salt([1; 32]), text));
        let value = (vec![Some(one), None], "text".to_owned(), Ok::<_, u8>((two, 7_u64)));
        let new = with_blobs(&value, &BTreeMap::from([(one, three)])).expect("encodes");
        assert_eq!(new, (vec![Some(three), None], "text".to_owned(), Ok((two, 7))));
    }

    #[test]
    fn the_salt_hides_equal_content() {
        let one = commit(BlobKind::Text, &Salt([1; 32]), b"same");
        let two = commit(BlobKind::Text, &Salt([2; 32]), b"same");
        assert_ne!(one.commitment, two.commitment);
        assert_eq!(one, commit(BlobKind::Text, &Salt([1; 32]), b"same"));
        assert_ne!(one.commitment, commit(BlobKind::Memo, &Salt([1; 32]), b"same").commitment);
    }
}
