//! What the shell still has to do for a set. Derived from state, never stored.

use crate::effect::Outgoing;
use crate::event::{Release, Way};
use crate::name::ServiceName;
use crate::time::UnixMillis;

/// One thing the host must still do. What it takes of a member is said by [`Set::step`](super::Set::step), one append at a time.
#[derive(Debug, Clone, PartialEq)]
pub enum SetEffect {
    /// Append the intent, have the member enlisted, append what came of it.
    Enlist {
        /// Which.
        member: ServiceName,
    },
    /// Draft the plan with a part for each member that is to move.
    Draft {
        /// The number it will have.
        number: u32,
    },
    /// Append the intent, give the member its part, follow it until it is over.
    Part {
        /// Whose.
        member: ServiceName,
        /// Which way.
        way: Way,
    },
    /// Look whether something comes between a member that is enlisted and its part.
    Watch {
        /// Which.
        member: ServiceName,
    },
    /// Tell a member that the run is over.
    Release {
        /// Which.
        member: ServiceName,
        /// How.
        why: Release,
    },
    /// Tell people.
    Announce(Outgoing),
    /// Append [`SetEvent::Woke`](super::SetEvent::Woke) when this instant has come.
    WakeAt(UnixMillis),
}

impl SetEffect {
    /// The member that it is about.
    pub const fn member(&self) -> Option<&ServiceName> {
        match self {
            Self::Enlist { member }
            | Self::Part { member, .. }
            | Self::Watch { member }
            | Self::Release { member, .. } => Some(member),
            Self::Draft { .. } | Self::Announce(_) | Self::WakeAt(_) => None,
        }
    }
}
