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

/// Counters without labels. They are on the page from the start: an alert on the rate of one that first shows at 1 never sees that 1.
const FROM_THE_START: [&str; 8] = [
    "ripcord_announcements_given_up_total",
    "ripcord_announcements_total",
    "ripcord_intake_failures_total",
    "ripcord_shifts_total",
    "ripcord_signals_accepted_total",
    "ripcord_signals_repeated_total",
    "ripcord_signals_total",
    "ripcord_store_failures_total",
];

#[derive(Debug)]
pub(crate) struct Cells {
    cells: Mutex<BTreeMap<Key, u64>>,
}

impl Default for Cells {
    fn default() -> Self {
        Self { cells: Mutex::new(FROM_THE_START.map(|name| ((name, None), 0)).into()) }
    }
}

impl Cells {
    pub(crate) fn add(&self, name: &'static str, label: Option<(&'static str, &str)>, count: u64) {
        debug_assert!(
            label.is_some() || FROM_THE_START.contains(&name),
            "`{name}` is not on the page from the start"
        );
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
