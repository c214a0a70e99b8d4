//! Alerts as they stand: of many signals about one alert the newest word counts, by the sender's own times, with how often and since when it came.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::blob::BlobRef;
use crate::digest::Digest;
use crate::signal::{Label, Origin, Severity, Signal, SignalKind, SignalStatus};
use crate::time::UnixMillis;

/// What a policy is given of one alert at most, in bytes of rule, labels and annotations.
pub const ALERT_BYTES_MAX: usize = 16 << 10;

/// Identifies an alert. Keyed by the installation, so that the journal does not tell which labels an alert had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AlertKey(pub Digest);

/// What a policy is given of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Given {
    /// All of it.
    Whole,
    /// All but the annotations, which are too large.
    WithoutAnnotations,
    /// Nothing: its labels alone are too large, and half of them would be another alert.
    Nothing,
}

/// The newest word about one alert in a group of signals, and what the group says of it besides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertWord {
    /// Which.
    pub alert: AlertKey,
    /// Place of the newest word in the group's content, from zero.
    pub index: u32,
    /// Where the newest word came from.
    pub origin: Origin,
    /// Whether the alert holds.
    pub status: SignalStatus,
    /// What it tells of.
    pub kind: SignalKind,
    /// How bad it is.
    pub severity: Severity,
    /// When it began, as its source says.
    pub started_at: UnixMillis,
    /// When it ended, as its source says.
    pub ended_at: Option<UnixMillis>,
    /// What policies are given of it.
    pub given: Given,
    /// How much that is, in bytes.
    pub bytes: u32,
    /// Whether it was heard of as firing since `started_at`.
    pub fired: bool,
    /// When the first signal about it was taken in.
    pub first_seen_at: UnixMillis,
    /// When the last one was.
    pub last_seen_at: UnixMillis,
    /// How many signals there were about it.
    pub count: u64,
}

/// Where the newest word about an alert is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StoredWord {
    /// A group (JSON list of [`Signal`]).
    pub content: BlobRef,
    /// Its place in it, from zero.
    pub index: u32,
}

/// An alert as policies are given it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingAlert {
    /// Its newest word; without annotations where they are left out.
    pub signal: Signal,
    /// When the first signal about it was taken in.
    pub first_seen_at: UnixMillis,
    /// When the last one was.
    pub last_seen_at: UnixMillis,
    /// How many signals there were about it.
    pub count: u64,
    /// Whether the annotations are left out.
    pub given: Given,
    /// Where its newest word is stored; none for what was never stored.
    pub stored: Option<StoredWord>,
}

/// Whether a word changed how an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// It is the newest word.
    Newest,
    /// It came after a word that is newer by the sender's times.
    Late,
}

impl From<Signal> for StandingAlert {
    /// An alert that only this signal tells of.
    fn from(signal: Signal) -> Self {
        Self {
            first_seen_at: signal.received_at,
            last_seen_at: signal.received_at,
            count: 1,
            given: Given::Whole,
            stored: None,
            signal,
        }
    }
}

impl StandingAlert {
    /// As policies are given a stored word, with what is known of the alert besides. Always the same for the same arguments: decisions are made
    /// again from what is stored.
    pub fn stored(
        signal: Signal,
        stored: StoredWord,
        given: Given,
        seen: (UnixMillis, UnixMillis),
        count: u64,
    ) -> Self {
        let mut signal = signal;
        if given != Given::Whole {
            signal.annotations.clear();
        }
        let (first_seen_at, last_seen_at) = seen;
        Self { signal, first_seen_at, last_seen_at, count, given, stored: Some(stored) }
    }
}

impl AlertKey {
    /// The key of the alert that `signal` is about, in this installation.
    pub fn of(installation: &Digest, signal: &Signal) -> Self {
        let origin = signal.origin.to_string();
        let mut parts: Vec<&[u8]> = vec![installation.as_bytes(), origin.as_bytes(), signal.rule.as_bytes()];
        for label in &signal.labels {
            parts.extend([label.name.as_bytes(), label.value.as_bytes()]);
        }
        Self(Digest::tagged("ripcord alert 1", &parts))
    }
}

impl Given {
    /// What policies are given of `signal`, and how many bytes that is.
    pub fn of(signal: &Signal) -> (Self, u32) {
        let size = |labels: &[Label]| {
            labels.iter().map(|label| label.name.len() + label.value.len()).fold(0, usize::saturating_add)
        };
        let bare = size(&signal.labels).saturating_add(signal.rule.len());
        let whole = bare.saturating_add(size(&signal.annotations));
        let (given, bytes) = match (bare > ALERT_BYTES_MAX, whole > ALERT_BYTES_MAX) {
            (true, _) => (Self::Nothing, 0),
            (false, true) => (Self::WithoutAnnotations, bare),
            (false, false) => (Self::Whole, whole),
        };
        (given, u32::try_from(bytes).unwrap_or(u32::MAX))
    }
}

