//! What policies are given of alerts, kept at hand between two questions about the same: a trigger that watches a few large alerts must not make the
//! host read and decode their groups every few seconds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ripcord_core::alert::StoredWord;
use ripcord_core::digest::Digest;
use ripcord_core::name::ServiceName;
use ripcord_core::signal::Signal;

/// The words of one question, by the commitment of their group and their place in it.
pub(crate) type Words = BTreeMap<(Digest, u32), Arc<Signal>>;

/// By service, the words of the last question: never more than a question may have bytes.
#[derive(Debug, Default)]
pub(crate) struct AlertContents(Mutex<BTreeMap<ServiceName, Words>>);

impl AlertContents {
    /// Those that were asked about last.
    pub(crate) fn last(&self, service: &ServiceName) -> Words {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(service).cloned().unwrap_or_default()
    }

    /// These are asked about now; none forgets all.
    pub(crate) fn keep(&self, service: &ServiceName, words: Words) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if words.is_empty() {
            all.remove(service);
        } else {
            all.insert(service.clone(), words);
        }
    }
}

/// Where a word is found again.
pub(crate) fn place(word: &StoredWord) -> (Digest, u32) {
    (word.content.commitment, word.index)
}
