//! Counts for the metrics page.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// One counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// In the style of Prometheus.
    pub name: &'static str,
    /// Label and value, if any.
    pub label: Option<(&'static str, String)>,
    /// Since the process started.
    pub value: u64,
}

/// All counters at one moment, by name and label.
pub type Counters = Vec<Counter>;

/// A counter's name and label.
type Key = (&'static str, Option<(&'static str, String)>);

#[derive(Debug, Default)]
pub(crate) struct Cells {
    cells: Mutex<BTreeMap<Key, u64>>,
}

impl Cells {
    pub(crate) fn add(&self, name: &'static str, label: Option<(&'static str, &str)>, count: u64) {
        let label = label.map(|(name, value)| (name, value.to_owned()));
        *self.cells.lock().unwrap_or_else(PoisonError::into_inner).entry((name, label)).or_default() += count;
    }

    pub(crate) fn read(&self) -> Counters {
        let cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        cells
            .iter()
            .map(|((name, label), value)| Counter { name, label: label.clone(), value: *value })
            .collect()
    }
}
