//! Reading a journal, page by page, from a snapshot or from the first record.

use std::collections::VecDeque;

use ripcord_core::event::Event;
use ripcord_core::journal::{Record, Tip};
use ripcord_core::service::Service;
use ripcord_core::snapshot::Snapshot;
use ripcord_core::time::UnixMillis;
use ripcord_ports::Store;
use ripcord_ports::store::StoreError;

use crate::fold_error::FoldError;
use crate::journaled::Journaled;

/// Records that are in memory at a time.
const PAGE: u32 = 512;
/// Records that are applied before other tasks have their turn.
const AT_ONCE: u64 = 64;

/// A journal that is being read: the state so far, and what comes next.
pub(crate) struct History<'a, S = Service> {
    store: &'a dyn Store,
    empty: Box<S>,
    /// Boxed as `empty` is: what waits for a reading is not to carry both of them.
    state: Box<S>,
    tip: Tip,
    page: VecDeque<Record>,
    /// The length of the snapshot that it began with; 0 without one.
    pub(crate) began_at: u64,
    /// Whether a snapshot was passed over because it does not fit.
    pub(crate) dropped: bool,
}

/// One record, read and applied.
#[derive(Debug, Clone)]
pub(crate) struct Step<E = Event> {
    pub(crate) number: u64,
    pub(crate) at: UnixMillis,
    pub(crate) event: E,
}

impl<'a, S: Journaled> History<'a, S> {
    /// From the first record.
    pub(crate) fn whole(store: &'a dyn Store, name: &S::Name) -> Self {
        let empty = Box::new(S::empty(name));
        Self {
            store,
            state: empty.clone(),
            empty,
            tip: Tip::START,
            page: VecDeque::new(),
            began_at: 0,
            dropped: false,
        }
    }

    /// From the longest snapshot that fits and has no more than `length_max` records.
    pub(crate) async fn from_snapshot(
        store: &'a dyn Store,
        name: &S::Name,
        length_max: u64,
    ) -> Result<Self, StoreError> {
        let mut history = Self::whole(store, name);
        let name = history.empty.key();
        let mut length_max = length_max;
        while let Some(snapshot) = store.snapshot(&name, length_max).await? {
            if let Some(state) = fitting(store, &snapshot).await? {
                history.began_at = snapshot.tip.length;
                (history.state, history.tip) = (state, snapshot.tip);
                break;
            }
            history.dropped = true;
            match snapshot.tip.length.checked_sub(1) {
                Some(shorter) => length_max = shorter,
                None => break,
            }
        }
        Ok(history)
    }

    /// The state after all that was read.
    pub(crate) fn state(&self) -> &S {
        &self.state
    }

    /// Reads and applies the next record; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Step<S::Event>>, FoldError> {
        if self.page.is_empty() {
            self.page = self.store.journal(&self.empty.key(), self.tip.length, PAGE).await?.into();
        }
        if self.tip.length % AT_ONCE == AT_ONCE - 1 {
            tokio::task::yield_now().await;
        }
        let Some(record) = self.page.pop_front() else { return Ok(None) };
        let envelope = record.read::<S::Event>(self.tip)?;
        let state = std::mem::replace(&mut self.state, self.empty.clone());
        *self.state = state.after(envelope.at, &envelope.event).map_err(|source| FoldError::Illegal {
            service: record.service.clone(),
            number: record.number,
            source,
        })?;
        self.tip = record.tip();
        Ok(Some(Step { number: record.number, at: envelope.at, event: envelope.event }))
    }

    /// Reads to the end.
    pub(crate) async fn finish(mut self) -> Result<(Box<S>, Tip), FoldError> {
        while self.next().await?.is_some() {}
        Ok((self.state, self.tip))
    }

    /// Where the next record continues.
    pub(crate) fn tip(&self) -> Tip {
        self.tip
    }
}

/// The state of a snapshot that is whole and whose journal is this one.
async fn fitting<S: Journaled>(store: &dyn Store, snapshot: &Snapshot) -> Result<Option<Box<S>>, StoreError> {
    let service = &snapshot.service;
    let state = match S::of_snapshot(snapshot) {
        Ok(state) => Box::new(state),
        Err(why) => {
            tracing::warn!(%service, length = snapshot.tip.length, %why, "a snapshot is dropped: the state is read from an earlier one, and a new one is made at the next start");
            return Ok(None);
        }
    };
    let tip = match snapshot.tip.length.checked_sub(1) {
        None => Some(Tip::START),
        Some(last) => {
            let last = store.journal(service, last, 1).await?;
            last.first().filter(|record| Record::hash_of(&record.bytes) == record.hash).map(Record::tip)
        }
    };
    if tip == Some(snapshot.tip) {
        return Ok(Some(state));
    }
    tracing::warn!(%service, length = snapshot.tip.length, "a snapshot is dropped: it is of another journal");
    Ok(None)
}
