//! What a policy may ask for, and what the host answers. Mirrors the newest contract; older ones are converted at the sandbox.

pub mod answer;
mod history;
mod metric;
mod neighbour;
mod request;
mod state;
mod trial;
mod unavailable;

use serde::{Deserialize, Serialize};

use crate::plan::Vote;
use crate::time::UnixMillis;

pub use history::{Outcome, PastIncident};
pub use metric::{Measure, Point, Sample, Series};
pub use neighbour::{Fares, Neighbour};
pub use request::{
    CheckpointsQuery, Detail, FactKind, GoldenQuery, MetricQuery, RangeQuery, RecheckQuery, Request,
};
pub use state::{
    Candidate, Change, Changed, Checkpoint, Configuration, Dataset, Lineage, Live, Noticed, VerifiedIn,
};
pub use trial::{Exchange, Payload, Quantiles, Row, Slice, Tensor, Trial};
pub use unavailable::{Unavailable, UnavailableReason};

/// The value of a fact that has at least so many bytes (CBOR) is stored by itself, and what holds the fact refers to it. A smaller one is not worth
/// what it costs: its salt, its commitment, the reference, and a note of its use with every record, a few hundred bytes in all.
pub const STORED_ALONE_BYTES_MIN: usize = 4 << 10;

/// One typed, dated piece of knowledge that the host fetched for a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// Identifies the fact within its decision.
    pub id: String,
    /// The request, unchanged.
    pub request: Request,
    /// The answer, or why there is none.
    pub value: Result<Value, Unavailable>,
    /// Which adapter answered.
    pub source: String,
    /// The instant that the value speaks of.
    pub as_of: UnixMillis,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each answers the request of the same name")]
pub enum Value {
    Metric(Vec<Sample>),
    MetricRange(Vec<Series>),
    Versions(Vec<Candidate>),
    Live(Live),
    Checkpoints(Vec<Checkpoint>),
    Configurations(Vec<Configuration>),
    Changes(Vec<Change>),
    Fleet(Vec<Neighbour>),
    Lineage(Lineage),
    Golden(Trial),
    Captured(Vec<Exchange>),
    Recheck(Trial),
    History(Vec<PastIncident>),
    Votes(Vec<Vote>),
}
