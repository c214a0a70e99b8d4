//! Values of facts in a recording: large ones are stored by themselves and referred to, so that one that is read often is not stored often.

use std::collections::BTreeMap;

use ciborium::Value;
use ripcord_core::blob::BlobRef;
use ripcord_core::canonical::{self, EncodeError};
use ripcord_core::digest::Digest;
use ripcord_core::fact::STORED_ALONE_BYTES_MIN;
use serde::Serialize;

/// In place of `Ok` and `Err`, where the value is stored by itself.
const STORED: &str = "Stored";

/// A stored value that a recording refers to is not one.
#[derive(Debug, thiserror::Error)]
#[error(
    "the stored value `{content}` of the fact `{fact}` is not what the decision was made with: {why}; the store may be damaged"
)]
pub struct ValueError {
    /// Id of the fact.
    pub fact: String,
    /// Its commitment.
    pub content: Digest,
    /// What is wrong.
    pub why: String,
}

/// The lists of a question that hold facts. They have the same names, below the role, in every version of the contract; so have `id` and `value` of
/// each fact, and `Ok` and `Err` of each value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FactList {
    /// What the policy asked for.
    Facts,
    /// What was known before the shift.
    Before,
}

impl FactList {
    const ALL: [Self; 2] = [Self::Facts, Self::Before];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Facts => "facts",
            Self::Before => "before",
        }
    }

    /// How a fact of this list is named to people: its id is its own in its list only.
    fn name(self, id: &str) -> String {
        match self {
            Self::Facts => id.to_owned(),
            Self::Before => format!("{id} of before"),
        }
    }
}

/// A value that was taken out of a question.
#[derive(Debug)]
struct Taken {
    list: FactList,
    index: usize,
    content: BlobRef,
}

/// Takes large values out of a question before it is recorded.
pub(crate) struct Taking<'a> {
    keep: &'a mut dyn FnMut(Vec<u8>) -> BlobRef,
    taken: Vec<Taken>,
}

impl<'a> Taking<'a> {
    /// `keep` is given what is to be stored, and answers how it is referred to.
    pub(crate) fn new(keep: &'a mut dyn FnMut(Vec<u8>) -> BlobRef) -> Self {
        Self { keep, taken: Vec::new() }
    }

    /// Whether the value is large, and so taken: what stands in its place is replaced by a reference once the question is encoded.
    pub(crate) fn takes(
        &mut self,
        list: FactList,
        index: usize,
        value: &impl Serialize,
    ) -> Result<bool, EncodeError> {
        let encoded = canonical::cbor(value)?;
        if encoded.len() < STORED_ALONE_BYTES_MIN {
            return Ok(false);
        }
        let content = (self.keep)(encoded);
        self.taken.push(Taken { list, index, content });
        Ok(true)
    }

    pub(crate) fn has_taken(&self) -> bool {
        !self.taken.is_empty()
    }

    /// Puts references in the places of what was taken.
    pub(crate) fn refer(self, question: &mut Value) -> Result<(), EncodeError> {
        let mut facts = facts_mut(question);
        for Taken { list, index, content } in self.taken {
            let reference =
                Value::serialized(&content).map_err(|error| EncodeError::Cbor(error.to_string()))?;
            let fact = facts.iter_mut().find(|fact| (fact.list, fact.index) == (list, index));
            let value = fact.and_then(RecordedFact::value);
            let value =
                value.ok_or_else(|| EncodeError::Cbor("a fact of the question is gone".to_owned()))?;
            *value = Value::Map(vec![(Value::Text(STORED.to_owned()), reference)]);
        }
        Ok(())
    }
}

/// A fact of a recorded question.
pub(crate) struct RecordedFact<'a> {
    list: FactList,
    index: usize,
    fact: &'a mut Value,
}

impl RecordedFact<'_> {
    pub(crate) fn has_id(&mut self, id: &str) -> bool {
        field(self.fact, "id").and_then(|found| found.as_text()) == Some(id)
    }

    pub(crate) fn value(&mut self) -> Option<&mut Value> {
        field(self.fact, "value")
    }

    fn name(&mut self) -> String {
        let list = self.list;
        list.name(field(self.fact, "id").and_then(|id| id.as_text()).unwrap_or_default())
    }

    /// How its value is referred to, where it is.
    fn reference(&mut self) -> Option<BlobRef> {
        field(self.value()?, STORED)?.deserialized().ok()
    }
}

fn field<'a>(map: &'a mut Value, name: &str) -> Option<&'a mut Value> {
    map.as_map_mut()?.iter_mut().find(|(key, _)| key.as_text() == Some(name)).map(|(_, value)| value)
}

/// The facts of a recorded question.
pub(crate) fn facts_mut(question: &mut Value) -> Vec<RecordedFact<'_>> {
    let mut facts = Vec::new();
    let Some(roles) = question.as_map_mut() else { return facts };
    for (_, input) in roles {
        let Some(fields) = input.as_map_mut() else { continue };
        for (name, items) in fields {
            let list = FactList::ALL.into_iter().find(|list| name.as_text() == Some(list.as_str()));
            let Some((list, items)) = list.zip(items.as_array_mut()) else { continue };
            facts.extend(items.iter_mut().enumerate().map(|(index, fact)| RecordedFact {
                list,
                index,
                fact,
            }));
        }
    }
    facts
}

/// The stored values that a recorded question refers to, each once.
pub(crate) fn references(question: &mut Value) -> Vec<BlobRef> {
    let mut all: Vec<BlobRef> = facts_mut(question).iter_mut().filter_map(RecordedFact::reference).collect();
    all.sort();
    all.dedup();
    all
}

/// Puts stored values in the places of references; the facts whose values are not there are left as they are and named.
pub(crate) fn resolve(
    question: &mut Value,
    contents: &BTreeMap<Digest, Vec<u8>>,
) -> Result<Vec<String>, ValueError> {
    let mut missing = Vec::new();
    for mut fact in facts_mut(question) {
        let Some(BlobRef { commitment: content, .. }) = fact.reference() else { continue };
        let Some(bytes) = contents.get(&content) else {
            missing.push(fact.name());
            continue;
        };
        let read = canonical::from_cbor::<Value>(bytes);
        let read = read.map_err(|error| ValueError { fact: fact.name(), content, why: error.to_string() })?;
        if let Some(value) = fact.value() {
            *value = Value::Map(vec![(Value::Text("Ok".to_owned()), read)]);
        }
    }
    Ok(missing)
}