impl AlertWord {
    /// What one signal says, at place `index` of its group.
    pub fn new(installation: &Digest, index: u32, signal: &Signal) -> Self {
        let (given, bytes) = Given::of(signal);
        Self {
            alert: AlertKey::of(installation, signal),
            index,
            origin: signal.origin.clone(),
            status: signal.status,
            kind: signal.kind,
            severity: signal.severity.clone(),
            started_at: signal.started_at,
            ended_at: signal.ended_at,
            given,
            bytes,
            fired: signal.status == SignalStatus::Firing,
            first_seen_at: signal.received_at,
            last_seen_at: signal.received_at,
            count: 1,
        }
    }

    /// Takes in a word about the same alert that arrived after this one.
    ///
    /// A later start is newer, and an end is newer than its start. The same start firing again after its end is news only if it was heard
    /// firing before: senders end an alert that they lost sight of, and then send the very same one again. Else it is the first word of that
    /// alert, overtaken by its own end.
    pub fn absorb(&mut self, came: &Self) -> News {
        use SignalStatus::{Firing, Resolved};
        let newest = match (self.status, came.status) {
            _ if came.started_at != self.started_at => came.started_at > self.started_at,
            (Firing, _) => true,
            (Resolved, Resolved) => came.ended_at >= self.ended_at,
            (Resolved, Firing) => self.fired,
        };
        let same_start = came.started_at == self.started_at;
        let first_seen_at = self.first_seen_at.min(came.first_seen_at);
        let last_seen_at = self.last_seen_at.max(came.last_seen_at);
        let count = self.count.saturating_add(came.count);
        let fired = if same_start {
            self.fired || came.fired
        } else if newest {
            came.fired
        } else {
            self.fired
        };
        if newest {
            *self = came.clone();
        }
        (self.first_seen_at, self.last_seen_at, self.count, self.fired) =
            (first_seen_at, last_seen_at, count, fired);
        if newest { News::Newest } else { News::Late }
    }

    /// The same alerts in as few words as say the same, in the order in which the newest words came: one for each, but where only who knows
    /// what came before can tell whether it fires again.
    pub fn newest_of_each(words: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut newest: BTreeMap<AlertKey, Self> = BTreeMap::new();
        let mut all = Vec::new();
        for word in words {
            match newest.get_mut(&word.alert) {
                Some(kept) if kept.may_be_overtaken_by(&word) => all.push(std::mem::replace(kept, word)),
                Some(kept) => drop(kept.absorb(&word)),
                None => drop(newest.insert(word.alert, word)),
            }
        }
        all.extend(newest.into_values());
        all.sort_by_key(|word| word.index);
        all
    }

