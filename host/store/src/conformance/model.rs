//! The store as a few lists in memory: what random steps must lead to.

use std::collections::BTreeMap;

use ripcord_core::journal::{Record, Tip};
use ripcord_core::name::{ServiceName, SignalId};
use ripcord_ports::store::{Accepted, Append, SignalFilter, Store, StoreError};

use super::{ids, records, service, signal, waiting};

/// One step of a random run.
#[derive(Debug, Clone)]
pub enum Step {
    /// A signal for a service, or for none, with one of a few keys, so much later.
    Accept {
        /// Which service.
        service: Option<u8>,
        /// Which dedupe key.
        key: u8,
        /// Since the step before, in milliseconds.
        later_ms: u64,
    },
    /// Records for a service, consuming up to so many of its signals.
    Append {
        /// Which service.
        service: u8,
        /// How many records.
        records: u64,
        /// How many signals at most.
        consume: usize,
    },
    /// Records that continue a tip which is that many records old.
    Stale {
        /// Which service.
        service: u8,
        /// How old the tip is, in records.
        behind: u64,
    },
}

struct Kept {
    id: String,
    service: Option<ServiceName>,
    key: u8,
    at_ms: u64,
    times: u32,
    consumed: bool,
}

/// What a store should hold.
#[derive(Default)]
pub struct Model {
    now_ms: u64,
    drawn: u32,
    signals: Vec<Kept>,
    journals: BTreeMap<ServiceName, Vec<Record>>,
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("signals", &self.signals.len()).finish_non_exhaustive()
    }
}

fn named(number: u8) -> ServiceName {
    service(&format!("service-{number}"))
}

impl Model {
    fn tip(&self, service: &ServiceName) -> Tip {
        self.journals.get(service).and_then(|journal| journal.last()).map_or(Tip::START, Record::tip)
    }

    /// Does `step` here and in `store`; both must answer alike.
    pub async fn step(&mut self, store: &dyn Store, step: &Step) {
        match *step {
            Step::Accept { service, key, later_ms } => {
                self.accept(store, service.map(named), key, later_ms).await
            }
            Step::Append { service, records, consume } => {
                self.append(store, named(service), records, consume).await
            }
            Step::Stale { service, behind } => self.stale(store, &named(service), behind).await,
        }
    }

    async fn accept(&mut self, store: &dyn Store, service: Option<ServiceName>, key: u8, later_ms: u64) {
        self.now_ms += later_ms;
        self.drawn += 1;
        let id = format!("drawn-{}", self.drawn);
        let new = signal(&id, service.as_ref(), &key.to_string(), self.now_ms);
        let (at_ms, window_ms) = (self.now_ms, new.dedupe_window.0);
        let first =
            self.signals.iter_mut().rev().find(|kept| kept.key == key && at_ms - kept.at_ms < window_ms);
        let expected = match first {
            Some(kept) => {
                kept.times += 1;
                Accepted::Repeated(SignalId::new(&*kept.id).expect("an id"))
            }
            None => {
                let kept = Kept { id: id.clone(), service, key, at_ms, times: 1, consumed: false };
                self.signals.push(kept);
                Accepted::Stored(SignalId::new(id).expect("an id"))
            }
        };
        assert_eq!(store.accept(vec![new]).await.expect("accepts"), [expected]);
    }

    async fn append(&mut self, store: &dyn Store, service: ServiceName, count: u64, consume: usize) {
        let new = records(&service, self.tip(&service), count);
        let waits = |kept: &&mut Kept| kept.service.as_ref() == Some(&service) && !kept.consumed;
        let mut consumed = Vec::new();
        for kept in self.signals.iter_mut().filter(waits).take(consume) {
            kept.consumed = true;
            consumed.push(SignalId::new(&*kept.id).expect("an id"));
        }
        let append = Append { records: new.clone(), consumed, ..Append::default() };
        let journal = self.journals.entry(service).or_default();
        journal.extend(new);
        let tip = journal.last().map(Record::tip);
        assert_eq!(store.append(append).await.ok(), tip);
    }

    async fn stale(&mut self, store: &dyn Store, service: &ServiceName, behind: u64) {
        let journal = self.journals.get(service).map_or(&[][..], Vec::as_slice);
        let Some(kept) = journal.len().checked_sub(usize::try_from(behind).expect("small")) else { return };
        let tip = journal[..kept].last().map_or(Tip::START, Record::tip);
        let append = Append { records: records(service, tip, 1), ..Append::default() };
        if kept < journal.len() {
            let outcome = store.append(append).await;
            assert!(matches!(outcome, Err(StoreError::Moved { .. })), "{outcome:?}");
        }
    }

    /// The whole of `store` must be as it is here.
    pub async fn compare(&self, store: &dyn Store) {
        assert!(store.services().await.expect("lists").iter().eq(self.journals.keys()));
        for (service, journal) in &self.journals {
            assert_eq!(store.journal(service, 0, u32::MAX).await.expect("reads"), *journal);
        }
        let mut waited_for = Vec::new();
        for name in (0..=u8::MAX)
            .map(named)
            .filter(|name| self.signals.iter().any(|s| s.service.as_ref() == Some(name)))
        {
            let expected: Vec<_> =
                self.signals.iter().filter(|s| s.service.as_ref() == Some(&name) && !s.consumed).collect();
            let stored = waiting(store, &name).await;
            assert!(ids(&stored).into_iter().eq(expected.iter().map(|kept| kept.id.as_str())));
            assert!(stored.iter().map(|s| s.times).eq(expected.iter().map(|kept| kept.times)));
            if !expected.is_empty() {
                waited_for.push(name);
            }
        }
        waited_for.sort();
        assert_eq!(store.services_with_signals().await.expect("lists"), waited_for);
        let unrouted = store.signals(SignalFilter::Unrouted, u32::MAX).await.expect("lists");
        let expected = self.signals.iter().rev().filter(|kept| kept.service.is_none());
        assert!(ids(&unrouted).into_iter().eq(expected.map(|kept| kept.id.as_str())));
    }
}
