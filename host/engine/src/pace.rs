//! Noticing that the wall's clock jumped.

use ripcord_core::time::{Millis, UnixMillis};
use ripcord_ports::Clock;

/// What the service's clock gains on the steady one between two looks is a jump from here on. Slewing is far slower.
const JUMP_MIN: Millis = Millis::minutes(1);

/// Both clocks at one look. Whoever looks may be held up in between, so the steady one is read before and after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    steady_before: Millis,
    pub(crate) wall: UnixMillis,
    steady_after: Millis,
}

impl Look {
    /// The service's time is never before its last event.
    pub(crate) fn new(clock: &dyn Clock, last_event: UnixMillis) -> Self {
        let steady_before = clock.steady();
        let wall = clock.now().max(last_event);
        Self { steady_before, wall, steady_after: clock.steady() }
    }

    /// How far the wall's clock has jumped forward since then, if it has.
    pub(crate) fn jumped_since(&self, last: &Self) -> Option<Millis> {
        let passed = self.steady_after.0.saturating_sub(last.steady_before.0);
        let by = Millis(self.wall.since(last.wall).0.saturating_sub(passed));
        (by >= JUMP_MIN).then_some(by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(wall: u64, steady: u64) -> Look {
        Look { steady_before: Millis(steady), wall: UnixMillis(wall), steady_after: Millis(steady) }
    }

    #[test]
    fn only_a_sudden_gain_is_a_jump() {
        let start = look(5, 0);
        let hour = 3_600_000;
        // Slewed by one in a thousand, looked at every hour.
        assert_eq!(look(5 + hour + hour / 1_000, hour).jumped_since(&start), None);
        assert_eq!(look(5 + hour + 59_999, hour).jumped_since(&start), None);
        assert_eq!(look(5 + hour + 60_000, hour).jumped_since(&start), Some(JUMP_MIN));
        // Set back, or standing still while it waits for the journal's time: no jump.
        assert_eq!(look(5, hour).jumped_since(&start), None);
        assert_eq!(look(0, hour).jumped_since(&start), None);
    }

    #[test]
    fn whoever_is_held_up_while_looking_sees_no_jump() {
        let start = look(0, 0);
        let held_up =
            Look { steady_before: Millis(0), wall: UnixMillis(90_000), steady_after: Millis(90_000) };
        assert_eq!(held_up.jumped_since(&start), None);
        let held_up = Look { steady_before: Millis(0), wall: UnixMillis(0), steady_after: Millis(90_000) };
        assert_eq!(look(90_000, 90_000).jumped_since(&held_up), None);
    }
}
