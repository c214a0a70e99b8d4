//! Recovery: the journal, read back and applied from the first record.

use ripcord_core::event::Event;
use ripcord_core::journal::{BrokenChain, Tip};
use ripcord_core::name::{IncidentId, ServiceName};
use ripcord_core::service::{Illegal, Service};
use ripcord_core::time::UnixMillis;
use ripcord_ports::Store;
use ripcord_ports::store::StoreError;

/// Records that are applied before other tasks have their turn.
const AT_ONCE: usize = 64;

/// A journal that cannot be folded.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A record was changed, removed, moved, or is of a newer release.
    #[error(transparent)]
    Chain(#[from] BrokenChain),
    /// A record does not follow from the ones before it.
    #[error(
        "record {number} of `{service}` does not follow from the ones before it: {source}; use the release that wrote it or a newer one"
    )]
    Illegal {
        /// Whose journal.
        service: ServiceName,
        /// Which record.
        number: u64,
        /// What the core said.
        source: Illegal,
    },
}

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

/// A service with the end of its journal and all that happened.
#[derive(Debug, Clone)]
pub struct Folded {
    /// The state.
    pub service: Service,
    /// What the next record continues.
    pub tip: Tip,
    /// Every event with its time, in order.
    pub events: Vec<(UnixMillis, Event)>,
}

/// Reads and applies the whole journal of `name`. A service without a journal is a new one.
pub async fn fold(store: &dyn Store, name: &ServiceName) -> Result<Folded, FoldError> {
    let mut folded = Folded { service: Service::new(name.clone()), tip: Tip::START, events: Vec::new() };
    for (index, record) in store.journal(name, 0).await?.into_iter().enumerate() {
        if index % AT_ONCE == AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
        let envelope = record.read::<Event>(folded.tip)?;
        folded.service = folded
            .service
            .apply(envelope.at, &envelope.event)
            .map_err(|source| FoldError::Illegal { service: name.clone(), number: record.number, source })?;
        folded.tip = record.tip();
        folded.events.push((envelope.at, envelope.event));
    }
    Ok(folded)
}
