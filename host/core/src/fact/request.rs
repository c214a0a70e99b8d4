//! What can be asked for.

use serde::{Deserialize, Serialize};

use crate::target::{VersionTarget, Window};
use crate::time::{Millis, UnixMillis};

/// The kinds of facts; what a policy may see is a list of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each is described at the request of the same name")]
pub enum FactKind {
    Metric,
    MetricRange,
    Versions,
    Live,
    Checkpoints,
    Configurations,
    Changes,
    Fleet,
    Lineage,
    Golden,
    Captured,
    Recheck,
    History,
    Votes,
}

/// One question to the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// The value of a metric at one instant.
    Metric(MetricQuery),
    /// The values of a metric over a window.
    MetricRange(RangeQuery),
    /// Versions that the registry holds, newest first, at most so many.
    Versions(u32),
    /// What is served now.
    Live,
    /// Checkpoints of training runs, newest first.
    Checkpoints(CheckpointsQuery),
    /// Revisions of each of the service's configurations, newest first, at most so many of each.
    Configurations(u32),
    /// What moved within the window, of every facet, newest first.
    Changes(Window),
    /// How the host's other services fare now, by name.
    Fleet,
    /// What a version was made of.
    Lineage(VersionTarget),
    /// A golden data set through an endpoint: a trial.
    Golden(GoldenQuery),
    /// Inputs and outputs preserved for this incident, at most so many rows.
    Captured(u32),
    /// Captured inputs sent again: a trial. What comes back is compared with what was answered then, as the measure `agreement`.
    Recheck(RecheckQuery),
    /// Past incidents of this service within the window.
    History(Window),
    /// Votes for the plan at hand.
    Votes,
}

/// A metric at one instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricQuery {
    /// A configured metrics source; none is the service's default.
    pub source: Option<String>,
    /// In the source's language.
    pub query: String,
    /// None is the time of the decision.
    pub at: Option<UnixMillis>,
}

/// A metric over a window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RangeQuery {
    /// A configured metrics source; none is the service's default.
    pub source: Option<String>,
    /// In the source's language.
    pub query: String,
    /// Both ends included.
    pub window: Window,
    /// Between two points.
    pub step: Millis,
}

/// Checkpoints, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointsQuery {
    /// One training run; none is any.
    pub run: Option<String>,
    /// At most so many.
    pub limit: u32,
}

/// How much of a trial is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detail {
    /// The slices only.
    Summary,
    /// The rows too, within a byte limit.
    Rows,
}

/// A golden data set through the live endpoint, or through a candidate beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoldenQuery {
    /// A configured data set.
    pub dataset: String,
    /// None is the live endpoint.
    pub candidate: Option<VersionTarget>,
    /// How much is wanted.
    pub detail: Detail,
}

/// Captured inputs sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecheckQuery {
    /// None is the live endpoint.
    pub candidate: Option<VersionTarget>,
    /// At most so many rows.
    pub limit: u32,
    /// How much is wanted.
    pub detail: Detail,
}

impl Request {
    /// The kind that a grant must list.
    pub const fn kind(&self) -> FactKind {
        match self {
            Self::Metric(_) => FactKind::Metric,
            Self::MetricRange(_) => FactKind::MetricRange,
            Self::Versions(_) => FactKind::Versions,
            Self::Live => FactKind::Live,
            Self::Checkpoints(_) => FactKind::Checkpoints,
            Self::Configurations(_) => FactKind::Configurations,
            Self::Changes(_) => FactKind::Changes,
            Self::Fleet => FactKind::Fleet,
            Self::Lineage(_) => FactKind::Lineage,
            Self::Golden(_) => FactKind::Golden,
            Self::Captured(_) => FactKind::Captured,
            Self::Recheck(_) => FactKind::Recheck,
            Self::History(_) => FactKind::History,
            Self::Votes => FactKind::Votes,
        }
    }

    /// Whether answering it has effects: it sends requests to an endpoint.
    pub const fn is_trial(&self) -> bool {
        matches!(self, Self::Golden(_) | Self::Recheck(_))
    }
}

impl FactKind {
    /// The name that contract, manifest and configuration use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metric => "metric",
            Self::MetricRange => "metric-range",
            Self::Versions => "versions",
            Self::Live => "live",
            Self::Checkpoints => "checkpoints",
            Self::Configurations => "configurations",
            Self::Changes => "changes",
            Self::Fleet => "fleet",
            Self::Lineage => "lineage",
            Self::Golden => "golden",
            Self::Captured => "captured",
            Self::Recheck => "recheck",
            Self::History => "history",
            Self::Votes => "votes",
        }
    }
}

impl std::fmt::Display for FactKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
