//! Recovery: the state that a journal comes to.

use std::sync::Arc;

use ripcord_core::event::Event;
use ripcord_core::journal::Tip;
use ripcord_core::name::{IncidentId, ServiceName, SetName};
use ripcord_core::service::Service;
use ripcord_core::set::Set;
use ripcord_core::time::UnixMillis;
use ripcord_ports::Store;
use ripcord_ports::store::StoreError;

use crate::fold_error::FoldError;
use crate::history::History;
use crate::journaled::Journaled;

/// Why an incident cannot be read from the journals: neither shown nor replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A journal cannot be read.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No such incident.
    #[error("there is no incident `{0}`; `ripcord incidents list` shows all")]
    Unknown(IncidentId),
}

/// A service, or a set, with the end of its journal.
#[derive(Debug, Clone)]
pub struct Recovered<S = Service> {
    /// The state.
    pub state: Arc<S>,
    /// What the next record continues.
    pub tip: Tip,
    /// How many records had to be read.
    pub read: u64,
    /// Whether a snapshot was found that does not fit.
    pub dropped: bool,
}

/// Reads a journal from its last snapshot: what it costs does not grow with the journal. A service without a journal is a new one.
pub async fn recover(store: &dyn Store, name: &ServiceName) -> Result<Recovered, FoldError> {
    recovered(store, name).await
}

/// The same of a set, whose journal lies beside those of services.
pub async fn recover_set(store: &dyn Store, name: &SetName) -> Result<Recovered<Set>, FoldError> {
    recovered(store, name).await
}

/// The same of whichever of the two.
pub(crate) async fn recovered<S: Journaled>(
    store: &dyn Store,
    name: &S::Name,
) -> Result<Recovered<S>, FoldError> {
    let history = History::from_snapshot(store, name, u64::MAX).await?;
    let (began_at, dropped) = (history.began_at, history.dropped);
    let (state, tip) = history.finish().await?;
    Ok(Recovered { state: Arc::new(*state), tip, read: tip.length - began_at, dropped })
}

/// A service with the end of its journal and all that happened.
#[derive(Debug, Clone)]
pub struct Folded {
    /// The state.
    pub service: Box<Service>,
    /// What the next record continues.
    pub tip: Tip,
    /// Every event with its time, in order.
    pub events: Vec<(UnixMillis, Event)>,
}

/// Reads and applies the whole journal of `name`, whatever snapshots say: for tests and comparisons. All of it is in memory afterwards, so nothing
/// that people or a start wait for may use it; see [`recover`].
pub async fn fold(store: &dyn Store, name: &ServiceName) -> Result<Folded, FoldError> {
    let mut history = History::whole(store, name);
    let mut events = Vec::new();
    while let Some(step) = history.next().await? {
        events.push((step.at, step.event));
    }
    let (service, tip) = history.finish().await?;
    Ok(Folded { service, tip, events })
}
