//! Whether the wall's clock may be trusted with what cannot be taken back: a clock that jumps a year ahead would make everything old enough to be
//! erased. Erasing waits until the clock has run as fast as the steady one for a day.

use ripcord_core::time::{Millis, UnixMillis};
use serde::{Deserialize, Serialize};

/// So long the clock must be steady after it jumped, or was found to be far ahead of what is on record.
const STEADY_FOR: Millis = Millis::hours(24);
/// What both clocks differ by since they were last compared anew: more is a jump. No content is kept for less than a day.
const JUMP_MIN: Millis = Millis::hours(1);
/// A host may have been off for so long; where the clock is further ahead of what is on record, it may as well be wrong.
const AHEAD_MAX: Millis = Millis::hours(24);

/// What outlives the process: without it a restart after a jump would look like a clock that agrees with the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Noted {
    /// The wall's clock at the last look.
    wall: UnixMillis,
    /// So long the clock was still to be steady then.
    left: Millis,
}

/// Both clocks, compared since the first look, or since the last jump.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClockTrust {
    compared: (UnixMillis, Millis),
    /// When it is trusted again, on the steady clock.
    from: Millis,
}

/// Why nothing may be erased yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "nothing is erased for {left}: the clock has jumped or is far ahead of what is on record, so how old things are is not known for sure; it is trusted once it has been steady for {STEADY_FOR}. Look at the time service of this machine"
)]
pub(crate) struct Unsure {
    /// How long the clock is still to be steady.
    pub(crate) left: Millis,
}

impl ClockTrust {
    /// The first look. `last_record` is the newest instant in any journal when the host started, none where there is none.
    pub(crate) fn first(
        (wall, steady): (UnixMillis, Millis),
        noted: Option<Noted>,
        last_record: Option<UnixMillis>,
    ) -> Self {
        let known = noted.map(|noted| noted.wall).or(last_record);
        let is_far_ahead = known.is_some_and(|known| wall.since(known) > AHEAD_MAX);
        let left = if is_far_ahead { STEADY_FOR } else { noted.map_or(Millis(0), |noted| noted.left) };
        Self { compared: (wall, steady), from: steady + left }
    }

    /// Every further look.
    pub(crate) fn look(&mut self, wall: UnixMillis, steady: Millis) -> Result<(), Unsure> {
        let (wall_before, steady_before) = self.compared;
        let expected = wall_before + Millis(steady.0.saturating_sub(steady_before.0));
        if wall.since(expected).max(expected.since(wall)) >= JUMP_MIN {
            *self = Self { compared: (wall, steady), from: steady + STEADY_FOR };
        }
        match Millis(self.from.0.saturating_sub(steady.0)) {
            Millis(0) => Ok(()),
            left => Err(Unsure { left }),
        }
    }

    /// What is to be noted after a look.
    pub(crate) fn note(&self, wall: UnixMillis, steady: Millis) -> Noted {
        Noted { wall, left: Millis(self.from.0.saturating_sub(steady.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const YEAR: u64 = 365 * 24 * HOUR;
    const START: u64 = 50 * YEAR;

    /// Looks at these hours of both clocks; whether anything may be erased at each.
    fn looks(trust: &mut ClockTrust, hours: &[(u64, u64)]) -> Vec<bool> {
        let look = |(wall, steady): &(u64, u64)| {
            trust.look(UnixMillis(START + wall * HOUR), Millis(steady * HOUR)).is_ok()
        };
        hours.iter().map(look).collect()
    }

    fn first(noted: Option<Noted>, last_record: Option<u64>) -> ClockTrust {
        ClockTrust::first((UnixMillis(START), Millis(0)), noted, last_record.map(UnixMillis))
    }

    #[test]
    fn a_clock_that_runs_as_it_should_is_trusted_from_the_start() {
        for last_record in [None, Some(START), Some(START - HOUR), Some(START + YEAR)] {
            assert_eq!(looks(&mut first(None, last_record), &[(0, 0), (1, 1), (500, 500)]), [true; 3]);
        }
    }

    #[test]
    fn after_a_jump_nothing_is_erased_for_a_day_in_either_direction() {
        let year = YEAR / HOUR;
        let mut trust = first(None, Some(START));
        let ahead = [(1, 1), (2 + year, 2), (25 + year, 25), (26 + year, 26), (27 + year, 27)];
        assert_eq!(looks(&mut trust, &ahead), [true, false, false, true, true]);
        assert_eq!(looks(&mut trust, &[(28, 28), (51, 51), (52, 52)]), [false, false, true]);
    }

    #[test]
    fn a_clock_that_gains_little_by_little_does_not_get_far_unnoticed() {
        let mut trust = first(None, Some(START));
        // Half an hour more with each look.
        let gains: Vec<_> = (1..=4)
            .map(|look| trust.look(UnixMillis(START + look * 3 * HOUR / 2), Millis(look * HOUR)).is_ok())
            .collect();
        assert_eq!(gains, [true, false, false, false]);
    }

    #[test]
    fn a_start_far_ahead_of_the_record_waits_and_a_restart_does_not_end_the_waiting() {
        let mut trust = first(None, Some(START - YEAR));
        assert_eq!(looks(&mut trust, &[(0, 0), (10, 10)]), [false, false]);
        let noted = trust.note(UnixMillis(START), Millis(10 * HOUR));
        assert_eq!(noted.left, Millis(14 * HOUR));
        // What was written meanwhile agrees with the clock, and says nothing.
        let mut again = first(Some(noted), Some(START));
        assert_eq!(looks(&mut again, &[(0, 0), (13, 13), (14, 14)]), [false, false, true]);
        // The clock jumped and the host was started again between two looks.
        let before = Noted { wall: UnixMillis(START - YEAR), left: Millis(0) };
        assert_eq!(looks(&mut first(Some(before), Some(START)), &[(0, 0)]), [false]);
    }
}
