//! Which values of facts a service has stored lately: the same one again is referred to instead of being stored again.
//!
//! A reference must lead somewhere. So whoever refers to a value carries it along in the same batch, until the driver has written a batch that refers
//! to it: only then it is enough to name it. A power cut that takes a value takes all that was written after it, too. What is remembered ends with the
//! process; then a value is stored once more.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ripcord_core::blob::{BlobKind, BlobRef, Salt};
use ripcord_core::digest::Digest;
use ripcord_core::name::ServiceName;
use ripcord_core::retention::Class;
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::store::NewBlob;

use crate::salt::fresh_salt;

/// So long after the last record that needs it a value is referred to; later it is stored anew.
///
/// What is referred to must still be there when the reference is written. Content goes a day after the last record that needs it at the soonest, by a
/// clock that has been steady for a day. So a batch has three quarters of a day to be written, which is far more than a step may take; one that
/// cannot be written for longer is a driver's backlog, and while there is one that driver erases nothing either.
const REFERRED_FOR: Millis = Millis::hours(6);

const _: () = {
    let mut index = 0;
    while index < Class::ALL.len() {
        assert!(Class::ALL[index].age_min().0 >= 4 * REFERRED_FOR.0);
        index += 1;
    }
};

/// Values of one service that are remembered, some hundred bytes each: as many as one decision can have facts. The one that was needed longest ago
/// makes room.
const REMEMBERED_MAX: usize = 512;

/// Values by the digest of their content, which never leaves this process: unlike a commitment it would tell what was erased.
pub(crate) type Values = BTreeMap<Digest, BlobRef>;

/// What is known of one value.
#[derive(Debug, Clone, Copy)]
enum Known {
    /// Batches carry it with this salt, the first since then; none of them is known to be written.
    Carried { salt: Salt, since: UnixMillis },
    /// A record of this time needs it, and both are written.
    Written { content: BlobRef, at: UnixMillis },
}

/// By service.
#[derive(Debug, Default)]
pub(crate) struct FactValues(Mutex<BTreeMap<ServiceName, BTreeMap<Digest, Known>>>);

/// How a value is referred to.
pub(crate) struct Referred {
    /// The digest of its content, and the reference.
    pub(crate) value: (Digest, BlobRef),
    /// What must be written with the reference; none where it is stored already.
    pub(crate) carried: Option<NewBlob>,
}

impl FactValues {
    /// How `content` is referred to. The same content is referred to in the same way, however many ask at once.
    pub(crate) fn refer(&self, service: &ServiceName, now: UnixMillis, content: Vec<u8>) -> Referred {
        let digest = Digest::of(&content);
        let salt = match self.known(service, now, digest) {
            Known::Written { content, .. } => return Referred { value: (digest, content), carried: None },
            Known::Carried { salt, .. } => salt,
        };
        let blob = NewBlob::new(BlobKind::Fact, salt, content);
        Referred { value: (digest, blob.reference), carried: Some(blob) }
    }

    /// What is known of a value that is still referred to, else a new salt for it.
    fn known(&self, service: &ServiceName, now: UnixMillis, digest: Digest) -> Known {
        let mut all = self.all();
        let values = all.entry(service.clone()).or_default();
        if let Some(known) = values.get(&digest).filter(|known| now.since(known.at()) < REFERRED_FOR) {
            return *known;
        }
        let carried = Known::Carried { salt: fresh_salt(), since: now };
        remember(values, digest, carried);
        carried
    }

    /// A record of that time is written that needs these values, and so are they.
    pub(crate) fn written(&self, service: &ServiceName, at: UnixMillis, written: &Values) {
        if written.is_empty() {
            return;
        }
        let mut all = self.all();
        let values = all.entry(service.clone()).or_default();
        for (digest, content) in written {
            remember(values, *digest, Known::Written { content: *content, at });
        }
    }

    /// Forgets everything of a service.
    pub(crate) fn clear(&self, service: &ServiceName) {
        self.all().remove(service);
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<ServiceName, BTreeMap<Digest, Known>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    const fn at(&self) -> UnixMillis {
        match self {
            Self::Carried { since, .. } => *since,
            Self::Written { at, .. } => *at,
        }
    }
}

fn remember(values: &mut BTreeMap<Digest, Known>, digest: Digest, known: Known) {
    if values.len() >= REMEMBERED_MAX && !values.contains_key(&digest) {
        let oldest = values.iter().min_by_key(|(_, known)| known.at()).map(|(digest, _)| *digest);
        oldest.and_then(|oldest| values.remove(&oldest));
    }
    values.insert(digest, known);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name() -> ServiceName {
        ServiceName::new("fraud-api").unwrap()
    }

    fn at(hours: u64) -> UnixMillis {
        UnixMillis(1_700_000_000_000) + Millis::hours(hours)
    }

    /// The reference, and whether the value must go with it.
    fn refer(values: &FactValues, now: UnixMillis, content: &[u8]) -> (BlobRef, bool) {
        let Referred { value: (_, reference), carried } = values.refer(&name(), now, content.to_vec());
        assert!(carried.as_ref().is_none_or(|blob| blob.reference == reference && blob.content == content));
        (reference, carried.is_some())
    }

    fn written(values: &FactValues, at: UnixMillis, content: &[u8], reference: BlobRef) {
        values.written(&name(), at, &Values::from([(Digest::of(content), reference)]));
    }

    #[test]
    fn a_value_goes_with_its_reference_until_it_is_written() {
        let values = FactValues::default();
        let (reference, carried) = refer(&values, at(0), b"one");
        assert!(carried);
        // However many refer to it before that.
        assert_eq!(refer(&values, at(0), b"one"), (reference, true));
        written(&values, at(0), b"one", reference);
        assert_eq!(refer(&values, at(1), b"one"), (reference, false));
        let (other, carried) = refer(&values, at(1), b"other");
        assert!(carried && other != reference);
        // Nobody else has written it.
        let elsewhere = ServiceName::new("spam").unwrap();
        assert!(values.refer(&elsewhere, at(1), b"one".to_vec()).carried.is_some());
        values.clear(&name());
        assert_ne!(refer(&values, at(1), b"one"), (reference, false));
    }

    #[test]
    fn what_no_record_has_needed_for_long_is_stored_anew() {
        let values = FactValues::default();
        let (reference, _) = refer(&values, at(0), b"one");
        for hour in 0..20 {
            written(&values, at(hour), b"one", reference);
            assert_eq!(refer(&values, at(hour + 5), b"one"), (reference, false));
        }
        let (anew, carried) = refer(&values, at(19) + REFERRED_FOR, b"one");
        assert!(carried && anew != reference);
        // A salt of its own as well where it was never written: it may have been erased with the batch of another time.
        let (never, _) = refer(&values, at(0), b"never");
        assert_ne!(refer(&values, at(0) + REFERRED_FOR, b"never").0, never);
    }

    #[test]
    fn no_more_is_remembered_than_one_decision_has() {
        let values = FactValues::default();
        for index in 0..REMEMBERED_MAX as u64 + 100 {
            let (content, now) = (index.to_be_bytes(), at(0) + Millis(index));
            let (reference, _) = refer(&values, now, &content);
            written(&values, now, &content, reference);
        }
        assert_eq!(values.all()[&name()].len(), REMEMBERED_MAX);
        let now = at(1);
        assert!(!refer(&values, now, &(REMEMBERED_MAX as u64 + 99).to_be_bytes()).1, "the last is known");
        assert!(refer(&values, now, &0_u64.to_be_bytes()).1, "the first made room");
    }
}
