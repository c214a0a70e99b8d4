use std::collections::VecDeque;
use std::time::Duration;

/// When to raise the alarm.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Raise above this share of false positives, 0 to 1.
    pub false_positive_share_max: f64,
    /// Judge only with at least so many reviewed decisions in the window.
    pub volume_min: u64,
    /// How far back to look.
    pub window: Duration,
    /// How long the share must be above, or back below, before that is told.
    pub hold: Duration,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Reviewed decisions.
    pub reviewed: u64,
    /// Declined ones among them that were no fraud.
    pub false_positives: u64,
}

/// Where the alarm stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing is wrong, or nothing is known.
    Quiet,
    /// Wrong since then, not yet for long enough.
    Pending {
        /// Since the watch began.
        since: Duration,
    },
    /// Raised.
    Firing {
        /// Well again since then, not yet for long enough.
        well_since: Option<Duration>,
    },
}

/// What there is to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// The alarm is raised.
    Raised,
    /// The alarm is over.
    Resolved,
}

/// What was seen at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Reviewed decisions in the window.
    pub volume: u64,
    /// The share of false positives among them; none below the least volume.
    pub share: Option<f64>,
    /// What there is to tell.
    pub change: Option<Change>,
}

/// The rule applied to one reading after the other.
#[derive(Debug)]
pub struct Alarm {
    rule: Rule,
    seen: VecDeque<(Duration, Counts)>,
    phase: Phase,
}

impl Alarm {
    /// A quiet alarm.
    #[must_use]
    pub fn new(rule: Rule) -> Self {
        Self { rule, seen: VecDeque::new(), phase: Phase::Quiet }
    }

    /// Where it stands.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Takes in the counters as they were `at`, reckoned from the start of the watch and never less than before.
    pub fn see(&mut self, at: Duration, counts: Counts) -> Reading {
        // A counter that fell has started again: what came before tells nothing.
        let restarted = |(_, last): &(Duration, Counts)| {
            counts.reviewed < last.reviewed || counts.false_positives < last.false_positives
        };
        if self.seen.back().is_some_and(restarted) {
            self.seen.clear();
        }
        self.seen.push_back((at, counts));
        // The oldest reading that is kept is the last one at or before the window's start.
        let start = at.saturating_sub(self.rule.window);
        while self.seen.get(1).is_some_and(|(next, _)| *next <= start) {
            self.seen.pop_front();
        }
        let oldest = self.seen.front().map_or(counts, |(_, oldest)| *oldest);
        let volume = counts.reviewed - oldest.reviewed;
        let false_positives = counts.false_positives - oldest.false_positives;
        let enough = volume > 0 && volume >= self.rule.volume_min;
        let share = enough.then(|| false_positives as f64 / volume as f64);
        let change = self.judge(at, share);
        Reading { volume, share, change }
    }

    fn judge(&mut self, at: Duration, share: Option<f64>) -> Option<Change> {
        let too_many = share.map(|share| share > self.rule.false_positive_share_max);
        let long_enough = |since: Duration| at.saturating_sub(since) >= self.rule.hold;
        let (phase, change) = match (self.phase, too_many) {
            (Phase::Quiet, Some(true)) if self.rule.hold.is_zero() => {
                (Phase::Firing { well_since: None }, Some(Change::Raised))
            }
            (Phase::Quiet, Some(true)) => (Phase::Pending { since: at }, None),
            (Phase::Pending { since }, Some(true)) if long_enough(since) => {
                (Phase::Firing { well_since: None }, Some(Change::Raised))
            }
            (Phase::Pending { since }, Some(true)) => (Phase::Pending { since }, None),
            (Phase::Quiet | Phase::Pending { .. }, _) => (Phase::Quiet, None),
            (Phase::Firing { well_since }, Some(false)) => {
                let since = well_since.unwrap_or(at);
                if long_enough(since) {
                    (Phase::Quiet, Some(Change::Resolved))
                } else {
                    (Phase::Firing { well_since: Some(since) }, None)
                }
            }
            // Too little traffic to judge is not being well.
            (Phase::Firing { .. }, Some(true) | None) => (Phase::Firing { well_since: None }, None),
        };
        self.phase = phase;
        change
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule {
        false_positive_share_max: 0.1,
        volume_min: 10,
        window: Duration::from_secs(3),
        hold: Duration::from_secs(2),
    };

    /// Feeds one reading a second, each with so many reviewed decisions and false positives since the one before.
    fn changes(steps: &[(u64, u64)]) -> Vec<(usize, Change)> {
        let mut alarm = Alarm::new(RULE);
        let mut counts = Counts { reviewed: 1_000, false_positives: 900 };
        let mut changes = Vec::new();
        for (second, (reviewed, false_positives)) in steps.iter().enumerate() {
            counts.reviewed += reviewed;
            counts.false_positives += false_positives;
            let reading = alarm.see(Duration::from_secs(second as u64), counts);
            changes.extend(reading.change.map(|change| (second, change)));
        }
        changes
    }

    #[test]
    fn what_was_counted_before_the_watch_is_not_judged() {
        assert_eq!(changes(&[(0, 0), (100, 5), (100, 5), (100, 5), (100, 5)]), []);
    }

    #[test]
    fn raises_once_after_the_hold_and_resolves_once() {
        let bad = (100, 40);
        let good = (100, 0);
        let steps = [(0, 0), bad, bad, bad, bad, bad, good, good, good, good, good, good, good];
        // Bad from second 1, raised at 3; the window is below a tenth from second 8, resolved at 10.
        assert_eq!(changes(&steps), [(3, Change::Raised), (10, Change::Resolved)]);
    }

    #[test]
    fn a_short_peak_raises_nothing() {
        assert_eq!(changes(&[(0, 0), (100, 0), (100, 40), (100, 0), (300, 0), (100, 0), (100, 0)]), []);
    }

    #[test]
    fn exactly_the_limit_raises_nothing() {
        assert_eq!(changes(&[(0, 0), (100, 10), (100, 10), (100, 10), (100, 10)]), []);
    }

    #[test]
    fn too_little_traffic_neither_raises_nor_resolves() {
        assert_eq!(changes(&[(0, 0), (3, 3), (3, 3), (3, 3), (3, 3), (3, 3)]), []);
        let bad = (100, 30);
        assert_eq!(
            changes(&[(0, 0), bad, bad, bad, (0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0), (0, 0)]),
            [(3, Change::Raised)]
        );
    }

    #[test]
    fn a_restarted_server_starts_the_window_again() {
        let mut alarm = Alarm::new(RULE);
        alarm.see(Duration::ZERO, Counts { reviewed: 500, false_positives: 400 });
        let reading = alarm.see(Duration::from_secs(1), Counts { reviewed: 50, false_positives: 0 });
        assert_eq!(reading, Reading { volume: 0, share: None, change: None });
        let reading = alarm.see(Duration::from_secs(2), Counts { reviewed: 150, false_positives: 5 });
        assert_eq!(reading, Reading { volume: 100, share: Some(0.05), change: None });
    }
}
