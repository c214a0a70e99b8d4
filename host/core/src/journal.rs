//! The stored form of an event: bytes that are written once, chained by hash, and never encoded again.

use serde::{Deserialize, Serialize};

use crate::canonical::{self, EncodeError};
use crate::digest::Digest;
use crate::name::ServiceName;
use crate::time::UnixMillis;

/// The format that this release writes.
pub const RECORD_FORMAT: u32 = 1;

/// The end of a journal: what the next record must name as the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tip {
    /// Number of records so far.
    pub length: u64,
    /// [`Record::hash`] of the last record; of the empty journal, [`Tip::START`]'s.
    pub hash: Digest,
}

impl Tip {
    /// The tip of an empty journal.
    pub const START: Self = Self { length: 0, hash: Digest::from_bytes([0; 32]) };
}

/// What the bytes of a record say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope<E> {
    /// See [`RECORD_FORMAT`].
    pub format: u32,
    /// Whose journal.
    pub service: ServiceName,
    /// Counted from zero.
    pub number: u64,
    /// Hash of the record before.
    pub before: Digest,
    /// When; never less than the record before.
    pub at: UnixMillis,
    /// What happened.
    pub event: E,
}

/// One record of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Whose journal.
    pub service: ServiceName,
    /// Counted from zero.
    pub number: u64,
    /// The envelope's RFC 8785 form, verbatim.
    pub bytes: Vec<u8>,
    /// See [`Record::hash_of`].
    pub hash: Digest,
}

/// A record that does not continue its journal, or does not say what its place says.
#[derive(Debug, thiserror::Error)]
pub enum BrokenChain {
    /// The bytes and the stored hash differ.
    #[error("record {number} of `{service}` does not match its hash: it was changed after it was written")]
    Changed {
        /// Whose journal.
        service: ServiceName,
        /// Which record.
        number: u64,
    },
    /// The record names another one before it.
    #[error(
        "record {number} of `{service}` does not continue the record before it: one was removed, moved or inserted"
    )]
    Gap {
        /// Whose journal.
        service: ServiceName,
        /// Which record.
        number: u64,
    },
    /// The bytes are of a format or an event that this release does not know.
    #[error(
        "record {number} of `{service}` cannot be read: {message}; use the release that wrote it or a newer one"
    )]
    Unreadable {
        /// Whose journal.
        service: ServiceName,
        /// Which record.
        number: u64,
        /// What the decoder said.
        message: String,
    },
}

impl Record {
    /// Writes `event` as the record after `tip`.
    pub fn write<E: Serialize>(
        service: &ServiceName,
        tip: Tip,
        at: UnixMillis,
        event: &E,
    ) -> Result<Self, EncodeError> {
        let envelope = Envelope {
            format: RECORD_FORMAT,
            service: service.clone(),
            number: tip.length,
            before: tip.hash,
            at,
            event,
        };
        let bytes = canonical::json(&envelope)?;
        let hash = Self::hash_of(&bytes);
        Ok(Self { service: service.clone(), number: tip.length, bytes, hash })
    }

    /// The tip after this record.
    pub const fn tip(&self) -> Tip {
        Tip { length: self.number + 1, hash: self.hash }
    }

    /// The hash of a record's bytes.
    pub fn hash_of(bytes: &[u8]) -> Digest {
        Digest::tagged("ripcord record 1", &[bytes])
    }

    /// Reads the record, checking that it is whole and continues `tip`.
    pub fn read<E: for<'de> Deserialize<'de>>(&self, tip: Tip) -> Result<Envelope<E>, BrokenChain> {
        let (service, number) = (self.service.clone(), self.number);
        let envelope = self.read_alone::<E>()?;
        if envelope.before != tip.hash || self.number != tip.length {
            return Err(BrokenChain::Gap { service, number });
        }
        Ok(envelope)
    }

    /// Reads the record without those before it: it is whole and of its place, and whether it continues its journal is not known.
    pub fn read_alone<E: for<'de> Deserialize<'de>>(&self) -> Result<Envelope<E>, BrokenChain> {
        let (service, number) = (self.service.clone(), self.number);
        if Self::hash_of(&self.bytes) != self.hash {
            return Err(BrokenChain::Changed { service, number });
        }
        let envelope: Envelope<E> = serde_json::from_slice(&self.bytes).map_err(|error| {
            BrokenChain::Unreadable { service: service.clone(), number, message: error.to_string() }
        })?;
        if envelope.format != RECORD_FORMAT {
            let message = format!("its format is {}", envelope.format);
            return Err(BrokenChain::Unreadable { service, number, message });
        }
        if envelope.number != number || envelope.service != service {
            return Err(BrokenChain::Gap { service, number });
        }
        Ok(envelope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal() -> Vec<Record> {
        let service = ServiceName::new("s").expect("name");
        let mut tip = Tip::START;
        (0..3)
            .map(|number| {
                let record =
                    Record::write(&service, tip, UnixMillis(number), &format!("e{number}")).expect("writes");
                tip = record.tip();
                record
            })
            .collect()
    }

    fn read_all(records: &[Record]) -> Result<Vec<String>, BrokenChain> {
        let mut tip = Tip::START;
        records
            .iter()
            .map(|record| {
                let envelope = record.read::<String>(tip)?;
                tip = record.tip();
                Ok(envelope.event)
            })
            .collect()
    }

    #[test]
    fn a_journal_reads_back() {
        assert_eq!(read_all(&journal()).expect("whole"), ["e0", "e1", "e2"]);
    }

    #[test]
    fn every_change_is_found() {
        let mut changed = journal();
        changed[1].bytes[20] ^= 1;
        assert!(matches!(read_all(&changed), Err(BrokenChain::Changed { number: 1, .. })));
        let mut rewritten = journal();
        let service = rewritten[0].service.clone();
        rewritten[1] = Record::write(&service, rewritten[0].tip(), UnixMillis(1), &"other").expect("writes");
        assert!(matches!(read_all(&rewritten), Err(BrokenChain::Gap { number: 2, .. })));
        let mut removed = journal();
        removed.remove(1);
        assert!(matches!(read_all(&removed), Err(BrokenChain::Gap { number: 2, .. })));
        let mut swapped = journal();
        swapped.swap(1, 2);
        assert!(read_all(&swapped).is_err());
    }
}
