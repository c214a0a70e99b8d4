//! What is said of one alert over its life.

use ripcord_core::signal::{SignalKind, SignalStatus};

/// What is said of one alert: it takes turns with the others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Fires,
    /// It fires, and not because its condition holds.
    FiresWithout,
    Ended,
}

impl Word {
    pub(crate) const fn of(status: SignalStatus, kind: SignalKind) -> Self {
        match (status, kind) {
            (SignalStatus::Firing, SignalKind::Condition) => Self::Fires,
            (SignalStatus::Firing, _) => Self::FiresWithout,
            (SignalStatus::Resolved, _) => Self::Ended,
        }
    }

    pub(crate) const fn others(self) -> [Self; 2] {
        match self {
            Self::Fires => [Self::Ended, Self::FiresWithout],
            Self::FiresWithout => [Self::Ended, Self::Fires],
            Self::Ended => [Self::Fires, Self::FiresWithout],
        }
    }

    /// For dedupe keys.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Fires => "firing",
            Self::FiresWithout => "firing without",
            Self::Ended => "resolved",
        }
    }
}
