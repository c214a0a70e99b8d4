//! The kinds of facts, as types: each says what its value is.

use crate::contract::describe::FactKind;
use crate::contract::facts::{
    Candidate, Change, Checkpoint, Configuration, Exchange, Lineage as LineageValue, Live as LiveValue,
    Neighbour, PastIncident, Request, Sample, Series, Trial, Value, Vote,
};

/// A kind of fact.
pub trait Kind {
    /// What the host answers.
    type Value: ?Sized;

    /// The value, if it is of this kind.
    fn read(value: &Value) -> Option<&Self::Value>;
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident: $value:ty = $case:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $kind {}

        impl Kind for $kind {
            type Value = $value;

            fn read(value: &Value) -> Option<&$value> {
                match value {
                    Value::$case(value) => Some(value),
                    _ => None,
                }
            }
        }
    )+};
}

kinds! {
    /// The last sample of each series.
    Metric: [Sample] = Metric;
    /// Series over a window.
    MetricRange: [Series] = MetricRange;
    /// Versions that the registry holds, newest first.
    Versions: [Candidate] = Versions;
    /// What is served.
    Live: LiveValue = Live;
    /// Checkpoints of training runs.
    Checkpoints: [Checkpoint] = Checkpoints;
    /// Revisions of each configuration, newest first.
    Configurations: [Configuration] = Configurations;
    /// What moved, newest first.
    Changes: [Change] = Changes;
    /// How the host's other services fare.
    Fleet: [Neighbour] = Fleet;
    /// Where a version comes from.
    Lineage: LineageValue = Lineage;
    /// A golden data set through the service.
    Golden: Trial = Golden;
    /// Preserved inputs and outputs.
    Captured: [Exchange] = Captured;
    /// Preserved inputs, sent again.
    Recheck: Trial = Recheck;
    /// Past incidents.
    History: [PastIncident] = History;
    /// Votes for the plan at hand.
    Votes: [Vote] = Votes;
}

/// The kind of fact that answers a request.
pub fn of(request: &Request) -> FactKind {
    match request {
        Request::Metric(_) => FactKind::Metric,
        Request::MetricRange(_) => FactKind::MetricRange,
        Request::Versions(_) => FactKind::Versions,
        Request::Live => FactKind::Live,
        Request::Checkpoints(_) => FactKind::Checkpoints,
        Request::Configurations(_) => FactKind::Configurations,
        Request::Changes(_) => FactKind::Changes,
        Request::Fleet => FactKind::Fleet,
        Request::Lineage(_) => FactKind::Lineage,
        Request::Golden(_) => FactKind::Golden,
        Request::Captured(_) => FactKind::Captured,
        Request::Recheck(_) => FactKind::Recheck,
        Request::History(_) => FactKind::History,
        Request::Votes => FactKind::Votes,
    }
}