    /// Whether it depends on earlier words which of the two is newer.
    fn may_be_overtaken_by(&self, came: &Self) -> bool {
        self.status == SignalStatus::Resolved
            && !self.fired
            && came.status == SignalStatus::Firing
            && came.started_at == self.started_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::SignalId;

    const T0: u64 = 1_000;
    const T1: u64 = 2_000;
    const T2: u64 = 3_000;

    fn firing(started_at: u64) -> (SignalStatus, u64, Option<u64>) {
        (SignalStatus::Firing, started_at, None)
    }

    fn resolved(started_at: u64, ended_at: u64) -> (SignalStatus, u64, Option<u64>) {
        (SignalStatus::Resolved, started_at, Some(ended_at))
    }

    fn signal(status: SignalStatus, started_at: u64, ended_at: Option<u64>, received_at: u64) -> Signal {
        Signal {
            id: SignalId::new("s").expect("an id"),
            origin: Origin::Webhook("alertmanager".into()),
            rule: "FraudErrorRatio".into(),
            status,
            kind: SignalKind::Condition,
            severity: Severity::Critical,
            labels: vec![Label::new("service", "fraud-api")],
            annotations: Vec::new(),
            started_at: UnixMillis(started_at),
            ended_at: ended_at.map(UnixMillis),
            received_at: UnixMillis(received_at),
        }
    }

    #[test]
    fn the_newest_word_by_the_senders_times_counts_whatever_the_order_of_arrival() {
        use SignalStatus::{Firing, Resolved};
        for (what, arrived, status, index) in [
            ("it ended", vec![firing(T0), resolved(T0, T1)], Resolved, 1),
            ("its first word was overtaken by its end", vec![resolved(T0, T1), firing(T0)], Resolved, 0),
            ("lost sight of, then heard again", vec![firing(T0), resolved(T0, T1), firing(T0)], Firing, 2),
            ("fired anew", vec![firing(T0), resolved(T0, T1), firing(T2)], Firing, 2),
            (
                "the end of the first comes after the second began",
                vec![firing(T2), resolved(T0, T1)],
                Firing,
                0,
            ),
            ("an older end comes late", vec![resolved(T0, T2), resolved(T0, T1)], Resolved, 0),
            ("all of it backwards", vec![firing(T2), resolved(T0, T1), firing(T0)], Firing, 0),
            (
                "ended, and its repetition comes late",
                vec![firing(T0), firing(T0), resolved(T0, T1)],
                Resolved,
                2,
            ),
        ] {
            let words = arrived.iter().enumerate().map(|(index, (status, started_at, ended_at))| {
                let signal = signal(*status, *started_at, *ended_at, 10 + index as u64);
                AlertWord::new(&Digest::of("installation"), index as u32, &signal)
            });
            let words: Vec<_> = words.collect();
            // In whatever groups they came.
            for cut in 0..arrived.len() {
                let (before, after) = words.split_at(cut);
                let groups = [before, after].map(|group| AlertWord::newest_of_each(group.to_vec())).concat();
                let stands = groups.into_iter().reduce(|mut stands, word| {
                    stands.absorb(&word);
                    stands
                });
                let word = stands.expect("a word");
                assert_eq!((word.status, word.index), (status, index), "{what}, cut at {cut}");
                assert_eq!(word.count, arrived.len() as u64, "{what}");
                let seen = (word.first_seen_at.0, word.last_seen_at.0);
                assert_eq!(seen, (10, 9 + arrived.len() as u64), "{what}");
            }
        }
    }

    /// Every order of `all`.
    fn permutations<T: Clone>(all: &[T]) -> Vec<Vec<T>> {
        if all.is_empty() {
            return vec![Vec::new()];
        }
        let each = (0..all.len()).flat_map(|first| {
            let mut rest = all.to_vec();
            let first = rest.remove(first);
            permutations(&rest).into_iter().map(move |rest| [vec![first.clone()], rest].concat())
        });
        each.collect()
    }

    #[test]
    fn in_every_order_and_cut_into_any_groups_the_newest_word_by_the_senders_instants_stands() {
        use SignalStatus::{Firing, Resolved};
        for (said, stands) in [
            (vec![firing(T0), resolved(T0, T1)], (Resolved, T0)),
            (vec![firing(T0), resolved(T0, T1), firing(T2)], (Firing, T2)),
            (vec![firing(T0), resolved(T0, T1), firing(T2), resolved(T2, T2 + 1)], (Resolved, T2)),
            (vec![resolved(T0, T1), resolved(T0, T2), firing(T0)], (Resolved, T0)),
            // A repeat of the newest changes nothing, wherever it comes.
            (vec![firing(T0), resolved(T0, T1), firing(T2), firing(T2)], (Firing, T2)),
            (vec![firing(T0), resolved(T0, T1), resolved(T0, T1)], (Resolved, T0)),
        ] {
            for order in permutations(&said) {
                let words: Vec<_> = (0_u32..)
                    .zip(&order)
                    .map(|(index, (status, started_at, ended_at))| {
                        let signal = signal(*status, *started_at, *ended_at, 10 + u64::from(index));
                        AlertWord::new(&Digest::of("installation"), index, &signal)
                    })
                    .collect();
                for cut in 0..=words.len() {
                    let (before, after) = words.split_at(cut);
                    let groups =
                        [before, after].map(|group| AlertWord::newest_of_each(group.to_vec())).concat();
                    let word = groups.into_iter().reduce(|mut stands, word| {
                        stands.absorb(&word);
                        stands
                    });
                    let word = word.expect("a word");
                    assert_eq!((word.status, word.started_at.0), stands, "{order:?}, cut at {cut}");
                    assert_eq!(word.count, order.len() as u64, "{order:?}");
                }
            }
        }
    }

    #[test]
    fn the_same_alert_a_hundred_thousand_times_is_one_word() {
        let words = (0..100_000).map(|index| {
            let began = u64::from(index / 2);
            let signal = if index % 2 == 0 {
                signal(SignalStatus::Firing, began, None, 10)
            } else {
                signal(SignalStatus::Resolved, began, Some(began), 10)
            };
            AlertWord::new(&Digest::of("installation"), index, &signal)
        });
        let each = AlertWord::newest_of_each(words);
        assert_eq!((each.len(), each[0].count, each[0].index), (1, 100_000, 99_999));
    }

    #[test]
    fn alerts_are_told_apart_by_source_rule_and_labels_and_only_within_an_installation() {
        let key = |installation: &str, signal: &Signal| AlertKey::of(&Digest::of(installation), signal);
        let one = signal(SignalStatus::Firing, T0, None, 1);
        let refired = signal(SignalStatus::Resolved, T2, Some(T2), 9);
        assert_eq!(key("a", &one), key("a", &refired));
        assert_ne!(key("a", &one), key("b", &one));
        let labelled = Signal { labels: vec![Label::new("servicefraud", "-api")], ..one.clone() };
        assert_ne!(key("a", &one), key("a", &labelled));
        assert_ne!(key("a", &one), key("a", &Signal { rule: "Other".into(), ..one.clone() }));
    }

    #[test]
    fn what_a_policy_is_given_of_one_alert_is_bounded() {
        let small = signal(SignalStatus::Firing, T0, None, 1);
        assert_eq!(Given::of(&small).0, Given::Whole);
        let long = "x".repeat(1 << 20);
        let annotated = Signal { annotations: vec![Label::new("summary", &*long)], ..small.clone() };
        let (given, bytes) = Given::of(&annotated);
        assert_eq!(given, Given::WithoutAnnotations);
        assert!((bytes as usize) < 100, "{bytes}");
        let labelled = Signal { labels: vec![Label::new("pod", &*long)], ..small };
        assert_eq!(Given::of(&labelled), (Given::Nothing, 0));
    }
}
