//! What a policy may ask for, and what the host answers. Mirrors the newest contract; older ones are converted at the sandbox.

use serde::{Deserialize, Serialize};

use crate::live::{LiveState, Share};
use crate::name::IncidentId;
use crate::plan::Vote;
use crate::signal::Label;
use crate::standing::Standing;
use crate::target::{ConfigurationTarget, Strategy, Target, VersionTarget, Window};
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
    /// Revisions of the service's configuration, newest first, at most so many.
    Configurations(u32),
    /// What a version was made of.
    Lineage(VersionTarget),
    /// A golden data set through an endpoint: a trial.
    Golden(GoldenQuery),
    /// Inputs and outputs preserved for this incident, at most so many rows.
    Captured(u32),
    /// Captured inputs sent again: a trial.
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

/// Why there is no value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Unavailable {
    /// For programs.
    pub reason: UnavailableReason,
    /// For people.
    pub message: String,
}

/// Why there is no value, for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnavailableReason {
    /// The source answered, and has nothing.
    NoData,
    /// The source did not answer, or answered with an error.
    Failed,
    /// The source did not answer in time.
    TimedOut,
    /// The policy may not see this.
    Denied,
    /// No adapter is configured that knows this.
    Unsupported,
    /// More than the limit.
    TooLarge,
    /// The source does not understand the query.
    BadQuery,
    /// Erased.
    Redacted,
    /// A replay or backtest has no recording of it.
    NotRecorded,
    /// Something that a newer release knows.
    Other(String),
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
    Lineage(Lineage),
    Golden(Trial),
    Captured(Vec<Exchange>),
    Recheck(Trial),
    History(Vec<PastIncident>),
    Votes(Vec<Vote>),
}

/// One labelled number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Sorted by name.
    pub labels: Vec<Label>,
    /// May be NaN or infinite, as the source has it.
    pub value: f64,
    /// When it was measured.
    pub at: UnixMillis,
}

/// One point of a series.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// When.
    pub at: UnixMillis,
    /// May be NaN or infinite, as the source has it.
    pub value: f64,
}

/// One labelled series, oldest point first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Sorted by name.
    pub labels: Vec<Label>,
    /// Oldest first.
    pub points: Vec<Point>,
}

/// A named number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// Such as `accuracy`.
    pub name: String,
    /// In the measure's own unit.
    pub value: f64,
}

/// A version of the registry, with what Ripcord knows of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The version; its digest is the pinned one, else the registry's.
    pub version: VersionTarget,
    /// When it was registered.
    pub created_at: UnixMillis,
    /// Names that the registry points at it.
    pub aliases: Vec<String>,
    /// The registry's tags.
    pub tags: Vec<Label>,
    /// Measures of its training run.
    pub measures: Vec<Measure>,
    /// For this service.
    pub standing: Standing,
    /// When it was last verified or attested.
    pub verified_at: Option<UnixMillis>,
    /// When its standing ends by age.
    pub expires_at: Option<UnixMillis>,
    /// Incidents that condemned it.
    pub condemned_by: Vec<IncidentId>,
    /// The input signature, as the registry has it.
    pub signature: Option<String>,
    /// The serving image or runtime.
    pub runtime: Option<String>,
    /// False if the artefact is missing or its digest differs.
    pub restorable: bool,
}

/// What is served.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Live {
    /// As observed.
    pub state: LiveState,
    /// Since when, where known.
    pub since: Option<UnixMillis>,
    /// When it was observed.
    pub observed_at: UnixMillis,
}

/// A checkpoint of a training run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The training run.
    pub run: String,
    /// Optimiser steps since its start.
    #[serde(with = "crate::time::text_u64")]
    pub step: u64,
    /// When it was written.
    pub at: UnixMillis,
    /// Of its artefact.
    pub digest: Option<crate::digest::Digest>,
    /// Such as the validation loss.
    pub measures: Vec<Measure>,
}

/// A revision of the service's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Revision and digest.
    pub target: ConfigurationTarget,
    /// When it was made.
    pub at: UnixMillis,
    /// Who made it.
    pub author: String,
    /// What it says of itself.
    pub summary: String,
}

