//! What one step wants to append: events, the blobs they refer to, the signals they consume.

use std::collections::BTreeSet;

use ripcord_core::blob::{BlobKind, BlobRef, Salt};
use ripcord_core::canonical;
use ripcord_core::event::{Event, Observed};
use ripcord_core::live::LiveState;
use ripcord_core::name::SignalId;
use ripcord_ports::store::{NewBlob, Use};
use serde::Serialize;

#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) events: Vec<Event>,
    pub(crate) blobs: Vec<NewBlob>,
    pub(crate) consumed: Vec<SignalId>,
    /// Content that is of no more use to the records that were before.
    pub(crate) over: Vec<Use>,
    /// Groups of signals that its recordings refer to: they are kept for as long as the recordings.
    pub(crate) groups: BTreeSet<BlobRef>,
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

    pub(crate) fn absorb(&mut self, other: Self) {
        self.events.extend(other.events);
        self.blobs.extend(other.blobs);
        self.consumed.extend(other.consumed);
        self.over.extend(other.over);
        self.groups.extend(other.groups);
    }
}

fn fresh_salt() -> Salt {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    Salt(bytes)
}
