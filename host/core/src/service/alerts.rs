//! The alerts of a service as they stand, in a bounded number and with a bounded number of bytes for each question: what is left out is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::alert::{AlertKey, AlertWord, Given, News};
use crate::blob::BlobRef;
use crate::event::SignalsTaken;
use crate::name::PolicyName;
use crate::signal::{SignalKind, SignalStatus};
use crate::time::{Millis, UnixMillis};

/// Alerts that are kept. Twice a group, so that a group finds room while the one before is judged.
const ALERTS_MAX: usize = 512;
/// Alerts in one group of signals at most.
pub const GROUP_ALERTS_MAX: usize = ALERTS_MAX / 2;
/// What policies are given of all alerts at once, in bytes. One alert is given even where it is larger.
const QUESTION_BYTES_MAX: u64 = 1 << 20;
/// An alert that was judged and of which nothing was heard for so long is forgotten: its sender does not say when it ends.
const FORGOTTEN_AFTER: Millis = Millis::hours(24);

/// An alert as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// The newest word.
    pub word: AlertWord,
    /// The group that holds it (JSON list of [`crate::signal::Signal`]).
    pub content: BlobRef,
    /// When the newest word came, counted over all words.
    pub order: u64,
    /// The same by the service's time. The word's own instants are the wall's, which may be far from it.
    pub heard_at: UnixMillis,
    /// Whether triggers have been asked about the newest word.
    pub judged: Judged,
    /// Triggers that fault on the newest word: they are asked about the others.
    pub set_aside_by: BTreeSet<PolicyName>,
}

impl Alert {
    /// Whether it fires and says that nobody can look at the service.
    pub(super) fn is_blind(&self) -> bool {
        self.word.status == SignalStatus::Firing && self.word.kind.is_blindness()
    }
}

/// Whether triggers have been asked about an alert as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Judged {
    /// Not yet.
    Waiting,
    /// At least once.
    Asked,
}

/// Alerts as they stand. A copy costs the same however many there are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Alerts {
    #[serde(with = "as_list")]
    pub(super) each: Arc<BTreeMap<AlertKey, Arc<Alert>>>,
    /// Words so far.
    words: u64,
    /// How many alerts had to make room for others since there were none.
    left_out: u64,
}

impl Alerts {
    /// Takes in a group: the newest word of each alert in it. Gives back the alerts that no policy can be given.
    pub(super) fn take(&mut self, taken: &SignalsTaken, at: UnixMillis) -> Vec<AlertKey> {
        let each = Arc::make_mut(&mut self.each);
        let mut too_large = Vec::new();
        for word in &taken.alerts {
            self.words += 1;
            let fresh = || Alert {
                word: word.clone(),
                content: taken.content,
                order: self.words,
                heard_at: at,
                judged: Judged::Waiting,
                set_aside_by: BTreeSet::new(),
            };
            match each.get_mut(&word.alert) {
                None => drop(each.insert(word.alert, Arc::new(fresh()))),
                Some(kept) => {
                    let mut now = kept.word.clone();
                    *kept = Arc::new(match now.absorb(word) {
                        News::Newest => Alert { word: now, ..fresh() },
                        News::Late => Alert { word: now, heard_at: at, ..Alert::clone(kept) },
                    });
                }
            }
            if word.given == Given::Nothing {
                too_large.push(word.alert);
            }
        }
        self.make_room();
        too_large
    }

    /// Those go first that were judged, of them the ones that have ended, of them the oldest.
    fn make_room(&mut self) {
        let over = self.each.len().saturating_sub(ALERTS_MAX);
        if over == 0 {
            return;
        }
        let mut all: Vec<_> = self.each.values().cloned().collect();
        all.sort_by_key(|alert| {
            let waits = alert.judged == Judged::Waiting;
            (waits, !alert.set_aside_by.is_empty(), alert.word.status == SignalStatus::Firing, alert.order)
        });
        let each = Arc::make_mut(&mut self.each);
        for alert in all.iter().take(over) {
            each.remove(&alert.word.alert);
        }
        self.left_out += over as u64;
    }

