//! Instants as data has them: RFC 3339 texts, and numbers since the epoch.

use jiff::Timestamp;
use ripcord_core::target::Window;
use ripcord_core::time::UnixMillis;

/// Nanoseconds since the epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Nanos(pub(crate) i128);

const OF_MILLIS: i128 = 1_000_000;

impl Nanos {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        text.trim().parse::<Timestamp>().ok().map(|time| Self(time.as_nanosecond()))
    }

    /// The millisecond that it lies in; none before the epoch.
    pub(crate) fn millis(self) -> Option<UnixMillis> {
        u64::try_from(self.0.div_euclid(OF_MILLIS)).ok().map(UnixMillis)
    }

    /// Whether it lies in the window, both ends of which are whole milliseconds.
    pub(crate) fn is_within(self, window: Window) -> bool {
        let start = i128::from(window.start.0) * OF_MILLIS;
        let after = (i128::from(window.end.0) + 1) * OF_MILLIS;
        (start..after).contains(&self.0)
    }
}

/// With milliseconds, and `Z`. None for an instant that no calendar has.
pub(crate) fn text(at: UnixMillis) -> Option<String> {
    let at = Timestamp::from_millisecond(i64::try_from(at.0).ok()?).ok()?;
    Some(format!("{at:.3}"))
}

/// An RFC 3339 time of a person, to the millisecond.
pub(crate) fn parse(text: &str) -> Result<UnixMillis, String> {
    Nanos::parse(text).and_then(Nanos::millis).ok_or_else(|| {
        format!(
            "`{}` is no time: write RFC 3339 with a zone, such as 2026-11-01T00:00:00Z",
            crate::error::shown(text)
        )
    })
}
