//! What a journal comes to: a service, or a set of services. Reading, verifying and forgetting are the same for both.

use std::error::Error;

use ripcord_core::blob::{BlobRef, blobs_of};
use ripcord_core::canonical::EncodeError;
use ripcord_core::event::{Event, Pruned};
use ripcord_core::journal::Tip;
use ripcord_core::name::{IncidentId, ServiceName, SetName};
use ripcord_core::retention::Class;
use ripcord_core::service::Service;
use ripcord_core::set::{Set, SetEvent};
use ripcord_core::snapshot::{Snapshot, Unfit};
use ripcord_core::time::UnixMillis;
use ripcord_ports::store::{Content, TimelineEntry, Use};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::read_model::{Derived, Moment};

/// Why an event cannot happen in a state.
pub(crate) type NotFollowing = Box<dyn Error + Send + Sync>;

/// A state that is a function of its journal.
pub(crate) trait Journaled: Clone + PartialEq + Serialize + Send + Sync + 'static {
    /// What its journal consists of.
    type Event: Clone + Serialize + DeserializeOwned + Send + Sync;
    /// Whose journal it is.
    type Name: Sync;

    /// Before the first record.
    fn empty(name: &Self::Name) -> Self;
    /// Under which the store keeps its journal.
    fn key(&self) -> ServiceName;
    /// Time of its last event.
    fn at(&self) -> UnixMillis;
    /// The state after `event`.
    fn after(self, at: UnixMillis, event: &Self::Event) -> Result<Self, NotFollowing>;
    /// To begin from later.
    fn snapshot(&self, tip: Tip) -> Result<Snapshot, EncodeError>;
    /// What was kept so.
    fn of_snapshot(snapshot: &Snapshot) -> Result<Self, Unfit>;
    /// What a record is to be read by, between the states before and after it. `referred` is what the recordings of the same append refer to.
    fn derive(&self, event: &Self::Event, after: &Self, referred: &[BlobRef], into: &mut Derived);
    /// That old content was erased.
    fn pruned(pruned: Pruned) -> Self::Event;
    /// The same state without what has ended and is only told.
    fn without_past(&self) -> Self;
    /// Whose content stays however old it is.
    fn spared(&self) -> Vec<IncidentId>;
}

impl Journaled for Service {
    type Event = Event;
    type Name = ServiceName;

    fn empty(name: &ServiceName) -> Self {
        Self::new(name.clone())
    }

    fn key(&self) -> ServiceName {
        self.name.clone()
    }

    fn at(&self) -> UnixMillis {
        self.at
    }

    fn after(self, at: UnixMillis, event: &Event) -> Result<Self, NotFollowing> {
        self.applied(at, event).map_err(Into::into)
    }

    fn snapshot(&self, tip: Tip) -> Result<Snapshot, EncodeError> {
        Snapshot::of(self, tip)
    }

    fn of_snapshot(snapshot: &Snapshot) -> Result<Self, Unfit> {
        snapshot.read()
    }

    fn derive(&self, event: &Event, after: &Self, referred: &[BlobRef], into: &mut Derived) {
        into.add(Moment { before: self, number: self.length, at: after.at, event, after, referred });
    }

    fn pruned(pruned: Pruned) -> Event {
        Event::Pruned(pruned)
    }

    fn without_past(&self) -> Self {
        Self { last_settled: None, ..self.clone() }
    }

    fn spared(&self) -> Vec<IncidentId> {
        self.kept.iter().chain(self.incident.as_ref().map(|open| &open.id)).cloned().collect()
    }
}

impl Journaled for Set {
    type Event = SetEvent;
    type Name = SetName;

    fn empty(name: &SetName) -> Self {
        Self::new(name.clone())
    }

    fn key(&self) -> ServiceName {
        self.name.journal()
    }

    fn at(&self) -> UnixMillis {
        self.at
    }

    fn after(self, at: UnixMillis, event: &SetEvent) -> Result<Self, NotFollowing> {
        self.applied(at, event).map_err(Into::into)
    }

    fn snapshot(&self, tip: Tip) -> Result<Snapshot, EncodeError> {
        Snapshot::of_set(self, tip)
    }

    fn of_snapshot(snapshot: &Snapshot) -> Result<Self, Unfit> {
        snapshot.read_set()
    }

    /// A run is told and kept as an incident is.
    fn derive(&self, event: &SetEvent, after: &Self, _: &[BlobRef], into: &mut Derived) {
        let run = self.run.as_ref().or(after.run.as_ref()).map(|run| run.id.as_incident());
        let (number, at) = (self.length, after.at);
        let run = match event {
            // Written when people change it, and small: who may act stays readable.
            SetEvent::Configured(_) | SetEvent::Pruned(_) => return,
            _ => run,
        };
        if let Some(run) = run.clone().filter(|_| !matches!(event, SetEvent::Woke | SetEvent::Announced(_))) {
            into.tell(TimelineEntry { incident: run, number });
        }
        let class = if run.is_some() { Class::Incidents } else { Class::Decisions };
        // What does not encode was not written.
        for blob in blobs_of(event).unwrap_or_default() {
            let content = Content::Blob(blob.commitment);
            into.need(Use { class, incident: run.clone(), number, at, content });
        }
    }

    fn pruned(pruned: Pruned) -> SetEvent {
        SetEvent::Pruned(pruned)
    }

    fn without_past(&self) -> Self {
        Self { last: None, ..self.clone() }
    }

    fn spared(&self) -> Vec<IncidentId> {
        self.run.iter().map(|run| run.id.as_incident()).collect()
    }
}
