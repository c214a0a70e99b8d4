//! Alerts in a recording: references to the stored groups of signals that hold them, so that a question that is asked often does not store
//! them often.

use std::collections::BTreeMap;

use ripcord_core::alert::{Given, StandingAlert, StoredWord};
use ripcord_core::blob::BlobRef;
use ripcord_core::digest::Digest;
use ripcord_core::signal::Signal;
use ripcord_core::time::UnixMillis;
use serde::{Deserialize, Serialize};

/// A group that a recording refers to does not hold what it is said to hold.
#[derive(Debug, thiserror::Error)]
#[error(
    "the stored signals `{group}` are not those that the decision was made about: {why}; the store may be damaged"
)]
pub struct SignalsError {
    /// Its commitment.
    pub group: Digest,
    /// What is wrong.
    pub why: String,
}

/// The alerts of a question, in its order.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredAlerts {
    /// Of the alerts as the guest was given them.
    pub(crate) given: Option<Digest>,
    /// Each once.
    pub(crate) groups: Vec<BlobRef>,
    pub(crate) alerts: Vec<StoredAlert>,
}

/// Place of its group in the list, place of its newest word in the group, when it was first and last seen (Unix milliseconds), how often it
/// came, and whether its annotations were left out. A list, since there may be hundreds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoredAlert(u32, u32, u64, u64, u64, bool);

impl StoredAlerts {
    /// The references to `alerts`; none where one of them is not stored, or there are none.
    pub(crate) fn of(alerts: &[StandingAlert]) -> Option<Self> {
        let mut groups: Vec<BlobRef> = Vec::new();
        let mut stored = Vec::new();
        for alert in alerts {
            let StoredWord { content, index } = alert.stored?;
            let place = groups.iter().rposition(|group| *group == content).unwrap_or_else(|| {
                groups.push(content);
                groups.len() - 1
            });
            let left_out = alert.given != Given::Whole;
            let (first, last) = (alert.first_seen_at.0, alert.last_seen_at.0);
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            stored.push(StoredAlert(place, index, first, last, alert.count, left_out));
        }
        (!stored.is_empty()).then_some(Self { given: None, groups, alerts: stored })
    }

    /// The groups whose content is not there, and else the alerts.
    pub(crate) fn resolve(
        &self,
        contents: &BTreeMap<Digest, Vec<u8>>,
    ) -> Result<Result<Vec<StandingAlert>, Vec<String>>, SignalsError> {
        let missing = self.groups.iter().filter(|group| !contents.contains_key(&group.commitment));
        let missing: Vec<_> = missing.map(|group| format!("signals {}", group.commitment.short())).collect();
        if !missing.is_empty() {
            return Ok(Err(missing));
        }
        let mut read: Vec<(BlobRef, Vec<Signal>)> = Vec::new();
        for group in &self.groups {
            let wrong = |why: String| SignalsError { group: group.commitment, why };
            let content = contents.get(&group.commitment).map(Vec::as_slice).unwrap_or_default();
            read.push((*group, serde_json::from_slice(content).map_err(|error| wrong(error.to_string()))?));
        }
        let alert = |StoredAlert(group, index, first, last, count, left_out): &StoredAlert| {
            let (content, signals) = read.get(*group as usize)?;
            let signal = signals.get(*index as usize)?.clone();
            let stored = StoredWord { content: *content, index: *index };
            let given = if *left_out { Given::WithoutAnnotations } else { Given::Whole };
            Some(StandingAlert::stored(
                signal,
                stored,
                given,
                (UnixMillis(*first), UnixMillis(*last)),
                *count,
            ))
        };
        let alerts: Option<Vec<_>> = self.alerts.iter().map(alert).collect();
        let group = self.groups.first().map_or(Digest::of([]), |group| group.commitment);
        let why = "it holds fewer signals than the recording refers to".to_owned();
        alerts.map(Ok).ok_or(SignalsError { group, why })
    }
}