    /// All, oldest word first.
    pub fn all(&self) -> Vec<&Alert> {
        let mut all: Vec<&Alert> = self.each.values().map(Arc::as_ref).collect();
        all.sort_by_key(|alert| alert.order);
        all
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.each.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// How many had to make room for others since there were none.
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// How many words came so far: tells whether something was heard since.
    pub const fn words(&self) -> u64 {
        self.words
    }

    /// How many triggers have not been asked about.
    pub fn waiting(&self) -> usize {
        self.each.values().filter(|alert| alert.judged == Judged::Waiting).count()
    }

    /// Whether one more group finds room without pushing out what was not judged yet.
    pub fn has_room(&self) -> bool {
        self.waiting() <= ALERTS_MAX - GROUP_ALERTS_MAX
    }

    /// What a policy is given: all alerts that wait to be judged, oldest first, as far as the bytes go, then the newest of the others; in the
    /// order in which their newest words came. What waits and does not fit comes with the next question.
    pub fn question(&self) -> Vec<&Alert> {
        let (waiting, mut judged): (Vec<_>, Vec<_>) =
            self.all().into_iter().partition(|alert| alert.judged == Judged::Waiting);
        judged.reverse();
        let mut bytes = 0_u64;
        let mut given: Vec<&Alert> = Vec::new();
        for alert in waiting {
            let after = bytes + u64::from(alert.word.bytes);
            if !given.is_empty() && after > QUESTION_BYTES_MAX {
                break;
            }
            bytes = after;
            given.push(alert);
        }
        for alert in judged {
            let after = bytes + u64::from(alert.word.bytes);
            if after <= QUESTION_BYTES_MAX {
                bytes = after;
                given.push(alert);
            }
        }
        given.sort_by_key(|alert| alert.order);
        given
    }

    /// The order of the newest word that [`Alerts::question`] asks about and that was not judged yet; none if all were.
    pub fn asks_up_to(&self) -> Option<u64> {
        let waiting = self.question().into_iter().filter(|alert| alert.judged == Judged::Waiting);
        waiting.map(|alert| alert.order).max()
    }

    /// Triggers were asked about all words up to this one.
    pub(super) fn asked(&mut self, up_to: u64) {
        self.change(
            |alert| alert.judged == Judged::Waiting && alert.order <= up_to,
            |alert| {
                alert.judged = Judged::Asked;
            },
        );
    }

    /// The trigger faults on these as they were when it was asked.
    pub(super) fn set_aside(&mut self, by: &PolicyName, alerts: &[AlertKey], up_to: u64) {
        let hit = |alert: &Alert| alert.order <= up_to && alerts.contains(&alert.word.alert);
        self.change(hit, |alert| {
            alert.set_aside_by.insert(by.clone());
        });
    }

    /// Whoever set alerts aside is another policy now: they are asked about again.
    pub(super) fn take_back(&mut self, by: impl Fn(&PolicyName) -> bool) {
        self.change(
            |alert| alert.set_aside_by.iter().any(&by),
            |alert| {
                alert.set_aside_by.retain(|name| !by(name));
                alert.judged = Judged::Waiting;
            },
        );
    }

    /// Those that a trigger faults on, oldest word first.
    pub fn set_aside_of(&self) -> Vec<&Alert> {
        let mut all = self.all();
        all.retain(|alert| !alert.set_aside_by.is_empty() || alert.word.given == Given::Nothing);
        all
    }

    fn change(&mut self, which: impl Fn(&Alert) -> bool, how: impl Fn(&mut Alert)) {
        if self.each.values().any(|alert| which(alert)) {
            let each = Arc::make_mut(&mut self.each).values_mut();
            each.filter(|alert| which(alert)).for_each(|alert| how(Arc::make_mut(alert)));
        }
    }

    /// Forgets what was judged, but for what is `kept` and what is set aside, so that people find it.
    pub(super) fn forget_judged(&mut self, kept: impl Fn(&Alert) -> bool) {
        self.retain(|alert| alert.judged == Judged::Waiting || !alert.set_aside_by.is_empty() || kept(alert));
    }

    /// Forgets what was judged and not heard of again for long.
    pub(super) fn forget_old(&mut self, at: UnixMillis) {
        self.retain(|alert| alert.judged == Judged::Waiting || at < alert.heard_at + FORGOTTEN_AFTER);
    }

    /// No time has passed for them.
    pub(super) fn clock_jumped(&mut self, by: Millis) {
        self.change(|_| true, |alert| alert.heard_at = alert.heard_at + by);
    }

    fn retain(&mut self, keep: impl Fn(&Alert) -> bool) {
        if self.each.values().any(|alert| !keep(alert)) {
            Arc::make_mut(&mut self.each).retain(|_, alert| keep(alert));
        }
        if self.each.is_empty() {
            self.left_out = 0;
        }
    }

    /// When the first signal of an alert that fires because its condition holds was taken in.
    pub(super) fn firing_since(&self) -> Option<UnixMillis> {
        let firing = self.each.values().filter(|alert| alert.word.status == SignalStatus::Firing);
        let harm = firing.filter(|alert| alert.word.kind == SignalKind::Condition);
        harm.map(|alert| alert.word.first_seen_at).min()
    }

    /// How many fire that say that nobody can look at the service: their data are missing, or their rule is broken.
    pub fn blind(&self) -> usize {
        self.each.values().filter(|alert| alert.is_blind()).count()
    }

    /// How many signals there were about all of them.
    pub fn signals(&self) -> u64 {
        self.each.values().map(|alert| alert.word.count).fold(0, u64::saturating_add)
    }
}

/// Shared alerts are written as a list.
mod as_list {
    use serde::{Deserializer, Serializer};

    use super::{Alert, AlertKey, Arc, BTreeMap, Deserialize};

    type Each = Arc<BTreeMap<AlertKey, Arc<Alert>>>;

    pub(super) fn serialize<S: Serializer>(each: &Each, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(each.values().map(Arc::as_ref))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Each, D::Error> {
        let all = Vec::<Alert>::deserialize(deserializer)?;
        Ok(Arc::new(all.into_iter().map(|alert| (alert.word.alert, Arc::new(alert))).collect()))
    }
}
