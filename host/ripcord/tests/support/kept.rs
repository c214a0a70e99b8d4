//! What is on disk after a host was killed.

use std::path::Path;

use ripcord_core::alert::AlertWord;
use ripcord_core::event::Event;
use ripcord_core::signal::Origin;
use ripcord_engine::{Folded, fold};
use ripcord_ports::Store as _;
use ripcord_ports::store::SignalFilter;
use ripcord_store::SqliteStore;

/// What a store holds of everything that may not be lost or done unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Kept {
    /// Signals: consumed, waiting or without a route.
    pub(crate) signals: usize,
    /// Of all services.
    pub(crate) incidents: u64,
    /// Shifts that were begun.
    pub(crate) shifts: usize,
}

/// The store below `folder`; none if nothing was begun.
pub(crate) fn store(folder: &Path) -> Option<SqliteStore> {
    let path = folder.join("ripcord-data/store.sqlite");
    path.exists().then(|| SqliteStore::open_read_only(path).expect("the store opens"))
}

/// Reads every journal, from the first record, and counts. A journal that does not verify is a failure.
pub(crate) async fn kept(folder: &Path) -> Option<Kept> {
    let store = store(folder)?;
    let mut kept = Kept::default();
    for folded in journals(&store).await {
        let count =
            |wanted: fn(&Event) -> bool| folded.events.iter().filter(|(_, event)| wanted(event)).count();
        let webhooks = |event: &Event| match event {
            Event::SignalsTaken(taken) => {
                let from = |word: &&AlertWord| matches!(word.origin, Origin::Webhook(_));
                taken.alerts.iter().filter(from).map(|word| word.count as usize).sum()
            }
            _ => 0,
        };
        kept.signals += folded.events.iter().map(|(_, event)| webhooks(event)).sum::<usize>();
        kept.shifts += count(|event| matches!(event, Event::ShiftBegan(_)));
        kept.incidents += u64::from(folded.service.incidents);
        let waiting = store.signals(SignalFilter::Waiting(&folded.service.name), u32::MAX).await;
        kept.signals += waiting.expect("the intake").len();
    }
    kept.signals += store.signals(SignalFilter::Unrouted, u32::MAX).await.expect("the intake").len();
    Some(kept)
}

/// Every service's journal.
pub(crate) async fn journals(store: &SqliteStore) -> Vec<Folded> {
    let mut journals = Vec::new();
    for name in store.services().await.expect("its services") {
        journals.push(fold(store, &name).await.expect("the journal verifies"));
    }
    journals
}