/// What a version was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lineage {
    /// Revision of the code.
    pub code: Option<String>,
    /// Training parameters.
    pub parameters: Vec<Label>,
    /// The training data set.
    pub dataset: Option<String>,
    /// Its revision.
    pub dataset_revision: Option<String>,
    /// The version that this one was trained from.
    pub parent: Option<VersionTarget>,
}

/// Latencies in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Quantiles {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub max: f64,
}

/// A subset of a data set, by the value of one of its columns; the empty name is the whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// `column=value`, or empty.
    pub name: String,
    /// Rows sent.
    pub rows: u64,
    /// Rows without a usable answer.
    pub errors: u64,
    /// Such as `accuracy` or `recall:decline`.
    pub measures: Vec<Measure>,
    /// Of the answered rows, in milliseconds.
    pub latency_ms: Quantiles,
}

/// One row of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The row's id in its data set.
    pub id: String,
    /// Slices it belongs to.
    pub slices: Vec<String>,
    /// The true answer, where the data set has it.
    pub expected: Option<Payload>,
    /// The answer, or the error.
    pub output: Result<Payload, String>,
    /// In milliseconds.
    pub latency_ms: f64,
}

/// The result of a golden run or a recheck.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// The whole first, then by name.
    pub slices: Vec<Slice>,
    /// Only where asked for.
    pub rows: Vec<Row>,
    /// What the answers said of themselves.
    pub answered_by: Vec<Share>,
    /// When the first row was sent.
    pub started_at: UnixMillis,
}

/// One input and its output, from the service's request log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// The request's id.
    pub id: String,
    /// When it was served.
    pub at: UnixMillis,
    /// What was sent.
    pub input: Payload,
    /// What was answered.
    pub output: Payload,
    /// Such as the version that answered.
    pub labels: Vec<Label>,
}

/// A named block of numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tensor {
    /// As the Open Inference Protocol names it, such as `FP64`.
    pub datatype: String,
    /// Length of each dimension.
    pub shape: Vec<u64>,
    /// Row-major.
    pub data: Vec<f64>,
}

/// What goes into a model or comes out of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Payload {
    /// Blocks of numbers.
    Tensors(Vec<Tensor>),
    /// Class names.
    Classes(Vec<String>),
    /// A text.
    Text(String),
    /// Raw bytes.
    Bytes(Vec<u8>),
    /// A JSON document.
    Json(String),
}

/// How an incident ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It has not.
    Open,
    /// A target is served and verified.
    RolledBack,
    /// The safe mode is on.
    FellBack,
    /// Someone else had restored the target.
    RestoredElsewhere,
    /// The alert ended by itself before anything was shifted.
    StoodDown,
    /// A person said that it is none.
    Dismissed,
    /// A person or a policy refused the plan.
    Refused,
    /// Nobody agreed in time.
    Expired,
    /// A person stopped it before the pivot.
    Aborted,
    /// Mode `observe`: the plan was made and nothing was shifted.
    Observed,
    /// Rolling back would not help, or there is nothing suitable; people were told.
    NotHelped,
    /// A person settled it by hand.
    SettledByPerson,
    /// Something that a newer release knows.
    Other(String),
}

/// An incident of the past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastIncident {
    /// Its id.
    pub id: IncidentId,
    /// Its first signal.
    pub opened_at: UnixMillis,
    /// None while it is open.
    pub settled_at: Option<UnixMillis>,
    /// Of its last plan.
    pub strategy: Option<Strategy>,
    /// How it ended.
    pub outcome: Outcome,
    /// What was served in the end.
    pub target: Option<Target>,
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

impl Unavailable {
    /// A missing value, for programs and for people.
    pub fn new(reason: UnavailableReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
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

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Open => "open",
            Self::RolledBack => "rolled back",
            Self::FellBack => "fell back",
            Self::RestoredElsewhere => "restored elsewhere",
            Self::StoodDown => "stood down",
            Self::Dismissed => "dismissed",
            Self::Refused => "refused",
            Self::Expired => "expired",
            Self::Aborted => "aborted",
            Self::Observed => "observed",
            Self::NotHelped => "rollback would not help",
            Self::SettledByPerson => "settled by a person",
            Self::Other(name) => name,
        })
    }
}
