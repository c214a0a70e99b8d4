//! A service's state at one length of its journal, kept beside the journal: whoever needs the state reads from here on.
//!
//! A snapshot is a convenience and never the truth. One that does not fit is dropped, and the state is folded from an earlier one or from the
//! first record.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::canonical::{self, EncodeError};
use crate::digest::Digest;
use crate::journal::Tip;
use crate::name::ServiceName;
use crate::service::Service;
use crate::set::Set;

/// The format that this release writes. It is raised whenever [`Service`] changes its shape or makes something else of an old event: a snapshot
/// of another format is dropped, since `apply` of this release might not have come to the same.
pub const SNAPSHOT_FORMAT: u32 = 18;

/// The state after `tip.length` records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Whose: a service's name, or the key of a set's journal.
    pub service: ServiceName,
    /// Of the journal at that length.
    pub tip: Tip,
    /// See [`SNAPSHOT_FORMAT`].
    pub format: u32,
    /// CBOR of the [`Service`] or [`Set`].
    pub state: Vec<u8>,
    /// Over all of the above.
    pub check: Digest,
}

/// Why a snapshot is dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Another release wrote it.
    #[error("it has format {0}, and this release reads format {SNAPSHOT_FORMAT}")]
    Format(u32),
    /// It is not what was written.
    #[error("it was changed after it was written")]
    Changed,
    /// It is not a state of this release.
    #[error("it does not decode: {0}")]
    Undecodable(String),
    /// It is of another service or another length than it says.
    #[error("it is the state of another journal or another length")]
    Misplaced,
}

impl Snapshot {
    /// The snapshot of `state`, whose journal ends in `tip`.
    pub fn of(state: &Service, tip: Tip) -> Result<Self, EncodeError> {
        Self::under(&state.name, state, tip)
    }

    /// The same of a set.
    pub fn of_set(state: &Set, tip: Tip) -> Result<Self, EncodeError> {
        Self::under(&state.name.journal(), state, tip)
    }

    fn under(key: &ServiceName, state: &impl Serialize, tip: Tip) -> Result<Self, EncodeError> {
        let encoded = canonical::cbor(state)?;
        let check = check(key, tip, SNAPSHOT_FORMAT, &encoded);
        Ok(Self { service: key.clone(), tip, format: SNAPSHOT_FORMAT, state: encoded, check })
    }

    /// The state, or why it is not to be used.
    pub fn read(&self) -> Result<Service, Unfit> {
        self.read_as(|state: &Service| (state.name.clone(), state.length))
    }

    /// The same of a set.
    pub fn read_set(&self) -> Result<Set, Unfit> {
        self.read_as(|state: &Set| (state.name.journal(), state.length))
    }

    fn read_as<T: DeserializeOwned>(&self, place: impl Fn(&T) -> (ServiceName, u64)) -> Result<T, Unfit> {
        if self.format != SNAPSHOT_FORMAT {
            return Err(Unfit::Format(self.format));
        }
        if check(&self.service, self.tip, self.format, &self.state) != self.check {
            return Err(Unfit::Changed);
        }
        let state: T =
            canonical::from_cbor(&self.state).map_err(|error| Unfit::Undecodable(error.to_string()))?;
        if place(&state) != (self.service.clone(), self.tip.length) {
            return Err(Unfit::Misplaced);
        }
        Ok(state)
    }
}

fn check(service: &ServiceName, tip: Tip, format: u32, state: &[u8]) -> Digest {
    let (length, format) = (tip.length.to_be_bytes(), format.to_be_bytes());
    let parts: [&[u8]; 5] = [service.as_str().as_bytes(), &length, tip.hash.as_bytes(), &format, state];
    Digest::tagged("ripcord snapshot 1", &parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::name::SetName;
    use crate::set::SetEvent;
    use crate::time::UnixMillis;

    fn snapshot() -> Snapshot {
        let state = Service::new(ServiceName::new("s").expect("name"));
        let state = state.applied(UnixMillis(5), &Event::Woke).expect("applies");
        let tip = Tip { length: 1, hash: Digest::of(b"tip") };
        Snapshot::of(&state, tip).expect("encodes")
    }

    #[test]
    fn a_snapshot_reads_back() {
        assert_eq!(snapshot().read().expect("fits").at, UnixMillis(5));
    }

    #[test]
    fn one_of_a_set_reads_back_as_a_set_and_as_no_service() {
        let set = Set::new(SetName::new("pair").expect("name"));
        let set = set.applied(UnixMillis(7), &SetEvent::Woke).expect("applies");
        let tip = Tip { length: 1, hash: Digest::of(b"tip") };
        let snapshot = Snapshot::of_set(&set, tip).expect("encodes");
        assert_eq!(snapshot.service, set.name.journal());
        assert_eq!(snapshot.read_set(), Ok(set));
        assert!(matches!(snapshot.read(), Err(Unfit::Undecodable(_))));
        let moved = Snapshot { tip: Tip { length: 2, ..tip }, ..snapshot };
        assert_eq!(moved.read_set(), Err(Unfit::Changed));
    }

    #[test]
    fn one_that_is_not_what_was_written_is_not_used() {
        let mut newer = snapshot();
        newer.format += 1;
        assert_eq!(newer.read(), Err(Unfit::Format(SNAPSHOT_FORMAT + 1)));
        let mut changed = snapshot();
        changed.state[3] ^= 1;
        assert_eq!(changed.read(), Err(Unfit::Changed));
        let mut moved = snapshot();
        moved.tip.hash = Digest::of(b"another tip");
        assert_eq!(moved.read(), Err(Unfit::Changed));
        let mut other = snapshot();
        other.tip.length = 7;
        other.check = check(&other.service, other.tip, other.format, &other.state);
        assert_eq!(other.read(), Err(Unfit::Misplaced));
        let mut garbage = snapshot();
        garbage.state = vec![0xff; 9];
        garbage.check = check(&garbage.service, garbage.tip, garbage.format, &garbage.state);
        assert!(matches!(garbage.read(), Err(Unfit::Undecodable(_))));
    }
}
