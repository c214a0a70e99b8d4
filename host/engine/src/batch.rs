//! What one step wants to append: events, the blobs they refer to, the signals they consume.

use std::collections::BTreeSet;

use ripcord_core::blob::{BlobKind, BlobRef};
use ripcord_core::canonical;
use ripcord_core::event::{Event, Observed, ObservedFacet};
use ripcord_core::facet::{FacetRead, FacetState};
use ripcord_core::live::LiveState;
use ripcord_core::name::{ServiceName, SignalId};
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::{NewBlob, Use};
use serde::Serialize;

use crate::fact_values::{FactValues, Values};
use crate::salt::fresh_salt;

#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) events: Vec<Event>,
    pub(crate) blobs: Vec<NewBlob>,
    pub(crate) consumed: Vec<SignalId>,
    /// Content that is of no more use to the records that were before.
    pub(crate) over: Vec<Use>,
    /// Groups of signals that its recordings refer to: they are kept for as long as the recordings.
    pub(crate) groups: BTreeSet<BlobRef>,
    /// Values of facts that its recordings and its kept facts refer to: they are kept for as long as these.
    pub(crate) values: Values,
}

impl Batch {
    pub(crate) fn of(event: Event) -> Self {
        Self { events: vec![event], ..Self::default() }
    }

    /// The same batch with one more event.
    #[must_use]
    pub(crate) fn with(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }

    pub(crate) fn blob(&mut self, kind: BlobKind, content: Vec<u8>) -> BlobRef {
        let blob = NewBlob::new(kind, fresh_salt(), content);
        let reference = blob.reference;
        self.blobs.push(blob);
        reference
    }

    /// A reference to the value of a fact, which is carried along unless it is known to be stored.
    pub(crate) fn fact(
        &mut self,
        known: &FactValues,
        service: &ServiceName,
        now: UnixMillis,
        value: Vec<u8>,
    ) -> BlobRef {
        let referred = known.refer(service, now, value);
        let (digest, reference) = referred.value;
        self.values.insert(digest, reference);
        self.carry(referred.carried);
        reference
    }

    /// The same value of a fact may come with several decisions of one moment.
    fn carry(&mut self, blobs: impl IntoIterator<Item = NewBlob>) {
        for blob in blobs {
            if blob.reference.kind != BlobKind::Fact
                || self.blobs.iter().all(|known| known.reference != blob.reference)
            {
                self.blobs.push(blob);
            }
        }
    }

    pub(crate) fn text(&mut self, text: impl Into<String>) -> BlobRef {
        self.blob(BlobKind::Text, text.into().into_bytes())
    }

    /// `value` as JSON; a value that has no JSON form leaves the reason in its place.
    pub(crate) fn json(&mut self, kind: BlobKind, value: &impl Serialize) -> BlobRef {
        let content = canonical::json(value).unwrap_or_else(|error| error.to_string().into_bytes());
        self.blob(kind, content)
    }

    /// `value` as CBOR.
    pub(crate) fn cbor(&mut self, kind: BlobKind, value: &impl Serialize) -> Option<BlobRef> {
        canonical::cbor(value).ok().map(|content| self.blob(kind, content))
    }

    pub(crate) fn observed(&mut self, live: &LiveState) -> Observed {
        match live {
            LiveState::Serving(shares) => Observed::Serving(shares.clone()),
            LiveState::Unknown(reason) => Observed::Unknown(self.text(reason)),
        }
    }

    pub(crate) fn observed_facets(&mut self, reads: &[FacetRead<String>]) -> Vec<ObservedFacet> {
        let observed = reads.iter().map(|read| ObservedFacet {
            facet: read.facet.clone(),
            state: match &read.state {
                FacetState::InForce(known) => FacetState::InForce(known.clone()),
                FacetState::Unknown(reason) => FacetState::Unknown(self.text(reason)),
            },
        });
        observed.collect()
    }

    pub(crate) fn absorb(&mut self, other: Self) {
        self.events.extend(other.events);
        self.carry(other.blobs);
        self.consumed.extend(other.consumed);
        self.over.extend(other.over);
        self.groups.extend(other.groups);
        self.values.extend(other.values);
    }

    /// All that its events refer to by way of a content.
    pub(crate) fn referred(&self) -> Vec<BlobRef> {
        self.groups.iter().chain(self.values.values()).copied().collect()
    }
}
