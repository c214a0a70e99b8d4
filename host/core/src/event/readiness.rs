//! Whether a rollback could be made right now.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::readiness::ReadyPart;

/// Another set of parts is not ready than at the last look. Why is for people, and changes with every look: it is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadinessSeen {
    /// Those that are not.
    pub unready: BTreeSet<ReadyPart>,
}
